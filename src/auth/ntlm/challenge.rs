//! The server's message.

use super::NtlmError;
use super::flags::NtlmFlags;
use super::target_info::TargetInfo;

/// A CHALLENGE_MESSAGE, as far as it matters here. [MS-NLMP section 2.2.1.2]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChallengeMessage<'a> {
    pub(super) flags: NtlmFlags,
    pub(super) nonce: [u8; 8],
    pub(super) target_info: TargetInfo<'a>,
}

/// What every message begins with.
pub(super) const SIGNATURE: [u8; 8] = *b"NTLMSSP\0";

impl<'a> ChallengeMessage<'a> {
    /// The longest message that is read, in bytes. It comes in a header line, so it is far shorter.
    pub(super) const LIMIT: usize = 8 * 1024;
    const TYPE: u32 = 2;

    /// Reads a message that is as strong as this client accepts.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NtlmError> {
        if bytes.len() > Self::LIMIT {
            return Err(NtlmError::TooLong);
        }
        if !bytes.starts_with(&SIGNATURE) {
            return Err(NtlmError::NotAChallenge);
        }
        let number = |at| Some(u32::from_le_bytes(array(bytes, at)?));
        if number(8).ok_or(NtlmError::Truncated)? != Self::TYPE {
            return Err(NtlmError::NotAChallenge);
        }
        let flags = NtlmFlags::from_bits(number(20).ok_or(NtlmError::Truncated)?);
        let nonce = array(bytes, 24).ok_or(NtlmError::Truncated)?;
        let missing = NtlmFlags::REQUIRED.without(flags);
        if missing.bits() != 0 {
            return Err(NtlmError::Weak { missing });
        }
        let length = u16::from_le_bytes(array(bytes, 40).ok_or(NtlmError::Truncated)?);
        let offset = number(44).ok_or(NtlmError::Truncated)?;
        let begin = usize::try_from(offset).map_err(|_| NtlmError::OutOfBounds)?;
        let end = begin.checked_add(length.into()).ok_or(NtlmError::OutOfBounds)?;
        let target_info = bytes.get(begin..end).ok_or(NtlmError::OutOfBounds)?;
        Ok(Self { flags, nonce, target_info: TargetInfo::read(target_info)? })
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::super::vectors::COMMUNICATOR;
    use super::*;

    #[test]
    fn the_challenge_of_a_real_server_is_read() {
        let bytes = COMMUNICATOR.challenge();
        let message = ChallengeMessage::read(&bytes).unwrap();
        assert_eq!(message.flags.bits(), 0xe298_82f3);
        assert_eq!(message.nonce, [0xdd, 0x1b, 0xaa, 0xf4, 0xe7, 0xe2, 0x18, 0xd1]);
        assert_eq!(message.target_info.write(), bytes[0x38..]);
        assert_eq!(message.target_info.time_stamp(), None);
    }

    #[test]
    fn no_part_of_a_challenge_can_be_missing() {
        let bytes = COMMUNICATOR.challenge();
        for length in 0..bytes.len() {
            let error = ChallengeMessage::read(&bytes[..length]).unwrap_err();
            let expected = match length {
                ..8 => NtlmError::NotAChallenge,
                8..48 => NtlmError::Truncated,
                _ => NtlmError::OutOfBounds,
            };
            assert_eq!(error, expected, "{length}");
        }
    }

    /// Every byte of the message, each with four other values, and offsets at the edges.
    #[test]
    fn no_challenge_makes_it_panic() {
        let bytes = COMMUNICATOR.challenge();
        let mut refused = 0;
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                refused += usize::from(ChallengeMessage::read(&changed).is_err());
            }
        }
        assert!(refused > 48, "{refused}");
        for offset in [bytes.len() as u32, u32::MAX, u32::MAX - 1, 0x8000_0000, 1] {
            let mut changed = bytes.clone();
            changed[44..48].copy_from_slice(&offset.to_le_bytes());
            let error = ChallengeMessage::read(&changed).unwrap_err();
            assert!(matches!(error, NtlmError::OutOfBounds | NtlmError::TargetInfo), "{offset}");
        }
        let mut changed = bytes.clone();
        changed[40..42].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(ChallengeMessage::read(&changed), Err(NtlmError::OutOfBounds));
        changed.resize(ChallengeMessage::LIMIT + 1, 0);
        assert_eq!(ChallengeMessage::read(&changed), Err(NtlmError::TooLong));
        changed.truncate(ChallengeMessage::LIMIT);
        assert_eq!(ChallengeMessage::read(&changed), Err(NtlmError::OutOfBounds));
    }

    #[test]
    fn each_flag_that_is_required_is_missed_by_name() {
        for bit in 0..32 {
            let flag = NtlmFlags::from_bits(1 << bit);
            let mut bytes = COMMUNICATOR.challenge();
            let flags = NtlmFlags::from_bits(0xe298_82f3).without(flag);
            bytes[20..24].copy_from_slice(&flags.bits().to_le_bytes());
            let read = ChallengeMessage::read(&bytes);
            if NtlmFlags::REQUIRED.contains(flag) {
                assert_eq!(read, Err(NtlmError::Weak { missing: flag }));
            } else {
                assert_eq!(read.unwrap().flags, flags);
            }
        }
    }
}
