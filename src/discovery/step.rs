//! Steps and outcomes: promises that the compiler keeps.
//!
//! A step cannot be cloned, and answering one consumes it. So a step is answered at most once, and
//! a lookup is never answered with a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::cause::Cause;
use super::endpoint::{Endpoint, Family};
use crate::name::{HostName, SrvName};
use crate::text::WireText;

/// What the plan wants next. `C` is the caller's open connection, opaque to the plan.
#[derive(Debug)]
#[must_use = "a step that is not carried out times out"]
pub enum Step<C> {
    /// Ask DNS for SRV records.
    LookupSrv(LookupSrv),
    /// Ask DNS for the addresses of a host, of one family.
    LookupHost(LookupHost),
    /// Open a connection; with TLS, certificate check included.
    Connect(Connect),
    /// Nothing to do before `until`, or before an outcome is handed in.
    Wait {
        /// When to poll again at the latest.
        until: Instant,
    },
    /// This connection is the one. Every other connect and lookup is forgotten: drop their futures.
    Connected(Connected<C>),
    /// A connection is adopted; nothing is owed until its token comes back.
    Idle,
    /// No server is left to try. The plan answers this for ever.
    Exhausted(Cause),
}

/// Which plan a step is of. All that can be seen of it is whether two are the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PlanId(u32);

impl PlanId {
    /// Another one than all before, as far as a `u32` counts.
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Debug for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanId")
    }
}

/// Which step of which plan an outcome belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) plan: PlanId,
    /// The adoption before which the step was offered.
    pub(super) epoch: u16,
    /// The row of the question, the place of the host or the number of the candidate.
    pub(super) at: u16,
}

/// Ask for the SRV records of [`name`](LookupSrv::name), as an absolute name.
#[derive(Debug)]
#[must_use = "a step that is not carried out times out"]
pub struct LookupSrv {
    pub(super) ticket: Ticket,
    pub(super) name: SrvName,
    pub(super) until: Instant,
}

impl LookupSrv {
    /// The question.
    pub fn name(&self) -> &SrvName {
        &self.name
    }

    /// When the plan counts it as timed out; a later answer is ignored.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// What was learned.
    pub fn answer<C>(self, learned: Result<Answer<SrvAnswer>, LookupFailure>) -> Outcome<C> {
        Outcome { ticket: self.ticket, what: What::Srv(learned) }
    }
}

/// Ask for the addresses of [`host`](LookupHost::host), as an absolute name.
#[derive(Debug)]
#[must_use = "a step that is not carried out times out"]
pub struct LookupHost {
    pub(super) ticket: Ticket,
    pub(super) host: HostName,
    pub(super) family: Family,
    pub(super) until: Instant,
}

impl LookupHost {
    /// The host, which the name rule, the client or an administrator admitted.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// A or AAAA.
    pub fn family(&self) -> Family {
        self.family
    }

    /// When the plan counts it as timed out; a later answer is ignored.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// What was learned. Addresses of the other family are left out; no address at all counts as a
    /// malformed answer.
    pub fn answer<C>(self, learned: Result<Answer<Vec<IpAddr>>, LookupFailure>) -> Outcome<C> {
        Outcome { ticket: self.ticket, what: What::Host(self.family, learned) }
    }
}

/// Open a connection to [`address`](Connect::address); with TLS, have the certificate checked for
/// the endpoint's host before any byte of SIP.
#[derive(Debug)]
#[must_use = "a step that is not carried out times out"]
pub struct Connect {
    pub(super) ticket: Ticket,
    pub(super) endpoint: Endpoint,
    pub(super) address: IpAddr,
    pub(super) until: Instant,
}

impl Connect {
    /// Protocol, host and port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The address to dial, with the port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.endpoint.port)
    }

    /// When the plan counts it as timed out; a connection that comes later is dropped.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The connection stands, and its certificate was accepted.
    pub fn established<C>(self, connection: C) -> Outcome<C> {
        self.ended(Ok(connection))
    }

    /// It does not.
    pub fn failed<C>(self, failure: ConnectFailure) -> Outcome<C> {
        self.ended(Err(failure))
    }

    fn ended<C>(self, result: Result<C, ConnectFailure>) -> Outcome<C> {
        Outcome { ticket: self.ticket, what: What::Connect(self.address, result) }
    }
}

/// The adopted connection. [`Step::Connected`]
#[derive(Debug)]
pub struct Connected<C> {
    /// What [`Connect::established`] was given.
    pub connection: C,
    /// Where it leads.
    pub endpoint: Endpoint,
    /// The address that answered, with the port.
    pub address: SocketAddr,
    /// The plan's claim: hand it back if the connection turns out useless. Dropping it ends the
    /// plan.
    pub token: Token,
}

/// The claim that an idle plan has on its adopted connection.
#[derive(Debug)]
pub struct Token {
    pub(super) ticket: Ticket,
}

impl Token {
    /// The server failed in a way that another one may mend: the search goes on.
    pub fn useless<C>(self, why: impl Into<WireText>) -> Outcome<C> {
        Outcome { ticket: self.ticket, what: What::Useless { why: why.into(), search_on: true } }
    }

    /// The server's answer is final, and not a sign-in: the search is over.
    pub fn final_answer<C>(self, why: impl Into<WireText>) -> Outcome<C> {
        Outcome { ticket: self.ticket, what: What::Useless { why: why.into(), search_on: false } }
    }
}

/// What became of a step; only the step itself can make one.
#[derive(Debug)]
#[must_use = "an outcome is for the plan that offered the step"]
pub struct Outcome<C> {
    pub(super) ticket: Ticket,
    pub(super) what: What<C>,
}

#[derive(Debug)]
pub(super) enum What<C> {
    Srv(Result<Answer<SrvAnswer>, LookupFailure>),
    Host(Family, Result<Answer<Vec<IpAddr>>, LookupFailure>),
    Connect(IpAddr, Result<C, ConnectFailure>),
    Useless { why: WireText, search_on: bool },
}
