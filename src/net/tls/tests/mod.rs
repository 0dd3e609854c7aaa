//! The transport against servers on loopback: real ones with certificates of a test authority, and
//! canned ones that break off or speak something else.

mod certificates;

mod handshakes;

use std::io;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::policy::TrustedHost;

const SIP: &str = "sip.contoso.com";

/// A certificate authority of this subject.
struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(subject: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn transport(&self) -> RustlsTransport {
        RustlsTransport::with_roots([self.root.clone()]).unwrap()
    }

    /// A server with a certificate for `names`, changed by `change`.
    fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        self.server_of(&[&TLS13, &TLS12], names, change)
    }

    fn server_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        // Whatever the common name says, it must not count.
        params.distinguished_name.push(DnType::CommonName, SIP);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(versions).unwrap().with_no_client_auth();
        builder.with_single_cert(vec![certificate], key).unwrap()
    }
}

/// What a server saw: the handshake's error, or the bytes that the client sent to the end.
type Seen = JoinHandle<io::Result<Vec<u8>>>;

/// Serves one connection after the other; each is answered with `200 OK` once something was said.
async fn serve(config: ServerConfig) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = acceptor.accept(stream).await?;
        let mut seen = vec![0; 8];
        match stream.read_exact(&mut seen).await {
            Ok(_) => stream.write_all(b"200 OK").await.map(|()| seen),
            // The client went away without a word.
            Err(_) => Ok(Vec::new()),
        }
    });
    (address, seen)
}

/// A server that does `talk` with the one connection it gets.
async fn canned<T>(talk: impl FnOnce(TcpStream) -> T + Send + 'static) -> SocketAddr
where
    T: Future<Output = io::Result<()>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { talk(listener.accept().await?.0).await });
    address
}

/// A server that reads the ClientHello, says `bytes` and ends.
async fn says(bytes: &'static [u8]) -> SocketAddr {
    canned(async |mut stream: TcpStream| {
        let _hello = stream.read(&mut [0; 4096]).await?;
        stream.write_all(bytes).await
    })
    .await
}

async fn connect_by(
    protocol: Protocol,
    transport: &RustlsTransport,
    host: &str,
    address: SocketAddr,
) -> Result<Box<dyn Connection>, ConnectFailure> {
    let host = TrustedHost::set_by_administrator(host.parse().unwrap());
    transport.connect(&Endpoint { protocol, host, port: address.port() }, address).await
}

async fn connect(
    transport: &RustlsTransport,
    host: &str,
    address: SocketAddr,
) -> Result<Box<dyn Connection>, ConnectFailure> {
    connect_by(Protocol::Tls, transport, host, address).await
}

fn wrong_name(names: &[&str]) -> CertificateFault {
    CertificateFault::WrongName(names.iter().map(|&name| name.into()).collect())
}
