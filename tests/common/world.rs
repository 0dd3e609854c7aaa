//! A world in virtual time: what DNS and the servers say, and after how long.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, Endpoint, Family, LookupFailure, Protocol, SrvAnswer,
    SrvRecord,
};
use sip_signin::{HostName, SipAddress, SrvName};

/// What is said, and how many milliseconds after it was asked; `None`: never.
#[derive(Clone)]
pub struct After<T> {
    pub ms: Option<u64>,
    pub says: T,
}

pub type SrvSays = Result<Answer<SrvAnswer>, LookupFailure>;
pub type HostSays = Result<Answer<Vec<IpAddr>>, LookupFailure>;
pub type DialSays = Result<(), ConnectFailure>;

/// A protocol, a host and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lead {
    pub protocol: Protocol,
    pub host: String,
    pub port: u16,
}

/// The world. What it does not mention is absent, and refuses connections, at once.
#[derive(Clone, Default)]
pub struct World {
    /// By service labels.
    pub srv: Vec<(&'static str, After<SrvSays>)>,
    pub hosts: Vec<(HostName, Family, After<HostSays>)>,
    /// By lead and, if one is given, address; the first that fits.
    pub dials: Vec<(Lead, Option<IpAddr>, After<DialSays>)>,
    /// What a dial that `dials` does not mention meets: one of these, always the same.
    pub luck: Vec<After<DialSays>>,
    /// If set, nobody else's connects succeed.
    pub only: Option<Lead>,
    /// How many adopted connections turn out useless.
    pub useless: usize,
    /// How long an adopted connection is kept before that is known.
    pub hold: u64,
    pub manners: Manners,
}

/// How the driver behaves; a plan must stand all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Hands in outcomes that are late or forgotten, too.
    pub lazy: bool,
    /// Polls after each outcome, not after all outcomes of an instant.
    pub prompt: bool,
    /// Gives a time that is too early, wherever the right one was given once.
    pub backwards: bool,
    /// Polls at least so often, in milliseconds.
    pub fidget: Option<u64>,
    /// Folds the plan, and unfolds it, wherever it comes by.
    pub folds: bool,
}

pub const DOMAIN: &str = "contoso.com";

/// When a walk begins.
#[expect(clippy::disallowed_methods, reason = "any instant to count from")]
pub fn beginning() -> Instant {
    Instant::now()
}

pub fn jeremy() -> SipAddress {
    format!("sip:jeremy@{DOMAIN}").parse().unwrap()
}

pub fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

impl Lead {
    /// Reads `tls sip.contoso.com:5061`.
    pub fn read(text: &str) -> Self {
        let (protocol, rest) = text.split_once(' ').unwrap();
        let (host, port) = rest.rsplit_once(':').unwrap();
        let protocol = if protocol == "tls" { Protocol::Tls } else { Protocol::Tcp };
        Self { protocol, host: host.into(), port: port.parse().unwrap() }
    }

    pub fn of(endpoint: &Endpoint) -> Self {
        let host = match endpoint.host.name() {
            Some(name) => name.as_str().into(),
            None => endpoint.host.to_string(),
        };
        Self { protocol: endpoint.protocol, host, port: endpoint.port }
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.protocol, self.host, self.port)
    }
}

impl<T: fmt::Debug> fmt::Debug for After<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            Some(ms) => f.write_str(&format!("+{ms}ms {:?}", self.says)),
            None => f.write_str("never"),
        }
    }
}

/// One line for each thing, so that a shrunk case can be read.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |f: &mut fmt::Formatter<'_>, lines: Vec<String>| {
            lines.into_iter().try_for_each(|line| writeln!(f, "  {line}"))
        };
        writeln!(f, "World")?;
        lines(f, self.srv.iter().map(|line| format!("{line:?}")).collect())?;
        lines(f, self.hosts.iter().map(|line| format!("{line:?}")).collect())?;
        lines(f, self.dials.iter().map(|line| format!("{line:?}")).collect())?;
        lines(f, self.luck.iter().map(|line| format!("luck {line:?}")).collect())?;
        let Self { only, useless, hold, manners, .. } = self;
        writeln!(f, "  only {only:?}, useless {useless}, hold {hold}")?;
        lines(f, vec![format!("{manners:?}")])
    }
}

pub fn at<T>(ms: u64, says: T) -> After<T> {
    After { ms: Some(ms), says }
}

/// Worlds written by hand.
impl World {
    /// One service with one record, whose target has the address 192.0.2.1.
    pub fn of_record(service: &'static str, target: &str) -> Self {
        let mut world = Self::default();
        world.give_record(service, target);
        world.give_address(target, "192.0.2.1");
        world
    }

    /// Puts `0 0 5061 target` into the zone.
    pub fn give_record(&mut self, service: &'static str, target: &str) {
        self.give_records(service, vec![SrvRecord::new(0, 0, 5061, target)]);
    }

    pub fn give_records(&mut self, service: &'static str, records: Vec<SrvRecord>) {
        let answer = SrvAnswer { records, additional: Vec::new() };
        self.srv.insert(0, (service, at(0, Ok(Answer::Found(answer)))));
    }

    /// Puts addresses of one family into the zone; none of the other is there.
    pub fn give_address(&mut self, name: &str, address: &str) {
        let addresses: Vec<IpAddr> = address.split(", ").map(|a| a.parse().unwrap()).collect();
        let family = Family::of(addresses[0]);
        self.hosts.insert(0, (host(name), family, at(0, Ok(Answer::Found(addresses)))));
    }

    /// Puts a server, by `tls sip.contoso.com:5061`, which says this to every connect.
    pub fn give_server(&mut self, lead: &str, says: After<DialSays>) {
        self.dials.push((Lead::read(lead), None, says));
    }
}

impl World {
    pub fn asked_srv(&self, name: &SrvName) -> After<SrvSays> {
        let known = self.srv.iter().find(|(service, _)| *service == name.service());
        let known = known.filter(|_| name.domain().as_str() == DOMAIN);
        known.map_or(at(0, Ok(Answer::Absent(Absence::NoSuchName))), |(_, after)| after.clone())
    }

    pub fn asked_host(&self, name: &HostName, family: Family) -> After<HostSays> {
        let known = self.hosts.iter().find(|(host, of, _)| host == name && *of == family);
        known.map_or(at(0, Ok(Answer::Absent(Absence::NoData))), |(_, _, after)| after.clone())
    }

    pub fn dialled(&self, lead: &Lead, address: IpAddr) -> After<DialSays> {
        let fits = |(to, by, _): &&(Lead, Option<IpAddr>, _)| {
            to == lead && by.is_none_or(|by| by == address)
        };
        let mut after = match self.dials.iter().find(fits) {
            Some((_, _, after)) => after.clone(),
            None if self.luck.is_empty() => at(0, Err(ConnectFailure::Refused)),
            None => self.luck[fingerprint(lead, address) % self.luck.len()].clone(),
        };
        if after.says.is_ok() && self.only.as_ref().is_some_and(|only| only != lead) {
            after.says = Err(ConnectFailure::Refused);
        }
        after
    }
}

fn fingerprint(lead: &Lead, address: IpAddr) -> usize {
    let mut hash = 17u32 + u32::from(lead.port) + lead.protocol as u32;
    let octets = match address {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => u128::from(v6) as u32 ^ 0x77,
    };
    for byte in lead.host.bytes().chain(octets.to_be_bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    (hash >> 7) as usize
}
