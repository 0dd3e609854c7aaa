//! A plan driven by hand, step by step, for scenes in which the very time or order matters.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sip_signin::discovery::{
    Absence, Answer, Cause, Connect, ConnectFailure, Connected, DiscoveryPlan, Family, LookupHost,
    LookupSrv, Outcome, Search, Seed, SrvAnswer, SrvRecord, Step,
};

use crate::walk::Wire;
use crate::world::{Lead, beginning, jeremy};
use crate::zones::Settings;

/// The plan and what it offered and is still owed.
pub struct Scene {
    pub plan: DiscoveryPlan<Wire>,
    start: Instant,
    now: Instant,
    pub wires: Rc<Cell<usize>>,
    pub srv: VecDeque<LookupSrv>,
    pub hosts: VecDeque<LookupHost>,
    pub dials: VecDeque<Connect>,
    pub connected: Option<Connected<Wire>>,
    pub wait: Option<Duration>,
    pub cause: Option<Cause>,
}

pub fn records(records: &[(u16, u16, u16, &str)]) -> SrvAnswer {
    let record = |r: &(u16, u16, u16, &str)| SrvRecord::new(r.0, r.1, r.2, r.3);
    SrvAnswer { records: records.iter().map(record).collect(), additional: Vec::new() }
}

pub fn with(mut answer: SrvAnswer, additional: &[(&str, &str)]) -> SrvAnswer {
    let pair = |(name, ip): &(&str, &str)| (crate::world::host(name), ip.parse().unwrap());
    answer.additional = additional.iter().map(pair).collect();
    answer
}

impl Scene {
    pub fn new(settings: &Settings) -> Self {
        Self::of(&settings.search())
    }

    pub fn of(search: &Search) -> Self {
        let start = beginning();
        let mut scene = Self {
            plan: DiscoveryPlan::new(&jeremy(), search, Seed(0), start),
            start,
            now: start,
            wires: Rc::default(),
            srv: VecDeque::new(),
            hosts: VecDeque::new(),
            dials: VecDeque::new(),
            connected: None,
            wait: None,
            cause: None,
        };
        scene.drain();
        scene
    }

    /// Takes every step that is offered now.
    pub fn drain(&mut self) {
        self.wait = None;
        loop {
            match self.plan.poll_step(self.now) {
                Step::LookupSrv(step) => self.srv.push_back(step),
                Step::LookupHost(step) => self.hosts.push_back(step),
                Step::Connect(step) => self.dials.push_back(step),
                Step::Connected(connected) => self.connected = Some(connected),
                Step::Wait { until } => {
                    self.wait = Some(until.duration_since(self.start));
                    return;
                }
                Step::Idle => return,
                Step::Exhausted(cause) => {
                    self.cause = Some(cause);
                    return;
                }
            }
        }
    }

    /// Lets time pass without news, until so many milliseconds after the start; every wait on the
    /// way is kept.
    pub fn pass(&mut self, ms: u64) {
        let goal = self.start + Duration::from_millis(ms);
        while let Some(wait) = self.wait
            && self.start + wait < goal
        {
            self.now = self.start + wait;
            self.drain();
        }
        self.now = goal;
        self.drain();
    }

    /// Lets time pass without a poll.
    pub fn oversleep(&mut self, ms: u64) {
        self.now = self.start + Duration::from_millis(ms);
    }

    pub fn hand_in(&mut self, outcome: Outcome<Wire>) {
        self.plan.handle(outcome, self.now);
        self.drain();
    }

    /// Answers the oldest SRV question.
    pub fn answer(&mut self, answer: SrvAnswer) {
        let step = self.srv.pop_front().expect("an srv question");
        self.hand_in(step.answer(Ok(Answer::Found(answer))));
    }

    pub fn absent(&mut self) {
        let step = self.srv.pop_front().expect("an srv question");
        self.hand_in(step.answer(Ok(Answer::Absent(Absence::NoSuchName))));
    }

    /// Answers the question for a family of a host; no address: absent.
    pub fn address(&mut self, host: &str, family: Family, addresses: &[&str]) {
        let this = |s: &LookupHost| s.host().as_str() == host && s.family() == family;
        let at = self.hosts.iter().position(this).expect("a host question");
        let step = self.hosts.remove(at).unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let answer = match addresses.is_empty() {
            true => Answer::Absent(Absence::NoData),
            false => Answer::Found(addresses),
        };
        self.hand_in(step.answer(Ok(answer)));
    }

    /// Takes out a dial that is under way.
    pub fn take(&mut self, lead: &str) -> Connect {
        let this = |s: &Connect| Lead::of(s.endpoint()) == Lead::read(lead);
        let at =
            self.dials.iter().position(this).unwrap_or_else(|| panic!("{lead} is not dialled"));
        self.dials.remove(at).unwrap()
    }

    pub fn establish(&mut self, lead: &str) {
        let step = self.take(lead);
        let wire = Wire::new(&self.wires);
        self.hand_in(step.established(wire));
    }

    pub fn fail(&mut self, lead: &str, failure: ConnectFailure) {
        let step = self.take(lead);
        self.hand_in(step.failed(failure));
    }

    /// What is being dialled: leads and addresses, in the order offered.
    pub fn dialling(&self) -> Vec<String> {
        let show = |s: &Connect| format!("{} {}", s.endpoint(), s.address().ip());
        self.dials.iter().map(show).collect()
    }

    /// What is asked of DNS about hosts.
    pub fn asking(&self) -> Vec<String> {
        self.hosts.iter().map(|s| format!("{} {}", s.family(), s.host())).collect()
    }

    pub fn adopted(&self) -> Option<String> {
        self.connected.as_ref().map(|connected| connected.endpoint.to_string())
    }

    /// Hands the token of the adopted connection back: another server may mend it.
    pub fn useless(&mut self) {
        let Connected { token, .. } = self.connected.take().expect("an adopted connection");
        self.hand_in(token.useless("503"));
    }
}
