//! What came of the steps: answers become facts, and what follows from them is said in the trace.

use std::net::IpAddr;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::candidate::{Dial, Dialled, Rank};
use super::endpoint::{Endpoint, Family};
use super::lookup::{Lookup, learn};
use super::moment::Moment;
use super::order::{Protocol, SearchOrder};
use super::plan::DiscoveryPlan;
use super::search::ClearText;
use super::srv::{SrvTarget, order_srv};
use super::trace::{Conclusion, Entry, LimitedThing, Overdue};
use super::{RECORD_LIMIT, TARGET_LIMIT};
use crate::name::{HostName, SrvName};

impl<C> DiscoveryPlan<C> {
    pub(super) fn hear_srv(
        &mut self,
        at: usize,
        name: SrvName,
        learned: Result<Answer<SrvAnswer>, LookupFailure>,
        now: Moment,
    ) {
        let Some(question) = self.facts.questions.get_mut(at) else { return };
        if question.lookup.open_until().is_none_or(|until| until <= now) {
            return;
        }
        let row = question.row;
        match learned {
            Ok(Answer::Found(mut answer)) if !answer.records.is_empty() => {
                question.lookup = Lookup::Found;
                order_srv(&mut answer.records, self.trace.seed().draws(row.into()));
                let line = self.trace.events.len();
                self.take_records(at, &name, &answer);
                self.log_above(line, Entry::AnsweredSrv(name, Ok(Answer::Found(answer))));
            }
            Ok(Answer::Found(_)) => {
                question.lookup = Lookup::Failed(LookupFailure::Malformed);
                self.log(Entry::AnsweredSrv(name, learned));
            }
            Ok(Answer::Absent(_)) => {
                question.lookup = Lookup::Absent;
                self.log(Entry::AnsweredSrv(name, learned));
            }
            Err(ref failure) => {
                question.lookup = Lookup::Failed(failure.clone());
                self.log(Entry::AnsweredSrv(name, learned));
            }
        }
        self.consider_host_rows();
    }

    /// Ordered records become candidates: cut first, the name rule after, so that a refusal never
    /// reshuffles the draw.
    fn take_records(&mut self, at: usize, name: &SrvName, answer: &SrvAnswer) {
        let listed = answer.records.len().min(RECORD_LIMIT);
        let left_out = answer.records.len().saturating_sub(RECORD_LIMIT);
        self.leave_out(left_out, LimitedThing::Records);
        let beyond = |total: usize| total.saturating_sub(TARGET_LIMIT);
        let total: usize = self.facts.questions.iter().map(|q| q.listed).sum();
        let crowded_out = beyond(total.saturating_add(listed)).saturating_sub(beyond(total));
        self.leave_out(crowded_out, LimitedThing::Targets);
        let Some(question) = self.facts.questions.get_mut(at) else { return };
        question.listed = listed;
        let (row, protocol) = (question.row, question.protocol);
        for (record, place) in answer.records.iter().take(RECORD_LIMIT).zip(0..) {
            let host = match &record.target {
                SrvTarget::NotOffered => {
                    self.conclude(Conclusion::NotOffered(name.clone()));
                    continue;
                }
                SrvTarget::Host(host) if record.port != 0 => host,
                target => {
                    self.conclude(Conclusion::Invalid(target.clone(), record.port));
                    continue;
                }
            };
            match self.search().names.admit(host, self.trace.address().domain()) {
                Err(refusal) => self.conclude(Conclusion::Refused(refusal)),
                Ok(trusted) => {
                    let rank = Rank::new(protocol, row, place);
                    let ranked = self.facts.add_candidate(trusted, record.port, rank, true);
                    let Some(candidate) = ranked else { continue };
                    let own = answer.additional.iter().filter(|(owner, _)| owner == host);
                    let own = own.map(|(_, address)| *address);
                    candidate.came_along.clear();
                    let left_out = learn(&mut candidate.came_along, own);
                    self.leave_out(left_out, LimitedThing::Addresses);
                }
            }
        }
        if crowded_out > 0 {
            self.facts.crowd_out();
        }
    }

    pub(super) fn hear_host(
        &mut self,
        at: usize,
        host: HostName,
        family: Family,
        learned: Result<Answer<Vec<IpAddr>>, LookupFailure>,
        now: Moment,
    ) {
        let Some(known) = self.facts.hosts.get_mut(at) else { return };
        let lookup = known.lookup_mut(family);
        if lookup.open_until().is_none_or(|until| until <= now) {
            return;
        }
        let fits = |address: &&IpAddr| Family::of(**address) == family;
        *lookup = match &learned {
            Ok(Answer::Found(all)) if all.iter().any(|a| fits(&a)) => Lookup::Found,
            Ok(Answer::Found(_)) => Lookup::Failed(LookupFailure::Malformed),
            Ok(Answer::Absent(_)) => Lookup::Absent,
            Err(failure) => Lookup::Failed(failure.clone()),
        };
        let line = self.trace.events.len();
        if let Ok(Answer::Found(addresses)) = &learned {
            let found = addresses.iter().filter(fits).copied();
            let left_out = known.learn(found, now);
            self.leave_out(left_out, LimitedThing::Addresses);
        }
        self.log_above(line, Entry::AnsweredHost(host, family, learned));
        self.conclude_host(at);
    }

