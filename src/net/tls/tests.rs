//! The transport against servers on loopback: real ones with certificates of a test authority, and
//! canned ones that break off or speak something else.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::name::HostName;
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
        stream.read(&mut [0; 4096]).await?;
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

/// How `host` fails at a server with such a certificate; by then no SIP has been sent.
#[track_caller]
fn refusal(
    transport: &RustlsTransport,
    host: &str,
    config: ServerConfig,
) -> impl Future<Output = CertificateFault> {
    let caller = std::panic::Location::caller();
    async move {
        let (address, seen) = serve(config).await;
        let fault = match connect(transport, host, address).await {
            Err(ConnectFailure::Certificate(fault)) => fault,
            other => panic!("{caller}: {other:?}"),
        };
        let alert = seen.await.unwrap().unwrap_err().to_string();
        assert!(alert.starts_with("received fatal alert"), "{caller}: {alert}");
        fault
    }
}

async fn fault(config: ServerConfig, authority: &Authority) -> CertificateFault {
    refusal(&authority.transport(), SIP, config).await
}

fn wrong_name(names: &[&str]) -> CertificateFault {
    CertificateFault::WrongName(names.iter().map(|&name| name.into()).collect())
}

#[tokio::test]
async fn either_version_of_tls_carries_sip_and_tells_its_facts() {
    let authority = Authority::new("Contoso CA");
    for (version, name, suites) in [
        (&TLS13, "TLS 1.3", ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]),
        (
            &TLS12,
            "TLS 1.2",
            ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
        ),
    ] {
        let config = authority.server_of(&[version], &[SIP, "Pool.contoso.com"], |_| ());
        let (address, seen) = serve(config).await;
        let mut connection = connect(&authority.transport(), SIP, address).await.unwrap();
        connection.write_all(b"REGISTER").await.unwrap();
        let mut answer = [0; 6];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"200 OK");
        assert_eq!(seen.await.unwrap().unwrap(), b"REGISTER");

        let facts = connection.facts();
        assert_eq!((facts.local.ip(), facts.peer), (address.ip(), address));
        let tls = facts.tls.as_ref().unwrap();
        assert_eq!(tls.version.raw(), name);
        assert!(suites.contains(&tls.cipher_suite.raw()), "{}", tls.cipher_suite);
        assert_eq!(tls.names, [SIP, "Pool.contoso.com"].map(WireText::from));
        assert_eq!(tls.chain.len(), 1);
        assert_eq!(dns_names(&CertificateDer::from(tls.chain[0].to_vec())), tls.names);
    }
}

#[tokio::test]
async fn clear_text_goes_out_in_clear() {
    let address = canned(async |mut stream: TcpStream| {
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await
    })
    .await;
    let transport = Authority::new("Contoso CA").transport();
    let mut connection = connect_by(Protocol::Tcp, &transport, SIP, address).await.unwrap();
    connection.write_all(b"REGISTER").await.unwrap();
    let mut echo = [0; 8];
    connection.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"REGISTER");
    assert_eq!(connection.facts().tls, None);
}

/// RFC 9525 section 6.3: a wildcard is the whole left-most label and stands for one label.
#[tokio::test]
async fn a_wildcard_stands_for_exactly_one_label() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport();
    let wildcard = || authority.server(&["*.contoso.com"], |_| ());
    let (address, _seen) = serve(wildcard()).await;
    connect(&transport, SIP, address).await.unwrap();
    for host in ["contoso.com", "sip.eng.contoso.com", "sip.cpandl.com"] {
        assert_eq!(refusal(&transport, host, wildcard()).await, wrong_name(&["*.contoso.com"]));
    }
    let partial = authority.server(&["s*.contoso.com"], |_| ());
    assert_eq!(refusal(&transport, SIP, partial).await, wrong_name(&["s*.contoso.com"]));
}

/// RFC 5922 section 7.2, for those who want it.
#[tokio::test]
async fn wildcards_can_be_refused_and_nothing_is_sent_then() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport().refusing_wildcards();
    let (address, seen) = serve(authority.server(&["*.contoso.com"], |_| ())).await;
    let refused = connect(&transport, SIP, address).await.unwrap_err();
    assert_eq!(refused, ConnectFailure::Certificate(wrong_name(&["*.contoso.com"])));
    assert_eq!(seen.await.unwrap().unwrap(), b"");

    let (address, _seen) =
        serve(authority.server(&["*.contoso.com", "SIP.Contoso.com"], |_| ())).await;
    connect(&transport, SIP, address).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_others_is_refused_and_its_names_are_told() {
    let authority = Authority::new("Contoso CA");
    for names in [
        &["pool.contoso.com", "sip.cpandl.com"][..],
        &["contoso.com"],
        &["xsip.contoso.com"],
        &["sip.contoso.com.cpandl.com"],
        &["127.0.0.1"],
    ] {
        assert_eq!(fault(authority.server(names, |_| ()), &authority).await, wrong_name(names));
    }
    // A name of another kind is not compared, but shows that it is not "no name at all".
    let uri = authority.server(&[], |params| {
        params.subject_alt_names = vec![SanType::URI("sip:sip.contoso.com".try_into().unwrap())];
    });
    assert_eq!(fault(uri, &authority).await, wrong_name(&["sip:sip.contoso.com"]));
}

