//! The servers that a plan may try, and its connects to them.

use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::ADDRESS_LIMIT;
use super::endpoint::Family;
use super::line::Server;
use super::lookup::{Addresses, KnownHost, Question};
use super::moment::{Limits, Moment};
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
    pub(super) host: u16,
    port: u16,
    pub(super) rank: Rank,
    pub(super) from_srv: bool,
    /// Better targets fill the limit of targets.
    pub(super) crowded_out: bool,
    /// It was adopted once; it is never offered again.
    pub(super) spent: bool,
    /// How many of its connects are from before the last adoption.
    past: u8,
    /// The addresses that came with the SRV answer that ranks it; they are for no other.
    pub(super) came_along: Addresses,
    /// Its connects, the latest last; inline while there is only one.
    pub(super) dials: SmallVec<[Dial; 1]>,
    /// The connection that came of one of them, and when.
    ready: Option<(C, Moment)>,
}

/// One connect.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) address: IpAddr,
    pub(super) state: Dialled,
    /// When it began; when it is given up is a matter of [`Limits`].
    pub(super) since: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialled {
    Open,
    /// The candidate has its connection.
    Ready,
    Failed,
}

impl Dial {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.state == Dialled::Open
    }

    /// When it is given up, if it is open.
    #[inline]
    pub(super) fn open_until(&self, limits: Limits<'_>) -> Option<Moment> {
        self.is_open().then(|| limits.connect(self.since))
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
#[inline]
fn in_turn<'a>(mut from: impl Iterator<Item = &'a IpAddr>, turn: Family) -> Option<&'a IpAddr> {
    let first = from.next()?;
    let is_its = |ip: &&IpAddr| Family::of(**ip) == turn;
    if is_its(&first) { Some(first) } else { from.find(is_its).or(Some(first)) }
}

impl<C> Candidate<C> {
    pub(super) fn new(number: u16, server: Server, rank: Rank, from_srv: bool) -> Self {
        Self {
            number,
            host: server.host,
            port: server.port,
            rank,
            from_srv,
            crowded_out: false,
            spent: false,
            past: 0,
            came_along: Addresses::new(),
            dials: SmallVec::new(),
            ready: None,
        }
    }

    /// The connection that waits for better ones, if it has one.
    pub(super) fn into_connection(self) -> Option<C> {
        self.ready.map(|(connection, _)| connection)
    }

    /// The same, with the next of the `connections` in the place of its own if it has one.
    pub(super) fn with_connection<D>(
        self,
        connections: &mut impl Iterator<Item = D>,
    ) -> Candidate<D> {
        let Self { number, host, port, rank, from_srv, crowded_out, spent, past, .. } = self;
        let (came_along, dials) = (self.came_along, self.dials);
        let ready = self.ready.and_then(|(_, at)| Some((connections.next()?, at)));
        Candidate {
            number,
            host,
            port,
            rank,
            from_srv,
            crowded_out,
            spent,
            past,
            came_along,
            dials,
            ready,
        }
    }

    pub(super) fn server(&self) -> Server {
        Server { protocol: self.rank.protocol, host: self.host, port: self.port }
    }

    /// Its first dial since the last adoption.
    pub(super) fn opened(&self) -> Option<Moment> {
        self.dials.get(usize::from(self.past)).map(|dial| dial.since)
    }

    pub(super) fn standing(&self, host: &KnownHost) -> Standing {
        if self.is_ready() {
            return Standing::Ready;
        }
        let asked = host.open_since();
        let open = asked.is_some() || self.is_dialling();
        match self.opened().or(asked).filter(|_| open) {
            Some(since) => Standing::Open { since },
            None => Standing::Idle,
        }
    }

    pub(super) fn is_no_worse_than(&self, rank: Rank) -> bool {
        self.rank.found && self.rank <= rank
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// How long its connection took to come about, if it has one.
    pub(super) fn ready_after(&self) -> Option<Duration> {
        let (_, at) = self.ready.as_ref()?;
        let dial = self.dials.iter().find(|dial| dial.state == Dialled::Ready)?;
        Some(at.since(dial.since))
    }

    /// Whether nothing is left to try.
    pub(super) fn has_failed(&self, host: &KnownHost) -> bool {
        self.standing(host) == Standing::Idle
            && host.unasked().is_none()
            && self.next_address(host).is_none()
    }

    /// When each open connect is given up.
    pub(super) fn dues(&self, limits: Limits<'_>) -> impl Iterator<Item = Moment> {
        self.dials.iter().filter_map(move |dial| dial.open_until(limits))
    }

    pub(super) fn is_dialling(&self) -> bool {
        self.dials.iter().any(Dial::is_open)
    }

    /// Whether every connect that was begun has failed.
    pub(super) fn dials_failed(&self) -> bool {
        !self.dials.is_empty() && self.dials.iter().all(|dial| dial.state == Dialled::Failed)
    }

    /// The address to dial next: those that came with the SRV answer before those that were asked
    /// for, the families in turn, IPv6 first (RFC 8305 section 4), each address once.
    pub(super) fn next_address(&self, host: &KnownHost) -> Option<IpAddr> {
        let nothing_known = self.came_along.is_empty() && host.addresses.is_empty();
        if nothing_known || self.dials.len() >= ADDRESS_LIMIT {
            return None;
        }
        let last = self.dials.last().map(|dial| Family::of(dial.address));
        let turn = if last == Some(Family::V6) { Family::V4 } else { Family::V6 };
        let new = |ip: &&IpAddr| self.dials.iter().all(|dial| dial.address != **ip);
        let came_along = in_turn(self.came_along.iter().filter(new), turn);
        let has_room = |ip: &&IpAddr| self.has_room(host, **ip);
        let looked_up = || in_turn(host.addresses.iter().filter(new).filter(has_room), turn);
        came_along.or_else(looked_up).copied()
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
    pub(super) fn dial(&mut self, address: IpAddr, now: Moment) {
        self.dials.push(Dial { address, state: Dialled::Open, since: now });
    }

    /// What became of an open connect: of two connections the first one counts, the other is
    /// dropped.
    pub(super) fn settle(
        &mut self,
        address: IpAddr,
        connection: Option<C>,
        limits: Limits<'_>,
        now: Moment,
    ) -> bool {
        let is_it = |dial: &&mut Dial| {
            dial.address == address && dial.open_until(limits).is_some_and(|until| until > now)
        };
        let Some(dial) = self.dials.iter_mut().find(is_it) else { return false };
        match connection.filter(|_| self.ready.is_none()) {
            Some(connection) => {
                dial.state = Dialled::Ready;
                self.ready = Some((connection, now));
            }
            None => dial.state = Dialled::Failed,
        }
        true
    }

    /// Takes the connection that is ready, with its address; it is never offered again.
    pub(super) fn adopt(&mut self) -> Option<(IpAddr, C)> {
        let (connection, _) = self.ready.take()?;
        let dial = self.dials.iter().find(|dial| dial.state == Dialled::Ready)?;
        self.spent = true;
        Some((dial.address, connection))
    }

    /// Forgets every connect but those that failed.
    pub(super) fn forget_open(&mut self) {
        self.ready = None;
        self.dials.retain(|dial| dial.state == Dialled::Failed);
        // The limit of addresses keeps the number small.
        self.past = u8::try_from(self.dials.len()).unwrap_or(u8::MAX);
    }
}
