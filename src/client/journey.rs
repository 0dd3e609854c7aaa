//! A whole sign-in: the search, the exchange, and wherever a redirect leads.

use std::fmt;
use std::net::SocketAddr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{timeout, timeout_at};

use super::Client;
use super::walk::Walk;
use crate::address::SipAddress;
use crate::auth::{Credentials, Protection};
use crate::channel::{Channel, ChannelError};
use crate::clock::{moment, now};
use crate::credentials::CredentialSource;
use crate::discovery::{
    Cause, Connected, DiscoveryPlan, Endpoint, LastServer, Search, Seed, Trace,
};
use crate::failure::{SignInFailure, SignInFailureKind};
use crate::session::Session;
use crate::sign_in::{
    CredentialCache, Redirects, Registration, Server, SignIn, SignInError, Step, Verdict,
};
use crate::sip::Contact;
use crate::text::WireText;
use crate::upkeep::Upkeep;

/// A sign-in that has come to its good end: where, as what, how it was found, and the session.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// Protocol, host and port of the home server.
    pub endpoint: Endpoint,
    /// Its address.
    pub peer: SocketAddr,
    /// The binding it made.
    pub registration: Registration,
    /// The connection, signed in: it lives on as long as it is polled.
    pub session: Session,
    /// How the first server was found.
    pub trace: Trace,
    /// How the targets of redirects were reached, in the order they were tried.
    pub redirects: Vec<Trace>,
}

impl SignedIn {
    /// The home server, to be remembered until the next time, when it saves the search and the
    /// redirects; `None` if it is not to be: it spoke clear text, or has no name.
    pub fn last_server(&self) -> Option<LastServer> {
        LastServer::of(&self.endpoint, self.peer.ip())
    }
}

/// A server that let us in.
struct Arrived {
    endpoint: Endpoint,
    peer: SocketAddr,
    registration: Registration,
    session: Session,
}

impl Arrived {
    fn after(self, trace: Trace, redirects: Vec<Trace>) -> SignedIn {
        let Self { endpoint, peer, registration, session } = self;
        SignedIn { endpoint, peer, registration, session, trace, redirects }
    }
}

/// The end of one search.
enum Reached {
    In(Box<Arrived>),
    /// To other servers.
    Sent(Endpoint, Vec<Contact>, Protection),
    /// To the same server: it hung up while the user was looking for the password.
    Again(Endpoint),
}

/// A sign-in under way: what is kept from server to server, and from search to search.
struct Journey<'a> {
    client: &'a Client,
    address: &'a SipAddress,
    source: &'a dyn CredentialSource,
    seed: Seed,
    cache: CredentialCache,
    /// Of how many rejected credentials the source has been told.
    told: usize,
    redirects: Redirects,
    /// Where redirects lead that were not followed yet, the next one last.
    targets: Vec<Endpoint>,
    /// Why the first search that failed did.
    failure: Option<Failed>,
    /// How long servers asked to be left alone, at the longest.
    retry_after: Option<Duration>,
    /// Whether a server was called back that hung up.
    called_back: bool,
    /// To call a server back cuts the search short that named it.
    cut_short: bool,
}

/// A way to fail. Boxed: it is rare and large, and every future on the way keeps room for one.
type Failed = Box<SignInFailureKind>;

impl Client {
    pub(super) async fn journey(
        &self,
        address: &SipAddress,
        source: &dyn CredentialSource,
    ) -> Result<SignedIn, SignInFailure> {
        let search = &self.settings.search;
        let mut journey = Journey {
            client: self,
            address,
            source,
            seed: self.seed(address)?,
            cache: CredentialCache::new(),
            told: 0,
            redirects: Redirects::new(address.domain().clone(), search.names().clone()),
            targets: Vec::new(),
            failure: None,
            retry_after: None,
            called_back: false,
            cut_short: false,
        };
        let mut traces = Vec::new();
        let (mut reached, first) = journey.reach(search).await;
        loop {
            let search = match journey.next(reached, &first, traces.is_empty()) {
                Continue(search) => search,
                Break(Ok(arrived)) => return Ok(arrived.after(*first, traces)),
                Break(Err(kind)) => {
                    let retry_after = journey.retry_after;
                    return Err(SignInFailure::of_journey(kind, first, traces, retry_after));
                }
            };
            let trace;
            (reached, trace) = journey.reach(&search).await;
            traces.push(*trace);
        }
    }
}

