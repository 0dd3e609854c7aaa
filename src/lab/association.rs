//! The server's side of an association: takes the signatures of requests, and makes those of answers.

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::accounts::Resident;
use super::keys::{Keys, target};
use crate::auth::{Salt, Version, signature_buffer};
use crate::random::{self, RandomError};
use crate::sip::{Challenge, Message, Scheme};
use crate::system_random::SystemRandom;

pub(super) const REALM: &str = "SIP Communications Service";

/// The client has proved its password or shown its ticket.
pub(super) struct Association<'a> {
    pub(super) version: Version,
    pub(super) opaque: String,
    pub(super) keys: Keys,
    /// What a client that showed a ticket awaits.
    pub(super) reply: Option<Vec<u8>>,
    pub(super) owner: &'a Resident,
    /// When associations were last forgotten.
    pub(super) epoch: usize,
    /// The highest `cnum` of the client.
    pub(super) received: u32,
    /// The last `snum`.
    pub(super) sent: u32,
}

impl Association<'_> {
    /// Takes the signature of `message`, if it is right and its number higher than those before.
    pub(super) fn check(
        &mut self,
        host: &str,
        said: &Challenge,
        message: &Message,
    ) -> Result<(), String> {
        let get = |name| said.parameter(name).ok_or_else(|| format!("there is no {name}"));
        let (crand, cnum, response) = (get("crand")?, get("cnum")?, get("response")?);
        let signature = HEXLOWER_PERMISSIVE.decode(response.as_bytes());
        let signature = signature.map_err(|_| "the response is not hexadecimal")?;
        let number: u32 = cnum.parse().map_err(|_| "cnum is no number")?;
        let scheme = self.keys.scheme();
        let target = target(&scheme, host);
        let scheme = scheme.to_string();
        let salt = salt(&scheme, &target, crand, cnum);
        let buffer = signature_buffer(self.version, salt, message)
            .map_err(|ambiguous| ambiguous.to_string())?;
        if !self.keys.verifies(buffer.as_bytes(), &signature) {
            return Err("the signature is wrong".into());
        }
        if number <= self.received {
            return Err("cnum was used before".into());
        }
        self.received = number;
        Ok(())
    }

    /// The value of the header field that signs `message`, an answer; of something else when it is
    /// to be `wrong`. `None` when it cannot be signed.
    pub(super) fn sign(
        &mut self,
        host: &str,
        message: &Message,
        wrong: bool,
    ) -> Result<Option<String>, RandomError> {
        self.sent = self.sent.saturating_add(1);
        let (srand, snum) = (random::hex::<4>(&SystemRandom)?, self.sent.to_string());
        let srand = srand.to_ascii_uppercase();
        let scheme = self.keys.scheme();
        let target = target(&scheme, host);
        let scheme = scheme.to_string();
        let salt = salt(&scheme, &target, &srand, &snum);
        let Ok(buffer) = signature_buffer(self.version, salt, message) else { return Ok(None) };
        let signed = if wrong { format!("{buffer}<>") } else { buffer };
        let rspauth = HEXLOWER.encode(&self.keys.sign(signed.as_bytes()));
        let reply = self.reply.take().map(|reply| BASE64.encode(&reply));
        let reply = reply.map_or_else(String::new, |reply| format!(", gssapi-data=\"{reply}\""));
        let opaque = &self.opaque;
        Ok(Some(format!(
            "{scheme} rspauth=\"{rspauth}\", srand=\"{srand}\", snum=\"{snum}\", \
             opaque=\"{opaque}\", qop=\"auth\", targetname=\"{target}\", realm=\"{REALM}\"{reply}"
        )))
    }
}

fn salt<'a>(scheme: &'a str, target: &'a str, rand: &'a str, num: &'a str) -> Salt<'a> {
    Salt { scheme, rand, num, realm: REALM, target }
}

/// A challenge without a token: the server offers `scheme`.
pub(super) fn challenge(scheme: &Scheme, host: &str, version: Version) -> String {
    let target = target(scheme, host);
    format!("{scheme} realm=\"{REALM}\", targetname=\"{target}\"{}", parameter(version))
}

/// The name of a new association.
pub(super) fn opaque() -> Result<String, RandomError> {
    Ok(random::hex::<4>(&SystemRandom)?.to_ascii_uppercase())
}

/// How a header field names the version. A server of version 2 knows no other.
pub(super) fn parameter(version: Version) -> String {
    match version {
        Version::V2 => String::new(),
        version => format!(", version={}", version.number()),
    }
}
