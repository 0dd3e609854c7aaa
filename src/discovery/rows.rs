//! What a plan looks for: the rows of its order, the servers that were set by hand, the one that is
//! remembered.

use super::TARGET_LIMIT;
use super::answer::LookupFailure;
use super::candidate::{Candidate, Rank};
use super::entry::Conclusion;
use super::last::LastServer;
use super::line::Server;
use super::lookup::{KnownHost, Lookup, Question};
use super::manual::{ManualServer, ManualServers};
use super::order::{Protocol, Row, SearchOrder};
use super::plan::DiscoveryPlan;
use super::search::{ClearText, Place};
use crate::name::SrvName;
use crate::policy::TrustedHost;
use crate::text::WireText;

impl<C> DiscoveryPlan<C> {
    pub(super) fn put_questions(&mut self, order: &SearchOrder) {
        for (entry, row) in order.rows().iter().zip(0..) {
            let &Row::Srv { ref service, protocol } = entry else { continue };
            if protocol == Protocol::Tcp && self.search().clear_text == ClearText::Forbid {
                continue;
            }
            if SrvName::fits(service, self.trace.address().domain()) {
                let lookup = Lookup::Unasked;
                self.facts.questions.push(Question { row, protocol, listed: 0, lookup });
            } else {
                self.facts.unaskable = true;
                let name = self.trace.question(row);
                let printed = name.map(|name| WireText::new(name.to_string()));
                self.conclude(printed.map(Conclusion::TooLong));
            }
        }
        self.consider_host_rows();
    }

    pub(super) fn add_manual(&mut self, servers: &ManualServers) {
        for (server, row) in [&servers.internal, &servers.external].into_iter().zip(0..) {
            let Some(ManualServer { host, port }) = server else { continue };
            let rank = Rank::new(servers.protocol, row, 0);
            let host = TrustedHost::set_by_administrator(host.clone());
            let port = port.unwrap_or(servers.protocol.default_port());
            self.add_candidate(host, port, rank, false);
        }
    }

    /// A server that is remembered is put to the name rule as one that DNS names. Of one that is to be
    /// tried anyway, in a place of its own, only the address is new.
    pub(super) fn remember(&mut self, LastServer { host, port, address }: &LastServer) {
        let domain = self.trace.address().domain();
        let built = |row: &Row| {
            let Row::Host { label, .. } = row else { return None };
            TrustedHost::built(label, domain).ok().filter(|built| built.name() == Some(host))
        };
        let same = |server: Server| {
            let name = self.trace.host(server.host).and_then(TrustedHost::name);
            (server.protocol, name, server.port) == (Protocol::Tls, Some(host), *port)
        };
        let known = self.facts.candidates.iter().position(|c| same(c.server()));
        let candidate = match (known, &self.search().place) {
            (Some(known), _) => self.facts.candidates.get_mut(known),
            (None, Place::Automatic(order)) => {
                let built = order.rows().iter().find_map(built);
                match built.map_or_else(|| self.search().names.admit(host, domain), Ok) {
                    Ok(host) => self.add_candidate(host, *port, Rank::REMEMBERED, false),
                    Err(refusal) => return self.conclude(Conclusion::Forgotten(refusal)),
                }
            }
            (None, _) => None,
        };
        candidate.into_iter().for_each(|candidate| candidate.came_along.push(*address));
    }

    /// The host rows join only if every SRV question is known to be absent: a record that is
    /// refused or a lookup that failed proves nothing. The knob lets failures count, for TLS rows.
    ///
    /// > If these records do not exist, Communicator queries for host (A) records
    /// > [...] (not if they are not valid; only if they do not exist at all) [seed, article 1]
    pub(super) fn consider_host_rows(&mut self) {
        let nothing_found = |q: &Question| matches!(q.lookup, Lookup::Absent | Lookup::Failed(_));
        if self.facts.questions.iter().all(nothing_found) {
            self.decide_on_host_rows();
        }
    }

    /// Once in a search at most, for what has been answered is not asked again; and not at all in one
    /// whose questions found something.
    #[cold]
    fn decide_on_host_rows(&mut self) {
        let failed = self.facts.questions.iter().find_map(|question| match &question.lookup {
            Lookup::Failed(failure) => Some((question.row, LookupFailure::clone(failure))),
            _ => None,
        });
        let sure = failed.is_none() && !self.facts.unaskable;
        if sure || self.search().hosts_after_failed_lookups {
            self.add_host_rows(sure);
        } else if let Some((row, failure)) = failed {
            let name = self.trace.question(row);
            self.conclude(name.map(|name| Conclusion::NoHostRows(name, failure)));
        }
    }

    fn add_host_rows(&mut self, sure: bool) {
        let Some(order) = self.trace.search().order().cloned() else { return };
        let domain = self.trace.address().domain().clone();
        let clear_text = sure && self.search().clear_text == ClearText::Allow;
        if order.rows().iter().any(|row| matches!(row, Row::Host { .. })) {
            self.conclude(Conclusion::HostRows);
        }
        for (entry, row) in order.rows().iter().zip(0..) {
            let Row::Host { label, protocol, port } = entry else { continue };
            if *protocol == Protocol::Tcp && !clear_text {
                continue;
            }
            let rank = Rank::new(*protocol, row, 0);
            match TrustedHost::built(label, &domain) {
                Ok(host) => {
                    self.add_candidate(host, *port, rank, false);
                }
                Err(error) => self.conclude(Conclusion::TooLong(error.text)),
            }
        }
    }

    /// Makes room for the servers of an answer. Where there is too little, the other questions are
    /// expected to name as many each, so that the lists grow once.
    pub(super) fn expect_servers(&mut self, count: usize) {
        let candidates = &self.facts.candidates;
        if candidates.capacity().saturating_sub(candidates.len()) >= count {
            return;
        }
        let open =
            self.facts.questions.iter().filter(|question| !question.lookup.is_done()).count();
        let count = count.saturating_mul(open.saturating_add(1)).min(TARGET_LIMIT).max(count);
        self.facts.candidates.reserve_exact(count);
        self.facts.hosts.reserve_exact(count);
        self.trace.expect_hosts(count);
    }

    /// Adds a candidate, as [`Facts`](super::facts::Facts) has it.
    pub(super) fn add_candidate(
        &mut self,
        host: TrustedHost,
        port: u16,
        rank: Rank,
        from_srv: bool,
    ) -> Option<&mut Candidate<C>> {
        let ip = host.ip();
        let host = self.trace.place_of(host);
        if usize::from(host) == self.facts.hosts.len() {
            self.facts.hosts.push(KnownHost::new(ip));
        }
        let server = Server { protocol: rank.protocol, host, port };
        self.facts.add_candidate(server, rank, from_srv)
    }
}
