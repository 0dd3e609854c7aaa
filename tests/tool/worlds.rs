//! A world file tells the story of a transcript: every one whose answers do not change is written as
//! a world, and `explain --world` must ask, refuse, dial and end as it does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use sip_signin::WireText;
use sip_signin::discovery::{
    Absence, Answer, CertificateFault, ClearText, ConnectFailure, LookupFailure, Pace, SearchOrder,
    Timeouts,
};

use super::player::{Driver, play};
use super::transcript::{Kind, Line, Reply, Transcript};
use super::{file, run};

/// Why a transcript is no world.
type Because = &'static str;

#[test]
fn every_transcript_with_fixed_answers_is_a_world_that_tells_the_same_story() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let (mut told, mut wrong) = (0, Vec::new());
    let mut left_out = BTreeMap::<Because, Vec<String>>::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let transcript: Transcript = text.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(play(&transcript, Driver::Prompt).is_ok(), "{name}");
        match arguments(&transcript).and_then(|arguments| Ok((arguments, world(&transcript)?))) {
            Ok((arguments, world)) => {
                let path = file(&format!("{name}.world.toml"), &world);
                let mut all = vec!["explain", "--json", "--world", path.to_str().unwrap()];
                all.extend(arguments.iter().map(String::as_str));
                let explained = run(&all);
                assert!(explained.code < 2, "{name}: {}\n{world}", explained.err);
                let (expected, came) = (story(&transcript), shape(&explained.json()));
                if came != expected {
                    wrong.push(format!("{name}\n{world}\n{expected:#?}\n{came:#?}"));
                }
                told += 1;
            }
            Err(because) => left_out.entry(because).or_default().push(name),
        }
    }
    assert!(wrong.is_empty(), "{} stories differ:\n{}", wrong.len(), wrong.join("\n\n"));
    println!("{told} told; left out: {left_out:#?}");
    assert!(told >= 86, "only {told} were told: {left_out:#?}");
}

/// The same search on the command line.
fn arguments(transcript: &Transcript) -> Result<Vec<String>, Because> {
    let search = &transcript.search;
    let mut arguments = vec![transcript.address.to_string()];
    let mut say = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    let header = search.to_string();
    let names =
        header.split([' ']).find(|word| ["strict", "relaxed", "any-subdomain"].contains(word));
    say("--names", names.unwrap().into());
    say("--seed", transcript.seed.0.to_string());
    for domain in search.names().trusted() {
        say("--trust", domain.to_string());
    }
    if search.timeouts() != Timeouts::DEFAULT {
        return Err("the tool has one time limit, not three");
    }
    let pace = Pace::NAMED.iter().find(|(_, pace)| *pace == search.pace());
    say("--pace", pace.ok_or("a pace of its own")?.0.into());
    if let Some(last) = search.last() {
        say("--last", last.to_string());
    }
    if let Some(order) = search.order() {
        if SearchOrder::preset(order.name()).as_ref() != Some(order) {
            return Err("an order of its own");
        }
        say("--order", order.name().into());
    }
    if let Some(servers) = search.manual() {
        say("--transport", servers.protocol.to_string());
        for (option, server) in
            [("--internal", &servers.internal), ("--external", &servers.external)]
        {
            if let Some(server) = server {
                let port = server.port.unwrap_or(servers.protocol.default_port());
                say(option, format!("{}:{port}", server.host));
            }
        }
    }
    if search.clear_text() == ClearText::Allow {
        arguments.push("--allow-tcp".into());
    }
    if header.contains("first srv record only") {
        arguments.push("--first-record-only".into());
    }
    if header.contains("hosts after failed lookups") {
        arguments.push("--hosts-after-failed-lookups".into());
    }
    Ok(arguments)
}

/// What a world says of one question.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    answer: String,
    delay: Option<Duration>,
}

/// Questions and what is said of them, in each section of a world file.
type Sections = BTreeMap<&'static str, BTreeMap<String, Said>>;

fn put(sections: &mut Sections, question: &str, said: Said) -> Result<(), Because> {
    let (section, key) = key(question);
    match sections.entry(section).or_default().insert(key, said.clone()) {
        Some(known) if known != said => Err("an answer changes in the course of the search"),
        _ => Ok(()),
    }
}

