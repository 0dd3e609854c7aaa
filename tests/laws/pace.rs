//! P1 and P2: who may start beside whom, and who is waited for.

use std::time::Duration;

use proptest::prelude::*;
use sip_signin::discovery::{Answer, CONNECT_LIMIT, ConnectFailure, Family, Pace, Protocol, Seed};

use crate::runner::law;
use crate::scene::{Scene, records, with};
use crate::walk::{Deed, Wire};
use crate::world::Lead;
use crate::zones::{Kind, Settings, any_searches, worlds};

const A: &str = "tls a.contoso.com:5061";
const B: &str = "tls b.contoso.com:5061";

/// Both targets' addresses came with the answer: `a` before `b`.
fn two_servers(settings: &Settings) -> Scene {
    let mut scene = Scene::new(settings);
    scene.answer(with(
        records(&[(0, 0, 5061, "a.contoso.com"), (1, 0, 5061, "b.contoso.com")]),
        &[("a.contoso.com", "192.0.2.1"), ("b.contoso.com", "192.0.2.2")],
    ));
    scene.absent();
    scene
}

fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn p1_families_take_turns_ipv6_first_100_ms_apart() {
    let mut scene = Scene::new(&Settings::default());
    scene.answer(records(&[(0, 0, 5061, "a.contoso.com")]));
    assert_eq!(scene.asking(), ["aaaa a.contoso.com", "a a.contoso.com"]);
    scene.address("a.contoso.com", Family::V4, &["192.0.2.1", "192.0.2.2"]);
    assert!(scene.dialling().is_empty());
    scene.address("a.contoso.com", Family::V6, &["2001:db8::1", "2001:db8::2"]);
    let all = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"];
    for (n, until) in (1..=4).zip([99, 199, 299, 399]) {
        let expected: Vec<_> = all[..n].iter().map(|ip| format!("{A} {ip}")).collect();
        assert_eq!(scene.dialling(), expected);
        scene.pass(until);
        assert_eq!(scene.dialling(), expected);
        scene.pass(until + 1);
    }
    // One failed: the next address does not wait; one stands: no further address is offered.
    let mut scene = Scene::new(&Settings::default());
    let four = all.map(|ip| ("a.contoso.com", ip));
    scene.answer(with(records(&[(0, 0, 5061, "a.contoso.com")]), &four));
    assert_eq!(scene.dialling().len(), 1);
    scene.fail(A, ConnectFailure::Refused);
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1")]);
    scene.establish(A);
    assert!(scene.dialling().is_empty());
    assert_eq!(scene.adopted().as_deref(), Some(A));
}

/// Of the addresses of one host the first to finish wins, whichever was dialled first.
#[test]
fn p1_the_second_connection_of_a_host_is_dropped() {
    let mut scene = Scene::new(&Settings::default());
    let both = records(&[(0, 0, 5061, "a.contoso.com"), (1, 0, 5061, "b.contoso.com")]);
    let addresses = [
        ("a.contoso.com", "192.0.2.1"),
        ("b.contoso.com", "2001:db8::2"),
        ("b.contoso.com", "192.0.2.2"),
    ];
    scene.answer(with(both, &addresses));
    scene.absent();
    scene.pass(100);
    scene.pass(200);
    let waiting = ["192.0.2.1", "2001:db8::2", "192.0.2.2"];
    assert_eq!(
        scene.dialling(),
        [A, B, B].iter().zip(waiting).map(|(l, ip)| format!("{l} {ip}")).collect::<Vec<_>>()
    );
    let (first, second) = (scene.take(B), scene.take(B));
    for step in [second, first] {
        let wire = Wire::new(&scene.wires);
        scene.hand_in(step.established(wire));
        assert_eq!((scene.wires.get(), scene.adopted()), (1, None));
    }
    scene.pass(300);
    assert_eq!(scene.connected.map(|c| c.address.ip().to_string()).as_deref(), Some("192.0.2.2"));
}

