//! R1 to R11 as tables: where to look, in which order, and when to stop.

use std::time::Duration;

use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ClearText, ConnectFailure, LookupFailure, ManualServers,
    Pace, Protocol, SearchOrder, Seed, SrvAnswer, SrvRecord,
};

use crate::walk::{Deed, Run};
use crate::world::{After, DOMAIN, SrvSays, World, at};
use crate::zones::{MILD, Settings, telling};

const TLS_INTERNAL: &str = "_sipinternaltls._tcp";
const TCP_INTERNAL: &str = "_sipinternal._tcp";
const TLS_EXTERNAL: &str = "_sip._tls";

fn allow() -> Settings {
    Settings { clear_text: ClearText::Allow, ..Settings::default() }
}

fn shown(run: &Run) -> Vec<String> {
    run.dials().iter().map(|(lead, _)| format!("{lead:?}")).collect()
}

fn questions(run: &Run) -> Vec<String> {
    let service = |(_, deed): &(Duration, Deed)| match deed {
        Deed::AskSrv(name) => Some(name.service().to_string()),
        _ => None,
    };
    run.log.iter().filter_map(service).collect()
}

/// A zone without SRV records in which the client's own names exist.
fn bare() -> World {
    let mut world = World::default();
    for label in ["sipinternal", "sip", "sipexternal"] {
        world.give_address(&format!("{label}.{DOMAIN}"), "192.0.2.1");
    }
    world
}

#[test]
fn r1_r3_r10_each_order_asks_and_tries_its_own_rows() {
    let all = [TLS_INTERNAL, TCP_INTERNAL, TLS_EXTERNAL];
    let tls = "tls sipinternal.contoso.com:5061";
    let tcp = "tcp sipinternal.contoso.com:5060";
    let edge = ["tls sipexternal.contoso.com:443", "tls sipexternal.contoso.com:5061"];
    let sip = ["tls sip.contoso.com:5061", "tls sip.contoso.com:443"];
    let (order, run) = (SearchOrder::COMMUNICATOR, |order: SearchOrder, settings: Settings| {
        bare().run(&Settings { order, ..settings }.search(), Seed(0))
    });
    let forbidden = run(order.clone(), Settings::default());
    assert_eq!(questions(&forbidden), [TLS_INTERNAL, TLS_EXTERNAL]);
    assert_eq!(shown(&forbidden), [tls, edge[0], edge[1]]);
    let allowed = run(order, allow());
    assert_eq!(questions(&allowed), all);
    assert_eq!(shown(&allowed), [tls, edge[0], edge[1], tcp]);

    let allowed = run(SearchOrder::COMMUNICATOR_2007, allow());
    assert_eq!(questions(&allowed), [TLS_INTERNAL, TCP_INTERNAL, TLS_EXTERNAL, "_sip._tcp"]);
    assert_eq!(shown(&allowed), [sip[0], sip[1], tls, "tcp sip.contoso.com:5060", tcp]);
    let forbidden = run(SearchOrder::COMMUNICATOR_2007, Settings::default());
    assert_eq!(questions(&forbidden), [TLS_INTERNAL, TLS_EXTERNAL]);

    let allowed = run(SearchOrder::COMMUNICATOR_2007_R2, allow());
    assert_eq!(questions(&allowed), all);
    let tls_rows = [tls, sip[0], sip[1], edge[0], edge[1]];
    assert_eq!(shown(&allowed)[..5], tls_rows);
    assert_eq!(shown(&allowed)[5..], [tcp, "tcp sip.contoso.com:5060"]);

    let run_phone = run(SearchOrder::PHONE_EDITION_R2, allow());
    assert_eq!(questions(&run_phone), [TLS_INTERNAL, TLS_EXTERNAL, TCP_INTERNAL]);
    let second = "tls sipinternal.contoso.com:443";
    assert_eq!(shown(&run_phone), [tls, second, sip[0], sip[1], edge[1], edge[0]]);

    let skype = run(SearchOrder::SKYPE_FOR_BUSINESS, allow());
    assert_eq!(questions(&skype), [TLS_INTERNAL, TLS_EXTERNAL]);
    assert_eq!(shown(&skype), tls_rows);
}

