//! From tokens to data.

use super::form::Form;
use super::window::{Bytes, HISTORY, Window};

/// One direction of a connection, at its receiving end: an MPPC decoder (RFC 2118).
///
/// It keeps the last 8 KB that came compressed, checks every reference into them, and allocates
/// nothing after it was made. A packet that is not sound ends it: every later one is refused too.
///
/// ```
/// use sip_signin::compression::{Decompressor, Form};
/// let mut decompressor = Decompressor::new();
/// let packet = b"for whom the bell tolls,\xf4\x37\x20\xfa\x23\xd3\x32\x97\x00";
/// let plain = decompressor.decompress(Form::Compressed { at_front: true }, packet, 8192)?;
/// assert_eq!(plain, b"for whom the bell tolls, the bell tolls for thee.");
/// # Ok::<(), sip_signin::compression::Corrupt>(())
/// ```
#[derive(Debug)]
pub struct Decompressor {
    window: Window,
    failed: Option<Corrupt>,
}

impl Decompressor {
    /// The most bytes that one packet yields: the history.
    pub const PACKET_LIMIT: usize = HISTORY;

    /// A decoder without history.
    pub fn new() -> Self {
        Self { window: Window::new(), failed: None }
    }

    /// The data of one packet, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`Corrupt`] says what is wrong with the packet. What came out of it is not shown, and the
    /// connection has to end: nobody knows the history any more.
    pub fn decompress<'a>(
        &'a mut self,
        form: Form,
        payload: &'a [u8],
        limit: usize,
    ) -> Result<&'a [u8], Corrupt> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let limit = limit.min(Self::PACKET_LIMIT);
        let data = match form {
            Form::Compressed { at_front } => self.tokens(at_front, payload, limit),
            Form::Flushed | Form::Plain if payload.len() > limit => Err(Corrupt::TooLong),
            Form::Flushed => {
                self.window.clear();
                return Ok(payload);
            }
            Form::Plain => return Ok(payload),
        };
        match data {
            Ok((from, to)) => Ok(self.window.bytes.get(from..to).unwrap_or_default()),
            Err(error) => {
                self.failed = Some(error);
                self.window.clear();
                Err(error)
            }
        }
    }

    fn tokens(
        &mut self,
        at_front: bool,
        payload: &[u8],
        limit: usize,
    ) -> Result<(usize, usize), Corrupt> {
        if at_front {
            self.window.roll();
        }
        let from = self.window.end;
        let stop = from.saturating_add(limit).min(2 * HISTORY);
        // In the first lap there is nothing before its beginning.
        let oldest = if self.window.before == 0 { HISTORY } else { 0 };
        let to = decode(&mut self.window.bytes, from, stop, oldest, payload)?;
        self.window.end = to;
        Ok((from, to))
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a packet is not sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corrupt {
    /// It refers to what was never sent.
    #[error("it refers to data that was never sent")]
    Before,
    /// It ends in the middle of a token.
    #[error("it ends within a token")]
    Cut,
    /// A token has a length that cannot be.
    #[error("it repeats more than a history can hold")]
    Length,
    /// It is not filled up with zeros.
    #[error("its last bits are not zero")]
    Padding,
    /// It yields more than is taken, or than fits behind what came before.
    #[error("it holds more data than is taken")]
    TooLong,
}

/// The next bits of the payload.
struct Bits<'a> {
    payload: &'a [u8],
    /// Where the bytes begin that are not held.
    at: usize,
    /// The next bit is on top. Behind those that are held are the next ones, or zeros.
    ahead: u64,
    held: u32,
}

impl Bits<'_> {
    /// Holds 56 bits or more, or all that there are; whether it is the former.
    #[inline(always)]
    fn fill(&mut self) -> bool {
        let Some(next) = self.payload.get(self.at..).and_then(<[u8]>::first_chunk) else {
            self.fill_from_the_last();
            return false;
        };
        // Bits that are there already are laid over themselves.
        self.ahead |= u64::from_be_bytes(*next) >> (self.held & 63);
        self.at = self.at.wrapping_add((63_u32.wrapping_sub(self.held) >> 3) as usize);
        self.held |= 56;
        true
    }

    #[cold]
    fn fill_from_the_last(&mut self) {
        while self.held < 56
            && let Some(&byte) = self.payload.get(self.at)
        {
            self.ahead |= u64::from(byte) << 56_u32.wrapping_sub(self.held);
            self.held = self.held.wrapping_add(8);
            self.at = self.at.wrapping_add(1);
        }
    }

    /// Drops bits that were looked at.
    #[inline(always)]
    fn skip(&mut self, count: u32) -> Result<(), Corrupt> {
        self.held = self.held.checked_sub(count).ok_or(Corrupt::Cut)?;
        self.ahead <<= count & 63;
        Ok(())
    }
}

