//! Signs in many users from one process, as a gateway does: one client for all, so many at a time,
//! the servers 50 ms away. `gateway [USERS [AT_ONCE]]`, 200 and 50 where nothing is said.
//!
//! The servers, a lab, run in a process of their own, so that only the client's memory and time are
//! counted. Leaves out messages: who is signed in only signs out.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use futures_util::FutureExt;
use peak_alloc::PeakAlloc;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use sip_signin::auth::{Credentials, DigestAlgorithm, Version};
use sip_signin::discovery::{
    ClearText, ConnectFailure, Endpoint, Pace, Protocol, Search, Timeouts,
};
use sip_signin::lab::{Lab, Offer, Server};
use sip_signin::net::{HickoryResolver, RustlsTransport};
use sip_signin::sign_in::CredentialRequest;
use sip_signin::{
    Client, Connection, ConnectionFacts, CredentialSource, Session, SessionError, SessionSender,
    SignInFailure, SipAddress, Transport,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};

#[global_allocator]
pub static HEAP: PeakAlloc = PeakAlloc;

/// The users are the devices of so many people: the lab looks for an account from the first to the
/// last.
const ACCOUNTS: usize = 200;

/// How long everything may take. The lab is one thread; ten thousand at once wait for it.
const PATIENT: Duration = Duration::from_secs(300);

/// From us to the servers and back.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, users, load] = &arguments[..]
        && word == "serve"
    {
        return serve(users.parse()?, Load::named(load));
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |n| n.parse());
    let users = number(0, 200)?;
    let at_once = number(1, users.min(50))?.clamp(1, users);
    println!("{users} users, {at_once} at once, {} ms away", ROUND_TRIP.as_millis());
    for load in LOADS {
        println!("\n{load:?}\n{}", run(load, users, at_once)?);
    }
    Ok(())
}

/// What the users speak.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub protocol: Protocol,
    pub offer: Offer,
}

/// Digest is not spoken in clear text.
pub const LOADS: [Load; 3] = [
    Load { protocol: Protocol::Tcp, offer: Offer::Ntlm(Version::V4) },
    Load { protocol: Protocol::Tls, offer: Offer::Digest(DigestAlgorithm::Sha256) },
    Load { protocol: Protocol::Tls, offer: Offer::Ntlm(Version::V4) },
];

impl Load {
    pub fn named(name: &str) -> Self {
        LOADS.into_iter().find(|load| format!("{load:?}") == name).expect("a load")
    }
}

/// The servers: two pools of equal weight. Says where they are, and runs until nobody listens.
#[expect(clippy::disallowed_methods, reason = "this process is the world, not the client")]
pub fn serve(users: usize, Load { protocol, offer }: Load) -> Result<(), Box<dyn Error>> {
    let service = match protocol {
        Protocol::Tls => "_sipinternaltls._tcp.contoso.com",
        Protocol::Tcp => "_sipinternal._tcp.contoso.com",
    };
    let mut lab = Lab::builder().domain("contoso.com").in_place();
    for pool in ["pool01.contoso.com", "pool02.contoso.com"] {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let server = match protocol {
            Protocol::Tls => Server::tls(pool),
            Protocol::Tcp => Server::tcp(pool),
        };
        lab = lab
            .server(server.address(Ipv4Addr::LOCALHOST).port(port).offers([offer]))
            .srv(service, 0, 10, port, pool);
    }
    for user in (0..users.min(ACCOUNTS)).map(User::number) {
        lab = lab.account(user.account, user.password, user.address);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let lab = lab.start().await?;
        println!("{} {}", lab.dns(), HEXLOWER.encode(&lab.roots()));
        let nobody = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        nobody.await??;
        Ok(())
    })
}

struct User {
    account: String,
    password: String,
    address: String,
}

impl User {
    fn number(n: usize) -> Self {
        let n = n % ACCOUNTS;
        Self {
            account: format!(r"CONTOSO\user{n}"),
            password: format!("password {n}"),
            address: format!("sip:user{n}@contoso.com"),
        }
    }
}

/// The process with the servers; dropping it ends them.
struct Servers {
    process: Child,
    dns: SocketAddr,
    root: Vec<u8>,
}

impl Servers {
    fn start(users: usize, load: Load) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", &users.to_string(), &format!("{load:?}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let (dns, root) = line.trim().split_once(' ').ok_or("no servers")?;
        Ok(Self { process, dns: dns.parse()?, root: HEXLOWER.decode(root.as_bytes())? })
    }

    fn transport(&self) -> Result<RustlsTransport, Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone().into())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        // Every handshake is a full one, so that one costs what another does.
        config.resumption = Resumption::disabled();
        Ok(RustlsTransport::with_config(Arc::new(config)).handshake_within(PATIENT))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// Whatever is behind it, at a distance: what comes takes a round trip from what went.
struct Distant<T>(T);

#[async_trait]
impl<T: Transport> Transport for Distant<T> {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> Result<Box<dyn Connection>, ConnectFailure> {
        let near = self.0.connect(endpoint, address).await?;
        // TCP takes one, TLS 1.3 another.
        sleep(if endpoint.protocol == Protocol::Tls { 2 * ROUND_TRIP } else { ROUND_TRIP }).await;
        Ok(Box::new(Far { near, comes: Box::pin(sleep(Duration::ZERO)) }))
    }
}

