//! The lab's servers, judged by plain tokio-rustls, plain TCP and the text of SIP.
#![expect(clippy::disallowed_methods, reason = "a judge from outside connects by itself")]

#[path = "common/tls.rs"]
mod tls;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use sip_signin::discovery::{ConnectFailure, Endpoint, Protocol};
use sip_signin::lab::{
    Answer, DnsFault, Fault, Lab, LabError, Seen, Server, SipFault, TcpFault, TlsFault,
};
use sip_signin::net::{HickoryResolver, RustlsTransport};
use sip_signin::{Client, Connection, HostName, HostNamePolicy, NameRule, Transport};
use tls::handshake;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

/// How long silence is listened to.
const A_WHILE: Duration = Duration::from_millis(300);
/// When what must happen has not happened.
const TOO_LONG: Duration = Duration::from_secs(5);

/// Where the ordinary deployment publishes its pool and its Edge.
const POOL: &str = "192.0.2.10:5061";
const POOL_TCP: &str = "192.0.2.10:5060";
const EDGE: &str = "192.0.2.11:443";

const REGISTER: &str = "REGISTER sip:contoso.com SIP/2.0\r\n\
    Via: SIP/2.0/TLS 127.0.0.1:50123\r\n\
    Max-Forwards: 70\r\n\
    f: <sip:jeremy@contoso.com>;tag=3e49177a52;epid=c8ca638a15\r\n\
    To: <sip:jeremy@contoso.com>\r\n\
    Call-ID: 4037df9284354df39065195bd57a4b14\r\n\
    CSeq: 1 REGISTER\r\n\
    Event: registration\r\n\
    l: 2\r\n\r\nhi";

async fn dial(lab: &Lab, published: &str) -> io::Result<TcpStream> {
    let address = lab.dial(published.parse().unwrap()).expect("no black hole");
    timeout(TOO_LONG, TcpStream::connect(address)).await?
}

/// A TLS connection to `published`, with the certificate checked for `host`.
async fn tls(lab: &Lab, published: &str, host: &str) -> io::Result<TlsStream<TcpStream>> {
    handshake(lab, dial(lab, published).await?, host).await
}

/// What a TLS handshake with the first server of the ordinary deployment fails with.
async fn refusal(fault: TlsFault) -> io::Error {
    let lab = Lab::ordinary("contoso.com").fault(fault).start().await.unwrap();
    let patience = if fault == TlsFault::Stall { A_WHILE } else { TOO_LONG };
    let handshake = timeout(patience, tls(&lab, POOL, "pool01.contoso.com")).await;
    let refusal = handshake.unwrap_or_else(|e| Err(e.into())).expect_err("a failed handshake");
    let seen = over(&lab).await;
    assert!(!seen.handshake && seen.sip.is_empty() && !seen.in_clear(), "{fault}");
    refusal
}

