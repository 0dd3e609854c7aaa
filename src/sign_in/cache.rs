//! What the user gave, and what became of it.

use crate::address::SipAddress;
use crate::auth::Credentials;
use crate::discovery::Endpoint;
use crate::sip::Scheme;
use crate::text::WireText;

/// The credentials of one sign-in, over all its servers (RFC 3261 section 22.3).
///
/// What a server rejected is never sent again, to no server and by no mechanism: each time would
/// count towards locking the account. What was not rejected may be used at the next server.
#[derive(Clone, Debug, Default)]
pub struct CredentialCache(
    /// Boxed: until somebody is asked there is nothing.
    Option<Box<Given>>,
);

#[derive(Clone, Debug, Default)]
struct Given {
    held: Option<Credentials>,
    rejected: Vec<Credentials>,
}

impl CredentialCache {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn held(&self) -> Option<&Credentials> {
        self.0.as_ref()?.held.as_ref()
    }

    /// What servers rejected so far, in that order.
    pub fn rejected(&self) -> &[Credentials] {
        self.0.as_ref().map_or(&[], |given| &given.rejected)
    }

    /// Takes what the user gave, unless it was rejected before.
    pub(super) fn take(&mut self, credentials: Credentials) -> bool {
        let new = !self.rejected().iter().any(|rejected| rejected.are(&credentials));
        if new {
            self.0.get_or_insert_default().held = Some(credentials);
        }
        new
    }

    pub(super) fn reject(&mut self) {
        if let Some(given) = &mut self.0 {
            given.rejected.extend(given.held.take());
        }
    }
}

/// What a server made of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It let us in with them.
    Accepted,
    /// It does not believe them. They are not sent again in this sign-in, to no server: each time
    /// would count towards locking the account.
    Rejected,
}

/// What to tell whoever is asked for credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialRequest {
    /// Who wants to sign in.
    pub address: SipAddress,
    /// The server that asks.
    pub endpoint: Endpoint,
    /// Which accounts it asks for.
    pub realm: WireText,
    /// What the server calls itself; Digest servers do not say.
    pub target: Option<WireText>,
    /// How the password will be proved.
    pub scheme: Scheme,
    /// Why somebody is asked.
    pub reason: AskReason,
}

/// Why somebody is asked for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskReason {
    /// There are none yet.
    FirstTime,
    /// A server did not believe the last ones. The same again would not be sent.
    Rejected,
    /// The security association of a session is at its end, and there is nothing to make a new one
    /// with. The same as before may be given again.
    Expired,
}
