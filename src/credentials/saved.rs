//! Credentials that outlive the program.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::CredentialSource;
use crate::address::SipAddress;
use crate::auth::Credentials;
use crate::sign_in::{AskReason, CredentialRequest, Verdict};
use crate::text::WireText;

/// Keeps one account and its password for each sign-in address, where nobody else can read them.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// What is kept for `address`.
    ///
    /// # Errors
    /// [`StoreError`] when the store is locked, broken or not there.
    async fn load(&self, address: &SipAddress) -> Result<Option<Credentials>, StoreError>;

    /// Keeps `credentials` for `address`, in place of what was kept before.
    ///
    /// # Errors
    /// [`StoreError`] when the store is locked, broken or not there.
    async fn save(&self, address: &SipAddress, credentials: &Credentials)
    -> Result<(), StoreError>;

    /// Keeps nothing for `address` any more. That nothing was kept is no error.
    ///
    /// # Errors
    /// [`StoreError`] when the store is locked, broken or not there.
    async fn forget(&self, address: &SipAddress) -> Result<(), StoreError>;
}

/// What is wrong with a store. There is no secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of credentials: {0}")]
pub struct StoreError(WireText);

impl StoreError {
    /// In these words, in which there must be no secret.
    pub fn new(what: impl AsRef<str>) -> Self {
        Self(WireText::new(what))
    }
}

/// Whether passwords may be saved: the policy `SavePassword` of Communicator and its successors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SavePassword {
    /// They may, if the user agrees as well: [`Credentials::save`].
    Allow,
    /// They may not; what was saved before is not used either.
    Forbid,
}

/// The credentials that a store keeps, to be put in front of a prompt.
///
/// It saves what a server accepted, if the policy permits and the user agreed. What a server
/// rejected is forgotten and never given again: an old password, sent at every start, would lock the
/// account.
///
/// A store that fails is no reason not to sign in: nothing is given then, the next source is asked,
/// and [`fault`](Self::fault) says what was wrong.
///
/// ```
/// use sip_signin::{CredentialSource, CredentialStore, SavePassword, SavedCredentials};
/// fn source(
///     store: impl CredentialStore,
///     prompt: impl CredentialSource,
/// ) -> impl CredentialSource {
///     SavedCredentials::new(store, SavePassword::Allow).then(prompt)
/// }
/// ```
pub struct SavedCredentials<S> {
    store: S,
    policy: SavePassword,
    /// What was rejected and could not be forgotten.
    stuck: Mutex<Vec<Credentials>>,
    fault: Mutex<Option<StoreError>>,
}

impl<S: CredentialStore> SavedCredentials<S> {
    /// How many rejected credentials are remembered that a store could not forget. Then nothing of
    /// that store's is given any more: which of it may be sent is no longer known.
    pub const STUCK_LIMIT: usize = 1024;

    /// What `store` keeps.
    pub fn new(store: S, policy: SavePassword) -> Self {
        Self { store, policy, stuck: Mutex::default(), fault: Mutex::default() }
    }

    /// What went wrong with the store last, if its last call went wrong.
    pub fn fault(&self) -> Option<StoreError> {
        lock(&self.fault).clone()
    }

    /// Notes what is wrong, and goes on without.
    fn noted<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        let (found, fault) = match result {
            Ok(found) => (Some(found), None),
            Err(fault) => (None, Some(fault)),
        };
        *lock(&self.fault) = fault;
        found
    }

    /// Forgets `rejected`, unless something else is kept by now. `None` when the store fails.
    async fn forget(&self, address: &SipAddress, rejected: &Credentials) -> Option<()> {
        let kept = self.noted(self.store.load(address).await)?;
        if kept.is_some_and(|kept| kept.are(rejected)) {
            self.noted(self.store.forget(address).await)?;
        }
        Some(())
    }
}

#[async_trait]
impl<S: CredentialStore> CredentialSource for SavedCredentials<S> {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        // Once something was rejected, it is the person who is asked.
        if self.policy == SavePassword::Forbid || request.reason == AskReason::Rejected {
            return None;
        }
        let kept = self.noted(self.store.load(&request.address).await)??;
        let stuck = lock(&self.stuck);
        let known = stuck.len() < Self::STUCK_LIMIT && !stuck.iter().any(|stuck| stuck.are(&kept));
        known.then_some(kept)
    }

    async fn judged(&self, address: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        if self.policy == SavePassword::Forbid {
            return;
        }
        match verdict {
            Verdict::Accepted if !credentials.save => {}
            Verdict::Accepted => {
                self.noted(self.store.save(address, credentials).await);
            }
            Verdict::Rejected => {
                let forgotten = self.forget(address, credentials).await.is_some();
                let mut stuck = lock(&self.stuck);
                let known = stuck.iter().any(|stuck| stuck.are(credentials));
                if !forgotten && !known && stuck.len() < Self::STUCK_LIMIT {
                    stuck.push(credentials.clone());
                }
            }
        }
    }
}

impl<S> fmt::Debug for SavedCredentials<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedCredentials").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What a panic left behind is whole: nothing happens between a lock and its end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
