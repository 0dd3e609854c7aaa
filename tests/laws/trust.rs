//! Laws 4 to 7 and 10: who may be asked for, dialled, and spoken to in clear text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use sip_signin::discovery::{Answer, ClearText, ConnectFailure, Protocol, Row, Seed};
use sip_signin::{HostNamePolicy, Origin};

use crate::oracle::admits;
use crate::runner::law;
use crate::walk::{Deed, Run, Said};
use crate::world::{DOMAIN, Lead, World, at};
use crate::zones::{Kind, Settings, any_searches, manuals, searches, worlds};

/// The hosts that the client itself makes of the user's domain.
pub fn built(settings: &Settings) -> BTreeSet<String> {
    let host = |row: &Row| match row {
        Row::Host { label, .. } => Some(format!("{label}.{DOMAIN}")),
        Row::Srv { .. } => None,
    };
    settings.order.rows().iter().filter_map(host).collect()
}

#[test]
fn law_4_no_question_about_and_no_connect_to_a_host_that_nobody_vouches_for() {
    let cases = (any_searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("a host was refused", 8), ("an admitted host was dialled", 20)];
    law(cases, &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let own = built(&settings);
        let named = settings.manual.iter().flat_map(|m| [&m.internal, &m.external]).flatten();
        let named: BTreeSet<_> = named.map(|server| server.host.to_string()).collect();
        for (_, deed) in &run.log {
            match deed {
                Deed::AskHost(host, _) if settings.manual.is_some() => {
                    assert!(named.contains(host.as_str()));
                }
                Deed::AskHost(host, _) => {
                    assert!(admits(&settings, host.as_str()) || own.contains(host.as_str()));
                }
                Deed::Dial(lead, _, Origin::Rule) => {
                    tally.note("an admitted host was dialled", true);
                    assert!(admits(&settings, &lead.host) && settings.manual.is_none());
                }
                Deed::Dial(lead, _, Origin::Built) => assert!(own.contains(&lead.host)),
                Deed::Dial(lead, _, _) => assert!(named.contains(&lead.host)),
                _ => {}
            }
        }
        tally.note("a host was refused", run.trace.to_string().contains("\n  refused"));
    });
}

#[test]
fn law_5_a_wider_rule_offers_at_least_the_same_servers() {
    let cases = (searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("strict dials", 20), ("relaxed dials more", 15), ("any dials more", 1)];
    law(cases, &alive, |(settings, mut world, seed), tally| {
        world.luck = vec![at(20, Err(ConnectFailure::Refused))];
        let offered = |policy| {
            let settings = Settings { policy, first_only: false, ..settings.clone() };
            let run = world.run(&settings.unhurried().search(), Seed(seed));
            run.dials().into_iter().map(|(lead, _)| lead).collect::<BTreeSet<_>>()
        };
        let strict = offered(HostNamePolicy::Strict);
        let relaxed = offered(HostNamePolicy::Relaxed);
        let any = offered(HostNamePolicy::AnySubdomain);
        assert!(strict.is_subset(&relaxed) && relaxed.is_subset(&any));
        tally.note("strict dials", !strict.is_empty());
        tally.note("relaxed dials more", relaxed.len() > strict.len());
        tally.note("any dials more", any.len() > relaxed.len());
    });
}

