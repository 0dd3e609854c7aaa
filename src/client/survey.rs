//! Every server that a search leads to, visited: what is wrong, also where a sign-in would not see.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::walk::Walk;
use super::{Client, Settings, now};
use crate::address::SipAddress;
use crate::channel::Channel;
use crate::discovery::{
    ADDRESS_LIMIT, Answer as Dns, Cause, Conclusion, ConnectFailure, Connected, DiscoveryPlan,
    Endpoint, Entry, Overdue, Trace,
};
use crate::failure::{SignInFailure, SignInFailureKind};
use crate::sign_in::{Attempt, SignInError};
use crate::sip::{Answer, Challenge, Response};
use crate::text::WireText;
use crate::transport::{Connection, ConnectionFacts};

use super::knock::exchange;

/// What [`Client::survey`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The search, in which every server that answered was called useless, so that it went on.
    pub trace: Trace,
    /// The connects, in the order in which they ended; the spare ones last.
    pub visits: Vec<Visit>,
}

/// One connect to one address of one server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Visit {
    /// When it was dialled, since the search began.
    pub at: Duration,
    /// Protocol, host and port.
    pub endpoint: Endpoint,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// Whether a search would not have come here: another address of the host answered before.
    pub spare: bool,
    /// What came of it.
    pub result: Result<Visited, ConnectFailure>,
}

/// A server that was reached, checked and asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Visited {
    /// What is known about the connection.
    pub facts: ConnectionFacts,
    /// What it said to a REGISTER without credentials, as it came.
    pub response: Option<Response>,
    /// The same, understood: the proofs that it asks for, or why nobody would be let in.
    pub challenges: Result<Vec<Challenge<'static>>, SignInFailureKind>,
    /// Whether it compresses, or why not; asked on a connection of its own, of good servers over TLS.
    pub compresses: Option<Result<(), WireText>>,
}

