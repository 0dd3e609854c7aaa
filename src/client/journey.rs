//! A whole sign-in: the search, the exchange, and wherever a redirect leads.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{timeout, timeout_at};

use super::Client;
use super::walk::Walk;
use crate::address::SipAddress;
use crate::auth::Protection;
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

/// The end of one search.
enum Reached {
    In(Box<SignedIn>),
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
    /// Tells the source which of its credentials were rejected, each once.
    async fn tell_rejected(&mut self, cache: &CredentialCache) {
        let news = cache.rejected().iter().skip(self.told).cloned().collect::<Vec<_>>();
        for rejected in news {
            self.told = self.told.saturating_add(1);
            self.source.judged(self.address, &rejected, Verdict::Rejected).await;
        }
    }
}

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
                Ok(Reached::In(signed_in)) => {
                    return Ok(SignedIn { trace: first, redirects: traces, ..*signed_in });
                }
                Ok(Reached::Sent(from, contacts, protection)) => {
                    match luggage.redirects.follow(&from, &contacts, protection) {
                        Ok(further) => targets.extend(further.into_iter().rev()),
                        Err(error) => break SignInFailureKind::SignIn(from, *error),
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
                    traces.push(trace);
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
                break failure.unwrap_or_else(|| SignInFailureKind::NoServer {
                    cause: first.cause(),
                    refusals: Vec::new(),
                });
            };
            let trace;
            (reached, trace) = self.reach(&search.redirected_to(endpoint), &mut luggage).await;
            traces.push(trace);
        };
        Err(SignInFailure::of_journey(kind, first, traces, luggage.retry_after))
    }

    /// Searches, and talks to one server after the other until one has the last word.
    async fn reach(
        &self,
        search: &Search,
        luggage: &mut Luggage<'_>,
    ) -> (Result<Reached, SignInFailureKind>, Trace) {
        let plan = DiscoveryPlan::new(luggage.address, search, luggage.seed, now());
        let mut walk = Walk::new(&self.settings, plan);
        let (mut refusals, mut telling) = (Vec::new(), None);
        let reached = loop {
            let connected = match walk.connection().await {
                Ok(connected) => connected,
                Err(cause) => {
                    break Err(match telling {
                        Some(kind) if matches!(cause, Cause::Answer(..)) => kind,
                        _ => SignInFailureKind::NoServer { cause, refusals },
                    });
                }
            };
            let Connected { connection, endpoint, address: peer, token } = connected;
            luggage.redirects.visit(&endpoint);
            let opened = self.channel(luggage.address, &endpoint, connection).await;
            let conversed = match opened {
                Ok((channel, said)) => {
                    said.into_iter().for_each(|said| walk.plan.note(said, now()));
                    self.converse(&endpoint, peer, channel, walk.plan.trace(), luggage).await
                }
                Err(kind) => Err(kind),
            };
            let kind = match conversed {
                Ok(Reached::In(signed_in)) => break Ok(Reached::In(signed_in)),
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
            if let SignInFailureKind::SignIn(_, error) = &kind {
                let refusal = error.refusal();
                refusals.extend(refusal.map(|refusal| (endpoint, refusal.clone())));
                luggage.retry_after = luggage.retry_after.max(error.retry_after());
                let wrong = matches!(error, SignInError::SignatureWrong(_));
                if wrong || telling.is_none() {
                    telling = Some(kind);
                }
            }
        };
        (reached, walk.plan.trace().clone())
    }

    /// Signs in at one server.
    async fn converse(
        &self,
        endpoint: &Endpoint,
        peer: SocketAddr,
        mut channel: Channel,
        trace: &Trace,
        luggage: &mut Luggage<'_>,
    ) -> Result<Reached, SignInFailureKind> {
        let settings = &*self.settings;
        let register = self
            .register(luggage.address, endpoint, channel.facts().local)
            .map_err(|kind| *kind)?;
        let tls = channel.facts().tls.as_ref();
        let server = Server {
            endpoint: endpoint.clone(),
            certificate: tls.map(|tls| tls.names.clone()).unwrap_or_default(),
            names: settings.search.names().clone(),
        };
        let cache = std::mem::take(&mut luggage.cache);
        let random = Arc::clone(&settings.random);
        let mut sign_in = SignIn::new(register, server, settings.rules.clone(), cache, random);
        // Somebody was asked, and what he gave was not shown to this server yet.
        let mut asked = false;
        let end = loop {
            match sign_in.poll_step(now()) {
                Step::Send(bytes) => {
                    asked &= !sign_in.has_proved();
                    match timeout(settings.rules.answer_within, channel.send(&bytes)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => sign_in.lost(WireText::printed(&error)),
                        Err(_) => sign_in.lost("it does not read".into()),
                    }
                }
                Step::Wait { until } => match timeout_at(until.into(), channel.receive()).await {
                    Ok(Ok(message)) => {
                        sign_in.receive(&message, moment());
                        luggage.tell_rejected(sign_in.cache()).await;
                    }
                    Ok(Err(error)) => match error.garbage() {
                        Some(why) => sign_in.garbage(why),
                        None => sign_in.lost(WireText::printed(&error)),
                    },
                    Err(_) => {}
                },
                Step::AskCredentials(request) => {
                    asked = true;
                    let credentials = luggage.source.credentials(&request).await;
                    sign_in.supply(credentials, moment());
                    if channel.is_closed() {
                        sign_in.lost(WireText::printed(&ChannelError::Closed));
                    }
                }
                end => break end,
            }
        };
        if let Some(accepted) = sign_in.accepted().cloned() {
            luggage.source.judged(luggage.address, &accepted, Verdict::Accepted).await;
        }
        luggage.cache = sign_in.cache().clone();
        match end {
            Step::SignedIn(registration) => match Upkeep::new(sign_in, luggage.seed, now()) {
                Some(upkeep) => Ok(Reached::In(Box::new(SignedIn {
                    endpoint: endpoint.clone(),
                    peer,
                    registration,
                    session: Session::new(channel, upkeep),
                    trace: trace.clone(),
                    redirects: Vec::new(),
                }))),
                None => Err(SignInFailureKind::SignIn(endpoint.clone(), SignInError::NoAnswer)),
            },
            Step::Redirected { contacts, protection } => {
                Ok(Reached::Sent(endpoint.clone(), contacts, protection))
            }
            Step::Failed(SignInError::Lost(_)) if asked && !luggage.called_back => {
                luggage.called_back = true;
                Ok(Reached::Again(endpoint.clone()))
            }
            Step::Failed(error) => Err(SignInFailureKind::SignIn(endpoint.clone(), error)),
            Step::Send(_) | Step::Wait { .. } | Step::AskCredentials(_) => {
                Err(SignInFailureKind::SignIn(endpoint.clone(), SignInError::NoAnswer))
            }
        }
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
