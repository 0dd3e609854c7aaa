//! The plan: what to do next, and when it is over.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::STEP_LIMIT;
use super::candidate::Rank;
use super::endpoint::{Endpoint, Family};
use super::entry::Conclusion;
use super::facts::Facts;
use super::line::Line;
use super::lookup::Lookup;
use super::moment::{Limits, Moment};
use super::race::{Move, Race};
use super::search::{Place, Search, Settings};
use super::srv::Seed;
use super::step::{
    Connect, Connected, LookupHost, LookupSrv, Outcome, PlanId, Step, Ticket, Token, What,
};
use super::trace::Trace;
use crate::address::SipAddress;
use crate::now::later;
use crate::policy::TrustedHost;
use crate::text::WireText;

/// The search for one user's server: a pure machine. See the [module](super).
///
/// `C` is the caller's open connection; the plan only carries it.
#[derive(Debug)]
pub struct DiscoveryPlan<C> {
    pub(super) id: PlanId,
    /// Counts adoptions: a step from before the last one is worth nothing.
    pub(super) epoch: u16,
    pub(super) steps: u16,
    /// The latest time that a caller told, by its own clock and by the search's.
    pub(super) seen: Instant,
    pub(super) latest: Moment,
    pub(super) deadline: Moment,
    /// Nothing that is open is overdue before.
    pub(super) first_due: Moment,
    pub(super) state: State,
    pub(super) facts: Facts<C>,
    pub(super) trace: Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Searching,
    /// A connection is adopted; this much of the search's time is left.
    Idle {
        left: Duration,
    },
    Over,
}

impl<C> DiscoveryPlan<C> {
    /// Plans the search for the server of `address`; it begins at `now`.
    pub fn new(address: &SipAddress, search: &Search, seed: Seed, now: Instant) -> Self {
        let deadline = Moment::START.later(search.timeouts().search);
        let mut plan = Self {
            id: PlanId::unique(),
            epoch: 0,
            steps: 0,
            seen: now,
            latest: Moment::START,
            deadline,
            first_due: deadline,
            state: State::Searching,
            facts: Facts::new(),
            trace: Trace::new(address.clone(), search.clone(), seed),
        };
        match &search.settings().place {
            Place::Automatic(order) => plan.put_questions(order),
            Place::Manual(servers) => plan.add_manual(servers),
            Place::Redirect(Endpoint { protocol, host, port }) => {
                let rank = Rank::new(*protocol, 0, 0);
                plan.add_candidate(host.clone(), *port, rank, false);
            }
        }
        search.last().iter().for_each(|last| plan.remember(last));
        plan
    }

    /// The next step. Poll until it is [`Step::Wait`], [`Step::Idle`] or [`Step::Exhausted`]; then
    /// again after the next [`handle`](Self::handle), or when the wait is over.
    ///
    /// A `now` before the latest one seen counts as the latest.
    pub fn poll_step(&mut self, now: Instant) -> Step<C> {
        let now = self.advance(now);
        match self.state {
            State::Searching => {}
            State::Idle { .. } => return Step::Idle,
            State::Over => return Step::Exhausted(self.trace.cause()),
        }
        if now >= self.first_due {
            self.give_up_overdue(now);
        }
        let over = self.bound_reached(now);
        let race = Race::new(&self.facts, &self.search().pace, self.limits(), now);
        match race.next_move(over.is_some()) {
            Move::AskSrv(row) => self.ask_srv(row, now),
            Move::AskHost(host, family) => self.ask_host(host, family, now),
            Move::Dial(candidate, address) => self.dial(candidate, address, now),
            Move::Adopt(candidate) => self.adopt(candidate, now),
            Move::Wait(Some(until)) if over.is_none() => {
                Step::Wait { until: self.instant(until.min(self.deadline)) }
            }
            Move::Wait(_) => {
                over.into_iter().for_each(|over| self.log(Line::Concluded(over)));
                self.end()
            }
        }
    }

    /// Takes what became of a step.
    ///
    /// An outcome that no longer counts is dropped, with its connection: from another plan, from
    /// before the last adoption, or at or after the step's `until`.
    pub fn handle(&mut self, outcome: Outcome<C>, now: Instant) {
        let now = self.advance(now);
        let Outcome { ticket: Ticket { plan, epoch, at }, what } = outcome;
        if (plan, epoch) != (self.id, self.epoch) {
            return;
        }
        match what {
            What::Useless { why, search_on } => {
                let State::Idle { left } = self.state else { return };
                self.state = if search_on { State::Searching } else { State::Over };
                self.deadline = now.later(left);
                if search_on {
                    self.log(Line::Useless(why));
                } else {
                    self.log(Line::FinalAnswer(why));
                    self.log(Line::Exhausted);
                }
            }
            _ if self.state != State::Searching => {}
            What::Srv(learned) => self.hear_srv(at, learned, now),
            What::Host(family, learned) => self.hear_host(at, family, learned, now),
            What::Connect(address, result) => self.hear_connect(at, address, result, now),
        }
    }

