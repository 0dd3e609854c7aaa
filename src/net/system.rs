//! A client on this machine's own settings.

use crate::client::{Client, ClientBuilder};
use crate::net::{HickoryResolver, RustlsTransport};

impl Client {
    /// A client that asks the system's DNS servers and trusts what the system trusts.
    ///
    /// # Errors
    /// [`SystemError`] when the system's settings cannot be read.
    pub fn system() -> Result<Self, SystemError> {
        Self::system_builder().map(ClientBuilder::build)
    }

    /// Begins the settings of such a client.
    ///
    /// # Errors
    /// [`SystemError`] when the system's settings cannot be read.
    pub fn system_builder() -> Result<ClientBuilder, SystemError> {
        let resolver = HickoryResolver::system().map_err(SystemError::Dns)?;
        let transport = RustlsTransport::with_platform_verifier().map_err(SystemError::Trust)?;
        Ok(Self::builder(resolver, transport))
    }
}

/// The system's settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// Which DNS servers there are.
    #[error("the system's dns settings cannot be read: {0}")]
    Dns(#[source] std::io::Error),
    /// Whom the system trusts.
    #[error("the system's trusted certificates cannot be read: {0}")]
    Trust(#[source] rustls::Error),
}