/// RFC 9525 section 2: the common name is no identity.
#[tokio::test]
async fn a_common_name_alone_is_no_name() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[], |_| ());
    assert_eq!(fault(config, &authority).await, CertificateFault::NoSubjectAlternativeName);
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new("Contoso CA");
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2007, 1, 1);
        params.not_after = date_time_ymd(2009, 1, 1);
    };
    let config = authority.server(&[SIP], expired);
    assert_eq!(fault(config, &authority).await, CertificateFault::Expired);
    let future = authority.server(&[SIP], |params| params.not_before = date_time_ymd(4000, 1, 1));
    assert_eq!(fault(future, &authority).await, CertificateFault::NotYetValid);
    // Of two faults the chain's is told: the name is looked at last.
    let config = authority.server(&["pool.contoso.com"], expired);
    assert_eq!(fault(config, &authority).await, CertificateFault::Expired);
}

#[tokio::test]
async fn nobody_trusted_stands_behind_it() {
    let authority = Authority::new("Contoso CA");
    let unknown = Authority::new("Cpandl CA").server(&[SIP], |_| ());
    assert_eq!(fault(unknown, &authority).await, CertificateFault::Untrusted);
    // An authority of the same name but with another key shows by its signature.
    let rogue = Authority::new("Contoso CA").server(&[SIP], |_| ());
    assert_eq!(fault(rogue, &authority).await, CertificateFault::Untrusted);
}

#[tokio::test]
async fn a_certificate_for_clients_serves_no_server() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[SIP], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let fault = fault(config, &authority).await;
    assert!(matches!(fault, CertificateFault::Other(_)), "{fault:?}");
}

#[tokio::test]
async fn an_address_must_stand_in_the_certificate_as_an_address() {
    let authority = Authority::new("Contoso CA");
    let transport = authority.transport().refusing_wildcards();
    let address = |params: &mut CertificateParams| {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names = vec![SanType::IpAddress(ip)];
    };
    let (server, _seen) = serve(authority.server(&[], address)).await;
    connect(&transport, "127.0.0.1", server).await.unwrap();
    let other = refusal(&transport, "192.0.2.1", authority.server(&[], address)).await;
    assert_eq!(other, wrong_name(&["127.0.0.1"]));
    let name = refusal(&transport, "127.0.0.1", authority.server(&[SIP], |_| ())).await;
    assert_eq!(name, wrong_name(&[SIP]));
    let text = authority.server(&[], |params| {
        params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    });
    assert_eq!(refusal(&transport, "127.0.0.1", text).await, wrong_name(&["127.0.0.1"]));
}

/// In TLS 1.2 the record types are in clear: 22 is the handshake's, 21 an alert, 23 application
/// data. [RFC 5246 section 6.2.1]
#[tokio::test]
async fn nothing_but_handshake_and_alert_reaches_a_server_with_a_wrong_certificate() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server_of(&[&TLS12], &["pool.contoso.com"], |_| ()));
    let (tell, told) = tokio::sync::oneshot::channel();
    let address = canned(async move |mut stream: TcpStream| {
        let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..length]);
            server.read_tls(&mut &buffer[..length])?;
            if server.process_new_packets().is_err() {
                continue;
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight)?;
            }
            stream.write_all(&flight).await?;
        }
        tell.send(seen).map_err(|_| io::ErrorKind::Other.into())
    })
    .await;
    connect(&authority.transport(), SIP, address).await.unwrap_err();
    let seen = told.await.unwrap();
    let (mut types, mut rest) = (Vec::new(), &seen[..]);
    while let [kind, _, _, high, low, tail @ ..] = rest {
        types.push(*kind);
        rest = &tail[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    assert_eq!(types, [22, 21]);
}

#[tokio::test]
async fn a_session_is_resumed_for_the_same_host_only() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server(&[SIP], |_| ()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let resumed = stream.get_ref().1.handshake_kind();
                stream.write_all(format!("{resumed:?}").as_bytes()).await?;
                stream.shutdown().await?;
            }
        }
        Ok::<_, io::Error>(())
    });
    let transport = authority.transport();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut connection = connect(&transport, SIP, address).await.unwrap();
        let mut kind = String::new();
        connection.read_to_string(&mut kind).await.unwrap();
        let tls = connection.facts().tls.clone().unwrap();
        assert_eq!((tls.names.len(), tls.chain.len()), (1, 1));
        kinds.push(kind);
    }
    assert_eq!(kinds, ["Some(Full)", "Some(Resumed)"]);
    let other = connect(&transport, "pool.contoso.com", address).await.unwrap_err();
    assert_eq!(other, ConnectFailure::Certificate(wrong_name(&[SIP])));
}

