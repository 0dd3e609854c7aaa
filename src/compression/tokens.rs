//! Tokens, as bits.

use super::window::Bytes;

/// Four bytes, the first one lowest.
#[inline(always)]
pub(super) fn u32_at(bytes: &Bytes, at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// How many bytes from `source` on and from `at` on are the same, not beyond `end`.
#[inline(always)]
pub(super) fn common(bytes: &Bytes, source: usize, at: usize, end: usize) -> Option<usize> {
    let (mut source, mut to) = (source, at);
    while to < end {
        let one = u64::from_le_bytes(*bytes.get(source..)?.first_chunk()?);
        let other = u64::from_le_bytes(*bytes.get(to..)?.first_chunk()?);
        let same = ((one ^ other).trailing_zeros() >> 3) as usize;
        to = to.wrapping_add(same);
        source = source.wrapping_add(same);
        if same < 8 {
            break;
        }
    }
    Some(to.min(end).wrapping_sub(at))
}

/// Writes tokens. Everything is `None` once there is no room.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Bits that are not written yet, the next one on top.
    ahead: u64,
    held: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, ahead: 0, held: 0 }
    }

    /// Writes the lowest `count` bits of `code`, at most 56.
    #[inline(always)]
    fn put(&mut self, code: u64, count: u32) -> Option<()> {
        let held = self.held.wrapping_add(count);
        self.ahead |= code << 64_u32.wrapping_sub(held);
        *self.out.get_mut(self.at..)?.first_chunk_mut()? = self.ahead.to_be_bytes();
        self.at = self.at.wrapping_add((held >> 3) as usize);
        self.ahead <<= held & 56;
        self.held = held & 7;
        Some(())
    }

    /// Writes the data from `from` to `to` as literals.
    #[inline(always)]
    pub(super) fn literals(&mut self, bytes: &Bytes, from: usize, to: usize) -> Option<()> {
        let mut at = from;
        while at.wrapping_add(7) <= to {
            let seven = u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?) >> 8;
            if seven & 0x80_8080_8080_8080 == 0 {
                self.put(seven, 56)?;
            } else {
                for &byte in bytes.get(at..at.wrapping_add(7))? {
                    self.literal(byte)?;
                }
            }
            at = at.wrapping_add(7);
        }
        bytes.get(at..to)?.iter().try_for_each(|&byte| self.literal(byte))
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) -> Option<()> {
        match byte {
            0x80.. => self.put(0x100 | u64::from(byte & 0x7f), 9),
            _ => self.put(byte.into(), 8),
        }
    }

    /// Writes a reference.
    #[inline(always)]
    pub(super) fn reference(&mut self, offset: usize, length: usize) -> Option<()> {
        let offset = offset as u64;
        let (code, size): (u64, u32) = match offset {
            ..64 => (0xf << 6 | offset, 10),
            64..320 => (0xe << 8 | offset.wrapping_sub(64), 12),
            _ => (0x6 << 13 | offset.wrapping_sub(320), 16),
        };
        let Some(low) = length.checked_ilog2().filter(|&low| low > 1) else {
            return self.put(code << 1, size.wrapping_add(1));
        };
        // One less than `low` ones, a zero, and the length without its highest bit.
        let ones = (1_u64 << low).wrapping_sub(2);
        let rest = length as u64 ^ (1 << low);
        let more = low.wrapping_mul(2);
        self.put(code << more | ones << low | rest, size.wrapping_add(more))
    }

    /// Fills up with zeros, and says how many bytes there are.
    pub(super) fn finish(&self) -> Option<usize> {
        Some(self.at.wrapping_add(usize::from(self.held > 0)))
    }
}
