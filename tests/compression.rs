//! The codec, its packets, and the question whether to compress.

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs};

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sip_signin::compression::{
    Compressor, Corrupt, Decompressor, FlagsError, Form, HeaderLayout, Level, NoRoom, PacketError,
    PacketHeader, PacketReader, PacketWriter, SixBytes,
};

const FRONT: Form = Form::Compressed { at_front: true };
const BEHIND: Form = Form::Compressed { at_front: false };
const LEVELS: [Level; 2] = [Level::Fast, Level::Best];

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// What one packet says after `before`, which came in a packet of its own.
fn after(before: &[u8], packet: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut decompressor = Decompressor::new();
    let literals: Vec<u8> = before.iter().map(|byte| byte & 0x7f).collect();
    decompressor.decompress(FRONT, &literals, 8192)?;
    decompressor.decompress(BEHIND, packet, 8192).map(<[u8]>::to_vec)
}

/// The boundaries of every code, each as one reference behind eight kilobytes of known data: offset,
/// length, code. From RFC 2118 section 4.
#[test]
fn each_code_at_its_boundaries_is_read() {
    let numbers: Vec<u8> = (0..4095_u32).map(|n| (n * 37 + n / 128) as u8 & 0x7f).collect();
    for (offset, length, code) in [
        (3, 15, "f0f7"),
        (128, 120, "e40fb8"),
        (1024, 3, "c2c000"),
        (63, 3, "ffc0"),
        (64, 3, "e000"),
        (319, 3, "eff0"),
        (320, 3, "c00000"),
        (1, 4, "f060"),
        (1, 7, "f06c"),
        (1, 8, "f070"),
        (1, 4095, "f07ff7ff"),
        (1, 4096, "f07ff80000"),
        (1, 4097, "f07ff80040"),
    ] {
        let mut expected = numbers.clone();
        (0..length).for_each(|_| expected.push(expected[expected.len() - offset]));
        assert_eq!(after(&numbers, &hex(code)).unwrap(), expected[numbers.len()..], "{code}");
    }
    let mut decompressor = Decompressor::new();
    assert_eq!(decompressor.decompress(FRONT, b"x", 8192).unwrap(), b"x");
    let longest = hex("f07ffbffc0");
    assert_eq!(decompressor.decompress(BEHIND, &longest, 8192).unwrap(), [b'x'; 8191]);
    // The whole history back, from the front of the next lap.
    let mut decompressor = Decompressor::new();
    let lap: Vec<u8> = (0..8192_u32).map(|n| (n % 113) as u8).collect();
    decompressor.decompress(FRONT, &lap, 8192).unwrap();
    assert_eq!(decompressor.decompress(FRONT, &hex("debf00"), 8192).unwrap(), [1, 2, 3]);
}

#[test]
fn the_examples_of_rfc_2118_are_read() {
    let mut decompressor = Decompressor::new();
    assert_eq!(decompressor.decompress(FRONT, &hex("56"), 8192).unwrap(), [0x56]);
    assert_eq!(decompressor.decompress(BEHIND, &hex("b380"), 8192).unwrap(), [0xe7]);
    for (packet, plain) in [
        (
            "666f722077686f6d207468652062656c6c20746f6c6c732cf43720fa23d3329700",
            "for whom the bell tolls, the bell tolls for thee.",
        ),
        (
            "666f722e77686f6d2e7468652e62656c6c2e746f6c6c732cf4372e66fa1f199484",
            "for.whom.the.bell.tolls,.the.bell.tolls.for.thee!",
        ),
    ] {
        let mut decompressor = Decompressor::new();
        let packet = hex(packet);
        assert_eq!(decompressor.decompress(FRONT, &packet, 8192).unwrap(), plain.as_bytes());
    }
}

#[test]
fn the_published_vectors_are_read() {
    let Some(root) = env::var_os("SIGNIN_CORPORA").map(PathBuf::from) else {
        println!("skipped: no corpora");
        return;
    };
    let vectors = fs::read(root.join("mppc/vectors.json")).unwrap();
    let vectors: Vec<serde_json::Value> = serde_json::from_slice(&vectors).unwrap();
    let mut read = 0;
    for vector in vectors {
        let text = |name| vector[name].as_str().unwrap();
        // The others have a history of 64 KB and longer codes.
        if !text("variant").starts_with("8K") {
            continue;
        }
        let mut decompressor = Decompressor::new();
        let packet = hex(text("compressed"));
        let plain = decompressor.decompress(FRONT, &packet, 8192).unwrap();
        assert_eq!(plain, hex(text("plain")), "{}", text("id"));
        read += 1;
    }
    assert!(read > 0);
}

