//! What an adoption makes the plan forget, and what is never taken in.

use sip_signin::discovery::{Absence, Answer, Cause, ConnectFailure, Family, Pace, Step};

use crate::scene::{Scene, records, with};
use crate::walk::Wire;
use crate::zones::Settings;

const A: &str = "tls a.contoso.com:5061";
const B: &str = "tls b.contoso.com:5061";
const C: &str = "tls c.contoso.com:5061";

fn three_servers(settings: &Settings) -> Scene {
    let mut scene = Scene::new(settings);
    let all = records(&[
        (0, 0, 5061, "a.contoso.com"),
        (1, 0, 5061, "b.contoso.com"),
        (2, 0, 5061, "c.contoso.com"),
    ]);
    let own = [
        ("a.contoso.com", "192.0.2.1"),
        ("b.contoso.com", "192.0.2.2"),
        ("c.contoso.com", "192.0.2.3"),
    ];
    scene.answer(with(all, &own));
    scene
}

#[test]
fn an_adoption_forgets_what_is_open_and_drops_what_is_ready() {
    let mut scene = three_servers(&Settings::default());
    scene.absent();
    scene.pass(200);
    assert_eq!(scene.dialling().len(), 3);
    scene.establish(C);
    assert_eq!((scene.adopted(), scene.wires.get()), (None, 1));
    scene.establish(A);
    assert_eq!((scene.adopted().as_deref(), scene.wires.get()), (Some(A), 1));
    // Idle until the token: time alone changes nothing, and what comes is dropped.
    scene.pass(1_000_000);
    assert!(scene.wait.is_none() && scene.cause.is_none());
    let b = scene.take(B);
    let wire = Wire::new(&scene.wires);
    scene.hand_in(b.established(wire));
    assert_eq!(scene.wires.get(), 1);
    // Back in list order: the best that was forgotten first, each once.
    scene.useless();
    assert_eq!(scene.wires.get(), 0);
    assert_eq!(scene.dialling(), [format!("{B} 192.0.2.2")]);
    scene.fail(B, ConnectFailure::Refused);
    scene.address("b.contoso.com", Family::V6, &[]);
    scene.address("b.contoso.com", Family::V4, &["192.0.2.2"]);
    assert_eq!(scene.dialling(), [format!("{C} 192.0.2.3")]);
    scene.fail(C, ConnectFailure::Refused);
    scene.address("c.contoso.com", Family::V6, &[]);
    scene.address("c.contoso.com", Family::V4, &[]);
    assert!(matches!(&scene.cause, Some(Cause::Answer(endpoint, why))
        if endpoint.to_string() == A && why.raw() == "503"));
}

/// A better one that was being dialled when a lower one was adopted is offered again, first.
#[test]
fn a_better_server_that_was_forgotten_is_offered_again_first() {
    let mut scene = three_servers(&Settings::default());
    scene.absent();
    scene.pass(150);
    scene.establish(B);
    scene.pass(300);
    assert_eq!(scene.adopted().as_deref(), Some(B));
    let old = scene.take(A);
    scene.useless();
    assert_eq!(scene.dialling(), [format!("{A} 192.0.2.1")]);
    let wire = Wire::new(&scene.wires);
    scene.hand_in(old.established(wire));
    assert_eq!((scene.adopted(), scene.wires.get()), (None, 0));
    // With a head start of its own.
    assert_eq!(scene.wait.map(|wait| wait.as_millis()), Some(400));
}

#[test]
fn unanswered_questions_are_asked_again_and_answers_are_kept() {
    let mut scene = three_servers(&Settings::default());
    scene.pass(150);
    scene.establish(A);
    assert_eq!(scene.adopted().as_deref(), Some(A));
    let old = scene.srv.pop_front().unwrap();
    scene.useless();
    assert_eq!(scene.srv.len(), 1);
    assert_eq!(scene.srv[0].name(), old.name());
    scene.hand_in(old.answer(Ok(Answer::Absent(Absence::NoData))));
    scene.pass(4000);
    assert_eq!(scene.srv.len(), 1);
    assert!(scene.asking().is_empty());
}

