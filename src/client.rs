//! The driver: walks the plan through the doors, and knocks.
//!
//! It has no rules of its own, and spawns nothing: every lookup, every connect and the clock sit in
//! one in-flight set inside the future that the caller polls. Dropping that future frees it all.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{timeout, timeout_at};

use crate::address::SipAddress;
use crate::channel::{Channel, ChannelError};
use crate::discovery::{
    Connected, DiscoveryPlan, Endpoint, Outcome, Protocol, Search, Seed, Step, Trace,
};
use crate::failure::{SignInFailure, SignInFailureKind};
use crate::random::{Random, RandomError, hex};
use crate::resolver::Resolver;
use crate::sip::{
    Answer, Epid, Message, Register, Remedy, Response, ServerRefusal, Tokens, UriTransport,
};
use crate::system_random::SystemRandom;
use crate::text::WireText;
use crate::transport::{Connection, Transport};

/// Finds servers and knocks at their doors. Cloning is cheap, and one client serves many tasks.
///
/// ```no_run
/// # #[cfg(feature = "net")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sip_signin::Client;
/// let client = Client::system()?;
/// let challenged = client.challenge(&"sip:jeremy@contoso.com".parse()?).await?;
/// println!("{} wants one of {:?}", challenged.endpoint, challenged.answer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

struct Settings {
    resolver: Arc<dyn Resolver>,
    transport: Arc<dyn Transport>,
    random: Arc<dyn Random>,
    search: Search,
    seed: Option<Seed>,
    epid: Option<Epid>,
    user_agent: String,
    answer_within: Duration,
    allow_unauthenticated: bool,
}

/// The settings of a [`Client`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    settings: Settings,
}

impl Client {
    /// How many messages are passed over while the answer is awaited: provisional answers, answers
    /// to others, requests. One more is garbage.
    pub const PASSED_OVER_LIMIT: usize = 64;

    /// How long a server may take to answer, by default: 15 s.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

    /// A client behind these doors, with the default search.
    pub fn new(resolver: impl Resolver + 'static, transport: impl Transport + 'static) -> Self {
        Self::builder(resolver, transport).build()
    }

    /// Begins the settings of a client behind these doors.
    pub fn builder(
        resolver: impl Resolver + 'static,
        transport: impl Transport + 'static,
    ) -> ClientBuilder {
        ClientBuilder {
            settings: Settings {
                resolver: Arc::new(resolver),
                transport: Arc::new(transport),
                random: Arc::new(SystemRandom),
                search: Search::default(),
                seed: None,
                epid: None,
                user_agent: concat!("sip-signin/", env!("CARGO_PKG_VERSION")).into(),
                answer_within: Self::ANSWER_WITHIN,
                allow_unauthenticated: false,
            },
        }
    }

    /// Finds the server of `address`, opens a checked connection to it, and sends it a REGISTER
    /// without credentials, so that it says which authentication it accepts. [seed, article 1]
    ///
    /// A server that fails in a way that another one may mend is left for the next. The future may
    /// be dropped at any point; nothing goes on behind it.
    ///
    /// # Errors
    /// [`SignInFailure`] says whose fault it is, what, and what to do, with the whole trace.
    pub async fn challenge(&self, address: &SipAddress) -> Result<Challenged, SignInFailure> {
        let settings = &*self.settings;
        let seed = match settings.seed {
            Some(seed) => Ok(seed),
            None => random_seed(&*settings.random),
        };
        let mut plan =
            DiscoveryPlan::new(address, &settings.search, seed.unwrap_or_default(), now());
        if let Err(error) = seed {
            return Err(failure(SignInFailureKind::NoRandom(error), &plan));
        }
        let mut in_flight = InFlight::default();
        let mut refusals = Vec::new();
        loop {
            match plan.poll_step(now()) {
                Step::LookupSrv(step) => in_flight.carry_out(step.until(), async move {
                    let learned = settings.resolver.srv(step.name()).await;
                    step.answer(learned)
                }),
                Step::LookupHost(step) => in_flight.carry_out(step.until(), async move {
                    let learned = settings.resolver.addresses(step.host(), step.family()).await;
                    step.answer(learned)
                }),
                Step::Connect(step) => in_flight.carry_out(step.until(), async move {
                    match settings.transport.connect(step.endpoint(), step.address()).await {
                        Ok(connection) => step.established(connection),
                        Err(failure) => step.failed(failure),
                    }
                }),
                Step::Wait { until } => {
                    if let Some(outcome) = in_flight.next(until).await {
                        plan.handle(outcome, now());
                    }
                }
                Step::Connected(Connected { connection, endpoint, address: peer, token }) => {
                    in_flight = InFlight::default();
                    match self.knock(plan.trace(), &endpoint, peer, connection).await {
                        Ok(challenged) => return Ok(challenged),
                        Err(Knock::Next(why, refusal)) => {
                            plan.handle(token.useless(why), now());
                            refusals.extend(refusal.map(|refusal| (endpoint, *refusal)));
                        }
                        Err(Knock::Final(kind)) => {
                            plan.handle(token.final_answer(WireText::printed(&kind)), now());
                            return Err(failure(*kind, &plan));
                        }
                    }
                }
                // An idle plan is owed its token, which was handed in above or dropped with the
                // search; either way there is nothing left to wait for.
                Step::Idle => {
                    let cause = plan.trace().cause();
                    return Err(failure(SignInFailureKind::NoServer { cause, refusals }, &plan));
                }
                Step::Exhausted(cause) => {
                    return Err(failure(SignInFailureKind::NoServer { cause, refusals }, &plan));
                }
            }
        }
    }

