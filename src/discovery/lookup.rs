//! Where the lookups of a plan stand: SRV questions, and the hosts that candidates need.

use std::time::Instant;

use super::answer::LookupFailure;
use super::endpoint::Family;
use super::order::Protocol;
use crate::name::SrvName;
use crate::policy::TrustedHost;

/// Where one lookup stands.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    Unasked,
    Open { since: Instant, until: Instant },
    Absent,
    Failed(LookupFailure),
    Found,
}

impl Lookup {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Absent | Self::Failed(_) | Self::Found)
    }

    pub(super) fn open_since(&self) -> Option<Instant> {
        match self {
            Self::Open { since, .. } => Some(*since),
            _ => None,
        }
    }

    /// When it is given up, if it is open.
    pub(super) fn open_until(&self) -> Option<Instant> {
        match self {
            Self::Open { until, .. } => Some(*until),
            _ => None,
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.open_until().is_some_and(|until| until <= now)
    }

    /// Forgets that it was asked; an answer that came is kept.
    pub(super) fn forget(&mut self) {
        if self.open_since().is_some() {
            *self = Self::Unasked;
        }
    }
}

/// One SRV question of the order.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) row: usize,
    pub(super) protocol: Protocol,
    pub(super) name: SrvName,
    pub(super) lookup: Lookup,
    /// How many records of its answer count towards the limit of targets.
    pub(super) listed: usize,
}

impl Question {
    /// Itself and since when, if it is open.
    pub(super) fn open(&self) -> Option<(&Self, Instant)> {
        self.lookup.open_since().map(|since| (self, since))
    }
}

/// One host that may be connected to, shared by all candidates that need it.
#[derive(Debug)]
pub(super) struct KnownHost {
    pub(super) host: TrustedHost,
    pub(super) v6: Lookup,
    pub(super) v4: Lookup,
    /// When the first IPv4 address came.
    pub(super) v4_since: Option<Instant>,
}

impl KnownHost {
    pub(super) fn lookup(&self, family: Family) -> &Lookup {
        match family {
            Family::V6 => &self.v6,
            Family::V4 => &self.v4,
        }
    }

    pub(super) fn lookup_mut(&mut self, family: Family) -> &mut Lookup {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }

    pub(super) fn open_since(&self) -> Option<Instant> {
        let (v6, v4) = (self.v6.open_since(), self.v4.open_since());
        v6.into_iter().chain(v4).min()
    }

    /// The family to ask for next.
    pub(super) fn unasked(&self) -> Option<Family> {
        match (&self.v6, &self.v4) {
            (Lookup::Unasked, _) => Some(Family::V6),
            (_, Lookup::Unasked) => Some(Family::V4),
            _ => None,
        }
    }

    /// Forgets what was asked and not answered.
    pub(super) fn forget_open(&mut self) {
        self.v6.forget();
        self.v4.forget();
    }
}
