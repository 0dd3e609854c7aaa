//! A deployment written down: what DNS answers, what each connect does, how long it takes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, Endpoint, Family, SrvAnswer, SrvRecord,
};
use sip_signin::{HostName, SrvName, WireText};

use crate::complaint::Complaint;
use crate::words::{self, Learned};
use crate::zone::Zone;

/// A world file; see `docs/tool.md`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    srv: BTreeMap<String, Said>,
    #[serde(default)]
    host: BTreeMap<String, Said>,
    #[serde(default)]
    connect: BTreeMap<String, String>,
    #[serde(default)]
    delay: BTreeMap<String, f64>,
}

/// Records, or a word for why there are none.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a list of records, or one of the words for why there are none")]
enum Said {
    Word(String),
    Records(Vec<String>),
}

/// What becomes of a connect.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It stands, and the server asks for a proof.
    Good,
    /// It stands, but the server is of no use.
    Useless(WireText),
    /// It stands, and the server says no for all others too.
    Final(WireText),
    Failed(ConnectFailure),
}

/// A world to play a search in.
#[derive(Debug)]
pub struct World {
    srv: BTreeMap<String, Learned<SrvAnswer>>,
    hosts: BTreeMap<(String, Family), Learned<Vec<IpAddr>>>,
    connects: BTreeMap<String, Ended>,
    otherwise: Ended,
    delays: BTreeMap<String, Duration>,
    zone: Option<Zone>,
}

const DEFAULT: &str = "default";

impl World {
    /// A world where DNS has this zone, or nothing, and where every server is well.
    pub fn new(zone: Option<Zone>) -> Self {
        Self {
            srv: BTreeMap::new(),
            hosts: BTreeMap::new(),
            connects: BTreeMap::new(),
            otherwise: Ended::Good,
            delays: BTreeMap::new(),
            zone,
        }
    }

    /// Reads a world file; where there is a zone too, DNS has its records, but for the names that the
    /// file has.
    pub fn read(path: &Path, text: &str, zone: Option<Zone>) -> Result<Self, Complaint> {
        let complain = |what: String| {
            let what = format!("{}: {what}", path.display());
            Complaint::input(what, "see `sip-signin help explain` for what a world file holds")
        };
        let file: File = toml::from_str(text).map_err(|error| complain(error.to_string()))?;
        let otherwise = if zone.is_some() { "ok" } else { "refused" };
        let otherwise = file.connect.get(DEFAULT).map_or(otherwise, String::as_str);
        let otherwise = read_end(otherwise).map_err(complain)?;
        let mut world = Self { otherwise, ..Self::new(zone) };
        for (name, said) in &file.srv {
            let name = srv_name(name).map_err(complain)?;
            let learned = said.learned(read_srv).map_err(complain)?;
            world.srv.insert(name, learned);
        }
        for (key, said) in &file.host {
            let (only, host) = host_key(key).map_err(complain)?;
            let both = [Family::V4, Family::V6].into_iter();
            for family in both.filter(|family| only.is_none_or(|only| only == *family)) {
                let learned = said.learned(read_addresses).map_err(complain)?;
                // What is said of one family stands as it is, however wrong.
                let learned = if only.is_none() { of_family(learned, family) } else { learned };
                world.hosts.insert((host.clone(), family), learned);
            }
        }
        for (key, end) in file.connect.iter().filter(|(key, _)| *key != DEFAULT) {
            let key = connect_key(key).map_err(complain)?;
            world.connects.insert(key, read_end(end).map_err(complain)?);
        }
        for (key, millis) in &file.delay {
            let key = delay_key(key).map_err(complain)?;
            let delay = Duration::try_from_secs_f64(*millis / 1000.0).ok();
            let delay = delay.filter(|delay| *delay < DAY);
            let delay = delay.ok_or_else(|| complain(format!("`{millis}` is no delay in ms")))?;
            world.delays.insert(key, delay);
        }
        Ok(world)
    }

    /// The SRV records of a name.
    pub fn srv(&self, name: &SrvName) -> Learned<SrvAnswer> {
        match (self.srv.get(&name.to_string()), &self.zone) {
            (Some(learned), _) => learned.clone(),
            (None, Some(zone)) => zone.srv(&name.to_string()),
            (None, None) => Ok(Answer::Absent(Absence::NoSuchName)),
        }
    }

    /// The addresses of a host.
    pub fn addresses(&self, host: &HostName, family: Family) -> Learned<Vec<IpAddr>> {
        match (self.hosts.get(&(host.to_string(), family)), &self.zone) {
            (Some(learned), _) => learned.clone(),
            (None, Some(zone)) => zone.addresses(host.as_str(), family),
            (None, None) => {
                // Whoever has the other family has a name.
                let named = [Family::V4, Family::V6].map(|f| (host.to_string(), f));
                let known = named.iter().any(|key| self.hosts.contains_key(key));
                let absence = if known { Absence::NoData } else { Absence::NoSuchName };
                Ok(Answer::Absent(absence))
            }
        }
    }

    /// What a connect does: said of the address, of the host, or of all.
    pub fn connect(&self, endpoint: &Endpoint, address: SocketAddr) -> Ended {
        let keys = keys(endpoint, address);
        let said = keys.iter().find_map(|key| self.connects.get(key));
        said.unwrap_or(&self.otherwise).clone()
    }

    /// How long a connect takes, where that is said.
    pub fn connect_delay(&self, endpoint: &Endpoint, address: SocketAddr) -> Option<Duration> {
        keys(endpoint, address).iter().find_map(|key| self.delays.get(key)).copied()
    }

