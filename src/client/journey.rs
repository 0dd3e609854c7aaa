//! A whole sign-in: the search, the exchange, and wherever a redirect leads.

use std::net::SocketAddr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::Client;
use super::conversation::{Arrived, Conversation, Elsewhere, Failed, Reached, Visitor};
use super::walk::Walk;
use crate::address::SipAddress;
use crate::clock::now;
use crate::credentials::CredentialSource;
use crate::discovery::{
    Cause, Connected, DiscoveryPlan, Endpoint, Entry, FoldedPlan, LastServer, Outcome, Search,
    Token, Trace,
};
use crate::failure::{SignInFailure, SignInFailureKind};
use crate::session::Session;
use crate::sign_in::{Redirects, Registration, SignInError};
use crate::sip::ServerRefusal;
use crate::text::WireText;
use crate::transport::Connection;

/// A sign-in that has come to its good end: where, as what, how it was found, and the session.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// Protocol, host and port of the home server.
    pub endpoint: Endpoint,
    /// Its address.
    pub peer: SocketAddr,
    /// The binding it made.
    pub registration: Registration,
    /// The connection, signed in: it lives on as long as it is polled.
    pub session: Session,
    /// How the first server was found.
    pub trace: Trace,
    /// How the targets of redirects were reached, in the order they were tried.
    pub redirects: Vec<Trace>,
}

impl SignedIn {
    fn after(arrived: Arrived, trace: Trace, redirects: Vec<Trace>) -> Self {
        let Arrived { endpoint, peer, registration, session } = arrived;
        Self { endpoint, peer, registration, session, trace, redirects }
    }

    /// The home server, to be remembered until the next time, when it saves the search and the
    /// redirects; `None` if it is not to be: it spoke clear text, or has no name.
    pub fn last_server(&self) -> Option<LastServer> {
        LastServer::of(&self.endpoint, self.peer.ip())
    }
}

/// A sign-in under way, from search to search.
pub(super) struct Journey<'a> {
    visitor: Visitor<'a>,
    /// Boxed: most sign-ins end where they first come.
    detour: Option<Box<Detour>>,
}

/// What has to be known once the first server was not the last.
struct Detour {
    redirects: Redirects,
    /// Where redirects lead that were not followed yet, the next one last.
    targets: Vec<Endpoint>,
    /// The searches that are over.
    traces: Vec<Trace>,
    /// Why the first search that failed did.
    failure: Option<Failed>,
    /// How long servers asked to be left alone, at the longest.
    retry_after: Option<Duration>,
    /// To call a server back cuts the search short that named it.
    cut_short: bool,
}

impl<'a> Journey<'a> {
    pub(super) fn new(
        client: &'a Client,
        address: &'a SipAddress,
        source: &'a dyn CredentialSource,
    ) -> Result<Self, SignInFailure> {
        let visitor = Visitor::new(client, address, source, client.seed(address)?);
        Ok(Self { visitor, detour: None })
    }

