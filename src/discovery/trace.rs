//! Everything that was asked, answered, refused and tried, as data.
//!
//! Printed, a trace is the explanation of a search: `>` what the plan asked, `<` what the world
//! said, indented what the plan concluded. It holds every input of the search, so that it can be
//! read back and played again: a bug report is a test.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::endpoint::{Endpoint, Family};
use super::entry::{Conclusion, Entry, Event};
use super::moment::Moment;
use super::order::{Protocol, Row};
use super::pace::Millis;
use super::search::Search;
use super::srv::{Seed, SrvRecord};
use crate::address::SipAddress;
use crate::name::SrvName;
use crate::policy::TrustedHost;
use crate::text::WireText;

/// The story of one search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    address: SipAddress,
    search: Search,
    seed: Seed,
    /// The hosts of the story, each once, in the order they came up.
    hosts: SmallVec<[TrustedHost; 1]>,
    lines: Vec<(Moment, Line)>,
}

/// An [`Entry`] as it is kept while every search that is under way keeps its own: a question goes by
/// its row of the order, a host by its place among the hosts of the trace. What is rare is boxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    AskedHost(u16, Family),
    AskedSrv(u16),
    Dialled(Server, IpAddr),
    Connected(Server, IpAddr),
    Exhausted,
    AnsweredHost(u16, Family, Result<Answer<Vec<IpAddr>>, Box<LookupFailure>>),
    AnsweredSrv(u16, Result<Answer<Records>, Box<LookupFailure>>),
    ConnectEnded(Server, IpAddr, Result<(), Box<ConnectFailure>>),
    Noted(WireText),
    Useless(WireText),
    FinalAnswer(WireText),
    Concluded(Box<Conclusion>),
}

/// The records of an answer, with the addresses that came along if there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Records {
    Alone(Vec<SrvRecord>),
    With(Box<SrvAnswer>),
}

impl From<SrvAnswer> for Records {
    fn from(answer: SrvAnswer) -> Self {
        if answer.additional.is_empty() {
            Self::Alone(answer.records)
        } else {
            Self::With(answer.into())
        }
    }
}

impl From<Records> for SrvAnswer {
    fn from(records: Records) -> Self {
        match records {
            Records::Alone(records) => Self { records, additional: Vec::new() },
            Records::With(answer) => *answer,
        }
    }
}

/// An [`Endpoint`] whose host goes by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) protocol: Protocol,
    pub(super) host: u16,
    pub(super) port: u16,
}

impl Trace {
    /// The lines of an ordinary search: two SRV questions, two for the addresses of a host, what came
    /// of each, a connect, its end, and its adoption.
    const ORDINARY: usize = 11;

    #[inline]
    pub(super) fn new(address: SipAddress, search: Search, seed: Seed) -> Self {
        let (hosts, lines) = (SmallVec::new(), Vec::with_capacity(Self::ORDINARY));
        Self { address, search, seed, hosts, lines }
    }

    /// Whose search it was.
    pub fn address(&self) -> &SipAddress {
        &self.address
    }

    /// By which settings.
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// With which draws.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// What happened, in order; made as it is read.
    ///
    /// ```
    /// # use sip_signin::discovery::{DiscoveryPlan, Entry, Search, Seed, Step};
    /// # let (address, now) = ("sip:jeremy@contoso.com".parse()?, std::time::Instant::now());
    /// # let mut plan = DiscoveryPlan::<()>::new(&address, &Search::default(), Seed(0), now);
    /// let Step::LookupSrv(step) = plan.poll_step(now) else { panic!("a question comes first") };
    /// let asked = plan.trace().events().map(|event| event.entry);
    /// assert!(asked.eq([Entry::AskedSrv(step.name().clone())]));
    /// # Ok::<(), sip_signin::AddressError>(())
    /// ```
    pub fn events(&self) -> impl DoubleEndedIterator<Item = Event> {
        self.lines.iter().filter_map(|(at, line)| {
            Some(Event { at: at.since(Moment::START), entry: self.entry(line)? })
        })
    }

    #[inline]
    pub(super) fn log(&mut self, at: Moment, line: Line) {
        self.lines.push((at, line));
    }

