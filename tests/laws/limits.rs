//! P3 and R14: what bounds time, steps, and the size of answers, at the limit and one beyond.

use std::time::Duration;

use sip_signin::discovery::{
    ADDRESS_LIMIT, Answer, Cause, ConnectFailure, Family, LookupFailure, Pace, RECORD_LIMIT,
    STEP_LIMIT, Seed, SrvRecord, TARGET_LIMIT, Timeouts,
};

use crate::scene::{Scene, records, with};
use crate::walk::{Deed, Run};
use crate::world::{After, Lead, World, at};
use crate::zones::Settings;

const TLS_INTERNAL: &str = "_sipinternaltls._tcp";
const TLS_EXTERNAL: &str = "_sip._tls";
const A: &str = "tls a.contoso.com:5061";

fn of_a() -> sip_signin::discovery::SrvAnswer {
    with(records(&[(0, 0, 5061, "a.contoso.com")]), &[("a.contoso.com", "192.0.2.1")])
}

/// When things came to an end.
fn ended(run: &Run) -> Duration {
    run.log.last().unwrap().0
}

#[test]
fn p3_a_lookup_may_take_5_s() {
    let mut scene = Scene::new(&Settings::default());
    scene.pass(4999);
    scene.answer(of_a());
    assert_eq!(scene.dialling().len(), 1);
    let mut scene = Scene::new(&Settings::default());
    let late = scene.srv.pop_front().unwrap();
    scene.absent();
    scene.pass(4999);
    assert!(scene.cause.is_none());
    scene.pass(5000);
    let name = "_sipinternaltls._tcp.contoso.com".into();
    assert_eq!(scene.cause, Some(Cause::LookupFailed(name, LookupFailure::TimedOut)));
    scene.hand_in(late.answer(Ok(Answer::Found(of_a()))));
    assert!(scene.dialling().is_empty());
}

#[test]
fn p3_a_time_out_beyond_the_clock_is_a_year() {
    let endless = Timeouts { lookup: Duration::MAX, connect: Duration::MAX, search: Duration::MAX };
    let scene =
        Scene::of(&sip_signin::discovery::Search::builder().timeouts(endless).build().unwrap());
    let day = Duration::from_secs(86_400);
    assert!(scene.wait.is_some_and(|wait| wait >= 360 * day), "{:?}", scene.wait);
}

#[test]
fn p3_a_connect_may_take_8_s() {
    let mut scene = Scene::new(&Settings::default());
    scene.answer(of_a());
    scene.absent();
    scene.pass(7999);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
    let mut scene = Scene::new(&Settings::default());
    scene.answer(of_a());
    scene.absent();
    scene.pass(8001);
    let late = scene.take(A);
    let wire = crate::walk::Wire::new(&scene.wires);
    scene.hand_in(late.established(wire));
    assert_eq!((scene.adopted(), scene.wires.get()), (None, 0));
    assert_eq!(scene.asking(), ["aaaa a.contoso.com", "a a.contoso.com"]);
}

/// Five silent servers one after another take longer than a search may.
#[test]
fn p3_a_search_may_take_30_s() {
    let mut world = World { luck: vec![After { ms: None, says: Ok(()) }], ..World::default() };
    let names = ["a", "b", "c", "d", "e"].map(|label| format!("{label}.contoso.com"));
    let record = |name: &String| SrvRecord::new(0, 0, 5061, name);
    world.give_records(TLS_INTERNAL, names.iter().map(record).collect());
    names.iter().for_each(|name| world.give_address(name, "192.0.2.1"));
    let run = world.run(&Settings::default().at(Pace::ONE_AT_A_TIME).search(), Seed(0));
    assert_eq!((ended(&run).as_secs(), run.dials().len()), (30, 4));
    assert!(run.trace.to_string().contains("\n+30000ms "), "{run}");
    // A connection that is ready by then is adopted, however patient one would have been.
    let patience = Duration::from_secs(60);
    let pace = Pace { patience, ..Pace::DEFAULT };
    let search = Duration::from_millis(900);
    let timeouts = Timeouts { search, ..Timeouts::DEFAULT };
    world.give_server("tls b.contoso.com:5061", at(50, Ok(())));
    let run = world.run(&Settings { timeouts, pace, ..Settings::default() }.search(), Seed(0));
    assert_eq!(run.adopted(), [Lead::read("tls b.contoso.com:5061")]);
}

