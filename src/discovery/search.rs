//! What is searched for, and by which rules: the settings of one search.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::last::LastServer;
use super::manual::{ManualServer, ManualServers};
use super::order::{Protocol, SearchOrder};
use super::pace::{Pace, Timeouts};
use crate::name::HostName;
use crate::policy::{HostNamePolicy, NameRule};

/// Whether clear text over TCP may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum ClearText {
    /// Its questions are not even asked. [seed, article 1: the policy that prevents TCP]
    #[default]
    Forbid,
    /// After every TLS candidate failed without a trace of a TLS server. [seed, article 2]
    Allow,
}

/// The settings of a search; a clone shares them. [`Search::default`] is Communicator's own search with
/// TLS only.
///
/// ```
/// use sip_signin::HostNamePolicy;
/// use sip_signin::discovery::{ClearText, Pace, Search, SearchOrder};
/// let search = Search::builder()
///     .order(SearchOrder::COMMUNICATOR_2007)
///     .names(HostNamePolicy::Strict)
///     .clear_text(ClearText::Allow)
///     .pace(Pace::EAGER)
///     .build()?;
/// # Ok::<(), sip_signin::discovery::SearchError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search(Arc<Settings>);

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) names: NameRule,
    pub(super) clear_text: ClearText,
    pub(super) first_srv_record_only: bool,
    pub(super) hosts_after_failed_lookups: bool,
    pub(super) pace: Pace,
    pub(super) timeouts: Timeouts,
    pub(super) last: Option<LastServer>,
}

/// Where a search looks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub(super) enum Place {
    Automatic(SearchOrder),
    Manual(ManualServers),
    /// The target of a redirect.
    Redirect(Endpoint),
}

impl Search {
    /// Starts from the defaults: [`SearchOrder::COMMUNICATOR`], relaxed naming, TLS only.
    pub fn builder() -> SearchBuilder {
        SearchBuilder::default()
    }

    /// The search order; `None` with manual servers.
    pub fn order(&self) -> Option<&SearchOrder> {
        match &self.0.place {
            Place::Automatic(order) => Some(order),
            Place::Manual(_) | Place::Redirect(_) => None,
        }
    }

    /// The manual servers, if there are any.
    pub fn manual(&self) -> Option<&ManualServers> {
        match &self.0.place {
            Place::Automatic(_) | Place::Redirect(_) => None,
            Place::Manual(servers) => Some(servers),
        }
    }

    /// The name rule.
    pub fn names(&self) -> &NameRule {
        &self.0.names
    }

    /// Whether clear text may be used.
    pub fn clear_text(&self) -> ClearText {
        self.0.clear_text
    }

    /// The pace.
    pub fn pace(&self) -> Pace {
        self.0.pace
    }

    /// What bounds its time.
    pub fn timeouts(&self) -> Timeouts {
        self.0.timeouts
    }

    /// The same, but tries this server first, which let the user in before; with `None` none is. With
    /// manual servers it only saves the lookup of its address: their order is the administrator's.
    #[must_use]
    pub fn remembering(&self, last: impl Into<Option<LastServer>>) -> Self {
        self.with(|settings| settings.last = last.into())
    }

    /// The server that is tried first, if there is one.
    pub fn last(&self) -> Option<&LastServer> {
        self.0.last.as_ref()
    }

    /// The same, but for this server alone, which a redirect named and
    /// [`Redirects`](crate::sign_in::Redirects) permitted.
    #[must_use]
    pub fn redirected_to(&self, endpoint: Endpoint) -> Self {
        self.with(|settings| {
            settings.place = Place::Redirect(endpoint);
            settings.last = None;
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0
    }

    fn with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut search = self.clone();
        change(Arc::make_mut(&mut search.0));
        search
    }

    /// The same at another pace.
    #[must_use]
    pub fn with_pace(&self, pace: Pace) -> Self {
        self.with(|settings| settings.pace = pace)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Search {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            place: Place::Automatic(SearchOrder::COMMUNICATOR),
            names: NameRule::default(),
            clear_text: ClearText::Forbid,
            first_srv_record_only: false,
            hosts_after_failed_lookups: false,
            pace: Pace::DEFAULT,
            timeouts: Timeouts::DEFAULT,
            last: None,
        }
    }
}

/// Collects the settings of a [`Search`] and checks them together.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SearchBuilder {
    order: Option<SearchOrder>,
    manual: Option<ManualServers>,
    names: HostNamePolicy,
    trusted: Vec<HostName>,
    clear_text: ClearText,
    first_srv_record_only: bool,
    hosts_after_failed_lookups: bool,
    pace: Pace,
    timeouts: Timeouts,
}

