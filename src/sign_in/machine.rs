//! The machine: from an open connection to a registration.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::attempt::Attempt;
use super::cache::CredentialCache;
use super::mechanisms::{Method, Proof, Unanswered};
use super::refusal::SignInError;
use super::registration::Registration;
use super::running::{Running, Vain, Who};
use super::step::{Rules, Server, Step};
use crate::auth::{Credentials, Protection};
use crate::now::{Now, later};
use crate::random::Random;
use crate::sip::{Answer, Challenge, Challenger, Message, Register, Response, Scheme};
use crate::text::WireText;

/// The sign-in at one server, over one connection: a pure machine. See the [module](super).
pub struct SignIn {
    pub(super) register: Register,
    pub(super) server: Server,
    pub(super) rules: Arc<Rules>,
    pub(super) cache: CredentialCache,
    pub(super) random: Arc<dyn Random>,
    /// What the server asked for, the latest of each kind.
    pub(super) offer: Vec<(Challenger, Challenge<'static>)>,
    /// Who asked last.
    pub(super) asker: Challenger,
    /// The proof that is given, and to whom.
    pub(super) proof: Option<Running>,
    /// The one that whoever else asks has been given already: a proxy in front of the registrar (RFC
    /// 3261 section 22.3). Boxed: hardly anybody meets two.
    pub(super) beside: Option<Box<Running>>,
    /// Boxed: most sign-ins try once.
    pub(super) vain: Option<Box<Vain>>,
    pub(super) rounds: u16,
    passed_over: u16,
    pub(super) next: Next,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Send it. A ticket can be longer than what we would read. Boxed: what waits has none.
    Send(Box<Bytes>),
    /// It was sent: wait for the answer.
    Hear(Instant),
    /// Ask for credentials for this mechanism, again and again.
    Ask(usize),
    /// Say how it ended, again and again. Boxed: while it goes on there is none.
    Say(Box<Step>),
}

/// What a sign-in leaves to the session.
pub(crate) struct Welcome {
    pub(crate) register: Register,
    pub(crate) server: Server,
    pub(crate) rules: Arc<Rules>,
    pub(crate) cache: CredentialCache,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) proof: Option<Proof>,
    pub(crate) beside: Option<Proof>,
    pub(crate) registration: Registration,
}

impl SignIn {
    /// How many messages are passed over while an answer is awaited: provisional answers, answers to
    /// others, requests. One more is garbage.
    pub const PASSED_OVER_LIMIT: usize = 64;

    /// How many challenges of one server are answered with one mechanism. NTLM takes two, and a
    /// Digest nonce may grow old on the way.
    pub const ROUND_LIMIT: usize = 8;

