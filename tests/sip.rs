//! SIP as others wrote it: the torture messages of RFC 4475 and RFC 5118, and laws that hold for any
//! bytes.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sip_signin::SipAddress;
use sip_signin::sip::{
    Answer, Challenge, Contact, Diagnostics, Epid, FramingError, FramingErrorKind as Kind,
    InstanceId, Limits, Message, MessageReader, Register, Tokens, UriTransport,
};

/// What a file of a corpus gives when it arrives on a stream: the CSeq number of each message that
/// is read, if it has a valid one, and what is refused then.
type Row = (&'static str, &'static [Option<u32>], Option<Kind>);

/// RFC 4475. What only a server or a later reader of a value must judge (URIs, dates, media types,
/// Via, the method of CSeq) is read; the comment says so.
const RFC_4475: [Row; 49] = [
    // 3.1.1 Valid messages: they are read.
    ("wsinv", &[Some(9)], None),
    // Its display name holds an escaped NUL, which quoted-pair allows.
    ("intmeth", &[Some(139_122_385)], None),
    ("esc01", &[Some(234_234)], None),
    ("escnull", &[Some(14_398_234)], None),
    ("esc02", &[Some(29_344)], None),
    ("lwsdisp", &[Some(60)], None),
    ("longreq", &[Some(3_882_340)], None),
    // 3.1.1.8: octets behind the REGISTER are ignored in a datagram. On a stream they are the next
    // message, whose body is longer than its Content-Length says.
    ("dblreq", &[Some(8), Some(8)], Some(Kind::StartLine)),
    ("semiuri", &[Some(8)], None),
    ("transports", &[Some(60)], None),
    ("mpart01", &[Some(1)], None),
    ("unreason", &[Some(35)], None),
    ("noreason", &[Some(35)], None),
    // 3.1.2.1 Extraneous separators, in Via and Contact: for whoever reads them.
    ("badinv01", &[Some(8)], None),
    // 3.1.2.2 Content-Length larger than the message: on a stream the rest is waited for.
    ("clerr", &[], None),
    // 3.1.2.3 Negative Content-Length: an error, and on a stream its end.
    ("ncl", &[], Some(Kind::ContentLength)),
    // 3.1.2.4 and 3.1.2.5 Overlarge numbers: CSeq is below 2^31 (RFC 3261 section 8.1.1.5). Such a
    // response is to be discarded; without a CSeq it answers nothing.
    ("scalar02", &[None], None),
    ("scalarlg", &[None], None),
    // 3.1.2.6 Unterminated quoted string, in To: for a server.
    ("quotbal", &[Some(8)], None),
    // 3.1.2.7 Request-URI in <>: "MUST NOT be enclosed" (RFC 3261 section 7.1).
    ("ltgtruri", &[], Some(Kind::StartLine)),
    // 3.1.2.8 to 3.1.2.10 Spaces in and around the parts of the Request-Line.
    ("lwsruri", &[], Some(Kind::StartLine)),
    ("lwsstart", &[], Some(Kind::StartLine)),
    ("trws", &[], Some(Kind::StartLine)),
    // 3.1.2.11 Escaped headers in the Request-URI: for a server.
    ("escruri", &[Some(149_209_342)], None),
    // 3.1.2.12 Invalid time zone in Date: for whoever reads it.
    ("baddate", &[Some(1_392_934)], None),
    // 3.1.2.13 to 3.1.2.15 Broken addresses, in Contact and To: for a server.
    ("regbadct", &[Some(1)], None),
    ("badaspec", &[Some(3_923_239)], None),
    ("baddn", &[Some(3_923_239)], None),
    // 3.1.2.16 Unknown version.
    ("badvers", &[], Some(Kind::Version)),
    // 3.1.2.17 and 3.1.2.18 Methods of start line and CSeq differ: for a server.
    ("mismatch01", &[Some(8)], None),
    ("mismatch02", &[Some(8)], None),
    // 3.1.2.19 Overlarge response code.
    ("bigcode", &[], Some(Kind::Status)),
    // 3.2 and 3.3 Transaction and application layer: nothing is wrong with the messages.
    ("badbranch", &[Some(8)], None),
    ("insuf", &[Some(193_942)], None),
    ("unkscm", &[Some(3_923_423)], None),
    ("novelsc", &[Some(3_923_423)], None),
    ("unksm2", &[Some(234_902)], None),
    ("bext01", &[Some(8)], None),
    ("invut", &[Some(235_448)], None),
    ("regaut01", &[Some(9338)], None),
    // 3.3.8 Two values where one is required: neither CSeq is the message's.
    ("multi01", &[None], None),
    // 3.3.9 Two Content-Lengths: nobody can know where the message ends.
    ("mcl01", &[], Some(Kind::ContentLengths)),
    ("bcast", &[Some(35)], None),
    ("zeromf", &[Some(39_234_321)], None),
    ("cparam01", &[Some(2)], None),
    ("cparam02", &[Some(3)], None),
    ("regescrt", &[Some(14_398_234)], None),
    ("sdp01", &[Some(8)], None),
    // 3.4.1 RFC 2543: no Content-Length, which on a stream "MUST be used" (RFC 3261 section 20.14).
    ("inv2543", &[], Some(Kind::NoContentLength)),
];

