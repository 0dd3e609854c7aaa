//! The three flags of a packet, and what they may say together.

/// How a packet carries its data: all that its three flags can say.
///
/// | `0x8` flushed | `0x4` at front | `0x2` compressed | means |
/// |---|---|---|---|
/// | – | – | – | [`Plain`](Self::Plain) |
/// | – | – | set | [`Compressed`](Self::Compressed), behind what came before |
/// | – | set | set | [`Compressed`](Self::Compressed), at the front of the history |
/// | set | – | – | [`Flushed`](Self::Flushed) |
/// | – | set | – | [`FlagsError::AtFrontAlone`] |
/// | set | set | – | [`FlagsError::AtFrontAlone`] |
/// | set | any | set | [`FlagsError::FlushedAndCompressed`]: the connection must end |
///
/// The value of *compressed* is that of [MS-SIPCOMP]; those of the other two follow from the bits
/// A, B and C of RFC 2118 section 3, and could not be read in any public source. (unverified)
///
/// ```
/// use sip_signin::compression::{FlagsError, Form};
/// assert_eq!(Form::from_flags(0x6), Ok(Form::Compressed { at_front: true }));
/// assert_eq!(Form::Flushed.flags(), 0x8);
/// assert_eq!(Form::from_flags(0xa), Err(FlagsError::FlushedAndCompressed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The payload are tokens, which also go into the history.
    Compressed {
        /// The data goes to the front of the history, because it is the first or because it does
        /// not fit behind what came before.
        at_front: bool,
    },
    /// The payload is the data, and both sides forget their history: compressed it would be longer.
    Flushed,
    /// The payload is the data, and the history stays as it is. Whether this is ever sent could not
    /// be read in any public source; it is taken as RFC 2118 takes it, and never sent. (unverified)
    Plain,
}

impl Form {
    /// The flag *compressed*. [MS-SIPCOMP]
    pub const COMPRESSED: u8 = 0x2;
    /// The flag *at front*. (unverified)
    pub const AT_FRONT: u8 = 0x4;
    /// The flag *flushed*. (unverified)
    pub const FLUSHED: u8 = 0x8;

    /// Reads flags.
    ///
    /// # Errors
    /// [`FlagsError`] when they contradict each other, or there is one more.
    pub const fn from_flags(flags: u8) -> Result<Self, FlagsError> {
        const FRONT: u8 = Form::COMPRESSED | Form::AT_FRONT;
        match flags {
            0 => Ok(Self::Plain),
            Self::COMPRESSED => Ok(Self::Compressed { at_front: false }),
            FRONT => Ok(Self::Compressed { at_front: true }),
            Self::FLUSHED => Ok(Self::Flushed),
            0x10.. => Err(FlagsError::Unknown(flags)),
            _ if flags & 1 != 0 => Err(FlagsError::Unknown(flags)),
            _ if flags & Self::COMPRESSED != 0 => Err(FlagsError::FlushedAndCompressed),
            _ => Err(FlagsError::AtFrontAlone),
        }
    }

    /// The flags that say so.
    pub const fn flags(self) -> u8 {
        match self {
            Self::Compressed { at_front: false } => Self::COMPRESSED,
            Self::Compressed { at_front: true } => Self::COMPRESSED | Self::AT_FRONT,
            Self::Flushed => Self::FLUSHED,
            Self::Plain => 0,
        }
    }
}

/// Why flags say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagsError {
    /// *At front* must come with *compressed*. [MS-SIPCOMP]
    #[error("its flags send data to the front of the history that does not go there")]
    AtFrontAlone,
    /// *Flushed* must come alone; the state of the receiver is undefined. [MS-SIPCOMP]
    #[error("its flags say flushed and compressed")]
    FlushedAndCompressed,
    /// There is no such flag.
    #[error("its flags {0:#04x} are unknown")]
    Unknown(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_form_or_an_error_and_forms_read_back() {
        let mut forms = 0;
        for flags in 0..=u8::MAX {
            match Form::from_flags(flags) {
                Ok(form) => {
                    forms += 1;
                    assert_eq!(form.flags(), flags);
                }
                Err(FlagsError::Unknown(said)) => {
                    assert!(said == flags && (flags > 0xf || flags & 1 != 0));
                }
                Err(FlagsError::AtFrontAlone) => assert!([0x4, 0xc].contains(&flags)),
                Err(FlagsError::FlushedAndCompressed) => assert!([0xa, 0xe].contains(&flags)),
            }
        }
        assert_eq!(forms, 4);
    }
}
