//! The name rule: which servers may stand at the other end.
//!
//! The sign-in address is all the client was given, and whoever answers its DNS questions can name
//! any host. So a host that DNS named is trusted only if its name is tied to the user's domain;
//! then a certificate for it must come from that domain. [seed, article 1]

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{Host, HostName, NameError};

/// How close a discovered server's name must be to the user's domain `D`.
///
/// Nested: what one admits, the next admits too. It is an enum because the documents disagree on
/// the sign of the switch: the registry value `EnableStrictDNSNaming` is `Strict` when it is 1, but
/// the group policy that writes it is titled "allow additional server DNS names".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum HostNamePolicy {
    /// `D` or `sip.D` (`EnableStrictDNSNaming`). [seed, article 1]
    Strict,
    /// `D`, or exactly one label in front of `D`; never `sip.eng.D`. [seed, article 1]
    #[default]
    Relaxed,
    /// `D`, or any number of labels in front of it: what the group policy's help text of later
    /// products describes.
    AnySubdomain,
}

impl HostNamePolicy {
    /// Whether a server that DNS named `host` may serve a user of `domain`.
    ///
    /// ```
    /// use sip_signin::{HostName, HostNamePolicy};
    /// let host = HostName::parse("sip.eng.contoso.com")?;
    /// assert!(!HostNamePolicy::Relaxed.admits(&host, &HostName::parse("contoso.com")?));
    /// # Ok::<(), sip_signin::NameError>(())
    /// ```
    pub fn admits(self, host: &HostName, domain: &HostName) -> bool {
        if host == domain {
            return true;
        }
        let Some(labels) = host.labels_below(domain) else {
            return false;
        };
        match self {
            Self::Strict => labels == "sip",
            Self::Relaxed => !labels.contains('.'),
            Self::AnySubdomain => true,
        }
    }
}

/// The whole name rule of a search: a policy, and domains that are trusted beside the user's own.
///
/// A host equal to a trusted domain, or at any depth below it, is admitted. The list is empty by
/// default; sites of the Lync era need it (`TrustModelData`).
///
/// A user's domain of one label, or one that many parties share (`co.uk`), ties a server to nobody:
/// keeping such addresses out is the caller's duty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NameRule {
    policy: HostNamePolicy,
    trusted: Arc<[HostName]>,
}

impl NameRule {
    /// The rule of `policy` alone.
    pub fn new(policy: HostNamePolicy) -> Self {
        Self { policy, trusted: Arc::default() }
    }

    /// The same policy, with these trusted domains beside the user's own.
    #[must_use]
    pub fn trusting(self, domains: impl IntoIterator<Item = HostName>) -> Self {
        Self { trusted: domains.into_iter().collect(), ..self }
    }

    /// The policy.
    pub fn policy(&self) -> HostNamePolicy {
        self.policy
    }

    /// The trusted domains.
    pub fn trusted(&self) -> &[HostName] {
        &self.trusted
    }

    /// Admits a host that DNS named, or says why not.
    ///
    /// # Errors
    /// [`Refusal`] when the host is not tied to `domain` and below no trusted domain.
    pub fn admit(&self, host: &HostName, domain: &HostName) -> Result<TrustedHost, Refusal> {
        if !self.policy.admits(host, domain) {
            self.tie(host, domain)?;
        }
        Ok(TrustedHost { host: Host::Name(host.clone()), origin: Origin::Rule })
    }

