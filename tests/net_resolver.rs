//! The ready-made resolver against DNS servers on loopback: what each answer means, and what of it
//! is used.
#![cfg(feature = "hickory")]

mod dns_server;

use dns_server::{
    DnsServer, INTERNAL, NO_DATA, NO_SUCH_NAME, Reply, address, ask, ask_for, cname, found, host,
    name, ns, resolver, soa, srv, srv_to,
};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use sip_signin::Resolver;
use sip_signin::discovery::{Absence, Answer, Family, LookupFailure, SrvRecord, SrvTarget};
use sip_signin::net::HickoryResolver;

#[tokio::test]
async fn records_come_as_they_stand_in_the_zone() {
    let records =
        [srv(INTERNAL, 0, 5, 5061, "SIP.contoso.com."), srv(INTERNAL, 1, 0, 443, "b.contoso.com.")];
    let answer = found(ask_for(Reply::answers(records)).await);
    assert_eq!(
        answer.records,
        [SrvRecord::new(0, 5, 5061, "sip.contoso.com"), SrvRecord::new(1, 0, 443, "b.contoso.com")]
    );
    assert_eq!(answer.additional, []);
}

#[tokio::test]
async fn the_owner_is_compared_without_regard_to_case() {
    let record = srv("_SipInternalTLS._TCP.Contoso.COM.", 0, 0, 5061, "sip.contoso.com.");
    assert_eq!(found(ask_for(Reply::answers([record])).await).records.len(), 1);
}

/// RFC 2308 section 2: the name is not there, or has nothing of this type.
#[tokio::test]
async fn the_two_kinds_of_absence() {
    assert_eq!(ask_for(Reply::no_such_name()).await, NO_SUCH_NAME);
    assert_eq!(ask_for(Reply::code(ResponseCode::NXDomain)).await, NO_SUCH_NAME);
    assert_eq!(ask_for(Reply::no_data()).await, NO_DATA);
    assert_eq!(ask_for(Reply::answers([])).await, NO_DATA);
}

#[tokio::test]
async fn what_is_no_proof_of_absence_is_a_failure() {
    let refused = Reply::code(ResponseCode::Refused);
    assert_eq!(ask_for(refused).await, Err(LookupFailure::Refused));
    let servfail = Reply::code(ResponseCode::ServFail);
    assert_eq!(ask_for(servfail).await, Err(LookupFailure::ServerFailure));
    let odd = ask_for(Reply::code(ResponseCode::NotAuth)).await;
    assert!(matches!(odd, Err(LookupFailure::Other(_))), "{odd:?}");

    let referral = Reply::answers([]).with_authority(ns("contoso.com.", "ns.contoso.com."));
    let referral = ask_for(referral).await;
    assert!(matches!(referral, Err(LookupFailure::Other(_))), "{referral:?}");
    let ignorant = ask_for(Reply { authoritative: false, ..Reply::answers([]) }).await;
    assert!(matches!(ignorant, Err(LookupFailure::Other(_))), "{ignorant:?}");

    let records = [srv(INTERNAL, 0, 0, 5061, "sip.contoso.com.")];
    let contradiction = Reply { code: ResponseCode::NXDomain, ..Reply::answers(records) };
    assert_eq!(ask_for(contradiction).await, Err(LookupFailure::Malformed));
}

#[tokio::test]
async fn records_of_a_foreign_owner_are_neither_used_nor_absence() {
    let foreign = [srv("_sipinternaltls._tcp.cpandl.com.", 0, 0, 5061, "sip.contoso.com.")];
    assert_eq!(ask_for(Reply::answers(foreign)).await, Err(LookupFailure::Malformed));

    let both = [
        srv("_sip._tls.contoso.com.", 0, 0, 443, "evil.contoso.com."),
        srv(INTERNAL, 0, 0, 5061, "sip.contoso.com."),
        address(INTERNAL, "192.0.2.66"),
    ];
    let answer = found(ask_for(Reply::answers(both)).await);
    assert_eq!(answer.records, [SrvRecord::new(0, 0, 5061, "sip.contoso.com")]);
}

/// The trap of hickory's own resolver: it takes the target of the SRV record for the next name.
#[tokio::test]
async fn an_srv_set_behind_a_cname_in_one_message_is_found() {
    let server = DnsServer::always(Reply::answers([
        cname(INTERNAL, "srv.contoso.com."),
        srv("srv.contoso.com.", 1, 2, 5060, "pool.contoso.com."),
    ]))
    .await;
    let answer = found(ask(&resolver(&[&server])).await);
    assert_eq!(answer.records, [SrvRecord::new(1, 2, 5060, "pool.contoso.com")]);
    assert_eq!(server.asked(), [format!("udp SRV {INTERNAL}")]);
}

