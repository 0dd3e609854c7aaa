//! Attacks on the proof: weaker schemes, foreign tickets, signatures taken off or made up.

use sip_signin::auth::{
    DigestAlgorithm, Identity, Mechanism, MechanismError, MechanismProvider, Version,
};
use sip_signin::lab::{Offer, Server, SipFault, TcpFault};
use sip_signin::sign_in::{Mechanisms, SignInError};
use sip_signin::sip::Scheme;

use super::*;

const BASIC: &str = "Basic realm=\"SIP Communications Service\"";
const MD5: &str = "Digest realm=\"SIP Communications Service\", nonce=\"n\", qop=\"auth\"";
const NTLM: &str =
    "NTLM realm=\"SIP Communications Service\", targetname=\"sip.contoso.com\", version=4";

fn server() -> Server {
    Server::tls("sip.contoso.com")
}

#[tokio::test]
async fn tls_that_is_blocked_does_not_become_clear_text() {
    for fault in TcpFault::ALL {
        let lab = contoso()
            .internal(server().fault(*fault))
            .internal(Server::tcp("sip.contoso.com"))
            .start()
            .await
            .unwrap();
        assert!(sign_in(&lab).await.is_err(), "{fault}");
        assert!(lab.seen().iter().all(|seen| !seen.in_clear() && seen.sip.is_empty()), "{fault}");
        let asked = lab.questions();
        assert!(asked.iter().all(|asked| !asked.name.starts_with("_sipinternal._tcp")), "{fault}");
    }
}

#[tokio::test]
async fn weaker_schemes_are_not_answered() {
    for weak in [&[BASIC][..], &[MD5], &[BASIC, MD5], &["Unknown a=b", BASIC]] {
        let lab = contoso().internal(challenging(server(), [weak])).start().await.unwrap();
        let error = error(sign_in(&lab).await);
        let SignInError::NoCommonScheme { offered, .. } = error else { panic!("{error}") };
        assert_eq!(offered.len(), weak.len());
        assert!(proofs(&lab).is_empty(), "{weak:?}");
    }
    // A registrar that would have taken MD5.
    let offer = Offer::Digest(DigestAlgorithm::Md5);
    let lab = contoso().internal(server().offers([offer])).start().await.unwrap();
    assert!(matches!(error(sign_in(&lab).await), SignInError::NoCommonScheme { .. }));
    assert!(proofs(&lab).is_empty());
}

#[tokio::test]
async fn a_weaker_scheme_in_the_midst_of_an_exchange_is_not_answered_either() {
    for weak in [BASIC, MD5] {
        let server = challenging(server(), [&[NTLM], &[weak]]);
        let lab = contoso().internal(server).start().await.unwrap();
        assert!(matches!(error(sign_in(&lab).await), SignInError::NoCommonScheme { .. }));
        let proofs = proofs(&lab);
        assert_eq!(proofs.len(), 1, "{proofs:?}");
        assert!(proofs[0].starts_with("NTLM") && proofs[0].ends_with("gssapi-data=\"\""));
    }
}

/// Without NTLMv2 there is no target information, without extended session security no keys.
#[tokio::test]
async fn an_ntlm_challenge_that_asks_for_less_is_not_answered() {
    // REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY, DATAGRAM, TARGET_INFO and the
    // keys, as a Communications Server 2007 R2 offers them; then each that is needed is left out.
    const GOOD: u32 = 0xe298_82f3;
    const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    const KEY_EXCHANGE: u32 = 0x4000_0000;
    const KEYS_OF_128_BITS: u32 = 0x2000_0000;
    for missing in [0, EXTENDED_SESSION_SECURITY, KEY_EXCHANGE, KEYS_OF_128_BITS] {
        let mut token = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x38\0\0\0".to_vec();
        token.extend((GOOD & !missing).to_le_bytes());
        token.extend([7; 8]);
        token.extend([0; 8]);
        token.extend([12, 0, 12, 0, 56, 0, 0, 0, 6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
        token.extend([2, 0, 4, 0, b'C', 0, b'O', 0, 0, 0, 0, 0]);
        let token = data_encoding::BASE64.encode(&token);
        let challenge = format!("{NTLM}, opaque=\"o\", gssapi-data=\"{token}\"");
        let server = challenging(server(), [&[NTLM], &[&challenge], &[NTLM]]);
        let lab = contoso().internal(server).start().await.unwrap();
        let error = error(sign_in(&lab).await);
        let proved = proofs(&lab).len() == 2;
        assert_eq!(proved, missing == 0, "{missing:#x}: {error}");
        if !proved {
            let SignInError::NoCommonScheme { attempts, .. } = &error else { panic!("{error}") };
            assert!(attempts[0].why.raw().contains("offers less"), "{error}");
        }
    }
}

#[tokio::test]
async fn digest_is_not_answered_in_clear_text() {
    let offer = Offer::Digest(DigestAlgorithm::Sha256);
    let server = Server::tcp("sip.contoso.com").offers([offer]);
    let lab = contoso().internal(server).start().await.unwrap();
    let outcome = attempt(&lax_client(&lab)).await;
    assert!(matches!(error(outcome), SignInError::NoCommonScheme { .. }));
    assert!(lab.seen().iter().any(|seen| seen.in_clear() && !seen.sip.is_empty()));
    assert!(proofs(&lab).is_empty());
}

#[tokio::test]
async fn a_signature_taken_off_or_made_up_is_refused_in_every_version() {
    for version in [Version::V2, Version::V3, Version::V4] {
        for (fault, wanted) in
            [(SipFault::NoSignature, "did not sign"), (SipFault::WrongSignature, "not accepted")]
        {
            let server = server().offers([Offer::Ntlm(version)]).fault(fault);
            let lab = contoso().internal(server).start().await.unwrap();
            let error = error(sign_in(&lab).await);
            assert!(error.to_string().contains(wanted), "{version:?} {fault}: {error}");
        }
    }
}

/// A provider that must not be asked.
pub(super) struct Untouched;

impl MechanismProvider for Untouched {
    fn scheme(&self) -> Scheme {
        Scheme::Kerberos
    }

    fn takes(&self, _: Identity<'_>) -> bool {
        true
    }

    fn start(&self, target: &str, _: Identity<'_>) -> Result<Box<dyn Mechanism>, MechanismError> {
        panic!("a ticket for {target} was asked for")
    }
}

#[tokio::test]
async fn no_ticket_is_asked_for_another_service_or_host() {
    for target in [
        "http/sip.contoso.com",
        "cifs/sip.contoso.com",
        "sip/files.attacker.example",
        "sip/a.b.contoso.com",
        "sip/sip.contoso.com.attacker.example",
        "sip/sip.contoso.com/contoso.com",
        "sip.contoso.com",
        "sip/",
        "",
    ] {
        let challenge = format!("Kerberos realm=\"r\", targetname=\"{target}\", version=4");
        let server = challenging(server(), [&[&challenge]]);
        let lab = contoso().internal(server).start().await.unwrap();
        let mechanisms = Mechanisms::none().then(Untouched);
        let client = lab.client().mechanisms(mechanisms).build();
        let error = error(attempt(&client).await);
        let SignInError::NoCommonScheme { attempts, .. } = &error else { panic!("{error}") };
        assert!(attempts[0].why.raw().contains("a ticket for"), "{target}: {error}");
        assert!(proofs(&lab).is_empty());
    }
}
