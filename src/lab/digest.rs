//! Digest, as a server checks it (RFC 3261 section 22.4, RFC 7616, RFC 8760).

use super::accounts::{Offer, Resident};
use crate::auth::DigestAlgorithm;
use crate::random::{self, RandomError};
use crate::sip::{Challenge, Request};
use crate::system_random::SystemRandom;

/// The nonce of one connection; one of another connection is stale.
pub(super) struct Nonce {
    text: String,
    /// The highest `nc` that was taken.
    count: u32,
}

/// Why a proof is not taken.
pub(super) enum Denied {
    /// It is right, but the nonce is another connection's, or its count was used before.
    Stale,
    /// It is not right.
    Wrong(&'static str),
}

impl Nonce {
    pub(super) fn new() -> Result<Self, RandomError> {
        Ok(Self { text: random::hex::<16>(&SystemRandom)?, count: 0 })
    }

    /// The challenge that asks for a proof by `algorithm`. A nonce that was used is not offered again.
    pub(super) fn challenge(
        &mut self,
        algorithm: DigestAlgorithm,
        realm: &str,
        stale: bool,
    ) -> Result<String, RandomError> {
        if self.count > 0 {
            *self = Self::new()?;
        }
        let stale = if stale { ", stale=true" } else { "" };
        let (name, nonce) = (algorithm.name(), &self.text);
        Ok(format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={name}{stale}"
        ))
    }

    /// Whose proof `said` is, and the server's own in return.
    pub(super) fn check<'a>(
        &mut self,
        said: &Challenge,
        request: &Request,
        offers: &[Offer],
        accounts: &'a [Resident],
    ) -> Result<(&'a Resident, String), Denied> {
        let get = |name| said.parameter(name).ok_or(Denied::Wrong("a parameter is missing"));
        let (user, realm, nonce) = (get("username")?, get("realm")?, get("nonce")?);
        let (uri, response) = (get("uri")?, get("response")?);
        let (cnonce, count, qop) = (get("cnonce")?, get("nc")?, get("qop")?);
        let algorithm = DigestAlgorithm::of(said).ok();
        let algorithm = algorithm.filter(|&it| offers.contains(&Offer::Digest(it)));
        let algorithm = algorithm.ok_or(Denied::Wrong("the algorithm was not offered"))?;
        if qop != "auth" || uri != request.uri() {
            return Err(Denied::Wrong("the proof is for something else"));
        }
        let number = u32::from_str_radix(count, 16).ok().filter(|_| count.len() == 8);
        let number = number.ok_or(Denied::Wrong("nc cannot be read"))?;

        let account = user.parse().ok();
        let found = account.and_then(|account| accounts.iter().find(|it| it.is(&account)));
        let found = found.ok_or(Denied::Wrong("there is no such account"))?;
        let secret = algorithm.hash(&[user, realm, found.credentials.password.reveal()]);
        let proof = |method: &str| {
            let asked = algorithm.hash(&[method, uri]);
            algorithm.hash(&[&secret, nonce, count, cnonce, qop, &asked])
        };
        if !proof(request.method()).eq_ignore_ascii_case(response) {
            return Err(Denied::Wrong("the digest is wrong"));
        }
        if nonce != self.text || number <= self.count {
            return Err(Denied::Stale);
        }
        self.count = number;
        // The server's own is made like a request's without a method. [RFC 7616 section 3.5]
        let info = format!("qop=auth, cnonce=\"{cnonce}\", nc={count}");
        Ok((found, format!("rspauth=\"{}\", {info}", &*proof(""))))
    }
}