/// Tokens that cannot be, each behind `abc`.
#[test]
fn what_cannot_be_is_refused_and_ends_the_stream() {
    for (packet, error) in [
        ("f000", Corrupt::Before),       // offset 0
        ("f100", Corrupt::Before),       // offset 4
        ("dec000", Corrupt::Before),     // offset 8192
        ("dfff00", Corrupt::Before),     // offset 8511
        ("f07ffc0000", Corrupt::Length), // twelve ones
        ("f0", Corrupt::Cut),
        ("80", Corrupt::Cut),
        ("c00000f0", Corrupt::Before),
        ("b381", Corrupt::Padding),
        ("f07ffbffc0f07ffbffc0", Corrupt::TooLong), // two times the history
    ] {
        let mut decompressor = Decompressor::new();
        decompressor.decompress(FRONT, b"abc", 8192).unwrap();
        assert_eq!(decompressor.decompress(BEHIND, &hex(packet), 8192), Err(error), "{packet}");
        assert_eq!(decompressor.decompress(FRONT, b"abc", 8192), Err(error), "afterwards");
        assert_eq!(decompressor.decompress(Form::Flushed, b"abc", 8192), Err(error));
    }
}

#[test]
fn no_packet_yields_more_than_the_caller_takes() {
    for (form, packet, size) in [
        (FRONT, &b"0123456789"[..], 10),
        (FRONT, &hex("78f070"), 9),
        (FRONT, &hex("b380b380"), 2),
        (Form::Plain, b"0123456789", 10),
        (Form::Flushed, b"0123456789", 10),
    ] {
        let read = |limit| Decompressor::new().decompress(form, packet, limit).map(<[u8]>::len);
        assert_eq!(read(size - 1), Err(Corrupt::TooLong), "{packet:?}");
        if form != FRONT || packet[0] != 0xb3 {
            assert_eq!(read(size), Ok(size), "{packet:?}");
        }
    }
    let packet = [0; 8193];
    for form in [FRONT, Form::Plain, Form::Flushed] {
        let read =
            |packet| Decompressor::new().decompress(form, packet, usize::MAX).map(<[u8]>::len);
        assert_eq!(read(&packet[..8192]), Ok(8192));
        assert_eq!(read(&packet), Err(Corrupt::TooLong));
    }
}

/// A flushed packet forgets what came before, and a plain one does not count.
#[test]
fn each_form_does_to_the_history_what_its_flags_say() {
    let abc_again = hex("f0c0"); // offset 3, length 3
    let mut decompressor = Decompressor::new();
    decompressor.decompress(FRONT, b"abc", 8192).unwrap();
    assert_eq!(decompressor.decompress(Form::Plain, b"xyz", 8192).unwrap(), b"xyz");
    assert_eq!(decompressor.decompress(BEHIND, &abc_again, 8192).unwrap(), b"abc");
    assert_eq!(decompressor.decompress(FRONT, b"d", 8192).unwrap(), b"d");
    // At the front again: three bytes back is now in the last lap, at the end of the ring.
    assert_eq!(decompressor.decompress(BEHIND, &abc_again, 8192).unwrap(), [0, 0, b'd']);
    assert_eq!(decompressor.decompress(Form::Flushed, b"xyz", 8192).unwrap(), b"xyz");
    assert_eq!(decompressor.decompress(BEHIND, &abc_again, 8192), Err(Corrupt::Before));
}

/// The 100 messages of the bench, and what each level makes of them.
#[test]
fn messages_of_a_session_shrink_to_what_was_measured() {
    let session = session();
    let size: usize = session.iter().map(Vec::len).sum();
    for (level, most) in LEVELS.into_iter().zip([0.40, 0.30]) {
        let mut compressor = Compressor::new(level);
        let packets = round_trip(&mut compressor, &session);
        let length: usize = packets.iter().map(|(_, packet)| packet.len()).sum();
        assert!((length as f64) < size as f64 * most, "{level:?}: {length} of {size}");
    }
}

