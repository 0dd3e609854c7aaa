//! The machine: from a registration to its end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lost::{SendError, SessionError};
use super::step::{Heard, Step};
use crate::address::SipAddress;
use crate::auth::{Association, Authorization, Credentials, Protection};
use crate::discovery::Seed;
use crate::now::Now;
use crate::random::Random;
use crate::sign_in::{
    CredentialCache, Proof, Registration, Rules, Server, SignIn, Verdict, Welcome,
};
use crate::sip::{Message, Register};

/// A session on one connection, once it is signed in: a pure machine. See the [module](super).
pub struct Upkeep {
    pub(super) server: Server,
    pub(super) rules: Arc<Rules>,
    pub(super) random: Arc<dyn Random>,
    pub(super) cache: CredentialCache,
    /// Of how many rejected credentials the caller knows.
    pub(super) told: usize,
    /// What let us in anew, until the caller knows.
    pub(super) accepted: Option<Box<Credentials>>,
    /// The dialog: the last REGISTER.
    pub(super) register: Register,
    pub(super) registration: Registration,
    pub(super) proof: Option<Proof>,
    /// What a proxy in front of the registrar is shown, or the other way about.
    pub(super) beside: Option<Proof>,
    /// The proof before, for what the server signed with it, and until when.
    pub(super) former: Option<(Proof, Instant)>,
    pub(super) errand: Option<Errand>,
    pub(super) leaving: bool,
    /// When anything was last sent.
    pub(super) sent_at: Instant,
    pub(super) refresh_at: Instant,
    /// When the binding ends.
    pub(super) expires_at: Instant,
    pub(super) renew_at: Option<Instant>,
    /// No new association before that.
    pub(super) renewable_at: Instant,
    pub(super) seed: Seed,
    /// How many keep-alives were sent.
    pub(super) pings: usize,
    pub(super) dropped: usize,
    /// Boxed: most of its life there is none.
    pub(super) end: Option<Box<Step>>,
}

/// What the server was asked, and has not answered yet.
pub(super) enum Errand {
    /// The same again, with another nonce; how often it was said before.
    Again { rounds: usize },
    /// To keep us, or to let us go; how often it was said, and until when it may be answered.
    Register { rounds: usize, until: Instant },
    /// To let us in anew; and whether somebody is looking for credentials.
    Renewal { sign_in: Box<SignIn>, asked: bool },
}

impl Upkeep {
    /// How long before the end of the binding it is refreshed; or half of what was granted, if that
    /// is less.
    pub const LEAD: Duration = Duration::from_secs(30);

    /// The shortest time between an answer and the next refresh, or between two keep-alives, whatever
    /// the server says. A binding that lasts no longer than this cannot be kept.
    pub const SHORTEST: Duration = Duration::from_secs(5);

    /// How long a binding is taken to last if the server does not say: what RFC 3261 section 10.2
    /// suggests.
    pub const ASSUMED: Duration = Duration::from_secs(3600);