    /// Sends the first REGISTER and waits for its final answer.
    async fn knock(
        &self,
        trace: &Trace,
        endpoint: &Endpoint,
        peer: SocketAddr,
        connection: Box<dyn Connection>,
    ) -> Result<Challenged, Knock> {
        let settings = &*self.settings;
        let local = connection.facts().local;
        let register = self.register(trace.address(), endpoint, local)?;
        let mut channel = Channel::new(connection);
        let exchange = timeout(settings.answer_within, exchange(&mut channel, &register)).await;
        let response = exchange.unwrap_or_else(|_| Err(Knock::next("no answer in time")))?;
        let kind = match Answer::to_first_register(&response) {
            Answer::Refused(refusal) if refusal.remedy == Remedy::AnotherServer => {
                return Err(Knock::Next(WireText::printed(&refusal), Some(Box::new(refusal))));
            }
            Answer::Refused(refusal) => SignInFailureKind::Refused(endpoint.clone(), refusal),
            Answer::Redirected(to) => SignInFailureKind::Redirected(endpoint.clone(), to),
            Answer::Unauthenticated if !settings.allow_unauthenticated => {
                SignInFailureKind::Unauthenticated(endpoint.clone())
            }
            answer => {
                let (endpoint, trace) = (endpoint.clone(), trace.clone());
                return Ok(Challenged {
                    endpoint,
                    peer,
                    answer,
                    response,
                    register,
                    channel,
                    trace,
                });
            }
        };
        Err(Knock::Final(Box::new(kind)))
    }

    fn register(
        &self,
        address: &SipAddress,
        endpoint: &Endpoint,
        local: SocketAddr,
    ) -> Result<Register, Knock> {
        let settings = &*self.settings;
        let random = &*settings.random;
        let draw = || -> Result<(Tokens, Option<Epid>), RandomError> {
            let tokens = Tokens {
                call_id: hex::<16>(random)?,
                from_tag: hex::<5>(random)?,
                branch: hex::<8>(random)?,
                contact: hex::<5>(random)?,
            };
            let epid = match &settings.epid {
                Some(epid) => Some(epid.clone()),
                None => hex::<5>(random)?.parse().ok(),
            };
            Ok((tokens, epid))
        };
        let (tokens, epid) = draw()?;
        let transport = match endpoint.protocol {
            Protocol::Tls => UriTransport::Tls,
            Protocol::Tcp => UriTransport::Tcp,
        };
        let epid = epid.ok_or(RandomError)?;
        Register::new(address, local, transport, tokens, epid, &settings.user_agent)
            .map_err(|error| Knock::Final(Box::new(SignInFailureKind::Unwritable(error))))
    }
}