/// RFC 5118: IPv6 in places that are for a server to judge. Three of the files have a body of
/// another length than Content-Length says (236 of 245, 268 of 251, 181 of 189 bytes).
const RFC_5118: [Row; 12] = [
    ("ipv6-good", &[Some(98_176)], None),
    ("ipv6-bad", &[Some(98_176)], None),
    ("port-ambiguous", &[Some(98_176)], None),
    ("port-unambiguous", &[Some(98_176)], None),
    ("via-received-param-with-delim", &[Some(321)], None),
    ("via-received-param-no-delim", &[Some(921)], None),
    ("ipv6-in-sdp", &[], None),
    ("mult-ip-in-header", &[Some(89_187)], None),
    ("mult-ip-in-sdp", &[Some(8912)], Some(Kind::StartLine)),
    ("ipv4-mapped-ipv6", &[Some(612)], Some(Kind::StartLine)),
    ("ipv6-bug-abnf-3-colons", &[Some(689)], None),
    ("ipv6-correct-abnf-2-colons", &[Some(689)], None),
];

#[test]
fn the_torture_messages_are_read_as_their_rfcs_say() {
    let Some(root) = std::env::var_os("SIGNIN_CORPORA").map(PathBuf::from) else {
        println!("skipped: no corpora");
        return;
    };
    for (folder, table) in [("rfc4475", &RFC_4475[..]), ("rfc5118", &RFC_5118[..])] {
        let folder = root.join("sip").join(folder);
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        let manifest: Vec<serde_json::Value> = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest.len(), table.len());
        for entry in manifest {
            let file = entry["file"].as_str().unwrap();
            let bytes = fs::read(folder.join(file)).unwrap();
            let (_, cseqs, refused) = table
                .iter()
                .find(|(name, ..)| file.strip_suffix(".dat") == Some(name))
                .unwrap_or_else(|| panic!("{file} is not in the table"));
            let whole = read(&bytes, &[]);
            let cuts: Vec<_> = (0..bytes.len()).collect();
            assert_eq!(read(&bytes, &cuts), whole, "{file}");
            let (messages, error) = whole;
            let number = |message: &Message| message.headers().cseq().map(|cseq| cseq.number);
            assert_eq!(messages.iter().map(number).collect::<Vec<_>>(), *cseqs, "{file}");
            assert_eq!(error.map(|error| error.kind), *refused, "{file}");
            agrees_with_sipx(&bytes);
        }
    }
}

/// What comes of `bytes` when they arrive cut at `cuts`, looked at by everything there is.
fn read(bytes: &[u8], cuts: &[usize]) -> (Vec<Message>, Option<FramingError>) {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(bytes.len())).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut reader = MessageReader::default();
    let mut messages = Vec::new();
    let mut from = 0;
    for to in cuts {
        let mut input = &bytes[from..to];
        from = to;
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.read(&mut input), Err(error.clone()));
                    return (messages, Some(error));
                }
            }
            assert!(reader.held() <= Limits::MESSAGE);
        }
    }
    (messages, None)
}