    /// The shortest life of a security association: a ticket that is nearly over does not make it
    /// shorter.
    pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);

    /// How long nothing is sent at the most, if the server does not say: RFC 5626 section 4.4.1 has 95
    /// to 120 s. What is waited for is 80 to 100 % of it, or of what the server says.
    pub const KEEP_ALIVE: Duration = Duration::from_secs(120);

    /// How many messages that are not signed, or wrongly, are dropped between two answers of the
    /// server's to us. One more ends the session.
    pub const DROP_LIMIT: usize = 64;

    /// Goes on with a sign-in that said [`SignedIn`](crate::sign_in::Step::SignedIn); `None` for any other.
    ///
    /// `seed` spreads the keep-alives of many clients over time.
    pub fn new(sign_in: SignIn, seed: Seed, now: Instant) -> Option<Self> {
        let welcome = sign_in.welcomed()?;
        let Welcome { register, server, rules, cache, random, proof, beside, registration } =
            welcome;
        let mut upkeep = Self {
            server,
            rules,
            random,
            told: cache.rejected().len(),
            accepted: None,
            cache,
            register,
            registration,
            proof,
            beside,
            former: None,
            errand: None,
            leaving: false,
            sent_at: now,
            refresh_at: now,
            expires_at: now,
            renew_at: None,
            renewable_at: now,
            seed,
            pings: 0,
            dropped: 0,
            end: None,
        };
        if upkeep.registration.expires == Some(Duration::ZERO) {
            upkeep.lose(SessionError::Forgotten);
        }
        upkeep.granted(now);
        upkeep.associated(now);
        Some(upkeep)
    }

    /// The next step.
    pub fn poll_step(&mut self, now: Instant) -> Step {
        let step = self.due(now);
        if let Step::Send(_) = step {
            self.sent_at = now;
        }
        step
    }

    /// Takes a message that came from the server, and says whose it is.
    ///
    /// With a security association, what is signed wrongly is dropped, and so is what is not signed,
    /// unless [`Rules::allow_unsigned`], which counts for nothing with Kerberos. Provisional responses,
    /// which real servers do not sign, are let through; so are 401 and 407, with which a server says
    /// that it has no association with us: such an answer to the caller also makes a new one due.
    /// Without an association nothing can be signed, and everything is the caller's, as
    /// [`Protection::Absent`]. [MS-SIPAE section 3.2.5.2]
    pub fn receive(&mut self, message: &Message, now: Now) -> Heard {
        if self.end.is_some() {
            return Heard::Dropped("the session is over".into());
        }
        if let Message::Response(response) = message
            && self.is_ours(response)
        {
            self.hear(message, response, now);
            return Heard::Ours;
        }
        let status = match message {
            Message::Response(response) => response.status(),
            Message::Request(_) => 0,
        };
        if !self.is_signed() {
            if let Message::Response(response) = message {
                self.takes_nonce(response, now);
            }
            return Heard::Yours(Protection::Absent);
        }
        match self.verify(message, now) {
            Ok(Protection::Absent) if matches!(status, 401 | 407) => {
                self.renew_at = Some(self.renewable_at);
                Heard::Yours(Protection::Absent)
            }
            Ok(Protection::Absent) if !matches!(status, 100..=199) && !self.may_be_unsigned() => {
                self.drop("it is not signed".into())
            }
            Ok(protection) => Heard::Yours(protection),
            Err(why) => self.drop(why),
        }
    }

    /// `message`, which the caller wants to send, with the header field that proves who sends it.
    /// What comes out must be sent before anything that is signed later.
    ///
    /// Digest proves requests only, and neither ACK nor CANCEL (RFC 3261 section 22.1).
    ///
    /// # Errors
    /// [`SendError`] when it cannot be signed or the session is over.
    pub fn outgoing(&mut self, message: &Message, now: Instant) -> Result<Bytes, SendError> {
        match self.end() {
            Some(Step::Lost(error)) => return Err(error.clone().into()),
            Some(_) => return Err(SendError::SignedOut),
            None if self.leaving => return Err(SendError::SignedOut),
            None => {}
        }
        let pass = |proof: &mut Option<Proof>| match proof {
            Some(proof) => proof.pass(message, &*self.random).map_err(SendError::Unsignable),
            None => Ok(None),
        };
        let authorizations = [pass(&mut self.beside)?, pass(&mut self.proof)?];
        self.sent_at = now;
        Ok(Authorization::add_all(message, authorizations))
    }

    /// Hands in what [`Step::AskCredentials`] asked for; `None` when nobody knows.
    pub fn supply(&mut self, credentials: Option<Credentials>, now: Now) {
        if let Some(Errand::Renewal { sign_in, asked }) = &mut self.errand {
            sign_in.supply(credentials, now);
            *asked = false;
        }
    }

    /// What the server made of credentials since: those that [`supply`](Self::supply) brought, and
    /// those of the sign-in if it does not believe them any more. Each is told once.
    pub fn judged(&mut self) -> Option<(Credentials, Verdict)> {
        let cache = match &self.errand {
            Some(Errand::Renewal { sign_in, .. }) => sign_in.cache(),
            _ => &self.cache,
        };
        if let Some(rejected) = cache.rejected().get(self.told).cloned() {
            self.told = self.told.saturating_add(1);
            return Some((rejected, Verdict::Rejected));
        }
        Some((*self.accepted.take()?, Verdict::Accepted))
    }

    /// Makes a refresh due at once: after the machine has slept, say.
    pub fn refresh(&mut self, now: Instant) {
        self.refresh_at = self.refresh_at.min(now);
    }

    /// Makes it end in order: the binding is taken back, and nothing else is sent.
    pub fn sign_out(&mut self) {
        self.leaving = true;
    }

    /// Whether somebody has signed out, although the server may not have said yes.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Takes note that the connection is of no use any more.
    pub fn lose(&mut self, error: SessionError) {
        if let Some(Errand::Renewal { sign_in, .. }) = self.errand.take() {
            self.cache = sign_in.cache().clone();
        }
        self.end.get_or_insert_with(|| Step::Lost(error).into());
    }

    /// How it ended: the step that the machine answers for ever; `None` while it lives.
    pub fn end(&self) -> Option<&Step> {
        self.end.as_deref()
    }

    /// Who is signed in.
    pub fn address(&self) -> &SipAddress {
        self.register.address()
    }

    /// The server at the other end.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How long the server may take to answer, and to read what is sent.
    pub fn answer_within(&self) -> Duration {
        self.rules.answer_within
    }

    /// The binding, as the server last said it.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// The security association; `None` with Digest, which has none.
    pub fn association(&self) -> Option<&Association> {
        self.proof.as_ref()?.association()
    }

    /// When the binding ends, unless it is refreshed.
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep")
            .field("server", &self.server)
            .field("registration", &self.registration)
            .field("association", &self.association())
            .field("cseq", &self.register.cseq())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