/// The sign-in and the messages after it, again and again with other tokens.
fn session() -> Vec<Vec<u8>> {
    let mut state = 20_081_u64;
    let mut token = |length: usize| -> String {
        let mut digit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from_digit((state >> 33) as u32 % 16, 16).unwrap()
        };
        (0..length).map(|_| digit()).collect()
    };
    let mut messages = Vec::new();
    for round in 0..20 {
        let (call, tag) = (token(32), token(10));
        let dialog = format!(
            "From: <sip:jeremy@contoso.com>;tag={tag};epid=8248ca9ebb\r\n\
             To: <sip:jeremy@contoso.com>\r\nCall-ID: {call}\r\nCSeq: {round} REGISTER\r\n"
        );
        for text in [
            format!(
                "REGISTER sip:contoso.com SIP/2.0\r\n\
                 Via: SIP/2.0/TLS 192.0.2.7:49152;branch=z9hG4bK{}\r\nMax-Forwards: 70\r\n{dialog}\
                 Contact: <sip:192.0.2.7:49152;transport=tls;ms-opaque={}>;methods=\"INVITE, \
                 MESSAGE, INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace\r\n\
                 Event: registration\r\nContent-Length: 0\r\n\r\n",
                token(16),
                token(10)
            ),
            format!(
                "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM \
                 realm=\"SIP Communications Service\", targetname=\"pool01.contoso.com\", version=3\r\n\
                 {dialog}Content-Length: 0\r\n\r\n"
            ),
            format!(
                "SIP/2.0 200 OK\r\nAuthentication-Info: NTLM rspauth=\"{}\", srand=\"{}\", \
                 snum=\"1\", opaque=\"{}\", qop=\"auth\", targetname=\"pool01.contoso.com\", \
                 realm=\"SIP Communications Service\"\r\n{dialog}Expires: 7200\r\n\
                 Content-Length: 0\r\n\r\n",
                token(32),
                token(8),
                token(8)
            ),
        ] {
            messages.push(text.into_bytes());
        }
    }
    messages
}

/// Compresses each of `all`, decompresses it, and checks what is promised of every packet.
fn round_trip(compressor: &mut Compressor, all: &[Vec<u8>]) -> Vec<(Form, Vec<u8>)> {
    let mut decompressor = Decompressor::new();
    let mut packets = Vec::new();
    for data in all {
        let mut out = vec![0xaa; data.len() + Compressor::ROOM];
        let (form, length) = compressor.compress(data, &mut out).unwrap();
        assert!(length <= data.len(), "no packet is longer than its data");
        out.truncate(length);
        assert_eq!(decompressor.decompress(form, &out, data.len()).unwrap(), data);
        packets.push((form, out));
    }
    packets
}

#[test]
fn the_first_packet_and_one_that_does_not_fit_go_to_the_front() {
    let mut compressor = Compressor::new(Level::Fast);
    let data = |size| vec![vec![b'a'; size]];
    let form = |compressor: &mut Compressor, size| {
        let mut out = vec![0; size + Compressor::ROOM];
        compressor.compress(&data(size)[0], &mut out).unwrap().0
    };
    assert_eq!(form(&mut compressor, 100), FRONT);
    assert_eq!(form(&mut compressor, 8088), BEHIND);
    assert_eq!(form(&mut compressor, 1), FRONT);
    assert_eq!(form(&mut compressor, 8187), BEHIND);
    assert_eq!(form(&mut compressor, 8188), FRONT);
    // What does not shrink is sent as it is, and both sides begin anew.
    let noise: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(n) ^ n.rotate_left(3) | 0x80).collect();
    let mut out = vec![0; 300];
    assert_eq!(compressor.compress(&noise, &mut out), Ok((Form::Flushed, 200)));
    assert_eq!(out[..200], noise);
    assert_eq!(form(&mut compressor, 1), FRONT);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_done() {
    let mut compressor = Compressor::new(Level::Best);
    let mut out = vec![0; 9000];
    assert_eq!(compressor.compress(&[b'a'; 8189], &mut out), Err(NoRoom));
    assert_eq!(compressor.compress(b"abc", &mut out[..10]), Err(NoRoom));
    assert_eq!(compressor.compress(b"abc", &mut out[..11]), Ok((FRONT, 3)));
}

