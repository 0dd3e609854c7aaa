//! The client's message.

use super::NtlmError;
use super::challenge::{ChallengeMessage, SIGNATURE};
use super::flags::NtlmFlags;
use super::hash::{Key, hmac_md5, rc4};
use super::response::{Response, file_time, utf16};
use crate::auth::Account;
use crate::now::Now;

/// Who answers a challenge.
pub(super) struct Client<'a> {
    pub(super) account: &'a Account,
    pub(super) ntowf: &'a Key,
    pub(super) workstation: &'a str,
    pub(super) version: [u8; 8],
}

/// What must not be guessed.
pub(super) struct Drawn {
    pub(super) client_challenge: [u8; 8],
    /// The key of all signatures; the client chooses it. [MS-NLMP section 3.1.5.2.1]
    pub(super) session_key: Key,
}

/// Where the MIC is in a message that has one.
pub(super) const MIC: std::ops::Range<usize> = 72..88;

const FLAGS_IN_REPLY: NtlmFlags = NtlmFlags::from_bits(
    // Communicator asks for the target even here, and the version is there in any case, so that
    // nobody can look for the MIC in the wrong place.
    NtlmFlags::REQUEST_TARGET.bits() | NtlmFlags::VERSION.bits(),
);

impl Client<'_> {
    /// The AUTHENTICATE_MESSAGE that answers `challenge`, which was read as `message`.
    ///
    /// [MS-NLMP sections 2.2.1.3 and 3.1.5.2.1] With a time stamp of the server it carries a MIC over
    /// both messages and no LMv2 response; without one it is what Communicator 2007 R2 sends.
    pub(super) fn answer(
        &self,
        challenge: &[u8],
        message: ChallengeMessage<'_>,
        drawn: &Drawn,
        now: Now,
    ) -> Result<Vec<u8>, NtlmError> {
        let stamp = message.target_info.time_stamp();
        let target_info = match stamp {
            Some(_) => message.target_info.promising_mic(),
            None => message.target_info,
        };
        let response = Response {
            server_challenge: message.nonce,
            client_challenge: drawn.client_challenge,
            time: stamp.unwrap_or_else(|| file_time(now.wall)),
            target_info: &target_info.write(),
        };
        let proof = response.nt(self.ntowf);
        let lm = if stamp.is_some() { [0; 24] } else { response.lm(self.ntowf) };
        let key = rc4(&proof.session_base_key, *drawn.session_key);
        let flags = NtlmFlags::WANTED.and(message.flags) | FLAGS_IN_REPLY;

        let fixed = if stamp.is_some() { MIC.end } else { MIC.start };
        let mut writer = Writer { begin: fixed, payload: Vec::with_capacity(512) };
        let domain = writer.add(&utf16(self.account.domain()))?;
        let user = writer.add(&utf16(self.account.user()))?;
        let workstation = writer.add(&utf16(self.workstation))?;
        let (lm, nt) = (writer.add(&lm)?, writer.add(&proof.nt)?);
        let key = writer.add(&key)?;
        let mut bytes = Vec::with_capacity(fixed);
        bytes.extend(SIGNATURE);
        bytes.extend(3u32.to_le_bytes());
        for place in [lm, nt, domain, user, workstation, key] {
            bytes.extend(place);
        }
        bytes.extend(flags.bits().to_le_bytes());
        bytes.extend(self.version);
        if stamp.is_none() {
            return Ok([bytes, writer.payload].concat());
        }
        // It covers itself as zeros.
        let covered = [challenge, &bytes, &[0; 16], &writer.payload];
        let mic = hmac_md5(&drawn.session_key, &covered);
        Ok([&bytes, &mic[..], &writer.payload].concat())
    }
}

/// What stands behind the fixed part, and where.
struct Writer {
    begin: usize,
    payload: Vec<u8>,
}

impl Writer {
    /// The length, again the length, and the offset of `bytes`, which are added.
    fn add(&mut self, bytes: &[u8]) -> Result<[u8; 8], NtlmError> {
        let length = u16::try_from(bytes.len()).map_err(|_| NtlmError::TooLong)?;
        let offset = self.begin.saturating_add(self.payload.len());
        let offset = u32::try_from(offset).map_err(|_| NtlmError::TooLong)?;
        self.payload.extend_from_slice(bytes);
        let ([a, b], [c, d, e, f]) = (length.to_le_bytes(), offset.to_le_bytes());
        Ok([a, b, a, b, c, d, e, f])
    }
}
