//! A whole sign-in: the search, the exchange, and wherever a redirect leads.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
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
use crate::sip::{Contact, Message};
use crate::text::WireText;
use crate::transport::ConnectionFacts;
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

/// What is kept from server to server.
struct Luggage<'a> {
    address: &'a SipAddress,
    source: &'a dyn CredentialSource,
    seed: Seed,
    cache: CredentialCache,
    /// Of how many rejected credentials the source has been told.
    told: usize,
    redirects: Redirects,
    /// How long servers asked to be left alone, at the longest.
    retry_after: Option<Duration>,
    /// Whether a server was called back that hung up.
    called_back: bool,
}

impl Luggage<'_> {
    /// The next rejected credentials of which the source was not told.
    fn untold(&mut self, cache: &CredentialCache) -> Option<Credentials> {
        let rejected = cache.rejected().get(self.told)?.clone();
        self.told = self.told.saturating_add(1);
        Some(rejected)
    }
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
        let seed = self.seed(address)?;
        let mut luggage = Luggage {
            address,
            source,
            seed,
            cache: CredentialCache::new(),
            told: 0,
            redirects: Redirects::new(address.domain().clone(), search.names().clone()),
            retry_after: None,
            called_back: false,
        };
        let mut targets: Vec<Endpoint> = Vec::new();
        let (mut failure, mut again) = (None, None);
        let mut traces = Vec::new();
        let (mut reached, first) = self.reach(search, &mut luggage).await;
        // To call a server back cuts the search short that named it.
        let mut cut_short = false;
        let kind = loop {
            match reached {
                Ok(Reached::In(arrived)) => return Ok(arrived.after(*first, traces)),
                Ok(Reached::Sent(from, contacts, protection)) => {
                    match luggage.redirects.follow(&from, &contacts, protection) {
                        Ok(further) => targets.extend(further.into_iter().rev()),
                        Err(error) => break SignInFailureKind::SignIn(from, *error).into(),
                    }
                }
                Ok(Reached::Again(endpoint)) => {
                    cut_short = traces.is_empty();
                    again = Some(endpoint);
                }
                Err(kind) if !kind.may_be_mended() => break kind,
                Err(_) if std::mem::take(&mut cut_short) => {
                    let trace;
                    (reached, trace) = self.reach(search, &mut luggage).await;
                    traces.push(*trace);
                    continue;
                }
                Err(kind) => {
                    failure.get_or_insert(kind);
                }
            }
            // A target that came to be visited while it waited is not visited again.
            let visit = |endpoint: &Endpoint| luggage.redirects.visit(endpoint);
            let next = again.take().or_else(|| std::iter::from_fn(|| targets.pop()).find(visit));
            let Some(endpoint) = next else {
                break failure.unwrap_or_else(|| {
                    let cause = first.cause();
                    SignInFailureKind::NoServer { cause, refusals: Vec::new() }.into()
                });
            };
            let trace;
            (reached, trace) = self.reach(&search.redirected_to(endpoint), &mut luggage).await;
            traces.push(*trace);
        };
        Err(SignInFailure::of_journey(kind, first, traces, luggage.retry_after))
    }

    /// Searches, and talks to one server after the other until one has the last word.
    async fn reach(
        &self,
        search: &Search,
        luggage: &mut Luggage<'_>,
    ) -> (Result<Reached, Failed>, Box<Trace>) {
        let plan = DiscoveryPlan::new(luggage.address, search, luggage.seed, now());
        let mut walk = Walk::new(&self.settings, plan);
        let (mut refusals, mut telling) = (Vec::new(), None::<Failed>);
        let reached = loop {
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
            luggage.redirects.visit(&endpoint);
            let conversed = match self.channel(luggage.address, &endpoint, connection).await {
                Ok((channel, said)) => {
                    said.into_iter().for_each(|said| walk.plan.note(said, now()));
                    self.converse(&endpoint, &peer, channel, luggage).await
                }
                Err(kind) => Err(kind),
            };
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
            if let SignInFailureKind::SignIn(_, error) = &*kind {
                let refusal = error.refusal();
                refusals.extend(refusal.map(|refusal| (endpoint, refusal.clone())));
                luggage.retry_after = luggage.retry_after.max(error.retry_after());
                let wrong = matches!(error, SignInError::SignatureWrong(_));
                if wrong || telling.is_none() {
                    telling = Some(kind);
                }
            }
        };
        (reached, Box::new(walk.plan.into_trace()))
    }

    /// Signs in at one server.
    async fn converse(
        &self,
        endpoint: &Endpoint,
        peer: &SocketAddr,
        mut channel: Channel,
        luggage: &mut Luggage<'_>,
    ) -> Result<Reached, Failed> {
        let settings = &*self.settings;
        let mut sign_in = self.sign_in_at(endpoint, channel.facts(), luggage)?;
        // Somebody was asked, and what he gave was not shown to this server yet.
        let mut asked = false;
        loop {
            match &sign_in.poll_step(now()) {
                Step::Send(bytes) => {
                    asked &= !sign_in.has_proved();
                    match timeout(settings.rules.answer_within, channel.send(bytes)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => sign_in.lost(WireText::printed(&error)),
                        Err(_) => sign_in.lost("it does not read".into()),
                    }
                }
                Step::Wait { until } => {
                    let came = timeout_at((*until).into(), channel.receive()).await;
                    hear(&mut sign_in, came);
                    while let Some(rejected) = luggage.untold(sign_in.cache()) {
                        let Luggage { source, address, .. } = luggage;
                        source.judged(address, &rejected, Verdict::Rejected).await;
                    }
                }
                Step::AskCredentials(request) => {
                    asked = true;
                    let credentials = luggage.source.credentials(request).await;
                    sign_in.supply(credentials, moment());
                    if channel.is_closed() {
                        sign_in.lost(WireText::printed(&ChannelError::Closed));
                    }
                }
                Step::SignedIn(_) | Step::Redirected { .. } | Step::Failed(_) => break,
            }
        }
        if let Some(accepted) = sign_in.accepted().cloned() {
            luggage.source.judged(luggage.address, &accepted, Verdict::Accepted).await;
        }
        luggage.cache = sign_in.cache().clone();
        let failed = |error| Err(SignInFailureKind::SignIn(endpoint.clone(), error).into());
        match sign_in.poll_step(now()) {
            Step::SignedIn(registration) => match Upkeep::new(sign_in, luggage.seed, now()) {
                Some(upkeep) => Ok(Reached::In(Box::new(Arrived {
                    endpoint: endpoint.clone(),
                    peer: *peer,
                    registration,
                    session: Session::new(channel, upkeep),
                }))),
                None => failed(SignInError::NoAnswer),
            },
            Step::Redirected { contacts, protection } => {
                Ok(Reached::Sent(endpoint.clone(), contacts, protection))
            }
            Step::Failed(SignInError::Lost(_)) if asked && !luggage.called_back => {
                luggage.called_back = true;
                Ok(Reached::Again(endpoint.clone()))
            }
            Step::Failed(error) => failed(error),
            Step::Send(_) | Step::Wait { .. } | Step::AskCredentials(_) => {
                failed(SignInError::NoAnswer)
            }
        }
    }

    /// The machine for one server, with what is known of the user's credentials.
    fn sign_in_at(
        &self,
        endpoint: &Endpoint,
        facts: &ConnectionFacts,
        luggage: &mut Luggage<'_>,
    ) -> Result<SignIn, Failed> {
        let settings = &*self.settings;
        let register = self.register(luggage.address, endpoint, facts.local)?;
        let server = Server {
            endpoint: endpoint.clone(),
            certificate: facts.tls.as_ref().map(|tls| tls.names.clone()).unwrap_or_default(),
            names: settings.search.names().clone(),
        };
        let cache = std::mem::take(&mut luggage.cache);
        let random = Arc::clone(&settings.random);
        Ok(SignIn::new(register, server, settings.rules.clone(), cache, random))
    }
}

/// What came while an answer was awaited; nothing in time is for the machine to see.
fn hear(sign_in: &mut SignIn, came: Result<Result<Message, ChannelError>, Elapsed>) {
    match came {
        Ok(Ok(message)) => sign_in.receive(&message, moment()),
        Ok(Err(error)) => match error.garbage() {
            Some(why) => sign_in.garbage(why),
            None => sign_in.lost(WireText::printed(&error)),
        },
        Err(_) => {}
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
