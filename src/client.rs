//! The driver: walks the plan through the doors, and knocks.
//!
//! It has no rules of its own, and spawns nothing: every lookup, every connect and the clock sit in
//! one in-flight set inside the future that the caller polls. Dropping that future frees it all.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::address::SipAddress;
use crate::clock::now;
use crate::compression::{Compression, HeaderLayout, Level, Negotiation, SixBytes};
use crate::credentials::CredentialSource;
use crate::discovery::{Connected, DiscoveryPlan, Endpoint, LastServer, Protocol, Search, Seed};
use crate::failure::{SignInFailure, SignInFailureKind};
use crate::random::{Random, RandomError, hex, hexes};
use crate::resolver::Resolver;
use crate::sign_in::{Rules, SignIn};
use crate::sip::{Epid, Register, Tokens, UriTransport};
use crate::system_random::SystemRandom;
use crate::text::WireText;
use crate::transport::{Connection, Transport};

mod builder;

mod conversation;

mod journey;

mod knock;

mod negotiate;

mod survey;

mod walk;

pub use builder::ClientBuilder;
use journey::Journey;
pub use journey::SignedIn;
pub use knock::Challenged;
use knock::Knock;
pub use survey::{Survey, Visit, Visited};
use walk::Walk;

/// Finds servers and knocks at their doors. Cloning is cheap, and one client serves many tasks: what
/// DNS said and the TLS sessions are shared, the draws among servers of equal priority are not.
///
/// A gateway has one client for all its users, and bounds how many are at the door at once
/// ([`ClientBuilder::at_once`]).
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

#[derive(Clone)]
struct Settings {
    resolver: Arc<dyn Resolver>,
    transport: Arc<dyn Transport>,
    random: Arc<dyn Random>,
    search: Search,
    seed: Option<Seed>,
    epid: Option<Epid>,
    user_agent: String,
    rules: Arc<Rules>,
    compression: Compression,
    compression_level: Level,
    packet_header: Arc<dyn HeaderLayout>,
    negotiate_within: Duration,
    /// Who may be at a door.
    turns: Arc<Semaphore>,
}

impl Client {
    /// How many messages are passed over while the answer is awaited: provisional answers, answers
    /// to others, requests. One more is garbage.
    pub const PASSED_OVER_LIMIT: usize = SignIn::PASSED_OVER_LIMIT;

