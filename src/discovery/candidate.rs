//! The servers that a plan may try, and its connects to them.

use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::ADDRESS_LIMIT;
use super::endpoint::Family;
use super::line::Server;
use super::lookup::{Addresses, KnownHost, Question};
use super::moment::Moment;
use super::order::Protocol;

/// A place in the order of candidates: TLS before TCP, then the row, then the place in the answer.
/// The limits of the search keep the numbers small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) protocol: Protocol,
    /// Whether this search found it; one that is only remembered comes first.
    pub(super) found: bool,
    pub(super) row: u16,
    pub(super) place: u8,
}

impl Rank {
    /// That of a server which let the user in before, until this search finds it too.
    pub(super) const REMEMBERED: Self =
        Self { protocol: Protocol::Tls, found: false, row: 0, place: 0 };

    pub(super) fn new(protocol: Protocol, row: u16, place: u8) -> Self {
        Self { protocol, found: true, row, place }
    }

    /// Whether what this question finds is better.
    pub(super) fn is_behind(self, question: &Question) -> bool {
        self.found && (question.protocol, question.row) < (self.protocol, self.row)
    }
}

/// One protocol, host and port, and the connects to it.
#[derive(Debug)]
pub(super) struct Candidate<C> {
    /// The same whatever its rank becomes.
    pub(super) number: u16,
    pub(super) server: Server,
    pub(super) rank: Rank,
    pub(super) from_srv: bool,
    /// Better targets fill the limit of targets.
    pub(super) crowded_out: bool,
    /// It was adopted once; it is never offered again.
    pub(super) spent: bool,
    /// Its first dial since the last adoption.
    pub(super) opened: Option<Moment>,
    /// The addresses that came with the SRV answer that ranks it; they are for no other.
    pub(super) came_along: Addresses,
    /// Its connects, the latest last; inline while there is only one.
    pub(super) dials: SmallVec<[Dial<C>; 1]>,
}

/// One connect.
#[derive(Debug)]
pub(super) struct Dial<C> {
    pub(super) address: IpAddr,
    pub(super) since: Moment,
    pub(super) until: Moment,
    pub(super) state: Dialled<C>,
}

#[derive(Debug)]
pub(super) enum Dialled<C> {
    Open,
    Ready { connection: C, at: Moment },
    Failed,
}

impl<C> Dial<C> {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, Dialled::Open)
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, Dialled::Ready { .. })
    }
}

/// How a candidate stands, in the eyes of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has a connection.
    Ready,
    /// It is being dialled or resolved: since its first dial, or else since its host was asked for.
    Open { since: Moment },
    /// Neither; it has failed once no address is left and nothing to ask for.
    Idle,
}

/// The first of the family whose turn it is, or else the first.
fn in_turn<'a>(mut from: impl Iterator<Item = &'a IpAddr>, turn: Family) -> Option<&'a IpAddr> {
    let first = from.next()?;
    let is_its = |ip: &&IpAddr| Family::of(**ip) == turn;
    if is_its(&first) { Some(first) } else { from.find(is_its).or(Some(first)) }
}

impl<C> Candidate<C> {
    pub(super) fn new(number: u16, server: Server, rank: Rank, from_srv: bool) -> Self {
        Self {
            number,
            server,
            rank,
            from_srv,
            crowded_out: false,
            spent: false,
            opened: None,
            came_along: Addresses::new(),
            dials: SmallVec::new(),
        }
    }

    /// The same, with the next of the `ready` connections in the place of its own if it has one.
    pub(super) fn with_connection<D>(self, ready: &mut impl Iterator<Item = D>) -> Candidate<D> {
        let Self { number, server, rank, from_srv, crowded_out, spent, opened, came_along, dials } =
            self;
        let dials = dials.into_iter().map(|Dial { address, since, until, state }| {
            let state = match state {
                Dialled::Open => Dialled::Open,
                Dialled::Ready { at, .. } => ready
                    .next()
                    .map_or(Dialled::Failed, |connection| Dialled::Ready { connection, at }),
                Dialled::Failed => Dialled::Failed,
            };
            Dial { address, since, until, state }
        });
        let dials = dials.collect();
        Candidate { number, server, rank, from_srv, crowded_out, spent, opened, came_along, dials }
    }

    pub(super) fn standing(&self, host: &KnownHost) -> Standing {
        let asked = host.open_since();
        let since = match self.opened {
            Some(opened) if asked.is_some() || self.is_dialling() => Some(opened),
            Some(_) => None,
            None => asked,
        };
        match since {
            _ if self.is_ready() => Standing::Ready,
            Some(since) => Standing::Open { since },
            None => Standing::Idle,
        }
    }

    pub(super) fn is_no_worse_than(&self, rank: Rank) -> bool {
        self.rank.found && self.rank <= rank
    }