/// What is left of it when a connection is adopted is left when its token comes back.
#[test]
fn p3_the_deadline_stands_still_while_a_connection_is_adopted() {
    let mut scene = Scene::new(&Settings::default());
    let both = records(&[(0, 0, 5061, "a.contoso.com"), (1, 0, 5061, "b.contoso.com")]);
    let own = [("a.contoso.com", "192.0.2.1"), ("b.contoso.com", "192.0.2.2")];
    scene.answer(with(both, &own));
    scene.absent();
    scene.pass(60);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
    scene.pass(3_600_000);
    assert!(scene.wait.is_none() && scene.cause.is_none());
    scene.useless();
    // `b` alone: 8 s, then its host is asked for: 5 s; two steps more would be over 30 s.
    assert_eq!(scene.dialling(), ["tls b.contoso.com:5061 192.0.2.2"]);
    let step = scene.take("tls b.contoso.com:5061");
    scene.pass(3_607_000);
    scene.hand_in(step.failed(ConnectFailure::Refused));
    scene.pass(3_607_000 + 4_999);
    assert!(scene.cause.is_none());
    scene.pass(3_607_000 + 5_000);
    assert!(matches!(scene.cause, Some(Cause::Answer(..))));
}

#[test]
fn r14_the_32nd_record_is_used_and_the_33rd_left_out() {
    assert_eq!(RECORD_LIMIT, 32);
    for (count, used, left_out) in [(32, 32, false), (33, 32, true), (400, 32, true)] {
        let mut world = World::default();
        let record = |n: u16| SrvRecord::new(n, 0, 1000 + n, "a.contoso.com");
        world.give_records(TLS_INTERNAL, (0..count).map(record).collect());
        world.give_address("a.contoso.com", "192.0.2.1");
        let run = world.run(&Settings::default().search(), Seed(0));
        let ports: Vec<u16> = run.dials().iter().map(|(lead, _)| lead.port).collect();
        assert_eq!(ports, (1000..1000 + used).collect::<Vec<_>>());
        assert_eq!(run.trace.to_string().contains("left out"), left_out, "{run}");
    }
    // Order first, cut second, name rule last: what is cut is no better for being admitted.
    let mut world = World::default();
    let mut all: Vec<_> =
        (0..32).map(|n| SrvRecord::new(0, 0, 1000 + n, "sip.contoso.net")).collect();
    all.insert(0, SrvRecord::new(1, 0, 5061, "a.contoso.com"));
    world.give_records(TLS_INTERNAL, all);
    world.give_address("a.contoso.com", "192.0.2.1");
    world.give_address("sipinternal.contoso.com", "192.0.2.1");
    let run = world.run(&Settings::default().search(), Seed(0));
    // And an over-long answer is no absence.
    assert!(run.dials().is_empty(), "{run}");
    assert!(matches!(run.cause(), Cause::Refused(_)));
}

#[test]
fn r14_the_16th_address_is_dialled_and_the_17th_left_out() {
    assert_eq!(ADDRESS_LIMIT, 16);
    for (count, used, left_out) in [(16, 16, false), (17, 16, true), (100, 16, true)] {
        let addresses: Vec<_> = (1..=count).map(|n| format!("192.0.2.{n}")).collect();
        let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
        world.give_address("a.contoso.com", &addresses.join(", "));
        let asked = world.run(&Settings::default().search(), Seed(0));
        let mut scene = Scene::new(&Settings::default());
        let own: Vec<_> = addresses.iter().map(|ip| ("a.contoso.com", ip.as_str())).collect();
        scene.answer(with(records(&[(0, 0, 5061, "a.contoso.com")]), &own));
        let mut brought = 0;
        while !scene.dialling().is_empty() {
            scene.fail(A, ConnectFailure::Refused);
            brought += 1;
        }
        assert_eq!((asked.dials().len(), brought), (used, used), "{asked}");
        assert_eq!(asked.trace.to_string().contains("left out"), left_out, "{asked}");
        assert_eq!(scene.plan.trace().to_string().contains("left out"), left_out);
    }
    // What is said twice counts once.
    let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
    let twice: Vec<_> = (1..=16).chain(1..=16).map(|n| format!("192.0.2.{n}")).collect();
    world.give_address("a.contoso.com", &twice.join(", "));
    let run = world.run(&Settings::default().search(), Seed(0));
    assert_eq!(run.dials().len(), 16);
    assert!(!run.trace.to_string().contains("left out"), "{run}");
    // Each family has its turn, however many the other has.
    let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
    let v4: Vec<_> = (1..=40).map(|n| format!("192.0.2.{n}")).collect();
    world.give_address("a.contoso.com", &v4.join(", "));
    world.give_address("a.contoso.com", "2001:db8::1, 2001:db8::2");
    let run = world.run(&Settings::default().search(), Seed(0));
    let v6 = run.dials().iter().filter(|(_, ip)| Family::of(*ip) == Family::V6).count();
    assert_eq!((run.dials().len(), v6), (16, 2));
}

