//! What is allocated, and when: counted, so that nobody has to believe a comment.

#![expect(clippy::disallowed_methods, reason = "a plan needs a moment to begin at")]

use std::net::IpAddr;
use std::time::Instant;

use allocation_counter::measure;
use bytes::Bytes;
use sip_signin::SipAddress;
use sip_signin::discovery::{
    Absence, Answer, ConnectFailure, DiscoveryPlan, Search, Seed, SrvAnswer, SrvRecord, Step,
};
use sip_signin::sip::{Challenge, Message};

fn found(targets: &[&str]) -> Answer<SrvAnswer> {
    let record = |target: &&str| SrvRecord::new(0, 10, 5061, target);
    let records = targets.iter().map(record).collect();
    Answer::Found(SrvAnswer { records, additional: Vec::new() })
}

/// Two SRV answers that name `servers`, each with an address of both families; of the connects this
/// many are refused. What making the plan allocates, and what the way to the connection.
fn allocations(servers: [&[&str]; 2], refusals: usize) -> (u64, u64) {
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let search = Search::default();
    let now = Instant::now();
    let mut srv = servers.map(|targets| match targets {
        [] => Some(Answer::Absent(Absence::NoSuchName)),
        targets => Some(found(targets)),
    });
    let mut srv = srv.iter_mut();
    let both =
        |n: u8| [IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()]), [192, 0, 2, n].into()];
    let mut hosts: Vec<_> = (1..=4).flat_map(both).map(|address| Some(vec![address])).collect();
    let mut hosts = hosts.iter_mut();
    let mut plan = None;
    let made = measure(|| plan = Some(DiscoveryPlan::<u8>::new(&address, &search, Seed(7), now)));
    let mut plan = plan.unwrap();
    let mut connected = None;
    let mut refused = 0;
    let walked = measure(|| {
        while connected.is_none() {
            let outcome = match plan.poll_step(now) {
                Step::LookupSrv(step) => step.answer(Ok(srv.next().unwrap().take().unwrap())),
                Step::LookupHost(step) => {
                    step.answer(Ok(Answer::Found(hosts.next().unwrap().take().unwrap())))
                }
                Step::Connect(step) if refused < refusals => {
                    refused += 1;
                    step.failed(ConnectFailure::Refused)
                }
                Step::Connect(step) => step.established(1),
                Step::Connected(adopted) => {
                    connected = Some(adopted);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            plan.handle(outcome, now);
        }
    });
    let endpoint = connected.unwrap().endpoint.to_string();
    assert!(endpoint.starts_with("tls pool0"), "{endpoint}");
    assert_eq!(refused, refusals);
    (made.count_total, walked.count_total)
}

/// One server: what nearly every user has, inside or outside.
#[test]
fn an_ordinary_plan_allocates_when_it_is_made_and_no_more() {
    let (made, walked) = allocations([&["pool01.contoso.com"], &[]], 0);
    assert_eq!((made <= 4, walked), (true, 0), "{made}");
}

/// Hosts and servers grow once, the trace twice, and the connects of a server with its second one.
#[test]
fn a_larger_plan_grows_what_it_needs() {
    let servers: [&[&str]; 2] = [
        &["pool01.contoso.com", "pool02.contoso.com"],
        &["edge01.contoso.com", "edge02.contoso.com"],
    ];
    let (made, walked) = allocations(servers, 2);
    assert_eq!((made <= 4, walked), (true, 5), "{made}");
}

#[test]
fn the_head_of_an_ordinary_answer_is_read_without_an_allocation() {
    for text in [
        include_str!("../benches/messages/401.sip"),
        include_str!("../benches/messages/401-ntlm.sip"),
        include_str!("../benches/messages/200.sip"),
    ] {
        let bytes = Bytes::from_static(text.as_bytes());
        let read = measure(|| {
            let message = Message::parse(bytes.clone()).unwrap();
            let headers = message.headers();
            assert!(headers.call_id().is_some() && headers.cseq().is_some());
        });
        assert_eq!(read.count_total, 0, "{read:?}");
    }
}

/// One for the list; the challenges themselves share the message.
#[test]
fn a_challenge_shares_the_memory_of_its_message() {
    let bytes = Bytes::from_static(include_bytes!("../benches/messages/401.sip"));
    let message = Message::parse(bytes).unwrap();
    let mut challenges = Vec::new();
    let read = measure(|| challenges = Challenge::of(message.headers(), "WWW-Authenticate"));
    assert_eq!(challenges.iter().flatten().count(), 3);
    assert_eq!(read.count_total, 1, "{read:?}");
}
