//! What the two sides of an exchange agree on.

use std::fmt;
use std::ops::BitOr;

/// Negotiate flags. [MS-NLMP section 2.2.2.5]
///
/// ```
/// # #[cfg(feature = "ntlm")] {
/// use sip_signin::auth::NtlmFlags;
/// let flags = NtlmFlags::UNICODE | NtlmFlags::SIGN;
/// assert!(flags.contains(NtlmFlags::SIGN));
/// assert_eq!(flags.to_string(), "UNICODE, SIGN");
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtlmFlags(u32);

impl NtlmFlags {
    /// Text is UTF-16.
    pub const UNICODE: Self = Self(0x0000_0001);
    /// The server is to name its domain or itself.
    pub const REQUEST_TARGET: Self = Self(0x0000_0004);
    /// Messages can be signed.
    pub const SIGN: Self = Self(0x0000_0010);
    /// Messages can be sealed; signatures do not need it.
    pub const SEAL: Self = Self(0x0000_0020);
    /// Connectionless: the server speaks first, and each message has a key of its own.
    pub const DATAGRAM: Self = Self(0x0000_0040);
    /// NTLM as such.
    pub const NTLM: Self = Self(0x0000_0200);
    /// A signature on every message.
    pub const ALWAYS_SIGN: Self = Self(0x0000_8000);
    /// Extended session security: HMAC-MD5 instead of a CRC, and a key for each direction.
    pub const EXTENDED_SESSION_SECURITY: Self = Self(0x0008_0000);
    /// The server may know who the client is and not act in its name.
    pub const IDENTIFY: Self = Self(0x0010_0000);
    /// The server tells its names, without which there is no NTLMv2.
    pub const TARGET_INFO: Self = Self(0x0080_0000);
    /// The message says which version of the system wrote it.
    pub const VERSION: Self = Self(0x0200_0000);
    /// Keys of 128 bits.
    pub const KEY_128: Self = Self(0x2000_0000);
    /// The client chooses the session key.
    pub const KEY_EXCHANGE: Self = Self(0x4000_0000);

    /// Without one of these a challenge is weaker than this client accepts.
    pub const REQUIRED: Self = Self(
        Self::UNICODE.0
            | Self::SIGN.0
            | Self::DATAGRAM.0
            | Self::EXTENDED_SESSION_SECURITY.0
            | Self::TARGET_INFO.0
            | Self::KEY_128.0
            | Self::KEY_EXCHANGE.0,
    );

    /// What Communicator 2007 R2 agrees to, as its trace shows: 0x62988255.
    pub const WANTED: Self = Self(
        Self::REQUIRED.0
            | Self::REQUEST_TARGET.0
            | Self::NTLM.0
            | Self::ALWAYS_SIGN.0
            | Self::IDENTIFY.0
            | Self::VERSION.0,
    );

    const NAMES: [(Self, &'static str); 13] = [
        (Self::UNICODE, "UNICODE"),
        (Self::REQUEST_TARGET, "REQUEST_TARGET"),
        (Self::SIGN, "SIGN"),
        (Self::SEAL, "SEAL"),
        (Self::DATAGRAM, "DATAGRAM"),
        (Self::NTLM, "NTLM"),
        (Self::ALWAYS_SIGN, "ALWAYS_SIGN"),
        (Self::EXTENDED_SESSION_SECURITY, "EXTENDED_SESSION_SECURITY"),
        (Self::IDENTIFY, "IDENTIFY"),
        (Self::TARGET_INFO, "TARGET_INFO"),
        (Self::VERSION, "VERSION"),
        (Self::KEY_128, "KEY_128"),
        (Self::KEY_EXCHANGE, "KEY_EXCHANGE"),
    ];

    /// The flags of this number, those without a name here among them.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number, as it stands in a message.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that are set in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not set in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for NtlmFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The names, and in hexadecimal what has none here.
impl fmt::Display for NtlmFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unnamed = *self;
        let mut between = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{between}{name}")?;
                between = ", ";
                unnamed = unnamed.without(flag);
            }
        }
        if unnamed.0 != 0 || between.is_empty() {
            write!(f, "{between}{:#x}", unnamed.0)?;
        }
        Ok(())
    }
}

impl fmt::Debug for NtlmFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtlmFlags({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_what_communicator_agrees_to() {
        assert_eq!(NtlmFlags::WANTED.bits(), 0x6298_8255);
        assert!(NtlmFlags::WANTED.contains(NtlmFlags::REQUIRED));
    }

    #[test]
    fn flags_are_shown_by_name() {
        assert_eq!(NtlmFlags::from_bits(0).to_string(), "0x0");
        assert_eq!(NtlmFlags::from_bits(0x8000_0011).to_string(), "UNICODE, SIGN, 0x80000000");
        let missing = NtlmFlags::REQUIRED.without(NtlmFlags::from_bits(0xe282_8233));
        assert_eq!(format!("{missing:?}"), "NtlmFlags(DATAGRAM, EXTENDED_SESSION_SECURITY)");
    }
}
