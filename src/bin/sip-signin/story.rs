//! What happened in a search, as data: the JSON of `explain --world` and `check`.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use sip_signin::discovery::{
    Answer, Conclusion, ConnectFailure, Endpoint, Entry, Family, LookupFailure, Overdue, Trace,
};

use crate::words;

/// The story of a search. Its form is promised in `docs/tool.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    pub address: String,
    pub lookups: Vec<Lookup>,
    pub refusals: Vec<RefusedHost>,
    pub connects: Vec<Connect>,
    pub outcome: Verdict,
}

#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    pub kind: &'static str,
    pub name: String,
    pub at_ms: u64,
    pub answer: Said,
}

/// Records or addresses; or a word for why there are none.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Said {
    Records(Vec<String>),
    Word(String),
}

#[derive(Clone, Debug, Serialize)]
pub struct RefusedHost {
    pub host: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Connect {
    pub protocol: String,
    pub host: String,
    pub port: u16,
    pub address: IpAddr,
    pub at_ms: u64,
    pub result: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub kind: &'static str,
    pub protocol: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub reason: Option<String>,
}

/// What was left when it was no longer needed.
const ABANDONED: &str = "abandoned";

impl Verdict {
    pub fn connected(endpoint: &Endpoint) -> Self {
        Self::new("connected", Some(endpoint), None)
    }

    /// Failed, at this server if it was one that failed.
    pub fn failed(endpoint: Option<&Endpoint>, reason: impl ToString) -> Self {
        Self::new("failed", endpoint, Some(reason.to_string()))
    }

    fn new(kind: &'static str, endpoint: Option<&Endpoint>, reason: Option<String>) -> Self {
        Self {
            kind,
            protocol: endpoint.map(|e| e.protocol.to_string()),
            host: endpoint.map(|e| e.host.to_string()),
            port: endpoint.map(|e| e.port),
            reason,
        }
    }
}

impl Connect {
    pub fn new(
        endpoint: &Endpoint,
        address: IpAddr,
        at: Duration,
        result: Result<(), &ConnectFailure>,
    ) -> Self {
        Self {
            protocol: endpoint.protocol.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
            address,
            at_ms: millis(at),
            result: words::of_connect(result),
        }
    }
}

impl Story {
    /// Tells what a trace holds.
    pub fn of(trace: &Trace, outcome: Verdict) -> Self {
        let mut story = Self {
            address: trace.address().to_string(),
            lookups: Vec::new(),
            refusals: Vec::new(),
            connects: Vec::new(),
            outcome,
        };
        trace.events().for_each(|event| story.take(event.at, &event.entry));
        story
    }

    fn take(&mut self, at: Duration, entry: &Entry) {
        match entry {
            Entry::AskedSrv(name) => self.ask("srv", name.to_string(), at),
            Entry::AskedHost(host, family) => self.ask(kind(*family), host.to_string(), at),
            Entry::AnsweredSrv(name, learned) => {
                let records = match learned {
                    Ok(Answer::Found(found)) => {
                        found.records.iter().map(ToString::to_string).collect()
                    }
                    _ => Vec::new(),
                };
                let word = words::of_lookup(learned);
                self.answer("srv", &name.to_string(), word, records);
            }
            Entry::AnsweredHost(host, family, learned) => {
                let addresses = match learned {
                    Ok(Answer::Found(found)) => found.iter().map(ToString::to_string).collect(),
                    _ => Vec::new(),
                };
                self.answer(kind(*family), host.as_str(), words::of_lookup(learned), addresses);
            }
            Entry::Dialled(endpoint, address) => {
                let connect = Connect::new(endpoint, *address, at, Ok(()));
                self.connects.push(Connect { result: ABANDONED, ..connect });
            }
            Entry::ConnectEnded(endpoint, address, result) => {
                self.end(endpoint, *address, result.as_ref().copied());
            }
            Entry::Concluded(conclusion) => self.conclude(conclusion),
            _ => {}
        }
    }

    fn conclude(&mut self, conclusion: &Conclusion) {
        let late = || words::of_lookup::<()>(&Err(LookupFailure::TimedOut));
        match conclusion {
            Conclusion::Refused(refusal) => self
                .refusals
                .push(RefusedHost { host: refusal.host.to_string(), reason: refusal.to_string() }),
            Conclusion::TimedOut(Overdue::Srv(name)) => {
                self.answer("srv", &name.to_string(), late(), Vec::new());
            }
            Conclusion::TimedOut(Overdue::Host(host, family)) => {
                self.answer(kind(*family), host.as_str(), late(), Vec::new());
            }
            Conclusion::TimedOut(Overdue::Connect(endpoint, address)) => {
                self.end(endpoint, *address, Err(&ConnectFailure::TimedOut));
            }
            _ => {}
        }
    }

    fn ask(&mut self, kind: &'static str, name: String, at: Duration) {
        let answer = Said::Word(ABANDONED.into());
        self.lookups.push(Lookup { kind, name, at_ms: millis(at), answer });
    }

    fn answer(&mut self, kind: &str, name: &str, word: Option<String>, records: Vec<String>) {
        let asked = self.lookups.iter_mut().rev().find(|l| l.kind == kind && l.name == name);
        if let Some(lookup) = asked {
            lookup.answer = word.map_or(Said::Records(records), Said::Word);
        }
    }

    fn end(&mut self, endpoint: &Endpoint, address: IpAddr, result: Result<(), &ConnectFailure>) {
        let protocol = endpoint.protocol.to_string();
        let host = endpoint.host.to_string();
        let this = |c: &&mut Connect| {
            (&c.protocol, &c.host, c.port, c.address) == (&protocol, &host, endpoint.port, address)
        };
        if let Some(connect) = self.connects.iter_mut().rev().find(this) {
            connect.result = words::of_connect(result);
        }
    }
}

fn kind(family: Family) -> &'static str {
    match family {
        Family::V4 => "a",
        Family::V6 => "aaaa",
    }
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