fn world(transcript: &Transcript) -> Result<String, Because> {
    let mut sections = Sections::new();
    // The server that is adopted, and since when.
    let mut adopted: Option<(String, Duration)> = None;
    for (at, line) in transcript.lines.iter().enumerate() {
        let Kind::Answered(reply) = &line.kind else {
            if let Some(server) = line.text.strip_prefix("> connected ") {
                adopted = Some((format!("connect {server}"), line.at));
            } else if let Some(silent) = silence(transcript, at) {
                put(&mut sections, &silent, Said { answer: quoted("timeout"), delay: None })?;
            }
            continue;
        };
        let (question, answer) = match reply {
            Reply::Srv(question, learned) => (question.clone(), records(learned)?),
            Reply::Host(question, learned) => (question.clone(), addresses(learned)?),
            Reply::Connect(question, end) => (question.clone(), ended(end)),
            Reply::Noted(_) => return Err("something is noted of a connection"),
            Reply::Useless(why) | Reply::Final(why) => {
                let (question, since) = adopted.take().ok_or("nothing was adopted")?;
                if since != line.at {
                    return Err("time passes while a server is adopted");
                }
                let (section, key) = key(&question);
                let word = if matches!(reply, Reply::Final(_)) { "final" } else { "useless" };
                let said = sections.get_mut(section).and_then(|s| s.get_mut(&key));
                said.ok_or("nothing was dialled")?.answer = quoted(&format!("{word}: {why}"));
                continue;
            }
        };
        let asked = asked(&transcript.lines[..at], &format!("> {question}"));
        let delay = Some(line.at - asked.ok_or("answers what was not asked")?);
        put(&mut sections, &question, Said { answer, delay })?;
    }
    let mut text = String::new();
    for (section, entries) in &sections {
        writeln!(text, "[{section}]").unwrap();
        for (key, said) in entries {
            writeln!(text, "{} = {}", quoted(key), said.answer).unwrap();
        }
        if *section == "connect" {
            writeln!(text, "default = \"timeout\"").unwrap();
        }
    }
    writeln!(text, "[delay]").unwrap();
    for (key, said) in sections.values().flatten() {
        if let Some(delay) = said.delay {
            writeln!(text, "{} = {:?}", quoted(key), delay.as_secs_f64() * 1000.0).unwrap();
        }
    }
    Ok(text)
}

/// When a question was put the last time.
fn asked(lines: &[Line], question: &str) -> Option<Duration> {
    lines.iter().rev().find(|line| line.text == question).map(|line| line.at)
}

/// The question of this line, if nothing answers it.
fn silence(transcript: &Transcript, at: usize) -> Option<String> {
    let question = transcript.lines[at].text.strip_prefix("> ")?;
    if question.starts_with("exhausted") {
        return None;
    }
    let answers = transcript.lines.iter().any(|line| match &line.kind {
        Kind::Answered(Reply::Srv(q, _) | Reply::Host(q, _) | Reply::Connect(q, _)) => {
            q == question
        }
        _ => false,
    });
    (!answers).then(|| question.to_owned())
}

