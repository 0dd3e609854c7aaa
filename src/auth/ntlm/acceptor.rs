//! The server's side of an exchange: the lab's registrars have one.

use std::time::SystemTime;

use super::authenticate::MIC;
use super::challenge::{SIGNATURE, array};
use super::flags::NtlmFlags;
use super::hash::{Key, equal, hmac_md5, rc4};
use super::keys::SideKeys;
use super::response::{file_time, ntowf_v2, utf16};
use super::target_info::TargetInfo;
use crate::auth::{Account, Password};
use crate::random::{Random, RandomError};

/// A challenge, and what is needed to judge the answer to it.
pub(crate) struct Acceptor {
    challenge: Vec<u8>,
    nonce: [u8; 8],
}

/// The keys of a client that proved its password.
pub(crate) struct ServerKeys {
    client: SideKeys,
    server: SideKeys,
}

impl ServerKeys {
    /// Whether the client signed `message` with `signature`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.client.verifies(message, signature)
    }

    /// The server's signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 16] {
        self.server.mac(message)
    }
}

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// It is no AUTHENTICATE_MESSAGE, or a part of it lies outside.
    #[error("the ntlm message cannot be read")]
    Unreadable,
    /// It agrees to less than NTLMv2 with extended session security and 128 bits.
    #[error("the ntlm message agrees to too little")]
    Weak,
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// The proof is another password's.
    #[error("the ntlm proof is wrong")]
    WrongProof,
    /// It promises a MIC and has none, or one of other messages.
    #[error("the mic is missing or wrong")]
    WrongMic,
}

impl Acceptor {
    /// What the server that Communicator's trace shows agrees to: 0xe29882f3.
    const FLAGS: NtlmFlags = NtlmFlags::from_bits(0xe298_82f3);
    /// 5.2.3790, NTLM revision 15: the system below an Office Communications Server 2007 R2.
    const VERSION: [u8; 8] = [5, 2, 0xce, 0x0e, 0, 0, 0, 15];
    /// Where the payload begins.
    const FIXED: u32 = 56;
    const TYPE: u32 = 3;
    /// Without these a client agrees to less than what is spoken here.
    const LEAST: NtlmFlags = NtlmFlags::from_bits(
        NtlmFlags::UNICODE.bits()
            | NtlmFlags::EXTENDED_SESSION_SECURITY.bits()
            | NtlmFlags::KEY_128.bits()
            | NtlmFlags::KEY_EXCHANGE.bits(),
    );

    /// Challenges a client of the server `host`, at the time `wall`. [MS-NLMP section 2.2.1.2]
    pub(crate) fn new(
        host: &str,
        wall: SystemTime,
        random: &dyn Random,
    ) -> Result<Self, RandomError> {
        let mut nonce = [0; 8];
        random.fill(&mut nonce)?;
        let (computer, domain) = host.split_once('.').unwrap_or((host, host));
        let label = domain.split('.').next().unwrap_or_default().to_ascii_uppercase();
        // The names of domain and computer, as NetBIOS and as DNS know them, and of the forest.
        let names = [
            (2, label),
            (1, computer.to_ascii_uppercase()),
            (4, domain.into()),
            (3, host.into()),
            (5, domain.into()),
        ];
        let names = names.map(|(id, name): (u16, String)| (id, utf16(&name)));
        let target_info = TargetInfo::of(names, file_time(wall)).write();
        let [a, b] = u16::try_from(target_info.len()).unwrap_or_default().to_le_bytes();
        let offset = Self::FIXED.to_le_bytes();
        let challenge = [
            &SIGNATURE[..],
            &2u32.to_le_bytes(),
            &[0; 4],
            &offset,
            &Self::FLAGS.bits().to_le_bytes(),
            &nonce,
            &[0; 8],
            &[a, b, a, b],
            &offset,
            &Self::VERSION,
            &target_info,
        ];
        Ok(Self { challenge: challenge.concat(), nonce })
    }

    /// The CHALLENGE_MESSAGE.
    pub(crate) fn challenge(&self) -> &[u8] {
        &self.challenge
    }

    /// Takes the AUTHENTICATE_MESSAGE `token` of an account that `find` knows. [MS-NLMP section
    /// 3.2.5.1.2]
    pub(crate) fn accept<T>(
        &self,
        token: &[u8],
        find: impl FnOnce(&Account) -> Option<(T, Password)>,
    ) -> Result<(T, ServerKeys), Denied> {
        let number = |at| Some(u32::from_le_bytes(array(token, at)?));
        if !token.starts_with(&SIGNATURE) || number(8) != Some(Self::TYPE) {
            return Err(Denied::Unreadable);
        }
        let part = |at| part(token, at).ok_or(Denied::Unreadable);
        let (nt, key) = (part(20)?, part(52)?);
        let flags = NtlmFlags::from_bits(number(60).ok_or(Denied::Unreadable)?);
        if !flags.contains(Self::LEAST) {
            return Err(Denied::Weak);
        }
        let key: [u8; 16] = key.try_into().map_err(|_| Denied::Unreadable)?;
        let account = account(part(28)?, part(36)?).ok_or(Denied::Unreadable)?;
        let (proof, proved) = nt.split_first_chunk::<16>().ok_or(Denied::Weak)?;
        // A response as short as this is of NTLMv1. [MS-NLMP section 2.2.2.7]
        let info = proved.get(28..).ok_or(Denied::Weak)?;
        let info = TargetInfo::read(info).map_err(|_| Denied::Unreadable)?;

        let (found, password) = find(&account).ok_or(Denied::Unknown)?;
        let ntowf = ntowf_v2(&account, &password);
        let expected = hmac_md5(&ntowf, &[&self.nonce, proved]);
        if !equal(&*expected, proof) {
            return Err(Denied::WrongProof);
        }
        let session_key = Key::new(rc4(&hmac_md5(&ntowf, &[proof]), key));
        if info.promises_mic() && !self.mic_is_right(token, &session_key) {
            return Err(Denied::WrongMic);
        }
        let (client, server) = (SideKeys::client(&session_key), SideKeys::server(&session_key));
        Ok((found, ServerKeys { client, server }))
    }

