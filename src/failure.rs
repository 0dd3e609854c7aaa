//! Why a sign-in failed: whose fault, then what, then what to do.

use std::fmt;
use std::time::Duration;

use crate::discovery::{Cause, Endpoint, Fault, Trace};
use crate::random::RandomError;
use crate::sign_in::{Retry, SignInError};
use crate::sip::{Contact, RegisterError, Remedy, ServerRefusal};

/// Why a sign-in failed, with the whole story of it.
///
/// `Display` is one line for a log and an administrator: whose fault, what, and what to do. The user is
/// told [`for_user`](Self::for_user). The trace tells everything that was asked, answered, refused and
/// tried.
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

    /// What to tell the user: see [`SignInFailureKind::for_user`].
    pub fn for_user(&self) -> &'static str {
        self.kind.for_user()
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

    /// What to tell the user, in a sentence without a term of the trade: what is wrong, and what
    /// somebody who runs no servers can do about it.
    pub fn for_user(&self) -> &'static str {
        use SignInError as E;
        match self {
            Self::NoServer { cause, .. } => match cause {
                Cause::Certificate(..) => {
                    "The server could not prove that it belongs to your organisation. Ask your \
                     administrator."
                }
                Cause::Tls(..) => {
                    "No secure connection to the server could be made. Ask your administrator."
                }
                Cause::Answer(..) => "The server cannot sign you in now. Try again later.",
                Cause::Refused(_) => {
                    "The server that was found may not belong to your organisation. Check your \
                     sign-in address."
                }
                Cause::LookupFailed(..) | Cause::Unreachable(..) => {
                    "The server cannot be reached. Check your network connection."
                }
                Cause::Unresolvable(_)
                | Cause::Invalid(..)
                | Cause::NotOffered(_)
                | Cause::NoRecords(_) => {
                    "No server was found for your sign-in address. Check the address, or ask your \
                     administrator for the name of the server."
                }
            },
            Self::NoRandom(_) => "This computer cannot make a secure connection.",
            Self::Unwritable(_) => "A setting of this program is wrong. Ask your administrator.",
            Self::Refused(..) => REFUSED,
            Self::Redirected(..) | Self::Unauthenticated(_) => UNEXPECTED,
            Self::SignIn(_, error) => match error {
                E::AddressMismatch(_) => {
                    "Your account does not belong to this sign-in address. Check both."
                }
                E::ClockSkew(_) => "The clock of this computer is wrong. Set it, and try again.",
                E::CredentialsNeeded => "Enter your account and your password.",
                E::Lost(_) | E::NoAnswer => {
                    "The server does not answer. Check your network connection, then try again."
                }
                E::NoCommonScheme { .. } => {
                    "The server wants a proof of who you are that this computer cannot give. Ask \
                     your administrator."
                }
                E::Overloaded(_) | E::Unavailable(_) => {
                    "The server cannot sign you in now. Try again later."
                }
                E::RedirectLoop | E::RedirectRefused(_) => {
                    "The server sends you to one that is not trusted. Ask your administrator."
                }
                E::Refused(_) => REFUSED,
                E::Rejected(_) => "Your account or your password is not right.",
                E::RemoteAccessDenied(_) => {
                    "You may not sign in from outside. Try again inside your organisation's network."
                }
                E::SignatureAbsent | E::SignatureWrong(_) => {
                    "The server could not prove that it is the right one. Ask your administrator, and \
                     do not trust this network."
                }
                E::UnknownUser(_) => "The server does not know this sign-in address. Check it.",
                E::VersionBlocked(_) => {
                    "The server does not let this version of the program in. Ask your administrator."
                }
                E::BadRequest(_) | E::Garbage(_) | E::Unauthenticated => UNEXPECTED,
            },
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

const REFUSED: &str = "The server refuses to sign you in. Ask your administrator.";
const UNEXPECTED: &str = "The server did not behave as it should. Ask your administrator.";

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
