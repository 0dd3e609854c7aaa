//! The session kept up on its connection, as a pure machine: the third, after
//! [`DiscoveryPlan`](crate::discovery::DiscoveryPlan) and [`SignIn`](crate::sign_in::SignIn).
//!
//! [`Upkeep`] has the same verbs. [`poll_step`](Upkeep::poll_step) says what to do next;
//! [`receive`](Upkeep::receive) takes what the server sent and says whose it is,
//! [`outgoing`](Upkeep::outgoing) signs what the caller sends, [`supply`](Upkeep::supply) takes what
//! the user gave. It holds the rules: when to refresh the binding, when to make a new security
//! association, when to say a word so that nobody forgets the connection, whom to believe, and when
//! it is over. It has no clock, no chance and no socket.
//!
//! | step | what the caller does |
//! |---|---|
//! | [`Step::Send`] | sends these bytes, before anything that is signed later |
//! | [`Step::Wait`] | waits for a message, no longer than that |
//! | [`Step::AskCredentials`] | asks whoever knows, and goes on meanwhile |
//! | [`Step::SignedOut`] | closes the connection |
//! | [`Step::Lost`] | closes the connection, and signs in again as [`SessionError::retry`] says |
//!
//! What is due is asked in this order: the deadline of a question that is open, the wish to sign
//! out, a new security association ([`Association::expires_at`](crate::auth::Association::expires_at)),
//! a refresh of the binding ([`Upkeep::LEAD`] before its end), a word that keeps the connection alive.

mod lost;

mod step;

mod machine;

mod due;

mod hear;

pub use lost::{SendError, SessionError};
pub use machine::Upkeep;
pub use step::{Heard, Step};
