//! Who may start beside whom, and who has waited long enough: the pace, applied to the facts.

use std::net::IpAddr;
use std::time::Duration;

use super::CONNECT_LIMIT;
use super::candidate::{Candidate, Standing};
use super::endpoint::Family;
use super::facts::Facts;
use super::lookup::{KnownHost, Lookup};
use super::moment::{Limits, Moment};
use super::order::Protocol;
use super::pace::Pace;

/// The facts as they stand at one moment, and the settings by which they are judged.
pub(super) struct Race<'a, C> {
    facts: &'a Facts<C>,
    pace: &'a Pace,
    limits: Limits<'a>,
    now: Moment,
    /// The earliest time at which something changes without an outcome.
    wake: Option<Moment>,
}

/// What a race comes to. Questions go by their rows, hosts by their places, candidates by their numbers.
pub(super) enum Move {
    AskSrv(u16),
    AskHost(u16, Family),
    Dial(u16, IpAddr),
    Adopt(u16),
    /// Nothing, until then; without a time nothing will ever come of it.
    Wait(Option<Moment>),
}

/// From when on the next candidate may start: never before a better one settled, or then.
#[derive(Clone, Copy)]
struct Gate(Option<Moment>);

impl Gate {
    /// Something better has been open since then; it has its head start.
    fn behind(&mut self, since: Moment, head_start: Option<Duration>) {
        let after = head_start.map(|head| since.later(head));
        self.0 = self.0.zip(after).map(|(gate, after)| gate.max(after));
    }
}

impl<'a, C> Race<'a, C> {
    pub(super) fn new(
        facts: &'a Facts<C>,
        pace: &'a Pace,
        limits: Limits<'a>,
        now: Moment,
    ) -> Self {
        Self { facts, pace, limits, now, wake: None }
    }

    /// What to do now; when `over`, nothing new is begun and nothing waited for.
    #[inline]
    pub(super) fn next_move(mut self, over: bool) -> Move {
        if !over {
            if !self.remembered_is_alone() {
                if let Some(question) = self.srv_to_ask() {
                    return Move::AskSrv(question);
                }
                if let Some((host, family)) = self.host_to_ask() {
                    return Move::AskHost(host, family);
                }
            }
            if let Some((candidate, address)) = self.next_dial() {
                return Move::Dial(candidate, address);
            }
        }
        if let Some(candidate) = self.adoptable(over) {
            return Move::Adopt(candidate);
        }
        self.wake_when_overdue();
        Move::Wait(self.wake)
    }

    /// Whether a remembered server has its head start, in which nothing is asked.
    #[inline]
    fn remembered_is_alone(&mut self) -> bool {
        let Some((candidate, host)) = self.facts.remembered() else { return false };
        let (Standing::Open { since }, Some(head_start)) =
            (candidate.standing(host), self.pace.head_start)
        else {
            return true;
        };
        let end = since.later(head_start);
        if end > self.now {
            self.wake_at(end);
        }
        end > self.now
    }

    /// The SRV questions are put all at once, in the order of the rows.
    fn srv_to_ask(&self) -> Option<u16> {
        let mut questions = self.facts.questions.iter();
        questions.find(|q| matches!(q.lookup, Lookup::Unasked)).map(|q| q.row)
    }

    /// The next host that a candidate needs asked for, and its family: not while an address that
    /// came with the SRV answer may still do, nor for a candidate behind one that is ready.
    #[inline]
    fn host_to_ask(&self) -> Option<(u16, Family)> {
        if self.facts.hosts.iter().all(|host| host.unasked().is_none()) {
            return None;
        }
        for (candidate, host) in self.facts.in_the_race() {
            if candidate.is_ready() {
                break;
            }
            let Some(family) = host.unasked() else { continue };
            let half_asked = family == Family::V4;
            let address_left = || candidate.is_dialling() || candidate.next_address(host).is_some();
            if half_asked || !address_left() {
                return Some((candidate.host, family));
            }
        }
        None
    }

