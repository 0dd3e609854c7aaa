//! The shortest tokens for a packet.
//!
//! Which tokens come later does not depend on those that come before, only on the data, so the
//! shortest end of a packet is found from its last byte to its first. Every cost is a known number
//! of bits, and the search is exact but for [`DEPTH`] and [`COMPARED`], which bound its work.

use super::tokens::{Writer, common, u32_at};
use super::window::{Bytes, HISTORY};

/// How many earlier places of the same three bytes are looked at.
const DEPTH: usize = 512;

/// How many bytes of a packet's repetitions are compared in all. Where one goes on from a place that
/// was looked at, nothing is.
const COMPARED: usize = 1 << 20;

/// What is compared at each place even so.
const LEAST: usize = 16;

/// What is known while a packet is encoded: places in the window are kept in 16 bits.
struct Scratch {
    /// The last place of each kind of three bytes; 0 if none.
    heads: [u16; Self::HEADS],
    /// The place before of the same kind; 0 if none.
    earlier: [u16; 2 * HISTORY],
    /// For each offset the place that was looked at last, and how long the repetition is there.
    repeated: [(u16, u16); HISTORY],
    /// For each place the bits from there to the end, and the token there.
    plan: [Planned; HISTORY + 1],
    /// How many bytes may still be compared.
    left: usize,
}

/// A token that is planned; a literal is a reference to 0.
#[derive(Clone, Copy)]
struct Planned {
    bits: u32,
    offset: u16,
    length: u16,
}

impl Scratch {
    const HEADS: usize = 4096;

    fn new() -> Self {
        Self {
            heads: [0; Self::HEADS],
            earlier: [0; 2 * HISTORY],
            repeated: [(0, 0); HISTORY],
            plan: [Planned { bits: 0, offset: 0, length: 1 }; HISTORY + 1],
            left: COMPARED,
        }
    }

    /// Notes what stands at the places from `from` on that begin three bytes before `to`.
    fn note(&mut self, bytes: &Bytes, from: usize, to: usize) -> Option<()> {
        for at in from..to.saturating_sub(2) {
            let hash = (u32_at(bytes, at)? << 8).wrapping_mul(0x9e37_79b1) >> 20;
            let head = self.heads.get_mut(hash as usize)?;
            *self.earlier.get_mut(at)? = std::mem::replace(head, at as u16);
        }
        Some(())
    }
}

/// The three ways to write an offset: up to where, and in how many bits.
const OFFSETS: [(usize, u32); 3] = [(64, 10), (320, 12), (HISTORY, 16)];

/// Writes the data from `from` to `to`; where it is repeated from the lap before, not from beyond
/// `before`.
pub(super) fn encode(
    bytes: &Bytes,
    before: usize,
    from: usize,
    to: usize,
    writer: &mut Writer<'_>,
) -> Option<usize> {
    let mut scratch = Scratch::new();
    // Place 0 means none, and is out of reach wherever it matters.
    scratch.note(bytes, from.saturating_sub(HISTORY).max(1), before)?;
    scratch.note(bytes, HISTORY, to)?;
    for at in (from..to).rev() {
        let planned = plan(&mut scratch, bytes, before, from, at, to)?;
        *scratch.plan.get_mut(at.wrapping_sub(from))? = planned;
    }
    let mut at = from;
    while at < to {
        let planned = scratch.plan.get(at.wrapping_sub(from))?;
        let next = at.wrapping_add(planned.length.into());
        match planned.offset {
            0 => writer.literals(bytes, at, next)?,
            offset => writer.reference(offset.into(), planned.length.into())?,
        }
        at = next;
    }
    writer.finish()
}

/// The token at `at` with the shortest end behind it.
fn plan(
    scratch: &mut Scratch,
    bytes: &Bytes,
    before: usize,
    from: usize,
    at: usize,
    to: usize,
) -> Option<Planned> {
    let Scratch { earlier, repeated, plan, left: budget, .. } = scratch;
    let plan = plan.get(at.wrapping_sub(from)..)?;
    let literal = 8_u32.wrapping_add((*bytes.get(at)? >> 7).into());
    let mut best = Planned { bits: plan.get(1)?.bits.wrapping_add(literal), offset: 0, length: 1 };
    let left = to.wrapping_sub(at);
    if left < 3 {
        return Some(best);
    }
    // The longest repetition for each way to write its offset.
    let mut longest = [(0, 0); OFFSETS.len()];
    let three = u32_at(bytes, at)? << 8;
    let mut place = usize::from(*earlier.get(at)?);
    for _ in 0..DEPTH {
        let offset = at.wrapping_sub(place);
        if place == 0 || offset >= HISTORY {
            break;
        }
        if u32_at(bytes, place)? << 8 == three {
            let end = if place < HISTORY { left.min(before.wrapping_sub(place)) } else { left };
            let known = repeated.get_mut(offset)?;
            let length = if usize::from(known.0) == at.wrapping_add(1) {
                usize::from(known.1).wrapping_add(1)
            } else {
                let end = end.min(LEAST.max(*budget));
                let length = common(bytes, place, at, at.wrapping_add(end))?;
                *budget = budget.saturating_sub(length);
                length
            };
            *known = (at as u16, length as u16);
            let way = usize::from(offset >= 64).wrapping_add(usize::from(offset >= 320));
            let longest = longest.get_mut(way)?;
            if length > longest.0 {
                *longest = (length, offset);
            }
            if length == left {
                break;
            }
        }
        place = usize::from(*earlier.get(place)?);
    }
    let mut shorter = 2;
    for ((length, offset), (_, size)) in longest.into_iter().zip(OFFSETS) {
        if length <= shorter {
            continue;
        }
        // All lengths from 2^k to 2^(k+1) - 1 cost the same 2k bits, 3 costs 1. Of those the longest
        // is the best, or one of the two before it: a token that reaches over the end of this one
        // can give up its beginning, unless that leaves it less than three.
        for k in shorter.wrapping_add(1).ilog2()..=length.ilog2() {
            let top = length.min((2_usize << k).wrapping_sub(1));
            for length in top.saturating_sub(2).max(3).max(1 << k)..=top {
                let cost = size.wrapping_add(if length == 3 { 1 } else { 2_u32.wrapping_mul(k) });
                let bits = plan.get(length)?.bits.wrapping_add(cost);
                if bits < best.bits {
                    best = Planned { bits, offset: offset as u16, length: length as u16 };
                }
            }
        }
        shorter = length;
    }
    Some(best)
}
