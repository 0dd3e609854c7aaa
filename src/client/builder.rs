//! The settings of a client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Client, Settings};
use crate::compression::{Compression, HeaderLayout, Level};
use crate::discovery::{Search, Seed};
use crate::random::Random;
use crate::sign_in::{Mechanisms, Rules};
use crate::sip::Epid;

/// The settings of a [`Client`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    pub(super) settings: Settings,
}

impl ClientBuilder {
    /// Where and how to search.
    pub fn search(mut self, search: Search) -> Self {
        self.settings.search = search;
        self
    }

    /// Where chance comes from: the operating system by default.
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.settings.random = Arc::new(random);
        self
    }

    /// The seed of every search, so that it can be run again; by default a random one each.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// This device, as the server knows it; by default a random one for each sign-in. A client that
    /// keeps its own is recognised when it comes back. [MS-SIPRE]
    pub fn epid(mut self, epid: Epid) -> Self {
        self.settings.epid = Some(epid);
        self
    }

    /// What to call ourselves. Servers may filter by it (`17002` and `17003` of `ms-diagnostics`).
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.settings.user_agent = user_agent.into();
        self
    }

    /// How long a server may take to answer; [`Client::ANSWER_WITHIN`] by default.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.rules().answer_within = limit;
        self
    }

    /// Takes a server that lets us in without asking who we are. By default it is refused: who
    /// authenticates nobody may be anybody.
    pub fn allow_unauthenticated(mut self, allow: bool) -> Self {
        self.rules().allow_unauthenticated = allow;
        self
    }

    /// Takes a server that does not sign that it let us in, although it could. By default it is
    /// refused: somebody on the way may have taken the signature off. With Kerberos it always is. It
    /// also lets unsigned messages into the session.
    pub fn allow_unsigned(mut self, allow: bool) -> Self {
        self.rules().allow_unsigned = allow;
        self
    }

    /// How to prove who the user is; [`Mechanisms::default`] by default.
    pub fn mechanisms(mut self, mechanisms: Mechanisms) -> Self {
        self.rules().mechanisms = mechanisms;
        self
    }

    /// Whether to sign in as the user who is logged on, where a mechanism can, before a password is
    /// asked for: by default it does (`DisableNTCredentials` forbids it).
    pub fn current_user(mut self, current: bool) -> Self {
        self.rules().current_user = current;
        self
    }

    /// Whether to ask servers to compress, on TLS connections: [`Compression::Never`] by default, for
    /// what it may give away ([`compression`](crate::compression)).
    ///
    /// A server that declines, or says nothing, goes on uncompressed; one that closes or talks
    /// nonsense is left for the next. **That it works with an original server is unproven.**
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// How much work to put into compression; [`Level::Fast`] by default.
    pub fn compression_level(mut self, level: Level) -> Self {
        self.settings.compression_level = level;
        self
    }

    /// How the header of a compressed packet is laid out; [`SixBytes`](crate::compression::SixBytes) by
    /// default.
    pub fn packet_header(mut self, layout: impl HeaderLayout + 'static) -> Self {
        self.settings.packet_header = Arc::new(layout);
        self
    }

    /// How long a server may take to answer whether it compresses; by default
    /// [`Negotiation::ANSWER_WITHIN`](crate::compression::Negotiation::ANSWER_WITHIN).
    pub fn negotiate_within(mut self, limit: Duration) -> Self {
        self.settings.negotiate_within = limit;
        self
    }

    /// How many sign-ins may be under way at once; the others wait for their turn, in the order in
    /// which they came, and their time begins with it. By default there is no such limit: how many
    /// sockets a program may have, only its author knows.
    ///
    /// It holds for all clones of the client and for every [`Supervisor`](crate::Supervisor) with
    /// one, so that a server that comes back is not met by all at once. A session takes no turn. A
    /// person who is asked for a password does, for as long as that takes. Zero counts as one.
    pub fn at_once(mut self, limit: usize) -> Self {
        let turns = limit.clamp(1, Semaphore::MAX_PERMITS);
        self.settings.turns = Arc::new(Semaphore::new(turns));
        self
    }

    fn rules(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.settings.rules)
    }

    /// The client.
    pub fn build(self) -> Client {
        Client { settings: Arc::new(self.settings) }
    }
}
