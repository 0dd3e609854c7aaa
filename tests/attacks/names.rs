//! Attacks by way of DNS and certificates: forged records, suppressed ones, names that look alike.

use sip_signin::discovery::{Cause, CertificateFault};
use sip_signin::lab::{DnsFault, Server};

use super::*;

const ATTACKER: [u8; 4] = [192, 0, 2, 66];

/// Whoever forges an address has no certificate for the name, and hears no SIP.
#[tokio::test]
async fn a_forged_address_or_alias_hears_no_sip() {
    let attacker = || Server::tls("attacker.example").address(ATTACKER);
    for lab in [
        contoso().address("pool01.contoso.com", ATTACKER),
        contoso().cname("pool01.contoso.com", "attacker.example"),
    ] {
        let lab =
            lab.server(attacker()).srv("_sip._tls.contoso.com", 0, 0, 5061, "pool01.contoso.com");
        let lab = lab.start().await.unwrap();
        let failure = sign_in(&lab).await.unwrap_err();
        let SignInFailureKind::NoServer { cause: Cause::Certificate(_, fault), .. } =
            failure.kind()
        else {
            panic!("{failure}\n{}", failure.trace());
        };
        assert_eq!(*fault, CertificateFault::WrongName(vec!["attacker.example".into()]));
        assert_eq!(lab.seen().len(), 1);
        assert_eq!(told(&lab, "attacker.example"), [""]);
    }
}

/// Dropped and spoilt answers open no back door: the hosts of the fallback are not asked for.
#[tokio::test]
async fn suppressed_srv_answers_do_not_lead_to_guessed_hosts() {
    for fault in [
        DnsFault::Silent,
        DnsFault::ServerFailure,
        DnsFault::Refused,
        DnsFault::Garbage,
        DnsFault::OtherOwner,
    ] {
        let lab = contoso()
            .server(Server::tls("sipinternal.contoso.com"))
            .server(Server::tls("sipexternal.contoso.com").port(443))
            .srv("_sipinternaltls._tcp.contoso.com", 0, 0, 5061, "sipinternal.contoso.com")
            .dns_fault("_sipinternaltls._tcp.contoso.com", fault)
            .start()
            .await
            .unwrap();
        let failure = sign_in(&lab).await.unwrap_err();
        assert!(lab.seen().is_empty(), "{fault}");
        let srv =
            |kind: &str| lab.questions().iter().all(|asked| asked.to_string().starts_with(kind));
        assert!(srv("SRV "), "{fault}: {:?}", lab.questions());
        assert!(failure.trace().to_string().contains("no hosts"), "{}", failure.trace());
    }
}

#[tokio::test]
async fn names_that_look_like_the_users_are_neither_asked_for_nor_connected_to() {
    for target in [
        "contoso.com.attacker.example",
        "sip.contoso.com.attacker.example",
        "sipcontoso.com",
        "a.b.contoso.com",
        "com",
        // A NUL, a dot and a space inside a label, an underscore, a wildcard, an address.
        r"sip.contoso.com\000.attacker.example",
        r"sip\000.contoso.com",
        r"sip\.attacker.example",
        r"sip\032.contoso.com",
        "_sip.contoso.com",
        "*.contoso.com",
        "192.0.2.66",
        // The Kelvin sign and a full-width letter, as bytes and as IDNA would read them; a Cyrillic o.
        r"\226\132\170.contoso.com",
        r"sip.c\239\189\143ntoso.com",
        "xn--cntoso-jof.com",
        "sip.xn--contoso-.com",
        r"c\208\190ntoso.com",
        r"\255\254.contoso.com",
    ] {
        let lab = contoso().srv("_sip._tls.contoso.com", 0, 0, 5061, target).start().await.unwrap();
        let failure = sign_in(&lab).await.unwrap_err();
        let SignInFailureKind::NoServer { cause, .. } = failure.kind() else { panic!("{failure}") };
        assert!(matches!(cause, Cause::Refused(_) | Cause::Invalid(..)), "{target}: {cause}");
        assert!(lab.seen().is_empty(), "{target}");
        let asked = lab.questions();
        assert!(asked.iter().all(|asked| asked.to_string().starts_with("SRV ")), "{asked:?}");
        assert_printable(&failure.to_string());
        assert_printable(&failure.trace().to_string());
    }
}

fn assert_printable(shown: &str) {
    assert!(shown.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{shown:?}");
}

/// CVE-2020-15260: a connection to one host is none to another host of the same address.
#[tokio::test]
async fn a_second_host_of_one_address_has_a_connection_and_a_certificate_of_its_own() {
    let address = [192, 0, 2, 10];
    let lab = contoso()
        .internal(Server::tls("sip.contoso.com").address(address).home(["pool01.contoso.com"]))
        .address("pool01.contoso.com", address)
        .start()
        .await
        .unwrap();
    let failure = sign_in(&lab).await.unwrap_err();
    let SignInFailureKind::NoServer { cause: Cause::Certificate(endpoint, fault), .. } =
        failure.kind()
    else {
        panic!("{failure}");
    };
    assert_eq!(endpoint.to_string(), "tls pool01.contoso.com:5061");
    assert_eq!(*fault, CertificateFault::WrongName(vec!["sip.contoso.com".into()]));
    let seen = lab.seen();
    assert_eq!(seen.len(), 2, "the second host was connected to anew");
    assert!(seen[1].sip.is_empty());
}
