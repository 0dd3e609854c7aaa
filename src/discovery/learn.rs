//! What came of the steps: answers become facts, and what follows from them is said in the trace.

use std::net::IpAddr;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::candidate::{Dial, Dialled, Rank};
use super::endpoint::Family;
use super::entry::{Conclusion, LimitedThing, Overdue};
use super::line::Line;
use super::lines::LinePlace;
use super::lookup::{Lookup, learn};
use super::moment::{Limits, Moment};
use super::order::{Protocol, SearchOrder};
use super::plan::DiscoveryPlan;
use super::search::ClearText;
use super::srv::{SrvTarget, order_srv};
use super::{RECORD_LIMIT, TARGET_LIMIT};
use crate::policy::TrustedHost;

impl<C> DiscoveryPlan<C> {
    pub(super) fn hear_srv(
        &mut self,
        row: u16,
        mut learned: Result<Answer<SrvAnswer>, LookupFailure>,
        now: Moment,
    ) {
        if let Ok(Answer::Found(answer)) = &mut learned {
            order_srv(&mut answer.records, self.trace.seed().draws(row.into()));
        }
        self.hear_ordered_srv(row, learned, now);
    }

    /// The same, of records that are in their order.
    pub(super) fn hear_ordered_srv(
        &mut self,
        row: u16,
        learned: Result<Answer<SrvAnswer>, LookupFailure>,
        now: Moment,
    ) {
        let limits = Limits::of(self.trace.search(), self.deadline);
        let Some(question) = self.facts.question_mut(row) else { return };
        if question.lookup.open_until(limits).is_none_or(|until| until <= now) {
            return;
        }
        question.lookup = match &learned {
            Ok(Answer::Found(answer)) if answer.records.is_empty() => {
                Lookup::failed(LookupFailure::Malformed)
            }
            Ok(Answer::Found(_)) => Lookup::Found(now),
            Ok(Answer::Absent(_)) => Lookup::Absent,
            Err(failure) => Lookup::failed(failure.clone()),
        };
        let line = self.trace.end();
        if let Ok(Answer::Found(answer)) = &learned {
            self.take_records(row, answer);
        }
        self.log_above(line, Line::AnsweredSrv(row, learned));
        self.consider_host_rows();
    }

