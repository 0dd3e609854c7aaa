//! What is due, and when: a short list of questions, in their order.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::lost::SessionError;
use super::machine::{Errand, Upkeep};
use super::step::Step;
use crate::auth::Authorization;
use crate::now::later;
use crate::sign_in::{self, AskReason, Proof, SignIn, SignInError};
use crate::text::WireText;

impl Upkeep {
    pub(super) fn due(&mut self, now: Instant) -> Step {
        let open = match self.errand.take() {
            Some(Errand::Renewal { sign_in, asked }) if !self.leaving => {
                match self.renewal(sign_in, asked, now) {
                    Continue(until) => until,
                    Break(step) => return step,
                }
            }
            Some(Errand::Renewal { sign_in, .. }) => {
                self.register = sign_in.register().clone();
                self.cache = sign_in.cache().clone();
                None
            }
            Some(Errand::Again { rounds }) => return self.tell(rounds.saturating_add(1), now),
            Some(Errand::Register { until, .. }) if now >= until => {
                self.fail(SignInError::NoAnswer);
                None
            }
            Some(Errand::Register { rounds, until }) => {
                self.errand = Some(Errand::Register { rounds, until });
                Some(until)
            }
            None => None,
        };
        if let Some(end) = self.end() {
            return end.clone();
        }
        if self.leaving && !self.register.is_sign_out() {
            return self.tell(0, now);
        }
        if self.errand.is_none() {
            if self.renew_at.is_some_and(|at| now >= at) {
                return self.renew(now);
            }
            if now >= self.refresh_at {
                return self.tell(0, now);
            }
        }
        let ping_at = self.ping_at();
        if now >= ping_at {
            self.pings = self.pings.wrapping_add(1);
            return Step::Send(Bytes::from_static(b"\r\n\r\n"));
        }
        let next = match (&self.errand, open) {
            (Some(_), until) => until.unwrap_or(self.expires_at),
            (None, _) => self.renew_at.map_or(self.refresh_at, |at| at.min(self.refresh_at)),
        };
        Step::Wait { until: next.min(ping_at) }
    }

    /// Goes on with a new association: the step to take, or until when to wait.
    fn renewal(
        &mut self,
        mut sign_in: Box<SignIn>,
        mut asked: bool,
        now: Instant,
    ) -> ControlFlow<Step, Option<Instant>> {
        let step = match sign_in.poll_step(now) {
            sign_in::Step::AskCredentials(_) if asked && now >= self.expires_at => {
                return self
                    .not_renewed(&sign_in, SessionError::Renewal(SignInError::CredentialsNeeded));
            }
            sign_in::Step::AskCredentials(_) if asked => Continue(None),
            sign_in::Step::AskCredentials(mut request) => {
                asked = true;
                if request.reason == AskReason::FirstTime {
                    request.reason = AskReason::Expired;
                }
                Break(Step::AskCredentials(request))
            }
            sign_in::Step::Send(bytes) => Break(Step::Send(bytes)),
            sign_in::Step::Wait { until } => Continue(Some(until)),
            sign_in::Step::SignedIn(_) => {
                self.renewed(*sign_in, now);
                return Continue(None);
            }
            sign_in::Step::Redirected { contacts, .. } => {
                return self.not_renewed(&sign_in, SessionError::Redirected(contacts));
            }
            sign_in::Step::Failed(error) => {
                return self.not_renewed(&sign_in, SessionError::Renewal(error));
            }
        };
        self.errand = Some(Errand::Renewal { sign_in, asked });
        step
    }

    fn not_renewed(
        &mut self,
        sign_in: &SignIn,
        error: SessionError,
    ) -> ControlFlow<Step, Option<Instant>> {
        self.cache = sign_in.cache().clone();
        self.lose(error);
        Continue(None)
    }

    /// Begins a new association, as at the first sign-in: with a REGISTER that proves nothing.
    /// [MS-SIPAE section 3.2.2]
    fn renew(&mut self, now: Instant) -> Step {
        let mut sign_in = Box::new(SignIn::new(
            self.register.clone().next(),
            self.server.clone(),
            Arc::clone(&self.rules),
            self.cache.clone(),
            Arc::clone(&self.random),
        ));
        let first = sign_in.poll_step(now);
        self.errand = Some(Errand::Renewal { sign_in, asked: false });
        match first {
            sign_in::Step::Send(bytes) => Step::Send(bytes),
            _ => Step::Wait { until: now },
        }
    }

    /// Sends the next REGISTER.
    fn tell(&mut self, rounds: usize, now: Instant) -> Step {
        let last = self.register.clone();
        self.register = if self.leaving { last.sign_out() } else { last.next() };
        match self.proved() {
            Ok(bytes) => {
                let until = later(now, self.rules.answer_within);
                self.errand = Some(Errand::Register { rounds, until });
                Step::Send(bytes)
            }
            Err(why) => {
                let lost = SessionError::Unsignable(why);
                self.lose(lost.clone());
                Step::Lost(lost)
            }
        }
    }

    fn proved(&mut self) -> Result<Bytes, WireText> {
        let message = self.register.message();
        let message = message.map_err(|error| WireText::printed(&error))?;
        let prove = |proof: &mut Option<Proof>| match proof {
            Some(proof) => proof.authorize(&message, &*self.random).map(Some),
            None => Ok(None),
        };
        let authorizations = [prove(&mut self.beside)?, prove(&mut self.proof)?];
        Ok(Authorization::add_all(&message, authorizations))
    }

    /// When to say a word, if nothing is sent before (RFC 5626 section 4.4.1).
    fn ping_at(&self) -> Instant {
        let most = self.registration.keep_alive.unwrap_or(Self::KEEP_ALIVE).max(Self::SHORTEST);
        let percent = 80_u32.saturating_add(self.seed.draws(self.pings)(20));
        let wait = most.saturating_mul(percent).checked_div(100).unwrap_or(most);
        self.sent_at.checked_add(wait.max(Self::SHORTEST)).unwrap_or(self.sent_at)
    }
}