#[test]
fn a_compressor_is_small() {
    let counted =
        allocation_counter::measure(|| std::mem::forget(Box::new(Compressor::new(Level::Best))));
    assert_eq!(counted.bytes_total, Compressor::STATE as u64);
    assert!(counted.bytes_total <= 24 * 1024, "{}", counted.bytes_total);
}

/// After construction nothing is allocated, whatever the packet.
#[test]
fn no_packet_allocates() {
    let (session, mut out) = (session(), vec![0; 9000]);
    let noise: Vec<u8> =
        (0..8188_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for level in LEVELS {
        let (mut compressor, mut decompressor) = (Compressor::new(level), Decompressor::new());
        let counted = allocation_counter::measure(|| {
            for data in session.iter().chain([&noise]) {
                let (form, length) = compressor.compress(data, &mut out).unwrap();
                let data = decompressor.decompress(form, &out[..length], data.len());
                assert!(data.is_ok());
            }
            assert!(decompressor.decompress(BEHIND, &[0xff; 9], 8192).is_err());
        });
        assert_eq!(counted.count_total, 0, "{level:?}");
    }
    let mut writer = PacketWriter::new(Level::Fast, Arc::new(SixBytes));
    let mut reader = PacketReader::new(Arc::new(SixBytes));
    let mut stream = Vec::with_capacity(1 << 20);
    let counted = allocation_counter::measure(|| {
        for data in session.iter().chain([&noise]) {
            writer.write(data, &mut stream).unwrap();
        }
        let mut input = &stream[..];
        while reader.read(&mut input).unwrap().is_some() {}
    });
    assert_eq!(counted.count_total, 0);
    let counted = allocation_counter::measure(|| drop(vec![0_u8; 100]));
    assert_eq!(counted.count_total, 1, "allocations are counted at all");
}

/// All that comes out of `stream` when it arrives in pieces of `size`.
fn read(stream: &[u8], size: usize) -> (Vec<u8>, Option<PacketError>) {
    let mut reader = PacketReader::new(Arc::new(SixBytes));
    let mut all = Vec::new();
    for mut input in stream.chunks(size.max(1)) {
        loop {
            match reader.read(&mut input) {
                Ok(Some(data)) => all.extend_from_slice(data),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.read(&mut input), Err(error), "it fails for good");
                    return (all, Some(error));
                }
            }
        }
        assert!(input.is_empty());
    }
    (all, None)
}

#[test]
fn a_header_that_says_nonsense_ends_the_stream() {
    for (header, error) in [
        ("0a0000030003", PacketError::Flags(FlagsError::FlushedAndCompressed)),
        ("0e0000030003", PacketError::Flags(FlagsError::FlushedAndCompressed)),
        ("040000030003", PacketError::Flags(FlagsError::AtFrontAlone)),
        ("0c0000030003", PacketError::Flags(FlagsError::AtFrontAlone)),
        ("160000030003", PacketError::Flags(FlagsError::Unknown(0x16))),
        ("060100030003", PacketError::Flags(FlagsError::Unknown(1))),
        ("060000030000", PacketError::Empty),
        ("000000000000", PacketError::Empty),
        ("060000032001", PacketError::TooLong),
        ("060000020003", PacketError::Corrupt(Corrupt::TooLong)),
        ("060000040003", PacketError::Length),
        ("080000020003", PacketError::Corrupt(Corrupt::TooLong)),
        ("000000040003", PacketError::Length),
    ] {
        let stream = [&hex(header)[..], b"abcabc"].concat();
        for size in [1, 5, 100] {
            assert_eq!(read(&stream, size), (Vec::new(), Some(error)), "{header}");
        }
    }
    assert_eq!(read(&hex("080000000000060000030003616263"), 3).1, None, "an empty flush is sound");
}

