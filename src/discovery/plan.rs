//! The plan: what to do next, and when it is over.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::STEP_LIMIT;
use super::candidate::Rank;
use super::endpoint::{Endpoint, Family};
use super::facts::Facts;
use super::lookup::Lookup;
use super::moment::Moment;
use super::race::{Move, Race};
use super::search::{Place, Search, Settings};
use super::srv::Seed;
use super::step::{
    Connect, Connected, LookupHost, LookupSrv, Outcome, PlanId, Step, Ticket, Token, What,
};
use super::trace::{Conclusion, Entry, Event, Trace};
use crate::address::SipAddress;
use crate::now::later;
use crate::text::WireText;

/// The search for one user's server: a pure machine. See the [module](super).
///
/// `C` is the caller's open connection; the plan only carries it.
#[derive(Debug)]
pub struct DiscoveryPlan<C> {
    id: PlanId,
    /// Counts adoptions: a step from before the last one is worth nothing.
    epoch: u32,
    start: Instant,
    seen: Instant,
    /// The same, by the search's own clock.
    latest: Moment,
    pub(super) deadline: Moment,
    /// Nothing that is open is overdue before.
    pub(super) first_due: Moment,
    state: State,
    steps: usize,
    pub(super) facts: Facts<C>,
    pub(super) trace: Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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
            start: now,
            seen: now,
            latest: Moment::START,
            deadline,
            first_due: deadline,
            state: State::Searching,
            steps: 0,
            facts: Facts::new(),
            trace: Trace::new(address.clone(), search.clone(), seed),
        };
        match &search.settings().place {
            Place::Automatic(order) => plan.put_questions(order),
            Place::Manual(servers) => plan.add_manual(servers),
            Place::Redirect(Endpoint { protocol, host, port }) => {
                let rank = Rank::new(*protocol, 0, 0);
                plan.facts.add_candidate(host.clone(), *port, rank, false);
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
        self.give_up_overdue(now);
        let over = self.bound_reached(now);
        let race = Race::new(&self.facts, &self.search().pace, now);
        let step = match race.next_move(over.is_some()) {
            Move::AskSrv(question) => self.ask_srv(question, now),
            Move::AskHost(host, family) => self.ask_host(host, family, now),
            Move::Dial(candidate, address) => self.dial(candidate, address, now),
            Move::Adopt(candidate) => self.adopt(candidate, now),
            Move::Wait(wake) => {
                let until = wake.filter(|_| over.is_none());
                until.map(|until| Step::Wait { until: self.instant(until.min(self.deadline)) })
            }
        };
        step.unwrap_or_else(|| {
            over.into_iter().for_each(|conclusion| self.conclude(conclusion));
            self.end()
        })
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
        match (self.state, what) {
            (State::Idle { left }, What::Useless { why, search_on }) => {
                self.state = if search_on { State::Searching } else { State::Over };
                self.deadline = now.later(left);
                if search_on {
                    self.log(Entry::Useless(why));
                } else {
                    self.log(Entry::FinalAnswer(why));
                    self.log(Entry::Exhausted);
                }
            }
            (State::Searching, What::Srv(name, learned)) => self.hear_srv(at, name, learned, now),
            (State::Searching, What::Host(host, family, learned)) => {
                self.hear_host(at, host, family, learned, now);
            }
            (State::Searching, What::Connect(endpoint, address, result)) => {
                self.hear_connect(at, endpoint, address, result, now);
            }
            _ => {}
        }
    }

    /// Writes down what the driver made of the adopted connection, such as whether it is compressed.
    /// It changes nothing, and is ignored where no connection is adopted.
    pub fn note(&mut self, what: impl Into<WireText>, now: Instant) {
        self.advance(now);
        if let State::Idle { .. } = self.state {
            self.log(Entry::Noted(what.into()));
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

    fn advance(&mut self, now: Instant) -> Moment {
        if now > self.seen {
            self.seen = now;
            self.latest = Moment::START.later(now.saturating_duration_since(self.start));
        }
        self.latest
    }

    /// By the caller's clock.
    fn instant(&self, moment: Moment) -> Instant {
        later(self.start, moment.since(Moment::START))
    }

    pub(super) fn log(&mut self, entry: Entry) {
        self.trace.events.push(Event { at: self.latest.since(Moment::START), entry });
    }

    pub(super) fn conclude(&mut self, conclusion: Conclusion) {
        self.log(Entry::Concluded(conclusion));
    }

    fn ticket(&self, at: usize) -> Ticket {
        Ticket { plan: self.id, epoch: self.epoch, at }
    }

    /// When a step is given up that begins now.
    fn due(&mut self, now: Moment, limit: Duration) -> Moment {
        let until = now.later(limit).min(self.deadline);
        self.first_due = self.first_due.min(until);
        until
    }
}

/// What to do next.
impl<C> DiscoveryPlan<C> {
    fn ask_srv(&mut self, at: usize, now: Moment) -> Option<Step<C>> {
        let until = self.due(now, self.search().timeouts.lookup);
        let question = self.facts.questions.get_mut(at)?;
        question.lookup = Lookup::Open { since: now, until };
        let name = question.name.clone();
        self.count_step(Entry::AskedSrv(name.clone()));
        Some(Step::LookupSrv(LookupSrv {
            ticket: self.ticket(at),
            name,
            until: self.instant(until),
        }))
    }

    fn ask_host(&mut self, at: usize, family: Family, now: Moment) -> Option<Step<C>> {
        let until = self.due(now, self.search().timeouts.lookup);
        let known = self.facts.hosts.get_mut(at)?;
        *known.lookup_mut(family) = Lookup::Open { since: now, until };
        let host = known.host.name()?.clone();
        self.count_step(Entry::AskedHost(host.clone(), family));
        Some(Step::LookupHost(LookupHost {
            ticket: self.ticket(at),
            host,
            family,
            until: self.instant(until),
        }))
    }

    fn dial(&mut self, number: usize, address: IpAddr, now: Moment) -> Option<Step<C>> {
        let until = self.due(now, self.search().timeouts.connect);
        let candidate = self.facts.candidate_mut(number)?;
        candidate.dial(address, now, until);
        let endpoint = candidate.endpoint.clone();
        self.count_step(Entry::Dialled(endpoint.clone(), address));
        Some(Step::Connect(Connect {
            ticket: self.ticket(number),
            endpoint,
            address,
            until: self.instant(until),
        }))
    }

    fn count_step(&mut self, entry: Entry) {
        self.steps = self.steps.saturating_add(1);
        self.log(entry);
    }

    /// Why no new step may be offered, if so.
    fn bound_reached(&self, now: Moment) -> Option<Conclusion> {
        if now >= self.deadline {
            return Some(Conclusion::Deadline(self.search().timeouts.search));
        }
        if self.steps >= STEP_LIMIT {
            return Some(Conclusion::StepLimit);
        }
        let first = self.search().first_srv_record_only.then(|| self.facts.first_record())?;
        first.map(|endpoint| Conclusion::OnlyFirst(endpoint.clone()))
    }

    /// Adopts a ready connection: everything else that is open is forgotten.
    fn adopt(&mut self, number: usize, now: Moment) -> Option<Step<C>> {
        let candidate = self.facts.candidate_mut(number)?;
        let (address, connection) = candidate.adopt()?;
        let endpoint = candidate.endpoint.clone();
        self.facts.forget_open();
        self.epoch = self.epoch.wrapping_add(1);
        self.state = State::Idle { left: self.deadline.since(now) };
        self.log(Entry::Connected(endpoint.clone(), address));
        let address = SocketAddr::new(address, endpoint.port);
        let token = Token { ticket: self.ticket(number) };
        Some(Step::Connected(Connected { connection, endpoint, address, token }))
    }

    fn end(&mut self) -> Step<C> {
        self.state = State::Over;
        self.log(Entry::Exhausted);
        Step::Exhausted(self.trace.cause())
    }
}