struct Far {
    near: Box<dyn Connection>,
    comes: Pin<Box<Sleep>>,
}

impl Connection for Far {
    fn facts(&self) -> &ConnectionFacts {
        self.near.facts()
    }
}

impl AsyncRead for Far {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(self.comes.as_mut().poll(cx));
        Pin::new(&mut self.near).poll_read(cx, into)
    }
}

impl AsyncWrite for Far {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let comes = Instant::now() + ROUND_TRIP;
        self.comes.as_mut().reset(comes);
        Pin::new(&mut self.near).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(cx)
    }
}

/// The password of one user. Those of the first wave wait for each other, so that there is a moment
/// at which all are under way.
struct Source {
    credentials: Credentials,
    wave: Option<Arc<Wave>>,
}

impl Source {
    async fn wait(&self) {
        if let Some(wave) = &self.wave
            && wave.all.wait().await.is_leader()
        {
            wave.held.store(HEAP.current_usage(), Ordering::Relaxed);
        }
    }
}

struct Wave {
    all: Barrier,
    /// What was held at that moment.
    held: AtomicUsize,
}

impl Wave {
    fn of(count: usize) -> Arc<Self> {
        Arc::new(Self { all: Barrier::new(count), held: AtomicUsize::new(0) })
    }

    /// What each held, beside what `meter` found.
    fn each(&self, meter: &Meter, count: usize) -> usize {
        self.held.load(Ordering::Relaxed).saturating_sub(meter.held) / count
    }
}

#[async_trait]
impl CredentialSource for Source {
    async fn credentials(&self, _: &CredentialRequest) -> Option<Credentials> {
        self.wait().await;
        Some(self.credentials.clone())
    }
}

/// What it cost; of each sign-in or connection, in bytes and microseconds.
pub struct Report {
    /// Connections only, over the same distance, with TLS where there is any.
    pub bare: Cost,
    /// The same with the caller's tasks, which know their users and wait.
    pub waiting: usize,
    /// When the first challenge has come.
    pub in_flight: usize,
    /// The whole sign-in.
    pub cpu: Option<f64>,
    pub idle: usize,
    pub failures: Vec<SignInFailure>,
    pub took: Duration,
    pub latencies: Vec<Duration>,
}

pub struct Cost {
    pub memory: usize,
    /// `None` where the system does not tell.
    pub cpu: Option<f64>,
}

/// Signs in, and out again.
#[expect(clippy::disallowed_methods, reason = "a gateway has a task for each user")]
pub fn run(load: Load, users: usize, at_once: usize) -> Result<Report, Box<dyn Error>> {
    let servers = Servers::start(users, load)?;
    // Who signs in alone gains by racing. Of many at once each would pay for a second handshake as
    // soon as the servers are slow, which makes them slower.
    let pace = Pace { head_start: None, ..Pace::DEFAULT };
    let timeouts = Timeouts { connect: PATIENT, search: PATIENT, ..Timeouts::DEFAULT };
    let clear_text = match load.protocol {
        Protocol::Tcp => ClearText::Allow,
        Protocol::Tls => ClearText::Forbid,
    };
    let search = Search::builder().clear_text(clear_text).pace(pace).timeouts(timeouts);
    let client = Client::builder(
        HickoryResolver::with_servers([servers.dns]),
        Distant(servers.transport()?),
    );
    let client = client.search(search.build()?).answer_within(PATIENT).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Somebody who warms up what is done once, and finds out where the pools are.
        let user = sign_in(client.clone(), 0, None).await?.0;
        let (endpoint, peer) = (user.endpoint(), user.facts().peer);
        user.sign_out().await?;

        let transport = Arc::new(Distant(servers.transport()?));
        let wave = Wave::of(at_once);
        let connect = |n| {
            let wave = (n < at_once).then(|| Arc::clone(&wave));
            connect(Arc::clone(&transport), endpoint.clone(), peer, n, wave)
        };
        let meter = Meter::start();
        let bare = all(users, at_once, connect).await;
        let bare = (meter.cost(users), bare.into_iter().collect::<Result<Vec<_>, _>>()?).0;
        let waiting = wave.each(&meter, at_once);

        // The runtime frees what belonged to them when it next looks at the network.
        sleep(ROUND_TRIP).await;
        let wave = Wave::of(at_once);
        let began = Instant::now();
        let meter = Meter::start();
        let ended = all(users, at_once, |n| {
            sign_in(client.clone(), n, (n < at_once).then(|| Arc::clone(&wave)))
        });
        let ended = ended.await;
        let took = began.elapsed();
        let cpu = meter.cost(users).cpu;

        let mut receiving = JoinSet::new();
        let (mut senders, mut latencies, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for ended in ended {
            match ended {
                Ok((session, latency)) => {
                    senders.push(session.sender());
                    latencies.push(latency);
                    receiving.spawn(receive(session));
                }
                Err(failure) => failures.push(*failure),
            }
        }
        // Each is polled once, and waits.
        if let Ok(Some(end)) = timeout(ROUND_TRIP, receiving.join_next()).await {
            return Err(format!("a session ended: {end:?}").into());
        }
        let idle = meter.cost(senders.len().max(1)).memory;
        let in_flight = wave.each(&meter, at_once);

        for wave in senders.chunks(at_once.min(500)) {
            wave.iter().for_each(SessionSender::sign_out);
            for _ in wave {
                receiving.join_next().await.ok_or("a session is missing")???;
            }
        }
        latencies.sort();
        Ok(Report { bare, waiting, in_flight, cpu, idle, failures, took, latencies })
    })
}

