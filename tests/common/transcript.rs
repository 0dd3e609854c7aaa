//! Reads transcripts: the printed story of a search, as `docs/transcripts.md` describes it.
//!
//! Reading never panics: the fuzzers feed it anything.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use sip_signin::discovery::{
    Answer, ClearText, ConnectFailure, LastServer, LookupFailure, ManualServer, ManualServers,
    Pace, Protocol, Row, Search, SearchOrder, Seed, SrvAnswer, Timeouts,
};
use sip_signin::{HostName, HostNamePolicy, SipAddress, WireText};

use super::words::{Read, read_addresses, read_answer, read_end, read_srv_answer, read_text, say};

/// A transcript, read.
#[derive(Debug)]
pub struct Transcript {
    /// Its first comment: what it shows, in a sentence.
    pub intent: String,
    pub address: SipAddress,
    pub search: Search,
    pub seed: Seed,
    /// The header lines as they stand, runs of spaces collapsed, each with its line number.
    pub header: Vec<(usize, String)>,
    pub lines: Vec<Line>,
}

/// One line of the dialogue.
#[derive(Debug)]
pub struct Line {
    pub number: usize,
    pub at: Duration,
    /// Without its time, runs of spaces collapsed.
    pub text: String,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    /// `>`
    Asked,
    /// `<`
    Answered(Reply),
    /// Indented.
    Concluded,
}

/// What the world said; the questions as a step in hand prints them: `a sip.contoso.com`.
#[derive(Clone, Debug)]
pub enum Reply {
    Srv(String, Result<Answer<SrvAnswer>, LookupFailure>),
    Host(String, Result<Answer<Vec<IpAddr>>, LookupFailure>),
    Connect(String, Result<(), ConnectFailure>),
    Useless(WireText),
    Final(WireText),
    Noted(WireText),
}

/// Why a text is no transcript.
#[derive(Debug)]
pub struct Unreadable {
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// No search takes longer; keeps a reader's clock from overflowing.
const LATEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl FromStr for Transcript {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut intent = String::new();
        let mut header = Header::default();
        let mut lines: Vec<Line> = Vec::new();
        for (at, raw) in text.lines().enumerate() {
            let number = at + 1;
            let fail = |why| Unreadable { line: number, why };
            if let Some(comment) = raw.trim_start().strip_prefix('#') {
                if intent.is_empty() {
                    intent = comment.trim().into();
                }
            } else if raw.trim().is_empty() {
            } else if raw.starts_with(['+', '>', '<', ' ']) {
                let last = lines.last().map_or(Duration::ZERO, |line| line.at);
                lines.push(read_line(raw, number, last).map_err(fail)?);
            } else if lines.is_empty() {
                header.read(&collapse(raw)).map_err(fail)?;
                header.lines.push((number, collapse(raw)));
            } else {
                return Err(fail("neither asked (>), answered (<) nor indented".into()));
            }
        }
        let lines_read = std::mem::take(&mut header.lines);
        let end = lines_read.last().map_or(1, |(number, _)| *number);
        let (address, search, seed) =
            header.build().map_err(|why| Unreadable { line: end, why })?;
        Ok(Self { intent, address, search, seed, header: lines_read, lines })
    }
}

