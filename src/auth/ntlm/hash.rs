//! The four primitives that [MS-NLMP] is made of, each over several pieces of bytes.

use hmac::{Hmac, KeyInit, Mac};
use md4::{Digest, Md4};
use md5::Md5;
use rc4::{Rc4, StreamCipher};
use zeroize::Zeroizing;

/// A key, or a hash that is as secret as one. It is wiped when dropped.
pub(super) type Key = Zeroizing<[u8; 16]>;

pub(super) fn md4(bytes: &[u8]) -> Key {
    Zeroizing::new(Md4::digest(bytes).into())
}

pub(super) fn md5(pieces: &[&[u8]]) -> Key {
    let mut hash = Md5::new();
    for piece in pieces {
        Digest::update(&mut hash, piece);
    }
    Zeroizing::new(hash.finalize().into())
}

pub(super) fn hmac_md5(key: &Key, pieces: &[&[u8]]) -> Key {
    // A key that is shorter than a block is filled up with zeros (RFC 2104 section 2).
    let mut block = Zeroizing::new([0; 64]);
    if let Some(beginning) = block.first_chunk_mut() {
        *beginning = **key;
    }
    let mut mac = Hmac::<Md5>::new((&*block).into());
    for piece in pieces {
        Mac::update(&mut mac, piece);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Encrypts `bytes`, or decrypts them: it is the same.
pub(super) fn rc4<const N: usize>(key: &Key, mut bytes: [u8; N]) -> [u8; N] {
    // RC4 takes the bytes of its key round and round: a key is the same as itself twice.
    let mut twice = Zeroizing::new([0; 32]);
    for (to, from) in twice.iter_mut().zip(key.iter().cycle()) {
        *to = *from;
    }
    Rc4::new((&*twice).into()).apply_keystream(&mut bytes);
    bytes
}

/// Compares without telling by the time it takes where the difference is.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 1320 appendix A.5, RFC 1321 appendix A.5, RFC 2202 section 2.
    #[test]
    fn the_published_values_come_out() {
        assert_eq!(hex(&*md4(b"message digest")), "d9130a8164549fe818874806e1c7014b");
        assert_eq!(hex(&*md5(&[b"mess", b"age digest"])), "f96b697d7cb7938d525a2f31aaf161d0");
        let key = Zeroizing::new([0x0b; 16]);
        assert_eq!(hex(&*hmac_md5(&key, &[b"Hi ", b"There"])), "9294727a3638bb1c13f48ef8158bfc9d");
    }

    /// RFC 6229 section 2: the key 0x0102…10.
    #[test]
    fn rc4_gives_the_published_key_stream() {
        let key = Zeroizing::new(std::array::from_fn(|n| n as u8 + 1));
        assert_eq!(hex(&rc4(&key, [0; 16])), "9ac7cc9a609d1ef7b2932899cde41b97");
    }

    #[test]
    fn equal_means_every_byte_and_the_length() {
        assert!(equal(b"ab", b"ab") && equal(b"", b""));
        for other in [&b"aa"[..], b"bb", b"a", b"abc", b""] {
            assert!(!equal(b"ab", other));
        }
    }
}