    /// Writes down what the driver made of the adopted connection, such as whether it is compressed.
    /// It changes nothing, and is ignored where no connection is adopted.
    pub fn note(&mut self, what: impl Into<WireText>, now: Instant) {
        self.advance(now);
        if let State::Idle { .. } = self.state {
            self.log(Line::Noted(what.into()));
        }
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The same, when it is over.
    pub fn into_trace(self) -> Trace {
        self.trace
    }

    pub(super) fn search(&self) -> &Settings {
        self.trace.search().settings()
    }

    pub(super) fn advance(&mut self, now: Instant) -> Moment {
        if now > self.seen {
            self.latest = self.latest.later(now.saturating_duration_since(self.seen));
            self.seen = now;
        }
        self.latest
    }

    /// By the caller's clock; it is not over yet.
    fn instant(&self, moment: Moment) -> Instant {
        later(self.seen, moment.since(self.latest))
    }

    #[inline(always)]
    pub(super) fn log(&mut self, line: Line) {
        self.trace.log(self.latest, line);
    }

    pub(super) fn conclude(&mut self, conclusion: impl Into<Option<Conclusion>>) {
        if let Some(conclusion) = conclusion.into() {
            self.log(Line::Concluded(conclusion));
        }
    }

    pub(super) fn ticket(&self, at: u16) -> Ticket {
        Ticket { plan: self.id, epoch: self.epoch, at }
    }

    fn limits(&self) -> Limits<'_> {
        Limits::of(self.trace.search(), self.deadline)
    }

    /// By the caller's clock, when a step is given up that begins now.
    fn until(&mut self, due: Moment) -> Instant {
        self.first_due = self.first_due.min(due);
        self.instant(due)
    }
}

/// What to do next.
impl<C> DiscoveryPlan<C> {
    fn ask_srv(&mut self, row: u16, now: Moment) -> Step<C> {
        let until = self.until(self.limits().lookup(now));
        let Some(name) = self.trace.question(row) else { return self.end() };
        let Some(question) = self.facts.question_mut(row) else { return self.end() };
        question.lookup = Lookup::Open(now);
        self.count_step(Line::AskedSrv(row));
        Step::LookupSrv(LookupSrv { ticket: self.ticket(row), name, until })
    }

    fn ask_host(&mut self, place: u16, family: Family, now: Moment) -> Step<C> {
        let until = self.until(self.limits().lookup(now));
        let host = self.trace.host(place).and_then(TrustedHost::name).cloned();
        let Some(host) = host else { return self.end() };
        let Some(known) = self.facts.host_mut(place) else { return self.end() };
        *known.lookup_mut(family) = Lookup::Open(now);
        self.count_step(Line::AskedHost(place, family));
        Step::LookupHost(LookupHost { ticket: self.ticket(place), host, family, until })
    }

    fn dial(&mut self, number: u16, address: IpAddr, now: Moment) -> Step<C> {
        let until = self.until(self.limits().connect(now));
        let Some(candidate) = self.facts.candidate_mut(number) else { return self.end() };
        let server = candidate.server();
        let Some(endpoint) = self.trace.endpoint(server) else { return self.end() };
        candidate.dial(address, now);
        self.count_step(Line::Dialled(server, address));
        Step::Connect(Connect { ticket: self.ticket(number), endpoint, address, until })
    }

    fn count_step(&mut self, line: Line) {
        self.steps = self.steps.saturating_add(1);
        self.log(line);
    }

    /// Why no new step may be offered, if so.
    fn bound_reached(&self, now: Moment) -> Option<Conclusion> {
        if now >= self.deadline {
            return Some(Conclusion::Deadline(self.search().timeouts.search));
        }
        if usize::from(self.steps) >= STEP_LIMIT {
            return Some(Conclusion::StepLimit);
        }
        let first = self.search().first_srv_record_only.then(|| self.facts.first_record())?;
        Some(Conclusion::OnlyFirst(self.trace.endpoint(first?)?))
    }

    /// Adopts a ready connection: everything else that is open is forgotten.
    fn adopt(&mut self, number: u16, now: Moment) -> Step<C> {
        let Some(candidate) = self.facts.candidate_mut(number) else { return self.end() };
        let server = candidate.server();
        let Some(endpoint) = self.trace.endpoint(server) else { return self.end() };
        let Some((ip, connection)) = candidate.adopt() else { return self.end() };
        self.facts.forget_open();
        self.epoch = self.epoch.wrapping_add(1);
        self.state = State::Idle { left: self.deadline.since(now) };
        self.log(Line::Connected(server, ip));
        let address = SocketAddr::new(ip, server.port);
        let token = Token { ticket: self.ticket(number) };
        Step::Connected(Connected { connection, endpoint, address, token })
    }

    fn end(&mut self) -> Step<C> {
        self.state = State::Over;
        self.log(Line::Exhausted);
        Step::Exhausted(self.trace.cause())
    }
}
