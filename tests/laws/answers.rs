//! R2, R8 and R16: what is made of an answer, and of all answers together at the end.

use proptest::prelude::*;
use proptest::sample::select;
use sip_signin::discovery::{
    Answer, CertificateFault, ConnectFailure, LookupFailure, Pace, Seed, SrvAnswer, SrvRecord,
    order_srv,
};
use sip_signin::{HostNamePolicy, SrvName};

use crate::runner::law;
use crate::walk::{Deed, Run};
use crate::world::{DOMAIN, World, at};
use crate::zones::{Settings, lookup_failure};

const TLS_INTERNAL: &str = "_sipinternaltls._tcp";
const TLS_EXTERNAL: &str = "_sip._tls";

fn shown(run: &Run) -> Vec<String> {
    run.dials().iter().map(|(lead, _)| format!("{lead:?}")).collect()
}

fn weighted() -> impl Strategy<Value = Vec<SrvRecord>> {
    let target =
        select(vec!["a.contoso.com", "b.contoso.com", "c.eng.contoso.com", "d.eng.contoso.com"]);
    let record =
        (select(vec![0u16, 10]), select(vec![0u16, 0, 1, 50, 65535]), 5060u16..5064, target);
    let record = record.prop_map(|(p, w, port, target)| SrvRecord::new(p, w, port, target));
    prop::collection::vec(record, 1..=8)
}

/// RFC 2782, "Weight", word for word over the sorted list.
fn rfc_2782(records: &[SrvRecord], mut draw: impl FnMut(u32) -> u32) -> Vec<SrvRecord> {
    let mut rest = records.to_vec();
    rest.sort_by_key(|r| (r.priority, r.weight != 0, r.target.clone(), r.port, r.weight));
    rest.dedup();
    let mut ordered = Vec::new();
    while let Some(first) = rest.first() {
        let priority = first.priority;
        let group: Vec<_> = rest.iter().filter(|r| r.priority == priority).cloned().collect();
        let sum = group.iter().map(|r| u32::from(r.weight)).sum();
        let drawn = if group.len() > 1 { draw(sum) } else { 0 };
        let mut running = 0;
        let chosen = group.iter().find(|r| {
            running += u32::from(r.weight);
            running >= drawn
        });
        let chosen = chosen.unwrap().clone();
        rest.retain(|r| *r != chosen);
        ordered.push(chosen);
    }
    ordered
}

#[test]
fn r8_the_draw_is_that_of_rfc_2782() {
    let draws = prop::collection::vec(any::<u32>(), 8);
    law((weighted(), draws), &[("not merely sorted", 20)], |(records, draws), tally| {
        let stream = |draws: Vec<u32>| {
            let mut draws = draws.into_iter();
            move |highest: u32| draws.next().unwrap() % highest.saturating_add(1).max(1)
        };
        let mut drawn = records.clone();
        order_srv(&mut drawn, stream(draws.clone()));
        assert_eq!(drawn, rfc_2782(&records, stream(draws)));
        let sorted = rfc_2782(&records, |_| 0);
        tally.note("not merely sorted", drawn != sorted);
    });
}

/// Over many seeds, weights are shares, in every row.
#[test]
fn r8_weights_are_shares() {
    for service in [TLS_INTERNAL, TLS_EXTERNAL] {
        let mut world = World::default();
        let record = |weight, target| SrvRecord::new(0, weight, 5061, target);
        world.give_records(service, vec![record(30, "a.contoso.com"), record(10, "b.contoso.com")]);
        world.give_address("a.contoso.com", "192.0.2.1");
        world.give_address("b.contoso.com", "192.0.2.1");
        world.luck = vec![at(0, Ok(()))];
        let first = |seed| world.run(&Settings::default().search(), Seed(seed)).adopted();
        let a = (0..2000).filter(|&seed| first(seed)[0].host == "a.contoso.com").count();
        // 31 of 41 draws: three quarters, and a draw of 0.
        assert!((1450..1580).contains(&a), "{a} of 2000");
    }
}

#[test]
fn r8_the_order_inside_an_answer_never_matters_and_a_refusal_never_reshuffles() {
    let cases = (weighted(), any::<u64>(), any::<prop::sample::Index>());
    law(cases, &[("refused some", 30), ("shuffled", 30)], |(records, seed, at), tally| {
        let walk = |records: &[SrvRecord], policy| {
            let mut world = World::default();
            world.give_records(TLS_INTERNAL, records.to_vec());
            for label in ["a", "b", "c.eng", "d.eng"] {
                world.give_address(&format!("{label}.contoso.com"), "192.0.2.1");
            }
            world.run(&Settings { policy, ..Settings::default() }.search(), Seed(seed))
        };
        let any = walk(&records, HostNamePolicy::AnySubdomain);
        let mut other = records.clone();
        other.rotate_left(at.index(records.len()));
        other.extend(records.first().cloned());
        let rotated = walk(&other, HostNamePolicy::AnySubdomain);
        assert_eq!(any.steps(), rotated.steps());
        let relaxed = shown(&walk(&records, HostNamePolicy::Relaxed));
        let mut admitted = shown(&any);
        admitted.retain(|lead| !lead.contains(".eng."));
        assert_eq!(relaxed, admitted);
        tally.note("refused some", admitted.len() < any.dials().len());
        tally.note("shuffled", other[..records.len()] != records[..]);
    });
}

