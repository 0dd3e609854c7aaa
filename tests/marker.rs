//! A password that would be known again, given to NTLM and Digest as they are: it is nowhere in what
//! a server sees, nor in anything that is shown.
#![cfg(all(feature = "digest", feature = "ntlm", feature = "serde"))]

#[path = "common/needles.rs"]
mod needles;

use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use needles::{MARKER, Needles};
use sip_signin::auth::{Credentials, DigestAlgorithm, Version};
use sip_signin::discovery::Trace;
use sip_signin::lab::{Lab, LabBuilder, Offer, Server, SipFault};
use sip_signin::sign_in::{CredentialRequest, Mechanisms, SignInError};
use sip_signin::{
    CredentialSource, CredentialStore, FixedCredentials, SavePassword, SavedCredentials,
    SignInFailureKind, SipAddress, StoreError, Verdict,
};

const ACCOUNT: &str = r"CONTOSO\jeremy";

/// Whoever searches for nothing finds nothing.
#[test]
fn the_searcher_finds_what_is_planted() {
    let needles = Needles::new();
    assert!(needles.all().count() >= 56);
    for (name, needle) in needles.all() {
        assert!(needle.len() >= 15, "{name} is too short to be sure of");
        let hay = [b"Authorization: NTLM \xff ", needle, b"\" and more"].concat();
        assert!(needles.found_in(&hay).contains(&name), "{name}");
    }
    // In whatever was encoded around it, wherever it stands in there.
    let utf16: Vec<u8> = MARKER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for secret in [MARKER.as_bytes(), &utf16] {
        for before in 0..9 {
            let token = [&vec![b'T'; before], secret, b"tail"].concat();
            let text = format!("gssapi-data=\"{}\"", data_encoding::BASE64.encode(&token));
            assert!(!needles.found_in(&text).is_empty(), "{before}: {text}");
        }
    }
    assert!(!needles.found_in(format!("{:?}", MARKER.as_bytes())).is_empty());
    assert!(needles.found_in("marker-Pa55wor, marker_Pa55word and Password(..)").is_empty());
}

/// Everything that is shown in a test.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn debug(&mut self, shown: &dyn Debug) {
        write!(self.0, "{shown:?} {shown:#?} ").unwrap();
    }

    fn trace(&mut self, trace: &Trace) {
        self.debug(trace);
        write!(self.0, "{trace} {trace:#} ").unwrap();
        self.0 += &serde_json::to_string(trace).unwrap();
    }

    fn error(&mut self, error: &dyn Error) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.debug(&error);
            write!(self.0, "{error} {error:#} ").unwrap();
            next = error.source();
        }
    }
}

/// A store, and a source that is told everything and shows everything.
#[derive(Clone)]
struct Loud(Arc<Mutex<Shown>>);

#[async_trait]
impl CredentialSource for Loud {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        let credentials = Credentials::new(ACCOUNT.parse().unwrap(), MARKER).to_save();
        let mut shown = self.0.lock().unwrap();
        shown.debug(request);
        shown.debug(&credentials);
        shown.debug(&FixedCredentials::new(credentials.clone()));
        Some(credentials)
    }

    async fn judged(&self, _: &SipAddress, credentials: &Credentials, verdict: Verdict) {
        self.0.lock().unwrap().debug(&(credentials, verdict));
    }
}

#[async_trait]
impl CredentialStore for Loud {
    async fn load(&self, _: &SipAddress) -> Result<Option<Credentials>, StoreError> {
        Ok(None)
    }

    async fn save(&self, _: &SipAddress, credentials: &Credentials) -> Result<(), StoreError> {
        let error = StoreError::new(format!("{credentials:?} cannot be kept"));
        self.0.lock().unwrap().error(&error);
        Err(error)
    }

    async fn forget(&self, _: &SipAddress) -> Result<(), StoreError> {
        Ok(())
    }
}

