//! The SIP slice beside other parsers of SIP, and beside httparse, on the same answers. Each asserts
//! the status and the number of fields that it read. What each of them checks differs, and so does
//! what it makes of the lines; `../README.md` says how.

use std::hint::black_box;

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use ezk_sip_types::Headers as EzkHeaders;
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// An answer, its status and how many header fields it has.
const ANSWERS: [(&str, &str, u16, usize); 2] = [
    ("401", include_str!("../../messages/401.sip"), 401, 11),
    ("200", include_str!("../../messages/200.sip"), 200, 17),
];
const NAMES: [&str; 2] = [ANSWERS[0].0, ANSWERS[1].0];

fn answer(name: &str) -> (&'static str, (u16, usize)) {
    let (_, text, status, fields) =
        ANSWERS.into_iter().find(|answer| answer.0 == name).expect("an answer");
    (text, (status, fields))
}

#[divan::bench(args = NAMES)]
fn a_ours(bencher: Bencher, name: &str) {
    use sip_signin::sip::Message;
    let (text, read) = answer(name);
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let parse = || Message::parse(black_box(&bytes).clone()).expect("a message");
    let Message::Response(response) = parse() else { panic!("it has a status line") };
    assert_eq!((response.status(), response.headers().iter().len()), read);
    bencher.bench(parse);
}

#[divan::bench(args = NAMES)]
fn b_httparse(bencher: Bencher, name: &str) {
    let (text, read) = answer(name);
    let text = text.replacen("SIP/2.0", "HTTP/1.1", 1);
    let parse = || {
        let mut headers = [httparse::EMPTY_HEADER; 24];
        let mut response = httparse::Response::new(&mut headers);
        assert!(response.parse(black_box(text.as_bytes())).expect("a head").is_complete());
        (response.code.expect("a status"), response.headers.len())
    };
    assert_eq!(parse(), read);
    bencher.bench(parse);
}

#[divan::bench(args = NAMES)]
fn c_ezk_sip_types(bencher: Bencher, name: &str) {
    let (text, read) = answer(name);
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let parse = || {
        let bytes = black_box(&bytes);
        let mut lines = PullParser::new(bytes, 0);
        let first = lines.next().expect("a line").expect("all of it");
        let first = std::str::from_utf8(first).expect("text");
        let (_, start) = MessageLine::parse(bytes)(first).expect("a start line");
        let mut headers = EzkHeaders::new();
        for line in lines {
            let line = std::str::from_utf8(line.expect("all of it")).expect("text");
            let (_, line) = Line::parse(bytes, line).expect("a header");
            headers.insert(line.name, line.value);
        }
        (start, headers)
    };
    let (start, headers) = parse();
    let MessageLine::Response(status) = start else { panic!("it has a status line") };
    assert_eq!((status.code.into_u16(), headers.iter().count()), read);
    bencher.bench(parse);
}

#[divan::bench(args = NAMES)]
fn d_rsip(bencher: Bencher, name: &str) {
    use rsip::prelude::HasHeaders;
    let (text, read) = answer(name);
    let parse =
        || rsip::Response::try_from(black_box(text.as_bytes())).expect("a message");
    let response = parse();
    let status = response.status_code.code();
    assert_eq!((status, response.headers().iter().count()), read);
    bencher.bench(parse);
}

#[divan::bench(args = NAMES)]
fn e_rsipstack(bencher: Bencher, name: &str) {
    use rsipstack::sip::{HasHeaders, SipMessage};
    let (text, read) = answer(name);
    let parse = || SipMessage::try_from(black_box(text.as_bytes())).expect("a message");
    let SipMessage::Response(response) = parse() else { panic!("it has a status line") };
    let status = response.status_code().code();
    assert_eq!((status, response.headers().iter().count()), read);
    bencher.bench(parse);
}

#[divan::bench(args = NAMES)]
fn f_sip_core(bencher: Bencher, name: &str) {
    use sip_core::SipMessage;
    let (text, (code, _)) = answer(name);
    let parse = || SipMessage::parse(black_box(text)).expect("a message");
    let message = parse();
    assert_eq!(message.status().map(|status| status.0), Some(code));
    assert!(message.call_id().is_some() && message.cseq().is_some());
    bencher.bench(parse);
}