/// Writes the data of `payload` at `to`, not beyond `stop`, and says where it ends.
fn decode(
    bytes: &mut Bytes,
    mut to: usize,
    stop: usize,
    oldest: usize,
    payload: &[u8],
) -> Result<usize, Corrupt> {
    let mut bits = Bits { payload, at: 0, ahead: 0, held: 0 };
    loop {
        let whole = bits.fill();
        if !whole && bits.held < 8 {
            return if bits.ahead == 0 { Ok(to) } else { Err(Corrupt::Padding) };
        }
        if bits.ahead >> 63 == 0 {
            // A literal below 0x80 is its own eight bits, so that up to seven are taken as they are.
            let others = bits.ahead & 0x8080_8080_8080_8000 | 0x80;
            let mut literals = others.leading_zeros();
            if !whole {
                literals = literals.min(bits.held & 56);
            }
            put(bytes, to, &bits.ahead.to_be_bytes());
            to = to.wrapping_add((literals >> 3) as usize);
            if to > stop {
                return Err(Corrupt::TooLong);
            }
            bits.skip(literals)?;
        } else if bits.ahead >> 62 == 3 {
            let (offset, length) = reference(&mut bits)?;
            let known = to.wrapping_sub(oldest).min(HISTORY.wrapping_sub(1));
            if offset.wrapping_sub(1) >= known {
                return Err(Corrupt::Before);
            }
            let next = to.wrapping_add(length);
            if next > stop {
                return Err(Corrupt::TooLong);
            }
            repeat(bytes, to.wrapping_sub(offset), to, next);
            to = next;
        } else {
            let low = (bits.ahead >> 55) as u8;
            bits.skip(9)?;
            if to >= stop {
                return Err(Corrupt::TooLong);
            }
            put(bytes, to, &[0x80 | low]);
            to = to.wrapping_add(1);
        }
    }
}

/// An offset and a length.
#[inline(always)]
fn reference(bits: &mut Bits<'_>) -> Result<(usize, usize), Corrupt> {
    // By the two bits behind `11`: `0` and 13 bits from 320 on, `10` and 8 from 64 on, `11` and 6.
    let kind = (bits.ahead >> 60 & 3) as usize;
    let size = 0x0a0c_1010_u32 >> (kind << 3) & 63;
    let &(mask, base) =
        [(0x1fff, 320), (0x1fff, 320), (0xff, 64), (0x3f, 0)].get(kind).ok_or(Corrupt::Before)?;
    let offset = (bits.ahead >> 64_u32.wrapping_sub(size)) as usize & mask;
    // `0` is 3; k ones and `0` are 2^(k+1), and k + 1 bits more.
    let behind = bits.ahead << size;
    let ones = behind.leading_ones();
    let &(mask, least) = LENGTHS.get(ones as usize).ok_or(Corrupt::Length)?;
    let code = ones.wrapping_mul(2).wrapping_add(1).wrapping_add((behind >> 63) as u32);
    let length = (behind >> 64_u32.wrapping_sub(code)) as usize & mask;
    bits.skip(size.wrapping_add(code))?;
    Ok((offset.wrapping_add(base), length.wrapping_add(least)))
}

/// By the ones that the code of a length begins with: which bits to add to what.
const LENGTHS: [(usize, usize); 12] = [
    (0, 3),
    (0x3, 0x4),
    (0x7, 0x8),
    (0xf, 0x10),
    (0x1f, 0x20),
    (0x3f, 0x40),
    (0x7f, 0x80),
    (0xff, 0x100),
    (0x1ff, 0x200),
    (0x3ff, 0x400),
    (0x7ff, 0x800),
    (0xfff, 0x1000),
];

#[inline(always)]
fn put<const N: usize>(bytes: &mut Bytes, at: usize, chunk: &[u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = *chunk;
    }
}

/// Copies what is at `from` to `to` and on to `next`, byte by byte as it seems: a reference may reach
/// into what it makes.
#[inline(always)]
fn repeat(bytes: &mut Bytes, mut from: usize, mut to: usize, next: usize) {
    const CHUNK: usize = 16;
    if to.wrapping_sub(from) >= CHUNK {
        // The last chunks go over the end, where nothing is yet.
        loop {
            for _ in 0..2 {
                let chunk = bytes.get(from..).and_then(<[u8]>::first_chunk::<CHUNK>);
                let Some(&chunk) = chunk else { return };
                put(bytes, to, &chunk);
                from = from.wrapping_add(CHUNK);
                to = to.wrapping_add(CHUNK);
            }
            if to >= next {
                return;
            }
        }
    }
    // Each round doubles what there is to copy from.
    while to < next {
        let length = to.wrapping_sub(from).min(next.wrapping_sub(to));
        bytes.copy_within(from..from.wrapping_add(length), to);
        to = to.wrapping_add(length);
    }
}
