//! The resolver: hickory's messages and system configuration, our own questions and reading.
//!
//! hickory's own resolver is not used, because it discards what a search must know: it takes the
//! *target* of an SRV record for the next name to ask, so that an SRV set behind a CNAME comes out
//! as "no records"; it drops the additional section on the way; it asks a server that is not there
//! until the time is up; and it completes names with the search list unless told otherwise. Here
//! every answer is read from the message itself, and a lookup owns all that it opens: nothing is
//! spawned, and dropping the future closes its sockets.

mod ask;

mod cache;

mod read;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_resolver::Hosts;
use hickory_resolver::config::{ProtocolConfig, ResolverConfig};

use self::cache::Cache;
use self::read::Reading;
use crate::discovery::{Absence, Answer, Family, LookupFailure, SrvAnswer};
use crate::name::{HostName, SrvName};
use crate::resolver::Resolver;

/// A [`Resolver`] that asks DNS servers over UDP, and over TCP when an answer does not fit.
///
/// - Every name is absolute; the search list of the system is not even read.
/// - A lost datagram is sent again after a quarter of a second. A second server is asked beside the
///   first when that one fails, answers with SERVFAIL or REFUSED, or is silent for 300 ms; the
///   first usable answer counts. Four datagrams without an answer (3.75 s) are a time-out.
/// - EDNS announces 1232 bytes; a server that does not know EDNS is asked without it.
/// - CNAMEs are followed over at most [`CNAME_LIMIT`](Self::CNAME_LIMIT) hops, inside a message and
///   beyond it.
/// - Answers and absences (RFC 2308) are cached for their time to live, at most a day and three
///   hours; failures never are. At most [`CACHE_LIMIT`](Self::CACHE_LIMIT) of each kind.
///
/// It runs inside a tokio runtime with I/O and time. Clones share the cache.
///
/// ```no_run
/// # use sip_signin::discovery::Family;
/// # use sip_signin::{HostName, Resolver, net::HickoryResolver};
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = HickoryResolver::with_servers(["192.0.2.53:53".parse()?]);
/// let host = HostName::parse("sip.contoso.com")?;
/// println!("{:?}", resolver.addresses(&host, Family::V6).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HickoryResolver(Arc<Inner>);

struct Inner {
    servers: Vec<SocketAddr>,
    hosts: Hosts,
    services: Cache<SrvName, Answer<SrvAnswer>>,
    addresses: Cache<(HostName, Family), Answer<Vec<IpAddr>>>,
}

impl HickoryResolver {
    /// How many CNAMEs are followed before an answer counts as malformed.
    pub const CNAME_LIMIT: usize = 8;
    /// How many SRV answers, and how many address answers, are kept.
    pub const CACHE_LIMIT: usize = 1024;

    /// The DNS servers of the system, and its hosts file, both read now.
    ///
    /// The hosts file answers address questions, never SRV questions; a host that it names has no
    /// other addresses. Search list, `ndots` and the time-outs of the system are not used.
    ///
    /// # Errors
    /// When the configuration of the system cannot be read or names no server.
    pub fn system() -> io::Result<Self> {
        let (config, _) =
            hickory_resolver::system_conf::read_system_conf().map_err(io::Error::other)?;
        Ok(Self::from_parts(&config, Hosts::from_system().unwrap_or_default()))
    }

    /// These servers, in this order; no hosts file. Without any, every lookup fails as
    /// [`Unreachable`](LookupFailure::Unreachable).
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::new(servers, Hosts::default())
    }

    fn from_parts(config: &ResolverConfig, hosts: Hosts) -> Self {
        let servers = config.name_servers().iter().flat_map(|server| {
            let clear = |protocol: &ProtocolConfig| matches!(protocol, ProtocolConfig::Udp);
            let udp = server.connections.iter().filter(move |c| clear(&c.protocol));
            udp.map(|c| SocketAddr::new(server.ip, c.port))
        });
        Self::new(servers, hosts)
    }

    fn new(servers: impl IntoIterator<Item = SocketAddr>, hosts: Hosts) -> Self {
        let mut kept: Vec<SocketAddr> = Vec::new();
        for server in servers {
            if !kept.contains(&server) {
                kept.push(server);
            }
        }
        let services = Cache::new(Self::CACHE_LIMIT);
        let addresses = Cache::new(Self::CACHE_LIMIT);
        Self(Arc::new(Inner { servers: kept, hosts, services, addresses }))
    }
}

#[async_trait]
impl Resolver for HickoryResolver {
    async fn srv(&self, name: &SrvName) -> Result<Answer<SrvAnswer>, LookupFailure> {
        if let Some(answer) = self.0.services.get(name) {
            return Ok(answer);
        }
        let asked = absolute(&name.to_string())?;
        let (answer, ttl) = self.0.lookup(asked, RecordType::SRV, read::srv_answer).await?;
        self.0.services.put(name.clone(), &answer, ttl);
        Ok(answer)
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
        let asked = absolute(host.as_str())?;
        if let Some(answer) = self.0.from_hosts_file(&asked, family) {
            return Ok(answer);
        }
        let key = (host.clone(), family);
        if let Some(answer) = self.0.addresses.get(&key) {
            return Ok(answer);
        }
        let (answer, ttl) = self.0.lookup(asked, kind(family), read::addresses).await?;
        self.0.addresses.put(key, &answer, ttl);
        Ok(answer)
    }
}

impl Inner {
    /// Asks until the CNAMEs have led to records or to their absence; also for how long that holds.
    async fn lookup<T>(
        &self,
        asked: Name,
        kind: RecordType,
        convert: fn(&Message, &[&Record]) -> (T, u32),
    ) -> Result<(Answer<T>, Duration), LookupFailure> {
        let (mut name, mut hops, mut ttl) = (asked, 0, u32::MAX);
        loop {
            let message = ask::ask(&self.servers, &Query::query(name.clone(), kind)).await?;
            let (reading, time) = read::read(&message, &name, kind, &mut hops)?;
            ttl = ttl.min(time);
            let answer = match reading {
                Reading::Records(records) => {
                    let (found, time) = convert(&message, &records);
                    ttl = ttl.min(time);
                    Answer::Found(found)
                }
                Reading::Absent(absence) => Answer::Absent(absence),
                Reading::Alias(of) => {
                    name = of;
                    continue;
                }
            };
            return Ok((answer, Duration::from_secs(ttl.into())));
        }
    }

    /// A host that the file names has the addresses it names there, and no others.
    fn from_hosts_file(&self, name: &Name, family: Family) -> Option<Answer<Vec<IpAddr>>> {
        let named = |family| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), kind(family)))?;
            Some(found.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>())
        };
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        match named(family) {
            Some(addresses) => Some(Answer::Found(addresses)),
            None => named(other).map(|_| Answer::Absent(Absence::NoData)),
        }
    }
}

fn kind(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

/// The name with its final dot: nothing may be appended to it.
fn absolute(name: &str) -> Result<Name, LookupFailure> {
    Name::from_ascii(format!("{name}.")).map_err(|_| LookupFailure::TooLong)
}

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryResolver").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}
