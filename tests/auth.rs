//! Whole exchanges of [MS-SIPAE] that others had, had again by this crate: what was random and what
//! time it was comes from the recordings, so the same bytes must come out.
#![cfg(feature = "ntlm")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sip_signin::auth::{
    Association, AssociationError, Credentials, Identity, Ntlm, Protection, Salt, Version,
    signature_buffer,
};
use sip_signin::sip::{Challenge, Challenger, Message};
use sip_signin::{Now, Random, RandomError};

/// Gives what was drawn when the exchange was recorded, in that order, and nothing else.
struct Recorded(Mutex<Vec<Vec<u8>>>);

impl Recorded {
    fn new(drawn: &[&str]) -> Self {
        Self(Mutex::new(drawn.iter().rev().map(|hex| unhex(hex)).collect()))
    }

    fn is_used_up(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Random for Recorded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let drawn = self.0.lock().unwrap().pop().ok_or(RandomError)?;
        bytes.copy_from_slice(&drawn);
        Ok(())
    }
}

fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}

fn unbase64(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap()
}

/// The time that an NTLMv2 response was made, on the calendar.
#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn at(file_time: &[u8]) -> Now {
    let steps = u64::from_le_bytes(file_time.try_into().unwrap()) - 116_444_736_000_000_000;
    let since_1970 = Duration::new(steps / 10_000_000, (steps % 10_000_000) as u32 * 100);
    Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + since_1970 }
}

/// The parameters of a header value: names, and values without quotes.
fn parameters(value: &str) -> BTreeMap<String, String> {
    let challenge = Challenge::read_all(value).remove(0).unwrap();
    let pairs = challenge.parameters();
    pairs.map(|p| (p.name().to_owned(), p.value().to_owned())).collect()
}

fn message(text: &str) -> Message {
    Message::parse(text.to_owned().into()).unwrap()
}

fn challenge(message: &Message) -> Challenge<'_> {
    Challenge::of(message.headers(), "WWW-Authenticate").next().unwrap().unwrap()
}

/// A field of an AUTHENTICATE_MESSAGE. [MS-NLMP section 2.2.1.3]
fn field(authenticate: &[u8], at: usize) -> &[u8] {
    let length = u16::from_le_bytes(authenticate[at..at + 2].try_into().unwrap());
    let offset = u32::from_le_bytes(authenticate[at + 4..at + 8].try_into().unwrap());
    &authenticate[offset as usize..][..length.into()]
}

/// `authenticate` without what tells which system wrote it.
fn without_version(mut authenticate: Vec<u8>) -> Vec<u8> {
    authenticate[64..72].fill(0);
    authenticate
}

/// Compares two sets of parameters of an Authorization; hexadecimal may have any case.
fn assert_same(ours: &str, theirs: &str) {
    let (mut ours, mut theirs) = (parameters(ours), parameters(theirs));
    for parameters in [&mut ours, &mut theirs] {
        if let Some(token) = parameters.get_mut("gssapi-data").filter(|token| !token.is_empty()) {
            *token = HEXLOWER.encode(&without_version(unbase64(token)));
        }
        if let Some(response) = parameters.get_mut("response") {
            response.make_ascii_lowercase();
        }
    }
    assert_eq!(ours, theirs);
}