    /// Why a host that DNS named is admitted, or why not.
    ///
    /// ```
    /// use sip_signin::{HostName, HostNamePolicy, NameRule};
    /// let (host, domain) = (HostName::parse("ap.contoso.com")?, HostName::parse("contoso.com")?);
    /// let tie = NameRule::new(HostNamePolicy::Relaxed).tie(&host, &domain).unwrap();
    /// assert_eq!(tie.to_string(), "it stands one label in front of contoso.com");
    /// # Ok::<(), sip_signin::NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`Refusal`] when the host is not tied to `domain` and below no trusted domain.
    pub fn tie(&self, host: &HostName, domain: &HostName) -> Result<Tie, Refusal> {
        if self.policy.admits(host, domain) {
            return Ok(match host.labels_below(domain) {
                None => Tie::Itself(domain.clone()),
                Some(labels) => Tie::Below(domain.clone(), labels.split('.').count()),
            });
        }
        let below = |trusted: &&HostName| HostNamePolicy::AnySubdomain.admits(host, trusted);
        let trusted = self.trusted.iter().find(below).cloned();
        let refusal = || Refusal { host: host.clone(), domain: domain.clone(), rule: self.clone() };
        trusted.map(Tie::Trusted).ok_or_else(refusal)
    }
}

/// What ties an admitted host to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tie {
    /// This many labels stand in front of the user's domain.
    Below(HostName, usize),
    /// It is the user's domain.
    Itself(HostName),
    /// It is this trusted domain, or below it.
    Trusted(HostName),
}

impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(domain, 1) => write!(f, "it stands one label in front of {domain}"),
            Self::Below(domain, count) => {
                write!(f, "it stands {count} labels in front of {domain}")
            }
            Self::Itself(domain) => write!(f, "it is {domain} itself"),
            Self::Trusted(domain) => write!(f, "it belongs to the trusted domain {domain}"),
        }
    }
}

/// A host that may be connected to: the proof that something admitted it.
///
/// Only the name rule, the client itself (from one label and the user's domain), an administrator's
/// setting or a verified redirect makes one. The type has no public constructor, so that a connect
/// to an unvetted name cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedHost {
    host: Host,
    origin: Origin,
}

/// What admitted a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// An administrator named it; no rule applies.
    Administrator,
    /// The client built it from one label and the user's domain; no DNS answer chose it.
    Built,
    /// A server named it that had proved who it is.
    Redirect,
    /// DNS or a redirect named it and the name rule admitted it.
    Rule,
}

impl TrustedHost {
    /// The name or, for a server that an administrator set, perhaps an address.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&HostName> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Ip(_) => None,
        }
    }

    /// The address, if an administrator gave one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::Ip(address) => Some(address),
        }
    }

    /// What admitted it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// A host row: `label` in front of the user's own domain.
    pub(crate) fn built(label: &str, domain: &HostName) -> Result<Self, NameError> {
        let host = Host::Name(domain.below(label)?);
        Ok(Self { host, origin: Origin::Built })
    }

    /// A server that an administrator set.
    pub(crate) fn set_by_administrator(host: Host) -> Self {
        Self { host, origin: Origin::Administrator }
    }

    /// The target of a redirect whose signature was verified.
    pub(crate) fn named_by_server(host: Host) -> Self {
        Self { host, origin: Origin::Redirect }
    }
}

impl fmt::Display for TrustedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for TrustedHost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.host.serialize(serializer)
    }
}