    /// Begins with `register`, on an open connection to `server`.
    pub fn new(
        register: Register,
        server: Server,
        rules: impl Into<Arc<Rules>>,
        cache: CredentialCache,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            next: Next::Send(register.write().into()),
            register,
            server,
            rules: rules.into(),
            cache,
            random,
            offer: Vec::new(),
            asker: Challenger::Registrar,
            proof: None,
            beside: None,
            vain: None,
            rounds: 0,
            passed_over: 0,
        }
    }

    /// The next step.
    pub fn poll_step(&mut self, now: Instant) -> Step {
        match &self.next {
            Next::Say(step) => Step::clone(step),
            Next::Ask(at) => match self.request(*at) {
                Some(request) => Step::AskCredentials(request),
                None => Step::Failed(self.no_common_scheme()),
            },
            Next::Send(bytes) => {
                let bytes = Bytes::clone(bytes);
                let until = later(now, self.rules.answer_within);
                self.next = Next::Hear(until);
                self.passed_over = 0;
                Step::Send(bytes)
            }
            Next::Hear(until) if now < *until => Step::Wait { until: *until },
            Next::Hear(_) => {
                self.fail(SignInError::NoAnswer);
                Step::Failed(SignInError::NoAnswer)
            }
        }
    }

    /// Takes a message that came from the server. What is no final answer to our last request is
    /// passed over.
    pub fn receive(&mut self, message: &Message, now: Now) {
        let Next::Hear(_) = self.next else { return };
        match message {
            Message::Response(response)
                if response.answers(&self.register) && response.status() >= 200 =>
            {
                self.hear(message, response, now);
            }
            _ if usize::from(self.passed_over) >= Self::PASSED_OVER_LIMIT => {
                self.fail(SignInError::Garbage("nothing but other messages".into()));
            }
            _ => self.passed_over = self.passed_over.saturating_add(1),
        }
    }

    /// Hands in what [`Step::AskCredentials`] asked for; `None` when nobody knows. What was rejected
    /// before counts as nothing.
    pub fn supply(&mut self, credentials: Option<Credentials>, now: Now) {
        let Next::Ask(at) = self.next else { return };
        let by = self.asker;
        if credentials.is_some_and(|credentials| self.cache.take(credentials)) {
            if let Some(vain) = &mut self.vain {
                vain.spent.retain(|(.., who)| *who == Who::CurrentUser);
            }
            self.prove(by, now);
        } else if !self.cache.rejected().is_empty() {
            let asked = self.rules.mechanisms.get(at).map(Method::scheme);
            let rejected = self.rejected().or(asked).map(SignInError::Rejected);
            self.fail(rejected.unwrap_or_else(|| self.no_common_scheme()));
        } else {
            self.fail(SignInError::CredentialsNeeded);
        }
    }

    /// Takes note that the connection is gone.
    pub fn lost(&mut self, why: WireText) {
        self.broken(SignInError::Lost(why));
    }

    /// Takes note that what came is no SIP, behind which nothing more can be read.
    pub fn garbage(&mut self, why: WireText) {
        self.broken(SignInError::Garbage(why));
    }

    fn broken(&mut self, error: SignInError) {
        if self.said().is_none() {
            self.fail(error);
        }
    }

    /// The last request: the next REGISTER of the dialog is [`Register::next`].
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// The server at the other end.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What is known of the user's credentials, for the next server.
    pub fn cache(&self) -> &CredentialCache {
        &self.cache
    }

    /// Whether the last request holds a whole proof. If the connection is lost behind it, the server
    /// may have seen it, and the same again would be a second try.
    pub fn has_proved(&self) -> bool {
        self.running().any(|running| running.proof.is_complete())
    }

    /// The credentials that let us in; `None` before that, and as the user who is logged on.
    pub fn accepted(&self) -> Option<&Credentials> {
        match (self.said(), &self.proof) {
            (Some(Step::SignedIn(registration)), Some(running)) if running.who == Who::Supplied => {
                registration.scheme.as_ref().and(self.cache.held())
            }
            _ => None,
        }
    }

    /// Whether `message`, which is not to us, is signed with the association that is being made; `None`
    /// if it is not, or while there are no keys.
    pub(crate) fn verify(&mut self, message: &Message, now: Now) -> Option<Protection> {
        let running = self.proof.as_mut().filter(|running| running.proof.is_complete())?;
        running.proof.verify(message, now, &*self.random).ok()
    }

    /// Everything that goes on with the session, once it is signed in.
    pub(crate) fn welcomed(self) -> Option<Welcome> {
        let Self { register, server, rules, cache, random, proof, beside, next, .. } = self;
        let Next::Say(said) = next else { return None };
        let Step::SignedIn(registration) = *said else { return None };
        let (proof, beside) =
            (proof.map(|running| running.proof), beside.map(|running| running.proof));
        Some(Welcome { register, server, rules, cache, random, proof, beside, registration })
    }

    /// The proofs that are given.
    fn running(&self) -> impl Iterator<Item = &Running> {
        self.proof.iter().chain(self.beside.as_deref())
    }

    /// How it ended.
    fn said(&self) -> Option<&Step> {
        match &self.next {
            Next::Say(step) => Some(step),
            Next::Ask(_) | Next::Send(_) | Next::Hear(_) => None,
        }
    }

    pub(super) fn say(&mut self, step: Step) {
        self.next = Next::Say(Box::new(step));
    }

    fn fail(&mut self, error: SignInError) {
        self.say(Step::Failed(error));
    }
}

/// What an answer means.
impl SignIn {
    fn hear(&mut self, message: &Message, response: &Response, now: Now) {
        let answer = Answer::to_first_register(response);
        let challenged = matches!(response.status(), 401 | 407);
        let protection = match &mut self.proof {
            Some(running) if !challenged || running.proof.is_complete() => {
                match running.proof.verify(message, now, &*self.random) {
                    Ok(protection) => protection,
                    Err(why) => return self.fail(SignInError::SignatureWrong(why)),
                }
            }
            _ => Protection::Absent,
        };
        if let Some(error) = SignInError::in_answer(response, &answer) {
            return self.fail(error);
        }
        match answer {
            Answer::Challenged { by, challenges, unread } => {
                let unread = unread.into_iter().map(|error| Attempt {
                    scheme: error.scheme.clone(),
                    why: WireText::printed(&error.kind),
                    kind: None,
                });
                if unread.len() > 0 {
                    self.vain().attempts.extend(unread);
                }
                self.challenged(by, challenges, now);
            }
            Answer::Redirected(contacts) => {
                // Only an association proves who speaks.
                let signed = self.proof.as_ref().is_some_and(|running| running.proof.is_signed());
                let protection = if signed { protection } else { Protection::Absent };
                self.say(Step::Redirected { contacts, protection });
            }
            Answer::Unauthenticated => self.welcome(response, protection),
            // Not final, which never comes this far; and no, which was dealt with.
            Answer::Provisional | Answer::Refused(_) => {}
        }
    }

