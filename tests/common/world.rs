//! A world in virtual time: what DNS and the servers say and after how long, and a driver that
//! walks a plan through it to its end.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Absence, Answer, Cause, ConnectFailure, DiscoveryPlan, Endpoint, Family, LookupFailure,
    Outcome, Protocol, Search, Seed, SrvAnswer, SrvRecord, Step, Token, Trace,
};
use sip_signin::{HostName, Origin, SipAddress, SrvName};

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
}

/// What happened: the plan's steps, and what the plan heard in time.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    AskSrv(SrvName),
    AskHost(HostName, Family),
    Dial(Lead, IpAddr, Origin),
    Adopt(Lead, IpAddr),
    Exhausted(Cause),
    HeardSrv(SrvName, Said),
    HeardHost(HostName, Family, Said),
    HeardDial(Lead, IpAddr, DialSays),
    /// The token of the adopted connection came back.
    Returned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Found,
    Absent,
    Failed,
    /// Not in time.
    Nothing,
}

/// One walk.
pub struct Run {
    pub log: Vec<(Duration, Deed)>,
    pub trace: Trace,
    /// How long connections were adopted, in total.
    pub idle: Duration,
    pub polls: usize,
}

/// An open connection; the counter knows how many there are.
pub struct Wire(Rc<Cell<usize>>);

impl Wire {
    pub fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

pub const DOMAIN: &str = "contoso.com";

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

    /// What it says to a connect to this address.
    pub fn give_server_at(&mut self, lead: &str, address: &str, says: After<DialSays>) {
        self.dials.push((Lead::read(lead), Some(address.parse().unwrap()), says));
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

    /// Walks a plan to its end.
    pub fn run(&self, search: &Search, seed: Seed) -> Run {
        self.run_for(&jeremy(), search, seed)
    }

    pub fn run_for(&self, address: &SipAddress, search: &Search, seed: Seed) -> Run {
        let start = Instant::now();
        let plan = DiscoveryPlan::new(address, search, seed, start);
        let walk = Walk {
            world: self,
            plan,
            start,
            now: start,
            told: false,
            epoch: 0,
            pending: Vec::new(),
            adopted: None,
            left: self.useless,
            wires: Rc::default(),
            log: Vec::new(),
            idle: Duration::ZERO,
            polls: 0,
        };
        walk.to_the_end()
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

struct Pending {
    due: Option<Instant>,
    until: Instant,
    epoch: usize,
    deed: Deed,
    outcome: Outcome<Wire>,
}

struct Walk<'a> {
    world: &'a World,
    plan: DiscoveryPlan<Wire>,
    start: Instant,
    now: Instant,
    told: bool,
    epoch: usize,
    pending: Vec<Pending>,
    adopted: Option<(Wire, Token, Instant)>,
    left: usize,
    wires: Rc<Cell<usize>>,
    log: Vec<(Duration, Deed)>,
    idle: Duration,
    polls: usize,
}

impl Walk<'_> {
    fn to_the_end(mut self) -> Run {
        loop {
            let wake = self.drain();
            if matches!(self.log.last(), Some((_, Deed::Exhausted(_)))) {
                return self.close();
            }
            let fidget = self.world.manners.fidget.map(|ms| self.now + Duration::from_millis(ms));
            let fidget = fidget.filter(|_| wake.is_some());
            let due = self.pending.iter().filter_map(|p| p.due).min();
            let back = self.adopted.as_ref().map(|(_, _, back)| *back);
            let next = [wake, fidget, due, back].into_iter().flatten().min();
            let next = next.expect("an idle plan is owed its token");
            (self.now, self.told) = (next, next == self.now && self.told);
            self.deliver();
        }
    }

    fn log(&mut self, deed: Deed) {
        self.log.push((self.now.duration_since(self.start), deed));
    }

    /// The time to tell the plan.
    fn time(&mut self) -> Instant {
        let told = std::mem::replace(&mut self.told, true);
        if told && self.world.manners.backwards { self.start } else { self.now }
    }

    fn expect<T>(
        &mut self,
        after: After<T>,
        until: Instant,
        deed: impl FnOnce(&T) -> Deed,
        outcome: impl FnOnce(T) -> Outcome<Wire>,
    ) {
        let due = after.ms.map(|ms| self.now + Duration::from_millis(ms));
        if !self.world.manners.lazy && due.is_none_or(|due| due > until) {
            return;
        }
        let deed = deed(&after.says);
        let outcome = outcome(after.says);
        self.pending.push(Pending { due, until, epoch: self.epoch, deed, outcome });
    }

    /// Polls until there is nothing to do; then, when to poll again.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            self.polls += 1;
            assert!(self.polls < 20_000, "this never ends");
            let time = self.time();
            match self.plan.poll_step(time) {
                Step::LookupSrv(step) => {
                    assert!(step.until() > self.now);
                    let name = step.name().clone();
                    self.log(Deed::AskSrv(name.clone()));
                    let after = self.world.asked_srv(&name);
                    let until = step.until();
                    let deed = |says: &SrvSays| Deed::HeardSrv(name, said(says));
                    self.expect(after, until, deed, |says| step.answer(says));
                }
                Step::LookupHost(step) => {
                    assert!(step.until() > self.now);
                    let (name, family) = (step.host().clone(), step.family());
                    self.log(Deed::AskHost(name.clone(), family));
                    let after = self.world.asked_host(&name, family);
                    let until = step.until();
                    let deed = |says: &HostSays| Deed::HeardHost(name, family, said(says));
                    self.expect(after, until, deed, |says| step.answer(says));
                }
                Step::Connect(step) => {
                    assert!(step.until() > self.now);
                    assert_eq!(step.address().port(), step.endpoint().port);
                    let lead = Lead::of(step.endpoint());
                    let (address, origin) = (step.address().ip(), step.endpoint().host.origin());
                    self.log(Deed::Dial(lead.clone(), address, origin));
                    let after = self.world.dialled(&lead, address);
                    let (until, wires) = (step.until(), self.wires.clone());
                    let deed = |says: &DialSays| Deed::HeardDial(lead, address, says.clone());
                    // A connection that is still being made is none yet: the wire is counted later.
                    self.expect(after, until, deed, |says| match says {
                        Ok(()) => step.established(Wire::new(&wires)),
                        Err(failure) => step.failed(failure),
                    });
                }
                Step::Wait { until } => {
                    assert!(until > self.now, "a wait for the past");
                    assert!(self.adopted.is_none(), "waiting, and adopted");
                    return Some(until);
                }
                Step::Connected(connected) => {
                    assert!(self.adopted.is_none(), "adopted twice");
                    assert_eq!(connected.address.port(), connected.endpoint.port);
                    let lead = Lead::of(&connected.endpoint);
                    self.log(Deed::Adopt(lead, connected.address.ip()));
                    let back = self.now + Duration::from_millis(self.world.hold);
                    self.adopted = Some((connected.connection, connected.token, back));
                    self.epoch += 1;
                    if !self.world.manners.lazy {
                        self.pending.clear();
                    }
                    self.count_wires(1);
                }
                Step::Idle => {
                    assert!(self.adopted.is_some(), "idle, and nothing adopted");
                    return None;
                }
                Step::Exhausted(cause) => {
                    assert!(self.adopted.is_none(), "exhausted, and adopted");
                    self.log(Deed::Exhausted(cause));
                    return None;
                }
            }
        }
    }

    /// Every connection is adopted, not yet handed in, or dropped.
    fn count_wires(&self, held: usize) {
        let open = |p: &&Pending| matches!(p.deed, Deed::HeardDial(_, _, Ok(())));
        let outside = self.pending.iter().filter(open).count();
        assert_eq!(self.wires.get(), held + outside, "a connection leaked");
    }

    fn deliver(&mut self) {
        while let Some(at) = self.earliest_due() {
            let Pending { until, epoch, deed, outcome, .. } = self.pending.remove(at);
            let heard = epoch == self.epoch && self.adopted.is_none() && self.now <= until;
            if heard {
                self.log(deed);
            }
            let time = self.time();
            self.plan.handle(outcome, time);
            if self.adopted.is_some() {
                self.count_wires(1);
            }
            if self.world.manners.prompt {
                self.drain();
                if matches!(self.log.last(), Some((_, Deed::Exhausted(_)))) {
                    self.log.pop();
                    return;
                }
            }
        }
        if let Some((wire, token, _)) = self.adopted.take_if(|(_, _, back)| *back <= self.now) {
            self.idle += Duration::from_millis(self.world.hold);
            drop(wire);
            self.log(Deed::Returned);
            let time = self.time();
            let useless = self.left > 0;
            self.left = self.left.saturating_sub(1);
            let outcome =
                if useless { token.useless("503") } else { token.final_answer("403 Forbidden") };
            self.plan.handle(outcome, time);
            self.count_wires(0);
        }
    }

    fn earliest_due(&self) -> Option<usize> {
        let due = |(at, p): (usize, &Pending)| Some((p.due.filter(|due| *due <= self.now)?, at));
        self.pending.iter().enumerate().filter_map(due).min().map(|(_, at)| at)
    }

    /// The end lasts: whatever comes now, the plan says the same and keeps nothing.
    fn close(mut self) -> Run {
        self.now += Duration::from_secs(60);
        for pending in std::mem::take(&mut self.pending) {
            self.plan.handle(pending.outcome, self.now);
        }
        let Step::Exhausted(again) = self.plan.poll_step(self.now) else {
            panic!("after the end something came");
        };
        assert_eq!(self.log.last().map(|(_, deed)| deed), Some(&Deed::Exhausted(again)));
        assert_eq!(self.wires.get(), 0, "a connection leaked");
        let trace = self.plan.trace().clone();
        Run { log: self.log, trace, idle: self.idle, polls: self.polls }
    }
}