/// Law 2 at the limit: one at a time, the same addresses are dialled whichever family comes first,
/// and neither crowds the other out.
#[test]
fn r14_which_addresses_are_dialled_does_not_depend_on_the_family_that_comes_first() {
    for (v4, v6, used_v4, used_v6) in
        [(30, 30, 8, 8), (30, 2, 14, 2), (3, 30, 3, 13), (30, 0, 16, 0)]
    {
        let v4: Vec<_> = (1..=v4).map(|n| format!("192.0.2.{n}")).collect();
        let v6: Vec<_> = (1..=v6).map(|n| format!("2001:db8::{n}")).collect();
        let answers = [(Family::V4, v4), (Family::V6, v6)];
        let mut seen = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let slow = Settings { pace: Pace::ONE_AT_A_TIME, ..Settings::default() };
            let mut scene = Scene::new(&slow);
            scene.answer(records(&[(0, 0, 5061, "a.contoso.com")]));
            scene.absent();
            let mut dialled = Vec::new();
            for (step, which) in order.into_iter().enumerate() {
                let (family, addresses) = &answers[which];
                let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                scene.address("a.contoso.com", *family, &addresses);
                // Past the resolution delay, as far as it goes without the other family.
                scene.pass(100 * (step as u64 + 1));
                while !scene.dialling().is_empty() {
                    dialled.extend(scene.dialling());
                    scene.fail(A, ConnectFailure::Refused);
                }
            }
            assert!(scene.cause.is_some());
            let count = |mark: char| {
                dialled.iter().filter(|d| d.rsplit(' ').next().unwrap().contains(mark)).count()
            };
            assert_eq!((count('.'), count(':')), (used_v4, used_v6), "{dialled:?}");
            dialled.sort();
            seen.push(dialled);
        }
        assert_eq!(seen[0], seen[1]);
    }
}

/// What came along and failed is dialled once, and takes nothing from what is asked for but its room.
#[test]
fn r14_addresses_that_came_along_are_not_shared_out_again() {
    let v4: Vec<_> = (1..=34).map(|n| format!("192.0.2.{n}")).collect();
    let v6: Vec<_> = (1..=30).map(|n| format!("2001:db8::{n}")).collect();
    let own: Vec<_> = v4.iter().take(4).map(|ip| ("a.contoso.com", ip.as_str())).collect();
    let one = Settings { pace: Pace::ONE_AT_A_TIME, ..Settings::default() };
    let mut scene = Scene::new(&one);
    scene.answer(with(records(&[(0, 0, 5061, "a.contoso.com")]), &own));
    scene.absent();
    let mut dialled = Vec::new();
    let mut drain = |scene: &mut Scene| {
        while !scene.dialling().is_empty() {
            dialled.extend(scene.dialling());
            scene.fail(A, ConnectFailure::Refused);
        }
    };
    drain(&mut scene);
    for (family, addresses) in [(Family::V6, v6), (Family::V4, v4)] {
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        scene.address("a.contoso.com", family, &addresses);
        drain(&mut scene);
    }
    let v6 = dialled.iter().filter(|lead| lead.contains("2001:db8::")).count();
    assert_eq!((dialled.len(), v6), (16, 6), "{dialled:?}");
    assert!(scene.cause.is_some());
}

/// A better row that names the same server brings addresses of its own, and no more room for them.
#[test]
fn r14_a_server_in_two_rows_has_no_17th_address() {
    let v4: Vec<_> = (1..=32).map(|n| format!("192.0.2.{n}")).collect();
    let (of_worse, of_better) = v4.split_at(16);
    let answer = |addresses: &[String]| {
        let own: Vec<_> = addresses.iter().map(|ip| ("a.contoso.com", ip.as_str())).collect();
        with(records(&[(0, 0, 5061, "a.contoso.com")]), &own)
    };
    let mut scene = Scene::new(&Settings::default());
    let better = scene.srv.pop_front().unwrap();
    scene.answer(answer(of_worse));
    scene.pass(100);
    let mut dialled = 0;
    let mut drain = |scene: &mut Scene| {
        while !scene.dialling().is_empty() {
            dialled += 1;
            scene.fail(A, ConnectFailure::Refused);
        }
    };
    drain(&mut scene);
    scene.hand_in(better.answer(Ok(Answer::Found(answer(of_better)))));
    drain(&mut scene);
    assert_eq!(dialled, 16);
}