    /// Whether `token` has the MIC of both messages. It covers itself as zeros.
    fn mic_is_right(&self, token: &[u8], session_key: &Key) -> bool {
        let before = token.get(..MIC.start);
        let (Some(before), Some(mic), Some(after)) = (before, token.get(MIC), token.get(MIC.end..))
        else {
            return false;
        };
        let expected = hmac_md5(session_key, &[&self.challenge, before, &[0; 16], after]);
        equal(&*expected, mic)
    }
}

/// What the length and the offset at `at` say.
fn part(token: &[u8], at: usize) -> Option<&[u8]> {
    let length = u16::from_le_bytes(array(token, at)?);
    let begin = u32::from_le_bytes(array(token, at.checked_add(4)?)?);
    let begin = usize::try_from(begin).ok()?;
    token.get(begin..begin.checked_add(length.into())?)
}

fn account(domain: &[u8], user: &[u8]) -> Option<Account> {
    let (domain, user) = (text(domain)?, text(user)?);
    if domain.is_empty() { user.parse().ok() } else { format!("{domain}\\{user}").parse().ok() }
}

/// UTF-16, little-endian.
fn text(bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::challenge::ChallengeMessage;
    use super::super::vectors::{COMMUNICATOR, hex};
    use super::*;

    fn find(account: &Account) -> Option<((), Password)> {
        let known = (account.domain(), account.user()) == ("COSMO", "User");
        known.then(|| ((), Password::new("Pa$$word")))
    }

    fn recorded() -> Acceptor {
        let nonce = [0xdd, 0x1b, 0xaa, 0xf4, 0xe7, 0xe2, 0x18, 0xd1];
        Acceptor { challenge: COMMUNICATOR.challenge(), nonce }
    }

    /// The real client's answer leads to the keys that the real server signed with.
    #[test]
    fn the_answer_of_communicator_is_taken() {
        let ((), keys) = recorded().accept(&COMMUNICATOR.authenticate(), find).unwrap();
        let (request, signature) = COMMUNICATOR.request;
        assert_eq!(hex(&keys.client.mac(request.as_bytes())), signature);
        assert!(!keys.verifies(request.as_bytes(), &keys.sign(request.as_bytes())));
        let (response, signature) = COMMUNICATOR.response;
        assert_eq!(hex(&keys.sign(response.as_bytes())), signature);
    }

    #[test]
    fn another_password_account_or_challenge_is_denied() {
        let token = COMMUNICATOR.authenticate();
        let denied = |acceptor: &Acceptor, token: &[u8], password: Option<&str>| {
            acceptor.accept(token, |_| password.map(|p| ((), Password::new(p)))).err()
        };
        let wrong = Some(Denied::WrongProof);
        assert_eq!(denied(&recorded(), &token, Some("pa$$word")), wrong);
        assert_eq!(denied(&recorded(), &token, None), Some(Denied::Unknown));
        let other = Acceptor { nonce: [7; 8], ..recorded() };
        assert_eq!(denied(&other, &token, Some("Pa$$word")), wrong);
        let mut weak = token.clone();
        weak[62] &= !0x08;
        assert_eq!(denied(&recorded(), &weak, Some("Pa$$word")), Some(Denied::Weak));
    }

    #[test]
    fn no_answer_makes_it_panic() {
        let token = COMMUNICATOR.authenticate();
        for length in 0..token.len() {
            assert!(recorded().accept(&token[..length], find).is_err(), "{length}");
        }
        for at in 0..token.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = token.clone();
                changed[at] = value;
                let _ = recorded().accept(&changed, find);
            }
        }
    }

    #[test]
    fn its_challenge_is_one_that_the_client_reads() {
        struct Sevens;
        impl Random for Sevens {
            fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
                bytes.fill(7);
                Ok(())
            }
        }
        let acceptor =
            Acceptor::new("pool01.contoso.com", SystemTime::UNIX_EPOCH, &Sevens).unwrap();
        let read = ChallengeMessage::read(acceptor.challenge()).unwrap();
        assert_eq!((read.flags.bits(), read.nonce), (0xe298_82f3, [7; 8]));
        assert_eq!(read.target_info.time_stamp(), Some(file_time(SystemTime::UNIX_EPOCH)));
        let computer = [&[1, 0, 12, 0][..], &utf16("POOL01")].concat();
        let written = read.target_info.write();
        assert!(written.windows(computer.len()).any(|window| window == computer));
        assert!(Acceptor::new("203.0.113.1", SystemTime::UNIX_EPOCH, &Sevens).is_ok());
    }
}
