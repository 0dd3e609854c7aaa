//! Plays every transcript of `tests/transcripts`, refuses spoilt ones, and holds law 12: a printed
//! trace, read back, replays itself.

#[path = "common/fuzz_plan.rs"]
mod fuzz_plan;
#[path = "common/in_hand.rs"]
mod in_hand;
#[path = "common/player.rs"]
mod player;
#[path = "common/random_world.rs"]
mod random_world;
#[path = "laws/runner.rs"]
mod runner;
#[path = "common/transcript.rs"]
mod transcript;
#[path = "common/words.rs"]
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use player::{Driver, play};
use transcript::{Transcript, Unreadable};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn transcripts() -> Vec<(String, String)> {
    let texts = files("tests/transcripts")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "txt"));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    texts.map(|path| (name(&path), fs::read_to_string(path).unwrap())).collect()
}

fn named(name: &str) -> String {
    let found = transcripts().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no transcript {name}")).1
}

fn check(text: &str) -> Result<String, String> {
    let read: Transcript = text.parse().map_err(|e: Unreadable| e.to_string())?;
    if read.intent.is_empty() {
        return Err("line 1: its first comment must say what it shows".into());
    }
    play(&read, Driver::Prompt).map_err(|e| e.to_string())
}

/// `TRANSCRIPT=part-of-a-name cargo test` plays only some.
#[test]
fn every_transcript_plays() {
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let all = transcripts();
    let played = all.iter().filter(|(name, _)| name.contains(&only));
    let failures: Vec<String> = played
        .filter_map(|(name, text)| check(text).err().map(|why| format!("{name}: {why}")))
        .collect();
    assert!(failures.is_empty(), "{} fail\n\n{}", failures.len(), failures.join("\n"));
    assert!(all.len() >= 80, "only {} transcripts", all.len());
}

/// A late driver's trace has other times, and is replayed as it is.
#[test]
fn a_late_driver_is_believed_its_times() {
    let text = named("the-better-server-comes-too-late").replace("+310ms", "+311.000001ms");
    let read: Transcript = text.parse().unwrap();
    assert!(play(&read, Driver::Prompt).is_err());
    let printed = play(&read, Driver::Late).unwrap_or_else(|e| panic!("{e}"));
    assert!(printed.contains("+311.000001ms > connected"), "{printed}");
}

/// What `docs/transcripts.md` quotes stands so in a transcript.
#[test]
fn the_page_quotes_transcripts() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/transcripts.md");
    let page = fs::read_to_string(page).unwrap();
    let quoted: Vec<&str> = page
        .split("```text\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .collect();
    assert_eq!(quoted.len(), 2);
    for quote in quoted {
        assert!(transcripts().iter().any(|(_, text)| text.contains(quote)), "{quote}");
    }
}

/// Each rule that the dialogues carry is named in the first line of at least one of them. The other
/// rulings are not the plan's: P4 and the rest of A are laws and other machines.
#[test]
fn every_ruling_has_its_transcript() {
    let intents: String = transcripts()
        .iter()
        .map(|(_, text)| {
            text.lines().next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
                + " "
        })
        .collect();
    let rulings = (1..=16).map(|n| format!("R{n}"));
    let rulings = rulings.chain([1, 2, 3, 4, 5, 6, 8].map(|n| format!("N{n}")));
    let rulings = rulings.chain((1..=3).map(|n| format!("P{n}")));
    for ruling in rulings {
        assert!(intents.split([' ', ',']).any(|word| word == ruling), "{ruling} has none");
    }
}

