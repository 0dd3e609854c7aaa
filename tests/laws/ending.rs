//! Laws 1, 3, 8 and 9: the same again, an end, something owed, nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sip_signin::discovery::{Pace, STEP_LIMIT, Seed};

use super::runner::law;
use crate::walk::{Deed, Run};
use crate::world::{After, Manners, World};
use crate::zones::{Kind, any_searches, searches, worlds};

fn asked(run: &Run) -> usize {
    let asked = |(_, deed): &&(_, Deed)| {
        matches!(deed, Deed::AskSrv(_) | Deed::AskHost(..) | Deed::Dial(..))
    };
    run.log.iter().filter(asked).count()
}

#[test]
fn law_1_same_inputs_same_times_same_steps() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    law(cases, &[("connected", 30), ("asked much", 50)], |(settings, world, seed), tally| {
        let (one, two) =
            (world.run(&settings.search(), Seed(seed)), world.run(&settings.search(), Seed(seed)));
        assert_eq!(one.log, two.log);
        assert_eq!(one.trace, two.trace);
        assert_eq!(one.trace.to_string(), two.trace.to_string());
        tally.note("connected", !one.adopted().is_empty());
        tally.note("asked much", asked(&one) > 5);
    });
}

/// Polling more often, and telling a time that is too early, changes nothing.
#[test]
fn law_1_neither_idle_polls_nor_a_clock_that_goes_back_change_a_step() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    law(cases, &[("connected", 30), ("fidgeted", 50)], |(settings, world, seed), tally| {
        let manners = Manners { backwards: false, fidget: None, ..world.manners };
        let steady = World { manners, ..world.clone() };
        let manners = Manners { backwards: true, fidget: Some(15), ..world.manners };
        let nervous = World { manners, ..world };
        let steady = steady.run(&settings.search(), Seed(seed));
        let nervous = nervous.run(&settings.search(), Seed(seed));
        // Not the trace: a time-out that matters to no step is noticed at the next poll.
        assert_eq!(steady.log, nervous.log);
        tally.note("connected", !steady.adopted().is_empty());
        tally.note("fidgeted", nervous.polls > steady.polls);
    });
}

/// The bound: its own deadline, but for the time that a connection was adopted, and its step limit.
#[test]
fn law_3_every_plan_ends_within_its_deadline_and_its_steps() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("connected", 30), ("came back", 4), ("took long", 3)];
    law(cases, &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let took = run.log.last().unwrap().0 - run.idle;
        assert!(took <= settings.timeouts.search, "{took:?}");
        assert!(asked(&run) <= STEP_LIMIT);
        tally.note("connected", !run.adopted().is_empty());
        tally.note("came back", run.adopted().len() > 1);
        tally.note("took long", took > Duration::from_secs(8));
    });
}

#[test]
fn law_3_a_world_that_never_answers_is_left_in_time() {
    let kind = Kind::default();
    law((any_searches(), worlds(kind)), &[("dialled", 5)], |(settings, mut world), tally| {
        let mute = |ms: &mut Option<u64>, n: u64| {
            *ms = ms.filter(|ms| !(ms + n).is_multiple_of(3));
        };
        for (n, (_, After { ms, .. })) in (0..).zip(&mut world.srv) {
            mute(ms, n);
        }
        for (_, _, After { ms, .. }) in &mut world.hosts {
            mute(ms, 0);
        }
        world.luck.iter_mut().for_each(|after| after.ms = None);
        let run = world.run(&settings.search(), Seed(0));
        assert!(run.adopted().is_empty());
        assert!(run.log.last().unwrap().0 <= settings.timeouts.search);
        tally.note("dialled", !run.dials().is_empty());
    });
}

/// The driver itself insists that a wait is for the future and that an idle plan holds a token;
/// here, that no wait is empty: when its time comes without news, something happens.
#[test]
fn law_8_a_waiting_plan_owes_a_step_or_a_time() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    law(cases, &[("connected", 30)], |(settings, mut world, seed), tally| {
        world.manners = Manners { lazy: false, prompt: false, ..Manners::default() };
        let run = world.run(&settings.search(), Seed(seed));
        let heard = |(_, deed): &&(_, Deed)| {
            matches!(deed, Deed::HeardSrv(..) | Deed::HeardHost(..) | Deed::HeardDial(..))
        };
        let news = run.log.iter().filter(heard).count();
        // Each poll is a step, follows news, or ends a wait; each step has few times of its own:
        // its end, a head start, a patience, an address delay, a resolution delay.
        let bound = 8 * (asked(&run) + news + run.adopted().len() + 2);
        assert!(run.polls <= bound, "{} polls, {bound} at most", run.polls);
        tally.note("connected", !run.adopted().is_empty());
    });
}

#[test]
fn law_9_nothing_is_offered_again_but_what_an_adoption_made_it_forget() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("dialled twice", 50), ("again", 1), ("shared", 20)];
    law(cases, &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let (mut offered, mut open) = (Vec::new(), Vec::new());
        for (_, deed) in &run.log {
            match deed {
                Deed::AskSrv(_) | Deed::AskHost(..) | Deed::Dial(..) => {
                    assert!(!offered.contains(deed), "{deed:?} again");
                    offered.push(deed.clone());
                    open.push(deed.clone());
                }
                Deed::HeardSrv(name, _) => open.retain(|d| *d != Deed::AskSrv(name.clone())),
                Deed::HeardHost(name, family, _) => {
                    open.retain(|d| *d != Deed::AskHost(name.clone(), *family));
                }
                Deed::HeardDial(lead, by, result) => {
                    let this =
                        |d: &Deed| matches!(d, Deed::Dial(to, a, _) if to == lead && a == by);
                    open.retain(|d| result.is_ok() || !this(d));
                }
                Deed::Adopt(adopted, _) => {
                    // The adopted candidate is used up, all its addresses with it.
                    let used = |d: &Deed| matches!(d, Deed::Dial(to, ..) if to == adopted);
                    offered.retain(|d| used(d) || !open.contains(d));
                }
                Deed::Returned => {
                    tally.note("again", offered.len() < asked(&run));
                    open.clear();
                }
                Deed::Exhausted(_) => {}
            }
        }
        let leads: BTreeSet<_> = run.dials().into_iter().map(|(lead, _)| lead).collect();
        tally.note("dialled twice", run.dials().len() > 1);
        tally.note("shared", leads.len() > 1);
    });
}

/// One at a time, a server that was left is not returned to.
#[test]
fn law_9_one_at_a_time_no_server_is_returned_to() {
    let kind = Kind { luck: 1, ..Kind::default() };
    law((searches(), worlds(kind)), &[("servers", 40)], |(settings, mut world), tally| {
        world.useless = 0;
        let run = world.run(&settings.at(Pace::ONE_AT_A_TIME).search(), Seed(0));
        let mut leads: Vec<_> = run.dials().into_iter().map(|(lead, _)| lead).collect();
        leads.dedup();
        let once: BTreeSet<_> = leads.iter().collect();
        assert_eq!(once.len(), leads.len(), "{leads:?}");
        tally.note("servers", leads.len() > 1);
    });
}