/// Addresses that came with an SRV answer count for the rank that it gives, and for no other.
#[test]
fn p1_a_better_answer_brings_addresses_of_its_own() {
    let mut scene = Scene::new(&Settings::default().at(Pace::ONE_AT_A_TIME));
    let better = scene.srv.pop_front().expect("the internal question");
    let one = || records(&[(0, 0, 5061, "a.contoso.com")]);
    scene.answer(with(one(), &[("a.contoso.com", "192.0.2.1")]));
    let answer = with(one(), &[("a.contoso.com", "192.0.2.2")]);
    scene.hand_in(better.answer(Ok(Answer::Found(answer))));
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.2")]);
    scene.fail(A, ConnectFailure::Refused);
    assert!(scene.dialling().is_empty());
    assert_eq!(scene.asking(), ["aaaa a.contoso.com", "a a.contoso.com"]);
}

#[test]
fn p1_ipv4_waits_50_ms_for_a_missing_aaaa() {
    for (late, dialled) in [(49, "2001:db8::1"), (50, "192.0.2.1")] {
        let mut scene = Scene::new(&Settings::default());
        scene.answer(records(&[(0, 0, 5061, "a.contoso.com")]));
        scene.pass(20);
        scene.address("a.contoso.com", Family::V4, &["192.0.2.1"]);
        scene.pass(20 + 49);
        assert!(scene.dialling().is_empty());
        scene.pass(20 + late);
        scene.address("a.contoso.com", Family::V6, &["2001:db8::1"]);
        assert_eq!(scene.dialling()[0], format!("{A} {dialled}"));
    }
    // IPv6 waits for nobody, and a missing answer that is known to be missing is not waited for.
    for (family, address, other) in
        [(Family::V6, "2001:db8::1", false), (Family::V4, "192.0.2.1", true)]
    {
        let mut scene = Scene::new(&Settings::default());
        scene.answer(records(&[(0, 0, 5061, "a.contoso.com")]));
        if other {
            scene.address("a.contoso.com", Family::V6, &[]);
        }
        scene.address("a.contoso.com", family, &[address]);
        assert_eq!(scene.dialling(), [format!("{A} {address}")]);
    }
}

#[test]
fn p2_the_next_starts_after_the_head_start_or_at_once_after_a_failure() {
    let mut scene = two_servers(&Settings::default());
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1")]);
    scene.pass(99);
    assert_eq!(scene.dialling().len(), 1);
    assert_eq!(scene.wait, ms(100));
    scene.pass(100);
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1"), format!("{B} 192.0.2.2")]);

    let mut scene = two_servers(&Settings::default());
    scene.pass(30);
    scene.fail(A, ConnectFailure::Refused);
    // The host is asked for, as what came with the answer was not all; nobody waits for that.
    assert_eq!(scene.asking(), ["aaaa a.contoso.com", "a a.contoso.com"]);
    assert_eq!(scene.dialling(), [format!("{B} 192.0.2.2")]);
    // But the better one still has its turn, and wins if it is there in time.
    scene.address("a.contoso.com", Family::V4, &["192.0.2.9"]);
    scene.pass(150);
    scene.establish(B);
    assert_eq!(scene.adopted(), None);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));

    // One at a time, the other does wait.
    let settings = Settings { pace: Pace::ONE_AT_A_TIME, ..Settings::default() };
    let mut scene = two_servers(&settings);
    scene.fail(A, ConnectFailure::Refused);
    assert!(scene.dialling().is_empty());
    scene.address("a.contoso.com", Family::V6, &[]);
    scene.address("a.contoso.com", Family::V4, &[]);
    assert_eq!(scene.dialling(), [format!("{B} 192.0.2.2")]);
}

/// An unanswered question of a better row is open from when it was asked.
#[test]
fn p2_an_unanswered_better_question_has_its_head_start_too() {
    let mut scene = Scene::new(&Settings::default());
    let slow = scene.srv.pop_front().unwrap();
    let answer = records(&[(0, 0, 5061, "b.contoso.com")]);
    scene.answer(with(answer, &[("b.contoso.com", "192.0.2.2")]));
    scene.pass(99);
    assert!(scene.dialling().is_empty());
    scene.pass(100);
    assert_eq!(scene.dialling(), [format!("{B} 192.0.2.2")]);
    scene.pass(120);
    scene.establish(B);
    scene.pass(299);
    assert_eq!(scene.adopted(), None);
    scene.pass(300);
    assert_eq!(scene.adopted().as_deref(), Some(B));
    drop(slow);
}