impl Journey<'_> {
    /// Where to search after what a search `reached`, or how it ends; the trace of the `first` search
    /// says why there is no server, and whether that was the `only` one.
    fn next(
        &mut self,
        reached: Result<Reached, Failed>,
        first: &Trace,
        only: bool,
    ) -> ControlFlow<Result<Box<Arrived>, Failed>, Search> {
        let search = &self.client.settings.search;
        let mut again = None;
        match reached {
            Ok(Reached::In(arrived)) => return Break(Ok(arrived)),
            Ok(Reached::Sent(from, contacts, protection)) => {
                match self.redirects.follow(&from, &contacts, protection) {
                    Ok(further) => self.targets.extend(further.into_iter().rev()),
                    Err(error) => {
                        return Break(Err(SignInFailureKind::SignIn(from, *error).into()));
                    }
                }
            }
            Ok(Reached::Again(endpoint)) => {
                self.cut_short = only;
                again = Some(endpoint);
            }
            Err(kind) if !kind.may_be_mended() => return Break(Err(kind)),
            Err(_) if std::mem::take(&mut self.cut_short) => return Continue(search.clone()),
            Err(kind) => {
                self.failure.get_or_insert(kind);
            }
        }
        // A target that came to be visited while it waited is not visited again.
        let visit = |endpoint: &Endpoint| self.redirects.visit(endpoint);
        match again.or_else(|| std::iter::from_fn(|| self.targets.pop()).find(visit)) {
            Some(endpoint) => Continue(search.redirected_to(endpoint)),
            None => Break(Err(self.failure.take().unwrap_or_else(|| {
                let cause = first.cause();
                SignInFailureKind::NoServer { cause, refusals: Vec::new() }.into()
            }))),
        }
    }

    /// Searches, and talks to one server after the other until one has the last word.
    async fn reach(&mut self, search: &Search) -> (Result<Reached, Failed>, Box<Trace>) {
        let plan = DiscoveryPlan::new(self.address, search, self.seed, now());
        let mut walk = Walk::new(&self.client.settings, plan);
        let (mut refusals, mut telling) = (Vec::new(), None::<Failed>);
        let reached = loop {
            // In a block of its own: what is named in it takes no room in the future afterwards.
            let (token, mut begun) = {
                let Connected { connection, endpoint, address: peer, token } =
                    match walk.connection().await {
                        Ok(connected) => connected,
                        Err(cause) => {
                            break Err(match telling {
                                Some(kind) if matches!(cause, Cause::Answer(..)) => kind,
                                _ => SignInFailureKind::NoServer { cause, refusals }.into(),
                            });
                        }
                    };
                self.redirects.visit(&endpoint);
                let opened = self.client.channel(self.address, &endpoint, connection).await;
                let begun = opened.and_then(|(channel, said)| {
                    said.into_iter().for_each(|said| walk.plan.note(said, now()));
                    Conversation::begin(self, endpoint, peer, channel)
                });
                (token, begun)
            };
            if let Ok(conversation) = &mut begun {
                conversation.hold().await;
            }
            let conversed = begun.and_then(Conversation::end);
            let kind = match conversed {
                Ok(Reached::In(arrived)) => break Ok(Reached::In(arrived)),
                Ok(elsewhere) => {
                    walk.plan.handle(token.final_answer(elsewhere.to_string()), now());
                    break Ok(elsewhere);
                }
                Err(kind) => kind,
            };
            let why = WireText::printed(&kind);
            if !kind.may_be_mended() {
                walk.plan.handle(token.final_answer(why), now());
                break Err(kind);
            }
            walk.plan.handle(token.useless(why), now());
            if let SignInFailureKind::SignIn(endpoint, error) = &*kind {
                let refusal = error.refusal();
                refusals.extend(refusal.map(|refusal| (endpoint.clone(), refusal.clone())));
                self.retry_after = self.retry_after.max(error.retry_after());
                let wrong = matches!(error, SignInError::SignatureWrong(_));
                if wrong || telling.is_none() {
                    telling = Some(kind);
                }
            }
        };
        (reached, Box::new(walk.plan.into_trace()))
    }

    /// The next rejected credentials of which the source was not told.
    fn untold(&mut self, cache: &CredentialCache) -> Option<Credentials> {
        let rejected = cache.rejected().get(self.told)?.clone();
        self.told = self.told.saturating_add(1);
        Some(rejected)
    }
}

/// The sign-in at one server.
struct Conversation<'j, 'a> {
    journey: &'j mut Journey<'a>,
    peer: SocketAddr,
    channel: Channel,
    sign_in: SignIn,
    /// Somebody was asked, and what he gave was not shown to this server yet.
    asked: bool,
}

