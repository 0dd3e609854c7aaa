//! Base64 (RFC 4648 section 4), as `gssapi-data` carries it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |n: usize| group.get(n).copied().unwrap_or_default();
        let bits = u32::from_be_bytes([0, at(0), at(1), at(2)]);
        for (n, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let index = usize::from((bits >> shift) as u8 & 63);
            let letter = ALPHABET.get(index).filter(|_| n <= group.len());
            text.push(letter.map_or('=', |&letter| letter.into()));
        }
    }
    text
}

/// `None` unless `text` is what [`encode`] gives for some bytes: whole groups, padding at the end
/// only, no bits left over.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let letters = group.iter().take_while(|&&letter| letter != b'=');
        let mut bits = 0u32;
        let mut count = 0usize;
        for letter in letters {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
            count = count.saturating_add(1);
        }
        for _ in count..4 {
            bits <<= 6;
        }
        let [_, whole @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(whole.get(..count.saturating_sub(1))?);
    }
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10, and bytes that need all of the alphabet's end.
    #[test]
    fn the_published_pairs_encode_and_decode() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff\xbf", "+/+/"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&every)), Some(every));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "Z",
            "Zg",
            "Zg=",
            "Zm8",
            "Zh==",
            "Zm9=",
            "Zg==Zg==",
            "=",
            "====",
            "Zm9v Zg==",
            "Zm9-",
            "é",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
