//! Why a search failed: the most telling reason of a trace, whose fault it is, what to do.

use std::fmt;

use super::answer::{Answer, CertificateFault, ConnectFailure, LookupFailure};
use super::endpoint::Endpoint;
use super::entry::{Conclusion, Entry, Overdue};
use super::srv::SrvTarget;
use super::trace::Trace;
use crate::name::{HostName, SrvName};
use crate::policy::{Origin, Refusal, TrustedHost};
use crate::text::WireText;

impl Trace {
    /// Every reason why something was not connected to, each once, in the order they came up. What a
    /// search does not depend on is among them: it may have found its server all the same.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for cause in self.every_cause() {
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        causes
    }

    /// The most telling reason why nothing was connected to: the first of the highest rank.
    pub fn cause(&self) -> Cause {
        let none = || Cause::NoRecords(self.address().domain().clone());
        self.every_cause().min_by_key(Cause::rank).unwrap_or_else(none)
    }

    fn every_cause(&self) -> impl Iterator<Item = Cause> {
        let mut adopted = None;
        self.events().filter_map(move |event| {
            if let Entry::Connected(endpoint, _) = &event.entry {
                adopted = Some(endpoint.clone());
            }
            Cause::of(event.entry, adopted.as_ref())
        })
    }
}

/// Why a search ended without a server; ranked, the most telling first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Cause {
    /// A server's certificate was not accepted.
    #[error("the certificate of {0} was not accepted: {1}")]
    Certificate(Endpoint, CertificateFault),
    /// A server was there, but TLS failed.
    #[error("{0} was reached, but {1}")]
    Tls(Endpoint, ConnectFailure),
    /// A server answered, and not with a sign-in.
    #[error("{0} answered: {1}")]
    Answer(Endpoint, WireText),
    /// DNS named a host that the name rule refused.
    #[error("dns named {host}, but {0}", host = .0.host)]
    Refused(Refusal),
    /// A DNS question could not be answered, so that nothing is known about what it asked.
    #[error("the dns lookup of {0} failed: {1}")]
    LookupFailed(WireText, LookupFailure),
    /// No connection came about.
    #[error("{0} could not be connected to: {1}")]
    Unreachable(Endpoint, ConnectFailure),
    /// A server was named, by DNS or by hand, that has no address.
    #[error("dns knows no address of {0}")]
    Unresolvable(TrustedHost),
    /// DNS named something that is no host.
    #[error("dns names `{0}`, port {1}, which nothing can connect to")]
    Invalid(SrvTarget, u16),
    /// DNS says that there is no such service.
    #[error("{0} says that the service is not offered")]
    NotOffered(SrvName),
    /// There was no record at all.
    #[error("dns has no record of a sign-in server for {0}")]
    NoRecords(HostName),
}

impl Cause {
    fn of(entry: Entry, adopted: Option<&Endpoint>) -> Option<Self> {
        Some(match entry {
            Entry::ConnectEnded(endpoint, _, Err(failure)) => Self::of_connect(&endpoint, &failure),
            Entry::Useless(why) | Entry::FinalAnswer(why) => Self::Answer(adopted?.clone(), why),
            Entry::AnsweredSrv(name, Err(failure)) => {
                Self::LookupFailed(WireText::new(name.to_string()), failure)
            }
            Entry::AnsweredSrv(name, Ok(Answer::Found(answer))) if answer.records.is_empty() => {
                Self::LookupFailed(WireText::new(name.to_string()), LookupFailure::Malformed)
            }
            Entry::Concluded(conclusion) => match conclusion {
                Conclusion::Invalid(target, port) => Self::Invalid(target, port),
                Conclusion::NotOffered(name) => Self::NotOffered(name),
                Conclusion::Refused(refusal) => Self::Refused(refusal),
                Conclusion::TimedOut(Overdue::Connect(endpoint, _)) => {
                    Self::Unreachable(endpoint, ConnectFailure::TimedOut)
                }
                Conclusion::TimedOut(Overdue::Srv(name)) => {
                    Self::LookupFailed(WireText::new(name.to_string()), LookupFailure::TimedOut)
                }
                Conclusion::TooLong(name) => Self::LookupFailed(name, LookupFailure::TooLong),
                Conclusion::Unresolvable(host, Some(failure)) => {
                    Self::LookupFailed(WireText::new(host.to_string()), failure)
                }
                // That a host row does not exist is no fault of anyone's: nobody named it.
                Conclusion::Unresolvable(host, None) if host.origin() == Origin::Built => {
                    return None;
                }
                Conclusion::Unresolvable(host, None) => Self::Unresolvable(host),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What the failure of a connect means.
    pub(crate) fn of_connect(endpoint: &Endpoint, failure: &ConnectFailure) -> Self {
        use ConnectFailure::{Certificate, Handshake, Other, PeerTooOld};
        match failure {
            Certificate(fault) => Self::Certificate(endpoint.clone(), fault.clone()),
            Handshake(_) | PeerTooOld | Other(_) => Self::Tls(endpoint.clone(), failure.clone()),
            _ => Self::Unreachable(endpoint.clone(), failure.clone()),
        }
    }

    /// Its name, as the page of failures has it: `certificate`, `name refused`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer(..) => "answer",
            Self::Certificate(..) => "certificate",
            Self::Invalid(..) => "invalid",
            Self::LookupFailed(..) => "lookup failed",
            Self::NoRecords(_) => "no records",
            Self::NotOffered(_) => "not offered",
            Self::Refused(_) => "name refused",
            Self::Tls(..) => "tls",
            Self::Unreachable(..) => "unreachable",
            Self::Unresolvable(_) => "unresolvable",
        }
    }

    /// The server it is about, where it is about one that was tried.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Answer(endpoint, _)
            | Self::Certificate(endpoint, _)
            | Self::Tls(endpoint, _)
            | Self::Unreachable(endpoint, _) => Some(endpoint),
            _ => None,
        }
    }

