//! What the fuzz targets assert, shared with the stable tests: `fuzz/fuzz_targets` looks for inputs
//! that break these, `tests/fuzz_corpus.rs` replays the inputs that are kept in `tests/corpus`.

#[path = "fuzz_upkeep.rs"]
pub mod fuzz_upkeep;

#[path = "jeremy.rs"]
mod jeremy;

#[path = "sevens.rs"]
mod sevens;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jeremy::{register, server};
use sevens::Sevens;
use sip_signin::auth::Credentials;
use sip_signin::compression::{
    Compressor, Decompressor, Form, Level, PacketError, PacketReader, PacketWriter, SixBytes,
};
use sip_signin::sign_in::{CredentialCache, Rules, SignIn, Step};
use sip_signin::sip::{Answer, Message, MessageReader};
use sip_signin::{HostName, HostNamePolicy, NameRule, Now, SipAddress};

/// A host, a line feed, a user's domain: the three policies against a second reading of the rule.
pub fn name_rule(data: &[u8]) {
    let Some((host, domain)) = std::str::from_utf8(data).ok().and_then(|t| t.split_once('\n'))
    else {
        return;
    };
    let (Ok(host), Ok(domain)) = (HostName::parse(host), HostName::parse(domain)) else { return };
    let (labels, tail) = (reversed(&host), reversed(&domain));
    let front = labels.strip_prefix(tail.as_slice());
    let admitted = [HostNamePolicy::Strict, HostNamePolicy::Relaxed, HostNamePolicy::AnySubdomain]
        .map(|policy| NameRule::new(policy).admit(&host, &domain).is_ok());
    assert_eq!(
        admitted,
        [
            front.is_some_and(|front| front.is_empty() || front == ["sip"]),
            front.is_some_and(|front| front.len() <= 1),
            front.is_some(),
        ]
    );
    assert!(admitted.is_sorted(), "what a policy admits, the next admits too");
}

/// The labels from the last to the first.
fn reversed(name: &HostName) -> Vec<&str> {
    name.as_str().rsplit('.').collect()
}

/// Whatever is typed: either an error that can be shown, or an address in normal form.
pub fn address(data: &[u8]) {
    let Ok(typed) = std::str::from_utf8(data) else { return };
    let address = match typed.parse::<SipAddress>() {
        Ok(address) => address,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.bytes().all(|b| (b' '..=b'~').contains(&b)), "{shown:?}");
            return;
        }
    };
    let domain = address.domain().as_str();
    assert_eq!(
        HostName::parse(domain).unwrap().as_str(),
        domain,
        "the normal form is a fixed point"
    );
    assert!(!address.user().is_empty() && address.port() != Some(0));
    let shown = address.to_string();
    assert_eq!(shown, format!("sip:{}@{domain}", address.user()));
    let again: SipAddress = shown.parse().unwrap();
    assert_eq!((again.user(), again.domain()), (address.user(), address.domain()));
    assert_eq!((again.port(), again.parameters()), (None, None));
}

/// Whatever a server sends: whole, or cut at the place that the first byte says, the same messages
/// and the same errors come out, and every answer can be read and shown.
pub fn register_answer(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (front, back) = stream.split_at(usize::from(cut).min(stream.len()));
    let read = |parts: &[&[u8]]| {
        let (mut reader, mut heard) = (MessageReader::default(), Vec::new());
        for part in parts {
            let mut input = *part;
            loop {
                match reader.read(&mut input) {
                    Ok(Some(message)) => heard.push(message.as_bytes().to_vec()),
                    Ok(None) => break,
                    Err(error) => return (heard, Some(error.to_string())),
                }
            }
        }
        (heard, None)
    };
    let (whole, error) = read(&[stream]);
    assert_eq!(read(&[front, back]), (whole.clone(), error.clone()));
    assert!(error.is_none_or(|shown| shown.bytes().all(|b| (b' '..=b'~').contains(&b))));
    for bytes in whole {
        let Ok(Message::Response(response)) = Message::parse(bytes.into()) else { continue };
        let answer = Answer::to_first_register(&response);
        let provisional = response.status() < 200;
        assert_eq!(answer == Answer::Provisional, provisional);
        if let Answer::Challenged { challenges, .. } = answer {
            assert!([401, 407].contains(&response.status()) && !challenges.is_empty());
        }
    }
}