/// The section of a question, and its key there.
fn key(question: &str) -> (&'static str, String) {
    let words: Vec<&str> = question.split(' ').collect();
    match words[..] {
        ["srv", name] => ("srv", name.into()),
        ["connect", protocol, endpoint, address] => {
            let port = endpoint.rsplit(':').next().unwrap();
            let address =
                if address.contains(':') { format!("[{address}]") } else { address.into() };
            ("connect", format!("{protocol} {address}:{port}"))
        }
        [family, host] => ("host", format!("{family} {host}")),
        _ => panic!("{question}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn word<T>(learned: &Result<Answer<T>, LookupFailure>) -> String {
    quoted(&match learned {
        Ok(Answer::Absent(Absence::NoSuchName)) => "nxdomain".into(),
        Ok(Answer::Absent(Absence::NoData)) => "nodata".into(),
        Err(LookupFailure::ServerFailure) => "servfail".into(),
        Err(LookupFailure::Refused) => "refused".into(),
        Err(LookupFailure::TimedOut) => "timeout".into(),
        Err(LookupFailure::Malformed) => "malformed".into(),
        Err(LookupFailure::Unreachable) => "unreachable".into(),
        Err(LookupFailure::TooLong) => "too_long".into(),
        Err(other) => other.to_string(),
        Ok(Answer::Found(_)) => unreachable!("records are no word"),
    })
}

fn records(
    learned: &Result<Answer<sip_signin::discovery::SrvAnswer>, LookupFailure>,
) -> Result<String, Because> {
    Ok(match learned {
        Ok(Answer::Found(found)) => {
            let additional = found.additional.iter().map(|(host, a)| format!("{host} {a}"));
            let records = found.records.iter().map(ToString::to_string);
            if found.records.iter().any(|r| r.target.to_string() == "-") {
                return Err("a target that is empty");
            }
            list(records.chain(additional))
        }
        _ => word(learned),
    })
}

fn addresses(
    learned: &Result<Answer<Vec<std::net::IpAddr>>, LookupFailure>,
) -> Result<String, Because> {
    Ok(match learned {
        Ok(Answer::Found(found)) => list(found),
        _ => word(learned),
    })
}

fn ended(end: &Result<(), ConnectFailure>) -> String {
    use CertificateFault as Fault;
    use ConnectFailure as Failure;
    let names = |names: &[WireText]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    quoted(&match end {
        Ok(()) => "ok".into(),
        Err(Failure::Refused) => "refused".into(),
        Err(Failure::TimedOut) => "timeout".into(),
        Err(Failure::Unreachable) => "unreachable".into(),
        Err(Failure::ClosedBeforeTls) => "closed".into(),
        Err(Failure::PeerTooOld) => "tls_too_old".into(),
        Err(Failure::Handshake(why)) => format!("tls_failed: {why}"),
        Err(Failure::Other(why)) => format!("failed: {why}"),
        Err(Failure::Certificate(Fault::Expired)) => "certificate_expired".into(),
        Err(Failure::Certificate(Fault::NotYetValid)) => "certificate_not_yet_valid".into(),
        Err(Failure::Certificate(Fault::Revoked)) => "certificate_revoked".into(),
        Err(Failure::Certificate(Fault::Untrusted)) => "certificate_untrusted".into(),
        Err(Failure::Certificate(Fault::NoSubjectAlternativeName)) => {
            "certificate_without_names".into()
        }
        Err(Failure::Certificate(Fault::Other(why))) => format!("certificate_invalid: {why}"),
        Err(Failure::Certificate(Fault::WrongName(of))) => {
            format!("certificate_name_mismatch: {}", names(of).join(", "))
        }
        Err(other) => panic!("{other}"),
    })
}

/// The story in comparable lines: what was asked when, what was refused, what was dialled when, how
/// it ended. What happens in one instant may come in another order.
type Shape = (Vec<String>, Vec<String>, Vec<String>, String);

/// What the transcript says; it ends with the connection that nobody called useless.
fn story(transcript: &Transcript) -> Shape {
    let (mut lookups, mut refusals, mut connects) = (Vec::new(), Vec::new(), Vec::new());
    let (mut outcome, mut because) = ("connected".to_owned(), String::new());
    for line in &transcript.lines {
        let at = line.at.as_millis();
        let words: Vec<&str> = line.text.split(' ').collect();
        match (&line.kind, &words[..]) {
            (Kind::Asked, [">", "connect", protocol, endpoint, address]) => {
                connects.push(format!("{at} {protocol} {endpoint} {address}"));
            }
            (Kind::Asked, [">", "connected", protocol, endpoint, _]) => {
                outcome = format!("connected {protocol} {endpoint}");
            }
            (Kind::Asked, [">", "exhausted"]) => outcome = "failed".into(),
            (Kind::Asked, [">", kind, name]) => lookups.push(format!("{at} {kind} {name}")),
            (Kind::Concluded, ["refused", host, ..]) => refusals.push((*host).to_owned()),
            (Kind::Concluded, ["because", ..]) => because = words[1..].join(" "),
            _ => {}
        }
    }
    lookups.sort();
    connects.sort();
    if outcome == "failed" {
        outcome = format!("failed {because}");
    }
    (lookups, refusals, connects, outcome)
}

/// The same of what the tool printed.
fn shape(story: &Value) -> Shape {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let all = |name: &str| story[name].as_array().unwrap().clone();
    let mut lookups: Vec<_> = all("lookups")
        .iter()
        .map(|l| format!("{} {} {}", l["at_ms"], text(&l["kind"]), text(&l["name"])))
        .collect();
    let refusals = all("refusals").iter().map(|r| text(&r["host"])).collect();
    let mut connects: Vec<_> = all("connects")
        .iter()
        .map(|c| {
            let (protocol, host) = (text(&c["protocol"]), text(&c["host"]));
            format!("{} {protocol} {host}:{} {}", c["at_ms"], c["port"], text(&c["address"]))
        })
        .collect();
    lookups.sort();
    connects.sort();
    let outcome = &story["outcome"];
    let outcome = match text(&outcome["kind"]).as_str() {
        "connected" => {
            let (protocol, host) = (text(&outcome["protocol"]), text(&outcome["host"]));
            format!("connected {protocol} {host}:{}", outcome["port"])
        }
        _ => format!("failed {}", super::transcript::collapse(&text(&outcome["reason"]))),
    };
    (lookups, refusals, connects, outcome)
}
