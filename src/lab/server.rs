//! One server of the deployment: a pool, a Director or an Edge, good or bad.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::LabError;
use super::acceptor::Desk;
use super::accounts::{ORDINARY, Offer, Resident};
use super::authority::Authority;
use super::binding::LONGEST;
use super::compression::{Compresses, Negotiated};
use super::control::Control;
use super::fault::{Fault, TcpFault, TlsFault};
use super::registrar::{Answer, Registrar};
use super::seen::{Log, Note, Seen, Tap};
use crate::discovery::Protocol;

/// One server, as it is published: a host, its addresses, a port; and how it behaves.
///
/// A good one shows a certificate for its host (TLS), reads a REGISTER and answers with a challenge
/// as an Office Communications Server 2007 R2 does. A host whose addresses behave differently is
/// several servers of one name.
///
/// ```
/// use sip_signin::lab::{Answer, Server, TcpFault};
/// let director = Server::tls("sip.contoso.com")
///     .answer(Answer::redirect(["<sip:pool01.contoso.com:5061;transport=TLS>"]));
/// let down = Server::tcp("pool02.contoso.com").port(5070).fault(TcpFault::Refused);
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) protocol: Protocol,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) fault: Option<Fault>,
    names: Vec<String>,
    only_tls12: bool,
    answers: Vec<Answer>,
    offers: Vec<Offer>,
    home: Vec<String>,
    longest: u64,
    compresses: Compresses,
    interval: Duration,
}

impl Server {
    /// A TLS server for `host`, a name or an IP address, on port 5061.
    pub fn tls(host: impl Into<String>) -> Self {
        Self::new(Protocol::Tls, host.into())
    }

    /// A clear-text server for `host`, a name or an IP address, on port 5060.
    pub fn tcp(host: impl Into<String>) -> Self {
        Self::new(Protocol::Tcp, host.into())
    }

    fn new(protocol: Protocol, host: String) -> Self {
        Self {
            protocol,
            port: protocol.default_port(),
            addresses: Vec::new(),
            fault: None,
            names: vec![host.clone()],
            only_tls12: false,
            answers: Vec::new(),
            offers: ORDINARY.to_vec(),
            home: Vec::new(),
            longest: LONGEST,
            compresses: Compresses::default(),
            interval: Duration::from_millis(50),
            host,
        }
    }

    /// The published port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Publishes it under this address; may be said several times. Where it is never said, it has
    /// the addresses of the other servers of its host; where none of them has any, the lab picks
    /// one: 192.0.2.10 for the first such host, 192.0.2.11 for the next.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// What its certificate is for, instead of its host: names, also wildcards, and IP addresses.
    #[must_use]
    pub fn certificate_for<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Speaks TLS 1.2 and nothing newer.
    #[must_use]
    pub fn only_tls12(self) -> Self {
        Self { only_tls12: true, ..self }
    }

    /// Makes it go wrong; the last one said counts. A fault that a server cannot have, such as one
    /// of DNS or one of TLS on clear text, keeps the lab from starting.
    #[must_use]
    pub fn fault(self, fault: impl Into<Fault>) -> Self {
        Self { fault: Some(fault.into()), ..self }
    }

    /// How it answers; may be said several times. The first REGISTER of a connection gets the first
    /// answer, and so on; the last one is for all further ones. Nobody can sign in to a server whose
    /// answers are said.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// Which proofs it asks for, in this order, instead of NTLM and Kerberos in version 4. They are
    /// checked where the lab has an [account](super::LabBuilder::account).
    #[must_use]
    pub fn offers(self, offers: impl IntoIterator<Item = Offer>) -> Self {
        Self { offers: offers.into_iter().collect(), ..self }
    }

    /// Makes it a Director: who has proved who they are is sent on to these servers, each a host with
    /// or without a port. The first is the primary one, the next is its backup.
    #[must_use]
    pub fn home<H: Into<String>>(self, servers: impl IntoIterator<Item = H>) -> Self {
        Self { home: servers.into_iter().map(Into::into).collect(), ..self }
    }

    /// The longest that a binding lasts, in whole seconds; two hours where it is not said, as with an
    /// Office Communications Server.
    #[must_use]
    pub fn grants(self, longest: Duration) -> Self {
        Self { longest: longest.as_secs(), ..self }
    }

    /// What it does when it is asked to compress; over clear text it is never asked.
    #[must_use]
    pub fn compresses(self, compresses: Compresses) -> Self {
        Self { compresses, ..self }
    }

    /// The time between two bytes of a server with [`SipFault::Slow`](super::SipFault::Slow); 50 ms
    /// where it is not said.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }
}

/// `tls pool01.contoso.com:5061`
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.protocol, self.host, self.port)
    }
}

/// A server as it runs on one published address.
#[derive(Clone)]
pub(super) struct Site {
    published: SocketAddr,
    fault: Option<Fault>,
    tls: Option<Arc<ServerConfig>>,
    registrar: Registrar,
    compresses: Compresses,
    seen: Log<Seen>,
}

