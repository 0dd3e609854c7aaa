//! The scenarios of the network lab (`benches/network`) in virtual time, with a round trip of 50 ms:
//! which steps the plan takes, in which order and when. A lookup takes one round trip, a connect
//! with TLS 1.3 two, a refusal one; the REGISTER takes one more from the adoption on.

#[path = "common/walk.rs"]
#[expect(dead_code, reason = "others look at more of a walk")]
mod walk;
#[path = "common/world.rs"]
#[expect(dead_code, reason = "others build worlds by hand")]
mod world;

use std::net::IpAddr;

use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, Family, Pace, Protocol, Search, Seed, SrvAnswer, SrvRecord,
};
use walk::Deed;
use world::{After, DOMAIN, Lead, World, at, host};

const TRIP: u64 = 50;

const INTERNAL: &str = "_sipinternaltls._tcp";
const EXTERNAL: &str = "_sip._tls";

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The pool inside and the server outside, as most scenarios have them.
const BOTH: &[(&str, u16, u16, &str, u16)] =
    &[(INTERNAL, 0, 0, "pool01", 5061), (EXTERNAL, 0, 0, "sip", 443)];

struct Scenario {
    name: &'static str,
    /// Service, priority, weight, target and port.
    records: &'static [(&'static str, u16, u16, &'static str, u16)],
    hosts: &'static [(&'static str, &'static str)],
    /// Addresses that never answer.
    silent: &'static [&'static str],
    /// Addresses that refuse.
    refusing: &'static [&'static str],
    /// What follows the two SRV questions, with the time in milliseconds.
    default: &'static [&'static str],
    /// Round trips to the answer of the REGISTER at the default pace.
    trips: u64,
    eager: &'static [&'static str],
    eager_trips: u64,
}

const GOOD: Scenario = Scenario {
    name: "S1: every record is good",
    records: BOTH,
    hosts: &[("pool01", "192.0.2.10"), ("sip", "192.0.2.20")],
    silent: &[],
    refusing: &[],
    default: &["50 dial pool01:5061 192.0.2.10", "150 adopt pool01:5061 192.0.2.10"],
    trips: 4,
    eager: &[
        "50 dial pool01:5061 192.0.2.10",
        "50 dial sip:443 192.0.2.20",
        "150 adopt pool01:5061 192.0.2.10",
    ],
    eager_trips: 4,
};

