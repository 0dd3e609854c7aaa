//! Compression for real: sockets, TLS, packets both ways, signatures inside.
#![cfg(feature = "ntlm")]
#![expect(clippy::disallowed_methods, reason = "the link between the two is the test's")]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sip_signin::auth::{Credentials, Protection};
use sip_signin::compression::{Compression, Level};
use sip_signin::discovery::{Cause, ConnectFailure, Endpoint, Entry};
use sip_signin::lab::{Compresses, Lab, LabBuilder, Server};
use sip_signin::net::RustlsTransport;
use sip_signin::{
    ClientBuilder, Connection, ConnectionFacts, FixedCredentials, SignInFailure, SignInFailureKind,
    SignedIn, Transport,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";

fn deployment(compresses: Compresses) -> LabBuilder {
    Lab::builder()
        .domain("contoso.com")
        .internal(Server::tls("sip.contoso.com").compresses(compresses))
        .account(ACCOUNT, PASSWORD, "sip:jeremy@contoso.com")
}

async fn sign_in(client: ClientBuilder) -> Result<SignedIn, SignInFailure> {
    let source = FixedCredentials::new(Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD));
    client.build().sign_in(&"sip:jeremy@contoso.com".parse().unwrap(), &source).await
}

/// What the trace says about compression.
fn noted(trace: &sip_signin::discovery::Trace) -> Vec<String> {
    let noted = trace.events().filter_map(|event| match event.entry {
        Entry::Noted(what) => Some(what.to_string()),
        _ => None,
    });
    noted.collect()
}

/// The same sign-in with compression on and off: the same steps, the same signatures, and on the wire
/// either packets or text.
#[tokio::test]
async fn a_compressed_sign_in_is_the_same_sign_in() {
    for (compression, level) in [
        (Compression::Never, Level::Fast),
        (Compression::Always, Level::Fast),
        (Compression::Always, Level::Best),
    ] {
        let lab = deployment(Compresses::Yes).start().await.unwrap();
        let client = lab.client().compression(compression).compression_level(level);
        let signed_in = sign_in(client).await.unwrap();
        let is_on = compression == Compression::Always;
        let said: &[&str] = if is_on { &["compression on: LZ77-8K"] } else { &[] };
        assert_eq!(noted(&signed_in.trace), said);
        assert_eq!(signed_in.registration.protection, Protection::Verified);
        let mut session = signed_in.session;
        session
            .send(
                "OPTIONS sip:contoso.com SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.7:1;branch=z9hG4bK1\r\n\
                 From: <sip:jeremy@contoso.com>;tag=1\r\nTo: <sip:contoso.com>\r\n\
                 Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                    .into(),
            )
            .await
            .unwrap();
        let received = session.receive().await.unwrap().unwrap();
        assert_eq!(received.protection, Protection::Verified);
        session.sign_out().await.unwrap();
        // What the lab saw inside TLS and outside packets is the same; it is long in clear, short in
        // packets.
        let seen = &lab.seen()[0];
        let text = String::from_utf8_lossy(&seen.sip);
        assert_eq!(text.matches("NEGOTIATE sip:").count(), usize::from(is_on));
        assert!(text.matches("REGISTER sip:").count() >= 3);
        if is_on {
            assert!(seen.wire.len() < seen.sip.len(), "{} {}", seen.wire.len(), seen.sip.len());
        } else {
            assert!(seen.wire.len() > seen.sip.len());
        }
    }
}

/// The table of answers, for real. [ruling A7]
#[tokio::test]
async fn every_answer_leads_where_the_table_says() {
    let is_in = |compresses, expected: &'static str| async move {
        let lab = deployment(compresses).start().await.unwrap();
        let client = lab.client().compression(Compression::Always);
        let signed_in = sign_in(client.negotiate_within(Duration::from_millis(200))).await;
        let signed_in = signed_in.unwrap_or_else(|failure| panic!("{compresses:?}: {failure}"));
        assert_eq!(noted(&signed_in.trace), [expected], "{compresses:?}");
        assert_eq!(signed_in.registration.protection, Protection::Verified);
    };
    is_in(Compresses::Yes, "compression on: LZ77-8K").await;
    is_in(Compresses::No, "compression off: declined with 405 Method Not Allowed").await;
    is_in(Compresses::Other, "compression off: answered with None").await;
    is_in(Compresses::Silent, "compression off: not answered in time").await;

    let is_useless = |compresses, expected: &'static str| async move {
        let lab = deployment(compresses).start().await.unwrap();
        let client = lab.client().compression(Compression::Always);
        let failure =
            sign_in(client.negotiate_within(Duration::from_millis(200))).await.unwrap_err();
        let why = match failure.kind() {
            SignInFailureKind::SignIn(_, error) => error.to_string(),
            SignInFailureKind::NoServer { cause: Cause::Answer(_, why), .. } => why.to_string(),
            other => panic!("{compresses:?}: {other:?}"),
        };
        assert!(why.contains(expected), "{compresses:?}: {why}");
    };
    is_useless(Compresses::Close, "closed by the server").await;
    is_useless(Compresses::Garbage, "garbage").await;
    is_useless(Compresses::Late(Duration::from_millis(400)), "garbage: the server agreed to").await;
    is_useless(Compresses::Corrupt, "garbage: corrupt packet: it refers to data").await;
    is_useless(Compresses::FlushedAndCompressed, "garbage: corrupt packet: its flags say flushed")
        .await;
}

