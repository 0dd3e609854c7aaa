//! What happened in a search, as data and as a line of a transcript.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::answer::{Answer, ConnectFailure, LookupFailure, SrvAnswer};
use super::endpoint::{Endpoint, Family};
use super::pace::Millis;
use super::srv::SrvTarget;
use crate::name::{HostName, SrvName};
use crate::policy::{Refusal, TrustedHost};
use crate::text::WireText;

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Event {
    /// When, since the search began.
    pub at: Duration,
    /// What.
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Entry {
    /// The plan asked for addresses.
    AskedHost(HostName, Family),
    /// The plan asked for SRV records.
    AskedSrv(SrvName),
    /// The plan wanted a connection.
    Dialled(Endpoint, IpAddr),
    /// The plan adopted this connection.
    Connected(Endpoint, IpAddr),
    /// The plan had nothing left to try.
    Exhausted,
    /// What DNS said of a host.
    AnsweredHost(HostName, Family, Result<Answer<Vec<IpAddr>>, LookupFailure>),
    /// What DNS said to an SRV question; the records in the order drawn, duplicates gone.
    AnsweredSrv(SrvName, Result<Answer<SrvAnswer>, LookupFailure>),
    /// What became of a connect.
    ConnectEnded(Endpoint, IpAddr, Result<(), ConnectFailure>),
    /// What the driver made of the adopted connection.
    Noted(WireText),
    /// The adopted server turned out useless; another one may do better.
    Useless(WireText),
    /// The adopted server's answer was final, and not a sign-in.
    FinalAnswer(WireText),
    /// What the plan made of it.
    Concluded(Conclusion),
}

/// What the plan concluded by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Conclusion {
    /// The whole search took too long.
    Deadline(Duration),
    /// The name rule refused the host of the server that was to be tried first.
    Forgotten(Refusal),
    /// Every SRV question was absent (or, if the search allows it, failed): the host rows follow.
    HostRows,
    /// A record's target or port is none that anything could connect to.
    Invalid(SrvTarget, u16),
    /// Records, addresses or targets beyond a limit were left out.
    LeftOut {
        /// How many.
        count: usize,
        /// Of what.
        what: LimitedThing,
    },
    /// A TLS server is there: clear text is no longer tried.
    NoClearText(Endpoint),
    /// No host rows: this question failed, which is not absence.
    NoHostRows(SrvName, LookupFailure),
    /// The root stands for the target: the service is decidedly not available there.
    NotOffered(SrvName),
    /// Only the first record was to be tried, and it failed.
    OnlyFirst(Endpoint),
    /// The name rule refused a host.
    Refused(Refusal),
    /// The search took more steps than it may.
    StepLimit,
    /// A lookup or a connect was not answered in time.
    TimedOut(Overdue),
    /// A name that the search order makes of the user's domain is too long to exist.
    TooLong(WireText),
    /// A host has no address; with a failure where one kept that from being certain.
    Unresolvable(TrustedHost, Option<LookupFailure>),
}

/// What was left out beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum LimitedThing {
    /// Addresses of one host.
    Addresses,
    /// Records of one answer.
    Records,
    /// Targets of the whole search.
    Targets,
}

/// What was not answered in time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Overdue {
    /// A connect.
    Connect(Endpoint, IpAddr),
    /// An address question.
    Host(HostName, Family),
    /// An SRV question.
    Srv(SrvName),
}

struct Addresses<'a>(&'a [IpAddr]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(at, address)| write!(f, "{}{address}", if at == 0 { "" } else { ", " }))
    }
}

/// One line of a transcript, without its time.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AskedHost(host, family) => write!(f, "> {family:<9}{host}"),
            Self::AskedSrv(name) => write!(f, "> srv      {name}"),
            Self::Dialled(endpoint, address) => write!(f, "> connect  {endpoint} {address}"),
            Self::Connected(endpoint, address) => write!(f, "> connected {endpoint} {address}"),
            Self::Exhausted => f.write_str("> exhausted"),
            Self::AnsweredHost(host, family, answer) => {
                write!(f, "< {family:<9}{host}   ")?;
                match answer {
                    Ok(Answer::Found(addresses)) => Addresses(addresses).fmt(f),
                    Ok(Answer::Absent(absence)) => absence.fmt(f),
                    Err(failure) => failure.fmt(f),
                }
            }
            Self::AnsweredSrv(name, answer) => {
                write!(f, "< srv      {name}   ")?;
                match answer {
                    Ok(Answer::Found(answer)) => answer.fmt(f),
                    Ok(Answer::Absent(absence)) => absence.fmt(f),
                    Err(failure) => failure.fmt(f),
                }
            }
            Self::ConnectEnded(endpoint, address, result) => {
                write!(f, "< connect  {endpoint} {address}   ")?;
                match result {
                    Ok(()) => f.write_str("established"),
                    Err(failure) => failure.fmt(f),
                }
            }
            Self::Noted(what) => write!(f, "< noted    {what}"),
            Self::Useless(why) => write!(f, "< useless  {why}"),
            Self::FinalAnswer(why) => write!(f, "< final    {why}"),
            Self::Concluded(conclusion) => write!(f, "  {conclusion}"),
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(limit) => write!(f, "deadline a search may take {}", Millis(*limit)),
            Self::Forgotten(refusal) => write!(f, "forgets  {}   {refusal}", refusal.host),
            Self::HostRows => f.write_str("hosts    no srv record: the host rows follow"),
            Self::Invalid(target, port) => {
                write!(f, "invalid  {target} port {port}   nothing can connect to it")
            }
            Self::LeftOut { count, what } => {
                let (limit, what) = match what {
                    LimitedThing::Addresses => (super::ADDRESS_LIMIT, "addresses of one host"),
                    LimitedThing::Records => (super::RECORD_LIMIT, "records of one answer"),
                    LimitedThing::Targets => (super::TARGET_LIMIT, "targets of the search"),
                };
                write!(f, "left out {count} beyond the limit of {limit} {what}")
            }
            Self::NoClearText(endpoint) => {
                write!(f, "tls only {endpoint} may speak tls: clear text is not tried")
            }
            Self::NoHostRows(name, failure) => {
                write!(f, "no hosts {name}   {failure}, which is not absence")
            }
            Self::NotOffered(name) => write!(f, "closed   {name}   the service is not offered"),
            Self::OnlyFirst(endpoint) => {
                write!(f, "stop     {endpoint} failed, and only the first record is tried")
            }
            Self::Refused(refusal) => write!(f, "refused  {}   {refusal}", refusal.host),
            Self::StepLimit => write!(f, "stop     a search takes {} steps", super::STEP_LIMIT),
            Self::TimedOut(overdue) => write!(f, "late     {overdue}"),
            Self::TooLong(name) => write!(f, "too long {name}"),
            Self::Unresolvable(host, None) => write!(f, "nowhere  {host}   no address"),
            Self::Unresolvable(host, Some(failure)) => {
                write!(f, "nowhere  {host}   no address: {failure}")
            }
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(endpoint, address) => write!(f, "connect {endpoint} {address}"),
            Self::Host(host, family) => write!(f, "{family} {host}"),
            Self::Srv(name) => write!(f, "srv {name}"),
        }
    }
}
