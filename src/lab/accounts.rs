//! Who may sign in, and which proofs a server takes.

use crate::address::SipAddress;
use crate::auth::{Account, Credentials, DigestAlgorithm, Version};

/// A scheme that a server offers, see [`Server::offers`](super::Server::offers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offer {
    /// NTLM in this version of [MS-SIPAE]; a server of version 2 does not name it.
    Ntlm(Version),
    /// Kerberos in this version. Tickets for `sip/` and the host are taken with the feature
    /// `kerberos`, by the keytab that `KRB5_KTNAME` names; the owner is the account whose address is
    /// like the principal. Without the feature it is a line, and no ticket is taken.
    Kerberos(Version),
    /// Digest with this hash.
    Digest(DigestAlgorithm),
}

/// What an Office Communications Server offers.
pub(super) const ORDINARY: [Offer; 2] = [Offer::Ntlm(Version::V4), Offer::Kerberos(Version::V4)];

/// An account, its password and the address that it may sign in with.
#[derive(Clone, Debug)]
pub(super) struct Resident {
    pub(super) credentials: Credentials,
    pub(super) address: SipAddress,
}

impl Resident {
    /// Whether a client that calls itself `account` means this one: with its domain, without one, or
    /// by a principal name that is like the address. Case does not count, as for Windows.
    pub(super) fn is(&self, account: &Account) -> bool {
        let own = &self.credentials.account;
        let principal = format!("{}@{}", self.address.user(), self.address.domain());
        match account.domain() {
            "" => same(account.user(), own.user()) || same(account.user(), &principal),
            domain => same(domain, own.domain()) && same(account.user(), own.user()),
        }
    }

    /// Whether `address` is its own. Case does not count here either, as for a Communications Server,
    /// though RFC 3261 section 19.1.4 says otherwise. (unverified)
    pub(super) fn has(&self, address: &SipAddress) -> bool {
        same(self.address.user(), address.user()) && self.address.domain() == address.domain()
    }
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_three_names_and_one_address() {
        let resident = Resident {
            credentials: Credentials::new(r"CONTOSO\jdoe".parse().unwrap(), "x"),
            address: "sip:jeremy@contoso.com".parse().unwrap(),
        };
        for (account, is) in [
            (r"CONTOSO\jdoe", true),
            (r"contoso\JDOE", true),
            ("jdoe", true),
            ("Jeremy@Contoso.com", true),
            (r"FABRIKAM\jdoe", false),
            (r"CONTOSO\jeremy", false),
            ("jeremy", false),
            ("jdoe@contoso.com", false),
        ] {
            assert_eq!(resident.is(&account.parse().unwrap()), is, "{account}");
        }
        for (address, has) in [
            ("sip:jeremy@contoso.com", true),
            ("sip:Jeremy@CONTOSO.com;user=phone", true),
            ("sip:jdoe@contoso.com", false),
            ("sip:jeremy@fabrikam.com", false),
        ] {
            assert_eq!(resident.has(&address.parse().unwrap()), has, "{address}");
        }
    }
}