/// A layout may be anything of a bounded size.
/// The history, what is held of a packet, and the table over both would show it in letters or numbers.
#[test]
fn what_is_shown_of_a_stream_has_none_of_its_data() {
    let mut writer = PacketWriter::new(Level::Fast, Arc::new(SixBytes));
    let mut reader = PacketReader::new(Arc::new(SixBytes));
    let mut stream = Vec::new();
    writer.write(b"secret", &mut stream).unwrap();
    reader.read(&mut &stream[..]).unwrap();
    reader.read(&mut &stream[..stream.len() - 1]).unwrap();
    for shown in [format!("{writer:?}"), format!("{reader:?}")] {
        assert!(shown.contains("SixBytes") && shown.len() < 250, "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
    }
}

#[test]
fn a_layout_that_is_too_long_is_refused() {
    #[derive(Debug)]
    struct Layout(usize);
    impl HeaderLayout for Layout {
        fn size(&self) -> usize {
            self.0
        }
        fn write(&self, header: PacketHeader, bytes: &mut [u8]) {
            bytes[0] = header.form.flags();
            bytes[self.0 - 1] = header.payload as u8;
        }
        fn read(&self, bytes: &[u8]) -> Result<PacketHeader, FlagsError> {
            let payload = bytes[self.0 - 1].into();
            Ok(PacketHeader { form: Form::from_flags(bytes[0])?, payload, data: None })
        }
    }
    for (size, sound) in [(2, true), (32, true), (33, false)] {
        let mut stream = Vec::new();
        let written =
            PacketWriter::new(Level::Fast, Arc::new(Layout(size))).write(b"abc", &mut stream);
        assert_eq!(written.is_ok(), sound);
        let mut reader = PacketReader::new(Arc::new(Layout(size)));
        let read = reader.read(&mut &stream[..]);
        let expected = if sound { Ok(Some(&b"abc"[..])) } else { Err(PacketError::Header) };
        assert_eq!(read, expected);
    }
}

/// Every bit of a compressed stream, flipped: an error, less data, or other data. Only whether a packet
/// goes to the front may not matter, as long as it fits where it goes.
#[test]
fn a_flipped_bit_shows_unless_it_changes_nothing() {
    let mut writer = PacketWriter::new(Level::Best, Arc::new(SixBytes));
    let (mut stream, mut headers, session) = (Vec::new(), Vec::new(), session());
    for data in &session[..4] {
        headers.push(stream.len());
        writer.write(data, &mut stream).unwrap();
    }
    let sent = session[..4].concat();
    assert_eq!(read(&stream, 4096), (sent.clone(), None));
    let (mut errors, mut less, mut others) = (0, 0, 0);
    for bit in 0..stream.len() * 8 {
        let mut damaged = stream.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match read(&damaged, 4096) {
            (data, Some(_)) => {
                errors += 1;
                assert!(data.len() < sent.len());
            }
            (data, None) if data.len() < sent.len() => less += 1,
            (data, None) if data == sent => {
                assert!(headers.contains(&(bit / 8)) && bit % 8 == 2, "bit {bit}");
            }
            _ => others += 1,
        }
    }
    println!("{errors} errors, {less} with less data, {others} with other data");
    assert!(errors > 0 && others > 0);
}

/// Data of many kinds: noise, runs, words of a session, and what repeats just so far back.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "REGISTER sip:contoso.com SIP/2.0\r\n",
        "Via: SIP/2.0/TLS 192.0.2.7:49152;branch=z9hG4bK",
        "Proxy-Authorization: NTLM qop=\"auth\", realm=\"SIP Communications Service\", ",
        "targetname=\"pool01.contoso.com\", ",
        "\r\n",
        "<category name=\"state\" instance=\"1\"/>",
        "\u{e9}\u{4e2d}",
    ];
    let word = (0..words.len()).prop_map(move |n| words[n].as_bytes().to_vec());
    let piece = prop_oneof![
        4 => word,
        2 => prop::collection::vec(prop::num::u8::ANY, 0..20),
        2 => prop::collection::vec(b'0'..=b'f', 8..40),
        1 => (prop::num::u8::ANY, 1..2000_usize).prop_map(|(byte, size)| vec![byte; size]),
        1 => (1..400_usize, 1..3000_usize).prop_map(|(period, size)| {
            (0..size).map(|n| ((n % period) * 7) as u8).collect()
        }),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        env::var("SIGNIN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
    ))]

    #[test]
    fn what_was_written_is_read_in_any_split(
        all in prop::collection::vec(data(), 1..8),
        pieces in prop::collection::vec(1..9000_usize, 1..4),
        best in any::<bool>(),
    ) {
        let level = if best { Level::Best } else { Level::Fast };
        let mut writer = PacketWriter::new(level, Arc::new(SixBytes));
        let mut stream = Vec::new();
        for (n, data) in all.iter().enumerate() {
            for data in data.chunks(pieces[n % pieces.len()]) {
                let before = stream.len();
                writer.write(data, &mut stream).unwrap();
                let packets = data.len().div_ceil(Compressor::PACKET_LIMIT);
                prop_assert!(stream.len() - before <= data.len() + 6 * packets, "the documented cap");
            }
        }
        let size = pieces[0];
        prop_assert_eq!(read(&stream, size), (all.concat(), None));
    }

    /// The best level is never longer than the fast one, packet for packet, as long as neither had to
    /// forget its history.
    #[test]
    fn best_is_best(all in prop::collection::vec(data(), 1..6)) {
        let all: Vec<_> = all.concat().chunks(1500).map(<[u8]>::to_vec).collect();
        let [fast, best] = LEVELS.map(|level| round_trip(&mut Compressor::new(level), &all));
        for ((fast, short), (best, shortest)) in fast.iter().zip(&best) {
            if fast != best {
                break;
            }
            prop_assert!(shortest.len() <= short.len());
        }
    }

    #[test]
    fn whatever_comes_is_refused_or_bounded(
        packets in prop::collection::vec(
            (0..4_u8, prop::collection::vec(prop::num::u8::ANY, 0..200)), 1..8),
        limit in 0..9000_usize,
    ) {
        let mut decompressor = Decompressor::new();
        for (form, payload) in packets {
            let form = [FRONT, BEHIND, Form::Flushed, Form::Plain][usize::from(form)];
            if let Ok(data) = decompressor.decompress(form, &payload, limit) {
                prop_assert!(data.len() <= limit.min(8192));
            }
        }
    }
}