    pub(super) fn is_ready(&self) -> bool {
        self.dials.iter().any(Dial::is_ready)
    }

    /// How long its connection took to come about, if it has one.
    pub(super) fn ready_after(&self) -> Option<Duration> {
        self.dials.iter().find_map(|dial| match dial.state {
            Dialled::Ready { at, .. } => Some(at.since(dial.since)),
            _ => None,
        })
    }

    /// Whether nothing is left to try.
    pub(super) fn has_failed(&self, host: &KnownHost) -> bool {
        self.standing(host) == Standing::Idle
            && host.unasked().is_none()
            && self.next_address(host).is_none()
    }

    /// When each open connect is given up.
    pub(super) fn dues(&self) -> impl Iterator<Item = Moment> {
        self.dials.iter().filter(|dial| dial.is_open()).map(|dial| dial.until)
    }

    pub(super) fn is_dialling(&self) -> bool {
        self.dials.iter().any(Dial::is_open)
    }

    /// Whether every connect that was begun has failed.
    pub(super) fn dials_failed(&self) -> bool {
        !self.dials.is_empty() && self.dials.iter().all(|d| matches!(d.state, Dialled::Failed))
    }

    /// The address to dial next: those that came with the SRV answer before those that were asked
    /// for, the families in turn, IPv6 first (RFC 8305 section 4), each address once.
    pub(super) fn next_address(&self, host: &KnownHost) -> Option<IpAddr> {
        let known = self.came_along.len().saturating_add(host.addresses.len());
        if known == 0 || self.dials.len() >= ADDRESS_LIMIT {
            return None;
        }
        let last = self.dials.last().map(|dial| Family::of(dial.address));
        let turn = if last == Some(Family::V6) { Family::V4 } else { Family::V6 };
        let new = |ip: &&IpAddr| self.is_new(**ip);
        let looked_up = || host.addresses.iter().filter(new).filter(|ip| self.has_room(host, **ip));
        in_turn(self.came_along.iter().filter(new), turn)
            .or_else(|| in_turn(looked_up(), turn))
            .copied()
    }

    fn is_new(&self, address: IpAddr) -> bool {
        self.dials.iter().all(|dial| dial.address != address)
    }

    /// The addresses of one family that only the lookup of the host found.
    fn looked_up<'a>(
        &'a self,
        host: &'a KnownHost,
        family: Family,
    ) -> impl Iterator<Item = &'a IpAddr> {
        let own = host.addresses.iter().filter(move |ip| Family::of(**ip) == family);
        own.filter(|ip| !self.came_along.contains(ip))
    }

    /// Whether the limit has room for this address among those of its family that the lookup found.
    /// Half of it is sure; what the other family leaves comes on top once its answer is known, so
    /// that the arrival of the answers does not decide which addresses are dialled.
    fn has_room(&self, host: &KnownHost, address: IpAddr) -> bool {
        let family = Family::of(address);
        let room = ADDRESS_LIMIT.saturating_sub(self.came_along.len());
        let sure = match family {
            Family::V6 => room.div_ceil(2),
            Family::V4 => room / 2,
        };
        if host.addresses.len() <= sure {
            return true;
        }
        let place = self.looked_up(host, family).take_while(|ip| **ip != address).count();
        let left = |other| room.saturating_sub(self.looked_up(host, other).count());
        let other = family.other();
        place < sure || host.lookup(other).is_done() && place < left(other)
    }

    /// Adds a connect that begins now.
    pub(super) fn dial(&mut self, address: IpAddr, now: Moment, until: Moment) {
        self.opened = self.opened.or(Some(now));
        self.dials.push(Dial { address, since: now, until, state: Dialled::Open });
    }

    /// What became of an open connect: of two connections the first one counts, the other is
    /// dropped.
    pub(super) fn settle(&mut self, address: IpAddr, connection: Option<C>, now: Moment) -> bool {
        let second = self.is_ready();
        let mut open = self.dials.iter_mut().filter(|dial| dial.is_open() && dial.until > now);
        let Some(dial) = open.find(|dial| dial.address == address) else { return false };
        dial.state = match connection.filter(|_| !second) {
            Some(connection) => Dialled::Ready { connection, at: now },
            None => Dialled::Failed,
        };
        true
    }

    /// Takes the connection that is ready, with its address; it is never offered again.
    pub(super) fn adopt(&mut self) -> Option<(IpAddr, C)> {
        let ready = self.dials.iter().position(Dial::is_ready)?;
        let Dial { address, state: Dialled::Ready { connection, .. }, .. } =
            self.dials.remove(ready)
        else {
            return None;
        };
        self.spent = true;
        Some((address, connection))
    }

    /// Forgets every connect but those that failed.
    pub(super) fn forget_open(&mut self) {
        self.opened = None;
        self.dials.retain(|dial| matches!(dial.state, Dialled::Failed));
    }
}