/// What the only connection was like, once it is over.
async fn over(lab: &Lab) -> Seen {
    let ended = async {
        loop {
            match &*lab.seen() {
                [seen] if seen.closed => return seen.clone(),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    timeout(TOO_LONG, ended).await.expect("one connection, closed")
}

/// Sends `request`; what came back up to the end of a final answer, the end of the connection or
/// a while of silence; and whether the connection was closed.
async fn ask<S>(stream: &mut S, request: &str) -> (String, bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    loop {
        let read = timeout(A_WHILE, stream.read_buf(&mut came)).await;
        let text = String::from_utf8_lossy(&came).into_owned();
        let last = text.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        let whole = text.ends_with("\r\n\r\n") && !last.starts_with("SIP/2.0 1");
        let closed = !matches!(read, Ok(Ok(1..)) | Err(_));
        if whole || closed || read.is_err() || text.len() >= 100_000 {
            return (text, closed);
        }
    }
}

/// What the pool of an ordinary deployment answers to a REGISTER, over TLS.
async fn answer_of(server: Server) -> String {
    let lab = Lab::builder().internal(server).start().await.unwrap();
    let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
    ask(&mut stream, REGISTER).await.0
}

fn pool() -> Server {
    Server::tls("pool01.contoso.com")
}

#[tokio::test]
async fn good_servers_challenge_whoever_registers() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_201_737_716);
    let lab = Lab::ordinary("contoso.com").date(then).start().await.unwrap();
    let expected = |host: &str| {
        format!(
            "SIP/2.0 401 Unauthorized\r\n\
             WWW-Authenticate: NTLM realm=\"SIP Communications Service\", \
             targetname=\"{host}\", version=4\r\n\
             WWW-Authenticate: Kerberos realm=\"SIP Communications Service\", \
             targetname=\"sip/{host}\", version=4\r\n\
             Date: Thu, 31 Jan 2008 00:01:56 GMT\r\n\
             Via: SIP/2.0/TLS 127.0.0.1:50123\r\n\
             From: <sip:jeremy@contoso.com>;tag=3e49177a52;epid=c8ca638a15\r\n\
             To: <sip:jeremy@contoso.com>;tag=5E61CCD925D17E04\r\n\
             Call-ID: 4037df9284354df39065195bd57a4b14\r\n\
             CSeq: 1 REGISTER\r\n\
             Server: RTC/3.5\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
    // A connection is for more than one request, and for empty lines that keep it alive.
    for _ in 0..2 {
        stream.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(ask(&mut stream, REGISTER).await.0, expected("pool01.contoso.com"));
    }
    let mut stream = tls(&lab, EDGE, "sip.contoso.com").await.unwrap();
    assert_eq!(ask(&mut stream, REGISTER).await.0, expected("sip.contoso.com"));
    let mut stream = dial(&lab, POOL_TCP).await.unwrap();
    assert_eq!(ask(&mut stream, REGISTER).await.0, expected("pool01.contoso.com"));
}

#[tokio::test]
async fn the_lab_saw_what_was_sent_and_how() {
    let lab = Lab::start().await.unwrap();
    let twice = format!("\r\n{REGISTER}");
    let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
    assert!(ask(&mut stream, &twice).await.0.starts_with("SIP/2.0 401 "));
    let mut stream = dial(&lab, POOL_TCP).await.unwrap();
    assert!(ask(&mut stream, REGISTER).await.0.starts_with("SIP/2.0 401 "));
    // Clear text to a TLS port is seen for what it is.
    let mut stream = dial(&lab, EDGE).await.unwrap();
    assert!(!ask(&mut stream, REGISTER).await.0.contains("SIP/2.0"));
    let seen = lab.seen();
    let [safe, clear, blunder] = &*seen else { panic!("three connections: {seen:?}") };
    assert!(safe.handshake && !safe.in_clear());
    assert_eq!(safe.sip, twice.as_bytes());
    assert_eq!(safe.server_name.as_deref(), Some("pool01.contoso.com"));
    assert_eq!((&*safe.host, safe.address), ("pool01.contoso.com", POOL.parse().unwrap()));
    assert!(!safe.wire.windows(8).any(|window| window == b"REGISTER"));
    assert!(!clear.handshake && clear.in_clear());
    assert_eq!((&clear.sip, &clear.wire), (&REGISTER.into(), &REGISTER.into()));
    assert!(!blunder.handshake && blunder.in_clear() && blunder.sip.is_empty());
}

#[tokio::test]
async fn tcp_faults_are_those_of_the_system() {
    let connect = async |fault: Fault| {
        let lab = Lab::builder().internal(pool().fault(fault)).start().await.unwrap();
        let mut stream = dial(&lab, POOL).await?;
        let silent = fault == TcpFault::Silent.into() || matches!(fault, Fault::Tls(_));
        let patience = if silent { A_WHILE } else { TOO_LONG };
        let read = timeout(patience, stream.read_u8()).await?;
        read.map(|byte| panic!("{byte} came from {fault}"))
    };
    for &fault in TcpFault::ALL {
        let kind = match fault {
            TcpFault::BlackHole => continue,
            TcpFault::Close => ErrorKind::UnexpectedEof,
            TcpFault::Refused => ErrorKind::ConnectionRefused,
            TcpFault::Reset => ErrorKind::ConnectionReset,
            TcpFault::Silent => ErrorKind::TimedOut,
            other => panic!("{other} is not tested"),
        };
        let end: io::Result<()> = connect(fault.into()).await;
        assert_eq!(end.unwrap_err().kind(), kind, "{fault}");
    }
    // A server that answers badly does not speak first: whoever listens only hears nothing.
    for fault in [TlsFault::Garbage, TlsFault::TooOld, TlsFault::Stall] {
        let end: io::Result<()> = connect(fault.into()).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::TimedOut, "{fault}");
    }
    let hole = Lab::ordinary("contoso.com").fault(TcpFault::BlackHole).start().await.unwrap();
    assert_eq!(hole.dial(POOL.parse().unwrap()), None);
    assert!(hole.dial(POOL_TCP.parse().unwrap()).is_some());
}

#[tokio::test]
async fn tls_faults_are_those_that_a_plain_client_names() {
    use CertificateError as Certificate;
    for &fault in TlsFault::ALL {
        let refusal = refusal(fault).await;
        let error = refusal.get_ref().and_then(|e| e.downcast_ref::<Error>());
        let as_told = match (fault, error) {
            (TlsFault::Stall, None) => refusal.kind() == ErrorKind::TimedOut,
            (TlsFault::CertificateWithoutNames, Some(Error::InvalidCertificate(e))) => {
                matches!(e, Certificate::NotValidForNameContext { presented, .. }
                    if presented.is_empty())
            }
            (TlsFault::CertificateWrongName, Some(Error::InvalidCertificate(e))) => {
                matches!(e, Certificate::NotValidForNameContext { presented, .. }
                    if format!("{presented:?}").contains("other.example"))
            }
            (TlsFault::CertificateExpired, Some(Error::InvalidCertificate(e))) => {
                matches!(e, Certificate::ExpiredContext { .. })
            }
            (TlsFault::CertificateNotYetValid, Some(Error::InvalidCertificate(e))) => {
                matches!(e, Certificate::NotValidYetContext { .. })
            }
            (TlsFault::CertificateUntrusted, Some(Error::InvalidCertificate(e))) => {
                *e == Certificate::UnknownIssuer
            }
            (TlsFault::Garbage, Some(Error::InvalidMessage(_))) => true,
            (TlsFault::TooOld, Some(e)) => {
                *e == Error::AlertReceived(AlertDescription::ProtocolVersion)
            }
            (TlsFault::TooOldHello, Some(e)) => {
                *e == PeerIncompatible::ServerDoesNotSupportTls12Or13.into()
            }
            _ => false,
        };
        assert!(as_told, "{fault}: {refusal:?}");
    }
}

#[tokio::test]
async fn certificates_and_versions_are_the_callers_choice() {
    let server = Server::tls("sip.contoso.com").certificate_for(["*.contoso.com"]).only_tls12();
    let lab = Lab::builder().external(server).start().await.unwrap();
    let stream = tls(&lab, POOL, "anything.contoso.com").await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    assert!(tls(&lab, POOL, "a.b.contoso.com").await.is_err());
    // A literal is a host too: it needs no name in DNS.
    let lab = Lab::builder().server(Server::tls("203.0.113.1")).start().await.unwrap();
    assert!(tls(&lab, "203.0.113.1:5061", "203.0.113.1").await.is_ok());
    assert!(lab.roots_pem().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn sip_faults_are_what_their_names_say() {
    for &fault in SipFault::ALL {
        let server = pool().fault(fault).interval(Duration::from_millis(1));
        let lab = Lab::builder().internal(server).start().await.unwrap();
        let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
        let began = Instant::now();
        let (text, closed) = ask(&mut stream, REGISTER).await;
        let has = |part: &str| text.contains(part);
        let whole = text.ends_with("\r\n\r\n") && !closed;
        let as_told = match fault {
            SipFault::Busy => has("SIP/2.0 503 ") && has("\r\nRetry-After: 30\r\n") && whole,
            SipFault::Close => text.is_empty() && closed,
            SipFault::CloseMidAnswer => has("SIP/2.0 401 ") && !has("\r\n\r\n") && closed,
            SipFault::EndlessHeaders => text.len() >= 100_000 && !has("\r\n\r\n"),
            SipFault::Forbidden => has("SIP/2.0 403 ") && has("\r\nms-diagnostics: 4004;") && whole,
            SipFault::ForeignCallId => has("SIP/2.0 401 ") && has("NTLM") && !has("4037df92"),
            SipFault::Garbage => text.len() >= 64 && !has("SIP") && whole,
            SipFault::NoChallenge => has("SIP/2.0 401 ") && !has("Authenticate") && whole,
            // They show only to a client that has signed in.
            SipFault::NoSignature | SipFault::WrongSignature => has("SIP/2.0 401 ") && whole,
            SipFault::NotFound => has("SIP/2.0 404 Not Found\r\n") && whole,
            SipFault::Silent => text.is_empty() && !closed,
            SipFault::Slow => {
                whole && began.elapsed() >= Duration::from_millis(1) * text.len() as u32
            }
            SipFault::Unchallenged => has("SIP/2.0 200 OK\r\n") && whole,
            other => panic!("{other} is not tested"),
        };
        assert!(as_told, "{fault}: {closed} {text}");
    }
}

#[tokio::test]
async fn answers_come_in_the_order_in_which_they_were_said() {
    let trying = answer_of(pool().answer(Answer::status(200, "OK").after_trying())).await;
    let (first, last) = trying.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("SIP/2.0 100 Trying\r\n") && last.starts_with("SIP/2.0 200 OK\r\n"));
    let contacts = ["<sip:a.contoso.com;transport=TLS>;q=0.7", "<sip:b.contoso.com>;q=0.3"];
    let moved = answer_of(pool().answer(Answer::redirect(contacts))).await;
    assert!(moved.starts_with("SIP/2.0 301 Redirect request to Home Server\r\n"));
    for contact in contacts {
        assert!(moved.contains(&format!("\r\nContact: {contact}\r\n")));
    }
    let server = pool().answer(Answer::challenge()).answer(Answer::status(200, "OK"));
    let lab = Lab::builder().internal(server).start().await.unwrap();
    for _ in 0..2 {
        let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
        for status in ["401", "200", "200"] {
            let text = ask(&mut stream, REGISTER).await.0;
            assert!(text.starts_with(&format!("SIP/2.0 {status} ")), "{text}");
        }
    }
    let negotiate = REGISTER.replace("REGISTER", "NEGOTIATE");
    let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
    assert!(ask(&mut stream, &negotiate).await.0.starts_with("SIP/2.0 405 "));
    assert!(ask(&mut stream, REGISTER).await.0.starts_with("SIP/2.0 401 "));
}

/// Notes what it is asked for, and never connects.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(Endpoint, SocketAddr)>>>);

#[async_trait::async_trait]
impl Transport for Asked {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        self.0.lock().unwrap().push((endpoint.clone(), address));
        Err(ConnectFailure::Unreachable)
    }
}

#[tokio::test]
async fn the_transport_changes_the_address_and_nothing_else() {
    let hole = Server::tls("hole.contoso.com").fault(TcpFault::BlackHole);
    let lab = Lab::ordinary("contoso.com").server(hole).start().await.unwrap();
    let domain = HostName::parse("contoso.com").unwrap();
    let host = HostName::parse("pool01.contoso.com").unwrap();
    let host = NameRule::new(HostNamePolicy::Relaxed).admit(&host, &domain).unwrap();
    let endpoint = Endpoint { protocol: Protocol::Tls, host, port: 5061 };
    let asked = Asked::default();
    let transport = lab.transport(asked.clone());
    let pool: SocketAddr = POOL.parse().unwrap();
    let failure = transport.connect(&endpoint, pool).await.unwrap_err();
    assert_eq!(failure, ConnectFailure::Unreachable);
    let real = lab.dial(pool).unwrap();
    assert!(real.ip().is_loopback());
    assert_eq!(*asked.0.lock().unwrap(), [(endpoint.clone(), real)]);
    // Nobody published this one: it leads to loopback, and is refused there.
    let nobody: SocketAddr = "198.51.100.1:5061".parse().unwrap();
    assert!(transport.connect(&endpoint, nobody).await.is_err());
    let refused = asked.0.lock().unwrap().last().unwrap().1;
    assert!(refused.ip().is_loopback());
    let refused = TcpStream::connect(refused).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let hole = "192.0.2.12:5061".parse().unwrap();
    assert!(timeout(A_WHILE, transport.connect(&endpoint, hole)).await.is_err());
    assert_eq!(asked.0.lock().unwrap().len(), 2);
}

/// An address of this machine that nobody has.
fn free() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn in_place_it_is_reached_by_who_knows_nothing_of_it() {
    let (published, dns) = (free(), free());
    let pool = pool().address(published.ip()).port(published.port());
    let lab = Lab::builder().internal(pool).dns_at(dns);
    let elsewhere = lab.clone().start().await.unwrap();
    assert_eq!(elsewhere.dns(), dns);
    assert_ne!(elsewhere.dial(published), Some(published));
    assert!(TcpStream::connect(published).await.is_err());
    elsewhere.stop().await;

    let lab = lab.in_place().start().await.unwrap();
    assert_eq!((lab.dns(), lab.dial(published)), (dns, Some(published)));
    let roots = [CertificateDer::from(lab.roots().to_vec())];
    let resolver = HickoryResolver::with_servers([dns]);
    let client = Client::new(resolver, RustlsTransport::with_roots(roots).unwrap());
    let challenged = client.challenge(&"jeremy@contoso.com".parse().unwrap()).await.unwrap();
    assert_eq!(challenged.peer, published);
}

#[tokio::test]
async fn nothing_listens_and_no_connection_lives_when_the_lab_is_gone() {
    let lab = Lab::start().await.unwrap();
    let (dns, pool) = (lab.dns(), lab.dial(POOL.parse().unwrap()).unwrap());
    let mut stream = tls(&lab, POOL, "pool01.contoso.com").await.unwrap();
    let stalled = dial(&lab, EDGE).await.unwrap();
    let mut asking = TcpStream::connect(dns).await.unwrap();
    // A header and no question: an error comes back, and the connection stays.
    asking.write_all(b"\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0").await.unwrap();
    assert_eq!(asking.read_u16().await.unwrap(), 12);
    asking.read_exact(&mut [0; 12]).await.unwrap();
    let tasks = tokio::runtime::Handle::current().metrics();
    lab.stop().await;
    assert_eq!(tasks.num_alive_tasks(), 0);
    for address in [dns, pool] {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    assert!(tokio::net::UdpSocket::bind(dns).await.is_ok());
    let ends = async { stream.read_u8().await.is_err() && asking.read_u8().await.is_err() };
    assert!(timeout(TOO_LONG, ends).await.expect("an end"));
    drop(stalled);

    let lab = Lab::start().await.unwrap();
    let dns = lab.dns();
    drop(lab);
    let gone = async {
        while TcpStream::connect(dns).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TOO_LONG, gone).await.expect("dropping stops the lab");
    let gone = async {
        while tasks.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TOO_LONG, gone).await.expect("dropping ends every task");
}

#[tokio::test]
async fn servers_of_one_host_share_its_addresses_and_no_other_host_has_them() {
    let lab = Lab::builder()
        .internal(Server::tls("a.contoso.com").address(Ipv4Addr::new(192, 0, 2, 10)))
        .server(Server::tls("a.contoso.com").port(443).address(Ipv4Addr::new(192, 0, 2, 10)))
        .internal(Server::tcp("A.contoso.com"))
        .external(Server::tls("b.contoso.com"))
        .start()
        .await
        .unwrap();
    for (published, host) in [(POOL, "a.contoso.com"), ("192.0.2.11:5061", "b.contoso.com")] {
        assert!(tls(&lab, published, host).await.is_ok(), "{host}");
    }
    let mut stream = dial(&lab, POOL_TCP).await.unwrap();
    assert!(ask(&mut stream, REGISTER).await.0.contains("targetname=\"A.contoso.com\""));
}

#[tokio::test]
async fn contradictions_are_errors() {
    let again = Lab::builder().internal(pool()).external(pool()).start().await;
    assert!(matches!(again, Err(LabError::Taken(at)) if at == POOL.parse().unwrap()));
    let clear = Server::tcp("pool01.contoso.com").fault(TlsFault::Stall);
    assert!(matches!(Lab::builder().internal(clear).start().await, Err(LabError::NoTls(_))));
    let question = Lab::builder().internal(pool().fault(DnsFault::Silent)).start().await;
    assert!(matches!(question, Err(LabError::NotOfServers(DnsFault::Silent))));
    let many = (0..300).fold(Lab::builder(), |builder, n| {
        builder.server(Server::tcp(format!("pool{n}.contoso.com")))
    });
    assert!(matches!(many.start().await, Err(LabError::TooManyHosts)));
}

#[test]
fn each_fault_has_a_name_of_its_own_that_reads_back() {
    let names: BTreeSet<_> = Fault::all().map(|fault| fault.to_string()).collect();
    assert_eq!(names.len(), Fault::all().count());
    assert!(names.contains("certificate-expired") && names.contains("sip-busy"));
    for fault in Fault::all() {
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
    let unknown = "certificate-expire\u{1b}".parse::<Fault>().unwrap_err();
    assert_eq!(unknown.to_string(), r"there is no fault `certificate-expire\u{1b}`");
}
