//! Who is calling, seen from the server: the endpoint and its instance.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use crate::text::WireText;

/// An endpoint identifier (`epid`): it tells a user's clients apart.
///
/// One to sixteen letters and digits. [MS-SIPRE] allows no more (unverified); Communicator sends
/// ten hexadecimal digits.
///
/// ```
/// use sip_signin::sip::{Epid, InstanceId};
/// let epid: Epid = "8248ca9ebb".parse()?;
/// let instance = InstanceId::of(&epid);
/// assert_eq!(instance.to_string(), "4233fd41-093b-5fd6-b5d2-651ed55969e6");
/// # Ok::<(), sip_signin::sip::EpidError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epid {
    /// Zeros behind its end.
    text: [u8; Self::LIMIT],
    length: u8,
}

impl Epid {
    /// The most characters.
    pub const LIMIT: usize = 16;

    /// The identifier.
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.length.into()).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// A number that spreads devices: near identifiers give far numbers.
    pub(crate) fn spread(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = sha1_smol::Sha1::from(self.as_str()).digest().bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl FromStr for Epid {
    type Err = EpidError;

    fn from_str(text: &str) -> Result<Self, EpidError> {
        let mut epid = Self { text: [0; Self::LIMIT], length: text.len() as u8 };
        match epid.text.get_mut(..text.len()) {
            Some(place) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                place.copy_from_slice(text.as_bytes());
                Ok(epid)
            }
            _ => Err(EpidError { text: text.into() }),
        }
    }
}

impl fmt::Display for Epid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epid({self})")
    }
}

/// A text that is no endpoint identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an endpoint identifier: it is one to sixteen letters and digits")]
pub struct EpidError {
    /// The text that was read.
    pub text: WireText,
}

/// The `+sip.instance` of an endpoint: a version 5 UUID made from its [`Epid`].
///
/// The server computes it too and refuses another one. [MS-SIPAE section 3.3.5.2]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId([u8; 16]);

impl InstanceId {
    /// `fcacfb03-8a73-46ef-91b1-e5ebeeaba4fe` as a little-endian GUID. [MS-SIPRE] (unverified; it
    /// gives the four published pairs)
    const NAMESPACE: [u8; 16] = [
        0x03, 0xfb, 0xac, 0xfc, 0x73, 0x8a, 0xef, 0x46, 0x91, 0xb1, 0xe5, 0xeb, 0xee, 0xab, 0xa4,
        0xfe,
    ];

    /// The instance of the endpoint `epid`.
    ///
    /// RFC 4122 section 4.3 with one twist: namespace and digest are little-endian GUIDs, so the
    /// first three fields are turned round.
    pub fn of(epid: &Epid) -> Self {
        let mut digest = sha1_smol::Sha1::from(Self::NAMESPACE);
        digest.update(epid.as_str().as_bytes());
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = digest.digest().bytes();
        let version = h & 0x0f | 0x50;
        let variant = i & 0x3f | 0x80;
        Self([d, c, b, a, f, e, version, g, variant, j, k, l, m, n, o, p])
    }
}

/// The usual form of a UUID, lower case.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        HEXLOWER.encode_mut(&self.0, &mut digits);
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
        // In one piece: nearly always it is written into a text, which then grows once.
        f.write_str(&groups.map(|group| digits.get(group).unwrap_or_default()).join("-"))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MS-SIPAE] sections 4.1 and 4.2, a trace of Communicator 2007 R2, and [MS-SIPRE]'s example.
    #[test]
    fn the_published_pairs_come_out() {
        for (epid, uuid) in [
            ("8248ca9ebb", "4233FD41-093B-5FD6-B5D2-651ED55969E6"),
            ("2ebb6f264f", "124841E4-264D-52E8-96C5-D22AA8CDC316"),
            ("c8ca638a15", "34D859DB-6585-5F91-A3B4-DE853C15347D"),
            ("01010101", "4b1682a8-f968-5701-83fc-7c6741dc6697"),
        ] {
            let instance = InstanceId::of(&epid.parse().unwrap());
            assert_eq!(instance.to_string(), uuid.to_ascii_lowercase());
        }
    }

    #[test]
    fn an_epid_is_one_to_sixteen_letters_and_digits() {
        for text in ["1", "8248ca9ebb", "0123456789abcDEF"] {
            assert_eq!(text.parse::<Epid>().unwrap().as_str(), text);
        }
        for text in ["", "0123456789abcdef0", "a b", "a;b", "a\r\nb", "a-b", "ä"] {
            assert!(text.parse::<Epid>().is_err(), "{text}");
        }
    }
}
