//! Many clients whose pool fails at one moment, in virtual time and without sockets: each waits as
//! its back-off says, searches as its plan says, and ends at one of the servers that are left.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, DiscoveryPlan, Search, Seed, SrvAnswer, SrvRecord, SrvTarget,
    Step,
};
use sip_signin::{HostName, SipAddress};

/// The pool that fails; DNS still names it first.
pub const FAILED: &str = "pool01.contoso.com";
/// The servers behind it, and their weights.
pub const LEFT: [(&str, u16); 3] =
    [("backup1.contoso.com", 50), ("backup2.contoso.com", 30), ("backup3.contoso.com", 20)];
/// Over how long the first attempts spread: the base time of RFC 5626 section 4.5.
pub const SPREAD: Duration = Duration::from_secs(30);
/// There and back, for each question and each connect.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Failover {
    /// How many clients reached each server.
    pub reached: BTreeMap<HostName, u64>,
    /// How many were connected in each second since the pool failed.
    pub curve: Vec<u64>,
    /// When the last one was.
    pub last: Duration,
}

impl Failover {
    /// Lets `users` lose their pool at the same moment.
    pub fn of(users: u64, origin: Instant) -> Self {
        let address: SipAddress = "sip:jeremy@contoso.com".parse().expect("an address");
        let search = Search::default();
        let dns = records();
        let mut story = Self::default();
        for user in 0..users {
            let seed = Seed(user);
            let back = origin + first_wait(seed);
            let (server, at) = reconnect(&address, &search, &dns, seed, back);
            *story.reached.entry(server).or_default() += 1;
            let after = at - origin;
            let second = usize::try_from(after.as_secs()).expect("a small number");
            story.curve.resize(story.curve.len().max(second + 1), 0);
            story.curve[second] += 1;
            story.last = story.last.max(after);
        }
        story
    }

    /// The fullest second.
    pub fn peak(&self) -> u64 {
        self.curve.iter().copied().max().unwrap_or_default()
    }

    /// Clients a second, if the window of [`SPREAD`] took them evenly.
    pub fn mean(&self) -> f64 {
        self.reached.values().sum::<u64>() as f64 / SPREAD.as_secs_f64()
    }
}

/// What DNS says: the failed pool at a better priority than the servers behind it.
fn records() -> SrvAnswer {
    let mut records = vec![SrvRecord::new(0, 0, 5061, FAILED)];
    records.extend(LEFT.map(|(target, weight)| SrvRecord::new(10, weight, 5061, target)));
    let owner = |record: &SrvRecord| match &record.target {
        SrvTarget::Host(host) => host.clone(),
        other => panic!("{other} is no host"),
    };
    let addresses = (1..).map(|n| IpAddr::from([192, 0, 2, n]));
    let additional = records.iter().map(owner).zip(addresses).collect();
    SrvAnswer { records, additional }
}

/// One search from its first question to its connection: where it ends, and when.
fn reconnect(
    address: &SipAddress,
    search: &Search,
    dns: &SrvAnswer,
    seed: Seed,
    mut now: Instant,
) -> (HostName, Instant) {
    let mut plan = DiscoveryPlan::<()>::new(address, search, seed, now);
    let mut under_way = VecDeque::new();
    loop {
        let outcome = match plan.poll_step(now) {
            Step::LookupSrv(step) => match step.name().service() {
                "_sipinternaltls._tcp" => step.answer(Ok(Answer::Found(dns.clone()))),
                _ => step.answer(Ok(Answer::Absent(Absence::NoSuchName))),
            },
            Step::LookupHost(step) => step.answer(Ok(Answer::Absent(Absence::NoData))),
            Step::Connect(step) => match step.endpoint().host.name() {
                Some(host) if host.as_str() == FAILED => step.failed(ConnectFailure::Refused),
                _ => step.established(()),
            },
            Step::Wait { until } => {
                match under_way.pop_front() {
                    Some((at, outcome)) if at <= until => {
                        now = at;
                        plan.handle(outcome, now);
                    }
                    later => {
                        under_way.extend(later);
                        now = until;
                    }
                }
                continue;
            }
            Step::Connected(connected) => {
                let host = connected.endpoint.host.name().expect("dns names hosts");
                return (host.clone(), now);
            }
            other => panic!("{other:?}\n{}", plan.trace()),
        };
        under_way.push_back((now + ROUND_TRIP, outcome));
    }
}

/// How long a client waits that lost a session which had lived: a uniform draw from the base time.
fn first_wait(Seed(seed): Seed) -> Duration {
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    SPREAD.mul_f64((z >> 11) as f64 / (1u64 << 53) as f64)
}