/// At most until the better one has been open for the longer of 300 ms and twice the own time.
#[test]
fn p2_a_ready_connection_is_patient_with_a_better_one() {
    for (ready, adopted) in [(150, 300), (240, 300), (260, 320), (400, 600), (700, 1200)] {
        let mut scene = two_servers(&Settings::default());
        scene.pass(ready);
        scene.establish(B);
        scene.pass(adopted - 1);
        assert_eq!(scene.adopted(), None, "ready at {ready}");
        assert_eq!(scene.wait, ms(adopted));
        scene.pass(adopted);
        assert_eq!(scene.adopted().as_deref(), Some(B), "ready at {ready}");
    }
    // The better one completes in that time, and wins; the ready one is dropped.
    let mut scene = two_servers(&Settings::default());
    scene.pass(150);
    scene.establish(B);
    scene.pass(299);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
    assert_eq!(scene.wires.get(), 1);
    // The better one fails, and nothing is left to wait for.
    let mut scene = two_servers(&Settings::default());
    scene.pass(150);
    scene.establish(B);
    scene.fail(A, ConnectFailure::TimedOut);
    scene.address("a.contoso.com", Family::V6, &[]);
    scene.address("a.contoso.com", Family::V4, &[]);
    assert_eq!(scene.adopted().as_deref(), Some(B));
}

/// A better host whose IPv6 addresses are still unknown is open from its question.
#[test]
fn p2_a_better_host_that_is_half_resolved_is_waited_for() {
    let mut scene = Scene::new(&Settings::default());
    let both = records(&[(0, 0, 5061, "a.contoso.com"), (1, 0, 5061, "b.contoso.com")]);
    scene.answer(with(both, &[("b.contoso.com", "192.0.2.2")]));
    scene.absent();
    scene.pass(140);
    assert_eq!(scene.dialling(), [format!("{B} 192.0.2.2")]);
    scene.address("a.contoso.com", Family::V4, &["192.0.2.1"]);
    scene.pass(150);
    scene.establish(B);
    assert_eq!(scene.adopted(), None);
    scene.pass(190);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
}

#[test]
fn p2_eager_starts_all_at_once_and_is_patient_for_one_connect_time() {
    let eager = Settings::default().at(Pace::EAGER);
    let mut scene = two_servers(&eager);
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1"), format!("{B} 192.0.2.2")]);
    scene.pass(40);
    scene.establish(B);
    assert_eq!(scene.adopted().as_deref(), Some(B));
    let mut scene = Scene::new(&eager);
    let slow = scene.srv.pop_front();
    scene.pass(10);
    let answer = records(&[(0, 0, 5061, "b.contoso.com")]);
    scene.answer(with(answer, &[("b.contoso.com", "192.0.2.2")]));
    scene.pass(15);
    scene.establish(B);
    // The question has been open for longer than this connect took.
    assert_eq!(scene.adopted().as_deref(), Some(B));
    drop(slow);
}

#[test]
fn p2_one_at_a_time_waits_for_every_better_answer_and_failure() {
    let mut scene = Scene::new(&Settings::default().at(Pace::ONE_AT_A_TIME));
    let slow = scene.srv.pop_front().unwrap();
    let answer = records(&[(0, 0, 5061, "b.contoso.com")]);
    scene.answer(with(answer, &[("b.contoso.com", "192.0.2.2")]));
    scene.pass(4999);
    assert!(scene.dialling().is_empty());
    scene.srv.push_back(slow);
    let answer = records(&[(0, 0, 5061, "a.contoso.com")]);
    scene.answer(with(answer, &[("a.contoso.com", "192.0.2.1"), ("a.contoso.com", "192.0.2.3")]));
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1")]);
    scene.pass(12_000);
    assert_eq!(scene.dialling().len(), 1);
    scene.fail(A, ConnectFailure::Refused);
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.3")]);
}

