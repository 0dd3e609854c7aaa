//! Runs of bytes of one class.

/// How many bytes stand before the first that is `wanted`.
///
/// Sixteen at a time: a loop that looks at them all, whatever it finds, is one that a compiler makes
/// vectors of.
#[inline]
pub(super) fn before(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    let (blocks, tail) = text.as_chunks::<16>();
    let mut at = 0usize;
    for block in blocks {
        if block.iter().fold(false, |any, &byte| any | wanted(byte)) {
            return at.wrapping_add(block.iter().take_while(|&&byte| !wanted(byte)).count());
        }
        at = at.wrapping_add(block.len());
    }
    at.wrapping_add(tail.iter().take_while(|&&byte| !wanted(byte)).count())
}

/// Cuts off what `text` has of bytes of a class at its beginning.
#[inline]
pub(super) fn cut(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !is_wanted(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
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

    /// Sixteen bytes at a time finds what one byte at a time finds.
    #[test]
    fn each_byte_is_found_at_each_place() {
        for byte in 0..=u8::MAX {
            for at in 0..40 {
                let mut bytes = [b'a'; 40];
                bytes[at] = byte;
                let plain = if byte.is_ascii_control() { at } else { 40 };
                assert_eq!(before(&bytes, |b| b.is_ascii_control()), plain, "{byte:#04x} at {at}");
                let (letters, rest) = cut(&bytes, |b| b == b'a');
                assert_eq!(letters.len(), if byte == b'a' { 40 } else { at });
                assert_eq!([letters, rest].concat(), bytes);
            }
        }
    }
}