#[test]
fn r14_the_64th_target_is_used_and_the_65th_left_out() {
    assert_eq!(TARGET_LIMIT, 64);
    let target = |n: u16| SrvRecord::new(n, 0, 1000 + n, "a.contoso.com");
    for (last, used) in [(0, 64), (1, 64), (5, 64)] {
        // Three answers; the worst row has the ones too many, whichever answer comes first.
        for first in [TLS_INTERNAL, TLS_EXTERNAL, "_sipinternal._tcp"] {
            let mut world = World::default();
            world.give_records(TLS_INTERNAL, (0..32).map(target).collect());
            world.give_records(TLS_EXTERNAL, (32..64).map(target).collect());
            let clear = (64..64 + last).map(target).collect();
            if last > 0 {
                world.give_records("_sipinternal._tcp", clear);
            }
            for (service, after) in &mut world.srv {
                after.ms = Some(if *service == first { 0 } else { 10 });
            }
            world.give_address("a.contoso.com", "192.0.2.1");
            let clear_text = sip_signin::discovery::ClearText::Allow;
            let settings = Settings { clear_text, ..Settings::default() };
            let run = world.run(&settings.at(Pace::ONE_AT_A_TIME).search(), Seed(0));
            assert_eq!(run.dials().len(), used, "{run}");
            let mut ports: Vec<u16> = run.dials().iter().map(|(lead, _)| lead.port).collect();
            ports.sort_unstable();
            assert_eq!(ports, (1000..1064).collect::<Vec<_>>());
            assert_eq!(run.trace.to_string().contains("left out"), last > 0, "{run}");
        }
    }
}

/// The limit may fall inside an answer; what is better there is used.
#[test]
fn r14_the_limit_of_targets_may_fall_inside_an_answer() {
    let target = |n: u16| SrvRecord::new(n, 0, 1000 + n, "a.contoso.com");
    let mut world = World::default();
    world.give_records(TLS_INTERNAL, (0..20).map(target).collect());
    world.give_records(TLS_EXTERNAL, (20..52).map(target).collect());
    world.give_records("_sipinternal._tcp", (52..84).map(target).collect());
    world.give_address("a.contoso.com", "192.0.2.1");
    let clear_text = sip_signin::discovery::ClearText::Allow;
    let settings = Settings { clear_text, ..Settings::default() };
    let run = world.run(&settings.at(Pace::ONE_AT_A_TIME).search(), Seed(0));
    let ports: Vec<u16> = run.dials().iter().map(|(lead, _)| lead.port).collect();
    assert_eq!(ports, (1000..1064).collect::<Vec<_>>(), "{run}");
}

#[test]
fn r14_a_search_takes_512_steps() {
    assert_eq!(STEP_LIMIT, 512);
    // 2 questions, then a host of 16 addresses with as many ports as it takes: 2 + 2 + 16 n.
    let addresses: Vec<_> = (1..=16).map(|n| format!("192.0.2.{n}")).collect();
    let asked = |ports: u16, hosts: u16| {
        let mut world = World::default();
        let port = |n: u16| SrvRecord::new(n, 0, 1000 + n, "a.contoso.com");
        world.give_records(TLS_INTERNAL, (0..ports).map(port).collect());
        let other = |n: u16| SrvRecord::new(n, 0, 5061, &format!("h{n}.contoso.com"));
        world.give_records(TLS_EXTERNAL, (0..hosts).map(other).collect());
        world.give_address("a.contoso.com", &addresses.join(", "));
        let run = world.run(&Settings::default().search(), Seed(0));
        let heard = |(_, deed): &&(_, Deed)| {
            matches!(deed, Deed::AskSrv(_) | Deed::AskHost(..) | Deed::Dial(..))
        };
        (run.log.iter().filter(heard).count(), run.trace.to_string().contains("a search takes"))
    };
    assert_eq!(asked(31, 5), (2 + 2 + 31 * 16 + 10, false));
    assert_eq!(asked(31, 7), (512, true));
}