mod negotiation {
    use std::time::{Duration, Instant};

    use sip_signin::WireText;
    use sip_signin::compression::{Declined, Negotiation, Step};
    use sip_signin::sip::Message;

    const WITHIN: Duration = Duration::from_secs(5);

    fn negotiation(within: Duration) -> Negotiation {
        Negotiation::new(
            &"sip:jeremy@contoso.com".parse().unwrap(),
            "192.0.0.2:2616".parse().unwrap(),
            "192.0.0.1:5061".parse().unwrap(),
            "8d8b20f87c9c4221a732f3a70f57e9b8",
            "984721fb59b64e45b469c91aba8a9f8f",
            within,
        )
    }

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "some moment to begin with")]
        Instant::now()
    }

    fn answer(status: &str, lines: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status}\r\n{lines}\
             From: <sip:jeremy@contoso.com>;tag=984721fb59b64e45b469c91aba8a9f8f\r\n\
             To: <sip:jeremy@contoso.com>;tag=D76F601D7239923FBE84D78BF8821C85\r\n\
             Call-ID: 8d8b20f87c9c4221a732f3a70f57e9b8\r\nCSeq: 1 NEGOTIATE\r\n\
             Via: SIP/2.0/TLS 192.0.2.2:2616;ms-received-port=2616\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.into()).unwrap()
    }

    #[test]
    fn no_limit_for_the_answer_is_not_the_shortest() {
        let (mut negotiation, now) = (negotiation(Duration::MAX), now());
        assert!(matches!(negotiation.poll_step(now), Step::Send(_)));
        let day = Duration::from_secs(86_400);
        assert!(matches!(negotiation.poll_step(now), Step::Wait { until } if until > now + day));
    }

    /// The example of [MS-SIPCOMP], with the address where the copies of it have nothing.
    #[test]
    fn the_request_is_that_of_the_example() {
        let now = now();
        let Step::Send(bytes) = negotiation(WITHIN).poll_step(now) else {
            panic!("it is sent first")
        };
        let example = "NEGOTIATE sip:192.0.0.1:5061 SIP/2.0\r\n\
            Via: SIP/2.0/TLS 192.0.0.2:2616\r\n\
            CSeq: 1 NEGOTIATE\r\n\
            Call-ID: 8d8b20f87c9c4221a732f3a70f57e9b8\r\n\
            From: <sip:jeremy@contoso.com>;tag=984721fb59b64e45b469c91aba8a9f8f\r\n\
            To: <sip:jeremy@contoso.com>\r\n\
            Compression: LZ77-8K\r\n\
            Max-Forwards: 0\r\n\
            Content-Length: 0\r\n\r\n";
        assert_eq!(bytes, example);
        assert!(Message::parse(bytes).is_ok());
    }

    /// Ruling A7, row by row.
    #[test]
    fn every_answer_means_one_thing() {
        let yes = "Compression: LZ77-8K\r\n";
        let other = |said: Option<&str>| Step::Plain(Declined::Other(said.map(WireText::new)));
        let table = [
            ("200 OK", yes, Some(Step::Compressed)),
            ("200 OK", "compression:  lz77-8k\r\n", Some(Step::Compressed)),
            ("200 OK", "", Some(other(None))),
            ("200 OK", "Compression: None\r\n", Some(other(Some("None")))),
            ("200 OK", "Compression: LZ77-64K\r\n", Some(other(Some("LZ77-64K")))),
            ("100 Trying", yes, None),
            ("183 Progress", yes, None),
        ];
        for (status, lines, expected) in table {
            let (now, mut machine) = (now(), negotiation(WITHIN));
            let _ = machine.poll_step(now);
            machine.receive(&answer(status, lines));
            let step = machine.poll_step(now);
            assert_eq!(
                step,
                expected.unwrap_or(Step::Wait { until: now + WITHIN }),
                "{status} {lines}"
            );
        }
        // Two fields that disagree say nothing.
        let (now_, mut machine) = (now(), negotiation(WITHIN));
        let _ = machine.poll_step(now_);
        machine.receive(&answer("200 OK", "Compression: LZ77-8K\r\nCompression: None\r\n"));
        assert!(matches!(machine.poll_step(now_), Step::Plain(Declined::Other(_))));
        for status in (201..700).step_by(7).chain([405, 501, 401, 407, 503]) {
            let (now, mut machine) = (now(), negotiation(WITHIN));
            let _ = machine.poll_step(now);
            machine.receive(&answer(&format!("{status} No"), yes));
            let expected = Step::Plain(Declined::Answer(status, "No".into()));
            assert_eq!(machine.poll_step(now), expected);
            assert_eq!(machine.poll_step(now + 2 * WITHIN), expected, "for ever");
        }
    }

    #[test]
    fn silence_goes_on_without_and_a_late_yes_is_known() {
        let (now, mut machine) = (now(), negotiation(WITHIN));
        let _ = machine.poll_step(now);
        let just_before = now + WITHIN - Duration::from_nanos(1);
        assert_eq!(machine.poll_step(just_before), Step::Wait { until: now + WITHIN });
        let yes = answer("200 OK", "Compression: LZ77-8K\r\n");
        assert!(!machine.is_late_yes(&yes), "it is not late yet");
        assert_eq!(machine.poll_step(now + WITHIN), Step::Plain(Declined::Silence));
        machine.receive(&yes);
        assert_eq!(machine.poll_step(now + WITHIN), Step::Plain(Declined::Silence));
        assert!(machine.is_late_yes(&yes));
        assert!(!machine.is_late_yes(&answer("200 OK", "")));
        assert!(!machine.is_late_yes(&answer("405 No", "Compression: LZ77-8K\r\n")));
    }

    #[test]
    fn what_is_not_ours_is_passed_over_up_to_a_limit() {
        let (now, mut machine) = (now(), negotiation(WITHIN));
        let _ = machine.poll_step(now);
        let foreign = "SIP/2.0 200 OK\r\nCompression: LZ77-8K\r\nCall-ID: other\r\n\
                       CSeq: 1 NEGOTIATE\r\nContent-Length: 0\r\n\r\n";
        let foreign = Message::parse(foreign.into()).unwrap();
        for _ in 0..Negotiation::PASSED_OVER_LIMIT {
            machine.receive(&foreign);
            assert!(matches!(machine.poll_step(now), Step::Wait { .. }));
        }
        machine.receive(&foreign);
        assert!(matches!(machine.poll_step(now), Step::Failed(_)));
    }

    #[test]
    fn a_connection_that_is_lost_fails_and_an_answer_stands() {
        let (now, mut machine) = (now(), negotiation(WITHIN));
        machine.lost("closed".into());
        assert_eq!(machine.poll_step(now), Step::Failed("closed".into()));
        let mut machine = negotiation(WITHIN);
        let _ = machine.poll_step(now);
        machine.receive(&answer("200 OK", "Compression: LZ77-8K\r\n"));
        machine.lost("closed".into());
        assert_eq!(machine.poll_step(now), Step::Compressed);
    }
}