    /// Ordered records become candidates: cut first, the name rule after, so that a refusal never
    /// reshuffles the draw.
    fn take_records(&mut self, row: u16, answer: &SrvAnswer) {
        let listed = answer.records.len().min(RECORD_LIMIT);
        let left_out = answer.records.len().saturating_sub(RECORD_LIMIT);
        self.leave_out(left_out, LimitedThing::Records);
        let beyond = |total: usize| total.saturating_sub(TARGET_LIMIT);
        let total: usize = self.facts.questions.iter().map(|q| usize::from(q.listed)).sum();
        let crowded_out = beyond(total.saturating_add(listed)).saturating_sub(beyond(total));
        self.leave_out(crowded_out, LimitedThing::Targets);
        let Some(question) = self.facts.question_mut(row) else { return };
        question.listed = listed.try_into().unwrap_or(u8::MAX);
        let protocol = question.protocol;
        self.expect_servers(listed);
        for (record, place) in answer.records.iter().take(RECORD_LIMIT).zip(0..) {
            let host = match &record.target {
                SrvTarget::NotOffered => {
                    self.conclude(self.trace.question(row).map(Conclusion::NotOffered));
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
                    let ranked = self.add_candidate(trusted, record.port, rank, true);
                    let Some(candidate) = ranked else { continue };
                    candidate.came_along.clear();
                    if answer.additional.is_empty() {
                        continue;
                    }
                    let own = answer.additional.iter().filter(|(owner, _)| owner == host);
                    let own = own.map(|(_, address)| *address);
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
        host: u16,
        family: Family,
        learned: Result<Answer<Vec<IpAddr>>, LookupFailure>,
        now: Moment,
    ) {
        let limits = Limits::of(self.trace.search(), self.deadline);
        let Some(known) = self.facts.host_mut(host) else { return };
        let lookup = known.lookup_mut(family);
        if lookup.open_until(limits).is_none_or(|until| until <= now) {
            return;
        }
        let fits = |address: &&IpAddr| Family::of(**address) == family;
        *lookup = match &learned {
            Ok(Answer::Found(all)) if all.iter().any(|a| fits(&a)) => Lookup::Found(now),
            Ok(Answer::Found(_)) => Lookup::failed(LookupFailure::Malformed),
            Ok(Answer::Absent(_)) => Lookup::Absent,
            Err(failure) => Lookup::failed(failure.clone()),
        };
        let line = self.trace.end();
        if let Ok(Answer::Found(addresses)) = &learned {
            let found = addresses.iter().filter(fits).copied();
            let left_out = learn(&mut known.addresses, found);
            self.leave_out(left_out, LimitedThing::Addresses);
        }
        self.log_above(line, Line::AnsweredHost(host, family, learned));
        self.conclude_host(host);
    }

    /// Says so when the lookups of a host found no address at all.
    fn conclude_host(&mut self, host: u16) {
        let Some(known) = self.facts.host_mut(host) else { return };
        let failure = match (&known.v6, &known.v4) {
            (Lookup::Absent, Lookup::Absent) => None,
            (Lookup::Failed(failure), Lookup::Absent | Lookup::Failed(_))
            | (Lookup::Absent, Lookup::Failed(failure)) => Some(LookupFailure::clone(failure)),
            _ => return,
        };
        let host = self.trace.host(host).cloned();
        self.conclude(host.map(|host| Conclusion::Unresolvable(host, failure)));
    }

    pub(super) fn hear_connect(
        &mut self,
        number: u16,
        address: IpAddr,
        result: Result<C, ConnectFailure>,
        now: Moment,
    ) {
        let limits = Limits::of(self.trace.search(), self.deadline);
        let Some(candidate) = self.facts.candidate_mut(number) else { return };
        let (connection, result) = match result {
            Ok(connection) => (Some(connection), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        if !candidate.settle(address, connection, limits, now) {
            return;
        }
        let server = candidate.server();
        let tls_server = result.as_ref().err().is_none_or(|failure| !failure.leaves_clear_text());
        let shown = server.protocol == Protocol::Tls && tls_server;
        self.log(Line::ConnectEnded(server, address, result));
        // Clear text beside it would be a downgrade.
        if shown && self.may_use_clear_text() {
            self.facts.no_clear_text = true;
            self.conclude(self.trace.endpoint(server).map(Conclusion::NoClearText));
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
    #[cold]
    pub(super) fn give_up_overdue(&mut self, now: Moment) {
        let timeouts = self.search().timeouts;
        let limits = Limits { timeouts: &timeouts, deadline: self.deadline };
        let dues = self.facts.dues(limits).filter(|due| *due > now);
        self.first_due = dues.min().unwrap_or(self.deadline);
        let is_overdue = |lookup: &Lookup| lookup.open_until(limits).is_some_and(|due| due <= now);
        for at in 0..self.facts.questions.len() {
            let Some(question) = self.facts.questions.get_mut(at) else { continue };
            if is_overdue(&question.lookup) {
                question.lookup = Lookup::failed(LookupFailure::TimedOut);
                let overdue = self.trace.question(question.row).map(Overdue::Srv);
                self.conclude(overdue.map(Conclusion::TimedOut));
                self.consider_host_rows();
            }
        }
        for (at, _) in (0u16..).zip(0..self.facts.hosts.len()) {
            for family in [Family::V6, Family::V4] {
                let Some(known) = self.facts.host_mut(at) else { continue };
                if !is_overdue(known.lookup(family)) {
                    continue;
                }
                *known.lookup_mut(family) = Lookup::failed(LookupFailure::TimedOut);
                let name = self.trace.host(at).and_then(TrustedHost::name).cloned();
                let overdue = name.map(|name| Overdue::Host(name, family));
                self.conclude(overdue.map(Conclusion::TimedOut));
                self.conclude_host(at);
            }
        }
        for at in 0..self.facts.candidates.len() {
            let overdue = |dial: &&mut Dial| dial.open_until(limits).is_some_and(|due| due <= now);
            while let Some(candidate) = self.facts.candidates.get_mut(at)
                && let Some(dial) = candidate.dials.iter_mut().find(overdue)
            {
                dial.state = Dialled::Failed;
                let address = dial.address;
                let endpoint = self.trace.endpoint(candidate.server());
                let overdue = endpoint.map(|endpoint| Overdue::Connect(endpoint, address));
                self.conclude(overdue.map(Conclusion::TimedOut));
            }
        }
    }

    /// An answer stands above what was concluded from it.
    #[inline(always)]
    fn log_above(&mut self, place: LinePlace, line: Line) {
        self.trace.log_above(place, self.latest, line);
    }

    fn leave_out(&mut self, count: usize, what: LimitedThing) {
        if count > 0 {
            self.conclude(Conclusion::LeftOut { count, what });
        }
    }
}