#[test]
fn p2_clear_text_one_at_a_time_and_never_beside_tls() {
    let clear_text = sip_signin::discovery::ClearText::Allow;
    let settings = Settings { clear_text, ..Settings::default() };
    let mut scene = Scene::new(&settings);
    let slow = scene.srv.remove(2).unwrap();
    scene.absent();
    scene.answer(with(
        records(&[(0, 0, 5060, "a.contoso.com"), (1, 0, 5060, "b.contoso.com")]),
        &[("a.contoso.com", "192.0.2.1"), ("b.contoso.com", "192.0.2.2")],
    ));
    scene.pass(4000);
    assert!(scene.dialling().is_empty());
    scene.srv.push_back(slow);
    scene.absent();
    assert_eq!(scene.dialling(), ["tcp a.contoso.com:5060 192.0.2.1"]);
    scene.pass(11_000);
    assert_eq!(scene.dialling().len(), 1);
    // An unanswered TCP question delays no TLS candidate.
    let mut scene = Scene::new(&settings);
    let slow = scene.srv.remove(1).unwrap();
    scene.absent();
    let answer = records(&[(0, 0, 5061, "a.contoso.com")]);
    scene.answer(with(answer, &[("a.contoso.com", "192.0.2.1")]));
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1")]);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
    drop(slow);
}

#[test]
fn p2_manual_servers_race_by_the_same_rule() {
    let manual = sip_signin::discovery::ManualServers {
        internal: Some("192.0.2.1".parse().unwrap()),
        external: Some("192.0.2.2:443".parse().unwrap()),
        protocol: Protocol::Tls,
    };
    let mut scene = Scene::new(&Settings { manual: Some(manual), ..Settings::default() });
    assert_eq!(scene.dialling(), ["tls 192.0.2.1:5061 192.0.2.1"]);
    scene.pass(99);
    assert_eq!(scene.dialling().len(), 1);
    scene.pass(100);
    assert_eq!(scene.dialling()[1], "tls 192.0.2.2:443 192.0.2.2");
    scene.pass(160);
    scene.establish("tls 192.0.2.2:443");
    assert_eq!(scene.adopted(), None);
    scene.pass(300);
    assert_eq!(scene.adopted().as_deref(), Some("tls 192.0.2.2:443"));
}

#[test]
fn p2_at_most_eight_connects_are_under_way() {
    let mut scene = Scene::new(&Settings::default().at(Pace::EAGER));
    let names: Vec<String> = (10..22).map(|n| format!("h{n}.contoso.com")).collect();
    let all: Vec<_> = names.iter().map(|name| (0, 0, 5061, name.as_str())).collect();
    let own: Vec<_> = names.iter().map(|name| (name.as_str(), "192.0.2.1")).collect();
    scene.answer(with(records(&all), &own));
    scene.absent();
    assert_eq!(scene.dialling().len(), CONNECT_LIMIT);
    assert_eq!(CONNECT_LIMIT, 8);
    scene.fail("tls h12.contoso.com:5061", ConnectFailure::Refused);
    assert_eq!(scene.dialling().len(), CONNECT_LIMIT);
    assert_eq!(scene.dialling()[7], "tls h18.contoso.com:5061 192.0.2.1");
}

/// What is under way, in arbitrary worlds: never more than eight connects, never two servers in
/// clear text, one at a time never two at all; and nobody starts before a better one's head start.
#[test]
fn p2_no_more_at_once_than_the_pace_permits() {
    let kind = Kind { luck: 2, ..Kind::default() };
    let alive = [("two at once", 15), ("clear text", 5), ("one at a time", 15)];
    law((any_searches(), worlds(kind), any::<u64>()), &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let mut open: Vec<(Duration, &Lead, String)> = Vec::new();
        let alone = settings.search().pace() == Pace::ONE_AT_A_TIME;
        for (when, deed) in &run.log {
            open.retain(|(until, ..)| when < until);
            match deed {
                Deed::Dial(lead, address, _) => {
                    open.push((*when + Duration::from_secs(8), lead, address.to_string()));
                    assert!(open.len() <= CONNECT_LIMIT && (!alone || open.len() == 1), "{run}");
                    let tcp = |(_, lead, _): &&(_, &Lead, _)| lead.protocol == Protocol::Tcp;
                    if let Some((_, clear, _)) = open.iter().find(tcp) {
                        assert!(open.iter().all(|(_, lead, _)| lead == clear), "{run}");
                        tally.note("clear text", true);
                    }
                    tally.note("two at once", open.iter().any(|(_, other, _)| *other != lead));
                }
                Deed::HeardDial(lead, address, _) => {
                    open.retain(|(_, l, a)| (*l, a) != (lead, &address.to_string()));
                }
                Deed::Adopt(..) => open.clear(),
                _ => {}
            }
        }
        tally.note("one at a time", alone);
    });
}
