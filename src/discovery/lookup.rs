//! Where the lookups of a plan stand: SRV questions, and the hosts that candidates need.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::ADDRESS_LIMIT;
use super::answer::LookupFailure;
use super::endpoint::Family;
use super::moment::{Limits, Moment};
use super::order::Protocol;

/// Where one lookup stands.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    Unasked,
    /// Since then; when it is given up is a matter of [`Limits`].
    Open(Moment),
    Absent,
    /// Boxed, for it is rare.
    Failed(Box<LookupFailure>),
    /// The answer came then.
    Found(Moment),
}

impl Lookup {
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Absent | Self::Failed(_) | Self::Found(_))
    }

    #[inline]
    pub(super) fn open_since(&self) -> Option<Moment> {
        match self {
            Self::Open(since) => Some(*since),
            _ => None,
        }
    }

    /// When it is given up, if it is open.
    #[inline]
    pub(super) fn open_until(&self, limits: Limits<'_>) -> Option<Moment> {
        self.open_since().map(|since| limits.lookup(since))
    }

    pub(super) fn failed(failure: LookupFailure) -> Self {
        Self::Failed(failure.into())
    }

    /// Forgets that it was asked; an answer that came is kept.
    #[inline]
    pub(super) fn forget(&mut self) {
        if self.open_since().is_some() {
            *self = Self::Unasked;
        }
    }
}

/// One SRV question, known by its row of the order.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) row: u16,
    pub(super) protocol: Protocol,
    /// How many records of its answer count towards the limit of targets.
    pub(super) listed: u8,
    pub(super) lookup: Lookup,
}

impl Question {
    /// Itself and since when, if it is open.
    #[inline]
    pub(super) fn open(&self) -> Option<(&Self, Moment)> {
        self.lookup.open_since().map(|since| (self, since))
    }
}

/// Addresses in the order they came; inline while there are few.
pub(super) type Addresses = SmallVec<[IpAddr; 2]>;

/// Keeps distinct addresses, of each family as many as could be dialled; returns how many more are
/// now beyond the limit.
pub(super) fn learn(known: &mut Addresses, found: impl Iterator<Item = IpAddr>) -> usize {
    let beyond = |count: usize| count.saturating_sub(ADDRESS_LIMIT);
    let (before, mut crowd) = (known.len(), Vec::new());
    for address in found {
        if known.contains(&address) || crowd.contains(&address) {
            continue;
        }
        let family = || known.iter().filter(|ip| Family::of(**ip) == Family::of(address));
        let room = known.len() < ADDRESS_LIMIT || family().count() < ADDRESS_LIMIT;
        if room { known.push(address) } else { crowd.push(address) }
    }
    beyond(known.len().saturating_add(crowd.len())).saturating_sub(beyond(before))
}

/// One host that may be connected to, shared by all candidates that need it.
#[derive(Debug)]
pub(super) struct KnownHost {
    pub(super) v6: Lookup,
    pub(super) v4: Lookup,
    /// What the lookups found.
    pub(super) addresses: Addresses,
}

impl KnownHost {
    /// A host of which nothing is known, unless it is an address.
    pub(super) fn new(ip: Option<IpAddr>) -> Self {
        let lookup = || if ip.is_some() { Lookup::Found(Moment::START) } else { Lookup::Unasked };
        let mut addresses = Addresses::new();
        ip.into_iter().for_each(|ip| addresses.push(ip));
        Self { v6: lookup(), v4: lookup(), addresses }
    }

    #[inline]
    pub(super) fn lookup(&self, family: Family) -> &Lookup {
        match family {
            Family::V6 => &self.v6,
            Family::V4 => &self.v4,
        }
    }

    #[inline]
    pub(super) fn lookup_mut(&mut self, family: Family) -> &mut Lookup {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }

    #[inline]
    pub(super) fn open_since(&self) -> Option<Moment> {
        match (self.v6.open_since(), self.v4.open_since()) {
            (Some(v6), Some(v4)) => Some(v6.min(v4)),
            (v6, v4) => v6.or(v4),
        }
    }

    /// When each open lookup is given up.
    #[inline]
    pub(super) fn dues(&self, limits: Limits<'_>) -> impl Iterator<Item = Moment> {
        [&self.v6, &self.v4].into_iter().filter_map(move |lookup| lookup.open_until(limits))
    }

    /// The family to ask for next.
    #[inline]
    pub(super) fn unasked(&self) -> Option<Family> {
        match (&self.v6, &self.v4) {
            (Lookup::Unasked, _) => Some(Family::V6),
            (_, Lookup::Unasked) => Some(Family::V4),
            _ => None,
        }
    }

    /// Forgets what was asked and not answered.
    #[inline]
    pub(super) fn forget_open(&mut self) {
        self.v6.forget();
        self.v4.forget();
    }
}