    /// How many lines there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Puts the last line before the one that has this place now.
    pub(super) fn move_up(&mut self, place: usize) {
        if let Some(lines @ [_, _, ..]) = self.lines.get_mut(place..) {
            lines.rotate_right(1);
        }
    }

    /// Makes room for so many more hosts, and no more than that.
    pub(super) fn expect_hosts(&mut self, count: usize) {
        self.hosts.reserve_exact(count);
    }

    /// The place of a host, a new one or the one it has: it keeps the origin with which it came up
    /// first.
    pub(super) fn place_of(&mut self, host: TrustedHost) -> u16 {
        let known = self.hosts.iter().position(|known| known.host() == host.host());
        let place = known.unwrap_or(self.hosts.len());
        if known.is_none() {
            self.hosts.push(host);
        }
        // The limits of the search keep the number small.
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    #[inline]
    pub(super) fn host(&self, place: u16) -> Option<&TrustedHost> {
        self.hosts.get(usize::from(place))
    }

    #[inline]
    pub(super) fn endpoint(&self, server: Server) -> Option<Endpoint> {
        let Server { protocol, host, port } = server;
        Some(Endpoint { protocol, host: self.host(host)?.clone(), port })
    }

    /// The question of a row.
    #[inline]
    pub(super) fn question(&self, row: u16) -> Option<SrvName> {
        match self.search.order()?.rows().get(usize::from(row))? {
            Row::Srv { service, .. } => {
                Some(SrvName::of_service(service.clone(), self.address.domain()))
            }
            Row::Host { .. } => None,
        }
    }

    fn entry(&self, line: &Line) -> Option<Entry> {
        let host = |place| self.host(place)?.name().cloned();
        Some(match line.clone() {
            Line::AskedHost(place, family) => Entry::AskedHost(host(place)?, family),
            Line::AskedSrv(row) => Entry::AskedSrv(self.question(row)?),
            Line::Dialled(server, address) => Entry::Dialled(self.endpoint(server)?, address),
            Line::Connected(server, address) => Entry::Connected(self.endpoint(server)?, address),
            Line::Exhausted => Entry::Exhausted,
            Line::AnsweredHost(place, family, learned) => {
                Entry::AnsweredHost(host(place)?, family, learned.map_err(|failure| *failure))
            }
            Line::AnsweredSrv(row, learned) => {
                let learned = learned.map(|answer| answer.map(SrvAnswer::from));
                Entry::AnsweredSrv(self.question(row)?, learned.map_err(|failure| *failure))
            }
            Line::ConnectEnded(server, address, result) => Entry::ConnectEnded(
                self.endpoint(server)?,
                address,
                result.map_err(|failure| *failure),
            ),
            Line::Noted(what) => Entry::Noted(what),
            Line::Useless(why) => Entry::Useless(why),
            Line::FinalAnswer(why) => Entry::FinalAnswer(why),
            Line::Concluded(conclusion) => Entry::Concluded(*conclusion),
        })
    }
}

/// Exact and made to be read back, at its end the cause; with `{:#}` made to be read: times in whole
/// milliseconds, in a column of their own, no seed and no cause.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "address  {}\n{}", self.address, self.search)?;
        if self.seed != Seed::default() && !f.alternate() {
            writeln!(f, "seed     {}", self.seed.0)?;
        }
        let mut last = Duration::ZERO;
        for Event { at, entry } in self.events() {
            if f.alternate() {
                writeln!(f, "{:>6} ms  {entry}", at.as_millis())?;
            } else if at == last {
                writeln!(f, "{entry}")?;
            } else {
                writeln!(f, "+{} {entry}", Millis(at))?;
            }
            last = at;
            if entry == Entry::Exhausted && !f.alternate() {
                writeln!(f, "  because  {}", self.cause())?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Trace {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut trace = serializer.serialize_struct("Trace", 4)?;
        trace.serialize_field("address", &self.address)?;
        trace.serialize_field("search", &self.search)?;
        trace.serialize_field("seed", &self.seed)?;
        trace.serialize_field("events", &self.events().collect::<Vec<_>>())?;
        trace.end()
    }
}
