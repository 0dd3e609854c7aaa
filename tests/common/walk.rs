//! The driver: walks a plan through a world in virtual time, to its end.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Answer, Cause, DiscoveryPlan, Family, LookupFailure, Outcome, Search, Seed, Step, Token, Trace,
};
use sip_signin::{HostName, Origin, SipAddress, SrvName};

use super::world::{After, DialSays, HostSays, Lead, SrvSays, World, beginning, jeremy};

/// What happened: the plan's steps, and what the plan heard in time.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    AskSrv(SrvName),
    AskHost(HostName, Family),
    Dial(Lead, IpAddr, Origin),
    Adopt(Lead, IpAddr),
    Exhausted(Cause),
    HeardSrv(SrvName, Said),
    HeardHost(HostName, Family, Said),
    HeardDial(Lead, IpAddr, DialSays),
    /// The token of the adopted connection came back.
    Returned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Found,
    Absent,
    Failed,
    /// Not in time.
    Nothing,
}

/// One walk.
pub struct Run {
    pub log: Vec<(Duration, Deed)>,
    pub trace: Trace,
    /// How long connections were adopted, in total.
    pub idle: Duration,
    pub polls: usize,
}

/// An open connection; the counter knows how many there are.
pub struct Wire(Rc<Cell<usize>>);

impl Wire {
    pub fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl World {
    /// Walks a plan to its end.
    pub fn run(&self, search: &Search, seed: Seed) -> Run {
        self.run_for(&jeremy(), search, seed)
    }

    pub fn run_for(&self, address: &SipAddress, search: &Search, seed: Seed) -> Run {
        let start = beginning();
        let plan = DiscoveryPlan::new(address, search, seed, start);
        let walk = Walk {
            world: self,
            plan,
            start,
            now: start,
            told: false,
            epoch: 0,
            pending: Vec::new(),
            adopted: None,
            left: self.useless,
            wires: Rc::default(),
            log: Vec::new(),
            idle: Duration::ZERO,
            polls: 0,
        };
        walk.finish()
    }
}

struct Pending {
    due: Option<Instant>,
    until: Instant,
    epoch: usize,
    deed: Deed,
    outcome: Outcome<Wire>,
}

struct Walk<'a> {
    world: &'a World,
    plan: DiscoveryPlan<Wire>,
    start: Instant,
    now: Instant,
    told: bool,
    epoch: usize,
    pending: Vec<Pending>,
    adopted: Option<(Wire, Token, Instant)>,
    left: usize,
    wires: Rc<Cell<usize>>,
    log: Vec<(Duration, Deed)>,
    idle: Duration,
    polls: usize,
}

