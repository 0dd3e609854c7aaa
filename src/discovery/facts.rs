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
    /// All addresses, each with its owner: by owner, then in the order they came.
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
            self.hosts.push(KnownHost {
                host: host.clone(),
                v6: lookup.clone(),
                v4: lookup,
                v4_since: None,
            });
            self.learn(Owner::Host(at), ip.into_iter());
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
                    latest: None,
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
        let v4 = self.owned(Owner::Host(at)).iter().any(|(_, ip)| ip.is_ipv4());
        if let Some(host) = self.hosts.get_mut(at).filter(|host| host.v4_since.is_none()) {
            host.v4_since = v4.then_some(now);
        }
        left_out
    }

    /// Keeps distinct addresses, of each family as many as could be dialled; returns how many more
    /// of this owner's are now beyond the limit.
    fn learn(&mut self, owner: Owner, addresses: impl Iterator<Item = IpAddr>) -> usize {
        let beyond = |count: usize| count.saturating_sub(ADDRESS_LIMIT);
        let before = self.owned(owner).len();
        let (mut learned, mut crowd) = (before, Vec::new());
        for address in addresses {
            let known = self.owned(owner).iter().any(|(_, ip)| *ip == address);
            if known || crowd.contains(&address) {
                continue;
            }
            learned = learned.saturating_add(1);
            let family = Family::of(address);
            let kept = self.owned(owner).iter().filter(|(_, ip)| Family::of(*ip) == family);
            if kept.count() < ADDRESS_LIMIT {
                let end = self.addresses.partition_point(|(of, _)| *of <= owner);
                self.addresses.insert(end, (owner, address));
            } else {
                crowd.push(address);
            }
        }
        beyond(learned).saturating_sub(beyond(before))
    }

    /// The addresses of one owner, in the order they came.
    fn owned(&self, owner: Owner) -> &[(Owner, IpAddr)] {
        let end = self.addresses.partition_point(|(of, _)| *of <= owner);
        let before = self.addresses.get(..end).unwrap_or_default();
        before.get(before.partition_point(|(of, _)| *of < owner)..).unwrap_or_default()
    }

    /// Of two connections of one candidate, the first one counts; the other is dropped.
    pub(super) fn keep_first_ready(&mut self, candidate: usize, newest: usize) {
        let second = self.dials_of(candidate).filter(|(_, dial)| dial.is_ready()).count() > 1;
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
                self.next_address(at, candidate).is_some()
                    || self.dials_of(at).any(|(_, dial)| dial.is_open())
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

    /// The dials of a candidate with their numbers, the latest first.
    pub(super) fn dials_of(&self, candidate: usize) -> impl Iterator<Item = (usize, &Dial<C>)> {
        let numbered = |number: usize| Some((number, self.dials.get(number)?));
        let latest = self.candidates.get(candidate).and_then(|c| c.latest);
        std::iter::successors(latest.and_then(numbered), move |(_, dial)| {
            dial.before.and_then(numbered)
        })
    }

    /// Adds a dial to a candidate's.
    pub(super) fn push_dial(&mut self, mut dial: Dial<C>) {
        if let Some(candidate) = self.candidates.get_mut(dial.candidate) {
            dial.before = candidate.latest.replace(self.dials.len());
            self.dials.push(dial);
        }
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
            for (number, dial) in self.dials_of(at) {
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
        let last = self.dials_of(at).next().map(|(_, dial)| Family::of(dial.address));
        let turn = if last == Some(Family::V6) { Family::V4 } else { Family::V6 };
        [Owner::Candidate(at), Owner::Host(candidate.host)].into_iter().find_map(|owner| {
            let fresh = |family: Family| {
                let mut own = self.owned(owner).iter().map(|(_, ip)| *ip);
                let next = own.find(|ip| Family::of(*ip) == family && !self.dialled(at, *ip));
                next.filter(|_| self.has_share(at, candidate, owner, family))
            };
            fresh(turn).or_else(|| fresh(turn.other())).map(|ip| (owner, ip))
        })
    }

    fn dialled(&self, candidate: usize, address: IpAddr) -> bool {
        self.dials_of(candidate).any(|(_, dial)| dial.address == address)
    }

    /// Whether a family has some of its share of the limit of addresses left. Half is sure; what
    /// the other family leaves comes on top once its answer is known, so that the arrival of the
    /// answers does not decide which addresses are dialled.
    fn has_share(&self, at: usize, candidate: &Candidate, owner: Owner, family: Family) -> bool {
        let (Owner::Host(_), Some(host)) = (owner, self.hosts.get(candidate.host)) else {
            return true;
        };
        let came_along = self.owned(Owner::Candidate(at));
        let room = ADDRESS_LIMIT.saturating_sub(came_along.len());
        let half = room / 2;
        let (own_half, other_half) = match family {
            Family::V6 => (room.saturating_sub(half), half),
            Family::V4 => (half, room.saturating_sub(half)),
        };
        let asked = |of: Family| {
            let own = self.owned(owner).iter().map(|(_, ip)| *ip);
            own.filter(move |ip| {
                Family::of(*ip) == of && came_along.iter().all(|(_, known)| known != ip)
            })
        };
        let share = if host.lookup(family.other()).is_done() {
            room.saturating_sub(asked(family.other()).count().min(other_half))
        } else {
            own_half
        };
        asked(family).filter(|ip| self.dialled(at, *ip)).count() < share
    }

    /// Forgets what is open, as an adoption demands: it counts as never offered. Answers that came,
    /// and failures, are kept.
    pub(super) fn forget_open(&mut self) {
        self.questions.iter_mut().for_each(|q| q.lookup.forget());
        self.hosts.iter_mut().for_each(KnownHost::forget_open);
        for candidate in &mut self.candidates {
            candidate.opened = None;
            candidate.last_dial = None;
            candidate.latest = None;
        }
        for dial in std::mem::take(&mut self.dials) {
            if matches!(dial.state, Dialled::Failed) {
                self.push_dial(dial);
            }
        }
    }
}
