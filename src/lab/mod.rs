//! A whole Communicator deployment on the loopback interface, in one call (feature `lab`).
//!
//! DNS with SRV records, a pool inside, an Edge outside, a certificate authority, registrars that
//! challenge: everything that a sign-in meets, with real sockets, real DNS packets and real TLS.
//! Our examples and tests sign in to it, and so can yours. Each part can be told to go wrong in a
//! named way ([`Fault`]), and the lab remembers what it was asked ([`Lab::questions`]) and what it
//! was sent ([`Lab::seen`]), so that a test can show what a client did *not* do.
//!
//! Without accounts the servers only ask for a proof. With [`LabBuilder::account`] they check it and
//! sign in for real, or send home whom they know ([`Server::home`]); [`Server::offers`] says by which
//! schemes. Who is signed in may send MESSAGE and OPTIONS: both are answered, and a MESSAGE comes back
//! as a request of the server's, so that there is something to receive. [`Lab::befall`] makes a server
//! go wrong later, and [`Lab::forget_bindings`] is its restart.
//!
//! Servers are *published* under an address and a port of the caller's choice, such as
//! `192.0.2.10:5061`, but really listen on ports of 127.0.0.1 that the system picked. [`Lab::dial`]
//! leads from the one to the other; [`Lab::transport`] puts that in front of any [`Transport`]. The
//! DNS server's own address, [`Lab::dns`], is a real one. Nothing leaves the loopback interface,
//! nothing needs a privilege, and many labs can run side by side.
//!
//! The lab spawns tokio tasks and reads the clock, which the rest of the library never does.
#![expect(
    clippy::disallowed_methods,
    reason = "the lab is a world, not a part of the pure core: it listens, spawns and tells the time"
)]

mod fault;

mod control;

mod authority;

mod seen;

mod accounts;

mod digest;

mod binding;

mod keys;

mod association;

mod acceptor;

mod registrar;

mod compression;

mod server;

mod dns;

mod transport;

mod ports;

mod builder;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use accounts::Offer;
pub use builder::LabBuilder;
pub use compression::Compresses;
pub use dns::Question;
pub use fault::{DnsFault, Fault, SipFault, TcpFault, TlsFault, UnknownFault};
pub use registrar::Answer;
pub use seen::Seen;
pub use server::Server;
pub use transport::LabTransport;

use crate::address::AddressError;
use crate::auth::AccountError;
use crate::client::{Client, ClientBuilder};
use crate::net::{HickoryResolver, RustlsTransport};
use crate::transport::Transport;
use control::Control;
use dns::Zone;
use seen::Log;
use transport::Routes;

/// A running deployment. Dropping it stops it and frees its sockets.
///
/// ```
/// use sip_signin::lab::{DnsFault, Lab, Server};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// // The ordinary good deployment of contoso.com.
/// let lab = Lab::start().await?;
/// let challenged = lab.client().build().challenge(&"jeremy@contoso.com".parse()?).await?;
/// assert_eq!(challenged.endpoint.to_string(), "tls pool01.contoso.com:5061");
/// assert_eq!(lab.questions()[0].to_string(), "SRV _sipinternaltls._tcp.contoso.com");
///
/// // Or one of your own: only an Edge, and a DNS server that fails on one question.
/// let lab = Lab::builder()
///     .domain("fabrikam.com")
///     .external(Server::tls("sip.fabrikam.com").port(443))
///     .dns_fault("_sipinternaltls._tcp.fabrikam.com", DnsFault::ServerFailure)
///     .start()
///     .await?;
/// assert!(lab.questions().is_empty() && lab.seen().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lab {
    dns: SocketAddr,
    servers: Vec<String>,
    routes: Arc<Routes>,
    root: Bytes,
    root_pem: String,
    questions: Log<Question>,
    seen: Log<Seen>,
    controls: Vec<(String, Control)>,
    tls: RustlsTransport,
    dns_server: hickory_server::Server<Zone>,
    /// Closed when the last task of the DNS server is gone.
    dns_gone: mpsc::Receiver<()>,
    tasks: JoinSet<()>,
    /// Bound, but not listening: the system refuses every connect to it, and gives its port to
    /// nobody else.
    _closed: TcpSocket,
}

impl Lab {
    /// How many connections, and how many questions, are written down; what comes after those is not.
    /// A lab may be left running for days.
    pub const LOG_LIMIT: usize = 16_384;

    /// Starts the ordinary good deployment of `contoso.com`: [`Lab::ordinary`].
    ///
    /// # Errors
    /// [`LabError`] when the system gives no sockets.
    ///
    /// # Panics
    /// Outside a tokio runtime with input and output and time enabled, as all of tokio's sockets.
    pub async fn start() -> Result<Self, LabError> {
        Self::ordinary("contoso.com").start().await
    }