    fn welcome(&mut self, response: &Response, protection: Protection) {
        let running = self.proof.as_ref().filter(|running| running.proof.is_complete());
        let method = running.and_then(|running| self.rules.mechanisms.get(running.at));
        let scheme = method.map(Method::scheme);
        let must_sign = running.is_some_and(|running| running.proof.is_signed());
        // Who was shown a ticket has to prove that it could read it; nothing allows it not to.
        if self.is_showing_a_ticket() && protection == Protection::Absent {
            return self.fail(SignInError::SignatureAbsent);
        }
        if scheme.is_none() && !self.rules.allow_unauthenticated {
            return self.fail(SignInError::Unauthenticated);
        }
        if must_sign && protection == Protection::Absent && !self.rules.allow_unsigned {
            return self.fail(SignInError::SignatureAbsent);
        }
        let registration = Registration::read(response, &self.register, scheme, protection);
        self.say(Step::SignedIn(registration));
    }

    fn is_showing_a_ticket(&self) -> bool {
        let mut methods =
            self.running().filter_map(|running| self.rules.mechanisms.get(running.at));
        methods.any(|method| method.scheme() == Scheme::Kerberos)
    }

    fn challenged(&mut self, by: Challenger, challenges: Vec<Challenge>, now: Now) {
        self.rounds = self.rounds.saturating_add(1);
        let fresh = challenges.iter().filter(|c| c.gssapi_data().is_none_or(str::is_empty));
        for challenge in fresh {
            let kind = |c: &Challenge| (c.scheme().clone(), c.algorithm().map(str::to_owned));
            self.offer.retain(|(who, known)| *who != by || kind(known) != kind(challenge));
            // One at a time: most servers offer one, and room for four is a kilobyte.
            self.offer.reserve_exact(1);
            self.offer.push((by, challenge.apart()));
        }
        let turns = self.proof.as_ref().is_some_and(|running| running.by != by);
        if turns && !self.turn_to(by) {
            return self.fail(SignInError::Garbage("two ask at once".into()));
        }
        let Some(Running { at, who, mut proof, .. }) = self.proof.take() else {
            return self.prove(by, now);
        };
        let method = self.rules.mechanisms.get(at).cloned();
        let said = method.and_then(|m| challenges.into_iter().find(|c| m.answers(c)));
        let another = |c: &Challenge| proof.is_complete() && c.realm() != Some(proof.realm());
        if said.as_ref().is_some_and(another) {
            // Not a no to what was shown, but to show it a second time would be one try too many.
            let why = WireText::from("the server has an answer, and asks for another realm");
            self.give_up(by, at, who, why.into());
            return self.fail(self.no_common_scheme());
        }
        let verdict = match said {
            _ if usize::from(self.rounds) > Self::ROUND_LIMIT => {
                Err(Unanswered::Failed(WireText::from("endless").into()))
            }
            Some(challenge) => proof.challenged(&challenge, now, &*self.random),
            None if proof.is_complete() => Err(Unanswered::Rejected),
            None => {
                Err(Unanswered::Failed(WireText::from("the server no longer offers it").into()))
            }
        };
        let sent = match verdict {
            Ok(()) => self.send(&mut proof).map_err(|why| Unanswered::Failed(why.into())),
            Err(unanswered) => Err(unanswered),
        };
        match sent {
            Ok(()) => self.proof = Some(Running { by, at, who, proof }),
            Err(Unanswered::Failed(why)) => {
                self.give_up(by, at, who, why);
                self.prove(by, now);
            }
            Err(Unanswered::Rejected) => {
                self.vain().rejected = self.rules.mechanisms.get(at).map(Method::scheme);
                match who {
                    Who::CurrentUser => Arc::make_mut(&mut self.rules).current_user = false,
                    Who::Supplied => self.cache.reject(),
                }
                self.prove(by, now);
            }
        }
    }

    /// The proxy has been satisfied and the registrar asks, or the other way about. What has been
    /// shown goes on beside what is asked for now; a proof that is not whole shows nothing.
    fn turn_to(&mut self, by: Challenger) -> bool {
        let turned = self.beside.take_if(|running| running.by == by).map(|running| *running);
        let shown = std::mem::replace(&mut self.proof, turned);
        self.beside = shown.filter(|running| running.proof.is_complete()).map(Box::new);
        self.beside.is_some()
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("server", &self.server)
            .field("rules", &self.rules)
            .field("cseq", &self.register.cseq())
            .field("attempts", &self.attempts())
            .finish_non_exhaustive()
    }
}