impl Site {
    pub(super) fn new(
        server: &Server,
        published: SocketAddr,
        authority: &Authority,
        accounts: &[Resident],
        date: Option<std::time::SystemTime>,
        seen: &Log<Seen>,
        control: &Control,
    ) -> Result<Self, LabError> {
        let versions: &[_] =
            if server.only_tls12 { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
        let certificate = match server.fault {
            Some(Fault::Tls(_)) if server.protocol == Protocol::Tcp => {
                return Err(LabError::NoTls(server.host.clone()));
            }
            Some(Fault::Dns(fault)) => return Err(LabError::NotOfServers(fault)),
            Some(Fault::Tls(fault)) => Some(fault),
            _ => None,
        };
        let tls = match server.protocol {
            Protocol::Tls => {
                Some(authority.server(&server.host, &server.names, certificate, versions)?)
            }
            Protocol::Tcp => None,
        };
        let registrar = Registrar {
            desk: Desk {
                host: server.host.clone(),
                protocol: server.protocol,
                accounts: accounts.to_vec(),
                offers: server.offers.clone(),
                home: server.home.clone(),
                longest: server.longest,
                control: control.clone(),
            },
            answers: server.answers.clone(),
            interval: server.interval,
            date,
        };
        Ok(Self {
            published,
            fault: server.fault,
            tls,
            registrar,
            compresses: server.compresses,
            seen: seen.clone(),
        })
    }

    /// Serves until it is dropped.
    pub(super) async fn run(self, listener: TcpListener) {
        let (site, listener) = (&self, &listener);
        attend(
            || listener.accept(),
            |(stream, _)| async move {
                let note = Note::new(&site.seen, &site.registrar.desk.host, site.published);
                // A connection that breaks is over; what was seen of it is written down.
                let _ = site.serve(stream, &note).await;
            },
        )
        .await;
    }

    async fn serve(&self, stream: TcpStream, note: &Note) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match self.fault {
            Some(Fault::Tcp(TcpFault::Close)) => return Ok(()),
            Some(Fault::Tcp(TcpFault::Reset)) => return reset(&stream),
            Some(Fault::Tcp(TcpFault::Silent)) => return drain(&mut Tap { stream, note }).await,
            _ => {}
        }
        let mut stream = Tap { stream, note };
        if let Some(Fault::Tls(fault)) = self.fault
            && let Some(hello) = bad_hello(fault)
        {
            // The first byte is enough to know that the client has spoken.
            stream.read_u8().await?;
            stream.write_all(hello).await?;
            return if fault == TlsFault::Stall {
                drain(&mut stream).await
            } else {
                end(stream).await
            };
        }
        let Some(tls) = &self.tls else {
            self.registrar.serve(&mut stream, Vec::new(), note).await?;
            return end(stream).await;
        };
        let mut stream = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await?;
        let tls = stream.get_ref().1;
        note.handshake(tls.server_name(), tls.handshake_kind() == Some(HandshakeKind::Resumed));
        match self.compresses.negotiate(&mut stream, note).await? {
            Negotiated::Plain(stream, unread) => {
                self.registrar.serve(stream, unread, note).await?;
            }
            Negotiated::Packed(mut packed) => {
                self.registrar.serve(&mut *packed, Vec::new(), note).await?;
            }
            Negotiated::Over => {}
        }
        end(stream).await
    }
}

/// What a server with this fault answers to a ClientHello; `None` where its handshake is good up to
/// the certificate.
fn bad_hello(fault: TlsFault) -> Option<&'static [u8]> {
    match fault {
        TlsFault::Garbage => Some(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        // A record of 122 bytes that holds a ServerHello of 118; its first six bytes come.
        TlsFault::Stall => Some(&[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3]),
        // A fatal alert, protocol_version. [RFC 5246 section 7.2]
        TlsFault::TooOld => Some(&[21, 3, 1, 0, 2, 2, 70]),
        // TLS 1.0, 32 zeros for a random, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
        TlsFault::TooOldHello => Some(&[
            22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2f, 0,
        ]),
        _ => None,
    }
}

/// Reads whatever comes, and says nothing, until the client closes.
async fn drain<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Closes our side, then waits for the client's: a socket that is closed with bytes unread resets
/// the connection, and the client may lose what was said last.
async fn end<S: tokio::io::AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    drain(&mut stream).await
}

#[allow(deprecated, reason = "the newer set_zero_linger is not in the oldest tokio we build with")]
fn reset(stream: &TcpStream) -> io::Result<()> {
    stream.set_linger(Some(Duration::ZERO))
}

/// Takes what arrives and attends to all of it at once, without spawning: who drops this future
/// drops everything that is under way.
pub(super) async fn attend<T, A, F>(mut arrive: impl FnMut() -> A, mut attend: impl FnMut(T) -> F)
where
    A: Future<Output = io::Result<T>>,
    F: Future<Output = ()>,
{
    let mut under_way = FuturesUnordered::new();
    loop {
        let arrived = if under_way.is_empty() {
            arrive().await
        } else {
            match select(pin!(arrive()), under_way.next()).await {
                Either::Left((arrived, _)) => arrived,
                Either::Right(_) => continue,
            }
        };
        match arrived {
            Ok(arrived) => under_way.push(attend(arrived)),
            // Out of descriptors, or a client that went away too soon: neither is for ever.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
