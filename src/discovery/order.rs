//! The search orders: where each client looks, as tables.

use std::borrow::Cow;
use std::fmt;

use crate::name::{self, HostName};

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Protocol {
    /// TLS over TCP.
    Tls,
    /// Clear text over TCP.
    Tcp,
}

impl Protocol {
    /// The port where none is named: 5061 for TLS, 5060 for TCP. [RFC 3261 section 19.1.2]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 5061,
            Self::Tcp => 5060,
        }
    }
}

/// One row of a search order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Row {
    /// An SRV question: two service labels in front of the user's domain.
    Srv {
        /// `_sipinternaltls._tcp`
        service: Cow<'static, str>,
        /// How the servers it names are spoken to.
        protocol: Protocol,
    },
    /// A host: one label in front of the user's domain, tried if every SRV question was absent.
    Host {
        /// `sipinternal`
        label: Cow<'static, str>,
        /// How it is spoken to.
        protocol: Protocol,
        /// On which port.
        port: u16,
    },
}

impl Row {
    /// How the servers of this row are spoken to.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Srv { protocol, .. } | Self::Host { protocol, .. } => *protocol,
        }
    }

    /// What it asks for: a question, whatever is made of its answer, or an endpoint.
    fn asked(&self) -> (String, Option<(Protocol, u16)>) {
        match self {
            Self::Srv { service, .. } => (service.to_ascii_lowercase(), None),
            Self::Host { label, protocol, port } => {
                (label.to_ascii_lowercase(), Some((*protocol, *port)))
            }
        }
    }
}

/// Where a search looks, and in which order: data, not code.
///
/// All SRV questions are asked at once; the order says whose answer is used first. Every TLS row is
/// tried before any TCP row, whatever their places in the table.
///
/// ```
/// use sip_signin::discovery::SearchOrder;
/// println!("{}", SearchOrder::COMMUNICATOR);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SearchOrder {
    name: Cow<'static, str>,
    rows: Cow<'static, [Row]>,
}

const fn srv(service: &'static str, protocol: Protocol) -> Row {
    Row::Srv { service: Cow::Borrowed(service), protocol }
}

const fn host(label: &'static str, protocol: Protocol, port: u16) -> Row {
    Row::Host { label: Cow::Borrowed(label), protocol, port }
}

const fn preset(name: &'static str, rows: &'static [Row]) -> SearchOrder {
    SearchOrder { name: Cow::Borrowed(name), rows: Cow::Borrowed(rows) }
}

use Protocol::{Tcp, Tls};

const COMMUNICATOR: &[Row] = &[
    srv("_sipinternaltls._tcp", Tls),
    srv("_sipinternal._tcp", Tcp),
    srv("_sip._tls", Tls),
    host("sipinternal", Tls, 5061),
    host("sipinternal", Tcp, 5060),
    host("sipexternal", Tls, 443),
    host("sipexternal", Tls, 5061),
];

const COMMUNICATOR_2007: &[Row] = &[
    srv("_sipinternaltls._tcp", Tls),
    srv("_sipinternal._tcp", Tcp),
    srv("_sip._tls", Tls),
    srv("_sip._tcp", Tcp),
    host("sip", Tls, 5061),
    host("sip", Tls, 443),
    host("sip", Tcp, 5060),
    host("sipinternal", Tls, 5061),
    host("sipinternal", Tcp, 5060),
];

const COMMUNICATOR_2007_R2: &[Row] = &[
    srv("_sipinternaltls._tcp", Tls),
    srv("_sipinternal._tcp", Tcp),
    srv("_sip._tls", Tls),
    host("sipinternal", Tls, 5061),
    host("sipinternal", Tcp, 5060),
    host("sip", Tls, 5061),
    host("sip", Tls, 443),
    host("sip", Tcp, 5060),
    host("sipexternal", Tls, 443),
    host("sipexternal", Tls, 5061),
];

const PHONE_EDITION_R2: &[Row] = &[
    srv("_sipinternaltls._tcp", Tls),
    srv("_sip._tls", Tls),
    srv("_sipinternal._tcp", Tcp),
    host("sipinternal", Tls, 5061),
    host("sipinternal", Tls, 443),
    host("sip", Tls, 5061),
    host("sip", Tls, 443),
    host("sipexternal", Tls, 5061),
    host("sipexternal", Tls, 443),
];

