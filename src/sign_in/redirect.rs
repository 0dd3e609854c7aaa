//! Where a redirect may lead.

use std::fmt;

use super::refusal::SignInError;
use crate::auth::Protection;
use crate::discovery::{Endpoint, Protocol};
use crate::name::{Host, HostName};
use crate::policy::{NameRule, TrustedHost};
use crate::sip::{Contact, Target, UriTransport};

/// The redirects of one sign-in: how far it has come, and where it may go from there.
///
/// | rule | |
/// |---|---|
/// | hosts | those that the name rule admits for the user's own domain; any, if the server proved that it said so |
/// | protocol | never from TLS to clear text |
/// | hops | [`Redirects::LIMIT`] |
/// | loops | no host and port twice |
#[derive(Clone, Debug)]
pub struct Redirects {
    domain: HostName,
    names: NameRule,
    visited: Vec<(Host, u16)>,
    hops: usize,
}

impl Redirects {
    /// How many redirects are followed in a sign-in.
    pub const LIMIT: usize = 5;

    /// The redirects of a user of `domain`.
    pub fn new(domain: HostName, names: NameRule) -> Self {
        Self { domain, names, visited: Vec::new(), hops: 0 }
    }

    /// Takes note that `endpoint` is being tried; `false` when it was before.
    pub fn visit(&mut self, endpoint: &Endpoint) -> bool {
        let visited = (endpoint.host.host().clone(), endpoint.port);
        let new = !self.visited.contains(&visited);
        if new {
            // One at a time: most sign-ins meet one.
            self.visited.reserve_exact(1);
            self.visited.push(visited);
        }
        new
    }

    /// Where `contacts`, which the server at `from` sent, lead: the most preferred first.
    ///
    /// # Errors
    /// [`SignInError::RedirectLoop`] when every permitted target was visited before or it is one hop
    /// too many, and [`SignInError::RedirectRefused`] when no target is permitted.
    pub fn follow(
        &mut self,
        from: &Endpoint,
        contacts: &[Contact],
        protection: Protection,
    ) -> Result<Vec<Endpoint>, Box<SignInError>> {
        if self.hops >= Self::LIMIT {
            return Err(Box::new(SignInError::RedirectLoop));
        }
        self.hops = self.hops.saturating_add(1);
        let (mut targets, mut objections, mut visited) = (Vec::new(), Vec::new(), false);
        for contact in contacts {
            match self.permit(from, contact, protection) {
                Ok(endpoint) if self.has_visited(&endpoint) => visited = true,
                Ok(endpoint) if targets.contains(&endpoint) => {}
                Ok(endpoint) => targets.push(endpoint),
                Err(objection) => objections.push((contact.clone(), objection)),
            }
        }
        match targets.is_empty() {
            false => Ok(targets),
            true if visited => Err(Box::new(SignInError::RedirectLoop)),
            true => Err(Box::new(SignInError::RedirectRefused(objections))),
        }
    }

    fn has_visited(&self, endpoint: &Endpoint) -> bool {
        let port = |at: &u16| *at == endpoint.port;
        self.visited.iter().any(|(host, at)| host == endpoint.host.host() && port(at))
    }

    fn permit(
        &self,
        from: &Endpoint,
        contact: &Contact,
        protection: Protection,
    ) -> Result<Endpoint, RedirectObjection> {
        let Some(Target { host, port, transport }) = &contact.target else {
            return Err(RedirectObjection::Unreadable);
        };
        let protocol = match transport {
            UriTransport::Tls => Protocol::Tls,
            UriTransport::Tcp if from.protocol == Protocol::Tls => {
                return Err(RedirectObjection::ClearText);
            }
            UriTransport::Tcp => Protocol::Tcp,
        };
        let host = match (protection, host) {
            (Protection::Verified, host) => TrustedHost::named_by_server(host.clone()),
            (Protection::Absent, Host::Name(name)) => {
                let admitted = self.names.admit(name, &self.domain);
                admitted.map_err(|_| RedirectObjection::Name)?
            }
            (Protection::Absent, Host::Ip(_)) => return Err(RedirectObjection::Name),
        };
        Ok(Endpoint { protocol, host, port: port.unwrap_or(protocol.default_port()) })
    }
}

/// Why a target is not gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectObjection {
    /// It leads from TLS to clear text.
    ClearText,
    /// The name rule does not admit the host, and the server has not proved that it is the one that
    /// names it.
    Name,
    /// It names no host and transport that this client could go to.
    Unreadable,
}

impl fmt::Display for RedirectObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClearText => "leads from tls to clear text",
            Self::Name => "is not admitted by the name rule",
            Self::Unreadable => "cannot be gone to",
        })
    }
}