    /// Its place in the ranking; 0 is the most telling.
    fn rank(&self) -> usize {
        match self {
            Self::Certificate(..) => 0,
            Self::Tls(..) => 1,
            Self::Answer(..) => 2,
            Self::Refused(_) => 3,
            Self::LookupFailed(..) => 4,
            Self::Unreachable(..) => 5,
            Self::Unresolvable(_) => 6,
            Self::Invalid(..) => 7,
            Self::NotOffered(_) => 8,
            Self::NoRecords(_) => 9,
        }
    }

    /// Whose fault it is, as far as a client can tell.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Certificate(..) | Self::Tls(..) | Self::Answer(..) => Fault::Server,
            Self::Refused(_)
            | Self::Unresolvable(_)
            | Self::Invalid(..)
            | Self::NotOffered(_)
            | Self::NoRecords(_) => Fault::Dns,
            Self::LookupFailed(..) | Self::Unreachable(..) => Fault::Network,
        }
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Certificate(_, CertificateFault::Untrusted) => {
                "install the root certificate of the organisation, or have the server's \
                 certificate issued by a trusted authority"
            }
            Self::Certificate(_, CertificateFault::WrongName(_)) => {
                "have the server's certificate name the host that dns names, or dns name a host \
                 that the certificate is for"
            }
            Self::Certificate(_, CertificateFault::NotYetValid) => {
                "check the clock of this machine, then the server's certificate"
            }
            Self::Certificate(..) => "have the server's certificate renewed",
            Self::Tls(_, ConnectFailure::PeerTooOld) => {
                "have the server speak tls 1.2 or later, or use a transport of your own that speaks \
                 what it can"
            }
            Self::Tls(..) => "check that the port is the server's port for sip over tls",
            Self::Answer(..) => "ask the server's administrator, with the server's answer in hand",
            Self::Refused(_) => {
                "check the sign-in address; if the server is right, relax the naming policy, trust \
                 its domain, or enter the servers by hand"
            }
            Self::LookupFailed(..) => "check the network and its dns servers, then try again",
            Self::Unreachable(..) => {
                "check the network and the firewall, then whether the server runs"
            }
            Self::Unresolvable(_) | Self::Invalid(..) => {
                "have the dns records corrected, or enter the servers by hand"
            }
            Self::NotOffered(_) | Self::NoRecords(_) => {
                "check the sign-in address; if it is right, enter the servers by hand"
            }
        }
    }
}

/// Whose fault a failure is, as far as a client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Fault {
    /// What the domain publishes in DNS.
    Dns,
    /// What the user or the calling program gave.
    Input,
    /// This library.
    Library,
    /// This machine.
    Machine,
    /// The network between, its DNS servers included.
    Network,
    /// The server.
    Server,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the domain's dns records",
            Self::Input => "the sign-in address or the settings",
            Self::Library => "this library",
            Self::Machine => "this machine",
            Self::Network => "the network",
            Self::Server => "the server",
        })
    }
}
