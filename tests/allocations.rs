//! What is allocated, and when: counted, so that nobody has to believe a comment.

#![expect(clippy::disallowed_methods, reason = "a plan needs a moment to begin at")]

use std::net::IpAddr;
use std::time::Instant;

use allocation_counter::{AllocationInfo, measure};
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
/// many are refused. What making the plan allocates, and how often the way to the connection does.
fn allocations(servers: [&[&str]; 2], refusals: usize) -> (AllocationInfo, u64) {
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
    (made, walked.count_total)
}

/// One server: what nearly every user has, inside or outside. What it holds is what
/// `docs/performance.md` says, rounded up.
#[test]
fn an_ordinary_plan_allocates_less_than_a_kilobyte_when_it_is_made_and_no_more() {
    let (made, walked) = allocations([&["pool01.contoso.com"], &[]], 0);
    assert_eq!((made.count_total, walked), (3, 0));
    let held = made.bytes_current.unsigned_abs() + size_of::<DiscoveryPlan<u8>>() as u64;
    assert!(held <= 704, "{held} bytes");
}

/// Names, hosts and servers grow once, with the first answer, the trace twice, and the connects of a
/// server with its second one.
#[test]
fn a_larger_plan_grows_what_it_needs() {
    let servers: [&[&str]; 2] = [
        &["pool01.contoso.com", "pool02.contoso.com"],
        &["edge01.contoso.com", "edge02.contoso.com"],
    ];
    let (made, walked) = allocations(servers, 2);
    assert_eq!((made.count_total, walked), (3, 6));
}

#[test]
fn an_ordinary_answer_and_its_challenges_are_read_without_an_allocation() {
    for (text, challenges) in [
        (include_str!("../benches/messages/401.sip"), 3),
        (include_str!("../benches/messages/401-ntlm.sip"), 1),
        (include_str!("../benches/messages/200.sip"), 0),
    ] {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        drop(bytes.clone());
        let read = measure(|| {
            let message = Message::parse(bytes.clone()).unwrap();
            let headers = message.headers();
            assert!(headers.call_id().is_some() && headers.cseq().is_some());
            let read = Challenge::of(headers, "WWW-Authenticate").flatten();
            assert_eq!(read.filter_map(|c| Some(c.target_name()?.len())).count(), challenges);
        });
        assert_eq!(read.count_total, 0, "{read:?}");
    }
}

/// Values that are as they came stay in the message; one with an escape has the challenge own all.
#[test]
fn a_challenge_allocates_only_for_what_is_not_as_it_came() {
    for (value, allocations) in [
        (
            r#"NTLM realm="a b", targetname="c", version=4, opaque="d", gssapi-data="e", qop="auth""#,
            0,
        ),
        (r#"NTLM realm="a \"b\"""#, 3),
        ("NTLM realm=\"a\",\r\n targetname=\"c\"", 3),
    ] {
        let text = format!("SIP/2.0 401 U\r\nWWW-Authenticate: {value}\r\nl: 0\r\n\r\n");
        let message = Message::parse(text.into()).unwrap();
        drop(message.clone());
        let mut challenge = None;
        let read =
            measure(|| challenge = Challenge::of(message.headers(), "WWW-Authenticate").next());
        assert!(challenge.unwrap().unwrap().realm().is_some());
        assert!(read.count_total <= allocations, "{value}: {read:?}");
    }
}
