//! The sign-in at one server: the machine, carried out.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{timeout, timeout_at};

use super::Client;
use crate::address::SipAddress;
use crate::auth::{Credentials, Protection};
use crate::channel::{Channel, ChannelError};
use crate::clock::{moment, now};
use crate::credentials::CredentialSource;
use crate::discovery::{Endpoint, Seed};
use crate::failure::SignInFailureKind;
use crate::session::Session;
use crate::sign_in::{CredentialCache, Registration, Server, SignIn, SignInError, Step, Verdict};
use crate::sip::Contact;
use crate::text::WireText;
use crate::upkeep::Upkeep;

/// A way to fail. Boxed: it is rare and large, and every future on the way keeps room for one.
pub(super) type Failed = Box<SignInFailureKind>;

/// Who signs in, and what is kept of it from server to server.
pub(super) struct Visitor<'a> {
    pub(super) client: &'a Client,
    pub(super) address: &'a SipAddress,
    source: &'a dyn CredentialSource,
    pub(super) seed: Seed,
    cache: CredentialCache,
    /// Of how many rejected credentials the source has been told.
    told: usize,
    /// Whether a server was called back that hung up.
    called_back: bool,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(
        client: &'a Client,
        address: &'a SipAddress,
        source: &'a dyn CredentialSource,
        seed: Seed,
    ) -> Self {
        let cache = CredentialCache::new();
        Self { client, address, source, seed, cache, told: 0, called_back: false }
    }

    /// The next rejected credentials of which the source was not told.
    fn untold(&mut self, cache: &CredentialCache) -> Option<Credentials> {
        let rejected = cache.rejected().get(self.told)?.clone();
        self.told = self.told.saturating_add(1);
        Some(rejected)
    }
}

/// The end of one search, or of the conversation with one server.
pub(super) enum Reached {
    In(Box<Arrived>),
    Elsewhere(Elsewhere),
}

/// Where the way in is.
pub(super) enum Elsewhere {
    /// At other servers.
    Sent(Endpoint, Vec<Contact>, Protection),
    /// At the same server: it hung up while the user was looking for the password.
    Again(Endpoint),
}

/// A server that let us in.
pub(super) struct Arrived {
    pub(super) endpoint: Endpoint,
    pub(super) peer: SocketAddr,
    pub(super) registration: Registration,
    pub(super) session: Session,
}

/// The sign-in at one server.
pub(super) struct Conversation<'j, 'a> {
    visitor: &'j mut Visitor<'a>,
    peer: IpAddr,
    channel: Channel,
    sign_in: SignIn,
    /// Somebody was asked, and what he gave was not shown to this server yet.
    asked: bool,
    /// The source is being told that it was accepted, and nothing is left to do.
    over: bool,
}

impl<'j, 'a> Conversation<'j, 'a> {
    /// With what is known of the user's credentials.
    pub(super) fn begin(
        visitor: &'j mut Visitor<'a>,
        endpoint: Endpoint,
        peer: IpAddr,
        channel: Channel,
    ) -> Result<Box<Self>, Failed> {
        let (facts, settings) = (channel.facts(), &*visitor.client.settings);
        let register = visitor.client.register(visitor.address, &endpoint, facts.local)?;
        let server = Server {
            endpoint,
            certificate: facts.tls.as_ref().map(|tls| tls.names.clone()).unwrap_or_default(),
            names: settings.search.names().clone(),
        };
        let cache = std::mem::take(&mut visitor.cache);
        let (rules, random) = (Arc::clone(&settings.rules), Arc::clone(&settings.random));
        let sign_in = SignIn::new(register, server, rules, cache, random);
        Ok(Box::new(Self { visitor, peer, channel, sign_in, asked: false, over: false }))
    }

    /// What is to be done next, until it has ended: to tell the source what it does not know yet, or what
    /// the machine wants. Boxed: who waits for one thing keeps no room for another.
    pub(super) fn doing(&mut self) -> Option<BoxFuture<'_, ()>> {
        let Visitor { source, address, .. } = *self.visitor;
        if let Some(rejected) = self.visitor.untold(self.sign_in.cache()) {
            return Some(Box::pin(async move {
                source.judged(address, &rejected, Verdict::Rejected).await;
            }));
        }
        if self.over {
            return None;
        }
        Some(match self.sign_in.poll_step(now()) {
            Step::Send(bytes) => Box::pin(self.send(bytes)),
            Step::Wait { until } => Box::pin(self.hear(until)),
            Step::AskCredentials(request) => Box::pin(async move {
                self.asked = true;
                let credentials = source.credentials(&request).await;
                self.sign_in.supply(credentials, moment());
                if self.channel.is_closed() {
                    self.sign_in.lost(WireText::printed(&ChannelError::Closed));
                }
            }),
            Step::SignedIn(_) => {
                let accepted = self.sign_in.accepted()?;
                self.over = true;
                Box::pin(source.judged(address, accepted, Verdict::Accepted))
            }
            Step::Redirected { .. } | Step::Failed(_) => return None,
        })
    }

    async fn send(&mut self, bytes: Bytes) {
        self.asked &= !self.sign_in.has_proved();
        let within = self.visitor.client.settings.rules.answer_within;
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
    pub(super) fn end(self) -> Result<Reached, Failed> {
        let Self { visitor, peer, channel, mut sign_in, asked, .. } = self;
        visitor.cache = sign_in.cache().clone();
        let step = sign_in.poll_step(now());
        let endpoint = sign_in.server().endpoint.clone();
        let error = match step {
            Step::SignedIn(registration) => match Upkeep::new(sign_in, visitor.seed, now()) {
                Some(upkeep) => {
                    let session = Session::new(channel, upkeep);
                    let peer = SocketAddr::new(peer, endpoint.port);
                    let arrived = Arrived { endpoint, peer, registration, session };
                    return Ok(Reached::In(Box::new(arrived)));
                }
                None => SignInError::NoAnswer,
            },
            Step::Redirected { contacts, protection } => {
                return Ok(Reached::Elsewhere(Elsewhere::Sent(endpoint, contacts, protection)));
            }
            Step::Failed(SignInError::Lost(_)) if asked && !visitor.called_back => {
                visitor.called_back = true;
                return Ok(Reached::Elsewhere(Elsewhere::Again(endpoint)));
            }
            Step::Failed(error) => error,
            Step::Send(_) | Step::Wait { .. } | Step::AskCredentials(_) => SignInError::NoAnswer,
        };
        Err(SignInFailureKind::SignIn(endpoint, error).into())
    }
}

/// What the trace says.
impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again(_) => f.write_str("hung up while the credentials were awaited"),
            Self::Sent(_, contacts, _) => {
                f.write_str("redirected to")?;
                contacts.iter().try_for_each(|contact| write!(f, " {}", contact.uri))
            }
        }
    }
}
