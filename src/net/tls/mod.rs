//! The transport: TCP over tokio, TLS over rustls.

mod connection;

mod fault;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::client::ClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
use rustls::{RootCertStore, crypto::CryptoProvider};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::connection::{Noting, Open};
use crate::discovery::{CertificateFault, ConnectFailure, Endpoint, Protocol};
use crate::name::Host;
use crate::text::WireText;
use crate::transport::{Connection, ConnectionFacts, TlsFacts, Transport};

/// A [`Transport`] for TLS 1.2 and 1.3 by rustls, and for clear text.
///
/// The certificate must be valid for the host that is connected to, at this time, under one of the
/// trusted roots; only its subject alternative names count, never its common name. For an IP
/// address it must hold that address. A TLS session may be resumed, for the same host name only;
/// the certificate is then not sent again.
///
/// A wildcard that is the whole first label (`*.contoso.com`) stands for exactly one label, as RFC
/// 9525 section 6.3 has it. RFC 5922 section 7.2 wants no wildcards in SIP at all; for that, see
/// [`refusing_wildcards`](Self::refusing_wildcards).
///
/// rustls speaks nothing older than TLS 1.2. A server of the first Communicator years that knows
/// only TLS 1.0 is told as [`PeerTooOld`](ConnectFailure::PeerTooOld); to reach it, implement
/// [`Transport`] over another library.
///
/// The library never installs a process-wide crypto provider: it uses ring (feature `ring`), else
/// AWS-LC (feature `aws-lc-rs`), else the one inside a configuration of the caller's.
#[derive(Clone)]
pub struct RustlsTransport {
    config: Arc<ClientConfig>,
    wildcards: Wildcards,
    handshake: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Wildcards {
    Accept,
    Refuse,
}

impl RustlsTransport {
    /// How long a handshake may take, by default: 5 s, less than a plan grants a whole connect.
    pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

    /// Trusts what the operating system trusts.
    ///
    /// On Windows and macOS the system's own verifier judges, which does not say for which names a
    /// certificate is; [`WrongName`](CertificateFault::WrongName) is then empty.
    ///
    /// ```no_run
    /// let transport = sip_signin::net::RustlsTransport::with_platform_verifier()?;
    /// # Ok::<(), rustls::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the system's trust store cannot be read.
    #[cfg(all(feature = "platform-verifier", any(feature = "ring", feature = "aws-lc-rs")))]
    pub fn with_platform_verifier() -> Result<Self, rustls::Error> {
        use rustls_platform_verifier::BuilderVerifierExt;
        let builder = ClientConfig::builder_with_provider(provider());
        let config = builder.with_safe_default_protocol_versions()?.with_platform_verifier()?;
        Ok(Self::with_config(Arc::new(config.with_no_client_auth())))
    }

    /// Trusts these root certificates, each in DER, and no others.
    ///
    /// # Errors
    /// When one of them is no certificate.
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub fn with_roots(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, rustls::Error> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let builder = ClientConfig::builder_with_provider(provider());
        let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(store);
        Ok(Self::with_config(Arc::new(config.with_no_client_auth())))
    }

    /// Uses a configuration of the caller's: other roots, a client certificate, another provider.
    /// Whatever verifier it holds is what judges the servers.
    pub fn with_config(config: Arc<ClientConfig>) -> Self {
        Self { config, wildcards: Wildcards::Accept, handshake: Self::HANDSHAKE_WITHIN }
    }

    /// Refuses a certificate that fits the host only by a wildcard: "Implementations MUST match the
    /// values in their entirety: Implementations MUST NOT match suffixes" nor wildcards.
    /// [RFC 5922 section 7.2]
    #[must_use]
    pub fn refusing_wildcards(self) -> Self {
        Self { wildcards: Wildcards::Refuse, ..self }
    }

    /// How long a handshake may take; [`HANDSHAKE_WITHIN`](Self::HANDSHAKE_WITHIN) by default.
    ///
    /// The driver bounds a whole connect; this shorter bound tells a server that fell silent in the
    /// middle of TLS, beside which clear text would be a downgrade, from one that never spoke.
    #[must_use]
    pub fn handshake_within(self, limit: Duration) -> Self {
        Self { handshake: limit, ..self }
    }

    async fn start_tls(
        &self,
        stream: TcpStream,
        host: &Host,
    ) -> Result<(TlsStream<Noting>, TlsFacts), ConnectFailure> {
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
                .map_err(|error| ConnectFailure::Other(WireText::new(error.to_string())))?,
            Host::Ip(address) => ServerName::from(*address),
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let (stream, heard) = Noting::new(stream);
        let stream = match timeout(self.handshake, connector.connect(name, stream)).await {
            Ok(shaken) => shaken.map_err(|error| fault::of_handshake(&error, heard.anything()))?,
            Err(_) if heard.anything() => {
                return Err(ConnectFailure::Handshake("the server fell silent".into()));
            }
            Err(_) => return Err(ConnectFailure::TimedOut),
        };
        let facts = facts(stream.get_ref().1);
        if let (Wildcards::Refuse, Host::Name(name)) = (self.wildcards, host)
            && !facts.names.iter().any(|n| n.raw().eq_ignore_ascii_case(name.as_str()))
        {
            return Err(ConnectFailure::Certificate(CertificateFault::WrongName(
                facts.names.to_vec(),
            )));
        }
        Ok((stream, facts))
    }
}

#[async_trait]
impl Transport for RustlsTransport {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let dialled = |error| fault::of_dialling(&error, address);
        let stream = TcpStream::connect(address).await.map_err(dialled)?;
        // A SIP request waits for its answer, and holding back its last segment only delays it. It
        // goes without: where the peer is gone already (macOS), the handshake says so better.
        stream.set_nodelay(true).ok();
        let local = stream.local_addr().map_err(dialled)?;
        let facts = |tls| ConnectionFacts { local, peer: address, tls };
        Ok(match endpoint.protocol {
            Protocol::Tcp => Box::new(Open { stream, facts: facts(None) }),
            Protocol::Tls => {
                let (stream, tls) = self.start_tls(stream, endpoint.host.host()).await?;
                Box::new(Open { stream, facts: facts(Some(Arc::new(tls))) })
            }
        })
    }
}

fn facts(connection: &ClientConnection) -> TlsFacts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".into(),
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".into(),
        other => WireText::new(format!("{other:?}")),
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let chain = connection.peer_certificates().unwrap_or_default();
    let names = chain.first().map(dns_names).unwrap_or_default();
    let chain = chain.iter().map(|c| Bytes::copy_from_slice(c)).collect();
    TlsFacts { version, cipher_suite: registered(suite), names, chain }
}

/// The name under which IANA has a cipher suite; rustls writes `TLS13_` in front of those that have
/// `TLS_` there.
fn registered(suite: Option<CipherSuite>) -> WireText {
    let name = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown");
    match name.strip_prefix("TLS13_") {
        Some(rest) => WireText::new(format!("TLS_{rest}")),
        None => name.into(),
    }
}

/// The DNS names in the subject alternative names of a certificate, wildcards included.
fn dns_names(certificate: &CertificateDer<'_>) -> Arc<[WireText]> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => certificate.valid_dns_names().map(WireText::new).collect(),
        Err(_) => Arc::default(),
    }
}

#[cfg(feature = "ring")]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl fmt::Debug for RustlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcards = &self.wildcards;
        f.debug_struct("RustlsTransport").field("wildcards", wildcards).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
