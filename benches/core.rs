//! The pure core: time and heap allocations of a whole search, the name rule, the draw, the address.
//!
//! Each bench asserts the path that it claims to take.

#![expect(clippy::disallowed_methods, reason = "a bench is a caller: the clock is its own")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use divan::{AllocProfiler, Bencher};
use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, DiscoveryPlan, Family, Pace, Search, Seed, SrvAnswer,
    SrvRecord, Step, order_srv,
};
use sip_signin::{HostName, HostNamePolicy, NameRule, SipAddress};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn records(targets: &[&str]) -> Result<Answer<SrvAnswer>, sip_signin::discovery::LookupFailure> {
    let record = |target: &&str| SrvRecord::new(0, 10, 5061, target);
    let records = targets.iter().map(record).collect();
    Ok(Answer::Found(SrvAnswer { records, additional: Vec::new() }))
}

type Answers =
    (Vec<Result<Answer<SrvAnswer>, sip_signin::discovery::LookupFailure>>, Vec<Vec<IpAddr>>);

/// Three SRV answers with five targets, and an address for each: the input, not the work.
fn answers() -> Answers {
    let srv = vec![
        records(&["pool01.contoso.com", "pool02.contoso.com"]),
        records(&["sip.contoso.com"]),
        records(&["edge01.contoso.com", "edge02.contoso.com"]),
    ];
    (srv, (1..=5).map(|n| vec![IpAddr::from([192, 0, 2, n])]).collect())
}

/// An address in, one SRV answer with one server, whose address is asked for, one connect, adopted:
/// what nearly every sign-in does.
#[divan::bench]
fn ordinary_plan(bencher: Bencher) {
    let one_server = || {
        let absent = Ok(Answer::Absent(Absence::NoSuchName));
        let addresses = vec![vec![IpAddr::from([192, 0, 2, 1])]];
        (vec![records(&["pool01.contoso.com"]), absent], addresses)
    };
    plan(bencher, &Search::default(), one_server, 0, "pool01.contoso.com");
}

/// An address in, three SRV answers, five targets, two failed connects, the third one adopted, the
/// whole trace kept.
#[divan::bench]
fn whole_plan(bencher: Bencher) {
    let search = Search::builder()
        .clear_text(sip_signin::discovery::ClearText::Allow)
        .pace(Pace::ONE_AT_A_TIME)
        .build()
        .expect("a search");
    plan(bencher, &search, answers, 2, "edge");
}

/// A plan from its address to the connection with a server called `server`, `refused` connects in.
fn plan(
    bencher: Bencher,
    search: &Search,
    answers: impl FnMut() -> Answers,
    refused: usize,
    server: &str,
) {
    let address: SipAddress = "sip:jeremy@contoso.com".parse().expect("an address");
    let now = Instant::now();
    bencher.with_inputs(answers).bench_local_values(|(mut srv, mut addresses)| {
        let mut plan = DiscoveryPlan::<u8>::new(black_box(&address), search, Seed(7), now);
        let mut failures = 0;
        let endpoint = loop {
            let outcome = match plan.poll_step(now) {
                Step::LookupSrv(step) => step.answer(srv.remove(0)),
                Step::LookupHost(step) if step.family() == Family::V6 => {
                    step.answer(Ok(Answer::Absent(Absence::NoData)))
                }
                Step::LookupHost(step) => {
                    step.answer(Ok(Answer::Found(addresses.pop().expect("an address a host"))))
                }
                Step::Connect(step) if failures < refused => {
                    failures += 1;
                    step.failed(ConnectFailure::Refused)
                }
                Step::Connect(step) => step.established(1),
                Step::Connected(connected) => break connected.endpoint,
                other => panic!("{other:?}"),
            };
            plan.handle(outcome, now + Duration::from_millis(1));
        };
        assert_eq!((failures, addresses.len(), srv.len()), (refused, 0, 0));
        assert!(endpoint.host.name().is_some_and(|name| name.as_str().starts_with(server)));
        (plan, endpoint)
    });
}

#[divan::bench]
fn name_rule_admits(bencher: Bencher) {
    let domain = HostName::parse("contoso.com").expect("a name");
    let host = HostName::parse("server77.contoso.com").expect("a name");
    assert!(HostNamePolicy::Relaxed.admits(&host, &domain));
    bencher.bench(|| HostNamePolicy::Relaxed.admits(black_box(&host), black_box(&domain)));
}

#[divan::bench]
fn name_rule_refuses(bencher: Bencher) {
    let domain = HostName::parse("contoso.com").expect("a name");
    let host = HostName::parse("sip.contoso.com.cpandl.com").expect("a name");
    assert!(!HostNamePolicy::Relaxed.admits(&host, &domain));
    bencher.bench(|| HostNamePolicy::Relaxed.admits(black_box(&host), black_box(&domain)));
}

/// The same with the proof that it makes.
#[divan::bench]
fn name_rule_proof(bencher: Bencher) {
    let domain = HostName::parse("contoso.com").expect("a name");
    let host = HostName::parse("server77.contoso.com").expect("a name");
    let rule = NameRule::default();
    bencher.bench(|| rule.admit(black_box(&host), black_box(&domain)).expect("it is admitted"));
}

#[divan::bench(args = [1, 5, 32])]
fn srv_order(bencher: Bencher, count: u16) {
    let record = |n| SrvRecord::new(n % 2, n, 5061, &format!("pool{n}.contoso.com"));
    let records: Vec<_> = (0..count).map(record).collect();
    bencher.with_inputs(|| records.clone()).bench_values(|mut records| {
        order_srv(&mut records, |highest| highest / 2);
        assert!(records.is_sorted_by_key(|record| record.priority));
        records
    });
}

#[divan::bench]
fn address_parse(bencher: Bencher) {
    let text = "sip:jeremy@contoso.com";
    assert_eq!(text.parse::<SipAddress>().expect("an address").to_string(), text);
    bencher.bench(|| black_box(text).parse::<SipAddress>());
}
