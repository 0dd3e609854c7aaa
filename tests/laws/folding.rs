//! A plan is what it heard: folded into its trace and unfolded, it goes on as if nothing had been.

use std::time::Duration;

use proptest::prelude::*;
use sip_signin::discovery::{Absence, Answer, DiscoveryPlan, Search, Seed, Step};

use crate::memory::last_servers;
use crate::runner::law;
use crate::walk::Deed;
use crate::world::{Manners, beginning, jeremy};
use crate::zones::{Kind, any_searches, worlds};

#[test]
fn a_plan_that_is_folded_at_every_turn_takes_the_same_steps_at_the_same_times() {
    let last = prop::option::of(last_servers());
    let cases = (any_searches(), worlds(Kind::default()), last, any::<u64>());
    let alive = [
        ("connected", 20),
        ("connected again", 5),
        ("late", 10),
        ("a ready one waited", 1),
        ("remembered", 20),
    ];
    law(cases, &alive, |(settings, mut world, last, seed), tally| {
        let search: Search = settings.search().remembering(last.clone());
        let run = world.run(&search, Seed(seed));
        world.manners = Manners { folds: true, ..world.manners };
        let folded = world.run(&search, Seed(seed));
        assert_eq!(folded.log, run.log, "{run}");
        assert_eq!(folded.trace, run.trace, "{run}");
        let adoptions = run.adopted().len();
        let mut ready = None;
        let waited = run.log.iter().any(|(at, deed)| match deed {
            Deed::HeardDial(_, _, Ok(())) => {
                ready = Some(*at);
                false
            }
            Deed::Adopt(..) => ready.take().is_some_and(|since| since < *at),
            _ => false,
        });
        tally.note("connected", adoptions > 0);
        tally.note("connected again", adoptions > 1);
        tally.note("late", run.to_string().contains("  late     "));
        tally.note("a ready one waited", waited);
        tally.note("remembered", last.is_some());
    });
}

/// The latest time seen counts, also when nothing was written then.
#[test]
fn a_folded_plan_remembers_the_latest_time_it_saw() {
    let start = beginning();
    let later = start + Duration::from_millis(70);
    let mut plan = DiscoveryPlan::<()>::new(&jeremy(), &Search::default(), Seed(0), start);
    let Step::LookupSrv(step) = plan.poll_step(start) else { panic!("a question comes first") };
    while !matches!(plan.poll_step(later), Step::Wait { .. }) {}
    assert!(matches!(plan.poll_step(later + Duration::from_millis(1)), Step::Wait { .. }));
    let mut plan = plan.fold().unfold();
    plan.handle(step.answer(Ok(Answer::Absent(Absence::NoData))), start);
    let last = plan.trace().events().next_back().expect("it was heard");
    assert_eq!(last.at, Duration::from_millis(71));
}
