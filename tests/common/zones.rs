//! Arbitrary worlds and searches, drawn so that something happens in them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ClearText, ConnectFailure, Family, LookupFailure,
    ManualServer, ManualServers, Pace, Protocol, Row, Search, SearchOrder, SrvAnswer, SrvRecord,
    Timeouts,
};
use sip_signin::{HostName, HostNamePolicy};

use super::world::{After, DialSays, HostSays, Manners, SrvSays, World, host};

/// The settings of a search, still open to change.
#[derive(Clone)]
pub struct Settings {
    pub order: SearchOrder,
    pub manual: Option<ManualServers>,
    pub policy: HostNamePolicy,
    pub trusted: Vec<HostName>,
    pub clear_text: ClearText,
    pub first_only: bool,
    pub hosts_after_failed: bool,
    pub pace: Pace,
    pub timeouts: Timeouts,
}

/// As a transcript's header has them.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.search())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            order: SearchOrder::COMMUNICATOR,
            manual: None,
            policy: HostNamePolicy::Relaxed,
            trusted: Vec::new(),
            clear_text: ClearText::Forbid,
            first_only: false,
            hosts_after_failed: false,
            pace: Pace::DEFAULT,
            timeouts: Timeouts::DEFAULT,
        }
    }
}

impl Settings {
    pub fn search(&self) -> Search {
        let search = Search::builder()
            .names(self.policy)
            .trust(self.trusted.clone())
            .clear_text(self.clear_text)
            .first_srv_record_only(self.first_only)
            .hosts_after_failed_lookups(self.hosts_after_failed)
            .pace(self.pace)
            .timeouts(self.timeouts);
        let search = match &self.manual {
            Some(servers) => search.manual(servers.clone()),
            None => search.order(self.order.clone()),
        };
        search.build().unwrap()
    }

    pub fn at(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// With so much time that no search runs out of it.
    pub fn unhurried(self) -> Self {
        let search = Duration::from_secs(36_000);
        Self { timeouts: Timeouts { search, ..self.timeouts }, ..self }
    }

    /// The presets' rows and the like; manual servers are drawn apart.
    pub fn tcp(&self) -> bool {
        self.clear_text == ClearText::Allow
    }
}

pub const SERVICES: [&str; 5] =
    ["_sipinternaltls._tcp", "_sipinternal._tcp", "_sip._tls", "_sip._tcp", "_sips._tcp"];

const TARGETS: [&str; 12] = [
    "server77.contoso.com",
    "sip.contoso.com",
    "contoso.com",
    "ap.contoso.com",
    "sipinternal.contoso.com",
    "SIPExternal.contoso.com.",
    "sip.eng.contoso.com",
    "sip.contoso.net",
    "pool.lync.com",
    ".",
    "_sip.contoso.com",
    "192.0.2.10",
];

const HOSTS: [&str; 9] = [
    "server77.contoso.com",
    "sip.contoso.com",
    "contoso.com",
    "ap.contoso.com",
    "sipinternal.contoso.com",
    "sipexternal.contoso.com",
    "sip.eng.contoso.com",
    "pool.lync.com",
    "sip.contoso.net",
];

/// What distinguishes one family of worlds from another.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Whether weights are drawn; without them the order inside an answer is forced.
    pub weights: bool,
    /// Whether answers may fail to come, or come late.
    pub silence: bool,
    /// How many of sixteen connects succeed.
    pub luck: u32,
}

impl Default for Kind {
    fn default() -> Self {
        Self { weights: true, silence: true, luck: 4 }
    }
}

fn delay(silence: bool, limit: u64) -> BoxedStrategy<Option<u64>> {
    let hush = u32::from(silence);
    prop_oneof![
        6 => Just(Some(0)),
        12 => (1u64..=130).prop_map(Some),
        6 => (131u64..=800).prop_map(Some),
        2 => (801..limit).prop_map(Some),
        hush => (limit + 1..limit + 900).prop_map(Some),
        hush => Just(None),
    ]
    .boxed()
}

fn after<T: std::fmt::Debug>(
    silence: bool,
    limit: u64,
    says: impl Strategy<Value = T>,
) -> impl Strategy<Value = After<T>> {
    (delay(silence, limit), says).prop_map(|(ms, says)| After { ms, says })
}

fn absence() -> impl Strategy<Value = Absence> {
    select(&[Absence::NoSuchName, Absence::NoData][..])
}

pub fn lookup_failure() -> impl Strategy<Value = LookupFailure> {
    select(vec![
        LookupFailure::ServerFailure,
        LookupFailure::TimedOut,
        LookupFailure::Malformed,
        LookupFailure::Refused,
        LookupFailure::Unreachable,
        LookupFailure::Other("broken".into()),
    ])
}