/// Every way to spoil one line of a good transcript is refused, and the message says where.
#[test]
fn spoilt_transcripts_are_refused() {
    let good = named("the-better-server-comes-too-late");
    assert!(check(&good).is_ok());
    for (what, from, to) in [
        ("a time too late", "+110ms >", "+111ms >"),
        ("a time too early", "+110ms >", "+109ms >"),
        ("an adoption too late", "+310ms", "+311ms"),
        ("an adoption too early", "+310ms", "+309ms"),
        (
            "another address",
            "> connect  tls pool.contoso.com:5061 10.0.0.1",
            "> connect  tls pool.contoso.com:5061 10.0.0.2",
        ),
        (
            "another port",
            "> connected tls sip.contoso.com:443",
            "> connected tls sip.contoso.com:5061",
        ),
        (
            "another server",
            "> connected tls sip.contoso.com:443 192.0.2.1",
            "> connected tls pool.contoso.com:5061 10.0.0.1",
        ),
        ("another pace", "policy ", "pace     eager\npolicy "),
        ("another policy", "relaxed naming", "strict naming"),
        ("an answer to nothing", "< srv      _sip._tls", "< srv      _sip._tcp"),
        ("a conclusion too many", "+20ms <", "  refused  nobody   because\n+20ms <"),
        (
            "a step too many",
            "+310ms",
            "+300ms > connect  tls sip.contoso.com:443 192.0.2.2\n+310ms",
        ),
        (
            "an answer after the end",
            "\n+310ms",
            "\n+310ms > connected tls sip.contoso.com:443 192.0.2.1\n< useless  late\n+400ms",
        ),
    ] {
        let spoilt = good.replacen(from, to, 1);
        assert_ne!(spoilt, good, "{what}: nothing was spoilt");
        let why = check(&spoilt).expect_err(what);
        assert!(why.starts_with("line "), "{what}: {why}");
    }
}