#[tokio::test]
async fn where_nobody_listens_the_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = Authority::new("Contoso CA").transport();
    for protocol in [Protocol::Tls, Protocol::Tcp] {
        let failure = connect_by(protocol, &transport, SIP, address).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::Refused);
    }
}

/// Close, reset, and close after reading: as a server in clear text may take a ClientHello.
#[tokio::test]
async fn a_server_that_closes_without_a_word_showed_no_tls() {
    let transport = Authority::new("Contoso CA").transport();
    let at_once = canned(async |stream: TcpStream| {
        drop(stream);
        Ok(())
    });
    let after_reading = says(b"");
    let reset = canned(async |mut stream: TcpStream| {
        stream.read(&mut [0; 16]).await?;
        stream.set_zero_linger()
    });
    for address in [at_once.await, after_reading.await, reset.await] {
        let failure = connect(&transport, SIP, address).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::ClosedBeforeTls);
        assert!(failure.leaves_clear_text());
    }
}

/// A ServerHello of TLS 1.0 as Windows Server 2003 sends it: RSA with RC4 and SHA-1, no extension.
const SERVER_HELLO_OF_TLS_1_0: &[u8] = &[
    0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 0x47, 0x3d, 0x5a, 0x11, 5, 6, 7, 8, 9, 10, 11, 12, 13,
    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 5, 0,
];

/// The alerts protocol_version (70) and handshake_failure (40), fatal. [RFC 5246 section 7.2]
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
const HANDSHAKE_FAILURE: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];

#[tokio::test]
async fn a_server_of_the_first_years_is_told_as_too_old() {
    let transport = Authority::new("Contoso CA").transport();
    for bytes in [SERVER_HELLO_OF_TLS_1_0, PROTOCOL_VERSION] {
        let failure = connect(&transport, SIP, says(bytes).await).await.unwrap_err();
        assert_eq!(failure, ConnectFailure::PeerTooOld);
        assert!(!failure.leaves_clear_text());
    }
}

#[tokio::test]
async fn whatever_else_follows_the_first_byte_is_a_failed_handshake() {
    let transport = Authority::new("Contoso CA").transport();
    for bytes in [
        HANDSHAKE_FAILURE,
        b"SIP/2.0 400 Bad Request\r\n\r\n",
        &SERVER_HELLO_OF_TLS_1_0[..20],
        &[0x16],
        &[0x16, 3, 3, 0, 4, 0xff, 0, 0, 0],
    ] {
        let failure = connect(&transport, SIP, says(bytes).await).await.unwrap_err();
        assert!(matches!(failure, ConnectFailure::Handshake(_)), "{bytes:?}: {failure:?}");
        assert!(!failure.leaves_clear_text());
    }
}

#[tokio::test]
async fn a_server_that_leaves_after_its_hello_had_begun_tls() {
    let authority = Authority::new("Contoso CA");
    let config = Arc::new(authority.server(&[SIP], |_| ()));
    let address = canned(async move |mut stream: TcpStream| {
        let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await?;
        server.read_tls(&mut &buffer[..length])?;
        server.process_new_packets().map_err(io::Error::other)?;
        let mut flight = Vec::new();
        server.write_tls(&mut flight)?;
        let hello = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
        stream.write_all(&flight[..hello]).await
    })
    .await;
    let failure = connect(&authority.transport(), SIP, address).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::Handshake(_)), "{failure:?}");
}

#[test]
fn what_is_no_certificate_is_no_root() {
    assert!(RustlsTransport::with_roots([CertificateDer::from(vec![1, 2, 3])]).is_err());
}

/// What the server name of SNI is made of: one normal form goes to DNS, SNI and certificate.
#[tokio::test]
async fn the_server_is_told_the_normal_form_of_the_name() {
    let authority = Authority::new("Contoso CA");
    let config = authority.server(&[SIP], |_| ());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        Ok::<_, io::Error>(stream.get_ref().1.server_name().map(str::to_owned))
    });
    let _open = connect(&authority.transport(), "SIP.Contoso.COM.", address).await.unwrap();
    let told = server.await.unwrap().unwrap();
    assert_eq!(told.as_deref(), Some(HostName::parse(SIP).unwrap().as_str()));
}