#[tokio::test]
async fn a_cname_that_leads_out_of_the_message_is_asked_for() {
    let server = DnsServer::new(|question| {
        Some(match question {
            "SRV srv.cpandl.com." => {
                Reply::answers([srv("srv.cpandl.com.", 1, 2, 5060, "pool.contoso.com.")])
                    .with_additional([address("pool.contoso.com.", "192.0.2.1")])
            }
            _ => Reply::answers([cname(INTERNAL, "srv.cpandl.com.")]),
        })
    })
    .await;
    let answer = found(ask(&resolver(&[&server])).await);
    assert_eq!(answer.records, [SrvRecord::new(1, 2, 5060, "pool.contoso.com")]);
    assert_eq!(answer.additional, [(host("pool.contoso.com"), "192.0.2.1".parse().unwrap())]);
    assert_eq!(server.asked(), [format!("udp SRV {INTERNAL}"), "udp SRV srv.cpandl.com.".into()]);
}

/// RFC 6604 section 3: the code of an answer with CNAMEs is about the end of their chain.
#[tokio::test]
async fn a_cname_to_nothing_is_absence() {
    let alias = || vec![cname(INTERNAL, "srv.contoso.com.")];
    let dangling = Reply { answers: alias(), ..Reply::no_such_name() };
    assert_eq!(ask_for(dangling).await, NO_SUCH_NAME);
    let empty = Reply { answers: alias(), ..Reply::no_data() };
    assert_eq!(ask_for(empty).await, NO_DATA);
}

/// An SOA of another zone says nothing about the end of the chain.
#[tokio::test]
async fn a_foreign_soa_is_no_absence_of_the_alias() {
    let server = DnsServer::new(|question| {
        Some(match question {
            "SRV srv.cpandl.com." => Reply::code(ResponseCode::ServFail),
            _ => Reply { answers: vec![cname(INTERNAL, "srv.cpandl.com.")], ..Reply::no_data() },
        })
    })
    .await;
    assert_eq!(ask(&resolver(&[&server])).await, Err(LookupFailure::ServerFailure));
}

#[tokio::test]
async fn eight_cnames_are_followed_and_nine_are_not() {
    assert_eq!(HickoryResolver::CNAME_LIMIT, 8);
    let chain = |hops: usize| {
        let link = |n| if n == 0 { INTERNAL.into() } else { format!("c{n}.contoso.com.") };
        let aliases = (0..hops).map(|n| cname(&link(n), &link(n + 1)));
        let end = srv(&link(hops), 0, 0, 5061, "sip.contoso.com.");
        Reply::answers(aliases.chain([end]))
    };
    assert_eq!(found(ask_for(chain(8)).await).records.len(), 1);
    assert_eq!(ask_for(chain(9)).await, Err(LookupFailure::Malformed));
}

#[tokio::test]
async fn a_ring_of_cnames_ends_within_a_message_and_across_messages() {
    let (there, back) = (cname(INTERNAL, "srv.contoso.com."), cname("srv.contoso.com.", INTERNAL));
    let ring = Reply::answers([there.clone(), back.clone()]);
    assert_eq!(ask_for(ring).await, Err(LookupFailure::Malformed));
    let server = DnsServer::new(move |question| {
        let at_start = question.ends_with(INTERNAL);
        Some(Reply::answers([if at_start { there.clone() } else { back.clone() }]))
    })
    .await;
    assert_eq!(ask(&resolver(&[&server])).await, Err(LookupFailure::Malformed));
    assert_eq!(server.asked().len(), 9);
}

/// RFC 2782: "A Target of "." means that the service is decidedly not available at this domain."
#[tokio::test]
async fn the_root_as_target_is_no_offer_and_no_absence() {
    let answer = found(ask_for(Reply::answers([srv(INTERNAL, 0, 0, 0, ".")])).await);
    assert_eq!(answer.records[0].target, SrvTarget::NotOffered);
}