/// Opens connections that say how fast they are, and flips one bit of what comes over them.
struct Wire<T> {
    inner: T,
    slow: bool,
    flip: Option<usize>,
    /// How many bytes came over all connections.
    came: Arc<Mutex<usize>>,
}

struct Wired {
    connection: Box<dyn Connection>,
    slow: bool,
    flip: Option<usize>,
    at: usize,
    came: Arc<Mutex<usize>>,
}

#[async_trait]
impl<T: Transport> Transport for Wire<T> {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let connection = self.inner.connect(endpoint, address).await?;
        let came = Arc::clone(&self.came);
        Ok(Box::new(Wired { connection, slow: self.slow, flip: self.flip, at: 0, came }))
    }
}

impl Connection for Wired {
    fn facts(&self) -> &ConnectionFacts {
        self.connection.facts()
    }

    fn is_slow(&self) -> bool {
        self.slow
    }
}

impl AsyncRead for Wired {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(cx, buffer);
        let came = &mut buffer.filled_mut()[before..];
        let flip =
            self.flip.and_then(|bit| Some((bit / 8).checked_sub(self.at)?).zip(Some(bit % 8)));
        if let Some((at, bit)) = flip
            && let Some(byte) = came.get_mut(at)
        {
            *byte ^= 1 << bit;
        }
        let count = came.len();
        self.at += count;
        *self.came.lock().unwrap() += count;
        read
    }
}

