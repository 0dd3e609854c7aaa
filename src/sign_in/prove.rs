//! How to prove who we are: which mechanism is next, for whom, and what it sends.

use super::attempt::Attempt;
use super::cache::{AskReason, CredentialRequest};
use super::machine::{Next, SignIn};
use super::mechanisms::{Method, Proof, Trouble};
use super::refusal::SignInError;
use super::running::{Running, Vain, Who};
use super::step::Step;
use crate::auth::{Authorization, Credentials, Identity};
use crate::now::Now;
use crate::sip::{Challenge, Challenger, Scheme};
use crate::text::WireText;

impl SignIn {
    /// Starts the best mechanism that is left; or asks for credentials, if one is left that takes
    /// them; or gives up.
    pub(super) fn prove(&mut self, by: Challenger, now: Now) {
        (self.rounds, self.asker) = (0, by);
        let held = self.cache.held().cloned();
        let current = self.rules.current_user.then_some((Who::CurrentUser, Identity::CurrentUser));
        let supplied = held.as_ref().map(|held| (Who::Supplied, Identity::Supplied(held)));
        for (who, identity) in current.into_iter().chain(supplied) {
            while let Some((at, method, challenge)) = self.best(by, who, identity) {
                let checked = self.check(method, challenge);
                let started = checked
                    .and_then(|()| method.start((by, challenge), identity, now, &*self.random));
                let sent = started.and_then(|mut proof| {
                    self.send(&mut proof)?;
                    Ok(proof)
                });
                match sent {
                    Ok(proof) => {
                        self.proof = Some(Running { by, at, who, proof });
                        return;
                    }
                    Err(why) => self.give_up(by, at, who, why),
                }
            }
        }
        self.ask(by, held.is_none());
    }

    /// That a challenge can be answered at all, and may be answered to this server.
    fn check(&self, method: &Method, challenge: &Challenge) -> Result<(), Trouble> {
        self.server.check_target(challenge, self.register.address().domain())?;
        method.check(challenge)
    }

    /// The first mechanism of the caller's that whoever asks offers, and that is not used up.
    fn best(
        &self,
        by: Challenger,
        who: Who,
        identity: Identity<'_>,
    ) -> Option<(usize, &Method, &Challenge<'_>)> {
        let mechanisms = self.rules.mechanisms.over(self.server.endpoint.protocol);
        let spent = self.vain.as_ref().map_or(&[][..], |vain| &vain.spent);
        let mut usable = mechanisms
            .filter(|(at, method)| !spent.contains(&(by, *at, who)) && method.takes(identity));
        usable.find_map(|(at, method)| Some((at, method, self.challenge(by, method)?)))
    }

    /// The challenge of whoever asks that `method` answers.
    fn challenge(&self, by: Challenger, method: &Method) -> Option<&Challenge<'_>> {
        let mut offer = self.offer.iter().filter(|(asker, _)| *asker == by);
        offer.find(|(_, c)| method.answers(c)).map(|(_, challenge)| challenge)
    }

    fn ask(&mut self, by: Challenger, wanted: bool) {
        // Whether a mechanism takes passwords does not depend on whose it is.
        let anybody = "user".parse().ok().map(|account| Credentials::new(account, ""));
        let identity = anybody.as_ref().filter(|_| wanted).map(Identity::Supplied);
        while let Some((at, method, challenge)) =
            identity.and_then(|identity| self.best(by, Who::Supplied, identity))
        {
            match self.check(method, challenge) {
                Ok(()) => {
                    self.next = Next::Ask(at);
                    return;
                }
                // Nobody is asked for a password that cannot be used.
                Err(trouble) => self.give_up(by, at, Who::Supplied, trouble),
            }
        }
        let error = self.rejected().map(SignInError::Rejected);
        self.say(Step::Failed(error.unwrap_or_else(|| self.no_common_scheme())));
    }

    /// What to ask for.
    pub(super) fn request(&self, at: usize) -> Option<CredentialRequest> {
        let method = self.rules.mechanisms.get(at)?;
        let challenge = self.challenge(self.asker, method)?;
        Some(CredentialRequest {
            address: self.register.address().clone(),
            endpoint: self.server.endpoint.clone(),
            realm: challenge.realm().unwrap_or_default().into(),
            target: challenge.target_name().map(WireText::new),
            scheme: method.scheme(),
            reason: if self.cache.rejected().is_empty() {
                AskReason::FirstTime
            } else {
                AskReason::Rejected
            },
        })
    }

    pub(super) fn vain(&mut self) -> &mut Vain {
        self.vain.get_or_insert_default()
    }

    pub(super) fn attempts(&self) -> &[Attempt] {
        self.vain.as_ref().map_or(&[], |vain| &vain.attempts)
    }

    pub(super) fn rejected(&self) -> Option<Scheme> {
        self.vain.as_ref()?.rejected.clone()
    }

    pub(super) fn no_common_scheme(&self) -> SignInError {
        SignInError::NoCommonScheme {
            offered: self.offer.iter().map(|(_, c)| c.scheme().clone()).collect(),
            attempts: self.attempts().to_vec(),
        }
    }

    pub(super) fn give_up(
        &mut self,
        by: Challenger,
        at: usize,
        who: Who,
        Trouble { why, kind }: Trouble,
    ) {
        let scheme = self.rules.mechanisms.get(at).map(Method::scheme);
        let Vain { spent, attempts, .. } = self.vain();
        spent.push((by, at, who));
        let attempt = scheme.map(|scheme| Attempt { scheme, why, kind });
        attempts.extend(attempt.filter(|attempt| !attempts.contains(attempt)));
    }

    /// Makes the next REGISTER, with the proof in it.
    pub(super) fn send(&mut self, proof: &mut Proof) -> Result<(), WireText> {
        let printed = |error| WireText::printed(&error);
        let register = self.register.clone().next();
        let message = register.message().map_err(printed)?;
        let authorization = proof.authorize(&message, &*self.random)?;
        let beside = match &mut self.beside {
            Some(running) => Some(running.proof.authorize(&message, &*self.random)?),
            None => None,
        };
        self.register = register;
        self.next =
            Next::Send(Authorization::add_all(&message, [beside, Some(authorization)]).into());
        Ok(())
    }
}