    /// How long a server may take to answer, by default: 15 s.
    pub const ANSWER_WITHIN: Duration = Rules::ANSWER_WITHIN;

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
                rules: Arc::default(),
                compression: Compression::default(),
                compression_level: Level::default(),
                packet_header: Arc::new(SixBytes),
                negotiate_within: Negotiation::ANSWER_WITHIN,
                turns: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
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
        let seed = self.seed(address)?;
        let plan = DiscoveryPlan::new(address, &self.settings.search, seed, now());
        let mut walk = Walk::new(&self.settings, plan);
        let mut refusals = Vec::new();
        loop {
            let Connected { connection, endpoint, address: peer, token } =
                match walk.connection().await {
                    Ok(connected) => connected,
                    Err(cause) => {
                        let kind = SignInFailureKind::NoServer { cause, refusals };
                        return Err(failure(kind, &walk.plan));
                    }
                };
            let mut said = None;
            let knock = self.knock(walk.plan.trace(), &endpoint, peer, connection, &mut said).await;
            said.into_iter().for_each(|said| walk.plan.note(said, now()));
            match knock {
                Ok(challenged) => return Ok(challenged),
                Err(Knock::Next(why, refusal)) => {
                    walk.plan.handle(token.useless(why), now());
                    refusals.extend(refusal.map(|refusal| (endpoint, *refusal)));
                }
                Err(Knock::Final(kind)) => {
                    walk.plan.handle(token.final_answer(WireText::printed(&kind)), now());
                    return Err(failure(*kind, &walk.plan));
                }
            }
        }
    }

    /// Finds the server of `address` and signs in there, or wherever it redirects to, with the
    /// credentials that `source` gives when it is asked. [seed, article 1]
    ///
    /// A server that fails in a way that another one may mend is left for the next. The future may
    /// be dropped at any point; nothing goes on behind it.
    ///
    /// # Errors
    /// [`SignInFailure`] says whose fault it is, what, and what to do, with the whole trace.
    ///
    /// ```no_run
    /// # #[cfg(feature = "net")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sip_signin::auth::Credentials;
    /// use sip_signin::{Client, FixedCredentials};
    /// let client = Client::system()?;
    /// let credentials = Credentials::new(r"CONTOSO\jeremy".parse()?, "Passw0rd!");
    /// let source = FixedCredentials::new(credentials);
    /// let signed_in = client.sign_in(&"sip:jeremy@contoso.com".parse()?, &source).await?;
    /// println!("signed in at {} for {:?}", signed_in.endpoint, signed_in.registration.expires);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sign_in(
        &self,
        address: &SipAddress,
        source: &dyn CredentialSource,
    ) -> Result<SignedIn, SignInFailure> {
        let _turn = self.settings.turns.acquire().await;
        // Boxed: a task that signs in and then receives for days holds the larger of the two.
        Box::pin(Journey::new(self, address, source)?.travel()).await
    }

    /// The same client, which tries first the server that let the user in before; without one it
    /// searches as ever. Doors, TLS sessions and what DNS answered stay shared.
    ///
    /// ```no_run
    /// # #[cfg(feature = "net")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sip_signin::{Client, NoCredentials};
    /// let (client, address) = (Client::system()?, "sip:jeremy@contoso.com".parse()?);
    /// // A text that does not read back is as good as none.
    /// let last = std::fs::read_to_string("last").ok().and_then(|text| text.parse().ok());
    /// let signed_in = client.remembering(last).sign_in(&address, &NoCredentials).await?;
    /// match signed_in.last_server() {
    ///     Some(last) => std::fs::write("last", last.to_string())?,
    ///     None => std::fs::remove_file("last")?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn remembering(&self, last: Option<LastServer>) -> Self {
        let search = self.settings.search.remembering(last);
        Self { settings: Arc::new(Settings { search, ..Settings::clone(&self.settings) }) }
    }

    /// The same client as one device, which the server knows when it comes back: with its own
    /// identity, or else with a random one.
    pub(crate) fn as_one_device(&self) -> Result<(Self, Epid), RandomError> {
        let epid = match &self.settings.epid {
            Some(epid) => epid.clone(),
            None => random_epid(&*self.settings.random)?,
        };
        let settings = Settings { epid: Some(epid.clone()), ..Settings::clone(&self.settings) };
        Ok((Self { settings: Arc::new(settings) }, epid))
    }

    fn register(
        &self,
        address: &SipAddress,
        endpoint: &Endpoint,
        local: SocketAddr,
    ) -> Result<Register, Box<SignInFailureKind>> {
        let settings = &*self.settings;
        let random = &*settings.random;
        let draw = || -> Result<(Tokens, Epid), RandomError> {
            let [call_id, from_tag, branch, contact, epid] = hexes(random, [16, 5, 8, 5, 5])?;
            let tokens = Tokens { call_id, from_tag, branch, contact };
            let epid = match &settings.epid {
                Some(epid) => epid.clone(),
                None => epid.parse().map_err(|_| RandomError)?,
            };
            Ok((tokens, epid))
        };
        let (tokens, epid) =
            draw().map_err(|error| Box::new(SignInFailureKind::NoRandom(error)))?;
        let transport = match endpoint.protocol {
            Protocol::Tls => UriTransport::Tls,
            Protocol::Tcp => UriTransport::Tcp,
        };
        Register::new(address, local, transport, tokens, epid, &settings.user_agent)
            .map_err(|error| Box::new(SignInFailureKind::Unwritable(error)))
    }

    /// The seed of a search.
    fn seed(&self, address: &SipAddress) -> Result<Seed, SignInFailure> {
        let Settings { seed, search, random, .. } = &*self.settings;
        seed.map_or_else(|| random_seed(&**random), Ok).map_err(|error| {
            let plan = DiscoveryPlan::new(address, search, Seed::default(), now());
            failure(SignInFailureKind::NoRandom(error), &plan)
        })
    }
}

fn random_seed(random: &dyn Random) -> Result<Seed, RandomError> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes)?;
    Ok(Seed(u64::from_le_bytes(bytes)))
}

fn random_epid(random: &dyn Random) -> Result<Epid, RandomError> {
    hex::<5>(random)?.parse().map_err(|_| RandomError)
}

fn failure(kind: SignInFailureKind, plan: &DiscoveryPlan<Box<dyn Connection>>) -> SignInFailure {
    SignInFailure::new(kind, plan.trace().clone())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("search", &self.search).finish_non_exhaustive()
    }
}