const SCENARIOS: &[Scenario] = &[
    GOOD,
    Scenario {
        name: "S2: the internal pool is a black hole",
        silent: &["192.0.2.10"],
        default: &[
            "50 dial pool01:5061 192.0.2.10",
            "150 dial sip:443 192.0.2.20",
            "350 adopt sip:443 192.0.2.20",
        ],
        trips: 8,
        eager: &[
            "50 dial pool01:5061 192.0.2.10",
            "50 dial sip:443 192.0.2.20",
            "150 adopt sip:443 192.0.2.20",
        ],
        eager_trips: 4,
        ..GOOD
    },
    Scenario {
        name: "S3: no SRV record, only hosts",
        records: &[],
        hosts: &[("sipinternal", "192.0.2.10"), ("sipexternal", "192.0.2.20")],
        default: &[
            "50 aaaa sipinternal",
            "50 a sipinternal",
            "50 aaaa sipexternal",
            "50 a sipexternal",
            "100 dial sipinternal:5061 192.0.2.10",
            "200 adopt sipinternal:5061 192.0.2.10",
        ],
        trips: 5,
        eager: &[
            "50 aaaa sipinternal",
            "50 a sipinternal",
            "50 aaaa sipexternal",
            "50 a sipexternal",
            "100 dial sipinternal:5061 192.0.2.10",
            "100 dial sipexternal:443 192.0.2.20",
            "100 dial sipexternal:5061 192.0.2.20",
            "200 adopt sipinternal:5061 192.0.2.10",
        ],
        eager_trips: 5,
        ..GOOD
    },
    Scenario {
        name: "S4: the pool has a dead IPv6 address and a good IPv4 address",
        hosts: &[("pool01", "2001:db8::30"), ("pool01", "192.0.2.10"), ("sip", "192.0.2.20")],
        silent: &["2001:db8::30"],
        default: &[
            "50 dial pool01:5061 2001:db8::30",
            "150 dial pool01:5061 192.0.2.10",
            "150 dial sip:443 192.0.2.20",
            "250 adopt pool01:5061 192.0.2.10",
        ],
        trips: 6,
        eager: &[
            "50 dial pool01:5061 2001:db8::30",
            "50 dial pool01:5061 192.0.2.10",
            "50 dial sip:443 192.0.2.20",
            "150 adopt pool01:5061 192.0.2.10",
        ],
        eager_trips: 4,
        ..GOOD
    },
    Scenario {
        name: "S5: three priorities, the first two pools are black holes",
        records: &[
            (INTERNAL, 0, 0, "pool01", 5061),
            (INTERNAL, 10, 0, "pool02", 5061),
            (INTERNAL, 20, 0, "pool03", 5061),
            (EXTERNAL, 0, 0, "sip", 443),
        ],
        hosts: &[
            ("pool01", "192.0.2.30"),
            ("pool02", "192.0.2.31"),
            ("pool03", "192.0.2.12"),
            ("sip", "192.0.2.20"),
        ],
        silent: &["192.0.2.30", "192.0.2.31"],
        default: &[
            "50 dial pool01:5061 192.0.2.30",
            "150 dial pool02:5061 192.0.2.31",
            "250 dial pool03:5061 192.0.2.12",
            "450 adopt pool03:5061 192.0.2.12",
        ],
        trips: 10,
        eager: &[
            "50 dial pool01:5061 192.0.2.30",
            "50 dial pool02:5061 192.0.2.31",
            "50 dial pool03:5061 192.0.2.12",
            "50 dial sip:443 192.0.2.20",
            "150 adopt pool03:5061 192.0.2.12",
        ],
        eager_trips: 4,
        ..GOOD
    },
    Scenario { name: "S6: a record in clear text fails, and is not asked for", ..GOOD },
    Scenario { name: "S7: a record in clear text is late, and is not asked for", ..GOOD },
    Scenario {
        name: "S8: the internal pool refuses",
        refusing: &["192.0.2.10"],
        default: &[
            "50 dial pool01:5061 192.0.2.10",
            "100 aaaa pool01",
            "100 a pool01",
            "100 dial sip:443 192.0.2.20",
            "200 adopt sip:443 192.0.2.20",
        ],
        trips: 5,
        eager: &[
            "50 dial pool01:5061 192.0.2.10",
            "50 dial sip:443 192.0.2.20",
            "100 aaaa pool01",
            "100 a pool01",
            "150 adopt sip:443 192.0.2.20",
        ],
        eager_trips: 4,
        ..GOOD
    },
    Scenario {
        name: "S9: three pools of one priority",
        records: &[
            (INTERNAL, 0, 10, "pool01", 5061),
            (INTERNAL, 0, 20, "pool02", 5061),
            (INTERNAL, 0, 70, "pool03", 5061),
        ],
        hosts: &[("pool01", "192.0.2.10"), ("pool02", "192.0.2.12"), ("pool03", "192.0.2.20")],
        default: &["50 dial pool03:5061 192.0.2.20", "150 adopt pool03:5061 192.0.2.20"],
        trips: 4,
        eager: &[
            "50 dial pool03:5061 192.0.2.20",
            "50 dial pool02:5061 192.0.2.12",
            "50 dial pool01:5061 192.0.2.10",
            "150 adopt pool03:5061 192.0.2.20",
        ],
        eager_trips: 4,
        ..GOOD
    },
];

