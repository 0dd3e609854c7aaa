//! Who may start beside whom, and who has waited long enough: the pace, applied to the facts.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::CONNECT_LIMIT;
use super::candidate::{Candidate, Dial, Dialled, Owner, Standing};
use super::facts::Facts;
use super::lookup::Lookup;
use super::order::Protocol;
use super::pace::Pace;

/// The earliest time at which something changes without an outcome.
#[derive(Debug, Default)]
pub(super) struct Wake(pub(super) Option<Instant>);

impl Wake {
    pub(super) fn at(&mut self, time: Instant) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }
}

/// `time` and then `wait`, even where a clock would overflow.
pub(super) fn later(time: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    time.checked_add(wait).or_else(|| time.checked_add(YEAR)).unwrap_or(time)
}

/// From when on the next candidate may start: never before a better one settled, or then.
#[derive(Clone, Copy)]
struct Gate(Option<Instant>);

impl Gate {
    /// Something better has been open since then; it has its head start.
    fn behind(&mut self, since: Instant, head_start: Option<Duration>) {
        let after = head_start.map(|head| later(since, head));
        self.0 = self.0.zip(after).map(|(gate, after)| gate.max(after));
    }
}

impl<C> Facts<C> {
    /// The next connect, if the pace permits one now: TLS candidates by rank, each behind the head
    /// start of every better one; then clear text, one candidate at a time and never beside TLS.
    pub(super) fn next_dial(
        &self,
        pace: &Pace,
        now: Instant,
        wake: &mut Wake,
    ) -> Option<(usize, IpAddr)> {
        if self.open_dials() >= CONNECT_LIMIT {
            return None;
        }
        if self.has_unsettled(Protocol::Tls) {
            return self.next_dial_of(Protocol::Tls, pace, pace.head_start, now, wake);
        }
        self.next_dial_of(Protocol::Tcp, pace, None, now, wake)
    }

    fn has_unsettled(&self, protocol: Protocol) -> bool {
        self.open_questions().any(|(q, _)| q.protocol == protocol)
            || self
                .ranked()
                .filter(|(_, c)| c.rank.protocol == protocol)
                .any(|(at, c)| self.standing(at, c) != Standing::Settled)
    }

    fn next_dial_of(
        &self,
        protocol: Protocol,
        pace: &Pace,
        head_start: Option<Duration>,
        now: Instant,
        wake: &mut Wake,
    ) -> Option<(usize, IpAddr)> {
        let mut gate = Gate(Some(now));
        for (at, candidate) in self.ranked().filter(|(_, c)| c.rank.protocol == protocol) {
            for (question, since) in self.open_questions() {
                if question.protocol == protocol && question.row < candidate.rank.row {
                    gate.behind(since, head_start);
                }
            }
            let standing = self.standing(at, candidate);
            match standing {
                Standing::Settled => continue,
                Standing::Ready(_) => return None,
                Standing::Open(_) | Standing::Waiting => {}
            }
            let dialable = self.dialable(at, candidate, pace, now);
            let from = match (candidate.opened, dialable) {
                (Some(_), Some((_, from))) => Some(from),
                (None, Some((_, from))) => gate.0.map(|gate| gate.max(from)),
                (_, None) => None,
            };
            if let (Some(from), Some((address, _))) = (from, dialable) {
                if from <= now {
                    return Some((at, address));
                }
                wake.at(from);
            }
            match standing {
                Standing::Open(since) => gate.behind(since, head_start),
                _ => gate = Gate(None),
            }
        }
        None
    }

    /// The next address of a candidate, and from when on it may be dialled for the candidate's own
    /// sake. [RFC 8305 sections 3 and 5]
    fn dialable(
        &self,
        at: usize,
        candidate: &Candidate,
        pace: &Pace,
        now: Instant,
    ) -> Option<(IpAddr, Instant)> {
        let host = self.hosts.get(candidate.host)?;
        let (owner, address) = self.next_address(at, candidate)?;
        if self.dials_of(at).any(|(_, dial)| dial.is_open()) {
            return Some((address, later(candidate.last_dial?, pace.address_delay?)));
        }
        match (owner, address, &host.v6, host.v4_since) {
            (Owner::Host(_), IpAddr::V4(_), Lookup::Open { .. }, Some(since))
                if candidate.opened.is_none() =>
            {
                Some((address, later(since, pace.resolution_delay)))
            }
            _ => Some((address, now)),
        }
    }

    /// The ready connection to adopt, if no better candidate or question is still worth waiting
    /// for; `at_once` when time is up and there is nothing to wait for any more.
    pub(super) fn to_adopt(
        &self,
        pace: &Pace,
        at_once: bool,
        now: Instant,
        wake: &mut Wake,
    ) -> Option<usize> {
        if !self.dials.iter().any(Dial::is_ready) {
            return None;
        }
        let ready = self.ranked().find_map(|(at, candidate)| match self.standing(at, candidate) {
            Standing::Ready(dial) => Some((candidate, dial)),
            _ => None,
        });
        let (ready, dial) = ready?;
        let Dialled::Ready { after, .. } = &self.dials.get(dial)?.state else {
            return None;
        };
        let wait = pace.patience.max(after.saturating_mul(pace.patience_in_connects));
        let questions = self.open_questions().filter_map(|(question, since)| {
            let better = (question.protocol, question.row) < (ready.rank.protocol, ready.rank.row);
            better.then_some(since)
        });
        let candidates =
            self.ranked().filter(|(_, c)| c.rank < ready.rank).filter_map(|(at, c)| {
                match self.standing(at, c) {
                    Standing::Open(since) => Some(since),
                    _ => None,
                }
            });
        let patient_until = questions.chain(candidates).map(|since| later(since, wait)).max();
        match patient_until {
            Some(until) if until > now && !at_once => {
                wake.at(until);
                None
            }
            _ => Some(dial),
        }
    }
}