const SKYPE_FOR_BUSINESS: &[Row] = &[
    srv("_sipinternaltls._tcp", Tls),
    srv("_sip._tls", Tls),
    host("sipinternal", Tls, 5061),
    host("sip", Tls, 5061),
    host("sip", Tls, 443),
    host("sipexternal", Tls, 443),
    host("sipexternal", Tls, 5061),
];

impl SearchOrder {
    /// The most rows that an order has.
    pub const LIMIT: usize = 32;

    /// Office Communicator as its sign-in article tells it; the default. [seed, article 1]
    ///
    /// The ports of its host rows: RFC 3261 section 19.1.2, and 443 first at the Edge, which the
    /// article does not say (observed in deployments).
    pub const COMMUNICATOR: Self = preset("communicator", COMMUNICATOR);

    /// Office Communicator 2007: also asks for an external server in clear text, and looks for
    /// `sip` before `sipinternal`. [seed, article 2]
    pub const COMMUNICATOR_2007: Self = preset("communicator-2007", COMMUNICATOR_2007);

    /// Office Communicator 2007 R2 as its final documentation ("Client DNS Queries Drilldown",
    /// June 2009) and the observed client have it.
    pub const COMMUNICATOR_2007_R2: Self = preset("communicator-2007-r2", COMMUNICATOR_2007_R2);

    /// Communicator Phone Edition 2007 R2, after the product's help. Its habit of trying each name
    /// again with the network's DNS suffixes is left out: that would leave the user's domain.
    pub const PHONE_EDITION_R2: Self = preset("phone-edition-r2", PHONE_EDITION_R2);

    /// Skype for Business 2015 and 2019 without their HTTP autodiscovery: never in clear text.
    /// ("Advanced Edge Server DNS planning", Microsoft)
    pub const SKYPE_FOR_BUSINESS: Self = preset("skype-for-business", SKYPE_FOR_BUSINESS);

    /// Every preset, the default first.
    pub const PRESETS: [Self; 5] = [
        Self::COMMUNICATOR,
        Self::COMMUNICATOR_2007,
        Self::COMMUNICATOR_2007_R2,
        Self::PHONE_EDITION_R2,
        Self::SKYPE_FOR_BUSINESS,
    ];

    /// An order of the caller's own.
    ///
    /// # Errors
    /// [`OrderError`] when a row could never be asked, stands twice, or would speak clear text to
    /// `sipexternal`: an Edge server has no unsecured TCP. [seed, article 1]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        rows: impl Into<Cow<'static, [Row]>>,
    ) -> Result<Self, OrderError> {
        let (name, rows) = (name.into(), rows.into());
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(word) {
            return Err(OrderError::Name);
        }
        if rows.is_empty() || rows.len() > Self::LIMIT {
            return Err(OrderError::Length);
        }
        for (at, row) in rows.iter().enumerate() {
            check_row(row)?;
            if rows.iter().take(at).any(|earlier| earlier.asked() == row.asked()) {
                return Err(OrderError::Duplicate(row.clone()));
            }
        }
        Ok(Self { name, rows })
    }

    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.into_iter().find(|order| order.name == name)
    }

    /// Its name: lower-case words and hyphens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

fn check_row(row: &Row) -> Result<(), OrderError> {
    let usable = match row {
        Row::Srv { service, .. } => name::check_service(service).is_ok(),
        Row::Host { label, port, .. } => {
            *port != 0 && !label.contains('.') && HostName::parse(&format!("{label}.d")).is_ok()
        }
    };
    if !usable {
        return Err(OrderError::Row(row.clone()));
    }
    match row {
        Row::Host { label, protocol: Tcp, .. } if label.eq_ignore_ascii_case("sipexternal") => {
            Err(OrderError::ClearTextAtTheEdge)
        }
        _ => Ok(()),
    }
}

/// Why a search order cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// `sipexternal` over TCP: an Edge server has no unsecured TCP.
    #[error("`sipexternal` is an edge server, which has no unsecured tcp")]
    ClearTextAtTheEdge,
    /// A row stands twice, or asks what another one asks.
    #[error("the row `{0}` asks what another row asks")]
    Duplicate(Row),
    /// No row, or more than [`SearchOrder::LIMIT`].
    #[error("an order has 1 to 32 rows")]
    Length,
    /// A name is lower-case words and hyphens.
    #[error("an order's name is of lower-case letters, digits and hyphens")]
    Name,
    /// A row whose service, label or port could never be asked for.
    #[error("the row `{0}` could never be asked for")]
    Row(Row),
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv { service, protocol } => write!(f, "srv   {protocol}  {service}"),
            Self::Host { label, protocol, port } => write!(f, "host  {protocol}  {label} {port}"),
        }
    }
}