#[test]
fn law_6_host_rows_only_after_every_srv_answer_was_absence() {
    let cases = (searches(), worlds(Kind::default()), any::<u64>());
    let alive = [("host rows", 20), ("by the knob", 2), ("withheld for a failure", 2)];
    law(cases, &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let mut known: BTreeMap<String, Said> = BTreeMap::new();
        let (mut rows, mut failed) = (false, false);
        for (_, deed) in &run.log {
            match deed {
                Deed::AskSrv(name) => _ = known.insert(name.to_string(), Said::Nothing),
                Deed::HeardSrv(name, said) => _ = known.insert(name.to_string(), *said),
                Deed::Dial(lead, _, Origin::Built) => {
                    rows = true;
                    failed = known.values().any(|said| *said != Said::Absent);
                    assert!(!failed || settings.hosts_after_failed, "{run}");
                    assert!(!failed || lead.protocol == Protocol::Tls, "{run}");
                    // Records that lead nowhere are records; an empty answer is a failure.
                    assert!(!found(&world, &known), "{run}");
                }
                _ => {}
            }
        }
        tally.note("host rows", rows);
        tally.note("by the knob", rows && failed);
        let withheld = run.trace.to_string().contains("\n  no hosts");
        assert!(!withheld || (!rows && !settings.hosts_after_failed));
        tally.note("withheld for a failure", withheld);
    });
}

/// Whether one of the answers heard had a record.
fn found(world: &World, known: &BTreeMap<String, Said>) -> bool {
    let record = |(service, after): &(&str, crate::world::After<crate::world::SrvSays>)| {
        known.get(&format!("{service}.{DOMAIN}")) == Some(&Said::Found)
            && matches!(&after.says, Ok(Answer::Found(answer)) if !answer.records.is_empty())
    };
    world.srv.iter().any(record)
}

#[test]
fn law_7_tls_before_tcp_and_no_tcp_where_it_is_forbidden_or_tls_was_seen() {
    let kind = Kind { luck: 1, ..Kind::default() };
    let alive = [("clear text", 8), ("ruled out", 4), ("forbidden", 30)];
    law((searches(), worlds(kind), any::<u64>()), &alive, |(settings, world, seed), tally| {
        let run = world.run(&settings.search(), Seed(seed));
        let (mut tls_seen, mut clear) = (false, false);
        let mut open: BTreeSet<(Lead, String)> = BTreeSet::new();
        let mut overdue = Vec::new();
        for (when, deed) in &run.log {
            match deed {
                Deed::Dial(lead, address, _) if lead.protocol == Protocol::Tls => {
                    assert!(!clear, "tls after clear text: {run}");
                    open.insert((lead.clone(), address.to_string()));
                    overdue.push((*when + Duration::from_secs(8), lead, address));
                }
                Deed::Dial(lead, ..) => {
                    clear = true;
                    assert_eq!(settings.clear_text, ClearText::Allow);
                    assert!(!tls_seen, "{lead:?} after a tls server was seen: {run}");
                    for (until, lead, address) in &overdue {
                        let late = open.contains(&((*lead).clone(), address.to_string()));
                        assert!(!late || until <= when, "beside {lead:?}: {run}");
                    }
                }
                Deed::HeardDial(lead, address, result) if lead.protocol == Protocol::Tls => {
                    open.remove(&(lead.clone(), address.to_string()));
                    let mild = result.as_ref().err().is_some_and(mild);
                    tls_seen |= !mild;
                }
                Deed::AskSrv(name) if settings.clear_text == ClearText::Forbid => {
                    let tls = |row: &Row| {
                        matches!(row, Row::Srv { service, protocol: Protocol::Tls }
                            if *service == name.service())
                    };
                    assert!(settings.order.rows().iter().any(tls));
                }
                Deed::Adopt(..) => open.clear(),
                _ => {}
            }
        }
        tally.note("clear text", clear);
        tally.note("ruled out", run.trace.to_string().contains("\n  tls only"));
        tally.note("forbidden", settings.clear_text == ClearText::Forbid);
    });
}

/// Only these leave clear text: whoever sent them has not shown himself as a TLS server.
fn mild(failure: &ConnectFailure) -> bool {
    crate::zones::MILD.contains(failure)
}