pub const MILD: [ConnectFailure; 4] = [
    ConnectFailure::Refused,
    ConnectFailure::Unreachable,
    ConnectFailure::TimedOut,
    ConnectFailure::ClosedBeforeTls,
];

pub fn telling() -> Vec<ConnectFailure> {
    vec![
        ConnectFailure::Certificate(CertificateFault::Untrusted),
        ConnectFailure::Certificate(CertificateFault::WrongName(vec!["sip.cpandl.com".into()])),
        ConnectFailure::Handshake("alert".into()),
        ConnectFailure::PeerTooOld,
        ConnectFailure::Other("broken".into()),
    ]
}

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => (1u8..=4).prop_map(|n| IpAddr::from([192, 0, 2, n])).boxed(),
        Family::V6 => {
            (1u16..=4).prop_map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])).boxed()
        }
    }
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![address(Family::V6), address(Family::V4)]
}

fn record(weights: bool) -> impl Strategy<Value = SrvRecord> {
    let weight = if weights { select(vec![0u16, 0, 1, 10, 60]) } else { select(vec![0u16]) };
    let target = prop_oneof![6 => select(&TARGETS[..6]), 2 => select(&TARGETS[..])];
    let port = prop_oneof![8 => select(vec![5061u16, 443]), 1 => select(vec![5060u16, 0])];
    (select(vec![0u16, 0, 10, 20]), weight, port, target)
        .prop_map(|(priority, weight, port, target)| SrvRecord::new(priority, weight, port, target))
}

fn srv_answer(weights: bool) -> impl Strategy<Value = SrvAnswer> {
    let records = prop::collection::vec(record(weights), 1..=4);
    let owner = select(&HOSTS[..6]).prop_map(host);
    let additional = prop::collection::vec((owner, any_address()), 0..=3);
    let additional = prop_oneof![2 => Just(Vec::new()), 1 => additional];
    (records, additional).prop_map(|(records, additional)| SrvAnswer { records, additional })
}

fn srv_says(weights: bool) -> impl Strategy<Value = SrvSays> {
    prop_oneof![
        8 => srv_answer(weights).prop_map(|answer| Ok(Answer::Found(answer))),
        5 => absence().prop_map(|a| Ok(Answer::Absent(a))),
        1 => lookup_failure().prop_map(Err),
        1 => Just(Ok(Answer::Found(SrvAnswer::default()))),
    ]
}

fn host_says(family: Family) -> impl Strategy<Value = HostSays> {
    let addresses = prop_oneof![
        4 => prop::collection::vec(address(family), 1..=2),
        1 => prop::collection::vec(any_address(), 0..=3),
    ];
    prop_oneof![
        6 => addresses.prop_map(|a| Ok(Answer::Found(a))),
        3 => absence().prop_map(|a| Ok(Answer::Absent(a))),
        1 => lookup_failure().prop_map(Err),
    ]
}

fn dial_says(luck: u32) -> impl Strategy<Value = DialSays> {
    prop_oneof![
        16 - luck => select(&MILD[..]).prop_map(Err),
        luck => Just(Ok(())),
        1 => select(telling()).prop_map(Err),
    ]
}

fn manners() -> impl Strategy<Value = Manners> {
    let bool = any::<bool>;
    (bool(), bool(), bool(), select(vec![None, None, Some(40), Some(700)])).prop_map(
        |(lazy, prompt, backwards, fidget)| Manners {
            lazy,
            prompt,
            backwards,
            fidget,
            folds: false,
        },
    )
}

/// What DNS as a whole knows of SRV.
#[derive(Clone, Copy, Debug)]
enum Sky {
    Mixed,
    Bare,
    BareOrFailed,
}

/// The services of [`SERVICES`] as one world has them.
fn services(kind: Kind) -> impl Strategy<Value = Vec<(&'static str, After<SrvSays>)>> {
    let one = move || after(kind.silence, 5000, srv_says(kind.weights));
    let sky =
        prop_oneof![4 => Just(Sky::Mixed), 3 => Just(Sky::Bare), 1 => Just(Sky::BareOrFailed)];
    (sky, [one(), one(), one(), one(), one()]).prop_map(|(sky, mut answers)| {
        for answer in &mut answers {
            let found = matches!(answer.says, Ok(Answer::Found(_)));
            match sky {
                Sky::Mixed => {}
                Sky::Bare => {
                    answer.says = Ok(Answer::Absent(Absence::NoSuchName));
                    answer.ms = answer.ms.filter(|&ms| ms < 5000).or(Some(0));
                }
                Sky::BareOrFailed if found => answer.says = Ok(Answer::Absent(Absence::NoData)),
                Sky::BareOrFailed => {}
            }
        }
        SERVICES.into_iter().zip(answers).collect()
    })
}

