//! What a plan looks for: the rows of its order, the servers that were set by hand, the one that is
//! remembered.

use super::candidate::Rank;
use super::endpoint::Endpoint;
use super::last::LastServer;
use super::lookup::{Lookup, Question};
use super::manual::{ManualServer, ManualServers};
use super::order::{Protocol, Row, SearchOrder};
use super::plan::DiscoveryPlan;
use super::search::{ClearText, Place};
use super::trace::Conclusion;
use crate::name::SrvName;
use crate::policy::TrustedHost;

impl<C> DiscoveryPlan<C> {
    pub(super) fn put_questions(&mut self, order: &SearchOrder) {
        let domain = self.trace.address().domain().clone();
        for (entry, row) in order.rows().iter().zip(0..) {
            let Row::Srv { service, protocol } = entry else { continue };
            if *protocol == Protocol::Tcp && self.search().clear_text == ClearText::Forbid {
                continue;
            }
            match SrvName::of_service(service.clone(), &domain) {
                Ok(name) => self.facts.questions.push(Question {
                    row,
                    protocol: *protocol,
                    name,
                    lookup: Lookup::Unasked,
                    listed: 0,
                }),
                Err(error) => {
                    self.facts.unaskable = true;
                    self.conclude(Conclusion::TooLong(error.text));
                }
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
            self.facts.add_candidate(host, port, rank, false);
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
        let same = |endpoint: &Endpoint| {
            (endpoint.protocol, endpoint.host.name(), endpoint.port)
                == (Protocol::Tls, Some(host), *port)
        };
        let known = self.facts.candidates.iter().position(|c| same(&c.endpoint));
        let candidate = match (known, &self.search().place) {
            (Some(known), _) => self.facts.candidates.get_mut(known),
            (None, Place::Automatic(order)) => {
                let built = order.rows().iter().find_map(built);
                match built.map_or_else(|| self.search().names.admit(host, domain), Ok) {
                    Ok(host) => self.facts.add_candidate(host, *port, Rank::REMEMBERED, false),
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
        let (mut failed, mut found) = (None, false);
        for question in &self.facts.questions {
            match &question.lookup {
                Lookup::Unasked | Lookup::Open { .. } => return,
                Lookup::Absent => {}
                Lookup::Found => found = true,
                Lookup::Failed(failure) => {
                    failed = failed.or(Some((question.name.clone(), failure.clone())));
                }
            }
        }
        if self.facts.host_rows || found {
            return;
        }
        self.facts.host_rows = true;
        let sure = failed.is_none() && !self.facts.unaskable;
        match failed {
            Some((name, failure)) if !self.search().hosts_after_failed_lookups => {
                self.conclude(Conclusion::NoHostRows(name, failure));
            }
            _ if !sure && !self.search().hosts_after_failed_lookups => {}
            _ => self.add_host_rows(sure),
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
                    self.facts.add_candidate(host, *port, rank, false);
                }
                Err(error) => self.conclude(Conclusion::TooLong(error.text)),
            }
        }
    }
}