/// Three exchanges of pidgin-sipe 1.25.0, for versions 2, 3 and 4.
#[test]
fn the_exchanges_of_another_client_come_out_again() {
    let Some(root) = std::env::var_os("SIGNIN_CORPORA").map(PathBuf::from) else {
        println!("skipped: no corpora");
        return;
    };
    for version in [Version::V2, Version::V3, Version::V4] {
        let file = format!("ntlm/sipe-ntlm-v{}.json", version.number());
        let text = fs::read_to_string(root.join(file)).unwrap();
        let exchange: serde_json::Value = serde_json::from_str(&text).unwrap();
        let messages: Vec<Message> = exchange["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| message(entry["message"].as_str().unwrap()))
            .collect();
        let [_, first, asking, second, answering, welcome, leaving, _] = &messages[..] else {
            panic!("{} messages", messages.len());
        };
        let theirs =
            |message: &Message| message.headers().get("Authorization").unwrap().into_owned();
        let answered = parameters(&theirs(answering));
        let authenticate = unbase64(&answered["gssapi-data"]);
        let nt = field(&authenticate, 20);
        let mut drawn = vec![HEXLOWER.encode(&nt[32..40])];
        drawn.push(exchange["exported_session_key"].as_str().unwrap().to_owned());
        drawn.extend(answered.get("crand").cloned());
        drawn.push(parameters(&theirs(leaving))["crand"].clone());
        let drawn: Vec<_> = drawn.iter().map(String::as_str).collect();
        let random = Recorded::new(&drawn);
        let now = at(&nt[24..32]);

        let credentials = Credentials::new(
            exchange["login"].as_str().unwrap().parse().unwrap(),
            exchange["password"].as_str().unwrap(),
        );
        let workstation: Vec<u16> = field(&authenticate, 44)
            .chunks(2)
            .map(|two| u16::from_le_bytes([two[0], two[1]]))
            .collect();
        let ntlm = Ntlm::new().with_workstation(&String::from_utf16(&workstation).unwrap());
        let identity = Identity::Supplied(&credentials);
        let by = Challenger::Registrar;
        let mut association =
            Association::start(&challenge(first), by, &ntlm, identity, now, &random).unwrap();
        assert_eq!(association.version(), version);
        let asked = association.authorize(asking, &random).unwrap();
        assert_eq!(asked.name(), "Authorization");
        assert_same(asked.value(), &theirs(asking));
        assert!(association.authorize(asking, &random).is_err(), "it is the server's turn");

        association.challenged(&challenge(second), now, &random).unwrap();
        assert_same(association.authorize(answering, &random).unwrap().value(), &theirs(answering));
        assert_eq!(association.verify(welcome, now, &random).unwrap(), Protection::Verified);
        let again = association.verify(welcome, now, &random).unwrap_err();
        assert!(matches!(again, AssociationError::Replayed(1)), "{again}");
        assert_same(association.authorize(leaving, &random).unwrap().value(), &theirs(leaving));
        assert!(random.is_used_up());

        for signature in exchange["signatures"].as_array().unwrap() {
            let string = signature["string"].as_str().unwrap();
            let signed = [answering, welcome, leaving].into_iter().any(|message| {
                let parts: Vec<_> =
                    string[1..].split('>').map(|part| part.trim_start_matches('<')).collect();
                let salt = Salt {
                    scheme: parts[0],
                    rand: parts[1],
                    num: parts[2],
                    realm: parts[3],
                    target: parts[4],
                };
                signature_buffer(version, salt, message).unwrap() == string
            });
            assert!(signed, "{string}");
        }
    }
}

/// What Communicator 2007 R2 and its server signed on 1 March 2010, in the messages that the signed
/// texts are taken from.
mod communicator {
    use super::*;

    const CHALLENGE: &str = "4e544c4d53535000020000000000000038000000f38298e2dd1baaf4e7e218d10000\
        00000000000096009600380000000502ce0e0000000f02000a0043004f0053004d004f000100180043004f00530\
        04d004f002d004f00430053002d00520032000400160063006f0073006d006f002e006c006f00630061006c0003\
        00300063006f0073006d006f002d006f00630073002d00720032002e0063006f0073006d006f002e006c006f006\
        30061006c000500160063006f0073006d006f002e006c006f00630061006c0000000000";

    /// Client challenge, session key, crand.
    const DRAWN: [&str; 3] = ["d6ae875cb0fdaa41", "6742fbe37bb1946b49d86a525bd29a9b", "13317733"];

    const COMMON: &str = "From: <sip:user@cosmo.local>;tag=3e49177a52;epid=c8ca638a15\r\n\
        Call-ID: 4037df9284354df39065195bd57a4b14\r\nCSeq: 3 REGISTER\r\n";

    pub(super) fn now() -> Now {
        at(&unhex("59519a1727b9ca01"))
    }

    pub(super) fn credentials() -> Credentials {
        Credentials::new(r"COSMO\User".parse().unwrap(), "Pa$$word")
    }

    pub(super) fn value(token: &[u8]) -> String {
        format!(
            r#"NTLM realm="SIP Communications Service", targetname="cosmo-ocs-r2.cosmo.local", version=4, opaque="2BDBAC9D", gssapi-data="{}""#,
            BASE64.encode(token)
        )
    }

    pub(super) fn register() -> Message {
        message(&format!(
            "REGISTER sip:cosmo.local SIP/2.0\r\n{COMMON}To: <sip:user@cosmo.local>\r\nl: 0\r\n\r\n"
        ))
    }

    pub(super) fn welcome(rspauth: &str, expires: u32) -> Message {
        message(&format!(
            "SIP/2.0 200 OK\r\n{COMMON}\
             To: <sip:user@cosmo.local>;tag=5E61CCD925D17E043D9A74835A88F664\r\nExpires: {expires}\r\n\
             Proxy-Authentication-Info: NTLM rspauth=\"{rspauth}\", srand=\"9616454F\", snum=\"1\", \
             opaque=\"2BDBAC9D\", qop=\"auth\", targetname=\"cosmo-ocs-r2.cosmo.local\", \
             realm=\"SIP Communications Service\"\r\nl: 0\r\n\r\n"
        ))
    }

    pub(super) fn challenge_message() -> Vec<u8> {
        unhex(CHALLENGE)
    }

    pub(super) fn start(random: &dyn Random) -> Association {
        let credentials = credentials();
        let first = Challenge::read_all(&value(b"")).remove(0).unwrap().apart();
        let identity = Identity::Supplied(&credentials);
        Association::start(&first, Challenger::Proxy, &Ntlm::new(), identity, now(), random)
            .unwrap()
    }

    #[test]
    fn the_signatures_come_out_and_the_servers_is_verified() {
        let random = Recorded::new(&DRAWN);
        let mut association = start(&random);
        association.authorize(&register(), &random).unwrap();
        let value = value(&challenge_message());
        let second = Challenge::read_all(&value).remove(0).unwrap();
        association.challenged(&second, now(), &random).unwrap();
        let authorization = association.authorize(&register(), &random).unwrap();
        assert_eq!(authorization.name(), "Proxy-Authorization");
        let head = r#"NTLM qop="auth", realm="SIP Communications Service", opaque="2BDBAC9D", targetname="cosmo-ocs-r2.cosmo.local", version=4, gssapi-data="TlRM"#;
        assert!(authorization.value().starts_with(head), "{}", authorization.value());
        let tail = r#"", crand="13317733", cnum="1", response="0100000029618e9651b65a7764000000""#;
        assert!(authorization.value().ends_with(tail), "{}", authorization.value());

        let mut verify =
            |rspauth: &str, expires| association.verify(&welcome(rspauth, expires), now(), &random);
        for (rspauth, expires) in [
            ("01000000e615438a917661be64000001", 7200),
            ("01000000e615438a917661be6400000", 7200),
            ("01000000e615438a917661be", 7200),
            ("", 7200),
            ("01000000e615438a917661be64000000", 7201),
            ("0100000029618e9651b65a7764000000", 7200),
        ] {
            verify(rspauth, expires).unwrap_err();
        }
        assert_eq!(verify("01000000E615438a917661be64000000", 7200).unwrap(), Protection::Verified);
    }

    /// Every truncation, and every byte changed, comes as a token of a challenge.
    #[test]
    fn a_hostile_challenge_is_an_error() {
        let whole = challenge_message();
        let answer = |token: &[u8]| {
            let random = Recorded::new(&DRAWN);
            let mut association = start(&random);
            let second = Challenge::read_all(&value(token)).remove(0).unwrap().apart();
            association.challenged(&second, now(), &random)
        };
        answer(&whole).unwrap();
        for length in 0..whole.len() {
            answer(&whole[..length]).unwrap_err();
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            let _ = answer(&changed);
        }
        answer(&[&whole[..], &[0; 9000]].concat()).unwrap_err();
    }
}

/// Looks for the password in everything that can be printed or sent, as it is and disguised.
#[test]
fn the_password_is_nowhere_to_be_seen() {
    const MARKER: &str = "marker-Pa55word";
    let utf16: Vec<u8> = MARKER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut shown = Vec::new();
    let random = Recorded::new(&["d6ae875cb0fdaa41", &"55".repeat(16), "13317733"]);
    let credentials = Credentials::new(r"COSMO\User".parse().unwrap(), MARKER);
    let identity = Identity::Supplied(&credentials);
    let challenge =
        |token: &[u8]| Challenge::read_all(&communicator::value(token)).remove(0).unwrap().apart();
    let now = communicator::now();
    let by = Challenger::Registrar;
    let mut association =
        Association::start(&challenge(b""), by, &Ntlm::new(), identity, now, &random).unwrap();
    shown.push(format!("{credentials:?} {credentials:#?} {identity:?} {association:?}"));
    association.challenged(&challenge(&communicator::challenge_message()), now, &random).unwrap();
    let register = communicator::register();
    let authorization = association.authorize(&register, &random).unwrap();
    let sent = authorization.add_to(&register);
    shown.push(format!("{authorization:?} {association:?}"));
    shown.push(String::from_utf8(sent.to_vec()).unwrap());
    let token = unbase64(&parameters(authorization.value())["gssapi-data"]);
    shown.push(HEXLOWER.encode(&token));
    let wrong = association.verify(&communicator::welcome("00", 1), now, &random).unwrap_err();
    let rejected = association.challenged(&challenge(b""), now, &random).unwrap_err();
    for error in [&wrong, &rejected] {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = cause {
            shown.push(format!("{error} {error:?}"));
            cause = error.source();
        }
    }
    assert!(shown.len() >= 6);
    for text in shown {
        let text = text.to_lowercase();
        for disguise in [
            MARKER.to_owned(),
            HEXLOWER.encode(MARKER.as_bytes()),
            BASE64.encode(MARKER.as_bytes()).trim_end_matches('=').into(),
            HEXLOWER.encode(&utf16),
            BASE64.encode(&utf16).trim_end_matches('=').into(),
        ] {
            assert!(!text.contains(&disguise.to_lowercase()), "{disguise} in {text}");
        }
    }
    assert!(!token.windows(utf16.len()).any(|window| window == utf16));
}
