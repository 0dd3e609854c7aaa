//! What a plan knows: facts, never phases.
//!
//! Everything here is either an answer that came or a step that is open; what to do next is derived
//! from it. So late, unordered and missing answers need no case of their own.

use std::net::IpAddr;
use std::time::Instant;

use super::candidate::{Candidate, Dial, Dialled, Owner, Rank, Standing};
use super::endpoint::{Endpoint, Family};
use super::lookup::{KnownHost, Lookup, Question};
use super::order::Protocol;
use super::{ADDRESS_LIMIT, TARGET_LIMIT};
use crate::policy::TrustedHost;

/// The books of a plan.
#[derive(Debug)]
pub(super) struct Facts<C> {
    pub(super) questions: Vec<Question>,
    pub(super) hosts: Vec<KnownHost>,
    /// All addresses, each with its owner, in the order they came.
    pub(super) addresses: Vec<(Owner, IpAddr)>,
    pub(super) candidates: Vec<Candidate>,
    /// The candidates by rank.
    pub(super) ranking: Vec<usize>,
    pub(super) dials: Vec<Dial<C>>,
    /// Whether the host rows have been decided on.
    pub(super) host_rows: bool,
    /// A question of the order could not be put, its name being too long.
    pub(super) unaskable: bool,
    /// A TLS server has shown itself.
    pub(super) no_clear_text: bool,
}

impl<C> Facts<C> {
    pub(super) fn new() -> Self {
        Self {
            questions: Vec::with_capacity(4),
            hosts: Vec::with_capacity(8),
            addresses: Vec::with_capacity(16),
            candidates: Vec::with_capacity(8),
            ranking: Vec::with_capacity(8),
            dials: Vec::with_capacity(8),
            host_rows: false,
            unaskable: false,
            no_clear_text: false,
        }
    }

    /// Adds a candidate, or finds it, then under the better of its two ranks. Returns its number if
    /// `rank` is the one it now has.
    pub(super) fn add_candidate(
        &mut self,
        host: TrustedHost,
        port: u16,
        rank: Rank,
        from_srv: bool,
    ) -> Option<usize> {
        let known = self.hosts.iter().position(|known| known.host.host() == host.host());
        let at = known.unwrap_or(self.hosts.len());
        if known.is_none() {
            let ip = host.ip();
            let lookup = if ip.is_some() { Lookup::Found } else { Lookup::Unasked };
            self.addresses.extend(ip.map(|ip| (Owner::Host(at), ip)));
            self.hosts.push(KnownHost {
                host: host.clone(),
                v6: lookup.clone(),
                v4: lookup,
                v4_since: None,
            });
        }
        let same = |c: &Candidate| {
            c.host == at && c.endpoint.port == port && c.rank.protocol == rank.protocol
        };
        let number = self.candidates.iter().position(same).unwrap_or(self.candidates.len());
        match self.candidates.get_mut(number) {
            Some(candidate) if candidate.rank <= rank => return None,
            Some(candidate) => candidate.rank = rank,
            None => {
                self.ranking.push(number);
                self.candidates.push(Candidate {
                    endpoint: Endpoint { protocol: rank.protocol, host, port },
                    host: at,
                    rank,
                    from_srv,
                    spent: false,
                    opened: None,
                    last_dial: None,
                });
            }
        }
        let candidates = &self.candidates;
        self.ranking.sort_by_key(|&number| candidates.get(number).map(|c| c.rank));
        Some(number)
    }