    /// Goes all the way.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(super) fn travel(mut self) -> impl Future<Output = Result<SignedIn, SignInFailure>> {
        async move {
            let mut search = self.visitor.client.settings.search.clone();
            loop {
                let (reached, trace) = self.reach(&search).await;
                search = match self.next(reached, trace) {
                    Continue(search) => search,
                    Break(end) => return end,
                };
            }
        }
    }

    /// Where to search after what a search `reached`, or how it ends.
    fn next(
        &mut self,
        reached: Result<Reached, Failed>,
        trace: Trace,
    ) -> ControlFlow<Result<SignedIn, SignInFailure>, Search> {
        let search = &self.visitor.client.settings.search;
        let whither = match reached {
            Ok(Reached::In(arrived)) => Break(Ok(arrived)),
            Ok(Reached::Elsewhere(elsewhere)) => {
                self.detour(&trace).whither(Ok(elsewhere), search, &trace)
            }
            Err(kind) if kind.may_be_mended() => {
                self.detour(&trace).whither(Err(kind), search, &trace)
            }
            Err(kind) => Break(Err(kind)),
        };
        let end = match whither {
            Continue(search) => {
                self.detour(&trace).traces.push(trace);
                return Continue(search);
            }
            Break(end) => end,
        };
        let detour = self.detour.take().map(|detour| (detour.traces, detour.retry_after));
        let (mut traces, retry_after) = detour.unwrap_or_default();
        let first = if traces.is_empty() {
            trace
        } else {
            traces.push(trace);
            traces.remove(0)
        };
        Break(match end {
            Ok(arrived) => Ok(SignedIn::after(*arrived, first, traces)),
            Err(kind) => Err(SignInFailure::of_journey(kind, first.into(), traces, retry_after)),
        })
    }

    /// The detour, which begins no later than here: at first, only servers of `trace` were visited.
    fn detour(&mut self, trace: &Trace) -> &mut Detour {
        let Self { visitor: Visitor { client, address, .. }, detour } = self;
        detour.get_or_insert_with(|| {
            let names = client.settings.search.names().clone();
            let mut redirects = Redirects::new(address.domain().clone(), names);
            for event in trace.events() {
                if let Entry::Connected(endpoint, _) = event.entry {
                    redirects.visit(&endpoint);
                }
            }
            Box::new(Detour {
                redirects,
                targets: Vec::new(),
                traces: Vec::new(),
                failure: None,
                retry_after: None,
                cut_short: false,
            })
        })
    }

    /// Searches, and talks to one server after the other until one has the last word.
    async fn reach(&mut self, search: &Search) -> (Result<Reached, Failed>, Trace) {
        let (mut kept, mut refused) = (None, Refused::default());
        loop {
            // Both are boxed: who is under way keeps no room for a talk, nor who talks for the way.
            let (folded, token, mut begun) = match Box::pin(self.meet(search, &mut kept)).await {
                Ok(met) => met,
                Err((trace, cause)) => return (Err(refused.after(cause)), trace),
            };
            while let Ok(conversation) = &mut begun
                && let Some(doing) = conversation.doing()
            {
                doing.await;
            }
            let kind = match begun.and_then(|conversation| conversation.end()) {
                Ok(Reached::In(arrived)) => {
                    return (Ok(Reached::In(arrived)), folded.unfold().into_trace());
                }
                Ok(Reached::Elsewhere(elsewhere)) => {
                    let said = token.final_answer(elsewhere.to_string());
                    return (Ok(Reached::Elsewhere(elsewhere)), hand_in(folded, said).into_trace());
                }
                Err(kind) => kind,
            };
            let why = WireText::printed(&kind);
            if !kind.may_be_mended() {
                return (Err(kind), hand_in(folded, token.final_answer(why)).into_trace());
            }
            let plan = hand_in(folded, token.useless(why));
            if let Some(retry_after) = refused.take(kind) {
                let detour = self.detour(plan.trace());
                detour.retry_after = detour.retry_after.max(Some(retry_after));
            }
            kept = Some(Box::new(plan));
        }
    }

    /// Goes on with the search, to the next server that can be talked to, or to its end.
    async fn meet(
        &mut self,
        search: &Search,
        kept: &mut Option<Box<Plan>>,
    ) -> Result<Met<'_, 'a>, (Trace, Cause)> {
        let plan = match kept.take() {
            Some(plan) => *plan,
            None => DiscoveryPlan::new(self.visitor.address, search, self.visitor.seed, now()),
        };
        let mut walk = Walk::new(&self.visitor.client.settings, plan);
        let Connected { connection, endpoint, address, token } = match walk.connection().await {
            Ok(connected) => connected,
            Err(cause) => return Err((walk.plan.into_trace(), cause)),
        };
        if let Some(detour) = &mut self.detour {
            detour.redirects.visit(&endpoint);
        }
        let opened = self.visitor.client.channel(self.visitor.address, &endpoint, connection).await;
        let begun = opened.and_then(|(channel, said)| {
            said.into_iter().for_each(|said| walk.plan.note(said, now()));
            Conversation::begin(&mut self.visitor, endpoint, address.ip(), channel)
        });
        Ok((walk.plan.fold(), token, begun))
    }
}

