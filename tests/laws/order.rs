//! Laws 2 and 13: what the arrival of answers may change, and what a race may.

use proptest::prelude::*;
use sip_signin::discovery::{Pace, Seed};

use super::runner::law;
use crate::world::World;
use crate::zones::{Kind, any_searches, worlds};

const TIMELY: Kind = Kind { weights: true, silence: false, luck: 3 };

/// The same world with other delays.
fn otherwise(world: &World, delays: &[u64]) -> World {
    let mut delays = delays.iter().copied().cycle();
    let mut other = world.clone();
    let mut change = |ms: &mut Option<u64>| *ms = ms.and_then(|_| delays.next());
    other.srv.iter_mut().for_each(|(_, after)| change(&mut after.ms));
    other.hosts.iter_mut().for_each(|(_, _, after)| change(&mut after.ms));
    other.luck.iter_mut().for_each(|after| change(&mut after.ms));
    other
}

#[test]
fn law_2_one_at_a_time_the_arrival_of_answers_never_changes_the_server() {
    let delays = prop::collection::vec(0u64..1500, 7..12);
    let cases = (any_searches(), worlds(TIMELY), any::<u64>(), delays);
    let alive = [("connected", 30), ("steps differ", 40), ("more than one", 3)];
    law(cases, &alive, |(settings, world, seed, delays), tally| {
        let search = settings.unhurried().at(Pace::ONE_AT_A_TIME).search();
        let one = world.run(&search, Seed(seed));
        let two = otherwise(&world, &delays).run(&search, Seed(seed));
        assert_eq!(one.adopted(), two.adopted());
        tally.note("connected", !one.adopted().is_empty());
        tally.note("more than one", one.adopted().len() > 1);
        tally.note("steps differ", one.steps() != two.steps());
    });
}

#[test]
fn law_13_a_race_adopts_what_one_at_a_time_would_and_connects_whenever_it_does() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("connected", 30), ("not the best", 1), ("clear text", 1)];
    law(cases, &alive, |(settings, mut world, seed), tally| {
        world.useless = 0;
        let settings = settings.unhurried();
        let race = world.run(&settings.search(), Seed(seed));
        let slow = settings.clone().at(Pace::ONE_AT_A_TIME).search();
        let calm = world.run(&slow, Seed(seed));
        assert_eq!(race.adopted().len(), calm.adopted().len());
        let Some(adopted) = race.adopted().pop() else { return };
        tally.note("connected", true);
        tally.note("not the best", calm.adopted()[0] != adopted);
        tally.note("clear text", adopted.protocol == sip_signin::discovery::Protocol::Tcp);
        let alone = World { only: Some(adopted.clone()), ..world };
        assert_eq!(alone.run(&slow, Seed(seed)).adopted(), [adopted]);
    });
}
