//! The servers that a plan may try, and its connects to them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::order::Protocol;

/// A place in the order of candidates: TLS before TCP, then the row, then the place in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) protocol: Protocol,
    pub(super) row: usize,
    pub(super) place: usize,
}

/// One protocol, host and port.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) endpoint: Endpoint,
    pub(super) host: usize,
    pub(super) rank: Rank,
    pub(super) from_srv: bool,
    /// It was adopted once; it is never offered again.
    pub(super) spent: bool,
    /// Its first dial since the last adoption.
    pub(super) opened: Option<Instant>,
    /// When it was dialled last.
    pub(super) last_dial: Option<Instant>,
    /// Its latest dial, the head of a chain.
    pub(super) latest: Option<usize>,
}

/// One connect.
#[derive(Debug)]
pub(super) struct Dial<C> {
    pub(super) candidate: usize,
    pub(super) address: IpAddr,
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) state: Dialled<C>,
    /// The dial of the same candidate before this one.
    pub(super) before: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Dialled<C> {
    Open,
    Ready { connection: C, after: Duration },
    Failed,
}

impl<C> Dial<C> {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, Dialled::Open)
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, Dialled::Ready { .. })
    }
}

/// How a candidate stands, in the eyes of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It failed, or was adopted before.
    Settled,
    /// It has a connection, by this dial.
    Ready(usize),
    /// It is being dialled or resolved: since its first dial, or else since its host was asked for.
    Open(Instant),
    /// It could be dialled, or its host asked for, and neither is under way.
    Waiting,
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// It came with the SRV answer that ranks this candidate, and is for no other.
    Candidate(usize),
    /// The lookups of this host found it.
    Host(usize),
}
