//! A server's certificate, as people want to see it.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sip_signin::WireText;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::screen::{PLAIN, Page};

/// What a certificate says of itself. Nothing of it is believed here.
#[derive(Debug)]
pub struct Facts {
    /// Whom it is for: its subject alternative names.
    pub names: Vec<String>,
    pub issuer: String,
    /// How many days it still has; negative when it is over.
    pub days_left: i64,
    /// In how many days its time begins; negative when it has begun.
    pub days_until: i64,
    /// The subjects of what the server sent, its own certificate first.
    pub chain: Vec<String>,
}

impl Facts {
    /// Reads what a server sent; `None` when the first is no certificate.
    pub fn of(chain: &[Bytes]) -> Option<Self> {
        let (_, own) = X509Certificate::from_der(chain.first()?).ok()?;
        let names = own.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().map(named).collect());
        let subject = |der: &Bytes| {
            let read = X509Certificate::from_der(der).ok();
            read.map_or("unreadable".into(), |(_, certificate)| called(certificate.subject()))
        };
        let days = |at: i64| at.saturating_sub(now()).div_euclid(24 * 60 * 60);
        Some(Self {
            names: names.unwrap_or_default(),
            issuer: called(own.issuer()),
            days_left: days(own.validity().not_after.timestamp()),
            days_until: days(own.validity().not_before.timestamp()),
            chain: chain.iter().map(subject).collect(),
        })
    }

    /// Tells it on a page.
    pub fn tell(&self, page: &mut Page, hang: usize) {
        let mut say = |head: &str, text: &str| {
            page.item(&format!("{:hang$}{head}", ""), PLAIN, hang.saturating_add(13), PLAIN, text);
        };
        let names = match self.names.as_slice() {
            [] => "nobody: it has no subject alternative name".into(),
            names => names.join(", "),
        };
        say("certificate", &format!("for {names}"));
        let time = match (self.days_until, self.days_left) {
            (1.., _) => format!("its time begins in {} days", self.days_until),
            (_, ..0) => format!("expired {} days ago", self.days_left.saturating_neg()),
            (_, days) => format!("{days} days left"),
        };
        say("issued by", &format!("{}; {time}", self.issuer));
        say("chain", &self.chain.join(" < "));
    }
}

fn named(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
            WireText::new(name).to_string()
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.map_or("an unreadable address".into(), |address| address.to_string())
        }
        _ => "a name of another kind".into(),
    }
}

/// The common name, or all of it.
fn called(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|common| common.as_str().ok());
    common.map_or_else(|| WireText::new(name.to_string()), WireText::new).to_string()
}

#[expect(clippy::disallowed_methods, reason = "days left are counted from today")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
