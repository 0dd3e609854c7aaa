//! What a sign-in wants next, and what it is told at its beginning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cache::CredentialRequest;
use super::mechanisms::Mechanisms;
use super::refusal::SignInError;
use super::registration::Registration;
use crate::auth::Protection;
use crate::discovery::Endpoint;
use crate::name::HostName;
use crate::policy::NameRule;
use crate::sip::{Challenge, Contact, Scheme};
use crate::text::WireText;

/// What a sign-in wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a sign-in goes on only if its steps are carried out"]
pub enum Step {
    /// Ask for credentials, take your time, and hand them in with [`SignIn::supply`].
    ///
    /// [`SignIn::supply`]: super::SignIn::supply
    AskCredentials(CredentialRequest),
    /// It is over: not signed in. The machine answers this for ever.
    Failed(SignInError),
    /// It is over: another server is the right one. The machine answers this for ever.
    Redirected {
        /// Where to, the most preferred first.
        contacts: Vec<Contact>,
        /// Whether the server proved that it is the one that says so.
        protection: Protection,
    },
    /// Send this.
    Send(Bytes),
    /// It is over: signed in. The machine answers this for ever.
    SignedIn(Registration),
    /// Nothing to do before a message comes, or before `until`.
    Wait {
        /// When the server has been silent for too long.
        until: Instant,
    },
}

/// The server at the other end, as far as it is known for sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Protocol, host and port.
    pub endpoint: Endpoint,
    /// The names in its certificate, which was accepted.
    pub certificate: Arc<[WireText]>,
    /// Which other hosts of the domain would be trusted.
    pub names: NameRule,
}

impl Server {
    /// A Kerberos ticket is good for whoever is named in it, and the server names whom it wants one
    /// for: a rogue one could ask for those of another service, to use them there.
    pub(super) fn check_target(
        &self,
        challenge: &Challenge,
        domain: &HostName,
    ) -> Result<(), WireText> {
        if *challenge.scheme() != Scheme::Kerberos {
            return Ok(());
        }
        let Self { endpoint, certificate, names } = self;
        let target = challenge.target_name().unwrap_or_default();
        let service = target.split_once('/').filter(|(name, _)| name.eq_ignore_ascii_case("sip"));
        let is_trusted = |host: &HostName| {
            endpoint.host.name() == Some(host)
                || certificate.iter().any(|name| HostName::parse(name.raw()).as_ref() == Ok(host))
                || names.admit(host, domain).is_ok()
        };
        match service.and_then(|(_, host)| HostName::parse(host).ok()) {
            Some(host) if is_trusted(&host) => Ok(()),
            _ => Err(format!("a ticket for {} is not shown to this server", WireText::new(target))
                .into()),
        }
    }
}

/// What a sign-in may do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// How it may prove who we are.
    pub mechanisms: Mechanisms,
    /// Whether it may do so as the user who is logged on, without asking for a password; not where
    /// `DisableNTCredentials` is set.
    pub current_user: bool,
    /// How long the server may take to answer.
    pub answer_within: Duration,
    /// Whether a server is taken that does not ask who we are.
    pub allow_unauthenticated: bool,
    /// Whether a server is taken that does not sign that it let us in; and, in the session after it,
    /// messages that are not signed. With Kerberos no such server is: its signature is what shows
    /// that the ticket was for it.
    pub allow_unsigned: bool,
}

impl Default for Rules {
    /// The default mechanisms, the current user, 15 s, and neither of the two allowances.
    fn default() -> Self {
        Self {
            mechanisms: Mechanisms::default(),
            current_user: true,
            answer_within: Self::ANSWER_WITHIN,
            allow_unauthenticated: false,
            allow_unsigned: false,
        }
    }
}

impl Rules {
    /// How long the server may take to answer, by default.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);
}