/// An address record of another owner in the additional section is nobody's.
#[test]
fn r2_only_the_targets_own_addresses_come_with_an_answer() {
    let name = |text| crate::world::host(text);
    let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
    let foreign = (name("b.contoso.com"), "198.51.100.9".parse().unwrap());
    let own = (name("a.contoso.com"), "192.0.2.44".parse().unwrap());
    let mut of = |additional: Vec<_>| {
        let records = vec![SrvRecord::new(0, 0, 5061, "a.contoso.com")];
        world.srv =
            vec![(TLS_INTERNAL, at(0, Ok(Answer::Found(SrvAnswer { records, additional }))))];
        let run = world.run(&Settings::default().search(), Seed(0));
        let asked = run.log.iter().position(|(_, deed)| matches!(deed, Deed::AskHost(..)));
        let dialled = run.log.iter().position(|(_, deed)| matches!(deed, Deed::Dial(..)));
        let dials: Vec<_> = run.dials().iter().map(|(_, ip)| ip.to_string()).collect();
        (dials.join(" "), asked < dialled)
    };
    assert_eq!(of(vec![foreign.clone()]), ("192.0.2.1".into(), true));
    assert_eq!(of(vec![foreign, own]), ("192.0.2.44 192.0.2.1".into(), false));
}

/// An address that came with one answer is not for a target that another answer named: else the
/// order in which the two come would choose the server.
#[test]
fn r2_an_address_is_for_the_answer_it_came_with() {
    for late in [0, 2000] {
        let mut world = World::default();
        world.give_records(
            TLS_INTERNAL,
            vec![
                SrvRecord::new(0, 0, 5061, "a.contoso.com"),
                SrvRecord::new(1, 0, 5061, "b.contoso.com"),
            ],
        );
        world.give_address("b.contoso.com", "192.0.2.2");
        let records = vec![SrvRecord::new(0, 0, 443, "a.contoso.com")];
        let additional = vec![(crate::world::host("a.contoso.com"), "192.0.2.1".parse().unwrap())];
        let answer = SrvAnswer { records, additional };
        world.srv.push((TLS_EXTERNAL, at(late, Ok(Answer::Found(answer)))));
        world.luck = vec![at(5, Ok(()))];
        let run = world.run(&Settings::default().at(Pace::ONE_AT_A_TIME).search(), Seed(0));
        assert_eq!(format!("{:?}", run.adopted()), "[tls b.contoso.com:5061]", "{run}");
    }
}

/// Each thing that may go wrong, the most telling first: with all of them, the first one leads.
#[test]
fn r16_the_most_telling_cause_leads_and_all_stay_in_the_trace() {
    let failing = |world: &mut World, target: &str, failure: ConnectFailure| {
        world.give_address(target, "192.0.2.1");
        world.give_server(&format!("tls {target}:5061"), at(0, Err(failure)));
    };
    let causes = [
        ("certificate", "the certificate of tls a.contoso.com:5061 was not accepted: untrusted"),
        ("tls", "tls b.contoso.com:5061 was reached, but"),
        ("name", "dns named sip.contoso.net, but"),
        ("lookup", "the dns lookup of c.contoso.com failed: servfail"),
        ("connect", "tls d.contoso.com:5061 could not be connected to: refused"),
        ("address", "dns knows no address of e.contoso.com"),
        ("invalid", "dns names `_x.contoso.com`"),
        ("root", "_sipinternaltls._tcp.contoso.com says that the service is not offered"),
        ("none", "dns has no record of a sign-in server for contoso.com"),
    ];
    let targets = [
        "a.contoso.com",
        "b.contoso.com",
        "sip.contoso.net",
        "c.contoso.com",
        "d.contoso.com",
        "e.contoso.com",
        "_x.contoso.com",
        ".",
    ];
    for (worst, (what, text)) in causes.iter().enumerate() {
        let mut world = World::default();
        let untrusted = ConnectFailure::Certificate(CertificateFault::Untrusted);
        failing(&mut world, "a.contoso.com", untrusted);
        failing(&mut world, "b.contoso.com", ConnectFailure::Handshake("alert".into()));
        failing(&mut world, "d.contoso.com", ConnectFailure::Refused);
        let servfail = at(0, Err(LookupFailure::ServerFailure));
        let family = sip_signin::discovery::Family::V4;
        world.hosts.push((crate::world::host("c.contoso.com"), family, servfail));
        // The most telling one is met last.
        let record = |target: &&str| SrvRecord::new(0, 0, 5061, target);
        let mut records: Vec<_> = targets[worst.min(8)..].iter().map(record).collect();
        (0..).zip(records.iter_mut().rev()).for_each(|(n, r)| r.priority = n);
        if !records.is_empty() {
            world.give_records(TLS_INTERNAL, records);
        }
        let run = world.run(&Settings::default().search(), Seed(0));
        assert!(run.cause().to_string().starts_with(text), "{what}: {} {run}", run.cause());
        assert!(!run.cause().advice().is_empty());
    }
    // The server's answer, between a certificate and a refused name.
    let mut world = World::of_record(TLS_INTERNAL, "a.contoso.com");
    world.give_record(TLS_EXTERNAL, "sip.contoso.net");
    world.luck = vec![at(0, Ok(()))];
    world.useless = 1;
    let run = world.run(&Settings::default().search(), Seed(0));
    assert_eq!(run.cause().to_string(), "tls a.contoso.com:5061 answered: 503");
}

#[test]
fn every_lookup_failure_is_named_as_the_cause() {
    law(lookup_failure(), &[], |failure, _| {
        let mut world = World::default();
        world.srv.push((TLS_INTERNAL, at(5, Err(failure.clone()))));
        let run = world.run(&Settings::default().search(), Seed(0));
        let name = SrvName::new(TLS_INTERNAL, &crate::world::host(DOMAIN)).unwrap();
        let text = format!("the dns lookup of {name} failed: {failure}");
        assert_eq!(run.cause().to_string(), text);
    });
}