/// Another implementation reads what this one reads, unless it dislikes a Request-URI, which this
/// one does not judge. What it reads beyond is not looked at: it is more lenient.
#[track_caller]
fn agrees_with_sipx(bytes: &[u8]) {
    let (messages, None) = read(bytes, &[]) else {
        return;
    };
    let mut parser = sipx_sip::StreamParser::new(sipx_sip::Limits::stream());
    let others = match parser.push(bytes) {
        Err(sipx_sip::error::ParseError::StartLine(_)) => return,
        others => others.expect("the other one reads it too"),
    };
    assert_eq!(messages.len(), others.len());
    for (message, other) in messages.iter().zip(&others) {
        let body = match (message, other) {
            (Message::Request(request), sipx_sip::Message::Request(other)) => {
                assert_eq!(request.method().as_bytes(), other.method.as_bytes());
                other.body()
            }
            (Message::Response(response), sipx_sip::Message::Response(other)) => {
                assert_eq!(response.status(), other.status.code());
                other.body()
            }
            different => panic!("{different:?}"),
        };
        assert_eq!(message.headers().body(), body);
        assert_eq!(message.headers().iter().len(), other.headers().len());
        for (header, other) in message.headers().iter().zip(other.headers().iter()) {
            let name = sipx_sip::HeaderName::parse(&header.name().to_owned().into());
            assert_eq!(name, *other.name());
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let value = other.value();
            let value = std::str::from_utf8(&value).unwrap();
            assert_eq!(words(&header.text()), words(value));
        }
    }
}

