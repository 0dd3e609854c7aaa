//! The door to the network.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::discovery::{ConnectFailure, Endpoint};
use crate::text::WireText;

/// Opens the connections of a search.
///
/// The contract:
/// - **The host decides, not the address.** With [`Protocol::Tls`](crate::discovery::Protocol), the
///   certificate must be valid for [`Endpoint::host`]; it is checked before this returns, and not
///   one byte of SIP is written before that. A connection is never shared between two hosts of one
///   address.
/// - **Failures are told apart**, as finely as [`ConnectFailure`] can: whether a TLS server was
///   there at all decides whether clear text may still be tried.
/// - **The caller bounds time.** The driver drops the future when its step is over, and dropping it
///   must close the socket and free everything it holds.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Opens a connection to `address` as `endpoint` demands.
    ///
    /// # Errors
    /// [`ConnectFailure`] says how it failed.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure>;
}

/// An open connection: bytes both ways, and what is known about it. Dropping it closes it.
pub trait Connection: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// What is known about it.
    fn facts(&self) -> &ConnectionFacts;

    /// Whether the link is a slow one, so that it is worth what compression costs:
    /// [`Compression::SlowLink`](crate::compression::Compression::SlowLink) asks. No, unless whoever
    /// opened the connection knows better, from the speed of the network adapter for instance.
    fn is_slow(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(self.facts()).finish()
    }
}

/// What is known about an open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Our end: goes into Via and Contact.
    pub local: SocketAddr,
    /// The server's end.
    pub peer: SocketAddr,
    /// What TLS agreed on; `None` on a clear-text connection. Shared by all who keep a copy.
    pub tls: Option<Arc<TlsFacts>>,
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version as it is usually written: `TLS 1.3`.
    pub version: WireText,
    /// The cipher suite, by its registered name.
    pub cipher_suite: WireText,
    /// The DNS names that the certificate is for.
    pub names: Arc<[WireText]>,
    /// The certificates that the server sent, its own first, each in DER.
    pub chain: Vec<Bytes>,
}