    /// The next connect, if the pace permits one now: TLS candidates by rank, each behind the head
    /// start of every better one; then clear text, one candidate at a time and never beside TLS.
    fn next_dial(&mut self) -> Option<(u16, IpAddr)> {
        let asked = self.facts.open_questions().map(|(question, _)| question.protocol).min();
        let mut tls_left = asked == Some(Protocol::Tls);
        let mut gate = Gate(Some(self.now));
        for (candidate, host) in self.facts.in_the_race() {
            let is_tls = candidate.rank.protocol == Protocol::Tls;
            if tls_left && !is_tls {
                break;
            }
            let head_start = self.pace.head_start.filter(|_| is_tls);
            if asked.is_some() {
                for (question, since) in self.facts.open_questions() {
                    if candidate.rank.is_behind(question) {
                        gate.behind(since, head_start);
                    }
                }
            }
            let standing = candidate.standing(host);
            if standing == Standing::Ready {
                break;
            }
            let next = candidate.next_address(host);
            if standing == Standing::Idle && next.is_none() && host.unasked().is_none() {
                continue;
            }
            tls_left |= is_tls;
            if let Some(address) = next
                && let Some(own) = self.own_start(candidate, host, address)
                && let Some(start) = match candidate.opened() {
                    Some(_) => Some(own),
                    None => gate.0.map(|gate| gate.max(own)),
                }
            {
                if self.facts.open_dials() >= CONNECT_LIMIT {
                    return None;
                }
                if start <= self.now {
                    return Some((candidate.number, address));
                }
                self.wake_at(start);
            }
            match standing {
                // What it was ahead with has failed; a lookup alone holds nobody up.
                Standing::Open { .. } if head_start.is_some() && candidate.dials_failed() => {}
                Standing::Open { since } => gate.behind(since, head_start),
                _ => gate = Gate(None),
            }
        }
        None
    }

    /// From when on the next address of a candidate may be dialled for the candidate's own sake.
    /// [RFC 8305 sections 3 and 5]
    fn own_start(
        &self,
        candidate: &Candidate<C>,
        host: &KnownHost,
        address: IpAddr,
    ) -> Option<Moment> {
        if candidate.is_dialling() {
            let last = candidate.dials.last()?;
            return Some(last.since.later(self.pace.address_delay?));
        }
        let looked_up = || !candidate.came_along.contains(&address);
        match (&host.v6, &host.v4) {
            (Lookup::Open(_), Lookup::Found(since))
                if address.is_ipv4() && candidate.opened().is_none() && looked_up() =>
            {
                Some(since.later(self.pace.resolution_delay))
            }
            _ => Some(self.now),
        }
    }

    /// The candidate whose connection to adopt, if no better candidate or question is still worth
    /// waiting for; `at_once` when time is up and there is nothing to wait for any more.
    fn adoptable(&mut self, at_once: bool) -> Option<u16> {
        let ready = |(c, _): (&'a Candidate<C>, _)| Some((c, c.ready_after()?));
        let (ready, after) = self.facts.in_the_race().find_map(ready)?;
        let questions = self.facts.open_questions().filter(|(q, _)| ready.rank.is_behind(q));
        let candidates = self.facts.in_the_race().take_while(|(c, _)| c.rank < ready.rank);
        let candidates = candidates.filter_map(|(better, host)| match better.standing(host) {
            Standing::Open { since } => Some(since),
            _ => None,
        });
        let since = questions.map(|(_, since)| since).chain(candidates).max();
        let until = since.filter(|_| !at_once).map(|since| {
            let connects = after.saturating_mul(self.pace.patience_in_connects);
            since.later(self.pace.patience.max(connects))
        });
        if let Some(until) = until.filter(|until| *until > self.now) {
            self.wake_at(until);
            return None;
        }
        Some(ready.number)
    }

    /// What is open and still matters is waited for.
    fn wake_when_overdue(&mut self) {
        let limits = self.limits;
        let questions = self.facts.open_questions().map(|(_, since)| limits.lookup(since));
        let candidates = self.facts.in_the_race();
        let candidates = candidates.flat_map(|(c, host)| c.dues(limits).chain(host.dues(limits)));
        self.wake = questions.chain(candidates).chain(self.wake).min();
    }

    fn wake_at(&mut self, time: Moment) {
        self.wake = Some(self.wake.map_or(time, |earlier| earlier.min(time)));
    }
}
