//! The sign-in on an open connection, as a pure machine.
//!
//! [`SignIn`] has the same verbs as the search. [`poll_step`](SignIn::poll_step) says what to do
//! next; [`receive`](SignIn::receive) takes what the server sent, [`supply`](SignIn::supply) what the
//! user gave. It holds the rules: which challenge to answer and how, when to ask for a password,
//! whose signature to believe, and what each answer means. It has no clock, no chance and no socket.
//!
//! | step | what the caller does |
//! |---|---|
//! | [`Step::Send`] | sends these bytes |
//! | [`Step::Wait`] | waits for a message, no longer than that |
//! | [`Step::AskCredentials`] | asks whoever knows; no time runs meanwhile |
//! | [`Step::Redirected`] | closes the connection and goes there, as [`Redirects`] permit |
//! | [`Step::SignedIn`] | is signed in |
//! | [`Step::Failed`] | tries another server if [`SignInError::remedy`] says so |

mod attempt;

mod refusal;

mod mechanisms;

mod cache;

mod registration;

mod running;

mod redirect;

mod step;

mod machine;

mod prove;

pub use attempt::{Attempt, Retry};
pub use cache::{AskReason, CredentialCache, CredentialRequest, Verdict};
pub use machine::SignIn;
pub(crate) use machine::Welcome;
pub use mechanisms::Mechanisms;
pub(crate) use mechanisms::Proof;
pub use redirect::{RedirectObjection, Redirects};
pub use refusal::SignInError;
pub use registration::Registration;
pub use step::{Rules, Server, Step};
