//! The history, as both sides keep it.

use std::fmt;

/// How many bytes back a packet may refer: the 8K of `LZ77-8K`.
pub(super) const HISTORY: usize = 8192;

/// What a copy of whole chunks may write behind the end.
const SLACK: usize = 64;

/// A whole window.
pub(super) type Bytes = [u8; 2 * HISTORY + SLACK];

/// The 8 KB ring of the protocol, laid out flat: the lap before in the first half, the present lap in
/// the second, so that what lies `offset` bytes back always lies `offset` places before.
pub(super) struct Window {
    pub(super) bytes: Box<Bytes>,
    /// Where the present lap ends.
    pub(super) end: usize,
    /// Up to where the first half holds anything.
    pub(super) before: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: Box::new([0; 2 * HISTORY + SLACK]), end: HISTORY, before: 0 }
    }

    /// How many bytes the present lap has.
    pub(super) fn lap(&self) -> usize {
        self.end.saturating_sub(HISTORY)
    }

    /// Begins a new lap at the front. What the last one did not reach stays, as in the ring.
    pub(super) fn roll(&mut self) {
        let lap = self.lap();
        let (before, present) = self.bytes.split_at_mut(HISTORY);
        if let (Some(before), Some(present)) = (before.get_mut(..lap), present.get(..lap)) {
            before.copy_from_slice(present);
        }
        self.before = self.before.max(lap);
        self.end = HISTORY;
    }

    /// Forgets everything. Only what was written is wiped, so that flushing costs no more than what
    /// it flushes.
    pub(super) fn clear(&mut self) {
        self.roll();
        if let Some(written) = self.bytes.get_mut(..self.before) {
            written.fill(0);
        }
        self.before = 0;
    }
}

/// Without the data, which may hold credentials.
impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("lap", &self.lap()).finish_non_exhaustive()
    }
}