/// Runs of spaces count as one.
pub fn collapse(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Header {
    lines: Vec<(usize, String)>,
    address: Option<SipAddress>,
    policy: Option<(HostNamePolicy, ClearText)>,
    trusted: Vec<HostName>,
    first_only: bool,
    hosts_after_failures: bool,
    order: Option<String>,
    rows: Vec<Row>,
    internal: Option<(Protocol, ManualServer)>,
    external: Option<(Protocol, ManualServer)>,
    pace: Option<Pace>,
    timeouts: Option<Timeouts>,
    seed: Option<Seed>,
    last: Option<LastServer>,
}

impl Header {
    fn read(&mut self, line: &str) -> Read<()> {
        let (word, rest) = line.split_once(' ').ok_or("a header line needs a word and a value")?;
        match word {
            "address" => once(&mut self.address, rest.parse().map_err(say)?),
            "policy" => {
                let policy = self.read_policy(rest)?;
                once(&mut self.policy, policy)
            }
            "order" => once(&mut self.order, rest.into()),
            "row" => {
                self.rows.push(read_row(rest)?);
                Ok(())
            }
            "internal" => once(&mut self.internal, read_manual(rest)?),
            "external" => once(&mut self.external, read_manual(rest)?),
            "pace" => once(&mut self.pace, read_pace(rest)?),
            "timeouts" => once(&mut self.timeouts, read_timeouts(rest)?),
            "last" => once(&mut self.last, rest.parse().map_err(say)?),
            "seed" => once(&mut self.seed, Seed(rest.parse().map_err(say)?)),
            _ => Err(format!("`{word}` begins no header line")),
        }
    }

    fn read_policy(&mut self, text: &str) -> Read<(HostNamePolicy, ClearText)> {
        let mut parts = text.split(", ");
        let names = match parts.next() {
            Some("strict naming") => HostNamePolicy::Strict,
            Some("relaxed naming") => HostNamePolicy::Relaxed,
            Some("any-subdomain naming") => HostNamePolicy::AnySubdomain,
            _ => return Err("strict, relaxed or any-subdomain naming?".into()),
        };
        let clear_text = match parts.next() {
            Some("tcp forbidden") => ClearText::Forbid,
            Some("tcp allowed") => ClearText::Allow,
            _ => return Err("tcp forbidden or tcp allowed?".into()),
        };
        for part in parts {
            match part {
                "first srv record only" => self.first_only = true,
                "hosts after failed lookups" => self.hosts_after_failures = true,
                _ => {
                    let domains = part.strip_prefix("trusting ").ok_or("unknown policy")?;
                    for domain in domains.split(' ') {
                        self.trusted.push(domain.parse().map_err(say)?);
                    }
                }
            }
        }
        Ok((names, clear_text))
    }

    fn build(self) -> Read<(SipAddress, Search, Seed)> {
        let (names, clear_text) = self.policy.unwrap_or_default();
        let mut search = Search::builder()
            .names(names)
            .clear_text(clear_text)
            .trust(self.trusted)
            .first_srv_record_only(self.first_only)
            .hosts_after_failed_lookups(self.hosts_after_failures)
            .pace(self.pace.unwrap_or_default())
            .timeouts(self.timeouts.unwrap_or_default());
        if let Some(name) = self.order {
            search = search.order(if self.rows.is_empty() {
                SearchOrder::preset(&name).ok_or("no such order; its rows are missing")?
            } else {
                SearchOrder::new(name, self.rows).map_err(say)?
            });
        } else if !self.rows.is_empty() {
            return Err("rows without the name of their order".into());
        }
        let protocols = [&self.internal, &self.external].map(|s| s.as_ref().map(|s| s.0));
        match protocols {
            [None, None] => {}
            [Some(one), Some(other)] if one != other => {
                return Err("manual servers are both tls or both tcp".into());
            }
            [one, other] => {
                search = search.manual(ManualServers {
                    internal: self.internal.map(|(_, server)| server),
                    external: self.external.map(|(_, server)| server),
                    protocol: one.or(other).unwrap_or(Protocol::Tls),
                });
            }
        }
        let address = self.address.ok_or("the address is missing")?;
        let mut search = search.build().map_err(say)?;
        if let Some(last) = self.last {
            search = search.remembering(last);
        }
        Ok((address, search, self.seed.unwrap_or_default()))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Read<()> {
    if place.replace(value).is_some() { Err("stands twice in the header".into()) } else { Ok(()) }
}

fn read_protocol(text: &str) -> Read<Protocol> {
    match text {
        "tls" => Ok(Protocol::Tls),
        "tcp" => Ok(Protocol::Tcp),
        _ => Err(format!("`{text}` is neither tls nor tcp")),
    }
}

fn read_row(text: &str) -> Read<Row> {
    match text.split(' ').collect::<Vec<_>>()[..] {
        ["srv", protocol, service] => {
            Ok(Row::Srv { service: service.to_owned().into(), protocol: read_protocol(protocol)? })
        }
        ["host", protocol, label, port] => Ok(Row::Host {
            label: label.to_owned().into(),
            protocol: read_protocol(protocol)?,
            port: port.parse().map_err(say)?,
        }),
        _ => Err("a row is `srv tls _service._tcp` or `host tls label port`".into()),
    }
}

fn read_manual(text: &str) -> Read<(Protocol, ManualServer)> {
    let (protocol, server) = text.split_once(' ').ok_or("a manual server needs tls or tcp")?;
    Ok((read_protocol(protocol)?, server.parse().map_err(say)?))
}

fn read_pace(text: &str) -> Read<Pace> {
    if let Some(pace) = Pace::named(text) {
        return Ok(pace);
    }
    let parts: Vec<&str> = text.split(", ").collect();
    let [head_start, patience, address_delay, resolution_delay] = parts[..] else {
        return Err("a pace is a name or its four parts".into());
    };
    let part = |text: &str, word: &str| {
        let value = text.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
        value.map(str::to_owned).ok_or(format!("`{text}` is not the {word}"))
    };
    let or_none = |text: &str| match text {
        "none" => Ok(None),
        _ => read_millis(text).map(Some),
    };
    let patience = part(patience, "patience")?;
    let (patience, connects) =
        patience.split_once(" or ").ok_or("patience of how many connects?")?;
    let connects = connects.strip_suffix(" connects").ok_or("patience of how many connects?")?;
    Ok(Pace {
        head_start: or_none(&part(head_start, "head start")?)?,
        patience: read_millis(patience)?,
        patience_in_connects: connects.parse().map_err(say)?,
        address_delay: or_none(&part(address_delay, "address delay")?)?,
        resolution_delay: read_millis(&part(resolution_delay, "resolution delay")?)?,
    })
}

fn read_timeouts(text: &str) -> Read<Timeouts> {
    let parts: Vec<&str> = text.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    let ["lookup", lookup, "connect", connect, "search", search] = parts[..] else {
        return Err("timeouts are those of lookup, connect and search".into());
    };
    let [lookup, connect, search] = [lookup, connect, search].map(read_millis);
    Ok(Timeouts { lookup: lookup?, connect: connect?, search: search? })
}

/// `120ms`, `0.5ms`, exact to the nanosecond.
pub fn read_millis(text: &str) -> Read<Duration> {
    let fail = || format!("`{text}` is no time in milliseconds");
    let number = text.strip_suffix("ms").ok_or_else(fail)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(fail());
    }
    let whole: u128 = whole.parse().map_err(|_| fail())?;
    let part: u32 = format!("{part:0<6}").parse().map_err(|_| fail())?;
    let seconds = u64::try_from(whole / 1000).map_err(|_| fail())?;
    Ok(Duration::new(seconds, (whole % 1000) as u32 * 1_000_000 + part))
}

fn read_line(raw: &str, number: usize, last: Duration) -> Read<Line> {
    let (at, rest) = match raw.strip_prefix('+') {
        Some(timed) => {
            let (time, rest) = timed.split_once(' ').ok_or("a time without its line")?;
            (read_millis(time)?, rest)
        }
        None => (last, raw),
    };
    if at < last || at > LATEST {
        return Err("times only grow, and no search takes a year".into());
    }
    let text = collapse(rest);
    let kind = match text.split_once(' ') {
        Some((">", _)) => Kind::Asked,
        Some(("<", reply)) => Kind::Answered(read_reply(reply)?),
        _ if text.is_empty() || text.starts_with(['>', '<']) => return Err("says nothing".into()),
        _ => Kind::Concluded,
    };
    Ok(Line { number, at, text, kind })
}

fn read_reply(text: &str) -> Read<Reply> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let split = |words: usize| {
        let end = rest.match_indices(' ').nth(words - 1).map_or(rest.len(), |(at, _)| at);
        let (question, answer) = rest.split_at(end);
        (format!("{word} {question}"), answer.trim_start().to_owned())
    };
    match word {
        "srv" => {
            let (question, answer) = split(1);
            Ok(Reply::Srv(question, read_answer(&answer, read_srv_answer)?))
        }
        "a" | "aaaa" => {
            let (question, answer) = split(1);
            Ok(Reply::Host(question, read_answer(&answer, read_addresses)?))
        }
        "connect" => {
            let (question, answer) = split(3);
            Ok(Reply::Connect(question, read_end(&answer)?))
        }
        "useless" => Ok(Reply::Useless(read_text(rest)?)),
        "noted" => Ok(Reply::Noted(read_text(rest)?)),
        "final" => Ok(Reply::Final(read_text(rest)?)),
        _ => Err(format!("nobody answers `{word}`")),
    }
}
