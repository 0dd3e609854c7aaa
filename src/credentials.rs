//! The door to whoever knows the password.

use async_trait::async_trait;

use crate::auth::Credentials;
use crate::sign_in::{AskReason, CredentialRequest};

/// Knows the user's credentials: a prompt, a store, a setting.
///
/// The contract:
/// - **It is asked after the challenge**, with realm, target, scheme and reason in hand, and only
///   when no credentials are there that may still be sent. [seed, article 1]
/// - **It may take its time**: nothing times out meanwhile but the server's patience.
/// - **A session may ask much later**, with [`AskReason::Expired`], if it was given a source
///   ([`Session::asking`](crate::Session::asking)); it goes on meanwhile.
/// - **The same again is not sent again**: what was rejected counts as `None`.
///
/// ```
/// use async_trait::async_trait;
/// use sip_signin::auth::Credentials;
/// use sip_signin::sign_in::{AskReason, CredentialRequest};
/// use sip_signin::CredentialSource;
///
/// struct Prompt;
///
/// #[async_trait]
/// impl CredentialSource for Prompt {
///     async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
///         if request.reason == AskReason::Rejected {
///             println!("{} does not know this account and password.", request.endpoint);
///         }
///         println!("Password for {}:", request.realm);
///         // and read it
/// #       None
///     }
/// }
/// ```
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The credentials to use, or `None` when there are none and nobody to ask.
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials>;
}

/// Always the same credentials; nobody is asked when they are rejected.
#[derive(Clone, Debug)]
pub struct FixedCredentials(Credentials);

impl FixedCredentials {
    /// These.
    pub fn new(credentials: Credentials) -> Self {
        Self(credentials)
    }
}

#[async_trait]
impl CredentialSource for FixedCredentials {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        match request.reason {
            AskReason::FirstTime | AskReason::Expired => Some(self.0.clone()),
            AskReason::Rejected => None,
        }
    }
}

/// Nobody: only what needs no password is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

#[async_trait]
impl CredentialSource for NoCredentials {
    async fn credentials(&self, _: &CredentialRequest) -> Option<Credentials> {
        None
    }
}
