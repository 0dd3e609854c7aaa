//! The keys of a session, and what they sign.

use zeroize::Zeroizing;

use super::hash::{Key, equal, hmac_md5, md5, rc4};

/// Which sequence number every message has. The server counts in `cnum` and `snum` and leaves this
/// one alone. (as seen between Communicator 2007 R2 and its server)
pub(super) const SEQUENCE: u32 = 100;

/// What one side signs with. [MS-NLMP sections 3.4.5.2 and 3.4.5.3]
pub(super) struct SideKeys {
    sign: Key,
    /// What the checksum of every message is encrypted with. The cipher starts anew for each, because
    /// datagrams may get lost, with a key made of the sealing key and the sequence number [MS-NLMP
    /// section 3.4]: while that one is the same, so is what the cipher begins with.
    pad: Zeroizing<[u8; 8]>,
}

impl SideKeys {
    /// The keys that the client signs with.
    pub(super) fn client(session_key: &Key) -> Self {
        Self::of(session_key, b"client-to-server")
    }

    /// The keys that the server signs with.
    pub(super) fn server(session_key: &Key) -> Self {
        Self::of(session_key, b"server-to-client")
    }

    fn of(session_key: &Key, direction: &[u8]) -> Self {
        let seal = key(session_key, direction, b"sealing");
        let message_key = md5(&[&*seal, &SEQUENCE.to_le_bytes()]);
        Self {
            sign: key(session_key, direction, b"signing"),
            pad: Zeroizing::new(rc4(&message_key, [0; 8])),
        }
    }

    /// The signature of `message`: a version, an encrypted checksum and the sequence number.
    /// [MS-NLMP section 3.4.4.2]
    pub(super) fn mac(&self, message: &[u8]) -> [u8; 16] {
        let sequence = SEQUENCE.to_le_bytes();
        let checksum = hmac_md5(&self.sign, &[&sequence, message]);
        let mut encrypted = checksum.iter().zip(&*self.pad).map(|(byte, pad)| byte ^ pad);
        let [a, b, c, d, e, f, g, h] =
            std::array::from_fn(|_| encrypted.next().unwrap_or_default());
        let [i, j, k, l] = sequence;
        [1, 0, 0, 0, a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Whether `signature` is the one of `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        equal(&self.mac(message), signature)
    }
}

/// The key of one direction and purpose. [MS-NLMP sections 3.4.5.2 and 3.4.5.3]
fn key(session_key: &Key, direction: &[u8], purpose: &[u8]) -> Key {
    let pieces =
        [&session_key[..], b"session key to ", direction, b" ", purpose, b" key magic constant\0"];
    md5(&pieces)
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{COMMUNICATOR, hex};
    use super::*;

    /// [MS-NLMP] section 4.2.4.4, after the random session key of section 4.2.1.
    #[test]
    fn the_keys_are_as_published() {
        let session_key = Zeroizing::new([0x55; 16]);
        let key = |purpose| hex(&*key(&session_key, b"client-to-server", purpose));
        assert_eq!(key(b"signing"), "4788dc861b4782f35d43fd98fe1a2d39");
        assert_eq!(key(b"sealing"), "59f600973cc4960a25480a7c196e4c58");
    }

    #[test]
    fn the_keys_and_signatures_of_communicator_and_its_server_come_out() {
        let session_key = COMMUNICATOR.session_key();
        for (direction, purpose, expected) in [
            (&b"client-to-server"[..], &b"signing"[..], "ea5e87c195ae65338f7c023e7600690d"),
            (b"client-to-server", b"sealing", "83013a189002d3abad49c4c8f605ecc8"),
            (b"server-to-client", b"signing", "0151fe94dba8c83f3c6a6e5444ae54b4"),
            (b"server-to-client", b"sealing", "2a2e34e8d420c039e8f31cb9e8e0cd88"),
        ] {
            assert_eq!(hex(&*key(&session_key, direction, purpose)), expected);
        }
        let (client, server) = (SideKeys::client(&session_key), SideKeys::server(&session_key));
        for (keys, other, (text, mac)) in
            [(&client, &server, COMMUNICATOR.request), (&server, &client, COMMUNICATOR.response)]
        {
            let signature = keys.mac(text.as_bytes());
            assert_eq!(hex(&signature), mac);
            assert!(keys.verifies(text.as_bytes(), &signature));
            assert!(!other.verifies(text.as_bytes(), &signature));
            assert!(!keys.verifies(&text.as_bytes()[1..], &signature));
            assert!(!keys.verifies(text.as_bytes(), &signature[..15]));
            for at in 0..16 {
                let mut changed = signature;
                changed[at] ^= 1;
                assert!(!keys.verifies(text.as_bytes(), &changed), "{at}");
            }
        }
    }
}