    /// Begins a deployment without any server.
    pub fn builder() -> LabBuilder {
        LabBuilder::new()
    }

    /// Begins with the ordinary deployment of `domain`, to be changed: a pool `pool01` inside, TLS
    /// on port 5061 and clear text on 5060, and an Edge `sip` outside, TLS on port 443, each with
    /// its SRV record.
    pub fn ordinary(domain: &str) -> LabBuilder {
        let (pool, edge) = (format!("pool01.{domain}"), format!("sip.{domain}"));
        Self::builder()
            .domain(domain)
            .internal(Server::tls(&*pool))
            .internal(Server::tcp(pool))
            .external(Server::tls(edge).port(443))
    }

    /// Where the DNS server is, over UDP and TCP.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// The servers as they are published, `tls pool01.contoso.com:5061`, in the order they were added.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Where a published address leads; `None` for a black hole.
    ///
    /// For programs that connect by other means than [`Lab::transport`]. An address that was not
    /// published leads to a port that refuses every connect.
    pub fn dial(&self, published: SocketAddr) -> Option<SocketAddr> {
        self.routes.dial(published)
    }

    /// A client of this deployment: [`Lab::resolver`] and [`Lab::tls`].
    pub fn client(&self) -> ClientBuilder {
        Client::builder(self.resolver(), self.tls())
    }

    /// A resolver that asks the lab's DNS server.
    pub fn resolver(&self) -> HickoryResolver {
        HickoryResolver::with_servers([self.dns])
    }

    /// A transport that finds the lab's servers and trusts [`Lab::roots`].
    pub fn tls(&self) -> LabTransport<RustlsTransport> {
        self.transport(self.tls.clone())
    }

    /// Puts the lab's addresses in front of `transport`.
    pub fn transport<T: Transport>(&self, transport: T) -> LabTransport<T> {
        LabTransport { inner: transport, routes: Arc::clone(&self.routes) }
    }

    /// The certificate of the authority that a client must trust, in DER.
    pub fn roots(&self) -> Bytes {
        self.root.clone()
    }

    /// The same in PEM, for other programs.
    pub fn roots_pem(&self) -> &str {
        &self.root_pem
    }

    /// What the DNS server was asked so far, in order: the first [`LOG_LIMIT`](Self::LOG_LIMIT).
    pub fn questions(&self) -> Vec<Question> {
        self.questions.all()
    }

    /// The connections that the servers accepted so far, in order: the first
    /// [`LOG_LIMIT`](Self::LOG_LIMIT).
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.all()
    }

    /// Makes a host go wrong, or well again, from its next answer on.
    pub fn befall(&self, host: &str, fault: Option<SipFault>) {
        self.controls(host).for_each(|control| control.befall(fault));
    }

    /// Makes a host forget who is registered there, as a restart does: the next REGISTER adds the
    /// binding anew.
    pub fn forget_bindings(&self, host: &str) {
        self.controls(host).for_each(Control::forget_bindings);
    }

    /// Makes a host forget with whom it shares keys: what is signed is answered with a challenge.
    pub fn forget_associations(&self, host: &str) {
        self.controls(host).for_each(Control::forget_associations);
    }

    fn controls<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Control> {
        let named = self.controls.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(host));
        named.map(|(_, control)| control)
    }

    /// Stops, and returns when every socket is closed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        // How it ended is of no interest now.
        let _ = self.dns_server.shutdown_gracefully().await;
        drop(self.dns_server);
        while self.dns_gone.recv().await.is_some() {}
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").field("dns", &self.dns).field("routes", &self.routes).finish()
    }
}

/// Why a lab could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// This is no account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// This is no address of an account.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A certificate could not be made.
    #[error("no certificate: {0}")]
    Certificate(String),
    /// The system gave no socket.
    #[error("no socket: {0}")]
    Io(#[from] io::Error),
    /// An alias has other records beside it, which DNS forbids. [RFC 1034 section 3.6.2]
    #[error("`{}` is an alias and has other records", .0.escape_debug())]
    Alias(String),
    /// This is not a name that DNS can hold.
    #[error("not a name for dns: `{}`", .0.escape_debug())]
    Name(String),
    /// A TLS fault was asked of a clear-text server.
    #[error("`{0}` speaks no tls, so its tls cannot go wrong")]
    NoTls(String),
    /// A DNS fault was asked of a server; [`LabBuilder::dns_fault`] takes it.
    #[error("`{0}` can befall a question, not a server")]
    NotOfServers(DnsFault),
    /// Two servers are published under one address and port.
    #[error("two servers at {0}")]
    Taken(SocketAddr),
    /// No address is left to pick; [`Server::address`] gives one.
    #[error("too many hosts")]
    TooManyHosts,
}

impl From<rcgen::Error> for LabError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl From<rustls::Error> for LabError {
    fn from(error: rustls::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