impl SearchBuilder {
    /// Searches automatically, in this order.
    pub fn order(self, order: SearchOrder) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Does not search: uses these servers, which an administrator or the user named.
    pub fn manual(self, servers: ManualServers) -> Self {
        Self { manual: Some(servers), ..self }
    }

    /// How close a discovered name must be to the user's domain.
    pub fn names(self, policy: HostNamePolicy) -> Self {
        Self { names: policy, ..self }
    }

    /// Trusts hosts of these domains beside the user's own, at any depth.
    pub fn trust(mut self, domains: impl IntoIterator<Item = HostName>) -> Self {
        self.trusted.extend(domains);
        self
    }

    /// Whether clear text may be used.
    pub fn clear_text(self, clear_text: ClearText) -> Self {
        Self { clear_text, ..self }
    }

    /// Tries the best admitted SRV record and no other, as Microsoft documents its client. Implies
    /// [`Pace::ONE_AT_A_TIME`].
    pub fn first_srv_record_only(self, only: bool) -> Self {
        Self { first_srv_record_only: only, ..self }
    }

    /// Lets the TLS host rows run also when SRV questions *failed*, for networks whose DNS drops
    /// them. The names come from the user's domain and the certificate is checked, so an attacker
    /// gains nothing by it.
    pub fn hosts_after_failed_lookups(self, run: bool) -> Self {
        Self { hosts_after_failed_lookups: run, ..self }
    }

    /// How soon servers are tried beside each other.
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// What bounds time.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Checks the settings together.
    ///
    /// # Errors
    /// [`SearchError`] when they contradict each other.
    pub fn build(self) -> Result<Search, SearchError> {
        let place = match (self.order, self.manual) {
            (Some(_), Some(_)) => return Err(SearchError::ManualAndOrder),
            (order, None) => Place::Automatic(order.unwrap_or(SearchOrder::COMMUNICATOR)),
            (None, Some(servers)) => Place::Manual(servers),
        };
        if let Place::Manual(servers) = &place {
            if servers.internal.is_none() && servers.external.is_none() {
                return Err(SearchError::NoManualServer);
            }
            if servers.protocol == Protocol::Tcp && self.clear_text == ClearText::Forbid {
                return Err(SearchError::ClearTextForbidden);
            }
        }
        let Timeouts { lookup, connect, search } = self.timeouts;
        if [lookup, connect, search].contains(&Duration::ZERO) {
            return Err(SearchError::NoTime);
        }
        let pace = if self.first_srv_record_only { Pace::ONE_AT_A_TIME } else { self.pace };
        Ok(Search(Arc::new(Settings {
            place,
            names: NameRule::new(self.names).trusting(self.trusted),
            clear_text: self.clear_text,
            first_srv_record_only: self.first_srv_record_only,
            hosts_after_failed_lookups: self.hosts_after_failed_lookups,
            pace,
            timeouts: self.timeouts,
            last: None,
        })))
    }
}

/// Why settings contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Manual servers over TCP, and clear text forbidden.
    #[error("the manual servers are to be spoken to in clear text, which is forbidden")]
    ClearTextForbidden,
    /// Both an order and manual servers.
    #[error("a search has an order or manual servers, not both")]
    ManualAndOrder,
    /// Manual, and no server named.
    #[error("neither an internal nor an external server is named")]
    NoManualServer,
    /// A time-out of nothing.
    #[error("a time-out is zero")]
    NoTime,
}