/// Plain second readings of the rules.
mod oracle {
    use super::*;

    /// Reads a packet bit by bit, and allows no reference to what no packet wrote.
    #[derive(Default)]
    struct Ring {
        cells: Vec<Option<u8>>,
        at: usize,
    }

    impl Ring {
        fn read(&mut self, form: Form, packet: &[u8]) -> Vec<u8> {
            self.cells.resize(8192, None);
            match form {
                Form::Flushed => {
                    *self = Self::default();
                    return packet.to_vec();
                }
                Form::Plain => panic!("it is never written"),
                Form::Compressed { at_front: true } => self.at = 0,
                Form::Compressed { at_front: false } => {}
            }
            let bits: Vec<bool> = packet
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1 == 1))
                .collect();
            let mut bits = &bits[..];
            let take = |count: usize, bits: &mut &[bool]| -> usize {
                let (front, rest) = bits.split_at(count);
                *bits = rest;
                front.iter().fold(0, |number, &bit| number << 1 | usize::from(bit))
            };
            let mut plain = Vec::new();
            while bits.len() >= 8 {
                if take(1, &mut bits) == 0 {
                    plain.push(self.put(take(7, &mut bits) as u8));
                } else if take(1, &mut bits) == 0 {
                    plain.push(self.put(0x80 | take(7, &mut bits) as u8));
                } else {
                    let offset = if take(1, &mut bits) == 0 {
                        320 + take(13, &mut bits)
                    } else if take(1, &mut bits) == 0 {
                        64 + take(8, &mut bits)
                    } else {
                        take(6, &mut bits)
                    };
                    let mut ones = 0;
                    while take(1, &mut bits) == 1 {
                        ones += 1;
                    }
                    let length = match ones {
                        0 => 3,
                        _ => (1 << (ones + 1)) + take(ones + 1, &mut bits),
                    };
                    for _ in 0..length {
                        let cell = self.cells[(self.at + 8192 - offset) % 8192];
                        plain.push(self.put(cell.expect("nobody wrote there")));
                    }
                }
            }
            plain
        }

        fn put(&mut self, byte: u8) -> u8 {
            self.cells[self.at] = Some(byte);
            self.at += 1;
            byte
        }
    }

    /// In how many bytes `data` can be written behind nothing: every literal, every reference, every
    /// length.
    fn shortest(data: &[u8]) -> usize {
        let mut bits = vec![0; data.len() + 1];
        for at in (0..data.len()).rev() {
            bits[at] = bits[at + 1] + if data[at] < 0x80 { 8 } else { 9 };
            for offset in 1..=at {
                let size = if offset < 64 {
                    10
                } else if offset < 320 {
                    12
                } else {
                    16
                };
                let same = (at..data.len()).take_while(|&n| data[n] == data[n - offset]).count();
                for length in 3..=same {
                    let more = if length == 3 { 1 } else { 2 * length.ilog2() as usize };
                    bits[at] = bits[at].min(bits[at + length] + size + more);
                }
            }
        }
        bits[0].div_ceil(8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_is_referred_to_that_was_not_written(
            all in prop::collection::vec(data(), 1..8),
            piece in 1..8188_usize,
            best in any::<bool>(),
        ) {
            let all: Vec<_> = all.concat().chunks(piece).map(<[u8]>::to_vec).collect();
            let mut ring = Ring::default();
            for ((form, packet), data) in round_trip(&mut Compressor::new(LEVELS[usize::from(best)]), &all)
                .iter()
                .zip(&all)
            {
                prop_assert_eq!(&ring.read(*form, packet), data);
            }
        }

        #[test]
        fn the_best_level_finds_the_shortest_packet(
            data in prop::collection::vec(b'a'..=b'c', 1..300),
            high in any::<bool>(),
        ) {
            let data: Vec<u8> = data.iter().map(|byte| byte | u8::from(high) << 7).collect();
            let mut out = vec![0; data.len() + Compressor::ROOM];
            let (_, length) = Compressor::new(Level::Best).compress(&data, &mut out).unwrap();
            prop_assert_eq!(length, shortest(&data).min(data.len()));
        }
    }

    #[test]
    fn an_empty_lap_forgets_nothing() {
        let mut decompressor = Decompressor::new();
        for packet in [&b"abc"[..], b"", b""] {
            assert_eq!(decompressor.decompress(FRONT, packet, 8192).unwrap(), packet);
        }
        let far = hex("debf00");
        assert_eq!(decompressor.decompress(BEHIND, &far, 8192).unwrap(), *b"bc\0");
    }
}