#[test]
fn r4_every_tls_candidate_comes_before_clear_text() {
    let mut world = World::of_record(TLS_EXTERNAL, "b.contoso.com");
    world.give_record(TCP_INTERNAL, "a.contoso.com");
    world.give_address("a.contoso.com", "192.0.2.1");
    let run = world.run(&allow().search(), Seed(0));
    assert_eq!(shown(&run), ["tls b.contoso.com:5061", "tcp a.contoso.com:5061"]);
}

#[test]
fn r5_what_a_tls_candidate_met_decides_on_clear_text() {
    let mut table: Vec<_> = MILD.into_iter().map(|failure| (Some(failure), true)).collect();
    table.extend(telling().into_iter().map(|failure| (Some(failure), false)));
    for fault in [CertificateFault::Expired, CertificateFault::Revoked] {
        table.push((Some(ConnectFailure::Certificate(fault)), false));
    }
    table.push((None, false));
    for (failure, clear_text) in table {
        let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
        world.give_record(TCP_INTERNAL, "a.contoso.com");
        let says = failure.clone().map_or(Ok(()), Err);
        world.give_server("tls a.contoso.com:5061", at(10, says));
        world.useless = 1;
        for pace in [Pace::DEFAULT, Pace::EAGER, Pace::ONE_AT_A_TIME] {
            let run = world.run(&allow().at(pace).search(), Seed(0));
            let tried = shown(&run).contains(&"tcp a.contoso.com:5061".to_string());
            assert_eq!(tried, clear_text, "{failure:?}: {run}");
            assert_eq!(run.trace.to_string().contains("\n  tls only"), !clear_text, "{run}");
        }
        assert_eq!(failure.is_some_and(|f| f.leaves_clear_text()), clear_text);
    }
    // A connect that nobody answered in time leaves it, too.
    let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
    world.give_record(TCP_INTERNAL, "a.contoso.com");
    world.give_server("tls a.contoso.com:5061", After { ms: None, says: Ok(()) });
    assert_eq!(shown(&world.run(&allow().search(), Seed(0))).len(), 2);
}

#[test]
fn r7_only_absence_opens_the_host_rows() {
    let found = |records: Vec<SrvRecord>| -> SrvSays {
        Ok(Answer::Found(SrvAnswer { records, additional: Vec::new() }))
    };
    let one = |target| found(vec![SrvRecord::new(0, 0, 5061, target)]);
    // What one question comes to, the others being absent; the host rows, and with the knob.
    let table: Vec<(&str, Option<SrvSays>, bool, bool)> = vec![
        ("no such name", Some(Ok(Answer::Absent(Absence::NoSuchName))), true, true),
        ("no data", Some(Ok(Answer::Absent(Absence::NoData))), true, true),
        ("refused by the rule", Some(one("sip.contoso.net")), false, false),
        ("unresolvable", Some(one("gone.contoso.com")), false, false),
        ("unreachable", Some(one("sip.contoso.com")), false, false),
        ("not offered", Some(one(".")), false, false),
        ("invalid", Some(one("_x.contoso.com")), false, false),
        ("port 0", Some(found(vec![SrvRecord::new(0, 0, 0, "sip.contoso.com")])), false, false),
        ("empty", Some(found(Vec::new())), false, true),
        ("servfail", Some(Err(LookupFailure::ServerFailure)), false, true),
        ("refused", Some(Err(LookupFailure::Refused)), false, true),
        ("malformed", Some(Err(LookupFailure::Malformed)), false, true),
        ("timed out", Some(Err(LookupFailure::TimedOut)), false, true),
        ("unreachable dns", Some(Err(LookupFailure::Unreachable)), false, true),
        ("other", Some(Err(LookupFailure::Other("?".into()))), false, true),
        ("silence", None, false, true),
    ];
    for service in [TLS_INTERNAL, TCP_INTERNAL, TLS_EXTERNAL] {
        for (what, says, opened, by_knob) in &table {
            for (hosts_after_failed, expected) in [(false, *opened), (true, *by_knob)] {
                let mut world = bare();
                let after = match says.clone() {
                    Some(says) => at(5, says),
                    None => After { ms: None, says: Ok(Answer::Absent(Absence::NoData)) },
                };
                world.srv.push((service, after));
                let settings = Settings { hosts_after_failed, ..allow() };
                let run = world.run(&settings.search(), Seed(0));
                let internal = "tls sipinternal.contoso.com:5061".to_string();
                assert_eq!(shown(&run).contains(&internal), expected, "{what}: {run}");
                let clear = shown(&run).iter().any(|lead| lead.starts_with("tcp sipinternal"));
                assert_eq!(clear, *opened, "{what}: {run}");
                let failed = !opened && *by_knob;
                let said = run.trace.to_string().contains("\n  no hosts");
                assert_eq!(said, failed && !expected, "{what}: {run}");
            }
        }
    }
    // No SRV row in the order counts as all absent.
    let rows = vec![sip_signin::discovery::Row::Host {
        label: "sip".into(),
        protocol: Protocol::Tls,
        port: 443,
    }];
    let order = SearchOrder::new("hosts", rows).unwrap();
    let run = bare().run(&Settings { order, ..Settings::default() }.search(), Seed(0));
    assert_eq!(shown(&run), ["tls sip.contoso.com:443"]);
}

