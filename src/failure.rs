//! Why a sign-in failed: whose fault, then what, then what to do.

use std::fmt;
use std::time::Duration;

use crate::discovery::{Cause, Endpoint, Fault, Trace};
use crate::random::RandomError;
use crate::sign_in::{Retry, SignInError};
use crate::sip::{Contact, RegisterError, Remedy, ServerRefusal};

/// Why a sign-in failed, with the whole story of it.
///
/// `Display` is one line for a log: whose fault, what, and what to do. The trace tells everything
/// that was asked, answered, refused and tried.
#[derive(Clone, Debug, thiserror::Error)]
pub struct SignInFailure {
    kind: Box<SignInFailureKind>,
    trace: Box<Trace>,
    redirects: Vec<Trace>,
    retry_after: Option<Duration>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignInFailureKind {
    /// No server is left to try.
    NoServer {
        /// The most telling reason.
        cause: Cause,
        /// What the servers said that were reached, in that order.
        refusals: Vec<(Endpoint, ServerRefusal)>,
    },
    /// The system gives no random bytes, without which no message may be sent.
    NoRandom(RandomError),
    /// A server sent us elsewhere before it asked who we are.
    Redirected(Endpoint, Vec<Contact>),
    /// A server refused, and every other one would do the same.
    Refused(Endpoint, ServerRefusal),
    /// A server did not let us in, in the course of a sign-in.
    SignIn(Endpoint, SignInError),
    /// A server let us in without asking who we are, which the caller does not allow.
    Unauthenticated(Endpoint),
    /// The caller's settings cannot stand in a REGISTER.
    Unwritable(RegisterError),
}

impl SignInFailure {
    pub(crate) fn new(
        kind: impl Into<Box<SignInFailureKind>>,
        trace: impl Into<Box<Trace>>,
    ) -> Self {
        Self { kind: kind.into(), trace: trace.into(), redirects: Vec::new(), retry_after: None }
    }

    /// The same after redirects; `retry_after` is the longest that any server asked for.
    pub(crate) fn of_journey(
        kind: Box<SignInFailureKind>,
        trace: Box<Trace>,
        redirects: Vec<Trace>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self { redirects, retry_after, ..Self::new(kind, trace) }
    }

    /// What went wrong.
    pub fn kind(&self) -> &SignInFailureKind {
        &self.kind
    }

    /// Everything that was asked, answered, refused and tried.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How the targets of redirects were tried, in that order.
    pub fn redirects(&self) -> &[Trace] {
        &self.redirects
    }

    /// Whose fault it is, as far as a client can tell.
    pub fn fault(&self) -> Fault {
        self.kind.fault()
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        self.kind.advice()
    }

    /// How long the servers asked to be left alone, at the longest.
    pub fn retry_after(&self) -> Option<Duration> {
        let last = match &*self.kind {
            SignInFailureKind::NoServer { refusals, .. } => {
                refusals.iter().filter_map(|(_, refusal)| refusal.retry_after).max()
            }
            SignInFailureKind::Refused(_, refusal) => refusal.retry_after,
            SignInFailureKind::SignIn(_, error) => error.retry_after(),
            _ => None,
        };
        last.max(self.retry_after)
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        use SignInFailureKind as Kind;
        match &*self.kind {
            Kind::NoServer { cause: Cause::Answer(..), .. } => Retry::Later,
            Kind::NoServer { cause, .. } if cause.fault() == Fault::Network => Retry::Later,
            Kind::SignIn(_, error) => error.retry(),
            _ => Retry::AfterChange,
        }
    }
}

impl SignInFailureKind {
    /// Its name, as the page of failures has it: `certificate`, `unknown user`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoServer { cause, .. } => cause.name(),
            Self::NoRandom(_) => "no random bytes",
            Self::Redirected(..) => "redirected at once",
            Self::Refused(..) => "refused at once",
            Self::SignIn(_, error) => error.name(),
            Self::Unauthenticated(_) => "unauthenticated at once",
            Self::Unwritable(_) => "unwritable",
        }
    }

    /// The server it is about, where it is about one that was tried.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::NoServer { cause, .. } => cause.endpoint(),
            Self::Redirected(endpoint, _)
            | Self::Refused(endpoint, _)
            | Self::SignIn(endpoint, _)
            | Self::Unauthenticated(endpoint) => Some(endpoint),
            Self::NoRandom(_) | Self::Unwritable(_) => None,
        }
    }

    /// Whose fault it is, as far as a client can tell.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoServer { cause, .. } => cause.fault(),
            Self::NoRandom(_) => Fault::Machine,
            Self::Redirected(..) | Self::Refused(..) | Self::Unauthenticated(_) => Fault::Server,
            Self::SignIn(_, error) => error.fault(),
            Self::Unwritable(_) => Fault::Input,
        }
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoServer { cause, .. } => cause.advice(),
            Self::NoRandom(_) => "see to the random number source of this machine",
            Self::Redirected(..) => {
                "this server redirects before it authenticates: ask its administrator"
            }
            Self::Refused(..) => "ask the server's administrator, with the server's answer in hand",
            Self::SignIn(_, error) => error.advice(),
            Self::Unauthenticated(_) => {
                "have the server authenticate its users, or allow unauthenticated servers"
            }
            Self::Unwritable(_) => "correct the setting",
        }
    }

    /// Whether another server may do better.
    pub(crate) fn may_be_mended(&self) -> bool {
        match self {
            Self::NoServer { .. } => true,
            Self::SignIn(_, error) => error.remedy() == Remedy::AnotherServer,
            _ => false,
        }
    }
}

impl fmt::Display for SignInFailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer { cause, .. } => cause.fmt(f),
            Self::NoRandom(error) => error.fmt(f),
            Self::Redirected(endpoint, _) => {
                write!(f, "{endpoint} redirected before it asked for credentials")
            }
            Self::Refused(endpoint, refusal) => write!(f, "{endpoint} refused: {refusal}"),
            Self::SignIn(endpoint, error) => write!(f, "{endpoint}: {error}"),
            Self::Unauthenticated(endpoint) => {
                write!(f, "{endpoint} let us in without asking who we are")
            }
            Self::Unwritable(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SignInFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.fault(), self.kind, self.advice())
    }
}

#[cfg(test)]
mod tests;
