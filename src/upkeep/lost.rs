//! Why a session is over, and why a message cannot be sent.

use std::time::Duration;

use super::machine::Upkeep;
use crate::discovery::Fault;
use crate::sign_in::{Retry, SignInError};
use crate::sip::{Contact, FramingError, ServerRefusal};
use crate::text::WireText;

/// Why a session is over although nobody signed out.
///
/// | what happened | kind |
/// |---|---|
/// | `register-action` is `added` or `fixed` on a refresh, or nothing is granted | [`Forgotten`](Self::Forgotten) |
/// | 3xx to a refresh | [`Redirected`](Self::Redirected) |
/// | any other final answer than 2xx, 401, 407 to a refresh; none in time; a wrong signature | [`Refresh`](Self::Refresh) |
/// | no new security association | [`Renewal`](Self::Renewal) |
/// | a message that no SIP reader can read | [`Garbage`](Self::Garbage) |
/// | the connection is closed, or breaks, or the server does not read | [`Lost`](Self::Lost) |
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The server no longer had the binding: dialogs and subscriptions are gone with it.
    /// [MS-SIPREGE section 3.1.1.5.1]
    #[error("the server had forgotten the registration")]
    Forgotten,
    /// What the server sent means nothing.
    #[error("garbage: {0}")]
    Garbage(WireText),
    /// The connection was closed or lost.
    #[error("{0}")]
    Lost(WireText),
    /// The server sends us to another one. Where to is not to be trusted: the search finds it.
    #[error("the server sends us elsewhere")]
    Redirected(Vec<Contact>),
    /// The binding was not refreshed.
    #[error("the registration was not refreshed: {0}")]
    Refresh(SignInError),
    /// There is no new security association.
    #[error("the security association was not renewed: {0}")]
    Renewal(SignInError),
    /// The server did not say that it let us go.
    #[error("not signed out in order: {0}")]
    SignOut(SignInError),
    /// A message of our own cannot be signed: no chance, or a mechanism that fails.
    #[error("nothing can be signed any more: {0}")]
    Unsignable(WireText),
    /// Too many messages were not the server's.
    #[error("more than {} messages were not signed by the server", Upkeep::DROP_LIMIT)]
    Untrusted,
}

impl SessionError {
    fn cause(&self) -> Option<&SignInError> {
        match self {
            Self::Refresh(error) | Self::Renewal(error) | Self::SignOut(error) => Some(error),
            _ => None,
        }
    }

    /// The server's own words, where it said no.
    pub fn refusal(&self) -> Option<&ServerRefusal> {
        self.cause()?.refusal()
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause()?.retry_after()
    }

    /// Whose fault it is, as far as a client can tell.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Forgotten | Self::Garbage(_) | Self::Redirected(_) | Self::Untrusted => {
                Fault::Server
            }
            Self::Lost(_) => Fault::Network,
            Self::Unsignable(_) => Fault::Machine,
            Self::Refresh(error) | Self::Renewal(error) | Self::SignOut(error) => error.fault(),
        }
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Forgotten | Self::Redirected(_) => "sign in again",
            Self::Garbage(_) => "ask the server's administrator, then sign in again",
            Self::Lost(_) => "check the network, then sign in again",
            Self::Unsignable(_) => "see to the random number source and the keys of this machine",
            Self::Untrusted => {
                "do not trust this network: somebody may be between you and the server"
            }
            Self::Refresh(error) | Self::Renewal(error) | Self::SignOut(error) => error.advice(),
        }
    }

    /// When to sign in again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Forgotten | Self::Redirected(_) => Retry::Now,
            Self::Garbage(_) | Self::Lost(_) | Self::Unsignable(_) => Retry::Later,
            Self::Untrusted => Retry::AfterChange,
            Self::Refresh(error) | Self::Renewal(error) | Self::SignOut(error) => error.retry(),
        }
    }
}

/// Why a message is not sent. The caller still has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is not one whole SIP message; the session goes on.
    #[error("this is not one whole sip message: {0}")]
    NotSip(FramingError),
    /// The session is over.
    #[error("the session is over: {0}")]
    Over(Box<SessionError>),
    /// The session is over, as somebody wanted.
    #[error("signed out")]
    SignedOut,
    /// It cannot be signed: a field that counts is there twice, say. The session goes on.
    #[error("the message cannot be signed: {0}")]
    Unsignable(WireText),
}

impl From<SessionError> for SendError {
    fn from(error: SessionError) -> Self {
        Self::Over(Box::new(error))
    }
}
