//! The proofs that are given, and those that were given in vain.

use super::attempt::Attempt;
use super::mechanisms::Proof;
use crate::sip::{Challenger, Scheme};

/// A proof at work.
pub(super) struct Running {
    pub(super) by: Challenger,
    pub(super) at: usize,
    pub(super) who: Who,
    pub(super) proof: Proof,
}

/// Whom a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    CurrentUser,
    Supplied,
}

/// What was tried in vain.
#[derive(Default)]
pub(super) struct Vain {
    /// Which mechanisms are used up, by whom and for whom.
    pub(super) spent: Vec<(Challenger, usize, Who)>,
    pub(super) attempts: Vec<Attempt>,
    /// The scheme whose proof was not believed.
    pub(super) rejected: Option<Scheme>,
}