#[test]
fn law_10_manual_servers_ask_no_srv_record_and_the_internal_one_comes_first() {
    let alive = [("both", 25), ("external connected", 5), ("internal connected", 5)];
    law((manuals(), worlds(Kind::default()), any::<u64>()), &alive, |case, tally| {
        let (settings, world, seed) = case;
        let run = world.run(&settings.search(), Seed(seed));
        assert!(!run.log.iter().any(|(_, deed)| matches!(deed, Deed::AskSrv(_))));
        let servers = settings.manual.clone().unwrap();
        let lead = |server: &sip_signin::discovery::ManualServer| {
            let port = server.port.unwrap_or(servers.protocol.default_port());
            Lead { protocol: servers.protocol, host: server.host.to_string(), port }
        };
        let (internal, external) =
            (servers.internal.as_ref().map(lead), servers.external.as_ref().map(lead));
        let first = |lead: &Option<Lead>, run: &Run| {
            let lead = lead.clone()?;
            run.log.iter().position(|(_, d)| matches!(d, Deed::Dial(to, ..) if *to == lead))
        };
        for (lead, _) in run.dials() {
            assert!(Some(&lead) == internal.as_ref() || Some(&lead) == external.as_ref());
        }
        if let (Some(i), Some(e)) = (first(&internal, &run), first(&external, &run)) {
            tally.note("both", internal != external);
            // The external one is first only if the internal one's address was missing for the
            // length of a head start.
            let asked =
                |(when, d): &(Duration, Deed)| matches!(d, Deed::AskHost(..)).then_some(*when);
            let since = run.log.iter().find_map(asked).unwrap_or_default();
            let tls = servers.protocol == Protocol::Tls;
            let head_start = settings.pace.head_start.filter(|_| tls);
            let late = head_start.is_some_and(|head| run.log[e].0 >= since + head);
            assert!(i <= e || late, "{run}");
        }
        tally.note("external connected", run.adopted().last() == external.as_ref());
        tally.note("internal connected", run.adopted().first() == internal.as_ref());
    });
}

/// A search with a policy, strict or not, and the seed article's own names.
#[test]
fn n1_to_n4_the_rule_holds_through_the_plan() {
    use HostNamePolicy::{AnySubdomain, Relaxed, Strict};
    for (target, strict, relaxed, any) in [
        ("contoso.com", true, true, true),
        ("sip.contoso.com", true, true, true),
        ("Server77.contoso.com", false, true, true),
        ("sipinternal.contoso.com", false, true, true),
        ("sip.eng.contoso.com", false, false, true),
        ("sip.contoso.net", false, false, false),
        ("sip.com", false, false, false),
        ("sip.contoso.com.cpandl.com", false, false, false),
        ("evilcontoso.com", false, false, false),
        ("pool.lync.com", false, false, false),
    ] {
        let world = World::of_record("_sipinternaltls._tcp", target);
        for (policy, admitted) in [(Strict, strict), (Relaxed, relaxed), (AnySubdomain, any)] {
            let settings = Settings { policy, ..Settings::default() };
            let run = world.run(&settings.search(), Seed(0));
            assert_eq!(!run.dials().is_empty(), admitted, "{target}: {run}");
            let refused = run.trace.to_string().contains("\n  refused");
            assert_eq!(refused, !admitted, "{target}: {run}");
            let asked = run.log.iter().any(|(_, deed)| matches!(deed, Deed::AskHost(..)));
            assert_eq!(asked, admitted, "{target}: {run}");
        }
        let trusted = vec![crate::world::host("lync.com")];
        let settings = Settings { policy: Strict, trusted, ..Settings::default() };
        let admitted = strict || target.ends_with(".lync.com");
        let run = world.run(&settings.search(), Seed(0));
        assert_eq!(!run.dials().is_empty(), admitted, "{target}: {run}");
    }
    // N4: the client's own names pass under strict naming, too.
    let mut world = World::default();
    world.give_address("sipexternal.contoso.com", "192.0.2.9");
    let settings = Settings { policy: Strict, ..Settings::default() };
    let run = world.run(&settings.search(), Seed(0));
    assert_eq!(run.dials().len(), 2, "{run}");
}
