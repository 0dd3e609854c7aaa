//! The proof: NTLMv2. [MS-NLMP section 3.3.2]

use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::hash::{Key, hmac_md5, md4};
use crate::auth::{Account, Password};

/// Text as every message has it: UTF-16, little-endian, without an end mark.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len().saturating_mul(2));
    for unit in text.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
    }
    bytes
}

/// `NTOWFv2`: what the password proves an account with. It is as good as the password.
pub(super) fn ntowf_v2(account: &Account, password: &Password) -> Key {
    // UTF-16 has no more units than UTF-8 has bytes, so this is allocated once and leaves no copy.
    let password = Zeroizing::new(utf16(password.reveal()));
    let user: String = account.user().chars().map(upper).collect();
    hmac_md5(&md4(&password), &[&utf16(&user), &utf16(account.domain())])
}

/// Upper case as Windows knows it: one character for one, and never a character of ASCII for one
/// outside of it. (unverified for characters that Unicode gained after Windows' table was made)
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if c.is_ascii() || !one.is_ascii() => one,
        _ => c,
    }
}

/// What the response is made of, beside the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'a> {
    pub(super) server_challenge: [u8; 8],
    pub(super) client_challenge: [u8; 8],
    pub(super) time: [u8; 8],
    pub(super) target_info: &'a [u8],
}

/// The response and the key that comes with it.
pub(super) struct Proof {
    /// The NTLMv2_RESPONSE. [MS-NLMP section 2.2.2.8]
    pub(super) nt: Vec<u8>,
    pub(super) session_base_key: Key,
}

impl Response<'_> {
    /// `NTProofStr`, and behind it what it proves.
    pub(super) fn nt(self, ntowf: &Key) -> Proof {
        let Self { server_challenge, client_challenge, time, target_info } = self;
        let zero = [0; 4];
        let client =
            [&[1, 1, 0, 0], &zero[..], &time, &client_challenge, &zero, target_info, &zero];
        let [a, b, c, d, e, f, g] = client;
        let proof = hmac_md5(ntowf, &[&server_challenge, a, b, c, d, e, f, g]);
        let session_base_key = hmac_md5(ntowf, &[&*proof]);
        Proof { nt: [&*proof, a, b, c, d, e, f, g].concat(), session_base_key }
    }

    /// The LMv2_RESPONSE: for a server that sends no time stamp. [MS-NLMP section 2.2.2.4]
    pub(super) fn lm(self, ntowf: &Key) -> [u8; 24] {
        let proof = hmac_md5(ntowf, &[&self.server_challenge, &self.client_challenge]);
        let mut bytes = [0; 24];
        for (to, from) in bytes.iter_mut().zip(proof.iter().chain(&self.client_challenge)) {
            *to = *from;
        }
        bytes
    }
}

/// A FILETIME: steps of 100 ns since 1601. [MS-DTYP section 2.3.3]
pub(super) fn file_time(time: SystemTime) -> [u8; 8] {
    /// From 1601 to 1970, in seconds.
    const BEFORE_1970: u64 = 11_644_473_600;
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_1970.as_secs().saturating_add(BEFORE_1970);
    let steps = u64::from(since_1970.subsec_nanos() / 100);
    seconds.saturating_mul(10_000_000).saturating_add(steps).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::vectors::{COMMUNICATOR, hex};
    use super::*;

    fn ntowf(account: &str, password: &str) -> String {
        hex(&*ntowf_v2(&account.parse().unwrap(), &Password::new(password)))
    }

    /// [MS-NLMP] 4.2.4.1.1, and published values of other implementations.
    #[test]
    fn ntowf_v2_is_as_published() {
        for (account, password, expected) in [
            (r"Domain\User", "Password", "0c868a403bfd7a93a3001ef22ef02e3f"),
            (r"domain1\user1", "pwd1", "9bee1e41a6d3f1f2c400b8f944c54492"),
            (r"domain1\user2", "pwd2", "a582cd70ceb0ed99e6f5453e96935da5"),
            (r"domain2\user2", "pwd3", "f94d1e1031a1960da9aa64b3831a79f7"),
            (r"COSMO\User", "Pa$$word", "164b086e00d2f393529fa3a98209f99e"),
        ] {
            assert_eq!(ntowf(account, password), expected, "{account}");
        }
    }

    #[test]
    fn upper_case_is_one_character_for_one() {
        for (c, expected) in
            [('a', 'A'), ('é', 'É'), ('ш', 'Ш'), ('ß', 'ß'), ('ı', 'ı'), ('ſ', 'ſ'), ('ŉ', 'ŉ')]
        {
            assert_eq!(upper(c), expected);
        }
        let same = |one: &str, other: &str| ntowf(one, "x") == ntowf(other, "x");
        assert!(same(r"D\jérémie", r"D\JÉRÉMIE"));
        assert!(!same(r"D\straße", r"D\strasse"));
        assert!(!same(r"d\user", r"D\user"), "the case of the domain counts");
    }

    /// [MS-NLMP] section 4.2.4.
    #[test]
    fn the_responses_and_the_session_base_key_are_as_published() {
        let key = ntowf_v2(&r"Domain\User".parse().unwrap(), &Password::new("Password"));
        let target_info =
            [&[2, 0, 12, 0][..], &utf16("Domain"), &[1, 0, 12, 0], &utf16("Server"), &[0; 4]]
                .concat();
        let response = Response {
            server_challenge: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef],
            client_challenge: [0xaa; 8],
            time: [0; 8],
            target_info: &target_info,
        };
        let proof = response.nt(&key);
        assert_eq!(hex(&proof.nt[..16]), "68cd0ab851e51c96aabc927bebef6a1c");
        assert_eq!(hex(&*proof.session_base_key), "8de40ccadbc14a82f15cb0ad0de95ca3");
        assert_eq!(hex(&response.lm(&key)), "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn a_file_time_counts_from_1601() {
        // When Communicator's exchange was recorded: 2010-03-01 10:08:08 UTC.
        let recorded = UNIX_EPOCH + Duration::new(1_267_438_088, 433_288_900);
        assert_eq!(file_time(recorded), COMMUNICATOR.time());
        assert_eq!(file_time(UNIX_EPOCH), 116_444_736_000_000_000u64.to_le_bytes());
        assert_eq!(file_time(UNIX_EPOCH - Duration::from_secs(1)), file_time(UNIX_EPOCH));
    }
}
