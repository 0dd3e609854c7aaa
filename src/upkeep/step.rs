//! What a session wants next, and what it says of a message.

use std::time::Instant;

use bytes::Bytes;

use super::lost::SessionError;
use crate::auth::Protection;
use crate::sign_in::CredentialRequest;
use crate::text::WireText;

/// What a session wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a session lives on only if its steps are carried out"]
pub enum Step {
    /// Ask for credentials, and hand them in with [`Upkeep::supply`]. It is said once; the session
    /// goes on meanwhile, with the old security association, until its binding ends.
    ///
    /// [`Upkeep::supply`]: super::Upkeep::supply
    AskCredentials(CredentialRequest),
    /// It is over. The machine answers this for ever.
    Lost(SessionError),
    /// Send this, before anything that is signed later: the numbers of signatures only grow.
    Send(Bytes),
    /// It is over, as we wanted. The machine answers this for ever.
    SignedOut,
    /// Nothing to do before a message comes, or before `until`.
    Wait {
        /// When the next thing is due.
        until: Instant,
    },
}

/// What a message of the server's is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message that is dropped must not be believed"]
pub enum Heard {
    /// An answer to the session itself. It has been taken note of.
    Ours,
    /// The caller's.
    Yours(Protection),
    /// Nobody's: it must not be believed. Why is said.
    Dropped(WireText),
}