/// A host that the name rule does not admit, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Refusal {
    /// The host that DNS named.
    pub host: HostName,
    /// The user's domain.
    pub domain: HostName,
    /// The rule that refused it.
    pub rule: NameRule,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.domain;
        match self.rule.policy {
            HostNamePolicy::Strict => {
                write!(f, "strict naming admits only {domain} and sip.{domain}")?;
            }
            HostNamePolicy::Relaxed => {
                write!(f, "relaxed naming admits only {domain} and one label in front of it")?;
            }
            HostNamePolicy::AnySubdomain => {
                write!(f, "any-subdomain naming admits only {domain} and names below it")?;
            }
        }
        for (at, trusted) in self.rule.trusted.iter().enumerate() {
            let before = if at == 0 { "; trusted besides: " } else { ", " };
            write!(f, "{before}{trusted}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HostNamePolicy::{AnySubdomain, Relaxed, Strict};

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    /// The seed's own examples, its rulings, and the near misses of each condition.
    #[test]
    fn each_policy_admits_what_its_source_says() {
        let table = [
            // host, strict, relaxed, any-subdomain; for a user of contoso.com
            ("contoso.com", true, true, true),
            ("sip.contoso.com", true, true, true),
            ("SIP.Contoso.COM.", true, true, true),
            ("server77.contoso.com", false, true, true),
            ("sipfed.contoso.com", false, true, true),
            ("ap.contoso.com", false, true, true),
            ("sipinternal.contoso.com", false, true, true),
            ("xn--mnchen-3ya.contoso.com", false, true, true),
            ("sip.eng.contoso.com", false, false, true),
            ("sip.sip.contoso.com", false, false, true),
            ("a.b.c.contoso.com", false, false, true),
            ("sip.contoso.net", false, false, false),
            ("sip.com", false, false, false),
            ("com", false, false, false),
            ("sip.contoso.com.cpandl.com", false, false, false),
            ("contoso.com.cpandl.com", false, false, false),
            ("evilcontoso.com", false, false, false),
            ("sip.evilcontoso.com", false, false, false),
            ("sipcontoso.com", false, false, false),
            ("sip-contoso.com", false, false, false),
            ("oso.com", false, false, false),
        ];
        for (host, strict, relaxed, any) in table {
            let verdicts = [Strict, Relaxed, AnySubdomain]
                .map(|policy| policy.admits(&name(host), &name("contoso.com")));
            assert_eq!(verdicts, [strict, relaxed, any], "{host}");
        }
    }

    #[test]
    fn the_domain_may_be_one_label_or_itself_begin_with_sip() {
        assert!(Strict.admits(&name("contoso"), &name("contoso")));
        assert!(Strict.admits(&name("sip.contoso"), &name("contoso")));
        assert!(Relaxed.admits(&name("pool.contoso"), &name("contoso")));
        assert!(!Relaxed.admits(&name("a.b.contoso"), &name("contoso")));
        assert!(Strict.admits(&name("sip.sip.contoso.com"), &name("sip.contoso.com")));
        assert!(!AnySubdomain.admits(&name("contoso.com"), &name("sip.contoso.com")));
    }

    #[test]
    fn trusted_domains_admit_at_any_depth_and_only_themselves() {
        let rule = NameRule::new(Strict).trusting([name("lync.com")]);
        let domain = name("contoso.com");
        for (host, admitted) in [
            ("lync.com", true),
            ("sipdir.online.lync.com", true),
            ("evillync.com", false),
            ("lync.com.example", false),
            ("pool.contoso.com", false),
            ("sip.contoso.com", true),
        ] {
            assert_eq!(rule.admit(&name(host), &domain).is_ok(), admitted, "{host}");
        }
    }

    #[test]
    fn an_admission_says_what_ties_the_host_to_the_user() {
        let rule = NameRule::new(AnySubdomain).trusting([name("lync.com")]);
        for (host, tie) in [
            ("contoso.com", "it is contoso.com itself"),
            ("sip.contoso.com", "it stands one label in front of contoso.com"),
            ("a.b.contoso.com", "it stands 2 labels in front of contoso.com"),
            ("sipdir.online.lync.com", "it belongs to the trusted domain lync.com"),
        ] {
            let found = rule.tie(&name(host), &name("contoso.com")).unwrap();
            assert_eq!(found.to_string(), tie);
        }
        assert!(rule.tie(&name("contoso.net"), &name("contoso.com")).is_err());
    }

    #[test]
    fn a_refusal_says_what_the_rule_would_have_admitted() {
        let refusal = |policy| {
            let rule = NameRule::new(policy);
            rule.admit(&name("sip.cpandl.com"), &name("contoso.com")).unwrap_err().to_string()
        };
        assert_eq!(refusal(Strict), "strict naming admits only contoso.com and sip.contoso.com");
        assert_eq!(
            refusal(Relaxed),
            "relaxed naming admits only contoso.com and one label in front of it"
        );
        assert_eq!(
            refusal(AnySubdomain),
            "any-subdomain naming admits only contoso.com and names below it"
        );
    }
}
