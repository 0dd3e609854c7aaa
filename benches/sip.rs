//! The SIP slice on what a server answers to a REGISTER, beside httparse on the same lines: only the
//! status line differs, for it reads HTTP alone.
//!
//! Each bench asserts what it read.

use std::hint::black_box;

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use sip_signin::sip::{Challenge, ChallengeError, Message};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// An answer, with how many header fields and how many challenges it has.
const ANSWERS: [(&str, &str, usize, usize); 3] = [
    ("401", include_str!("messages/401.sip"), 11, 3),
    ("401-ntlm", include_str!("messages/401-ntlm.sip"), 7, 1),
    ("200", include_str!("messages/200.sip"), 17, 0),
];
const NAMES: [&str; 3] = [ANSWERS[0].0, ANSWERS[1].0, ANSWERS[2].0];

fn answer(name: &str) -> (&'static str, usize, usize) {
    let (_, text, fields, challenges) =
        ANSWERS.into_iter().find(|answer| answer.0 == name).expect("an answer");
    (text, fields, challenges)
}

/// Bytes that are shared already, as those off a connection are once something of them is kept.
fn bytes(text: &str) -> Bytes {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    drop(bytes.clone());
    bytes
}

#[divan::bench(args = NAMES)]
fn head(bencher: Bencher, name: &str) {
    let (text, fields, _) = answer(name);
    let bytes = bytes(text);
    let read = |bytes| Message::parse(black_box(bytes)).expect("a message");
    assert_eq!(read(bytes.clone()).headers().iter().len(), fields);
    bencher.with_inputs(|| bytes.clone()).bench_values(read);
}

#[divan::bench(args = NAMES)]
fn head_httparse(bencher: Bencher, name: &str) {
    let (text, fields, _) = answer(name);
    let text = text.replacen("SIP/2.0", "HTTP/1.1", 1);
    let read = || {
        let mut headers = [httparse::EMPTY_HEADER; 24];
        let mut response = httparse::Response::new(&mut headers);
        assert!(response.parse(black_box(text.as_bytes())).expect("a head").is_complete());
        response.headers.len()
    };
    assert_eq!(read(), fields);
    bencher.bench(read);
}

/// Looks at a challenge where it is: to move it is not to read it.
fn is_ok(challenge: &Result<Challenge, ChallengeError>) -> bool {
    black_box(challenge).is_ok()
}

/// The head, and then every challenge in it.
#[divan::bench(args = [NAMES[0], NAMES[1]])]
fn head_and_challenges(bencher: Bencher, name: &str) {
    let (text, _, challenges) = answer(name);
    let bytes = bytes(text);
    let read = |bytes| {
        let message = Message::parse(black_box(bytes)).expect("a message");
        Challenge::of(message.headers(), "WWW-Authenticate").filter(is_ok).count()
    };
    assert_eq!(read(bytes.clone()), challenges);
    bencher.with_inputs(|| bytes.clone()).bench_values(read);
}

/// The same for who takes the head from httparse; each value makes a list.
#[divan::bench(args = [NAMES[0], NAMES[1]])]
fn head_httparse_and_challenges(bencher: Bencher, name: &str) {
    let (text, _, challenges) = answer(name);
    let text = text.replacen("SIP/2.0", "HTTP/1.1", 1);
    let read = || {
        let mut headers = [httparse::EMPTY_HEADER; 24];
        let mut response = httparse::Response::new(&mut headers);
        assert!(response.parse(black_box(text.as_bytes())).expect("a head").is_complete());
        let ours =
            response.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("WWW-Authenticate"));
        let values = ours.filter_map(|header| std::str::from_utf8(header.value).ok());
        values.flat_map(Challenge::read_all).filter(is_ok).count()
    };
    assert_eq!(read(), challenges);
    bencher.bench(read);
}

/// What says that an answer is ours.
#[divan::bench(args = NAMES)]
fn call_id_and_cseq(bencher: Bencher, name: &str) {
    let message = Message::parse(bytes(answer(name).0)).expect("a message");
    let read = || {
        let headers = black_box(&message).headers();
        (headers.call_id(), headers.cseq())
    };
    assert!(read().0.is_some() && read().1.is_some());
    bencher.bench(read);
}