impl Scenario {
    fn world(&self) -> World {
        let mut world = World::default();
        for service in [INTERNAL, EXTERNAL] {
            let of = || self.records.iter().filter(|(of, ..)| *of == service);
            let records: Vec<_> = of()
                .map(|(_, priority, weight, target, port)| {
                    SrvRecord::new(*priority, *weight, *port, &name(target))
                })
                .collect();
            let came_along = |target| {
                let own = self.hosts.iter().filter(move |(label, _)| *label == target);
                own.map(|(label, address)| (host(&name(label)), address.parse().unwrap()))
            };
            let additional = of().flat_map(|(_, _, _, target, _)| came_along(*target)).collect();
            let says = match records.is_empty() {
                true => Answer::Absent(Absence::NoSuchName),
                false => Answer::Found(SrvAnswer { records, additional }),
            };
            world.srv.push((service, at(TRIP, Ok(says))));
        }
        for (label, address) in self.hosts {
            let address: IpAddr = address.parse().unwrap();
            let says = at(TRIP, Ok(Answer::Found(vec![address])));
            world.hosts.push((host(&name(label)), Family::of(address), says));
            for port in [443, 5061] {
                let lead = Lead { protocol: Protocol::Tls, host: name(label), port };
                let says = if self.silent.contains(&&*address.to_string()) {
                    After { ms: None, says: Ok(()) }
                } else if self.refusing.contains(&&*address.to_string()) {
                    at(TRIP, Err(ConnectFailure::Refused))
                } else {
                    at(2 * TRIP, Ok(()))
                };
                world.dials.push((lead, Some(address), says));
            }
        }
        // The first entry that fits is the one that counts.
        for (label, family) in self.hosts.iter().flat_map(|(label, _)| FAMILIES.map(|f| (label, f)))
        {
            let says = at(TRIP, Ok(Answer::Absent(Absence::NoData)));
            world.hosts.push((host(&name(label)), family, says));
        }
        world
    }

    /// The steps up to the adoption, and the round trips to the answer of the REGISTER.
    fn walk(&self, pace: Pace) -> (Vec<String>, u64) {
        let search = Search::builder().pace(pace).build().unwrap();
        let run = self.world().run(&search, Seed(1));
        let mut steps = Vec::new();
        for (time, deed) in run.steps() {
            let what = match deed {
                Deed::AskSrv(name) => format!("srv {}", name.service()),
                Deed::AskHost(host, Family::V4) => format!("a {}", label(host.as_str())),
                Deed::AskHost(host, Family::V6) => format!("aaaa {}", label(host.as_str())),
                Deed::Dial(lead, address, _) => {
                    format!("dial {}:{} {address}", label(&lead.host), lead.port)
                }
                Deed::Adopt(lead, address) => {
                    let step = format!("{} adopt {}", time.as_millis(), label(&lead.host));
                    steps.push(format!("{step}:{} {address}", lead.port));
                    let arrival = u64::try_from(time.as_millis()).unwrap() + TRIP;
                    return (steps, arrival.div_ceil(TRIP));
                }
                _ => panic!("{}: no connection{run}", self.name),
            };
            steps.push(format!("{} {what}", time.as_millis()));
        }
        panic!("{}: it never ends", self.name);
    }
}

fn name(label: &str) -> String {
    format!("{label}.{DOMAIN}")
}

fn label(host: &str) -> &str {
    host.split('.').next().unwrap_or_default()
}

#[test]
fn each_scenario_takes_these_steps_in_this_order_and_no_more() {
    for scenario in SCENARIOS {
        for (pace, expected, trips) in [
            (Pace::DEFAULT, scenario.default, scenario.trips),
            (Pace::EAGER, scenario.eager, scenario.eager_trips),
        ] {
            let (steps, took) = scenario.walk(pace);
            let questions = [INTERNAL, EXTERNAL].map(|service| format!("0 srv {service}"));
            let expected = expected.iter().map(|step| (*step).to_owned());
            let expected: Vec<_> = questions.into_iter().chain(expected).collect();
            assert_eq!(steps, expected, "{} at pace {pace}", scenario.name);
            assert_eq!(took, trips, "{} at pace {pace}", scenario.name);
        }
    }
}