/// The table: its name, then a line for each row.
impl fmt::Display for SearchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.rows.iter().try_for_each(|row| write!(f, "\n{row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each preset as its source has it, written out; the ports as the field uses them.
    #[test]
    fn every_preset_prints_as_its_table() {
        let tables = [
            "communicator: srv tls _sipinternaltls._tcp, srv tcp _sipinternal._tcp, srv tls _sip._tls, \
             host tls sipinternal 5061, host tcp sipinternal 5060, \
             host tls sipexternal 443, host tls sipexternal 5061",
            "communicator-2007: srv tls _sipinternaltls._tcp, srv tcp _sipinternal._tcp, \
             srv tls _sip._tls, srv tcp _sip._tcp, \
             host tls sip 5061, host tls sip 443, host tcp sip 5060, \
             host tls sipinternal 5061, host tcp sipinternal 5060",
            "communicator-2007-r2: srv tls _sipinternaltls._tcp, srv tcp _sipinternal._tcp, \
             srv tls _sip._tls, host tls sipinternal 5061, host tcp sipinternal 5060, \
             host tls sip 5061, host tls sip 443, host tcp sip 5060, \
             host tls sipexternal 443, host tls sipexternal 5061",
            "phone-edition-r2: srv tls _sipinternaltls._tcp, srv tls _sip._tls, \
             srv tcp _sipinternal._tcp, host tls sipinternal 5061, host tls sipinternal 443, \
             host tls sip 5061, host tls sip 443, host tls sipexternal 5061, host tls sipexternal 443",
            "skype-for-business: srv tls _sipinternaltls._tcp, srv tls _sip._tls, \
             host tls sipinternal 5061, host tls sip 5061, host tls sip 443, \
             host tls sipexternal 443, host tls sipexternal 5061",
        ];
        for (order, table) in SearchOrder::PRESETS.iter().zip(tables) {
            let printed = order.to_string();
            let words: Vec<_> = printed.split_whitespace().collect();
            assert_eq!(words.join(" "), table.replacen(':', "", 1).replace(',', ""));
            assert_eq!(printed.lines().count(), table.split(',').count() + 1);
        }
    }

    #[test]
    fn every_preset_passes_the_check_of_a_callers_own_and_is_found_by_name() {
        for order in SearchOrder::PRESETS {
            assert_eq!(SearchOrder::new(order.name.clone(), order.rows.clone()).unwrap(), order);
            assert_eq!(SearchOrder::preset(order.name()), Some(order));
        }
        assert_eq!(SearchOrder::preset("nobody"), None);
    }

    #[test]
    fn an_order_that_cannot_be_is_refused() {
        let bad = |row: Row| SearchOrder::new("mine", vec![row]).unwrap_err();
        assert_eq!(bad(host("sipexternal", Tcp, 5060)), OrderError::ClearTextAtTheEdge);
        for row in [
            srv("sip._tls", Tls),
            srv("_sip", Tls),
            host("a.b", Tls, 5061),
            host("_sip", Tls, 5061),
            host("", Tls, 5061),
            host("sip", Tls, 0),
        ] {
            assert_eq!(bad(row.clone()), OrderError::Row(row));
        }
        let twice = vec![srv("_sip._tls", Tls), srv("_sip._tls", Tls)];
        assert!(matches!(SearchOrder::new("mine", twice), Err(OrderError::Duplicate(_))));
        let one_question = vec![srv("_sip._tls", Tls), srv("_SIP._tls", Tcp)];
        assert!(matches!(SearchOrder::new("mine", one_question), Err(OrderError::Duplicate(_))));
        let one_endpoint = vec![host("sip", Tls, 443), host("SIP", Tls, 443)];
        assert!(matches!(SearchOrder::new("mine", one_endpoint), Err(OrderError::Duplicate(_))));
        assert_eq!(SearchOrder::new("Mine!", vec![srv("_sip._tls", Tls)]), Err(OrderError::Name));
        assert_eq!(SearchOrder::new("mine", vec![]), Err(OrderError::Length));
        let rows = |n: u16| (1..=n).map(|port| host("sip", Tls, port)).collect::<Vec<_>>();
        assert!(SearchOrder::new("mine", rows(32)).is_ok());
        assert_eq!(SearchOrder::new("mine", rows(33)), Err(OrderError::Length));
    }
}