/// The header lines of a transcript; what has its default value is left out, but for the policy.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.0.names.policy() {
            HostNamePolicy::Strict => "strict",
            HostNamePolicy::Relaxed => "relaxed",
            HostNamePolicy::AnySubdomain => "any-subdomain",
        };
        let tcp = if self.0.clear_text == ClearText::Allow { "allowed" } else { "forbidden" };
        write!(f, "policy   {policy} naming, tcp {tcp}")?;
        for (at, domain) in self.0.names.trusted().iter().enumerate() {
            write!(f, "{}{domain}", if at == 0 { ", trusting " } else { " " })?;
        }
        if self.0.first_srv_record_only {
            f.write_str(", first srv record only")?;
        }
        if self.0.hosts_after_failed_lookups {
            f.write_str(", hosts after failed lookups")?;
        }
        match &self.0.place {
            Place::Automatic(order) if *order == SearchOrder::COMMUNICATOR => {}
            Place::Automatic(order) => {
                write!(f, "\norder    {}", order.name())?;
                if SearchOrder::preset(order.name()).as_ref() != Some(order) {
                    order.rows().iter().try_for_each(|row| write!(f, "\nrow      {row}"))?;
                }
            }
            // The same steps come out again when it is read back as a server set by hand.
            Place::Redirect(Endpoint { protocol, host, port }) => {
                write!(f, "\ninternal {protocol} {host}:{port}")?;
            }
            Place::Manual(ManualServers { internal, external, protocol }) => {
                for (which, server) in [("internal", internal), ("external", external)] {
                    if let Some(ManualServer { host, port }) = server {
                        let port = port.unwrap_or(protocol.default_port());
                        write!(f, "\n{which} {protocol} {host}:{port}")?;
                    }
                }
            }
        }
        if self.0.pace != Pace::DEFAULT && !self.0.first_srv_record_only {
            write!(f, "\npace     {}", self.0.pace)?;
        }
        if self.0.timeouts != Timeouts::DEFAULT {
            write!(f, "\ntimeouts {}", self.0.timeouts)?;
        }
        if let Some(last) = &self.0.last {
            write!(f, "\nlast     {last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ManualServer {
        text.parse().unwrap()
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let manual = |protocol| ManualServers {
            internal: Some(server("sip.corp.example")),
            external: None,
            protocol,
        };
        let none = ManualServers { internal: None, ..manual(Protocol::Tls) };
        let build = |builder: SearchBuilder| builder.build().map(|_| ());
        assert_eq!(build(Search::builder().manual(manual(Protocol::Tls))), Ok(()));
        assert_eq!(
            build(Search::builder().manual(manual(Protocol::Tcp))),
            Err(SearchError::ClearTextForbidden)
        );
        let allowed = Search::builder().manual(manual(Protocol::Tcp)).clear_text(ClearText::Allow);
        assert_eq!(build(allowed), Ok(()));
        assert_eq!(build(Search::builder().manual(none)), Err(SearchError::NoManualServer));
        let both = Search::builder().manual(manual(Protocol::Tls)).order(SearchOrder::COMMUNICATOR);
        assert_eq!(build(both), Err(SearchError::ManualAndOrder));
        let timeouts = Timeouts { lookup: Duration::from_secs(1), ..Timeouts::DEFAULT };
        assert_eq!(Search::builder().timeouts(timeouts).build().unwrap().timeouts(), timeouts);
        let timeouts = Timeouts { lookup: Duration::ZERO, ..Timeouts::DEFAULT };
        assert_eq!(build(Search::builder().timeouts(timeouts)), Err(SearchError::NoTime));
        assert_eq!(Search::builder().build(), Ok(Search::default()));
    }

    #[test]
    fn trying_one_record_only_implies_one_at_a_time() {
        let search = Search::builder().pace(Pace::EAGER).first_srv_record_only(true).build();
        assert_eq!(search.unwrap().pace(), Pace::ONE_AT_A_TIME);
    }

    #[test]
    fn the_header_shows_what_is_not_at_its_default() {
        assert_eq!(Search::default().to_string(), "policy   relaxed naming, tcp forbidden");
        let search = Search::builder()
            .names(HostNamePolicy::Strict)
            .trust([HostName::parse("lync.com").unwrap()])
            .clear_text(ClearText::Allow)
            .order(SearchOrder::PHONE_EDITION_R2)
            .pace(Pace { head_start: None, ..Pace::EAGER })
            .timeouts(Timeouts { lookup: Duration::from_micros(1500), ..Timeouts::DEFAULT });
        assert_eq!(
            search.build().unwrap().to_string(),
            "policy   strict naming, tcp allowed, trusting lync.com\n\
             order    phone-edition-r2\n\
             pace     head start none, patience 0ms or 1 connects, address delay 0ms, resolution delay 50ms\n\
             timeouts lookup 1.5ms, connect 8000ms, search 30000ms"
        );
    }
}
