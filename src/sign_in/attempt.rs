//! What was tried in vain, and when to try again.

use std::fmt;

use crate::auth::MechanismErrorKind;
use crate::discovery::Fault;
use crate::sip::Scheme;
use crate::text::WireText;

/// A mechanism that was tried in vain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{scheme}: {why}")]
pub struct Attempt {
    /// Its scheme.
    pub scheme: Scheme,
    /// What went wrong.
    pub why: WireText,
    /// The kind of it, where the mechanism itself failed.
    pub kind: Option<MechanismErrorKind>,
}

/// What a mechanism ran into says more than that it could not go on: the first of these that any of
/// the attempts ran into is the one that is told. Whatever is not here is the server's.
pub(super) const TELLING: [(MechanismErrorKind, Fault, &str, Retry); 6] = {
    use MechanismErrorKind as Kind;
    [
        (
            Kind::Expired,
            Fault::Machine,
            "get a new ticket: log on to the domain again",
            Retry::AfterChange,
        ),
        (Kind::ClockSkew, Fault::Machine, "set the clock of this machine", Retry::AfterChange),
        (
            Kind::NoTicket,
            Fault::Machine,
            "get a ticket: log on to the domain; or have the server offer a scheme that takes a password",
            Retry::AfterChange,
        ),
        (
            Kind::Unreachable,
            Fault::Network,
            "check the network to the ticket server, then try again",
            Retry::Later,
        ),
        (
            Kind::UnknownService,
            Fault::Server,
            "have the server registered with the ticket server, under sip and its name",
            Retry::AfterChange,
        ),
        (
            Kind::Random,
            Fault::Machine,
            "see to the random number source of this machine",
            Retry::AfterChange,
        ),
    ]
};

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// After somebody changed what is wrong; before that it would fail in the same way.
    AfterChange,
    /// After a time, longer each time; not before a server's Retry-After.
    Later,
    /// Never: it would fail in the same way, and nobody here can change it.
    Never,
    /// At once: the server is there, and only has to be told again.
    Now,
    /// As soon as the user gave credentials that were not rejected.
    WithCredentials,
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterChange => "after a change",
            Self::Later => "after a time",
            Self::Never => "never",
            Self::Now => "now",
            Self::WithCredentials => "with credentials",
        })
    }
}
