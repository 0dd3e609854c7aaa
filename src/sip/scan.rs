//! Runs of bytes of one class.

/// One in each of eight bytes.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// How many bytes stand before the first that `mark` gives its highest bit.
///
/// Eight at a time, in one register. What `mark` gives behind the first does not matter, so that a
/// carry does no harm. Inlined, so that a `mark` costs no call.
#[inline(always)]
fn before(text: &[u8], mark: impl Fn(u64) -> u64) -> usize {
    let marks = |word| mark(word) & (0x80 * EACH);
    let (words, tail) = text.as_chunks::<8>();
    let mut at = 0usize;
    for word in words {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return at.wrapping_add(marks.trailing_zeros() as usize / 8);
        }
        at = at.wrapping_add(8);
    }
    let word = tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    at.wrapping_add(tail.len().min(marks(word).trailing_zeros() as usize / 8))
}

/// How many printable ASCII characters `text` begins with.
///
/// Sixteen at a time: a loop that looks at them all, whatever it finds, is one that a compiler makes
/// vectors of. Inlined: each byte of a head comes by here, most in runs shorter than a call is worth.
#[inline(always)]
pub(super) fn plain(text: &[u8]) -> usize {
    let is_odd = |&byte: &u8| !(b' '..=b'~').contains(&byte);
    let (blocks, tail) = text.as_chunks::<16>();
    let mut at = 0usize;
    for block in blocks {
        if block.iter().fold(false, |any, byte| any | is_odd(byte)) {
            return at.wrapping_add(before(block, |word| {
                word | word.wrapping_sub(0x20 * EACH) | word.wrapping_add(EACH)
            }));
        }
        at = at.wrapping_add(block.len());
    }
    at.wrapping_add(tail.iter().take_while(|&byte| !is_odd(byte)).count())
}

/// How far the first quote or backslash is. Not inlined: a small loop has its registers.
#[inline(never)]
pub(super) fn unquoted(text: &[u8]) -> usize {
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    before(text, |word| zero(word ^ (0x22 * EACH)) | zero(word ^ (0x5c * EACH)))
}

/// Cuts off the token that `text` begins with, if any.
#[inline]
pub(super) fn cut_token(text: &[u8]) -> (&[u8], &[u8]) {
    /// In a larger function a compiler would count along, with every byte, all that follows from it.
    #[inline(never)]
    fn length(text: &[u8]) -> usize {
        token(text)
    }
    text.split_at_checked(length(text)).unwrap_or((text, &[]))
}

/// How long the token is that `text` begins with. Four bytes at a time: at every fourth only it is asked
/// whether there are more.
#[inline(always)]
pub(super) fn token(text: &[u8]) -> usize {
    let ends = |bytes: &[u8]| bytes.iter().position(|&byte| !is_token_byte(byte));
    let (fours, tail) = text.as_chunks::<4>();
    let mut at = 0usize;
    for four in fours {
        if let Some(end) = ends(four) {
            return at.wrapping_add(end);
        }
        at = at.wrapping_add(4);
    }
    at.wrapping_add(ends(tail).unwrap_or(tail.len()))
}

/// Cuts off what `text` has of bytes of a class at its beginning.
#[inline]
pub(super) fn cut(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !is_wanted(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// `text` without the linear white space that it begins with. Inlined: most often it is one space,
/// or none.
#[inline(always)]
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

/// `text` without linear white space around it, folds included.
#[inline]
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    trim_start(text)
}

/// Whether a name is `wanted`, in any case. Nearly always it is spelled the same: that is seen sooner.
/// Inlined: what is `wanted` is mostly known beforehand, and then compared in a register or two.
#[inline(always)]
pub(super) fn is_called(name: &[u8], wanted: &[u8]) -> bool {
    name.len() == wanted.len() && (name == wanted || is_in_another_case(name, wanted))
}

#[cold]
fn is_in_another_case(name: &[u8], wanted: &[u8]) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

/// Linear white space, folds included.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a byte may stand in a `token` (RFC 3261 section 25.1).
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    // Looking it up takes less time than comparing.
    const TOKENS: [bool; 256] = {
        let mut table = [false; 256];
        let mut left: &mut [bool] = &mut table;
        let mut byte = 0u8;
        while let [is_token, rest @ ..] = left {
            *is_token = byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
                );
            byte = byte.wrapping_add(1);
            left = rest;
        }
        table
    };
    TOKENS.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What finds many bytes at a time finds what one byte at a time finds.
    #[test]
    fn each_byte_is_found_at_each_place() {
        for byte in 0..=u8::MAX {
            // Whole blocks of every size, and what is left of each.
            for (at, end) in (0..43).flat_map(|end| (0..end).map(move |at| (at, end))) {
                let mut bytes = [b'a'; 43];
                bytes[at] = byte;
                let bytes = &bytes[..end];
                let found = |is_it: bool| if is_it { at } else { end };
                assert_eq!(plain(bytes), found(!(b' '..=b'~').contains(&byte)), "{byte:#04x}");
                assert_eq!(unquoted(bytes), found(b"\"\\".contains(&byte)), "{byte:#04x}");
                let (token, rest) = cut_token(bytes);
                assert_eq!(token.len(), found(!is_token_byte(byte)), "{byte:#04x}");
                assert_eq!([token, rest].concat(), bytes);
            }
        }
    }

    /// A carry from one byte to the next must not hide or invent one.
    #[test]
    fn what_stands_behind_the_first_does_no_harm() {
        for first in 0..=u8::MAX {
            for next in 0..=u8::MAX {
                let bytes = [b'a', first, next, b'a', b'a', b'a', b'a', b'a', b'a', next, first];
                let odd = |byte: &u8| !(b' '..=b'~').contains(byte);
                let quote = |byte: &u8| b"\"\\".contains(byte);
                let end = bytes.len();
                assert_eq!(plain(&bytes), bytes.iter().position(odd).unwrap_or(end));
                assert_eq!(
                    plain(&[bytes, bytes].concat()),
                    bytes.iter().position(odd).unwrap_or(2 * end)
                );
                assert_eq!(unquoted(&bytes), bytes.iter().position(quote).unwrap_or(end));
            }
        }
    }
}
