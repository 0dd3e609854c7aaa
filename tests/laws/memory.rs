//! A server that is remembered: it saves questions, and changes nothing else for the worse.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sip_signin::discovery::{ClearText, LastServer, Pace, Protocol, Row, Seed};

use crate::oracle::admits;
use crate::runner::law;
use crate::trust::built;
use crate::walk::Deed;
use crate::world::DOMAIN;
use crate::zones::{Kind, Settings, any_searches, searches, worlds};

/// Hosts that a zone may know, and some that nobody vouches for.
pub fn last_servers() -> impl Strategy<Value = LastServer> {
    let labels = ["sip.", "a.", "b.", "pool01.", "sipinternal.", "a.b.", "", "evil-"];
    let hosts = prop::sample::select(labels.map(|label| format!("{label}{DOMAIN}")).to_vec());
    let ports = prop::sample::select(vec![443_u16, 5061]);
    (hosts, ports, 1_u8..6).prop_map(|(host, port, last)| LastServer {
        host: host.parse().unwrap(),
        port,
        address: [192, 0, 2, last].into(),
    })
}

/// Without a question to ask, the host rows stand in their order from the start.
fn asks_at_once(settings: &Settings) -> bool {
    let asks = |row: &Row| match row {
        Row::Srv { protocol, .. } => *protocol == Protocol::Tls || settings.tcp(),
        Row::Host { .. } => false,
    };
    settings.order.rows().iter().any(asks)
}

#[test]
fn a_remembered_server_is_tried_first_or_refused_and_the_search_ends_as_well_as_without() {
    let cases = (any_searches(), worlds(Kind::default()), last_servers(), any::<u64>());
    let alive =
        [("dialled first", 10), ("forgotten", 5), ("connected there", 1), ("connected", 20)];
    law(cases, &alive, |(settings, world, last, seed), tally| {
        if settings.manual.as_ref().is_some_and(|manual| manual.protocol == Protocol::Tcp) {
            return;
        }
        // What the remembered server meets may bar clear text, and trying it takes time.
        let settings = Settings { clear_text: ClearText::Forbid, ..settings }.unhurried();
        let fresh = settings.search();
        let run = world.run(&fresh.remembering(last.clone()), Seed(seed));
        let trace = run.trace.to_string();
        let host = last.host.as_str();
        let vouched = admits(&settings, host) || built(&settings).contains(host);
        if settings.manual.is_none() {
            assert_eq!(trace.contains("\n  forgets"), !vouched, "{trace}");
            tally.note("forgotten", !vouched);
            let first = run.log.iter().find_map(|(_, deed)| match deed {
                Deed::Dial(lead, address, _) => Some((lead.host.clone(), *address)),
                Deed::AskSrv(_) | Deed::AskHost(..) => Some((String::new(), last.address)),
                _ => None,
            });
            let ours = first == Some((host.to_owned(), last.address));
            assert!(ours == vouched || !asks_at_once(&settings), "{trace}");
            tally.note("dialled first", ours);
        }
        // No address of a server is dialled twice between two adoptions.
        let mut seen = BTreeSet::new();
        for (_, deed) in &run.log {
            match deed {
                Deed::Dial(lead, address, _) => {
                    assert!(seen.insert((lead.clone(), *address)), "{trace}");
                }
                Deed::Adopt(..) => seen.clear(),
                _ => {}
            }
        }
        let connects = !world.run(&fresh, Seed(seed)).adopted().is_empty();
        tally.note("connected", connects);
        let adopted = run.adopted();
        assert!(!connects || !adopted.is_empty(), "{trace}");
        tally.note("connected there", adopted.first().is_some_and(|lead| lead.host == host));
    });
}

/// One at a time: it works, and DNS is not asked anything.
#[test]
fn a_remembered_server_that_answers_is_asked_for_nowhere() {
    let cases = (searches(), worlds(Kind::default()), last_servers(), any::<u64>());
    law(cases, &[("connected", 1)], |(settings, mut world, last, seed), tally| {
        let settings = settings.at(Pace::ONE_AT_A_TIME);
        if !admits(&settings, last.host.as_str()) || !asks_at_once(&settings) {
            return;
        }
        world
            .give_server(&format!("tls {}:{}", last.host, last.port), crate::world::at(30, Ok(())));
        let run = world.run(&settings.search().remembering(last), Seed(seed));
        assert!(matches!(run.log.first(), Some((_, Deed::Dial(..)))), "{}", run.trace);
        let asks = |deed: &Deed| matches!(deed, Deed::AskSrv(..) | Deed::AskHost(..));
        let adoption = run.log.iter().position(|(_, deed)| matches!(deed, Deed::Adopt(..)));
        let before = run.log.iter().take(adoption.expect("it answers"));
        assert!(!before.clone().any(|(_, deed)| asks(deed)), "{}", run.trace);
        tally.note("connected", true);
    });
}