/// A server that was found, was checked, and has answered the first REGISTER.
#[derive(Debug)]
#[non_exhaustive]
pub struct Challenged {
    /// Protocol, host and port.
    pub endpoint: Endpoint,
    /// The address that answered.
    pub peer: SocketAddr,
    /// What it answered: a challenge with every scheme that it accepts, or, where the caller allows
    /// it, that it let us in unauthenticated.
    pub answer: Answer,
    /// The same as it came.
    pub response: Response,
    /// The dialog: the next REGISTER is [`Register::next`].
    pub register: Register,
    /// The connection.
    pub channel: Channel,
    /// How it was found.
    pub trace: Trace,
}

/// Why nobody opened.
enum Knock {
    /// Another server may do better.
    Next(WireText, Option<Box<ServerRefusal>>),
    /// None would.
    Final(Box<SignInFailureKind>),
}

impl Knock {
    fn next(why: &str) -> Self {
        Self::Next(why.into(), None)
    }
}

impl From<ChannelError> for Knock {
    fn from(error: ChannelError) -> Self {
        Self::Next(WireText::printed(&error), None)
    }
}

impl From<RandomError> for Knock {
    fn from(error: RandomError) -> Self {
        Self::Final(Box::new(SignInFailureKind::NoRandom(error)))
    }
}

/// Sends `register` and reads until its final answer.
async fn exchange(channel: &mut Channel, register: &Register) -> Result<Response, Knock> {
    channel.send(&register.write()).await?;
    for _ in 0..=Client::PASSED_OVER_LIMIT {
        if let Message::Response(response) = channel.receive().await?
            && response.answers(register)
            && response.status() >= 200
        {
            return Ok(response);
        }
    }
    Err(Knock::next("garbage: nothing but other messages"))
}

/// What a step brought.
type Brought = Outcome<Box<dyn Connection>>;

/// The lookups and connects that are under way. Dropping it drops them all.
#[derive(Default)]
struct InFlight<'a> {
    steps: FuturesUnordered<BoxFuture<'a, Option<Brought>>>,
}

impl<'a> InFlight<'a> {
    /// Carries out a step, and frees what it holds when its time is over: the plan has given it up
    /// by then.
    fn carry_out(&mut self, until: Instant, step: impl Future<Output = Brought> + Send + 'a) {
        self.steps.push(Box::pin(async move { timeout_at(until.into(), step).await.ok() }));
    }

    /// The next outcome, if one comes before `until`.
    async fn next(&mut self, until: Instant) -> Option<Brought> {
        if self.steps.is_empty() {
            tokio::time::sleep_until(until.into()).await;
            return None;
        }
        timeout_at(until.into(), self.steps.next()).await.ok()??
    }
}

/// The runtime's clock, so that a paused one is obeyed.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn random_seed(random: &dyn Random) -> Result<Seed, RandomError> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes)?;
    Ok(Seed(u64::from_le_bytes(bytes)))
}

fn failure(kind: SignInFailureKind, plan: &DiscoveryPlan<Box<dyn Connection>>) -> SignInFailure {
    SignInFailure::new(kind, plan.trace().clone())
}

impl ClientBuilder {
    /// Where and how to search.
    pub fn search(mut self, search: Search) -> Self {
        self.settings.search = search;
        self
    }

    /// Where chance comes from: the operating system by default.
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.settings.random = Arc::new(random);
        self
    }

    /// The seed of every search, so that it can be run again; by default a random one each.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// This device, as the server knows it; by default a random one for each sign-in. A client that
    /// keeps its own is recognised when it comes back. [MS-SIPRE]
    pub fn epid(mut self, epid: Epid) -> Self {
        self.settings.epid = Some(epid);
        self
    }

    /// What to call ourselves. Servers may filter by it (`17002` and `17003` of `ms-diagnostics`).
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.settings.user_agent = user_agent.into();
        self
    }

    /// How long a server may take to answer; [`Client::ANSWER_WITHIN`] by default.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.settings.answer_within = limit;
        self
    }

    /// Takes a server that lets us in without asking who we are. By default it is refused: who
    /// authenticates nobody may be anybody.
    pub fn allow_unauthenticated(mut self, allow: bool) -> Self {
        self.settings.allow_unauthenticated = allow;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        Client { settings: Arc::new(self.settings) }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("search", &self.search).finish_non_exhaustive()
    }
}
