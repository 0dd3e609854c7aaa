//! Signing in for real: sockets, TLS, DNS packets, and registrars that check every proof.
#![cfg(all(feature = "digest", feature = "ntlm"))]

use sip_signin::auth::{Credentials, DigestAlgorithm, Protection, Version};
use sip_signin::lab::{Lab, LabBuilder, Offer, Server, SipFault};
use sip_signin::sign_in::{Mechanisms, SignInError};
use sip_signin::sip::Scheme;
use sip_signin::{
    FixedCredentials, NoCredentials, SignInFailure, SignInFailureKind, SignedIn, SipAddress,
};

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "marker-Pa55word";

fn address() -> SipAddress {
    "sip:jeremy@contoso.com".parse().unwrap()
}

fn source(account: &str, password: &str) -> FixedCredentials {
    FixedCredentials::new(Credentials::new(account.parse().unwrap(), password))
}

fn accounts(lab: LabBuilder) -> LabBuilder {
    lab.account(ACCOUNT, PASSWORD, "sip:jeremy@contoso.com").account(
        r"CONTOSO\vadim",
        "another",
        "sip:vadim@contoso.com",
    )
}

/// A Director that sends home to a pool and its backup.
fn deployment(pools: [Server; 2]) -> LabBuilder {
    let home = ["pool01.contoso.com", "pool02.contoso.com"];
    let [pool, backup] = pools;
    let lab = Lab::builder().domain("contoso.com");
    let lab = lab.internal(Server::tls("sip.contoso.com").home(home));
    accounts(lab.server(pool).server(backup))
}

fn pools() -> [Server; 2] {
    ["pool01.contoso.com", "pool02.contoso.com"].map(Server::tls)
}

/// A deployment of one pool that offers this.
async fn sign_in_at(
    server: Server,
    mechanisms: Mechanisms,
    (account, password): (&str, &str),
) -> Result<SignedIn, SignInFailure> {
    let lab = accounts(Lab::builder().domain("contoso.com").internal(server)).start().await;
    let lab = lab.unwrap();
    let client = lab.client().mechanisms(mechanisms).build();
    client.sign_in(&address(), &source(account, password)).await
}

fn error(failure: &SignInFailure) -> &SignInError {
    match failure.kind() {
        SignInFailureKind::SignIn(_, error) => error,
        other => panic!("{other}\n{}", failure.trace()),
    }
}

#[tokio::test]
async fn ntlm_through_the_director_to_the_home_pool() {
    let lab = deployment(pools()).start().await.unwrap();
    let client = lab.client().build();
    let signed_in = client.sign_in(&address(), &source(ACCOUNT, PASSWORD)).await;
    let signed_in = signed_in.unwrap_or_else(|failure| panic!("{failure}\n{}", failure.trace()));
    assert_eq!(signed_in.endpoint.to_string(), "tls pool01.contoso.com:5061");
    let registration = &signed_in.registration;
    assert_eq!(registration.protection, Protection::Verified);
    assert_eq!(registration.scheme, Some(Scheme::Ntlm));
    assert!(registration.expires.is_some_and(|expires| !expires.is_zero()), "{registration:?}");
    assert!(registration.contact.is_some(), "{registration:?}");
    assert_eq!(signed_in.session.version(), Some(Version::V4));
    assert!(signed_in.trace.to_string().contains("redirected to"));
    assert_eq!(signed_in.redirects.len(), 1);

    assert!(lab.seen().len() >= 2, "both servers were spoken to");
}

#[tokio::test]
async fn the_backup_pool_signs_in_when_the_home_pool_is_overloaded() {
    let [pool, backup] = pools();
    let lab = deployment([pool.fault(SipFault::Busy), backup]).start().await.unwrap();
    let signed_in = lab.client().build().sign_in(&address(), &source(ACCOUNT, PASSWORD)).await;
    assert_eq!(signed_in.unwrap().endpoint.to_string(), "tls pool02.contoso.com:5061");
}

#[tokio::test]
async fn every_version_and_hash_signs_in() {
    let md5 = || Mechanisms::default().then_digest(DigestAlgorithm::Md5);
    for (offer, mechanisms) in [
        (Offer::Ntlm(Version::V2), Mechanisms::default()),
        (Offer::Ntlm(Version::V3), Mechanisms::default()),
        (Offer::Ntlm(Version::V4), Mechanisms::default()),
        (Offer::Digest(DigestAlgorithm::Sha256), Mechanisms::default()),
        (Offer::Digest(DigestAlgorithm::Md5), md5()),
    ] {
        let server = Server::tls("sip.contoso.com").offers([offer]);
        let signed_in = sign_in_at(server, mechanisms, (ACCOUNT, PASSWORD)).await;
        let signed_in = signed_in.unwrap_or_else(|failure| panic!("{offer:?}: {failure}"));
        let ntlm = matches!(offer, Offer::Ntlm(_));
        assert_eq!(signed_in.session.version().is_some(), ntlm, "{offer:?}");
    }
    let weak = Server::tls("sip.contoso.com").offers([Offer::Digest(DigestAlgorithm::Md5)]);
    let failure = sign_in_at(weak, Mechanisms::default(), (ACCOUNT, PASSWORD)).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::NoCommonScheme { .. }), "{failure}");
}

#[tokio::test]
async fn a_wrong_password_is_rejected_and_a_wrong_account_does_not_match() {
    for offer in [Offer::Ntlm(Version::V4), Offer::Digest(DigestAlgorithm::Sha256)] {
        let at = |account, password| {
            let server = Server::tls("sip.contoso.com").offers([offer]);
            sign_in_at(server, Mechanisms::default(), (account, password))
        };
        let failure = at(ACCOUNT, "wrong").await.unwrap_err();
        assert!(matches!(error(&failure), SignInError::Rejected(_)), "{offer:?}: {failure}");
        // > he uses the user account and password for CONTOSO\vadim [seed, article 1]
        let failure = at(r"CONTOSO\vadim", "another").await.unwrap_err();
        assert!(matches!(error(&failure), SignInError::AddressMismatch(_)), "{offer:?}: {failure}");
    }
}

#[tokio::test]
async fn nobody_to_ask_and_an_address_of_nobody() {
    let lab = deployment(pools()).start().await.unwrap();
    let client = lab.client().build();
    let failure = client.sign_in(&address(), &NoCredentials).await.unwrap_err();
    assert_eq!(*error(&failure), SignInError::CredentialsNeeded);
    let nobody = "sip:nobody@contoso.com".parse().unwrap();
    let failure = client.sign_in(&nobody, &source(ACCOUNT, PASSWORD)).await.unwrap_err();
    assert!(matches!(error(&failure), SignInError::UnknownUser(_)), "{failure}");
}

#[tokio::test]
async fn a_server_that_does_not_sign_or_signs_wrongly_is_refused() {
    let server = |fault| Server::tls("sip.contoso.com").fault(fault);
    let who = (ACCOUNT, PASSWORD);
    let outcome = sign_in_at(server(SipFault::NoSignature), Mechanisms::default(), who).await;
    assert_eq!(*error(&outcome.unwrap_err()), SignInError::SignatureAbsent);
    let outcome = sign_in_at(server(SipFault::WrongSignature), Mechanisms::default(), who).await;
    let failure = outcome.unwrap_err();
    assert!(matches!(error(&failure), SignInError::SignatureWrong(_)), "{failure}");
}