impl Walk<'_> {
    fn finish(mut self) -> Run {
        loop {
            let wake = self.drain();
            if matches!(self.log.last(), Some((_, Deed::Exhausted(_)))) {
                return self.close();
            }
            let fidget = self.world.manners.fidget.map(|ms| self.now + Duration::from_millis(ms));
            let fidget = fidget.filter(|_| wake.is_some());
            let due = self.pending.iter().filter_map(|p| p.due).min();
            let back = self.adopted.as_ref().map(|(_, _, back)| *back);
            let next = [wake, fidget, due, back].into_iter().flatten().min();
            let next = next.expect("an idle plan is owed its token");
            (self.now, self.told) = (next, next == self.now && self.told);
            self.deliver();
        }
    }

    fn log(&mut self, deed: Deed) {
        self.log.push((self.now.duration_since(self.start), deed));
    }

    /// The time to tell the plan.
    fn time(&mut self) -> Instant {
        let told = std::mem::replace(&mut self.told, true);
        if told && self.world.manners.backwards { self.start } else { self.now }
    }

    fn expect<T>(
        &mut self,
        after: After<T>,
        until: Instant,
        deed: impl FnOnce(&T) -> Deed,
        outcome: impl FnOnce(T) -> Outcome<Wire>,
    ) {
        let due = after.ms.map(|ms| self.now + Duration::from_millis(ms));
        if !self.world.manners.lazy && due.is_none_or(|due| due > until) {
            return;
        }
        let deed = deed(&after.says);
        let outcome = outcome(after.says);
        self.pending.push(Pending { due, until, epoch: self.epoch, deed, outcome });
    }

    /// Polls until there is nothing to do; then, when to poll again.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            self.polls += 1;
            assert!(self.polls < 20_000, "this never ends");
            let time = self.time();
            self.fold();
            match self.plan.poll_step(time) {
                Step::LookupSrv(step) => {
                    assert!(step.until() > self.now);
                    let name = step.name().clone();
                    self.log(Deed::AskSrv(name.clone()));
                    let after = self.world.asked_srv(&name);
                    let until = step.until();
                    let deed = |says: &SrvSays| Deed::HeardSrv(name, said(says));
                    self.expect(after, until, deed, |says| step.answer(says));
                }
                Step::LookupHost(step) => {
                    assert!(step.until() > self.now);
                    let (name, family) = (step.host().clone(), step.family());
                    self.log(Deed::AskHost(name.clone(), family));
                    let after = self.world.asked_host(&name, family);
                    let until = step.until();
                    let deed = |says: &HostSays| Deed::HeardHost(name, family, said(says));
                    self.expect(after, until, deed, |says| step.answer(says));
                }
                Step::Connect(step) => {
                    assert!(step.until() > self.now);
                    assert_eq!(step.address().port(), step.endpoint().port);
                    let lead = Lead::of(step.endpoint());
                    let (address, origin) = (step.address().ip(), step.endpoint().host.origin());
                    self.log(Deed::Dial(lead.clone(), address, origin));
                    let after = self.world.dialled(&lead, address);
                    let (until, wires) = (step.until(), self.wires.clone());
                    let deed = |says: &DialSays| Deed::HeardDial(lead, address, says.clone());
                    // A connection that is still being made is none yet: the wire is counted later.
                    self.expect(after, until, deed, |says| match says {
                        Ok(()) => step.established(Wire::new(&wires)),
                        Err(failure) => step.failed(failure),
                    });
                }
                Step::Wait { until } => {
                    assert!(until > self.now, "a wait for the past");
                    assert!(self.adopted.is_none(), "waiting, and adopted");
                    return Some(until);
                }
                Step::Connected(connected) => {
                    assert!(self.adopted.is_none(), "adopted twice");
                    assert_eq!(connected.address.port(), connected.endpoint.port);
                    let lead = Lead::of(&connected.endpoint);
                    self.log(Deed::Adopt(lead, connected.address.ip()));
                    let back = self.now + Duration::from_millis(self.world.hold);
                    self.adopted = Some((connected.connection, connected.token, back));
                    self.epoch += 1;
                    if !self.world.manners.lazy {
                        self.pending.clear();
                    }
                    self.count_wires(1);
                }
                Step::Idle => {
                    assert!(self.adopted.is_some(), "idle, and nothing adopted");
                    return None;
                }
                Step::Exhausted(cause) => {
                    assert!(self.adopted.is_none(), "exhausted, and adopted");
                    self.log(Deed::Exhausted(cause));
                    return None;
                }
            }
        }
    }

    /// Every connection is adopted, not yet handed in, or dropped.
    fn count_wires(&self, held: usize) {
        let open = |p: &&Pending| matches!(p.deed, Deed::HeardDial(_, _, Ok(())));
        let outside = self.pending.iter().filter(open).count();
        assert_eq!(self.wires.get(), held + outside, "a connection leaked");
    }

    fn deliver(&mut self) {
        while let Some(at) = self.earliest_due() {
            let Pending { until, epoch, deed, outcome, .. } = self.pending.remove(at);
            let heard = epoch == self.epoch && self.adopted.is_none() && self.now <= until;
            if heard {
                self.log(deed);
            }
            let time = self.time();
            self.fold();
            self.plan.handle(outcome, time);
            if self.adopted.is_some() {
                self.count_wires(1);
            }
            if self.world.manners.prompt {
                self.drain();
                if matches!(self.log.last(), Some((_, Deed::Exhausted(_)))) {
                    self.log.pop();
                    return;
                }
            }
        }
        if let Some((wire, token, _)) = self.adopted.take_if(|(_, _, back)| *back <= self.now) {
            self.idle += Duration::from_millis(self.world.hold);
            drop(wire);
            self.log(Deed::Returned);
            let time = self.time();
            let useless = self.left > 0;
            self.left = self.left.saturating_sub(1);
            let outcome =
                if useless { token.useless("503") } else { token.final_answer("403 Forbidden") };
            self.fold();
            self.plan.handle(outcome, time);
            self.count_wires(0);
        }
    }

    fn fold(&mut self) {
        if self.world.manners.folds {
            let unborn = DiscoveryPlan::new(&jeremy(), &Search::default(), Seed(0), self.start);
            self.plan = std::mem::replace(&mut self.plan, unborn).fold().unfold();
        }
    }

    fn earliest_due(&self) -> Option<usize> {
        let due = |(at, p): (usize, &Pending)| Some((p.due.filter(|due| *due <= self.now)?, at));
        self.pending.iter().enumerate().filter_map(due).min().map(|(_, at)| at)
    }

    /// The end lasts: whatever comes now, the plan says the same and keeps nothing.
    fn close(mut self) -> Run {
        self.now += Duration::from_secs(60);
        for pending in std::mem::take(&mut self.pending) {
            self.plan.handle(pending.outcome, self.now);
        }
        let Step::Exhausted(again) = self.plan.poll_step(self.now) else {
            panic!("after the end something came");
        };
        assert_eq!(self.log.last().map(|(_, deed)| deed), Some(&Deed::Exhausted(again)));
        assert_eq!(self.wires.get(), 0, "a connection leaked");
        let trace = self.plan.trace().clone();
        Run { log: self.log, trace, idle: self.idle, polls: self.polls }
    }
}

fn said<T>(says: &Result<Answer<T>, LookupFailure>) -> Said {
    match says {
        Ok(Answer::Found(_)) => Said::Found,
        Ok(Answer::Absent(_)) => Said::Absent,
        Err(_) => Said::Failed,
    }
}

/// The trace, for the message of a failed assertion.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.trace)
    }
}

impl Run {
    /// Only what the plan asked for, with times.
    pub fn steps(&self) -> Vec<(Duration, Deed)> {
        let heard = |deed: &Deed| {
            matches!(
                deed,
                Deed::HeardSrv(..) | Deed::HeardHost(..) | Deed::HeardDial(..) | Deed::Returned
            )
        };
        self.log.iter().filter(|(_, deed)| !heard(deed)).cloned().collect()
    }

    pub fn adopted(&self) -> Vec<Lead> {
        let lead = |(_, deed): &(Duration, Deed)| match deed {
            Deed::Adopt(lead, _) => Some(lead.clone()),
            _ => None,
        };
        self.log.iter().filter_map(lead).collect()
    }

    pub fn dials(&self) -> Vec<(Lead, IpAddr)> {
        let dial = |(_, deed): &(Duration, Deed)| match deed {
            Deed::Dial(lead, address, _) => Some((lead.clone(), *address)),
            _ => None,
        };
        self.log.iter().filter_map(dial).collect()
    }

    pub fn cause(&self) -> &Cause {
        match self.log.last() {
            Some((_, Deed::Exhausted(cause))) => cause,
            _ => panic!("a run ends exhausted"),
        }
    }
}
