//! Law 11: the machine agrees with plain loops.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sip_signin::discovery::{Cause, Pace, Seed};

use super::runner::law;
use crate::oracle::{Rank, sign_in};
use crate::walk::{Deed, Run};
use crate::world::{After, Manners, World};
use crate::zones::{Kind, any_searches, worlds};

fn rank(cause: &Cause) -> Rank {
    match cause {
        Cause::Certificate(..) => Rank::Certificate,
        Cause::Tls(..) => Rank::Tls,
        Cause::Answer(..) => Rank::Answer,
        Cause::Refused(_) => Rank::Refused,
        Cause::LookupFailed(..) => Rank::LookupFailed,
        Cause::Unreachable(..) => Rank::Unreachable,
        Cause::Unresolvable(_) => Rank::Unresolvable,
        Cause::Invalid(..) => Rank::Invalid,
        Cause::NotOffered(_) => Rank::NotOffered,
        Cause::NoRecords(_) => Rank::NoRecords,
        _ => panic!("a cause without a rank"),
    }
}

fn questions(run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    for (_, deed) in &run.log {
        if let Deed::AskSrv(name) = deed
            && !all.contains(&name.to_string())
        {
            all.push(name.to_string());
        }
    }
    all
}

fn hosts(run: &Run) -> BTreeSet<String> {
    let host = |(_, deed): &(_, Deed)| match deed {
        Deed::AskHost(name, _) => Some(name.as_str().to_string()),
        _ => None,
    };
    run.log.iter().filter_map(host).collect()
}

/// Lookups without delay, so that the order of addresses is certain as well.
fn instant(mut world: World) -> World {
    let now = |ms: &mut Option<u64>| *ms = ms.filter(|&ms| ms > 5000).or(Some(0));
    world.srv.iter_mut().for_each(|(_, after)| now(&mut after.ms));
    world.hosts.iter_mut().for_each(|(_, _, After { ms, .. })| now(ms));
    world.manners = Manners { prompt: false, ..world.manners };
    world
}

#[test]
fn law_11_the_machine_agrees_with_plain_loops_over_a_still_zone() {
    let kind = Kind { weights: false, silence: false, luck: 3 };
    let alive = [("connected", 20), ("nothing found", 20), ("clear text", 4), ("host rows", 10)];
    law((any_searches(), worlds(kind)), &alive, |(settings, world), tally| {
        let settings = settings.unhurried().at(Pace::ONE_AT_A_TIME);
        let world = instant(world);
        let story = sign_in(&settings, &world);
        let run = world.run(&settings.search(), Seed(0));
        assert_eq!(questions(&run), story.questions);
        assert_eq!(run.dials(), story.dials, "{run}");
        assert_eq!(run.adopted(), story.adopted, "{run}");
        // Where only one record is tried, hosts of others may have been asked for in vain.
        if !settings.first_only {
            assert_eq!(Some(rank(run.cause())), story.ranks.first().copied(), "{run}");
        }
        let hosts = hosts(&run);
        assert!(story.must_ask.is_subset(&hosts), "{hosts:?}");
        assert!(hosts.is_subset(&story.may_ask), "{hosts:?}");
        let built =
            |(_, deed): &(_, Deed)| matches!(deed, Deed::Dial(_, _, sip_signin::Origin::Built));
        tally.note("connected", !run.adopted().is_empty());
        tally.note("nothing found", run.adopted().is_empty());
        tally.note("host rows", run.log.iter().any(built));
        let tcp = sip_signin::discovery::Protocol::Tcp;
        tally.note("clear text", run.dials().iter().any(|(lead, _)| lead.protocol == tcp));
    });
}

/// With answers that come when they come, the servers and the end are still the same.
#[test]
fn law_11_the_machine_agrees_with_plain_loops_whenever_answers_come() {
    let kind = Kind { weights: false, luck: 3, ..Kind::default() };
    let alive = [("connected", 20), ("nothing found", 20), ("silence", 5)];
    law((any_searches(), worlds(kind), any::<u64>()), &alive, |(settings, world, seed), tally| {
        let settings = settings.unhurried().at(Pace::ONE_AT_A_TIME);
        let story = sign_in(&settings, &world);
        let run = world.run(&settings.search(), Seed(seed));
        let leads = |dials: Vec<(_, _)>| {
            let mut leads: Vec<_> = dials.into_iter().map(|(lead, _)| lead).collect();
            leads.dedup();
            leads
        };
        assert_eq!(questions(&run), story.questions);
        assert_eq!(leads(run.dials()), leads(story.dials), "{run}");
        assert_eq!(run.adopted(), story.adopted, "{run}");
        assert!(hosts(&run).is_subset(&story.may_ask));
        if run.adopted().is_empty() && !settings.first_only {
            assert_eq!(Some(rank(run.cause())), story.ranks.first().copied(), "{run}");
        }
        tally.note("connected", !run.adopted().is_empty());
        tally.note("nothing found", run.adopted().is_empty());
        tally.note("silence", world.srv.iter().any(|(_, after)| after.ms.is_none()));
    });
}