impl<'j, 'a> Conversation<'j, 'a> {
    /// With what is known of the user's credentials.
    fn begin(
        journey: &'j mut Journey<'a>,
        endpoint: Endpoint,
        peer: SocketAddr,
        channel: Channel,
    ) -> Result<Self, Failed> {
        let (facts, settings) = (channel.facts(), &*journey.client.settings);
        let register = journey.client.register(journey.address, &endpoint, facts.local)?;
        let server = Server {
            endpoint,
            certificate: facts.tls.as_ref().map(|tls| tls.names.clone()).unwrap_or_default(),
            names: settings.search.names().clone(),
        };
        let cache = std::mem::take(&mut journey.cache);
        let (rules, random) = (Arc::clone(&settings.rules), Arc::clone(&settings.random));
        let sign_in = SignIn::new(register, server, rules, cache, random);
        Ok(Self { journey, peer, channel, sign_in, asked: false })
    }

    /// Goes on until the machine says how it ended.
    async fn hold(&mut self) {
        while let Some(doing) = self.doing() {
            doing.await;
        }
        let Journey { source, address, .. } = self.journey;
        if let Some(accepted) = self.sign_in.accepted() {
            source.judged(address, accepted, Verdict::Accepted).await;
        }
    }

    /// What is to be done next: to tell the source what it does not know yet, or what the machine
    /// wants. Boxed: who waits for one thing keeps no room for another.
    fn doing(&mut self) -> Option<BoxFuture<'_, ()>> {
        if let Some(rejected) = self.journey.untold(self.sign_in.cache()) {
            let Journey { source, address, .. } = *self.journey;
            return Some(Box::pin(async move {
                source.judged(address, &rejected, Verdict::Rejected).await;
            }));
        }
        Some(match self.sign_in.poll_step(now()) {
            Step::Send(bytes) => Box::pin(self.send(bytes)),
            Step::Wait { until } => Box::pin(self.hear(until)),
            Step::AskCredentials(request) => Box::pin(async move {
                self.asked = true;
                let credentials = self.journey.source.credentials(&request).await;
                self.sign_in.supply(credentials, moment());
                if self.channel.is_closed() {
                    self.sign_in.lost(WireText::printed(&ChannelError::Closed));
                }
            }),
            Step::SignedIn(_) | Step::Redirected { .. } | Step::Failed(_) => return None,
        })
    }

    async fn send(&mut self, bytes: Bytes) {
        self.asked &= !self.sign_in.has_proved();
        let within = self.journey.client.settings.rules.answer_within;
        match timeout(within, self.channel.send(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.sign_in.lost(WireText::printed(&error)),
            Err(_) => self.sign_in.lost("it does not read".into()),
        }
    }

    /// Waits for an answer; nothing in time is for the machine to see.
    async fn hear(&mut self, until: Instant) {
        match timeout_at(until.into(), self.channel.receive()).await {
            Ok(Ok(message)) => self.sign_in.receive(&message, moment()),
            Ok(Err(error)) => match error.garbage() {
                Some(why) => self.sign_in.garbage(why),
                None => self.sign_in.lost(WireText::printed(&error)),
            },
            Err(_) => {}
        }
    }

    /// How it ended.
    fn end(self) -> Result<Reached, Failed> {
        let Self { journey, peer, channel, mut sign_in, asked } = self;
        journey.cache = sign_in.cache().clone();
        let step = sign_in.poll_step(now());
        let endpoint = sign_in.server().endpoint.clone();
        let error = match step {
            Step::SignedIn(registration) => match Upkeep::new(sign_in, journey.seed, now()) {
                Some(upkeep) => {
                    let session = Session::new(channel, upkeep);
                    let arrived = Arrived { endpoint, peer, registration, session };
                    return Ok(Reached::In(Box::new(arrived)));
                }
                None => SignInError::NoAnswer,
            },
            Step::Redirected { contacts, protection } => {
                return Ok(Reached::Sent(endpoint, contacts, protection));
            }
            Step::Failed(SignInError::Lost(_)) if asked && !journey.called_back => {
                journey.called_back = true;
                return Ok(Reached::Again(endpoint));
            }
            Step::Failed(error) => error,
            Step::Send(_) | Step::Wait { .. } | Step::AskCredentials(_) => SignInError::NoAnswer,
        };
        Err(SignInFailureKind::SignIn(endpoint, error).into())
    }
}

/// What the trace says.
impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(_) => f.write_str("signed in"),
            Self::Again(_) => f.write_str("hung up while the credentials were awaited"),
            Self::Sent(_, contacts, _) => {
                f.write_str("redirected to")?;
                contacts.iter().try_for_each(|contact| write!(f, " {}", contact.uri))
            }
        }
    }
}
