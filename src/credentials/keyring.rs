//! The operating system's own store of secrets.

use async_trait::async_trait;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::saved::{CredentialStore, StoreError};
use crate::address::SipAddress;
use crate::auth::Credentials;

/// Keeps credentials in the store that the application set with `keyring_core::set_default_store`:
/// the Keychain, the Credential Manager, the Secret Service, or another one that has a crate
/// (feature `keyring`).
///
/// **Its calls block** the thread they are polled on, as those of every such store: mostly for
/// milliseconds, but for as long as the system asks the user to unlock it. A program that minds
/// calls it on a thread of its own, in a [`CredentialStore`] around this one.
///
/// The secret is the account, a line feed and the password, in UTF-8; it stands under the service
/// that the application names and the address without its scheme, `jeremy@contoso.com`.
///
/// ```
/// use sip_signin::{KeyringStore, SavePassword, SavedCredentials};
/// # fn main() -> Result<(), keyring_core::Error> {
/// keyring_core::set_default_store(keyring_core::mock::Store::new()?);
/// let saved = SavedCredentials::new(KeyringStore::new("My program"), SavePassword::Allow);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyringStore {
    service: Box<str>,
}

impl KeyringStore {
    /// Under the name of this service, by which the user knows the program.
    pub fn new(service: impl Into<Box<str>>) -> Self {
        Self { service: service.into() }
    }

    fn entry(&self, address: &SipAddress) -> Result<Entry, StoreError> {
        let user = format!("{}@{}", address.user(), address.domain());
        Entry::new(&self.service, &user).map_err(told)
    }
}

#[async_trait]
impl CredentialStore for KeyringStore {
    async fn load(&self, address: &SipAddress) -> Result<Option<Credentials>, StoreError> {
        match self.entry(address)?.get_secret() {
            Ok(secret) => read(&Zeroizing::new(secret)).map(Some),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    async fn save(
        &self,
        address: &SipAddress,
        credentials: &Credentials,
    ) -> Result<(), StoreError> {
        let account = Zeroizing::new(credentials.account.typed());
        let parts = [account.as_bytes(), b"\n", credentials.password.reveal().as_bytes()];
        let secret = Zeroizing::new(parts.concat());
        self.entry(address)?.set_secret(&secret).map_err(told)
    }

    async fn forget(&self, address: &SipAddress) -> Result<(), StoreError> {
        match self.entry(address)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(told(error)),
        }
    }
}

fn read(secret: &[u8]) -> Result<Credentials, StoreError> {
    let foreign = || StoreError::new("what it keeps was not written by this library");
    let text = std::str::from_utf8(secret).map_err(|_| foreign())?;
    let (account, password) = text.split_once('\n').ok_or_else(foreign)?;
    Ok(Credentials::new(account.parse().map_err(|_| foreign())?, password))
}

/// Some errors carry the secret, or whatever an entry shows of itself; those are told in words of our
/// own.
fn told(error: Error) -> StoreError {
    match error {
        Error::BadEncoding(secret) | Error::BadDataFormat(secret, _) => {
            drop(Zeroizing::new(secret));
            StoreError::new("what it keeps cannot be read")
        }
        Error::Ambiguous(_) => StoreError::new("it keeps several of the same name"),
        error => StoreError::new(error.to_string()),
    }
}