impl Detour {
    /// Where to search after `reached`, or how it ends. `trace` is that of the search that is over.
    fn whither(
        &mut self,
        reached: Result<Elsewhere, Failed>,
        search: &Search,
        trace: &Trace,
    ) -> ControlFlow<Result<Box<Arrived>, Failed>, Search> {
        let mut again = None;
        match reached {
            Ok(Elsewhere::Sent(from, contacts, protection)) => {
                match self.redirects.follow(&from, &contacts, protection) {
                    Ok(further) => self.targets.extend(further.into_iter().rev()),
                    Err(error) => {
                        return Break(Err(SignInFailureKind::SignIn(from, *error).into()));
                    }
                }
            }
            Ok(Elsewhere::Again(endpoint)) => {
                self.cut_short = self.traces.is_empty();
                again = Some(endpoint);
            }
            Err(_) if std::mem::take(&mut self.cut_short) => return Continue(search.clone()),
            Err(kind) => {
                self.failure.get_or_insert(kind);
            }
        }
        // A target that came to be visited while it waited is not visited again.
        let visit = |endpoint: &Endpoint| self.redirects.visit(endpoint);
        match again.or_else(|| std::iter::from_fn(|| self.targets.pop()).find(visit)) {
            Some(endpoint) => Continue(search.redirected_to(endpoint)),
            None => Break(Err(self.failure.take().unwrap_or_else(|| {
                let cause = self.traces.first().unwrap_or(trace).cause();
                SignInFailureKind::NoServer { cause, refusals: Vec::new() }.into()
            }))),
        }
    }
}

/// A search.
type Plan = DiscoveryPlan<Box<dyn Connection>>;

/// The same while its server is talked to.
type Folded = FoldedPlan<Box<dyn Connection>>;

/// The search, its claim on a server, and the conversation with that.
type Met<'j, 'a> = (Folded, Token, Result<Box<Conversation<'j, 'a>>, Failed>);

/// Tells a search what its server was good for.
fn hand_in(folded: Folded, said: Outcome<Box<dyn Connection>>) -> Plan {
    let mut plan = folded.unfold();
    plan.handle(said, now());
    plan
}

/// What servers said that another one may mend. Boxed: most searches meet nothing of it.
#[derive(Default)]
struct Refused(Option<Box<Refusals>>);

#[derive(Default)]
struct Refusals {
    by: Vec<(Endpoint, ServerRefusal)>,
    /// The most telling.
    telling: Option<Failed>,
}

impl Refused {
    /// Takes note of one; gives how long its server asked to be left alone.
    fn take(&mut self, kind: Failed) -> Option<Duration> {
        let SignInFailureKind::SignIn(endpoint, error) = &*kind else { return None };
        let refusals = self.0.get_or_insert_default();
        let refusal = error.refusal();
        refusals.by.extend(refusal.map(|refusal| (endpoint.clone(), refusal.clone())));
        let retry_after = error.retry_after();
        let wrong = matches!(error, SignInError::SignatureWrong(_));
        if wrong || refusals.telling.is_none() {
            refusals.telling = Some(kind);
        }
        retry_after
    }

    /// Why a search failed that had no server left, for this `cause`.
    fn after(self, cause: Cause) -> Failed {
        let Refusals { by: refusals, telling } =
            self.0.map(|refusals| *refusals).unwrap_or_default();
        match telling {
            Some(kind) if matches!(cause, Cause::Answer(..)) => kind,
            _ => SignInFailureKind::NoServer { cause, refusals }.into(),
        }
    }
}