/// A server's challenges, one on each line: whatever they say, the sign-in ends, asks nobody twice
/// without a rejection, sends only messages that can be read and in which the password is not, and
/// what it tells can be shown.
pub fn challenge(data: &[u8]) {
    const PASSWORD: &str = "marker-Pa55word";
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let instant = Instant::now();
    let now = Now { instant, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) };
    let (rules, cache) = (Rules::default(), CredentialCache::new());
    let mut sign_in = SignIn::new(register(), server(), rules, cache, Arc::new(Sevens));
    let mut lines = data.split(|&byte| byte == b'\n');
    let (mut asked, mut sent) = (0usize, 0usize);
    loop {
        match sign_in.poll_step(now.instant) {
            Step::Send(bytes) => {
                sent += 1;
                assert!(!String::from_utf8_lossy(&bytes).contains(PASSWORD));
                assert!(Message::parse(bytes).is_ok());
            }
            Step::AskCredentials(request) => {
                asked += 1;
                let shown = format!("{} {:?}", request.realm, request.target);
                assert!(shown.bytes().all(|b| (b' '..=b'~').contains(&b)), "{shown:?}");
                // What was rejected is given once more, and not taken.
                assert_eq!(asked > 1, !sign_in.cache().rejected().is_empty());
                let account = "jeremy".parse().unwrap();
                sign_in.supply(Some(Credentials::new(account, PASSWORD)), now);
                assert!(asked <= 2);
            }
            Step::Wait { .. } => {
                let Some(line) = lines.next() else { break };
                let number = sent.to_string();
                let head = "SIP/2.0 401 No\r\nFrom: <sip:jeremy@contoso.com>;tag=f\r\nTo: \
                            <sip:jeremy@contoso.com>;tag=t\r\nCall-ID: ours\r\nl: 0\r\nCSeq: ";
                let text = [
                    head.as_bytes(),
                    number.as_bytes(),
                    b" REGISTER\r\nWWW-Authenticate: ",
                    line,
                    b"\r\n\r\n",
                ];
                let Ok(message) = Message::parse(text.concat().into()) else { continue };
                sign_in.receive(&message, now);
            }
            Step::Failed(error) => {
                let shown = error.to_string();
                assert!(shown.bytes().all(|b| (b' '..=b'~').contains(&b)), "{shown:?}");
                break;
            }
            step @ (Step::Redirected { .. } | Step::SignedIn(_)) => {
                panic!("a challenge is no welcome: {step:?}")
            }
        }
    }
    // Two mechanisms, each for so many rounds; and the first REGISTER.
    assert!(sent <= 2 * (SignIn::ROUND_LIMIT + 1) + 1, "{sent}");
    assert!(!format!("{sign_in:?}").contains(PASSWORD));
}

/// Whatever comes as packets is refused or bounded, however it is cut; and whatever is written is read.
///
/// The first byte says where to cut, and at which level to write.
pub fn mppc(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (front, back) = stream.split_at(usize::from(cut).min(stream.len()));
    let whole = unpack(&[stream]);
    assert_eq!(unpack(&[front, back]), whole);

    let mut decompressor = Decompressor::new();
    for at_front in [true, false] {
        if let Ok(data) = decompressor.decompress(Form::Compressed { at_front }, stream, 4096) {
            assert!(data.len() <= 4096);
        }
    }

    let level = if cut.is_multiple_of(2) { Level::Fast } else { Level::Best };
    let mut writer = PacketWriter::new(level, Arc::new(SixBytes));
    let mut packets = Vec::new();
    for data in [front, back, stream] {
        let before = packets.len();
        writer.write(data, &mut packets).unwrap();
        let most = data.len() + 6 * data.len().div_ceil(Compressor::PACKET_LIMIT);
        assert!(packets.len() - before <= most, "no packet is longer than its data");
    }
    let sent = [front, back, stream].concat();
    assert_eq!(unpack(&[&packets]), (sent, None));
}

fn unpack(parts: &[&[u8]]) -> (Vec<u8>, Option<PacketError>) {
    let (mut reader, mut heard) = (PacketReader::new(Arc::new(SixBytes)), Vec::new());
    for part in parts {
        let mut input = *part;
        loop {
            match reader.read(&mut input) {
                Ok(Some(data)) => {
                    assert!(data.len() <= Decompressor::PACKET_LIMIT);
                    heard.extend_from_slice(data);
                }
                Ok(None) => break,
                Err(error) => return (heard, Some(error)),
            }
        }
    }
    (heard, None)
}