impl Client {
    /// Visits every server that the search of `address` leads to, and every address of theirs: looks
    /// up, judges names, connects, checks certificates, and sends each one a REGISTER without
    /// credentials; then asks the good ones whether they compress. Nobody is signed in.
    ///
    /// A sign-in stops at the first server that lets it in; this goes on, so that what is broken
    /// beside or behind it is seen too. The rules are those of the search: what it would never
    /// connect to is not connected to here.
    ///
    /// # Errors
    /// [`SignInFailure`] when no message can be written at all. That no server is found is not an
    /// error but a result, see [`Survey::verdict`].
    ///
    /// ```no_run
    /// # #[cfg(feature = "net")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sip_signin::Client;
    /// let survey = Client::system()?.survey(&"sip:jeremy@contoso.com".parse()?).await?;
    /// for problem in survey.problems() {
    ///     println!("{}: {problem}; {}", problem.fault(), problem.advice());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn survey(&self, address: &SipAddress) -> Result<Survey, SignInFailure> {
        let began = now();
        let plan = DiscoveryPlan::new(address, &self.settings.search, self.seed(address)?, began);
        let mut walk = Walk::new(&self.settings, plan);
        let mut visits = Vec::new();
        while let Ok(Connected { connection, endpoint, address: peer, token }) =
            walk.connection().await
        {
            let visited = match self.visit(address, &endpoint, connection).await {
                Ok(visited) => visited,
                Err(kind) => {
                    return Err(SignInFailure::new(*kind, walk.plan.trace().clone()));
                }
            };
            let why = match &visited.challenges {
                Ok(_) => WireText::from("it asks for a proof"),
                Err(kind) => WireText::printed(kind),
            };
            let at = dialled(walk.plan.trace(), &endpoint, peer);
            visits.push(Visit { at, endpoint, address: peer, spare: false, result: Ok(visited) });
            walk.plan.handle(token.useless(why), now());
        }
        let trace = walk.plan.trace().clone();
        visits.extend(failed(&trace, &visits));
        let spare = spare(&trace, &visits);
        visits.extend(
            join_all(spare.into_iter().map(|(e, a)| self.look(address, e, a, began))).await,
        );
        join_all(visits.iter_mut().map(|visit| self.ask_compression(address, visit))).await;
        Ok(Survey { trace, visits })
    }

    /// Asks a good server whether it compresses.
    async fn ask_compression(&self, user: &SipAddress, visit: &mut Visit) {
        let Settings { transport, search, .. } = &*self.settings;
        let Ok(visited) = &mut visit.result else { return };
        if visited.challenges.is_err() || visited.facts.tls.is_none() {
            return;
        }
        let connect = transport.connect(&visit.endpoint, visit.address);
        let connected = timeout(search.timeouts().connect, connect).await;
        visited.compresses = Some(match connected {
            Err(_) => Err("not connected a second time: timed out".into()),
            Ok(Err(failure)) => {
                Err(WireText::new(format!("not connected a second time: {failure}")))
            }
            Ok(Ok(connection)) => match self.negotiate(user, &visit.endpoint, connection).await {
                Ok((_, answer)) => answer,
                Err(kind) => Err(WireText::printed(&kind)),
            },
        });
    }

    /// Connects to an address that the search passed over.
    async fn look(
        &self,
        user: &SipAddress,
        endpoint: Endpoint,
        address: SocketAddr,
        began: Instant,
    ) -> Visit {
        let Settings { transport, search, .. } = &*self.settings;
        let at = now().saturating_duration_since(began);
        let connect = transport.connect(&endpoint, address);
        let result = match timeout(search.timeouts().connect, connect).await {
            Err(_) => Err(ConnectFailure::TimedOut),
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(connection)) => match self.visit(user, &endpoint, connection).await {
                Ok(visited) => Ok(visited),
                // The register of the same user could be written before.
                Err(kind) => Err(ConnectFailure::Other(WireText::printed(&kind))),
            },
        };
        Visit { at, endpoint, address, spare: true, result }
    }

    /// Asks a server what it wants, and understands the answer.
    async fn visit(
        &self,
        user: &SipAddress,
        endpoint: &Endpoint,
        connection: Box<dyn Connection>,
    ) -> Result<Visited, Box<SignInFailureKind>> {
        let rules = &self.settings.rules;
        let facts = connection.facts().clone();
        let register = self.register(user, endpoint, facts.local)?;
        let mut channel = Channel::new(connection);
        let answered = timeout(rules.answer_within, exchange(&mut channel, &register)).await;
        let (response, error) = match answered {
            Ok(Ok(response)) => {
                let error = SignInError::of_answer(&response);
                (Some(response), error)
            }
            Ok(Err(error)) => (None, Some(error)),
            Err(_) => (None, Some(SignInError::NoAnswer)),
        };
        let kind = match (response.as_ref().map(Answer::to_first_register), error) {
            (_, Some(error)) => SignInFailureKind::SignIn(endpoint.clone(), error),
            (Some(Answer::Challenged { challenges, unread, .. }), None) => {
                if rules.mechanisms.answer_any(&challenges, endpoint.protocol) {
                    return Ok(Visited {
                        facts,
                        response,
                        challenges: Ok(challenges),
                        compresses: None,
                    });
                }
                let offered = challenges.iter().map(|c| c.scheme().clone()).collect();
                let attempts = unread.iter().map(|error| Attempt {
                    scheme: error.scheme.clone(),
                    why: WireText::printed(&error.kind),
                    kind: None,
                });
                let attempts = attempts.collect();
                let error = SignInError::NoCommonScheme { offered, attempts };
                SignInFailureKind::SignIn(endpoint.clone(), error)
            }
            (Some(Answer::Redirected(contacts)), None) => {
                SignInFailureKind::Redirected(endpoint.clone(), contacts)
            }
            (_, None) if rules.allow_unauthenticated => {
                return Ok(Visited {
                    facts,
                    response,
                    challenges: Ok(Vec::new()),
                    compresses: None,
                });
            }
            (_, None) => SignInFailureKind::SignIn(endpoint.clone(), SignInError::Unauthenticated),
        };
        Ok(Visited { facts, response, challenges: Err(kind), compresses: None })
    }
}

