//! Bytes as hexadecimal digits, as signatures are written.

use std::fmt::Write;

/// In lower case.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Of any case; `None` when there is anything else, or half a byte.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let byte = |pair: &[u32]| u8::try_from(pair.iter().fold(0, |n, digit| n << 4 | digit)).ok();
    digits.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_for_bytes_in_any_case_and_nothing_else_does() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&every)).unwrap(), every);
        assert_eq!(decode(&encode(&every).to_uppercase()).unwrap(), every);
        assert_eq!(encode(&[0, 0xaf]), "00af");
        for text in ["0", "0g", "+0", "0x", " 00", "٠٠"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