impl AsyncWrite for Wired {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

fn wired(lab: &Lab, slow: bool, flip: Option<usize>) -> (ClientBuilder, Arc<Mutex<usize>>) {
    let came = Arc::new(Mutex::new(0));
    let wire = Wire { inner: lab.tls(), slow, flip, came: Arc::clone(&came) };
    (sip_signin::Client::builder(lab.resolver(), wire), came)
}

#[tokio::test]
async fn only_a_slow_link_is_compressed_where_slow_links_are() {
    for (slow, said) in [(false, &[][..]), (true, &["compression on: LZ77-8K"][..])] {
        let lab = deployment(Compresses::Yes).start().await.unwrap();
        let client = wired(&lab, slow, None).0.compression(Compression::SlowLink);
        assert_eq!(noted(&sign_in(client).await.unwrap().trace), said);
    }
}

/// Clear text is never compressed: the server is not even asked.
#[tokio::test]
async fn over_clear_text_nobody_is_asked() {
    use sip_signin::discovery::{ClearText, Search};
    let lab = Lab::builder()
        .domain("contoso.com")
        .internal(Server::tcp("sip.contoso.com").compresses(Compresses::Yes))
        .account(ACCOUNT, PASSWORD, "sip:jeremy@contoso.com");
    let lab = lab.start().await.unwrap();
    let search = Search::builder().clear_text(ClearText::Allow).build().unwrap();
    let client = lab.client().search(search).compression(Compression::Always);
    let signed_in = sign_in(client).await.unwrap();
    assert_eq!(noted(&signed_in.trace), [""; 0]);
    assert!(!String::from_utf8_lossy(&lab.seen()[0].sip).contains("NEGOTIATE"));
}

/// One bit of what the server sends, flipped inside TLS, all over the stream: the sign-in fails, or
/// what it believes is what the server meant. `SIGNIN_CASES` says how many bits are tried.
#[tokio::test]
async fn a_flipped_bit_never_makes_a_wrong_registration() {
    let lab = deployment(Compresses::Yes).start().await.unwrap();
    let (client, came) = wired(&lab, false, None);
    let good = sign_in(client.compression(Compression::Always)).await.unwrap();
    let bits = *came.lock().unwrap() * 8;
    let (mut failed, mut believed) = (0, 0);
    let cases = std::env::var("SIGNIN_CASES").map_or(97, |cases| cases.parse().unwrap());
    for bit in (0..bits).step_by((bits / cases).max(1)) {
        let client = wired(&lab, false, Some(bit)).0.compression(Compression::Always);
        let client = client.answer_within(Duration::from_millis(150));
        match sign_in(client.negotiate_within(Duration::from_millis(150))).await {
            Err(_) => failed += 1,
            Ok(signed_in) => {
                believed += 1;
                let registration = signed_in.registration;
                assert_eq!(registration.protection, Protection::Verified, "bit {bit}");
                assert_eq!(registration.expires, good.registration.expires, "bit {bit}");
            }
        }
    }
    println!("{failed} failed, {believed} believed");
    assert!(failed > believed, "{failed} failed, {believed} believed");
}

/// A server behind a link that flips one bit of what comes from it, below TLS.
struct Bent {
    tls: RustlsTransport,
    server: SocketAddr,
    flip: Option<usize>,
    came: Arc<Mutex<usize>>,
}

impl Bent {
    fn client(lab: &Lab, flip: Option<usize>) -> (ClientBuilder, Arc<Mutex<usize>>) {
        let root = CertificateDer::from_pem_slice(lab.roots_pem().as_bytes()).unwrap();
        let limit = Duration::from_millis(500);
        let tls = RustlsTransport::with_roots([root]).unwrap().handshake_within(limit);
        let server = lab.dial("192.0.2.10:5061".parse().unwrap()).unwrap();
        let came = Arc::new(Mutex::new(0));
        let bent = Self { tls, server, flip, came: Arc::clone(&came) };
        let client = sip_signin::Client::builder(lab.resolver(), bent);
        let client = client.compression(Compression::Always).answer_within(limit);
        (client.negotiate_within(limit), came)
    }
}

#[async_trait]
impl Transport for Bent {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        _: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let link = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = link.local_addr().unwrap();
        let (server, flip, came) = (self.server, self.flip, Arc::clone(&self.came));
        tokio::spawn(async move {
            let (mut near, mut far) =
                (link.accept().await.unwrap().0, TcpStream::connect(server).await.unwrap());
            let ((mut from_near, mut to_near), (mut from_far, mut to_far)) =
                (near.split(), far.split());
            let there = tokio::io::copy(&mut from_near, &mut to_far);
            let back = async {
                let (mut bytes, mut before) = ([0; 4096], 0);
                while let Ok(count @ 1..) = from_far.read(&mut bytes).await {
                    let place = flip.and_then(|bit| (bit / 8).checked_sub(before));
                    if let Some(byte) = place.and_then(|place| bytes[..count].get_mut(place)) {
                        *byte ^= 1 << (flip.unwrap() % 8);
                    }
                    before += count;
                    *came.lock().unwrap() = before;
                    if to_near.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { _ = there => {}, () = back => {} }
        });
        self.tls.connect(endpoint, here).await
    }
}

/// On the wire: TLS notices every bit, so that no damaged packet ever comes out of it. Only the
/// version of a record may be anything, and changes nothing (RFC 8446 section 5.1).
#[tokio::test]
async fn a_bit_flipped_below_tls_ends_in_a_failure_or_changes_nothing() {
    let lab = deployment(Compresses::Yes).start().await.unwrap();
    let (client, came) = Bent::client(&lab, None);
    let good = sign_in(client).await.unwrap().registration;
    let (mut failed, mut unchanged) = (0, 0);
    let bits = *came.lock().unwrap() * 8;
    let cases = std::env::var("SIGNIN_CASES").map_or(97, |cases| cases.parse().unwrap());
    for bit in (0..bits).step_by((bits / cases).max(1)) {
        match sign_in(Bent::client(&lab, Some(bit)).0).await {
            Err(_) => failed += 1,
            Ok(signed_in) => {
                unchanged += 1;
                let came = signed_in.registration;
                assert_eq!(came.protection, Protection::Verified, "bit {bit} of {bits}");
                assert_eq!((came.expires, came.server), (good.expires, good.server.clone()));
            }
        }
    }
    println!("{failed} failed, {unchanged} unchanged");
    assert!(failed > 20 * unchanged, "{failed} failed, {unchanged} unchanged");
}
