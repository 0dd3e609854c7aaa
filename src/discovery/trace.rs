//! Everything that was asked, answered, refused and tried, as data.
//!
//! Printed, a trace is the explanation of a search: `>` what the plan asked, `<` what the world
//! said, indented what the plan concluded. It holds every input of the search, so that it can be
//! read back and played again: a bug report is a test.

use std::fmt;
use std::time::Duration;

use smallvec::SmallVec;

use super::endpoint::Endpoint;
use super::entry::{Entry, Event};
use super::line::{Line, Server};
use super::lines::{LinePlace, Lines};
use super::moment::Moment;
use super::order::Row;
use super::pace::Millis;
use super::search::Search;
use super::srv::Seed;
use crate::address::SipAddress;
use crate::name::SrvName;
use crate::policy::TrustedHost;

/// The story of one search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub(super) address: SipAddress,
    pub(super) search: Search,
    pub(super) seed: Seed,
    /// The hosts of the story, each once, in the order they came up.
    hosts: SmallVec<[TrustedHost; 1]>,
    pub(super) lines: Lines,
}

impl Trace {
    #[inline]
    pub(super) fn new(address: SipAddress, search: Search, seed: Seed) -> Self {
        Self { address, search, seed, hosts: SmallVec::new(), lines: Lines::new() }
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
        let lines: Vec<_> = self.lines.from(LinePlace::START).collect();
        lines.into_iter().filter_map(|(at, line)| {
            Some(Event { at: at.since(Moment::START), entry: self.entry(line)? })
        })
    }

    #[inline(always)]
    pub(super) fn log(&mut self, at: Moment, line: Line) {
        self.lines.push(at, line);
    }

    /// Where the next line will stand.
    pub(super) fn end(&self) -> LinePlace {
        self.lines.end()
    }

    /// Writes a line in front of those that stand from `place` on.
    #[inline(always)]
    pub(super) fn log_above(&mut self, place: LinePlace, at: Moment, line: Line) {
        self.lines.push_above(place, at, line);
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

    fn entry(&self, line: Line) -> Option<Entry> {
        let host = |place| self.host(place)?.name().cloned();
        Some(match line {
            Line::AskedHost(place, family) => Entry::AskedHost(host(place)?, family),
            Line::AskedSrv(row) => Entry::AskedSrv(self.question(row)?),
            Line::Dialled(server, address) => Entry::Dialled(self.endpoint(server)?, address),
            Line::Connected(server, address) => Entry::Connected(self.endpoint(server)?, address),
            Line::Exhausted => Entry::Exhausted,
            Line::AnsweredHost(place, family, learned) => {
                Entry::AnsweredHost(host(place)?, family, learned)
            }
            Line::AnsweredSrv(row, learned) => Entry::AnsweredSrv(self.question(row)?, learned),
            Line::ConnectEnded(server, address, result) => {
                Entry::ConnectEnded(self.endpoint(server)?, address, result)
            }
            Line::Noted(what) => Entry::Noted(what),
            Line::Useless(why) => Entry::Useless(why),
            Line::FinalAnswer(why) => Entry::FinalAnswer(why),
            Line::Concluded(conclusion) => Entry::Concluded(conclusion),
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