fn said<T>(says: &Result<Answer<T>, LookupFailure>) -> Said {
    match says {
        Ok(Answer::Found(_)) => Said::Found,
        Ok(Answer::Absent(_)) => Said::Absent,
        Err(_) => Said::Failed,
    }
}

/// The trace, for the message of a failed assertion.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.trace)
    }
}

impl Run {
    /// Only what the plan asked for, with times.
    pub fn steps(&self) -> Vec<(Duration, Deed)> {
        let heard = |deed: &Deed| {
            matches!(
                deed,
                Deed::HeardSrv(..) | Deed::HeardHost(..) | Deed::HeardDial(..) | Deed::Returned
            )
        };
        self.log.iter().filter(|(_, deed)| !heard(deed)).cloned().collect()
    }

    pub fn adopted(&self) -> Vec<Lead> {
        let lead = |(_, deed): &(Duration, Deed)| match deed {
            Deed::Adopt(lead, _) => Some(lead.clone()),
            _ => None,
        };
        self.log.iter().filter_map(lead).collect()
    }

    pub fn dials(&self) -> Vec<(Lead, IpAddr)> {
        let dial = |(_, deed): &(Duration, Deed)| match deed {
            Deed::Dial(lead, address, _) => Some((lead.clone(), *address)),
            _ => None,
        };
        self.log.iter().filter_map(dial).collect()
    }

    pub fn cause(&self) -> &Cause {
        match self.log.last() {
            Some((_, Deed::Exhausted(cause))) => cause,
            _ => panic!("a run ends exhausted"),
        }
    }
}
