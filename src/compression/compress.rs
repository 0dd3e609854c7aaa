//! From data to tokens.

use std::fmt;

use super::best;
use super::form::Form;
use super::tokens::{Writer, common, u32_at};
use super::window::{Bytes, HISTORY, Window};

/// One direction of a connection, at its sending end: an MPPC encoder (RFC 2118).
///
/// It keeps the last 8 KB that it sent and a table over them, [`Compressor::STATE`] bytes in all,
/// and allocates nothing after it was made.
///
/// ```
/// use sip_signin::compression::{Compressor, Decompressor, Level};
/// let (mut compressor, mut decompressor) = (Compressor::new(Level::Fast), Decompressor::new());
/// let request = b"REGISTER sip:contoso.com SIP/2.0\r\nTo: <sip:jeremy@contoso.com>\r\n";
/// let mut packet = [0; 256];
/// for _ in 0..2 {
///     let (form, length) = compressor.compress(request, &mut packet)?;
///     assert!(length <= request.len());
///     let plain = decompressor.decompress(form, &packet[..length], 8192)?;
///     assert_eq!(plain, request);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Compressor {
    window: Window,
    level: Level,
    heads: Box<Heads>,
}

/// How much work to put into a packet. What comes out differs in length only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// The shortest tokens that a packet can be written in, found with bounded work: tens of
    /// microseconds for a message, and about 200 KB of the stack.
    Best,
    /// The first repetition that is found.
    #[default]
    Fast,
}

/// The last places where three bytes of each kind stood, as places in the ring.
type Heads = [u16; Compressor::HEADS];

impl Compressor {
    /// The most bytes that one packet takes. Four less than the history: like the encoders of remote
    /// desktops, it never fills the ring to the last byte.
    pub const PACKET_LIMIT: usize = HISTORY - 4;

    /// How much longer than the data the place for a packet must be. It is not kept: no packet is
    /// longer than its data.
    pub const ROOM: usize = 8;

    /// How many bytes one compressor holds.
    pub const STATE: usize = size_of::<Bytes>() + size_of::<Heads>() + size_of::<Self>();

    const HEADS: usize = 3968;

    /// An encoder without history.
    pub fn new(level: Level) -> Self {
        Self { window: Window::new(), level, heads: Box::new([0; Self::HEADS]) }
    }

    /// Makes a packet of `plain` at the front of `out`: how it carries the data, and how long it is,
    /// which is never longer than `plain`.
    ///
    /// # Errors
    /// [`NoRoom`] when `plain` is longer than [`PACKET_LIMIT`](Self::PACKET_LIMIT), or `out` is not
    /// longer by [`ROOM`](Self::ROOM). Nothing was done.
    pub fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<(Form, usize), NoRoom> {
        let size = plain.len();
        if size > Self::PACKET_LIMIT || out.len() < size.saturating_add(Self::ROOM) {
            return Err(NoRoom);
        }
        let lap = self.window.lap();
        let at_front = lap == 0 || lap.saturating_add(size) > Self::PACKET_LIMIT;
        if at_front {
            self.window.roll();
        }
        let Window { bytes, end, before } = &mut self.window;
        let (from, to) = (*end, end.saturating_add(size));
        if let Some(place) = bytes.get_mut(from..to) {
            place.copy_from_slice(plain);
        }
        let mut writer = Writer::new(out);
        let length = match self.level {
            Level::Fast => fast(bytes, *before, from, to, &mut self.heads, &mut writer),
            Level::Best => best::encode(bytes, *before, from, to, &mut writer),
        };
        match length.filter(|&length| length <= size) {
            Some(length) => {
                *end = to;
                Ok((Form::Compressed { at_front }, length))
            }
            None => {
                self.window.clear();
                if let Some(place) = out.get_mut(..size) {
                    place.copy_from_slice(plain);
                }
                Ok((Form::Flushed, size))
            }
        }
    }
}

/// Without the table, which is as long as it is dull.
impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window, level, .. } = self;
        let mut shown = f.debug_struct("Compressor");
        shown.field("level", level).field("window", window).finish_non_exhaustive()
    }
}

/// The data or the place for the packet has a length that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data is longer than a packet takes, or there is no room for the packet")]
pub struct NoRoom;

/// Writes the data from `from` to `to` as the first tokens that come to hand.
fn fast(
    bytes: &Bytes,
    before: usize,
    from: usize,
    to: usize,
    heads: &mut Heads,
    writer: &mut Writer<'_>,
) -> Option<usize> {
    let mut at = from;
    let mut unwritten = from;
    while at.wrapping_add(3) <= to {
        let word = u32_at(bytes, at)?;
        let offset = swap_head(heads, word, at)?;
        let source = at.wrapping_sub(offset);
        let known = source >= HISTORY || source.wrapping_add(3) <= before;
        if offset == 0 || !known || (u32_at(bytes, source)? ^ word) << 8 != 0 {
            at = at.wrapping_add(1);
            continue;
        }
        let end = if source >= HISTORY {
            to
        } else {
            to.min(at.wrapping_add(before.wrapping_sub(source)))
        };
        let length = common(bytes, source, at, end)?;
        writer.literals(bytes, unwritten, at)?;
        writer.reference(offset, length)?;
        let next = at.wrapping_add(length);
        // The last places of what was repeated are the likeliest to be repeated again.
        for place in at.wrapping_add(1)..next.min(to.wrapping_sub(2)) {
            swap_head(heads, u32_at(bytes, place)?, place)?;
        }
        at = next;
        unwritten = at;
    }
    writer.literals(bytes, unwritten, to)?;
    writer.finish()
}

/// Puts `at` at the head of its kind, and says how far back the last one was; 0 if nowhere.
#[inline(always)]
fn swap_head(heads: &mut Heads, word: u32, at: usize) -> Option<usize> {
    let hash = (word << 8).wrapping_mul(0x9e37_79b1);
    let index = (u64::from(hash).wrapping_mul(Compressor::HEADS as u64) >> 32) as usize;
    let head = heads.get_mut(index)?;
    let offset = at.wrapping_sub(usize::from(*head)) % HISTORY;
    *head = (at % HISTORY) as u16;
    Some(offset)
}
