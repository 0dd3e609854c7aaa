//! A plan is what it heard: folded into its trace and unfolded, it goes on as if nothing had been.

use proptest::prelude::*;
use sip_signin::discovery::{Search, Seed};

use crate::memory::last_servers;
use crate::runner::law;
use crate::walk::Deed;
use crate::world::Manners;
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