    /// Says so when the lookups of a host found no address at all.
    fn conclude_host(&mut self, at: usize) {
        let Some(known) = self.facts.hosts.get(at) else { return };
        let found = [&known.v6, &known.v4].into_iter().any(|l| matches!(l, Lookup::Found));
        if found || !known.v6.is_done() || !known.v4.is_done() {
            return;
        }
        let failure = [&known.v6, &known.v4].into_iter().find_map(|lookup| match lookup {
            Lookup::Failed(failure) => Some(failure.clone()),
            _ => None,
        });
        self.conclude(Conclusion::Unresolvable(known.host.clone(), failure));
    }

    pub(super) fn hear_connect(
        &mut self,
        number: usize,
        endpoint: Endpoint,
        address: IpAddr,
        result: Result<C, ConnectFailure>,
        now: Moment,
    ) {
        let Some(candidate) = self.facts.candidate_mut(number) else { return };
        let (connection, result) = match result {
            Ok(connection) => (Some(connection), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        if !candidate.settle(address, connection, now) {
            return;
        }
        let tls_server = result.as_ref().err().is_none_or(|failure| !failure.leaves_clear_text());
        let shown = endpoint.protocol == Protocol::Tls && tls_server && self.may_use_clear_text();
        let shown = shown.then(|| endpoint.clone());
        self.log(Entry::ConnectEnded(endpoint, address, result));
        // Clear text beside it would be a downgrade.
        if let Some(endpoint) = shown {
            self.facts.no_clear_text = true;
            self.conclude(Conclusion::NoClearText(endpoint));
        }
    }

    fn may_use_clear_text(&self) -> bool {
        let tcp_row =
            |order: &SearchOrder| order.rows().iter().any(|r| r.protocol() == Protocol::Tcp);
        self.search().clear_text == ClearText::Allow
            && !self.facts.no_clear_text
            && self.trace.search().order().is_some_and(tcp_row)
    }

    /// Everything open whose time is over has failed as timed out.
    pub(super) fn give_up_overdue(&mut self, now: Moment) {
        if now < self.first_due {
            return;
        }
        self.first_due = self.facts.dues().filter(|due| *due > now).min().unwrap_or(self.deadline);
        for at in 0..self.facts.questions.len() {
            let Some(question) = self.facts.questions.get_mut(at) else { continue };
            if question.lookup.is_overdue(now) {
                question.lookup = Lookup::Failed(LookupFailure::TimedOut);
                let name = question.name.clone();
                self.conclude(Conclusion::TimedOut(Overdue::Srv(name)));
                self.consider_host_rows();
            }
        }
        for at in 0..self.facts.hosts.len() {
            for family in [Family::V6, Family::V4] {
                let Some(known) = self.facts.hosts.get_mut(at) else { continue };
                if !known.lookup(family).is_overdue(now) {
                    continue;
                }
                *known.lookup_mut(family) = Lookup::Failed(LookupFailure::TimedOut);
                let Some(host) = known.host.name().cloned() else { continue };
                self.conclude(Conclusion::TimedOut(Overdue::Host(host, family)));
                self.conclude_host(at);
            }
        }
        for at in 0..self.facts.candidates.len() {
            let overdue = |dial: &&mut Dial<C>| dial.is_open() && dial.until <= now;
            while let Some(candidate) = self.facts.candidates.get_mut(at)
                && let Some(dial) = candidate.dials.iter_mut().find(overdue)
            {
                dial.state = Dialled::Failed;
                let overdue = Overdue::Connect(candidate.endpoint.clone(), dial.address);
                self.conclude(Conclusion::TimedOut(overdue));
            }
        }
    }

    /// An answer stands above what was concluded from it.
    fn log_above(&mut self, line: usize, entry: Entry) {
        self.log(entry);
        if let Some(lines @ [_, _, ..]) = self.trace.events.get_mut(line..) {
            lines.rotate_right(1);
        }
    }

    fn leave_out(&mut self, count: usize, what: LimitedThing) {
        if count > 0 {
            self.conclude(Conclusion::LeftOut { count, what });
        }
    }
}
