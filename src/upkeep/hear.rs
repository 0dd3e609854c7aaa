//! What the server's messages mean.

use std::time::Instant;

use super::lost::SessionError;
use super::machine::{Errand, Upkeep};
use super::step::{Heard, Step};
use crate::auth::{Association, Protection};
use crate::now::{Now, later};
use crate::sign_in::{Registration, SignIn, SignInError, Welcome};
use crate::sip::{Answer, Contact, Message, Response, Scheme};
use crate::text::WireText;

/// Answers to our own REGISTERs.
impl Upkeep {
    pub(super) fn is_ours(&self, response: &Response) -> bool {
        let headers = response.headers();
        headers.call_id().as_deref() == Some(self.register.call_id())
            && headers.cseq().is_some_and(|cseq| &*cseq.method == "REGISTER")
    }

    /// Late and provisional answers mean nothing.
    pub(super) fn hear(&mut self, message: &Message, response: &Response, now: Now) {
        if response.status() < 200 {
            return;
        }
        match &mut self.errand {
            Some(Errand::Renewal { sign_in, .. }) => sign_in.receive(message, now),
            Some(Errand::Register { rounds, .. }) if response.answers(&self.register) => {
                let rounds = *rounds;
                self.errand = None;
                self.answered(message, response, rounds, now);
            }
            _ => {}
        }
    }

    fn answered(&mut self, message: &Message, response: &Response, rounds: usize, now: Now) {
        let protection = match &mut self.proof {
            Some(proof) => match proof.verify(message, now, &*self.random) {
                Ok(protection) => protection,
                Err(why) => return self.fail(SignInError::SignatureWrong(why)),
            },
            None => Protection::Absent,
        };
        let unsigned = self.is_signed() && protection == Protection::Absent;
        match response.status() {
            200..=299 if unsigned && !self.may_be_unsigned() => {
                self.fail(SignInError::SignatureAbsent);
            }
            200..=299 if self.register.is_sign_out() => self.end = Some(Step::SignedOut.into()),
            200..=299 => {
                let scheme = self.registration.scheme.clone();
                let registration = Registration::read(response, &self.register, scheme, protection);
                self.kept(registration, now.instant);
            }
            401 | 407 if rounds < SignIn::ROUND_LIMIT && self.takes_nonce(response, now) => {
                self.errand = Some(Errand::Again { rounds });
            }
            // The server has no association with us any more.
            401 | 407 if !self.register.is_sign_out() => self.renew_at = Some(now.instant),
            300..=399 if !self.register.is_sign_out() => {
                self.lose(SessionError::Redirected(Contact::of(response.headers())));
            }
            _ => self.fail(SignInError::of(response)),
        }
    }

    /// A new association is up.
    pub(super) fn renewed(&mut self, sign_in: SignIn, now: Instant) {
        let before = self.cache.held();
        let new = sign_in.accepted().filter(|new| !before.is_some_and(|before| before.are(new)));
        self.accepted = new.cloned().map(Box::new);
        let Some(Welcome { register, cache, proof, beside, registration, .. }) = sign_in.welcomed()
        else {
            return;
        };
        let until = later(now, self.rules.answer_within);
        self.former = self.proof.take().map(|proof| (proof, until));
        (self.register, self.cache, self.proof, self.beside) = (register, cache, proof, beside);
        self.associated(now);
        self.kept(registration, now);
    }

    fn kept(&mut self, registration: Registration, now: Instant) {
        let forgotten = registration.was_forgotten();
        self.registration = registration.or(&self.registration);
        self.dropped = 0;
        self.granted(now);
        if forgotten {
            self.lose(SessionError::Forgotten);
        }
    }

    /// Notes how long the binding lasts.
    pub(super) fn granted(&mut self, now: Instant) {
        let granted = self.registration.expires.unwrap_or(Self::ASSUMED);
        let lead = granted.checked_div(2).unwrap_or_default().min(Self::LEAD);
        let refresh = granted.saturating_sub(lead).max(Self::SHORTEST);
        self.refresh_at = now.checked_add(refresh).unwrap_or(now);
        self.expires_at = now.checked_add(granted).unwrap_or(now);
    }

    /// Notes how long the association lasts.
    pub(super) fn associated(&mut self, now: Instant) {
        self.renewable_at = now.checked_add(Self::RENEWAL_INTERVAL).unwrap_or(now);
        let end = self.association().and_then(Association::expires_at);
        self.renew_at = end.map(|at| at.max(self.renewable_at));
    }

    /// The last REGISTER came to nothing.
    pub(super) fn fail(&mut self, error: SignInError) {
        let leaving = self.register.is_sign_out();
        let error = if leaving { SessionError::SignOut } else { SessionError::Refresh }(error);
        self.lose(error);
    }
}

/// Everybody else's messages.
impl Upkeep {
    /// Whether the server can sign.
    pub(super) fn is_signed(&self) -> bool {
        self.association().is_some()
    }

    /// Who was shown a ticket has to prove that it could read it; nothing allows it not to.
    pub(super) fn may_be_unsigned(&self) -> bool {
        let scheme = self.association().map(Association::scheme);
        self.rules.allow_unsigned && scheme != Some(&Scheme::Kerberos)
    }

    pub(super) fn verify(&mut self, message: &Message, now: Now) -> Result<Protection, WireText> {
        let Some(proof) = &mut self.proof else { return Ok(Protection::Absent) };
        let wrong = match proof.verify(message, now, &*self.random) {
            Ok(protection) => return Ok(protection),
            Err(why) => why,
        };
        let former = self.former.as_mut().filter(|(_, until)| now.instant < *until);
        let verified = former.and_then(|(proof, _)| proof.verify(message, now, &*self.random).ok());
        // A server has the new keys with our last token, before its answer to it is here.
        let next = match &mut self.errand {
            Some(Errand::Renewal { sign_in, .. }) => Some(sign_in),
            _ => None,
        };
        let verified = verified.or_else(|| next?.verify(message, now));
        verified.ok_or(wrong)
    }

    /// Whether a response brings a new nonce for Digest, which is kept for the next request.
    pub(super) fn takes_nonce(&mut self, response: &Response, now: Now) -> bool {
        let Answer::Challenged { by, challenges, .. } = Answer::to_first_register(response) else {
            return false;
        };
        // Whoever lets a REGISTER in as the registrar is a proxy to the caller's requests, so either
        // may be meant; first the one that asked by this name.
        let mut proofs = [&mut self.proof, &mut self.beside];
        proofs.sort_by_key(|proof| proof.as_ref().is_none_or(|proof| proof.by() != by));
        proofs.into_iter().flatten().any(|proof| {
            let mut asked = challenges.iter();
            !proof.is_signed() && asked.any(|c| proof.challenged(c, now, &*self.random).is_ok())
        })
    }

    pub(super) fn drop(&mut self, why: WireText) -> Heard {
        self.dropped = self.dropped.saturating_add(1);
        if self.dropped > Self::DROP_LIMIT {
            self.lose(SessionError::Untrusted);
        }
        Heard::Dropped(why)
    }
}