/// Runs one for each of so many users, each in a task of its own, so many at once.
///
/// In one task they would be in each other's way: it is polled for 128 of them at a time, and all the
/// others of those that are ready are polled in vain.
#[expect(clippy::disallowed_methods, reason = "a gateway has a task for each user")]
async fn all<F>(users: usize, at_once: usize, one: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (mut tasks, mut ended) = (JoinSet::new(), Vec::new());
    for n in 0..users {
        if tasks.len() == at_once {
            ended.extend(tasks.join_next().await);
        }
        tasks.spawn(one(n));
    }
    while let Some(end) = tasks.join_next().await {
        ended.push(end);
    }
    ended.into_iter().map(|end| end.expect("no task panics")).collect()
}

/// Nothing but the connection, and what the caller has of its own. What the server says of its own
/// accord, tickets for another time, is read: that is TLS, too.
async fn connect(
    transport: Arc<impl Transport>,
    endpoint: Endpoint,
    peer: SocketAddr,
    n: usize,
    wave: Option<Arc<Wave>>,
) -> Result<Box<dyn Connection>, ConnectFailure> {
    let (source, _address) = user(n, wave);
    let mut connection = transport.connect(&endpoint, peer).await?;
    let mut nothing = [0];
    let nothing = connection.read(&mut nothing).now_or_never();
    assert!(nothing.is_none(), "{nothing:?}");
    source.wait().await;
    Ok(connection)
}

fn user(n: usize, wave: Option<Arc<Wave>>) -> (Source, SipAddress) {
    let User { account, password, address } = User::number(n);
    let account = account.parse().expect("an account");
    let source = Source { credentials: Credentials::new(account, password), wave };
    (source, address.parse().expect("an address"))
}

async fn sign_in(
    client: Client,
    n: usize,
    wave: Option<Arc<Wave>>,
) -> Result<(Session, Duration), Box<SignInFailure>> {
    let (source, address) = user(n, wave);
    let began = Instant::now();
    // The trace is dropped; an idle session does without.
    let signed_in = client.sign_in(&address, &source).await.map_err(Box::new)?;
    Ok((signed_in.session, began.elapsed()))
}

/// What a gateway does with a session; here nobody writes.
async fn receive(mut session: Session) -> Result<(), SessionError> {
    while session.receive().await?.is_some() {}
    Ok(())
}

/// What was held and used when it began.
struct Meter {
    held: usize,
    ran: Option<f64>,
}

impl Meter {
    fn start() -> Self {
        Self { held: HEAP.current_usage(), ran: ran() }
    }

    fn cost(&self, each: usize) -> Cost {
        let memory = HEAP.current_usage().saturating_sub(self.held) / each;
        let cpu = ran().zip(self.ran).map(|(now, then)| (now - then) / each as f64);
        Cost { memory, cpu }
    }
}

/// For how many microseconds this thread, the only one, has run. [proc(5)]
fn ran() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1000.0)
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.latencies.len();
        let at = |share: f64| {
            let at = ((count as f64 * share) as usize).min(count.saturating_sub(1));
            self.latencies.get(at).map_or(0, Duration::as_millis)
        };
        let cpu = |cpu: Option<f64>| cpu.map_or("unknown".into(), |cpu| format!("{cpu:.0} µs"));
        writeln!(f, "  signed in       {count}, failed {}", self.failures.len())?;
        for failure in self.failures.iter().take(3) {
            writeln!(f, "                  {failure}")?;
        }
        let rate = count as f64 / self.took.as_secs_f64();
        writeln!(f, "  a second        {rate:.0}")?;
        let (half, most, all) = (at(0.5), at(0.9), at(0.99));
        writeln!(f, "  latency         {half} ms half of them, {most} ms 90 %, {all} ms 99 %")?;
        writeln!(f, "  bytes in flight {}", self.in_flight)?;
        writeln!(f, "  bytes idle      {}", self.idle)?;
        writeln!(f, "  bytes bare      {}", self.bare.memory)?;
        writeln!(f, "  bytes waiting   {}", self.waiting)?;
        let own = self.in_flight.saturating_sub(self.waiting);
        writeln!(f, "  bytes our own   {own}")?;
        writeln!(f, "  cpu a sign-in   {}", cpu(self.cpu))?;
        writeln!(f, "  cpu bare        {}", cpu(self.bare.cpu))?;
        let own = self.cpu.zip(self.bare.cpu).map(|(all, bare)| all - bare);
        write!(f, "  cpu our own     {}", cpu(own))
    }
}
