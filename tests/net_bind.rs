//! The ready-made resolver against BIND 9: `tests/bind/run.sh` starts one and sets `SIGNIN_BIND`.
#![cfg(feature = "hickory")]

use sip_signin::discovery::{
    Absence, Answer, Family, LookupFailure, SrvAnswer, SrvRecord, SrvTarget,
};
use sip_signin::net::HickoryResolver;
use sip_signin::{HostName, Resolver};

#[tokio::test]
async fn bind_and_the_resolver_understand_each_other() {
    let Ok(server) = std::env::var("SIGNIN_BIND") else {
        println!("skipped: no BIND (SIGNIN_BIND is not set)");
        return;
    };
    let resolver = HickoryResolver::with_servers([server.parse().unwrap()]);
    let srv = async |name: &str| resolver.srv(&name.parse().unwrap()).await;
    let pool = HostName::parse("pool.contoso.com").unwrap();

    let records = found(srv("_sipinternaltls._tcp.contoso.com").await);
    assert_eq!(records.records, [SrvRecord::new(0, 0, 5061, "pool.contoso.com")]);
    let mut additional = records.additional;
    additional.sort();
    assert_eq!(
        additional,
        [
            (pool.clone(), "192.0.2.10".parse().unwrap()),
            (pool.clone(), "2001:db8::10".parse().unwrap()),
        ]
    );

    // An SRV set behind a CNAME, in the same zone and in another one.
    for name in ["_sipinternal._tcp.contoso.com", "_sip._tls.alias.example"] {
        let records = found(srv(name).await);
        assert_eq!(records.records, [SrvRecord::new(1, 2, 5060, "pool.contoso.com")], "{name}");
    }

    let large = found(srv("_sip._tls.large.contoso.com").await);
    assert_eq!(large.records.len(), 80);

    let not_offered = found(srv("_sip._tcp.contoso.com").await);
    assert_eq!(not_offered.records[0].target, SrvTarget::NotOffered);

    for (name, absence) in [
        ("_sip._tls.contoso.com", Absence::NoSuchName),
        ("_sip._tls.text.contoso.com", Absence::NoData),
        ("_sip._tcp.alias.example", Absence::NoSuchName),
    ] {
        assert_eq!(srv(name).await, Ok(Answer::Absent(absence)), "{name}");
    }

    for (name, failure) in [
        ("_sip._tls.refused.example", LookupFailure::Refused),
        ("_sip._tls.elsewhere.example", LookupFailure::Refused),
        ("_sip._tls.broken.example", LookupFailure::ServerFailure),
    ] {
        assert_eq!(srv(name).await, Err(failure), "{name}");
    }

    let v4 = resolver.addresses(&pool, Family::V4).await;
    assert_eq!(v4, Ok(Answer::Found(vec!["192.0.2.10".parse().unwrap()])));
    let service = HostName::parse("srv.contoso.com").unwrap();
    let none = resolver.addresses(&service, Family::V6).await;
    assert_eq!(none, Ok(Answer::Absent(Absence::NoData)));
}

#[track_caller]
fn found(answer: Result<Answer<SrvAnswer>, LookupFailure>) -> SrvAnswer {
    match answer {
        Ok(Answer::Found(answer)) => answer,
        other => panic!("not found: {other:?}"),
    }
}
