//! How much memory one hostile server can make a client hold. A test of its own, with an allocator
//! that counts, and nothing beside it: one thread, one sign-in at a time.
#![cfg(all(feature = "digest", feature = "ntlm"))]

#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/sevens.rs"]
mod sevens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use hostile::{Flood, Hostile};
use peak_alloc::PeakAlloc;
use sevens::Sevens;
use sip_signin::auth::Credentials;
use sip_signin::discovery::SrvRecord;
use sip_signin::sip::{Challenge, Limits};
use sip_signin::{Client, FixedCredentials, SipAddress};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What `docs/threats.md` promises of one server.
const SERVER: usize = 256 * 1024;

/// What it promises of a whole search whose every DNS answer is hostile, with all it tells; the
/// answers themselves, as long as they are unread, are the resolver's.
const SEARCH: usize = 1024 * 1024;

type DnsFlood = (&'static str, Vec<Vec<SrvRecord>>, Vec<IpAddr>);

/// Answers as long as a DNS message can be, to every question; every server hangs up.
fn dns_floods() -> Vec<DnsFlood> {
    let records = |target: &dyn Fn(u16) -> String| -> Vec<SrvRecord> {
        (1..3000).map(|n| SrvRecord::new(n, 0, n, &target(n))).collect()
    };
    let long = |n: u16| format!("{n:x>60}.contoso.com");
    let deep = |n: u16| format!("{n}.{}.contoso.com", "x".repeat(60));
    let broken = |n: u16| format!("{n} {}", "\u{7f}".repeat(200));
    let addresses = (0..40_u32).map(|n| IpAddr::from((n + 0x0a00_0000).to_be_bytes())).collect();
    vec![
        ("many servers", vec![records(&long); 2], vec![[192, 0, 2, 1].into()]),
        ("many servers with many addresses", vec![records(&long); 2], addresses),
        ("many refused servers", vec![records(&deep); 2], Vec::new()),
        ("many targets that are no hosts", vec![records(&broken); 2], Vec::new()),
    ]
}

/// The most bytes that a whole sign-in held at once, and how it ended.
fn peak(hostile: &Hostile) -> (usize, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let address: SipAddress = "sip:jeremy@contoso.com".parse().unwrap();
    let source = FixedCredentials::new(Credentials::new("jeremy".parse().unwrap(), "x"));
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let client = Client::builder(hostile.clone(), hostile.clone())
        .random(Sevens)
        .epid("01".parse().unwrap())
        .build();
    let end = runtime.block_on(client.sign_in(&address, &source));
    let most = HEAP.peak_usage() - before;
    (most, end.map_or_else(|failure| failure.kind().to_string(), |_| "signed in".into()))
}

/// An answer to the request of this number, its lines and its body.
fn answer(status: &str, number: usize, lines: &str, body: &str) -> String {
    format!(
        "SIP/2.0 {status}\r\nFrom: <sip:jeremy@contoso.com>;tag=0707070707;epid=01\r\n\
         To: <sip:jeremy@contoso.com>;tag=t\r\nCall-ID: 07070707070707070707070707070707\r\n\
         CSeq: {number} REGISTER\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Header lines with this name that are as many and as long as they may be.
fn full(name: &str, value: &str, join: &str) -> String {
    let room = Limits::HEADER_BYTES - 600;
    let mut lines = String::new();
    while lines.len() < room {
        let wanted = (room - lines.len()).min(Limits::LINE - 200);
        let mut line = value.to_owned();
        while line.len() + join.len() + value.len() < wanted {
            line.push_str(join);
            line.push_str(value);
        }
        lines += &format!("{name}: {line}\r\n");
    }
    lines
}

const NTLM: &str = "WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4";

fn floods() -> Vec<(&'static str, Flood, &'static str)> {
    let head = "SIP/2.0 401 Unauthorized\r\n";
    let long = "x".repeat(4096);
    let largest = |status: &str, number| {
        let filler = full("X", &"y".repeat(200), "z");
        answer(status, number, &filler, &"b".repeat(Limits::BODY))
    };
    let headers = |name: &str, value: &str, join: &str, status: &str| {
        Flood::new(answer(status, 1, &full(name, value, join), ""), "")
    };
    // The target information is as long as a line has room for.
    let mut token = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x38\0\0\0".to_vec();
    token.extend(0xe298_82f3_u32.to_le_bytes());
    token.extend([7; 16]);
    let size = 5600_u16;
    token.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
    token.extend(56_u32.to_le_bytes());
    token.extend([6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
    token.extend([2_u16.to_le_bytes(), (size - 8).to_le_bytes()].concat());
    token.extend(vec![b'A'; usize::from(size) - 8]);
    token.extend([0; 4]);
    let token = data_encoding::BASE64.encode(&token);
    let ntlm = answer("401 No", 1, &format!("{NTLM}\r\n"), "")
        + &answer("401 No", 2, &format!("{NTLM}, opaque=\"o\", gssapi-data=\"{token}\"\r\n"), "");
    let stale = |at: usize| {
        let nonce = "n".repeat(7000) + &at.to_string();
        let line = format!(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\", \
             algorithm=SHA-256, stale=true\r\n"
        );
        answer("401 No", at, &line, "")
    };
    let stale: String = (1..12).map(stale).collect();
    // One value of as many challenges as are read, each of which is not there as it was meant.
    let escaped = vec![format!("A b=\"\\c{}\"", "d".repeat(1900)); Challenge::LIMIT].join(",\r\n ");
    let escaped = answer("401 No", 1, &format!("WWW-Authenticate: {escaped}\r\n"), "");
    vec![
        ("header lines without an end", Flood::new(head, "X-Filler: and so on\r\n"), "headers"),
        ("short header lines without an end", Flood::new(head, "a:b\r\n"), "headers"),
        ("a line without an end", Flood::new(head, &long), "line"),
        ("a start line without an end", Flood::new("SIP/2.0 401 ", &long), "line"),
        ("a continuation without an end", Flood::new(head, format!(" {long}\r\n")), "header"),
        ("line ends without an end", Flood::new("", "\r\n"), "keep-alives"),
        (
            "a Content-Length of 999,999,999",
            Flood::new(format!("{head}Content-Length: 999999999\r\n\r\n"), &long),
            "body",
        ),
        ("the largest message, foreign, again and again", Flood::new("", largest("403 No", 9)), ""),
        ("the largest message, provisional", Flood::new("", largest("100 Trying", 1)), ""),
        ("the largest refusal", Flood::new(largest("403 No", 1), ""), "refused"),
        ("provisional answers without an end", Flood::new("", answer("100 T", 1, "", "")), ""),
        ("many NTLM challenges", headers("WWW-Authenticate", NTLM_VALUE, ", ", "401 No"), ""),
        ("long challenges with escapes", Flood::new(escaped, ""), ""),
        ("many tiny challenges", headers("WWW-Authenticate", "A b=c", ", ", "401 No"), ""),
        ("many parameters", headers("WWW-Authenticate", "a=b", ",", "401 No"), ""),
        ("many bare schemes", headers("WWW-Authenticate", "A", ",", "401 No"), ""),
        ("a long NTLM token", Flood::new(ntlm, ""), ""),
        ("long stale nonces", Flood::new(stale, ""), ""),
        ("many contacts", headers("Contact", "<sip:a>", ",", "301 Moved"), "redirect"),
        (
            "many good contacts",
            headers("Contact", "<sip:a.contoso.com>;q=0.5", ",", "301 Moved"),
            "",
        ),
        ("many diagnostics", headers("ms-diagnostics", "1;a=\"b\"", ";", "403 No"), "refused"),
        ("many bindings", headers("Contact", "<sip:a>", ",", "200 OK"), ""),
        ("bytes that are no SIP", Flood::new("", "\u{0}\u{7f}"), "garbage"),
    ]
}

const NTLM_VALUE: &str = "NTLM realm=\"r\", targetname=\"t\", version=4";

#[test]
fn a_hostile_server_or_resolver_makes_a_client_hold_no_more_than_is_promised() {
    let mut most = 0;
    for (name, flood, word) in floods() {
        for piece in [65536, 1] {
            let hostile = Hostile::sending(Flood { piece, ..flood.clone() });
            let (held, end) = peak(&hostile);
            println!("{:>4} KiB  {name}, {piece} at a time: {end}", held.div_ceil(1024));
            assert!(held < SERVER, "{name}: {held} bytes");
            assert!(end.contains(word), "{name}: {end}");
            assert_ne!(end, "signed in", "{name}");
            most = most.max(held);
        }
    }
    println!("{most} bytes at the most");
    for (name, records, addresses) in dns_floods() {
        let hostile = Hostile {
            records: Arc::new(Mutex::new(records)),
            addresses: Arc::new(addresses),
            ..Hostile::sending(Flood::new("", ""))
        };
        let (held, end) = peak(&hostile);
        println!("{:>4} KiB  {name}: {end}", held.div_ceil(1024));
        assert!(held < SEARCH, "{name}: {held} bytes");
    }
}