impl Survey {
    /// What a sign-in would meet: the first server that would ask it for a proof.
    ///
    /// # Errors
    /// Why none would.
    pub fn verdict(&self) -> Result<&Visit, Box<SignInFailureKind>> {
        let mut mendable = None;
        for visit in self.visits.iter().filter(|visit| !visit.spare) {
            match visit.result.as_ref().map(|visited| &visited.challenges) {
                Ok(Ok(_)) => return Ok(visit),
                Ok(Err(kind)) if !kind.may_be_mended() => return Err(Box::new(kind.clone())),
                Ok(Err(kind)) => {
                    mendable.get_or_insert(kind);
                }
                Err(_) => {}
            }
        }
        let cause = self.trace.cause();
        Err(Box::new(match (mendable, &cause) {
            (Some(kind), Cause::Answer(..)) => kind.clone(),
            _ => SignInFailureKind::NoServer { cause, refusals: Vec::new() },
        }))
    }

    /// Everything that is wrong, each once: in DNS, with names, with connects, with answers. There
    /// may be problems although the [verdict](Self::verdict) is good.
    pub fn problems(&self) -> Vec<SignInFailureKind> {
        let mut problems: Vec<SignInFailureKind> = Vec::new();
        let no_server = |cause| SignInFailureKind::NoServer { cause, refusals: Vec::new() };
        let causes = self.trace.causes().into_iter();
        let causes = causes.filter(|cause| !matches!(cause, Cause::Answer(..))).map(no_server);
        let visits = self.visits.iter().filter_map(|visit| match &visit.result {
            Ok(visited) => visited.challenges.clone().err(),
            Err(failure) => Some(no_server(Cause::of_connect(&visit.endpoint, failure))),
        });
        for problem in causes.chain(visits) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.is_empty()
            && let Err(kind) = self.verdict()
        {
            problems.push(*kind);
        }
        problems
    }
}

impl Visit {
    /// Whether a sign-in would be asked for a proof here.
    pub fn is_good(&self) -> bool {
        self.result.as_ref().is_ok_and(|visited| visited.challenges.is_ok())
    }
}

/// When the last connect to this address was wanted.
fn dialled(trace: &Trace, endpoint: &Endpoint, address: SocketAddr) -> Duration {
    let wanted = |entry: &Entry| matches!(entry, Entry::Dialled(e, ip) if e == endpoint && *ip == address.ip());
    let last = trace.events().rev().find(|event| wanted(&event.entry));
    last.map_or(Duration::ZERO, |event| event.at)
}

/// The connects of the search that failed, and were not made up for.
fn failed(trace: &Trace, visits: &[Visit]) -> Vec<Visit> {
    let mut failed: Vec<Visit> = Vec::new();
    for event in trace.events() {
        let (endpoint, ip, failure) = match event.entry {
            Entry::ConnectEnded(endpoint, ip, Err(failure)) => (endpoint, ip, failure),
            Entry::Concluded(Conclusion::TimedOut(Overdue::Connect(endpoint, ip))) => {
                (endpoint, ip, ConnectFailure::TimedOut)
            }
            _ => continue,
        };
        let address = SocketAddr::new(ip, endpoint.port);
        let known = |visit: &Visit| visit.endpoint == endpoint && visit.address == address;
        if !visits.iter().chain(&failed).any(known) {
            let at = dialled(trace, &endpoint, address);
            failed.push(Visit { at, endpoint, address, spare: false, result: Err(failure) });
        }
    }
    failed
}

/// The addresses of the servers that the search came to, but not to these.
fn spare(trace: &Trace, visits: &[Visit]) -> Vec<(Endpoint, SocketAddr)> {
    let mut spare: Vec<(Endpoint, SocketAddr)> = Vec::new();
    for visit in visits {
        let Some(host) = visit.endpoint.host.name() else { continue };
        let addresses = trace.events().flat_map(|event| match event.entry {
            Entry::AnsweredHost(name, _, Ok(Dns::Found(addresses))) if name == *host => addresses,
            Entry::AnsweredSrv(_, Ok(Dns::Found(answer))) => {
                let own = answer.additional.iter().filter(|(name, _)| name == host);
                own.map(|(_, address)| *address).collect()
            }
            _ => Vec::new(),
        });
        for address in addresses.take(ADDRESS_LIMIT) {
            let address = SocketAddr::new(address, visit.endpoint.port);
            let one = (visit.endpoint.clone(), address);
            let seen = |v: &Visit| v.endpoint == visit.endpoint && v.address == address;
            if !visits.iter().any(seen) && !spare.contains(&one) {
                spare.push(one);
            }
        }
    }
    spare
}