    /// Keeps the addresses that came with the SRV answer of a candidate, in place of those of an
    /// answer that ranked it lower; returns how many are beyond the limit.
    pub(super) fn bring_addresses(
        &mut self,
        candidate: usize,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> usize {
        let owner = Owner::Candidate(candidate);
        self.addresses.retain(|(of, _)| *of != owner);
        self.learn(owner, addresses)
    }

    /// Keeps the addresses that a lookup found; returns how many are beyond the limit.
    pub(super) fn learn_addresses(
        &mut self,
        at: usize,
        addresses: impl Iterator<Item = IpAddr>,
        now: Instant,
    ) -> usize {
        let left_out = self.learn(Owner::Host(at), addresses);
        let v4 = |(of, ip): &(Owner, IpAddr)| *of == Owner::Host(at) && ip.is_ipv4();
        if let Some(host) = self.hosts.get_mut(at).filter(|host| host.v4_since.is_none()) {
            host.v4_since = self.addresses.iter().any(v4).then_some(now);
        }
        left_out
    }

    /// Keeps distinct addresses, of each family as many as could be dialled; returns how many more
    /// of this owner's are now beyond the limit.
    fn learn(&mut self, owner: Owner, addresses: impl Iterator<Item = IpAddr>) -> usize {
        let before = self.owned(owner).count();
        let mut fresh: Vec<IpAddr> = Vec::new();
        for address in addresses {
            if !fresh.contains(&address) && self.owned(owner).all(|known| known != address) {
                fresh.push(address);
            }
        }
        let beyond = |count: usize| count.saturating_sub(ADDRESS_LIMIT);
        let left_out = beyond(before.saturating_add(fresh.len())).saturating_sub(beyond(before));
        for family in [Family::V6, Family::V4] {
            let fits = |ip: &IpAddr| Family::of(*ip) == family;
            let kept = self.owned(owner).filter(fits).count();
            let room = ADDRESS_LIMIT.saturating_sub(kept);
            let new = fresh.iter().copied().filter(fits).take(room);
            self.addresses.extend(new.map(|ip| (owner, ip)));
        }
        left_out
    }

    fn owned(&self, owner: Owner) -> impl Iterator<Item = IpAddr> + Clone {
        self.addresses.iter().filter(move |(of, _)| *of == owner).map(|(_, ip)| *ip)
    }

    /// Of two connections of one candidate, the first one counts; the other is dropped.
    pub(super) fn keep_first_ready(&mut self, candidate: usize, newest: usize) {
        let second = self.dials_of(candidate).filter(|dial| dial.is_ready()).count() > 1;
        if let Some(dial) = self.dials.get_mut(newest).filter(|_| second) {
            dial.state = Dialled::Failed;
        }
    }

    /// The next host that a candidate needs asked for, and its family: not while an address that
    /// came with the SRV answer may still do, nor for a candidate behind one that is ready.
    pub(super) fn host_to_ask(&self) -> Option<(usize, Family)> {
        if self.hosts.iter().all(|host| host.unasked().is_none()) {
            return None;
        }
        for (at, candidate) in self.ranked() {
            match self.standing(at, candidate) {
                Standing::Ready(_) => return None,
                Standing::Settled => continue,
                Standing::Open(_) | Standing::Waiting => {}
            }
            let host = self.hosts.get(candidate.host)?;
            let Some(family) = host.unasked() else { continue };
            let half_asked = family == Family::V4;
            let address_left = || {
                self.next_address(at, candidate).is_some() || self.dials_of(at).any(Dial::is_open)
            };
            if half_asked || !address_left() {
                return Some((candidate.host, family));
            }
        }
        None
    }

    /// The best record's endpoint, once it is certain which is best and it failed.
    pub(super) fn first_record(&self) -> Option<&Endpoint> {
        let (at, first) = self.ranked().find(|(_, c)| c.from_srv)?;
        let key = (first.rank.protocol, first.rank.row);
        let certain = self.open_questions().all(|(q, _)| (q.protocol, q.row) > key);
        let failed = self.standing(at, first) == Standing::Settled;
        (certain && failed).then_some(&first.endpoint)
    }

    /// The candidate of this number with the best rank first, without those beyond the limit of
    /// targets and those in clear text that is no longer tried.
    pub(super) fn ranked(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        let numbered = |&at: &usize| Some((at, self.candidates.get(at)?));
        self.ranking.iter().filter_map(numbered).filter(|(_, c)| self.counts(c))
    }

    fn counts(&self, candidate: &Candidate) -> bool {
        if candidate.rank.protocol == Protocol::Tcp && self.no_clear_text {
            return false;
        }
        let better =
            |q: &&Question| (q.protocol, q.row) < (candidate.rank.protocol, candidate.rank.row);
        let before: usize = self.questions.iter().filter(better).map(|q| q.listed).sum();
        !candidate.from_srv || before.saturating_add(candidate.rank.place) < TARGET_LIMIT
    }

    /// SRV questions that can still change which candidate comes next.
    pub(super) fn open_questions(&self) -> impl Iterator<Item = (&Question, Instant)> {
        let matters = |q: &&Question| q.protocol == Protocol::Tls || !self.no_clear_text;
        self.questions.iter().filter(matters).filter_map(Question::open)
    }

    pub(super) fn dials_of(&self, candidate: usize) -> impl Iterator<Item = &Dial<C>> {
        self.dials.iter().filter(move |dial| dial.candidate == candidate)
    }

    pub(super) fn open_dials(&self) -> usize {
        self.dials.iter().filter(|dial| dial.is_open()).count()
    }

    pub(super) fn standing(&self, at: usize, candidate: &Candidate) -> Standing {
        let Some(host) = self.hosts.get(candidate.host).filter(|_| !candidate.spent) else {
            return Standing::Settled;
        };
        let asked = host.open_since();
        if let Some(opened) = candidate.opened {
            let mut open = asked.is_some();
            for (number, dial) in self.dials.iter().enumerate().filter(|(_, d)| d.candidate == at) {
                match dial.state {
                    Dialled::Ready { .. } => return Standing::Ready(number),
                    Dialled::Open => open = true,
                    Dialled::Failed => {}
                }
            }
            if open {
                return Standing::Open(opened);
            }
        } else if let Some(since) = asked {
            return Standing::Open(since);
        }
        if host.unasked().is_some() || self.next_address(at, candidate).is_some() {
            Standing::Waiting
        } else {
            Standing::Settled
        }
    }

    /// The address of this candidate to dial next, with its owner: those that came with the SRV
    /// answer before those that were asked for, the families in turn, IPv6 first (RFC 8305
    /// section 4), each address once.
    pub(super) fn next_address(&self, at: usize, candidate: &Candidate) -> Option<(Owner, IpAddr)> {
        if self.dials_of(at).count() >= ADDRESS_LIMIT {
            return None;
        }
        let last = self.dials_of(at).last().map(|dial| Family::of(dial.address));
        let turn = if last == Some(Family::V6) { Family::V4 } else { Family::V6 };
        [Owner::Candidate(at), Owner::Host(candidate.host)].into_iter().find_map(|owner| {
            let dialled = |ip: IpAddr| self.dials_of(at).any(|dial| dial.address == ip);
            let mut fresh = self.owned(owner).filter(|ip| !dialled(*ip));
            let in_turn = fresh.clone().find(|ip| Family::of(*ip) == turn);
            in_turn.or_else(|| fresh.next()).map(|ip| (owner, ip))
        })
    }

    /// Forgets what is open, as an adoption demands: it counts as never offered. Answers that came,
    /// and failures, are kept.
    pub(super) fn forget_open(&mut self) {
        self.questions.iter_mut().for_each(|q| q.lookup.forget());
        self.hosts.iter_mut().for_each(KnownHost::forget_open);
        self.dials.retain(|dial| matches!(dial.state, Dialled::Failed));
        for candidate in &mut self.candidates {
            candidate.opened = None;
            candidate.last_dial = None;
        }
    }
}
