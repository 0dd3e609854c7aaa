//! How to prove who we are: which mechanism is next, for whom, and what it sends.

use super::cache::{AskReason, CredentialRequest};
use super::machine::{Next, SignIn, Who};
use super::mechanisms::{Method, Proof};
use super::refusal::{Attempt, SignInError};
use super::step::Step;
use crate::auth::{Credentials, Identity};
use crate::now::Now;
use crate::sip::{Challenge, Challenger, Message};
use crate::text::WireText;

impl SignIn {
    /// Starts the best mechanism that is left; or asks for credentials, if one is left that takes
    /// them; or gives up.
    pub(super) fn prove(&mut self, now: Now) {
        self.rounds = 0;
        let held = self.cache.held().cloned();
        let current = self.rules.current_user.then_some((Who::CurrentUser, Identity::CurrentUser));
        let supplied = held.as_ref().map(|held| (Who::Supplied, Identity::Supplied(held)));
        for (who, identity) in current.into_iter().chain(supplied) {
            while let Some((at, method, by, challenge)) = self.best(who, identity) {
                match self.begin(&method, (by, &challenge), identity, now) {
                    Ok(proof) => {
                        self.proof = Some((at, who, proof));
                        return;
                    }
                    Err(why) => self.give_up(at, who, why),
                }
            }
        }
        self.ask(held.is_none());
    }

    fn begin(
        &mut self,
        method: &Method,
        (by, challenge): (Challenger, &Challenge),
        identity: Identity<'_>,
        now: Now,
    ) -> Result<Proof, WireText> {
        self.server.check_target(challenge, self.register.address().domain())?;
        let mut proof = method.start((by, challenge), identity, now, &*self.random)?;
        self.send(&mut proof)?;
        Ok(proof)
    }

    /// The first mechanism of the caller's that the server offers, and that is not used up.
    fn best(
        &self,
        who: Who,
        identity: Identity<'_>,
    ) -> Option<(usize, Method, Challenger, Challenge)> {
        let mechanisms = self.rules.mechanisms.over(self.server.endpoint.protocol);
        let mut usable = mechanisms
            .filter(|(at, method)| !self.spent.contains(&(*at, who)) && method.takes(identity));
        usable.find_map(|(at, method)| {
            let (by, challenge) = self.offer.iter().find(|(_, c)| method.answers(c))?;
            Some((at, method.clone(), *by, challenge.clone()))
        })
    }

    fn ask(&mut self, wanted: bool) {
        // Whether a mechanism takes passwords does not depend on whose it is.
        let anybody = "user".parse().ok().map(|account| Credentials::new(account, ""));
        let identity = anybody.as_ref().filter(|_| wanted).map(Identity::Supplied);
        let best = identity.and_then(|identity| self.best(Who::Supplied, identity));
        self.next = Next::Say(match (best, self.rejected.clone()) {
            (Some((_, method, _, challenge)), _) => Step::AskCredentials(CredentialRequest {
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
            }),
            (None, Some(scheme)) => Step::Failed(SignInError::Rejected(scheme)),
            (None, None) => Step::Failed(SignInError::NoCommonScheme {
                offered: self.offer.iter().map(|(_, c)| c.scheme().clone()).collect(),
                attempts: self.attempts.clone(),
            }),
        });
    }

    pub(super) fn give_up(&mut self, at: usize, who: Who, why: WireText) {
        self.spent.push((at, who));
        let scheme = self.rules.mechanisms.get(at).map(Method::scheme);
        self.attempts.extend(scheme.map(|scheme| Attempt { scheme, why }));
    }

    /// Makes the next REGISTER, with the proof in it.
    pub(super) fn send(&mut self, proof: &mut Proof) -> Result<(), WireText> {
        let printed = |error| WireText::printed(&error);
        let register = self.register.clone().next();
        let message = Message::parse(register.write()).map_err(printed)?;
        let authorization = proof.authorize(&message, &*self.random)?;
        self.register = register;
        self.next = Next::Send(authorization.add_to(&message));
        Ok(())
    }
}