pub fn worlds(kind: Kind) -> impl Strategy<Value = World> {
    let of = move |family| {
        prop::collection::vec(after(kind.silence, 5000, host_says(family)), HOSTS.len())
    };
    let luck = prop::collection::vec(after(kind.silence, 8000, dial_says(kind.luck)), 1..=10);
    let useless = prop_oneof![1 => Just(0usize), 1 => 1usize..=3];
    (services(kind), of(Family::V6), of(Family::V4), luck, useless, 0u64..40_000, manners())
        .prop_map(|(srv, v6, v4, luck, useless, hold, manners)| {
            let all = |answers: Vec<_>, family| {
                let named = HOSTS.iter().zip(answers);
                named.map(move |(name, says)| (host(name), family, says)).collect::<Vec<_>>()
            };
            let mut hosts = all(v6, Family::V6);
            hosts.extend(all(v4, Family::V4));
            World { srv, hosts, dials: Vec::new(), luck, only: None, useless, hold, manners }
        })
}

fn own_order() -> impl Strategy<Value = SearchOrder> {
    use Protocol::{Tcp, Tls};
    let srv = |service: &'static str, protocol| Row::Srv { service: service.into(), protocol };
    let host =
        |label: &'static str, protocol, port| Row::Host { label: label.into(), protocol, port };
    let rows = vec![
        srv("_sipinternaltls._tcp", Tls),
        srv("_sipinternal._tcp", Tcp),
        srv("_sip._tls", Tls),
        srv("_sip._tcp", Tcp),
        srv("_sips._tcp", Tls),
        host("sipinternal", Tls, 5061),
        host("sipinternal", Tcp, 5060),
        host("sip", Tls, 443),
        host("sip", Tcp, 5060),
        host("ap", Tls, 5061),
        host("sipexternal", Tls, 443),
    ];
    let rows = subsequence(rows, 1..=8).prop_shuffle();
    rows.prop_map(|rows| SearchOrder::new("own", rows).unwrap())
}

pub fn orders() -> impl Strategy<Value = SearchOrder> {
    prop_oneof![2 => select(SearchOrder::PRESETS.to_vec()), 1 => own_order()]
}

pub fn paces() -> impl Strategy<Value = Pace> {
    let own = Pace {
        head_start: Some(Duration::from_millis(30)),
        patience: Duration::from_millis(70),
        patience_in_connects: 3,
        address_delay: None,
        resolution_delay: Duration::from_millis(20),
    };
    select(vec![Pace::DEFAULT, Pace::EAGER, Pace::ONE_AT_A_TIME, own])
}

/// Automatic searches.
pub fn searches() -> impl Strategy<Value = Settings> {
    let policy =
        select(vec![HostNamePolicy::Relaxed, HostNamePolicy::Strict, HostNamePolicy::AnySubdomain]);
    let trusted = prop_oneof![2 => Just(vec![]), 1 => Just(vec![host("lync.com")])];
    let clear_text = select(vec![ClearText::Forbid, ClearText::Allow]);
    let rarely = || prop::bool::weighted(0.15);
    let often = || prop::bool::weighted(0.3);
    (orders(), policy, trusted, clear_text, rarely(), often(), paces()).prop_map(
        |(order, policy, trusted, clear_text, first_only, hosts_after_failed, pace)| Settings {
            order,
            policy,
            trusted,
            clear_text,
            first_only,
            hosts_after_failed,
            pace,
            ..Settings::default()
        },
    )
}

/// Manual servers: internal, external or both, names and literals.
pub fn manuals() -> impl Strategy<Value = Settings> {
    const WRITTEN: [&str; 6] = [
        "sip.contoso.com",
        "sip.contoso.net:5061",
        "pool.lync.com:443",
        "192.0.2.1",
        "[2001:db8::2]:5061",
        "ap.contoso.com:5060",
    ];
    let server =
        move || select(&WRITTEN[..]).prop_map(|text| text.parse::<ManualServer>().unwrap());
    let both = prop_oneof![
        1 => server().prop_map(|i| (Some(i), None)),
        1 => server().prop_map(|e| (None, Some(e))),
        4 => (server(), server()).prop_map(|(i, e)| (Some(i), Some(e))),
    ];
    let protocol = select(vec![Protocol::Tls, Protocol::Tls, Protocol::Tcp]);
    (searches(), both, protocol).prop_map(|(settings, (internal, external), protocol)| {
        let manual = Some(ManualServers { internal, external, protocol });
        let clear_text = match protocol {
            Protocol::Tls => settings.clear_text,
            Protocol::Tcp => ClearText::Allow,
        };
        Settings { manual, clear_text, first_only: false, ..settings }
    })
}

/// Automatic searches, and some manual ones.
pub fn any_searches() -> impl Strategy<Value = Settings> {
    prop_oneof![5 => searches(), 1 => manuals()]
}
