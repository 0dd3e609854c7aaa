use std::error::Error;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::vectors::{COMMUNICATOR, hex, unhex};
use super::*;
use crate::auth::{Credentials, Password};
use crate::random::RandomError;

/// 1 March 2010, when Communicator's exchange was recorded.
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn now() -> Now {
    let wall = UNIX_EPOCH + Duration::new(1_267_438_088, 433_288_900);
    Now { instant: Instant::now(), wall }
}

/// Gives 1, 2, 3 … on each call.
struct Counting;

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        for (byte, n) in bytes.iter_mut().zip(1..) {
            *byte = n;
        }
        Ok(())
    }
}

struct Broken;

impl Random for Broken {
    fn fill(&self, _bytes: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

fn credentials() -> Credentials {
    Credentials::new(r"COSMO\User".parse().unwrap(), "Pa$$word")
}

fn start(credentials: &Credentials) -> Box<dyn Mechanism> {
    let ntlm = Ntlm::new().with_workstation("COSMO-OCS-R2");
    ntlm.start("cosmo-ocs-r2.cosmo.local", Identity::Supplied(credentials)).unwrap()
}

/// Every byte of the message of Communicator 2007 R2.
#[test]
fn the_answer_is_the_one_of_communicator() {
    let Credentials { account, password, .. } = credentials();
    let client = Client {
        account: &account,
        ntowf: &response::ntowf_v2(&account, &password),
        workstation: "COSMO-OCS-R2",
        version: COMMUNICATOR.version,
    };
    let client_challenge = COMMUNICATOR.client_challenge;
    let drawn = Drawn { client_challenge, session_key: COMMUNICATOR.session_key() };
    let challenge = COMMUNICATOR.challenge();
    let message = ChallengeMessage::read(&challenge).unwrap();
    let answer = client.answer(&challenge, message, &drawn, now()).unwrap();
    assert_eq!(hex(&answer), hex(&COMMUNICATOR.authenticate()));
}

/// First eight digits of NTOWFv2 for User and Domain and a password of 0 to 130 characters, computed
/// by another program with a hash of its own.
#[test]
fn a_password_of_any_length_is_hashed_right() {
    const EXPECTED: &str = concat!(
        "7b88e8915e545bfcc741882fb430bfe02eabe95687c6b7d66433d34fbe65ccd3252414c28957039fd8b83dd2",
        "c9627f0e3e06c8c22f3469192a5826c8b443308a31f9dde6aefa4e08d7e80adff5002dcf203bfcfaa5d784a4",
        "f52e4caa7b47ae7c4b2df3764309068cbd6b688557250a0708db0dd3949fd8c511d63293f244dfaaf5e5c138",
        "4aeb88053d57647350ca8be047318d1741b42d4ad4f07537265b4ef83df3070e65de62a491ff2fd646880e64",
        "5f1e730c5b7ec2169107a370029ed46ab6f91c03a2f4414a7c81df544ec657f5da4eb782d6986d516ce3a58a",
        "b82d02cf0c8332310ecddbb07119c6fefe6cdc1d39990c38c49bc25f34404560bd28f88594a22c4911d13710",
        "c5aa76a0184fcaedf17723ca6177d7daa9a279c86f537c5b82d86e03a747dc2ae4cef2aaeef3e18bdecbbd0e",
        "c4915e224c03bfc635a5700f242ba7a3437e06b5772572a3334aeb6dea5bcb31888191a5a010a07fc9256ed9",
        "46edd19865ced0e335e0a4e9bfb7f399c38e3ea4c3a80c2d3b0360c84f95d72e1aad42fcaa824ac330126182",
        "39cbd1d583aa76b1406243ec1cee577d039dc94ad4022a1f48c6334cdbbf7a7eed8eb34dbd7165218b58f059",
        "bfb70f7a0eb5df463a15377c728c4f7f4bcd2534af7d4243cee91ce648e91f654dae1990e288d9dd38ac2621",
        "dbd6d1d361c1ac22f883462dcf422d70c48afc545af016cd5f85f7fbd1de3343189a5e07aac3391a",
    );
    let account = r"Domain\User".parse().unwrap();
    for (length, expected) in EXPECTED.as_bytes().chunks(8).enumerate() {
        let password: String =
            (0..length).map(|i| char::from(0x21 + ((i * 7 + length) % 94) as u8)).collect();
        let key = response::ntowf_v2(&account, &Password::new(password));
        assert_eq!(hex(&key[..4]).as_bytes(), expected, "{length}");
    }
    assert_eq!(EXPECTED.len(), 131 * 8);
}

/// The same, whole.
#[test]
fn accounts_and_passwords_beyond_ascii_and_without_a_domain_are_hashed_right() {
    for (account, password, expected) in [
        (r"CONTOSO\jérémie", "Passw0rd!", "d088e3ee626584d27b3ac36558721b7a"),
        (r"Domain\User", "пароль", "098d3470284c0b55bbe99f8fff951842"),
        (r"Domain\User", "密码🔑", "a9208e8e292594158bef3c5020eaf3d1"),
        (r"User", "Password", "4cf86da43b3cd4785ab26bcee1e1884b"),
        (r"jeremy@contoso.com", "Passw0rd!", "043e70104e7e20f637582d017c3f644b"),
        (r"ДОМЕН\шура", "é", "d25e0e99c9e9b1ee144d23de2daec0cd"),
    ] {
        let key = response::ntowf_v2(&account.parse().unwrap(), &Password::new(password));
        assert_eq!(hex(&*key), expected, "{account}");
    }
}

/// A challenge with a time stamp, flags and names, as newer servers send it.
fn stamped() -> Vec<u8> {
    let mut info = Vec::new();
    for (id, value) in [
        (2u16, response::utf16("CONTOSO")),
        (1, response::utf16("POOL01")),
        (6, vec![0; 4]),
        (7, vec![0x80, 0xf9, 0x72, 0x94, 0x9d, 0x7a, 0xdd, 0x01]),
    ] {
        info.extend(id.to_le_bytes());
        info.extend((value.len() as u16).to_le_bytes());
        info.extend(value);
    }
    info.extend([0; 4]);
    let length = (info.len() as u16).to_le_bytes();
    let mut bytes = COMMUNICATOR.challenge()[..40].to_vec();
    bytes.extend(length.into_iter().chain(length).chain(48u32.to_le_bytes()));
    bytes.extend(info);
    bytes
}

#[test]
fn a_time_stamp_brings_a_mic_and_no_lm_response() {
    let mut mechanism = start(&credentials());
    let step = mechanism.step(Some(&stamped()), now(), &Counting).unwrap();
    let MechanismStep::Done(Some(answer)) = step else { panic!("{step:?}") };
    let field = |at: usize| {
        let number = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().unwrap());
        let (length, offset) = (number(at) as u16 as usize, number(at + 4) as usize);
        &answer[offset..offset + length]
    };
    let [lm, nt, domain, user, workstation, key] = [12, 20, 28, 36, 44, 52].map(field);
    assert_eq!(lm, [0; 24]);
    assert_eq!(domain, response::utf16("COSMO"));
    assert_eq!(user, response::utf16("User"));
    assert_eq!(workstation, response::utf16("COSMO-OCS-R2"));
    assert_eq!(nt[24..32], [0x80, 0xf9, 0x72, 0x94, 0x9d, 0x7a, 0xdd, 0x01], "the server's time");
    assert_eq!(nt[32..40], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(hex(&answer[60..64]), "55829862");
    // Recomputed by pyspnego 0.12.4 from the two messages.
    assert_eq!(hex(&nt[..16]), "985aa835230f7fbce9102a92357862ec");
    assert_eq!(hex(key), "6d505508441806144a341b02ceb26635");
    assert_eq!(hex(&answer[72..88]), "44ca2c4af8a75b15086e4106ee65e07a");
    let signature = mechanism.sign(b"text").unwrap();
    assert_eq!(hex(&signature), "01000000ecbb91bfc9708d5164000000");
    assert_eq!(
        answer.len(),
        88 + domain.len() + user.len() + workstation.len() + lm.len() + nt.len() + key.len()
    );
}

#[test]
fn an_exchange_has_one_order() {
    let mut mechanism = start(&credentials());
    let not_ready = |error: MechanismError| *error.kind() == MechanismErrorKind::NotReady;
    assert!(not_ready(mechanism.sign(b"x").unwrap_err()));
    assert!(not_ready(mechanism.verify(b"x", &[0; 16]).unwrap_err()));
    assert_eq!(
        mechanism.step(None, now(), &Counting).unwrap(),
        MechanismStep::Continue(Vec::new())
    );
    let challenge = COMMUNICATOR.challenge();
    let done = mechanism.step(Some(&challenge), now(), &Counting).unwrap();
    assert!(matches!(done, MechanismStep::Done(Some(_))));
    let own = mechanism.sign(b"x").unwrap();
    assert_eq!(own[12..], [100, 0, 0, 0]);
    let wrong = mechanism.verify(b"x", &own).unwrap_err();
    assert_eq!(*wrong.kind(), MechanismErrorKind::Signature, "our own is not the server's");
    let server = SideKeys::server(&Zeroizing::new(std::array::from_fn(|n| n as u8 + 1)));
    mechanism.verify(b"x", &server.mac(b"x")).unwrap();
    mechanism.verify(b"y", &server.mac(b"x")).unwrap_err();
    assert!(not_ready(mechanism.step(Some(&challenge), now(), &Counting).unwrap_err()));
}

#[test]
fn what_cannot_be_answered_is_said_with_the_reason() {
    let challenge = COMMUNICATOR.challenge();
    let mut weak = challenge.clone();
    weak[22] &= !0x08;
    for (token, kind, reason) in [
        (Some(&weak[..]), MechanismErrorKind::Weak, "it lacks EXTENDED_SESSION_SECURITY"),
        (
            Some(&challenge[..50]),
            MechanismErrorKind::Token,
            "its target information lies outside of the message",
        ),
        (Some(&b"NTLMSSP\0\x01\0\0\0"[..]), MechanismErrorKind::Token, "it is no ntlm challenge"),
        (None, MechanismErrorKind::Token, "it is no ntlm challenge"),
    ] {
        let mut mechanism = start(&credentials());
        mechanism.step(None, now(), &Counting).unwrap();
        let error = mechanism.step(token, now(), &Counting).unwrap_err();
        assert_eq!(*error.kind(), kind);
        assert_eq!(error.source().unwrap().to_string(), reason);
        let after = mechanism.step(Some(&challenge), now(), &Counting).unwrap_err();
        assert_eq!(*after.kind(), MechanismErrorKind::NotReady, "one exchange for one password");
    }
    let error = start(&credentials()).step(Some(&challenge), now(), &Broken).unwrap_err();
    assert_eq!(*error.kind(), MechanismErrorKind::Random);
}

#[test]
fn without_a_password_there_is_no_ntlm() {
    let credentials = credentials();
    assert!(Ntlm::new().takes(Identity::Supplied(&credentials)));
    assert!(!Ntlm::new().takes(Identity::CurrentUser));
    let error = Ntlm::new().start("x", Identity::CurrentUser).err().unwrap();
    assert_eq!(*error.kind(), MechanismErrorKind::Identity);
}

/// Names and passwords as long as they may be still fit the lengths of a message.
#[test]
fn the_longest_names_are_written() {
    let long = "\u{10ffff}".repeat(Account::LIMIT / 4);
    let credentials = Credentials::new(long.parse().unwrap(), "x".repeat(100_000));
    let ntlm = Ntlm::new().with_workstation(&"w".repeat(1000));
    let mut mechanism = ntlm.start("x", Identity::Supplied(&credentials)).unwrap();
    let MechanismStep::Done(Some(answer)) =
        mechanism.step(Some(&stamped()), now(), &Counting).unwrap()
    else {
        panic!("it is an answer");
    };
    let written = unhex(&hex(&response::utf16(&"w".repeat(Ntlm::WORKSTATION_LIMIT))));
    assert!(answer.windows(written.len()).any(|window| window == written));
}

/// [MS-NLMP] section 4.2 and others, as far as they are NTLMv2; what is weaker cannot be computed here.
#[test]
fn the_cases_of_the_corpora_come_out() {
    let Some(root) = std::env::var_os("SIGNIN_CORPORA").map(std::path::PathBuf::from) else {
        println!("skipped: no corpora");
        return;
    };
    let text = std::fs::read_to_string(root.join("ntlm/nlmp-vectors.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut checked = Vec::new();
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap().to_lowercase();
        let bytes = |name: &str| unhex(&text(name));
        let expect = |name: &str| case["expect"][name].as_str().unwrap();
        let ntowf = || {
            let part = |name: &str| case[name].as_str().unwrap();
            let account = format!("{}\\{}", part("domain"), part("user")).parse().unwrap();
            response::ntowf_v2(&account, &Password::new(part("password")))
        };
        match case["what"].as_str().unwrap() {
            "NTOWFv2" => assert_eq!(hex(&*ntowf()), text("expect")),
            "NTLMv2" => {
                let response = response::Response {
                    server_challenge: bytes("server_challenge").try_into().unwrap(),
                    client_challenge: bytes("client_challenge").try_into().unwrap(),
                    time: bytes("time").try_into().unwrap(),
                    target_info: &bytes("target_info"),
                };
                let proof = response.nt(&ntowf());
                let key: [u8; 16] = bytes("random_session_key").try_into().unwrap();
                assert_eq!(hex(&proof.nt[..16]), expect("nt_proof"));
                assert_eq!(hex(&response.lm(&ntowf())), expect("lm"));
                assert_eq!(hex(&*proof.session_base_key), expect("session_base_key"));
                assert_eq!(hex(&hash::rc4(&proof.session_base_key, key)), expect("encrypted"));
            }
            what if what.starts_with("real Communicator") => {
                assert_eq!(bytes("type2"), COMMUNICATOR.challenge());
                assert_eq!(bytes("type3"), COMMUNICATOR.authenticate());
                let key = Zeroizing::new(bytes("exported_session_key").try_into().unwrap());
                for (keys, which) in
                    [(SideKeys::client(&key), "request"), (SideKeys::server(&key), "response")]
                {
                    let signed = case[format!("{which}_signature_string")].as_str().unwrap();
                    let signature = text(&format!("{which}_signature"));
                    assert_eq!(hex(&keys.mac(signed.as_bytes())), signature);
                }
            }
            _ => continue,
        }
        checked.push(text("id"));
    }
    assert_eq!(checked, ["nt003", "nt006", "nt008", "nt009", "nt010", "nt011"]);
}
