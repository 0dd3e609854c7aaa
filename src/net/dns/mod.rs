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
/// - What many want at the same time is asked once: the others wait for the same answer, or failure.
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
    services: Cache<SrvName, Answer<SrvAnswer>, LookupFailure>,
    addresses: Cache<(HostName, Family), Answer<Vec<IpAddr>>, LookupFailure>,
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
        let ask = async || {
            let asked = absolute(&name.to_string())?;
            self.0.lookup(asked, RecordType::SRV, read::srv_answer).await
        };
        self.0.services.get_or_ask(name.clone(), ask).await
    }

    async fn addresses(
        &self,
        host: &HostName,
        family: Family,
    ) -> Result<Answer<Vec<IpAddr>>, LookupFailure> {
        let asked = absolute(host.as_str())?;
        if let Some(answer) = self.0.hosts_file(&asked, family) {
            return Ok(answer);
        }
        let ask = || self.0.lookup(asked, kind(family), read::addresses);
        self.0.addresses.get_or_ask((host.clone(), family), ask).await
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
    fn hosts_file(&self, name: &Name, family: Family) -> Option<Answer<Vec<IpAddr>>> {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hickory_proto::op::ResponseCode;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A system with a search list and a hosts file, whose DNS knows nothing; and what is asked.
    async fn system() -> (HickoryResolver, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let book = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let mut message = Message::from_vec(&buffer[..length]).unwrap().into_response();
                book.lock().unwrap().push(message.queries[0].to_string());
                message.metadata.response_code = ResponseCode::NXDomain;
                socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        });
        let mut config = ResolverConfig::from_name_servers(Vec::new());
        for protocol in [ProtocolConfig::Udp, ProtocolConfig::Tcp] {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = server.port();
            config.add_name_server(NameServerConfig::new(server.ip(), true, vec![connection]));
        }
        config.add_search(Name::from_ascii("attacker.example.").unwrap());
        let mut hosts = Hosts::default();
        let file = "192.0.2.77 sip.contoso.com _sip._tls.contoso.com\n";
        hosts.read_hosts_conf(file.as_bytes()).unwrap();
        (HickoryResolver::from_parts(&config, hosts), asked)
    }

    #[tokio::test]
    async fn the_search_list_is_never_used() {
        let (resolver, asked) = system().await;
        assert_eq!(resolver.0.servers.len(), 1);
        let absent = Answer::Absent(Absence::NoSuchName);
        let srv = resolver.srv(&"_sip._tls.fabrikam.com".parse().unwrap()).await;
        assert_eq!(srv, Ok(absent));
        let one_label = HostName::parse("contoso").unwrap();
        let host = resolver.addresses(&one_label, Family::V4).await;
        assert_eq!(host, Ok(Answer::Absent(Absence::NoSuchName)));
        assert_eq!(*asked.lock().unwrap(), ["_sip._tls.fabrikam.com. IN SRV", "contoso. IN A"]);
    }

    #[tokio::test]
    async fn the_hosts_file_answers_for_hosts_and_not_for_services() {
        let (resolver, asked) = system().await;
        let sip = HostName::parse("SIP.contoso.com").unwrap();
        let named = Answer::Found(vec![IpAddr::from([192, 0, 2, 77])]);
        assert_eq!(resolver.addresses(&sip, Family::V4).await, Ok(named));
        let other = Answer::Absent(Absence::NoData);
        assert_eq!(resolver.addresses(&sip, Family::V6).await, Ok(other));
        assert_eq!(*asked.lock().unwrap(), [""; 0]);

        let srv = resolver.srv(&"_sip._tls.contoso.com".parse().unwrap()).await;
        assert_eq!(srv, Ok(Answer::Absent(Absence::NoSuchName)));
        assert_eq!(*asked.lock().unwrap(), ["_sip._tls.contoso.com. IN SRV"]);
    }

    #[tokio::test]
    async fn given_servers_come_without_a_hosts_file() {
        let (system, asked) = system().await;
        let resolver = HickoryResolver::with_servers(system.0.servers.clone());
        // The one name that every hosts file has.
        let localhost = HostName::parse("localhost").unwrap();
        let answer = resolver.addresses(&localhost, Family::V4).await;
        assert_eq!(answer, Ok(Answer::Absent(Absence::NoSuchName)));
        assert_eq!(*asked.lock().unwrap(), ["localhost. IN A"]);
    }
}