#[test]
fn r9_the_next_target_then_the_next_row_or_by_the_knob_nobody() {
    let mut world = World::of_record(TLS_EXTERNAL, "c.contoso.com");
    let record = |priority, target| SrvRecord::new(priority, 0, 5061, target);
    let refused = record(0, "sip.contoso.net");
    let both = vec![refused, record(1, "a.contoso.com"), record(2, "b.contoso.com")];
    world.give_records(TLS_INTERNAL, both);
    world.give_record(TCP_INTERNAL, "d.contoso.com");
    for name in ["a", "b", "d"] {
        world.give_address(&format!("{name}.contoso.com"), "192.0.2.1");
    }
    let all = ["tls a.contoso.com:5061", "tls b.contoso.com:5061", "tls c.contoso.com:5061"];
    let run = world.run(&allow().search(), Seed(0));
    assert_eq!(shown(&run)[..3], all);
    assert_eq!(shown(&run)[3..], ["tcp d.contoso.com:5061"]);
    let settings = Settings { first_only: true, pace: Pace::EAGER, ..allow() };
    assert_eq!(shown(&world.run(&settings.search(), Seed(0))), all[..1]);
    // The best that was admitted is the only one, though it has no address; the host rows follow
    // absence as ever.
    world.hosts.clear();
    assert!(world.run(&settings.search(), Seed(0)).dials().is_empty());
    assert_eq!(bare().run(&settings.search(), Seed(0)).dials().len(), 4);
}

#[test]
fn r11_manual_servers_have_the_protocols_port_and_no_name_rule() {
    let servers = |internal: &str, external: &str, protocol| ManualServers {
        internal: Some(internal.parse().unwrap()),
        external: Some(external.parse().unwrap()),
        protocol,
    };
    let mut world = World::of_record(TLS_INTERNAL, "sip.contoso.com");
    world.give_address("pool.corp.example", "192.0.2.7");
    for (internal, external, protocol, dials) in [
        (
            "pool.corp.example",
            "192.0.2.8",
            Protocol::Tls,
            ["tls pool.corp.example:5061", "tls 192.0.2.8:5061"],
        ),
        (
            "pool.corp.example:443",
            "[2001:db8::1]",
            Protocol::Tls,
            ["tls pool.corp.example:443", "tls [2001:db8::1]:5061"],
        ),
        (
            "pool.corp.example",
            "192.0.2.8:99",
            Protocol::Tcp,
            ["tcp pool.corp.example:5060", "tcp 192.0.2.8:99"],
        ),
    ] {
        let manual = Some(servers(internal, external, protocol));
        let run = world.run(&Settings { manual, ..allow() }.search(), Seed(0));
        assert_eq!(shown(&run), dials);
        assert!(questions(&run).is_empty());
    }
    // The internal one does not resolve: the external one is used; never automatic discovery.
    let manual = Some(servers("gone.example", "gone.example:443", Protocol::Tls));
    let run = world.run(&Settings { manual, ..allow() }.search(), Seed(0));
    assert!(questions(&run).is_empty() && run.dials().is_empty());
}