/// Header values with all that makes parsers stumble.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("NTLM "),
        Just("realm="),
        Just("version="),
        Just("\""),
        Just("\\"),
        Just(","),
        Just(";"),
        Just("="),
        Just("<sip:"),
        Just(">"),
        Just("@"),
        Just("["),
        Just(":"),
        Just("a.b"),
        Just("1"),
        Just("99999999999"),
        Just(" "),
        Just("\t"),
        Just("\r\n "),
        Just("\u{202e}"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Streams of answers, some of them spoilt.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("WWW-Authenticate"),
        Just("Contact"),
        Just("ms-diagnostics"),
        Just("m "),
        Just("i"),
        Just("CSeq"),
        Just("Retry-After"),
        Just("a b"),
    ];
    let status = prop_oneof![Just("401"), Just("301"), Just("503"), Just("200"), Just("70")];
    let fields = prop::collection::vec((name, value()), 0..5);
    let message =
        (status, fields, 0..20usize, 0..40u8).prop_map(|(status, fields, body, fault)| {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            let end = match fault {
                0 => "l: x",
                1 => "l: 999999999",
                2 => "",
                3 => "\n",
                _ => "v: SIP/2.0/TLS a",
            };
            let fields: String = fields.collect();
            let body_bytes = "\r\n0123456789abcdefghij".get(..body).unwrap();
            format!("SIP/2.0 {status} R\r\n{fields}l: {body}\r\n{end}\r\n\r\n{body_bytes}\r\n")
        });
    prop::collection::vec(message, 1..4).prop_map(|messages| messages.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        bytes in stream(),
        cuts in prop::collection::vec(0..600usize, 0..20),
    ) {
        let whole = read(&bytes, &[]);
        prop_assert_eq!(read(&bytes, &cuts), whole);
    }

    #[test]
    fn another_implementation_reads_the_same(bytes in stream()) {
        agrees_with_sipx(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (messages, _) = read(&bytes, &[3, 5, 200]);
        prop_assert!(messages.is_empty());
    }

    #[test]
    fn any_value_is_understood_or_left_alone(value in value(), status in 100..700u16) {
        let lines = ["WWW-Authenticate", "Contact", "ms-diagnostics", "CSeq", "Retry-After"]
            .map(|name| format!("{name}: {value}\r\n"))
            .concat();
        let bytes = format!("SIP/2.0 {status} R\r\n{lines}l: 0\r\n\r\n");
        let Ok(Message::Response(response)) = Message::parse(bytes.into()) else {
            panic!("each line is sound by itself");
        };
        let headers = response.headers();
        prop_assert!(Contact::of(headers).len() <= Contact::LIMIT);
        let readable = Challenge::of(headers, "WWW-Authenticate").flatten().count();
        let answer = Answer::to_first_register(&response);
        let challenged = matches!(answer, Answer::Challenged { .. });
        prop_assert_eq!(challenged, status == 401 && readable > 0);
        if let Answer::Refused(refusal) = answer {
            prop_assert_eq!(refusal.diagnostics, Diagnostics::of(headers));
            prop_assert_eq!(refusal.status, status);
        }
    }

    #[test]
    fn a_written_register_reads_back_field_by_field(
        user in "[a-z0-9]([a-z0-9.;?&=+$,/!~*'()_-]|%[4-6][0-9A-F]){0,20}",
        tokens in prop::array::uniform4("[a-zA-Z0-9.!%*_+`'~-]{1,40}"),
        epid in "[0-9a-f]{1,16}",
        user_agent in "[!-~][ -~]{0,60}",
        local in any::<std::net::IpAddr>(),
        port in any::<u16>(),
        count in 0..5u32,
    ) {
        let address: SipAddress = format!("sip:{user}@contoso.com").parse().unwrap();
        let [call_id, from_tag, branch, contact] = tokens;
        let register = Register::new(
            &address,
            (local, port).into(),
            UriTransport::Tls,
            Tokens {
                call_id: call_id.clone(),
                from_tag: from_tag.clone(),
                branch: branch.clone(),
                contact: contact.clone(),
            },
            epid.parse().unwrap(),
            &user_agent,
        );
        let register = (0..count).fold(register.unwrap(), |register, _| register.next());
        let Ok(Message::Request(request)) = Message::parse(register.write()) else {
            panic!("{register:?}");
        };
        prop_assert_eq!((request.method(), request.uri()), ("REGISTER", "sip:contoso.com"));
        let cseq = count + 1;
        let local = match local {
            std::net::IpAddr::V4(ip) => format!("{ip}:{port}"),
            std::net::IpAddr::V6(ip) => format!("[{ip}]:{port}"),
        };
        let instance = InstanceId::of(&epid.parse::<Epid>().unwrap());
        let expected = [
            ("Via", format!("SIP/2.0/TLS {local};branch=z9hG4bK{branch}.{cseq}")),
            ("Max-Forwards", "70".into()),
            ("From", format!("<sip:{user}@contoso.com>;tag={from_tag};epid={epid}")),
            ("To", format!("<sip:{user}@contoso.com>")),
            ("Call-ID", call_id),
            ("CSeq", format!("{cseq} REGISTER")),
            (
                "Contact",
                format!(
                    "<sip:{local};transport=tls;ms-opaque={contact}>;methods=\"INVITE, MESSAGE, \
                     INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace;\
                     +sip.instance=\"<urn:uuid:{instance}>\""
                ),
            ),
            ("User-Agent", user_agent.trim_end().into()),
            ("Supported", "gruu-10, adhoclist, msrtc-event-categories".into()),
            ("Supported", "ms-forking".into()),
            ("ms-keep-alive", "UAC;hop-hop=yes".into()),
            ("Event", "registration".into()),
            ("Content-Length", "0".into()),
        ];
        let fields: Vec<_> = request.headers().iter().map(|h| (h.name(), h.raw().into())).collect();
        prop_assert_eq!(fields, expected);
    }

    #[test]
    fn no_text_of_a_caller_adds_a_header(
        texts in prop::array::uniform5("([a-z]|\r\n|\n|\r|\0|Evil: 1| |\"|>|;){1,6}"),
    ) {
        let [call_id, from_tag, branch, contact, user_agent] = texts;
        let register = Register::new(
            &"sip:jeremy@contoso.com".parse().unwrap(),
            "192.0.2.7:49152".parse().unwrap(),
            UriTransport::Tls,
            Tokens { call_id, from_tag, branch, contact },
            "8248ca9ebb".parse().unwrap(),
            &user_agent,
        );
        if let Ok(register) = register {
            let message = Message::parse(register.write()).unwrap();
            prop_assert_eq!(message.headers().iter().len(), 13);
            prop_assert_eq!(message.headers().get("Evil"), None);
        }
    }
}

/// One hostile megabyte in single bytes is read in linear time: quadratic would take minutes.
#[test]
fn a_message_in_single_bytes_takes_linear_time() {
    let fold = " x\r\n".repeat(8000);
    let body = "b".repeat(Limits::BODY);
    let message = format!("SIP/2.0 200 OK\r\na: x\r\n{fold}l: {}\r\n\r\n{body}", body.len());
    let stream = message.repeat(10);
    let mut reader = MessageReader::default();
    let mut count = 0;
    for mut byte in stream.as_bytes().chunks(1) {
        count += usize::from(reader.read(&mut byte).unwrap().is_some());
    }
    assert_eq!(count, 10);
}
