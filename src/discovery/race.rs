//! Who may start beside whom, and who has waited long enough: the pace, applied to the facts.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::CONNECT_LIMIT;
use super::candidate::{Candidate, Standing};
use super::endpoint::Family;
use super::facts::Facts;
use super::lookup::{KnownHost, Lookup};
use super::order::Protocol;
use super::pace::Pace;

/// `time` and then `wait`, even where a clock would overflow.
pub(super) fn later(time: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    time.checked_add(wait).or_else(|| time.checked_add(YEAR)).unwrap_or(time)
}

/// The facts as they stand at one moment: the candidates that may still win, the best first.
pub(super) struct Race<'a, C> {
    facts: &'a Facts<C>,
    pace: &'a Pace,
    now: Instant,
    runners: SmallVec<[Runner<'a, C>; 8]>,
    /// The earliest time at which something changes without an outcome.
    wake: Option<Instant>,
}

/// A candidate that has neither failed nor been adopted.
struct Runner<'a, C> {
    candidate: &'a Candidate<C>,
    host: &'a KnownHost,
    standing: Standing,
    /// The address to dial next, if one is known.
    next: Option<IpAddr>,
}

/// What a race comes to. Candidates go by their numbers, hosts by their places.
pub(super) enum Move {
    Ask(usize, Family),
    Dial(usize, IpAddr),
    Adopt(usize),
    /// Nothing, until then; without a time nothing will ever come of it.
    Wait(Option<Instant>),
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

impl<'a, C> Race<'a, C> {
    pub(super) fn new(facts: &'a Facts<C>, pace: &'a Pace, now: Instant) -> Self {
        let runners = facts.ranked().filter_map(|(candidate, host)| {
            let next = candidate.next_address(host);
            let standing = candidate.standing(host, next)?;
            Some(Runner { candidate, host, standing, next })
        });
        Self { facts, pace, now, runners: runners.collect(), wake: None }
    }

    /// What to do now; when `over`, nothing new is begun and nothing waited for.
    pub(super) fn next_move(mut self, over: bool) -> Move {
        if !over {
            if let Some((host, family)) = self.host_to_ask() {
                return Move::Ask(host, family);
            }
            if let Some((candidate, address)) = self.next_dial() {
                return Move::Dial(candidate, address);
            }
        }
        if let Some(candidate) = self.to_adopt(over) {
            return Move::Adopt(candidate);
        }
        self.wake_when_overdue();
        Move::Wait(self.wake)
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake = Some(self.wake.map_or(time, |earlier| earlier.min(time)));
    }

    /// The next host that a candidate needs asked for, and its family: not while an address that
    /// came with the SRV answer may still do, nor for a candidate behind one that is ready.
    fn host_to_ask(&self) -> Option<(usize, Family)> {
        let unready = |runner: &&Runner<C>| !matches!(runner.standing, Standing::Ready { .. });
        self.runners.iter().take_while(unready).find_map(|runner| {
            let family = runner.host.unasked()?;
            let half_asked = family == Family::V4;
            let address_left = runner.next.is_some() || runner.candidate.is_dialling();
            (half_asked || !address_left).then_some((runner.candidate.host, family))
        })
    }

    /// The next connect, if the pace permits one now: TLS candidates by rank, each behind the head
    /// start of every better one; then clear text, one candidate at a time and never beside TLS.
    fn next_dial(&mut self) -> Option<(usize, IpAddr)> {
        let dials = self.facts.candidates.iter().flat_map(|candidate| &candidate.dials);
        if dials.filter(|dial| dial.is_open()).count() >= CONNECT_LIMIT {
            return None;
        }
        let tls_left = self.facts.open_questions().any(|(q, _)| q.protocol == Protocol::Tls)
            || self.runners.iter().any(|r| r.candidate.rank.protocol == Protocol::Tls);
        let (protocol, head_start) = match tls_left {
            true => (Protocol::Tls, self.pace.head_start),
            false => (Protocol::Tcp, None),
        };
        let mut gate = Gate(Some(self.now));
        let mut from = None;
        for runner in self.runners.iter().filter(|r| r.candidate.rank.protocol == protocol) {
            let rank = runner.candidate.rank;
            for (question, since) in self.facts.open_questions() {
                if question.protocol == protocol && question.row < rank.row {
                    gate.behind(since, head_start);
                }
            }
            if matches!(runner.standing, Standing::Ready { .. }) {
                break;
            }
            if let Some((address, own)) = self.dialable(runner) {
                let start = match runner.candidate.opened {
                    Some(_) => Some(own),
                    None => gate.0.map(|gate| gate.max(own)),
                };
                if start.is_some_and(|start| start <= self.now) {
                    return Some((runner.candidate.number, address));
                }
                from = from.into_iter().chain(start).min();
            }
            match runner.standing {
                // What it was ahead with has failed; a lookup alone holds nobody up.
                Standing::Open { .. } if head_start.is_some() && runner.candidate.has_failed() => {}
                Standing::Open { since } => gate.behind(since, head_start),
                _ => gate = Gate(None),
            }
        }
        from.into_iter().for_each(|from| self.wake_at(from));
        None
    }

    /// The next address of a candidate, and from when on it may be dialled for the candidate's own
    /// sake. [RFC 8305 sections 3 and 5]
    fn dialable(
        &self,
        Runner { candidate, host, next, .. }: &Runner<C>,
    ) -> Option<(IpAddr, Instant)> {
        let address = (*next)?;
        if candidate.is_dialling() {
            let last = candidate.dials.last()?;
            return Some((address, later(last.since, self.pace.address_delay?)));
        }
        let first = candidate.opened.is_none();
        match (&host.v6, host.v4_since) {
            (Lookup::Open { .. }, Some(since))
                if first && address.is_ipv4() && !candidate.came_along.contains(&address) =>
            {
                Some((address, later(since, self.pace.resolution_delay)))
            }
            _ => Some((address, self.now)),
        }
    }

    /// The candidate whose connection to adopt, if no better candidate or question is still worth
    /// waiting for; `at_once` when time is up and there is nothing to wait for any more.
    fn to_adopt(&mut self, at_once: bool) -> Option<usize> {
        let mut ready = self.runners.iter().enumerate();
        let (place, ready, after) = ready.find_map(|(place, runner)| match runner.standing {
            Standing::Ready { after } => Some((place, runner.candidate, after)),
            _ => None,
        })?;
        let wait = self.pace.patience.max(after.saturating_mul(self.pace.patience_in_connects));
        let questions = self.facts.open_questions().filter_map(|(question, since)| {
            let better = (question.protocol, question.row) < (ready.rank.protocol, ready.rank.row);
            better.then_some(since)
        });
        let candidates =
            self.runners.iter().take(place).filter_map(|runner| match runner.standing {
                Standing::Open { since } => Some(since),
                _ => None,
            });
        match questions.chain(candidates).map(|since| later(since, wait)).max() {
            Some(until) if until > self.now && !at_once => {
                self.wake_at(until);
                None
            }
            _ => Some(ready.number),
        }
    }

    /// What is open and still matters is waited for.
    fn wake_when_overdue(&mut self) {
        let questions = self.facts.open_questions().filter_map(|(q, _)| q.lookup.open_until());
        let runners = self.runners.iter().flat_map(|Runner { candidate, host, .. }| {
            let lookups = [&host.v6, &host.v4].into_iter().filter_map(Lookup::open_until);
            let open = candidate.dials.iter().filter(|dial| dial.is_open());
            lookups.chain(open.map(|dial| dial.until))
        });
        self.wake = questions.chain(runners).chain(self.wake).min();
    }
}