fn deployment(offer: Offer, password: &str, other: &str, fault: Option<SipFault>) -> LabBuilder {
    let director = Server::tls("sip.contoso.com").offers([offer]).home(["pool01.contoso.com"]);
    let pool = Server::tls("pool01.contoso.com").offers([offer]);
    let pool = match fault {
        Some(fault) => pool.fault(fault),
        None => pool,
    };
    Lab::builder()
        .domain("contoso.com")
        .internal(director)
        .server(pool)
        .account(ACCOUNT, password, other)
}

#[tokio::test]
async fn the_password_is_nowhere_on_the_wire_nor_in_anything_that_is_shown() {
    const OWN: &str = "sip:jeremy@contoso.com";
    let needles = Needles::new();
    let cases = [
        ("signed in", MARKER, OWN, None),
        ("rejected", "another", OWN, None),
        ("another's address", MARKER, "sip:vadim@contoso.com", None),
        ("forbidden", MARKER, OWN, Some(SipFault::Forbidden)),
        ("busy", MARKER, OWN, Some(SipFault::Busy)),
        ("garbage", MARKER, OWN, Some(SipFault::Garbage)),
        ("closed", MARKER, OWN, Some(SipFault::CloseMidAnswer)),
        ("not signed", MARKER, OWN, Some(SipFault::NoSignature)),
        ("wrongly signed", MARKER, OWN, Some(SipFault::WrongSignature)),
    ];
    let offers = [
        Offer::Ntlm(Version::V2),
        Offer::Ntlm(Version::V3),
        Offer::Ntlm(Version::V4),
        Offer::Digest(DigestAlgorithm::Sha256),
        Offer::Digest(DigestAlgorithm::Md5),
    ];
    for offer in offers {
        let mut successes = 0;
        for (case, password, address, fault) in cases {
            let mut shown = Shown::default();
            let lab = deployment(offer, password, address, fault);
            shown.debug(&lab);
            let lab = lab.start().await.unwrap();
            let mechanisms = Mechanisms::default().then_digest(DigestAlgorithm::Md5);
            shown.debug(&mechanisms);
            let client = lab.client().mechanisms(mechanisms).build();
            let loud = Loud(Arc::default());
            let source = SavedCredentials::new(loud.clone(), SavePassword::Allow);
            shown.debug(&source);
            let source = source.then(loud.clone());
            let address: SipAddress = OWN.parse().unwrap();
            match client.sign_in(&address, &source).await {
                Ok(signed_in) => {
                    successes += 1;
                    shown.debug(&signed_in);
                    shown.trace(&signed_in.trace);
                    signed_in.redirects.iter().for_each(|trace| shown.trace(trace));
                }
                Err(failure) => {
                    shown.error(&failure);
                    shown.debug(failure.kind());
                    shown.0 += &failure.kind().to_string();
                    if let SignInFailureKind::SignIn(_, error) = failure.kind() {
                        shown.error(error);
                        assert!(!matches!(error, SignInError::CredentialsNeeded), "{case}");
                    }
                    shown.trace(failure.trace());
                    failure.redirects().iter().for_each(|trace| shown.trace(trace));
                }
            }
            shown.debug(&client);
            shown.debug(&lab);
            shown.0 += &loud.0.lock().unwrap().0;
            let seen = lab.seen();
            let proofs = |seen: &sip_signin::lab::Seen| {
                String::from_utf8_lossy(&seen.sip).contains("\r\nAuthorization: ")
            };
            assert!(seen.iter().any(proofs), "{offer:?}, {case}: no password was at work");
            for part in seen.iter().flat_map(|seen| [&seen.wire, &seen.sip]) {
                assert_eq!(needles.found_in(part), [""; 0], "{offer:?}, {case}, on the wire");
            }
            assert!(shown.0.contains("Password(..)"), "credentials were shown");
            assert_eq!(needles.found_in(&shown.0), [""; 0], "{offer:?}, {case}, shown");
        }
        let digest = matches!(offer, Offer::Digest(_));
        assert_eq!(successes, if digest { 2 } else { 1 }, "{offer:?}");
    }
}