    /// How long an SRV question takes, where that is said.
    pub fn srv_delay(&self, name: &SrvName) -> Option<Duration> {
        self.delays.get(&name.to_string()).copied()
    }

    /// How long an address question takes, where that is said.
    pub fn host_delay(&self, host: &HostName, family: Family) -> Option<Duration> {
        let of_family = self.delays.get(&format!("{family} {host}"));
        of_family.or_else(|| self.delays.get(host.as_str())).copied()
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Said {
    fn learned<T>(
        &self,
        read: impl Fn(&[String]) -> Result<T, String>,
    ) -> Result<Learned<T>, String> {
        match self {
            Self::Records(records) => Ok(Ok(Answer::Found(read(records)?))),
            Self::Word(word) => words::read_lookup(word).ok_or_else(|| {
                format!("no lookup answers `{word}`; it answers {}", words::LOOKUPS.join(", "))
            }),
        }
    }
}

/// `0 0 5061 sip.contoso.com`, and `sip.contoso.com 192.0.2.1` for addresses that come along.
fn read_srv(records: &[String]) -> Result<SrvAnswer, String> {
    let mut answer = SrvAnswer::default();
    for record in records {
        let words: Vec<&str> = record.split_ascii_whitespace().collect();
        let bad = || {
            format!(
                "`{record}` is no record; it looks like \"0 0 5061 sip.contoso.com\": priority, \
                     weight, port, target"
            )
        };
        match words[..] {
            [priority, weight, port, target] => {
                let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
                let target = WireText::read_back(target).ok_or_else(bad)?;
                answer.records.push(SrvRecord::new(
                    number(priority)?,
                    number(weight)?,
                    number(port)?,
                    target.raw(),
                ));
            }
            [host, address] => {
                let host = host.parse().map_err(|_| bad())?;
                answer.additional.push((host, address.parse().map_err(|_| bad())?));
            }
            _ => return Err(bad()),
        }
    }
    Ok(answer)
}

fn read_addresses(addresses: &[String]) -> Result<Vec<IpAddr>, String> {
    let read = |text: &String| text.parse().map_err(|_| format!("`{text}` is no IP address"));
    addresses.iter().map(read).collect()
}

fn of_family(learned: Learned<Vec<IpAddr>>, family: Family) -> Learned<Vec<IpAddr>> {
    match learned {
        Ok(Answer::Found(addresses)) => {
            let any = !addresses.is_empty();
            let own: Vec<_> = addresses.into_iter().filter(|a| Family::of(*a) == family).collect();
            // An empty list stands for itself: an answer with nothing in it.
            if own.is_empty() && any {
                return Ok(Answer::Absent(Absence::NoData));
            }
            Ok(Answer::Found(own))
        }
        other => other,
    }
}

fn read_end(text: &str) -> Result<Ended, String> {
    let (word, detail) = text.split_once(':').unwrap_or((text, ""));
    let detail = WireText::read_back(detail.trim()).unwrap_or_else(|| detail.trim().into());
    match word {
        "useless" => return Ok(Ended::Useless(detail)),
        "final" => return Ok(Ended::Final(detail)),
        _ => {}
    }
    match words::read_connect(text) {
        Some(Ok(())) => Ok(Ended::Good),
        Some(Err(failure)) => Ok(Ended::Failed(failure)),
        None => Err(format!(
            "no connect does `{text}`; it does {}, useless, final",
            words::CONNECTS.join(", ")
        )),
    }
}

fn srv_name(text: &str) -> Result<String, String> {
    let name: SrvName = text.parse().map_err(|error| format!("{error}"))?;
    Ok(name.to_string())
}

fn families(key: &str) -> Option<(Family, &str)> {
    let v6 = key.strip_prefix("aaaa ").map(|host| (Family::V6, host));
    v6.or_else(|| key.strip_prefix("a ").map(|host| (Family::V4, host)))
}

/// `sip.contoso.com`, or `a sip.contoso.com` and `aaaa sip.contoso.com` for one family alone.
fn host_key(key: &str) -> Result<(Option<Family>, String), String> {
    let (family, host) = match families(key) {
        Some((family, host)) => (Some(family), host),
        None => (None, key),
    };
    let host: HostName = host.parse().map_err(|error| format!("{error}"))?;
    Ok((family, host.to_string()))
}

/// `tls sip.contoso.com:5061`, `tls 192.0.2.1:5061`, `tls [2001:db8::1]:5061`.
fn connect_key(key: &str) -> Result<String, String> {
    let bad = || {
        format!(
            "`{key}` is no connect; it looks like \"tls sip.contoso.com:5061\", with a host or \
                 an address"
        )
    };
    let (protocol, server) = key.split_once(' ').ok_or_else(bad)?;
    let server: sip_signin::discovery::ManualServer = server.parse().map_err(|_| bad())?;
    let port = server.port.ok_or_else(bad)?;
    match protocol {
        "tls" | "tcp" => Ok(format!("{protocol} {}:{port}", server.host)),
        _ => Err(bad()),
    }
}

fn delay_key(key: &str) -> Result<String, String> {
    if key.starts_with("tls ") || key.starts_with("tcp ") {
        return connect_key(key);
    }
    if key.starts_with('_') {
        return srv_name(key);
    }
    Ok(match host_key(key)? {
        (Some(family), host) => format!("{family} {host}"),
        (None, host) => host,
    })
}

/// What may be said of a connect, the most exact first.
fn keys(endpoint: &Endpoint, address: SocketAddr) -> [String; 2] {
    [format!("{} {address}", endpoint.protocol), endpoint.to_string()]
}