#[tokio::test]
async fn a_target_that_no_host_can_have_is_kept_as_invalid() {
    let labels = |labels: &[&[u8]]| Name::from_labels(labels.iter().copied()).unwrap();
    let targets: [(Name, &str); 7] = [
        (name("_sip.contoso.com."), "_sip.contoso.com"),
        (labels(&[b"sip.contoso", b"com"]), r"sip\.contoso.com"),
        (labels(&[b"sip.contoso.com"]), r"sip\.contoso\.com"),
        (labels(&[b"\xef\xbc\x8econtoso", b"com"]), ""),
        (labels(&[b"sip\0", b"contoso", b"com"]), ""),
        (labels(&[b"192", b"0", b"2", b"10"]), "192.0.2.10"),
        (labels(&[b"*", b"contoso", b"com"]), "*.contoso.com"),
    ];
    for (target, text) in targets {
        let shown = target.to_ascii();
        let answer = found(ask_for(Reply::answers([srv_to(INTERNAL, 0, 0, 5061, target)])).await);
        match &answer.records[0].target {
            SrvTarget::Invalid(kept) if text.is_empty() => assert!(!kept.raw().is_empty()),
            SrvTarget::Invalid(kept) => assert_eq!(kept.raw(), text),
            other => panic!("{shown} became {other:?}"),
        }
    }
}

#[tokio::test]
async fn only_addresses_of_a_target_are_taken_from_the_additional_section() {
    let reply = Reply::answers([srv(INTERNAL, 0, 0, 5061, "sip.contoso.com.")]).with_additional([
        address("SIP.Contoso.com.", "192.0.2.1"),
        address("sip.contoso.com.", "2001:db8::1"),
        address("evil.contoso.com.", "192.0.2.66"),
        address("contoso.com.", "192.0.2.67"),
        cname("sip.contoso.com.", "evil.contoso.com."),
    ]);
    let sip = || host("sip.contoso.com");
    assert_eq!(
        found(ask_for(reply).await).additional,
        [(sip(), "192.0.2.1".parse().unwrap()), (sip(), "2001:db8::1".parse().unwrap())]
    );
}

#[tokio::test]
async fn each_family_is_a_question_of_its_own() {
    let server = DnsServer::new(|question| {
        Some(match question {
            "A sip.contoso.com." => Reply::answers([
                cname("sip.contoso.com.", "pool.contoso.com."),
                address("pool.contoso.com.", "192.0.2.1"),
                address("pool.contoso.com.", "192.0.2.2"),
                address("other.contoso.com.", "192.0.2.66"),
            ]),
            "AAAA sip.contoso.com." => Reply::no_data(),
            _ => Reply::no_such_name(),
        })
    })
    .await;
    let resolver = resolver(&[&server]);
    let ask = async |host_name, family| resolver.addresses(&host(host_name), family).await;
    let addresses = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap()).to_vec();
    assert_eq!(ask("sip.contoso.com", Family::V4).await, Ok(Answer::Found(addresses)));
    assert_eq!(ask("sip.contoso.com", Family::V6).await, Ok(Answer::Absent(Absence::NoData)));
    assert_eq!(ask("b.contoso.com", Family::V4).await, Ok(Answer::Absent(Absence::NoSuchName)));
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let target = |n| format!("server{n}.contoso.com.");
    let records = (0..80).map(|n| srv(INTERNAL, n, 0, 5061, &target(n)));
    let server = DnsServer::always(Reply::answers(records)).await;
    assert_eq!(found(ask(&resolver(&[&server])).await).records.len(), 80);
    assert_eq!(server.asked(), [format!("udp SRV {INTERNAL}"), format!("tcp SRV {INTERNAL}")]);
}

#[tokio::test]
async fn answers_and_absences_are_cached_and_failures_are_not() {
    let records = || Reply::answers([srv(INTERNAL, 0, 0, 5061, "sip.contoso.com.")]);
    let mut short_lived = records();
    short_lived.answers[0].ttl = 0;
    let mut short_additional =
        records().with_additional([address("sip.contoso.com.", "192.0.2.1")]);
    short_additional.additionals[0].ttl = 0;
    for (reply, questions) in [
        (records(), 1),
        (short_lived, 2),
        (short_additional, 2),
        (Reply::no_data(), 1),
        (Reply::no_such_name(), 1),
        // RFC 2308 section 5: the MINIMUM field bounds it, and without an SOA it is not kept.
        (Reply::no_data().with_authority(soa("contoso.com.", 0)), 2),
        (Reply::code(ResponseCode::NXDomain), 2),
        (Reply::code(ResponseCode::ServFail), 2),
    ] {
        let server = DnsServer::always(reply).await;
        let resolver = resolver(&[&server]);
        let first = ask(&resolver).await;
        assert_eq!(ask(&resolver.clone()).await, first);
        assert_eq!(server.asked().len(), questions, "{first:?}");
    }
}