#[test]
fn a_dropped_token_ends_the_plan() {
    let mut scene = three_servers(&Settings::default());
    scene.establish(A);
    drop(scene.connected.take());
    assert_eq!(scene.wires.get(), 0);
    for minute in 1..100 {
        scene.pass(minute * 60_000);
        assert!(scene.wait.is_none() && scene.connected.is_none() && scene.cause.is_none());
    }
    let open = scene.srv.pop_front().unwrap();
    scene.hand_in(open.answer(Ok(Answer::Absent(Absence::NoData))));
    assert!(scene.srv.is_empty() && scene.dialling().is_empty());
}

#[test]
fn a_final_answer_ends_the_search() {
    let mut scene = three_servers(&Settings::default());
    scene.establish(A);
    let token = scene.connected.take().unwrap().token;
    scene.hand_in(token.final_answer("403 Forbidden"));
    assert!(matches!(&scene.cause, Some(Cause::Answer(_, why)) if why.raw() == "403 Forbidden"));
    let cause = scene.cause.clone();
    scene.pass(60_000);
    assert_eq!(scene.cause, cause);
}

#[test]
fn an_outcome_of_another_plan_is_ignored_and_its_connection_dropped() {
    let mut one = three_servers(&Settings::default());
    let mut two = three_servers(&Settings::default());
    let foreign = two.take(A);
    let wire = Wire::new(&one.wires);
    one.hand_in(foreign.established(wire));
    assert_eq!((one.adopted(), one.wires.get()), (None, 0));
    let foreign = two.srv.pop_front().unwrap();
    one.hand_in(foreign.answer(Ok(Answer::Found(records(&[(0, 0, 443, "d.contoso.com")])))));
    assert!(one.asking().is_empty());
    // A token, too: the other plan's says nothing here.
    let mut two = three_servers(&Settings::default());
    one.establish(A);
    two.establish(A);
    let token = two.connected.take().unwrap().token;
    one.hand_in(token.useless("503"));
    assert!(one.connected.is_some());
    assert!(matches!(one.plan.poll_step(crate::world::beginning()), Step::Idle));
}

/// One at a time: the adopted one's other addresses are not offered after it.
#[test]
fn a_server_that_was_adopted_is_never_offered_again() {
    let mut scene = Scene::new(&Settings::default().at(Pace::ONE_AT_A_TIME));
    let own = [("a.contoso.com", "192.0.2.1"), ("a.contoso.com", "192.0.2.2")];
    scene.answer(with(records(&[(0, 0, 5061, "a.contoso.com")]), &own));
    scene.absent();
    scene.establish(A);
    scene.useless();
    assert!(matches!(scene.cause, Some(Cause::Answer(..))));
}

/// A driver that overslept: the time of a step is over even if the plan was not polled since.
#[test]
fn an_outcome_at_its_until_or_later_is_ignored_before_any_poll() {
    for (ms, taken) in [(4999, true), (5000, false), (6000, false)] {
        let mut scene = Scene::new(&Settings::default());
        scene.oversleep(ms);
        scene.answer(with(
            records(&[(0, 0, 5061, "a.contoso.com")]),
            &[("a.contoso.com", "192.0.2.1")],
        ));
        assert_eq!(!scene.dialling().is_empty(), taken, "srv after {ms} ms");

        let mut scene = Scene::new(&Settings::default());
        scene.answer(records(&[(0, 0, 5061, "a.contoso.com")]));
        scene.absent();
        scene.oversleep(ms);
        scene.address("a.contoso.com", Family::V6, &["2001:db8::1"]);
        assert_eq!(!scene.dialling().is_empty(), taken, "aaaa after {ms} ms");
    }
    for (ms, taken) in [(7999, true), (8000, false), (9000, false)] {
        let mut scene = three_servers(&Settings::default().at(Pace::ONE_AT_A_TIME));
        scene.absent();
        scene.oversleep(ms);
        scene.establish(A);
        assert_eq!(scene.adopted().is_some(), taken, "connect after {ms} ms");
        assert_eq!(scene.wires.get(), usize::from(taken));
    }
}