/// Of every transcript: no step and no conclusion may be missing, and no two may change places.
/// (Without an answer, or with one that comes sooner, it may be another good transcript.)
#[test]
fn a_line_dropped_or_swapped_is_refused() {
    let mut refused = 0;
    for (name, text) in transcripts() {
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.iter().position(|l| l.starts_with(['>', '+', ' '])).unwrap();
        let said =
            |line: &str| line.split_once("ms ").map_or(line, |(_, rest)| rest).starts_with('<');
        for at in first..lines.len() {
            let (line, next) = (lines[at], lines.get(at + 1));
            let timed = line.starts_with('+');
            // Not if the next line would lose its time with it, nor what comes later than the rest.
            if !said(line) && (!timed || next.is_some_and(|next| next.starts_with('+'))) {
                let rest = [&lines[..at], &lines[at + 1..]].concat().join("\n");
                assert!(check(&rest).is_err(), "{name} plays without line {}", at + 1);
                refused += 1;
            }
            let Some(next) = next else { continue };
            let steps = !line.starts_with(' ') && !next.starts_with(' ');
            let apart = timed || next.starts_with('+') || steps && (said(line) || said(next));
            if !apart && line != *next {
                let swapped = [&lines[..at], &[*next, line], &lines[at + 2..]].concat().join("\n");
                assert!(check(&swapped).is_err(), "{name} plays with line {} swapped", at + 1);
                refused += 1;
            }
        }
    }
    assert!(refused > 800, "only {refused} spoilt transcripts");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let good = "address sip:a@b\n> srv _sipinternaltls._tcp.b\n> srv _sip._tls.b\n";
    assert!(good.parse::<Transcript>().is_ok());
    for (line, from, to) in [
        (1, "address sip:a@b", "address a"),
        (1, "address sip:a@b", "adress sip:a@b"),
        (1, "address sip:a@b\n", "policy relaxed naming, tcp forbidden\n"),
        (1, "address sip:a@b\n", "policy lax naming, tcp forbidden\naddress sip:a@b\n"),
        (2, "address sip:a@b\n", "address sip:a@b\naddress sip:a@c\n"),
        (2, "address sip:a@b\n", "address sip:a@b\norder nobodys\n"),
        (2, "address sip:a@b\n", "address sip:a@b\nrow srv tls _a._tcp\n"),
        (2, "address sip:a@b\n", "address sip:a@b\npace slow\n"),
        (2, "address sip:a@b\n", "address sip:a@b\ntimeouts lookup 0ms, connect 1ms, search 1ms\n"),
        (2, "address sip:a@b\n", "address sip:a@b\ninternal tcp a.b:5060\n"),
        (2, "> srv _sipint", "+1 > srv _sipint"),
        (2, "> srv _sipint", "+1.0000001ms > srv _sipint"),
        (2, "> srv _sipint", "+99999999999999999999999ms > srv _sipint"),
        (3, "> srv _sip._", "< srv _sip._"),
        (3, "> srv _sip._tls.b", "< connect tls b:1 ::1 fine"),
        (3, "> srv _sip._tls.b", "< useless \\x"),
        (3, "> srv _sip._tls.b", "srv _sip._tls.b"),
        (3, "> srv _sip._tls.b", ">"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let error = bad.parse::<Transcript>().expect_err(&bad);
        assert_eq!(error.line, line, "{bad}{error}");
    }
    let backwards = good
        .replace("> srv _sipint", "+2ms > srv _sipint")
        .replace("> srv _sip._", "+1ms > srv _sip._");
    assert_eq!(backwards.parse::<Transcript>().unwrap_err().line, 3);
}

/// The fuzz target's own assertions hold for every transcript, and for what is cut from one.
#[test]
fn the_fuzzers_seeds_hold() {
    for (_, text) in transcripts() {
        fuzz_plan::plan(text.as_bytes());
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..lines.len() {
            fuzz_plan::plan([&lines[..at], &lines[at + 1..]].concat().join("\n").as_bytes());
        }
    }
    for path in files("fuzz/corpus/plan") {
        fuzz_plan::plan(&fs::read(path).unwrap());
    }
}

/// R14: 512 steps end a search; a transcript of it would be a book.
#[test]
fn a_search_takes_so_many_steps_and_no_more() {
    let records: Vec<String> =
        (1..=32).map(|port| format!("0 0 {port} pool.contoso.com")).collect();
    let addresses: Vec<String> = (1..=16).map(|last| format!("10.0.0.{last}")).collect();
    let mut text = "address sip:jeremy@contoso.com\npace one-at-a-time\n".to_owned();
    for service in ["_sipinternaltls._tcp", "_sip._tls"] {
        text += &format!("> srv {service}.contoso.com\n");
    }
    text += &format!("< srv _sipinternaltls._tcp.contoso.com {}\n", records.join(", "));
    text += "> aaaa pool.contoso.com\n> a pool.contoso.com\n";
    text += "< aaaa pool.contoso.com absent\n";
    text += &format!("< a pool.contoso.com {}\n", addresses.join(", "));
    // Two SRV questions and two of addresses leave 508 connects: 31 ports, and 12 of the last 16.
    for step in 0..508 {
        let (port, last) = (step / 16 + 1, step % 16 + 1);
        let connect = format!("connect tls pool.contoso.com:{port} 10.0.0.{last}");
        text += &format!("> {connect}\n< {connect} refused\n");
    }
    text += "  stop a search takes 512 steps\n> exhausted\n";
    text += "  because tls pool.contoso.com:1 could not be connected to: refused\n";
    let read: Transcript = text.parse().unwrap_or_else(|e| panic!("{e}"));
    play(&read, Driver::Prompt)
        .unwrap_or_else(|e| panic!("line {}: {}, {}", e.line, e.expected, e.came));
}

/// Law 12: whatever happened in whatever world, on the way to the target of a redirect too, the printed trace read back and played prints the
/// same trace, byte for byte.
#[test]
fn law_12_a_printed_trace_replays_itself() {
    let alive = [
        ("connected", 16),
        ("exhausted", 40),
        ("connected and exhausted", 8),
        ("connected twice", 3),
        ("in clear text", 2),
        ("timed out", 15),
        ("a late driver", 30),
        ("a fraction of a millisecond", 50),
        ("an invalid target", 10),
        ("a text cut short", 3),
        ("manual servers", 5),
        ("a redirect", 5),
    ];
    let choices = proptest::collection::vec(proptest::num::u16::ANY, 0..600);
    runner::law(choices, &alive, |choices, tally| {
        let run = random_world::run(choices);
        let read: Transcript =
            run.printed.parse().unwrap_or_else(|e| panic!("{e}\n{}", run.printed));
        let driver = if run.late { Driver::Late } else { Driver::Prompt };
        let printed = play(&read, driver).unwrap_or_else(|e| panic!("{e}\n{}", run.printed));
        assert_eq!(printed, run.printed);
        fuzz_plan::plan(printed.as_bytes());
        let times = |word: &str| printed.matches(word).count();
        let (connected, exhausted) = (times("> connected"), times("> exhausted"));
        tally.note("connected", connected > 0);
        tally.note("exhausted", exhausted > 0);
        tally.note("connected and exhausted", connected > 0 && exhausted > 0);
        tally.note("connected twice", connected > 1);
        tally.note("in clear text", times("> connected tcp") > 0);
        tally.note("timed out", times("  late ") > 0);
        tally.note("a late driver", run.late);
        let fractions = printed.lines().filter_map(|l| l.strip_prefix('+')?.split(' ').next());
        tally.note("a fraction of a millisecond", fractions.clone().any(|time| time.contains('.')));
        tally.note("an invalid target", times("  invalid ") > 0);
        tally.note("a text cut short", times("...") > 0);
        tally.note("a redirect", run.redirected);
        tally.note("manual servers", times("\ninternal ") + times("\nexternal ") > 0);
    });
}
