//! The door to whoever knows the password.

use std::sync::Arc;

use async_trait::async_trait;

use crate::address::SipAddress;
use crate::auth::Credentials;
use crate::sign_in::{AskReason, CredentialRequest};

#[cfg(feature = "keyring")]
mod keyring;

mod saved;

#[cfg(feature = "keyring")]
pub use keyring::KeyringStore;
pub use saved::{CredentialStore, SavePassword, SavedCredentials, StoreError};

/// Knows the user's credentials: a prompt, a store, a setting.
///
/// The contract:
/// - **It is asked after the challenge**, with realm, target, scheme and reason in hand, and only
///   when no credentials are there that may still be sent: not where the user who is logged on was
///   let in without a password, as [`current_user`](crate::ClientBuilder::current_user) permits.
///   [seed, article 1]
/// - **It may take its time**: nothing times out meanwhile but the server's patience.
/// - **A session may ask much later**, with [`AskReason::Expired`], if it was given a source
///   ([`Session::asking`](crate::Session::asking)); it goes on meanwhile.
/// - **The same again is not sent again**: what was rejected counts as `None`.
/// - **It hears what became of them**, if it wants to: [`judged`](Self::judged).
///
/// Sources are put one behind the other with [`then`](Self::then): first what is saved, then the
/// person.
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
///         println!("Password of {} for {}:", request.address, request.realm);
///         // and read it
/// #       None
///     }
/// }
/// ```
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The credentials to use, or `None` when there are none and nobody to ask.
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials>;

    /// Takes note of what a server made of `credentials`, which this source or one beside it gave
    /// for `address`. Each is told once for each sign-in, before anybody is asked again. A source
    /// that keeps nothing need not care.
    async fn judged(&self, address: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        let _ = (address, credentials, verdict);
    }

    /// This source, and `next` where this one knows nothing. Both hear every verdict.
    fn then<S: CredentialSource>(self, next: S) -> InOrder<Self, S>
    where
        Self: Sized,
    {
        InOrder(self, next)
    }
}

#[async_trait]
impl<S: CredentialSource + ?Sized> CredentialSource for Arc<S> {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        (**self).credentials(request).await
    }

    async fn judged(&self, address: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        (**self).judged(address, credentials, verdict).await;
    }
}

/// What a server made of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It let us in with them.
    Accepted,
    /// It does not believe them. They are not sent again in this sign-in, to no server: each time
    /// would count towards locking the account.
    Rejected,
}

/// One source, and another where the first knows nothing: [`CredentialSource::then`].
#[derive(Clone, Debug)]
pub struct InOrder<A, B>(A, B);

#[async_trait]
impl<A: CredentialSource, B: CredentialSource> CredentialSource for InOrder<A, B> {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        match self.0.credentials(request).await {
            None => self.1.credentials(request).await,
            found => found,
        }
    }

    async fn judged(&self, address: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        self.0.judged(address, credentials, verdict).await;
        self.1.judged(address, credentials, verdict).await;
    }
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
        (request.reason != AskReason::Rejected).then(|| self.0.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Endpoint, Protocol};
    use crate::policy::TrustedHost;
    use crate::sip::Scheme;

    #[tokio::test]
    async fn what_expired_is_given_again_and_what_was_rejected_is_not() {
        let host = TrustedHost::set_by_administrator("sip.contoso.com".parse().unwrap());
        let source = FixedCredentials::new(Credentials::new("jeremy".parse().unwrap(), "x"));
        for (reason, given) in
            [(AskReason::FirstTime, true), (AskReason::Expired, true), (AskReason::Rejected, false)]
        {
            let request = CredentialRequest {
                address: "jeremy@contoso.com".parse().unwrap(),
                endpoint: Endpoint { protocol: Protocol::Tls, host: host.clone(), port: 5061 },
                realm: "".into(),
                target: None,
                scheme: Scheme::Ntlm,
                reason,
            };
            assert_eq!(source.credentials(&request).await.is_some(), given, "{reason:?}");
        }
    }
}
