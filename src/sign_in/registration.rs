//! What it means to be signed in.

use std::time::Duration;

use crate::auth::Protection;
use crate::sip::parameters::{find_outside, seconds, split, split_addresses, value_of, values_of};
use crate::sip::{Diagnostics, Headers, InstanceId, Register, Response, Scheme};
use crate::text::WireText;

/// The binding that the server made, from its 200.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// Our Contact as the server has it; `None` when the answer does not list it.
    pub contact: Option<WireText>,
    /// The address that reaches this endpoint and no other. [MS-SIPRE]
    pub gruu: Option<WireText>,
    /// How long it lasts.
    pub expires: Option<Duration>,
    /// How often the server wants to hear from us. [MS-CONMGMT]
    pub keep_alive: Option<Duration>,
    /// What the server says it is: `RTC/3.5`.
    pub server: Option<WireText>,
    /// A remark of the server's, such as that a newer client is offered.
    pub diagnostics: Option<Diagnostics>,
    /// What the server did with the binding, from `presence-state`: `added`, `refreshed` or `fixed`.
    /// [MS-SIPREGE]
    pub action: Option<WireText>,
    /// How we proved who we are; `None` when nobody asked.
    pub scheme: Option<Scheme>,
    /// Whether the server proved who it is.
    pub protection: Protection,
}

impl Registration {
    pub(crate) fn read(
        response: &Response,
        register: &Register,
        scheme: Option<Scheme>,
        protection: Protection,
    ) -> Self {
        let headers = response.headers();
        let ours = Binding::ours(headers, register.instance());
        let (contact, gruu, expires) = match ours {
            Some(Binding { uri, gruu, expires }) => (Some(uri), gruu, expires),
            None => (None, None, None),
        };
        Self {
            contact,
            gruu,
            expires: expires.or_else(|| headers.expires()),
            keep_alive: headers.keep_alive(),
            server: headers.get("Server").map(WireText::new),
            diagnostics: Diagnostics::of(headers),
            action: headers.get("presence-state").and_then(|state| {
                value_of(split(&state, b';'), "register-action").map(WireText::new)
            }),
            scheme,
            protection,
        }
    }

    /// The same; what the answer to a refresh leaves out is as it was.
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            contact: self.contact.or_else(|| before.contact.clone()),
            gruu: self.gruu.or_else(|| before.gruu.clone()),
            keep_alive: self.keep_alive.or(before.keep_alive),
            server: self.server.or_else(|| before.server.clone()),
            ..self
        }
    }

    /// Whether the server had no such binding, although there was one before: it was added, or its
    /// place was taken back from elsewhere. [MS-SIPREGE section 3.1.1.5.1]
    pub(crate) fn was_forgotten(&self) -> bool {
        let is = |word| self.action.as_ref().is_some_and(|a| a.raw().eq_ignore_ascii_case(word));
        is("added") || is("fixed") || self.expires == Some(Duration::ZERO)
    }
}

struct Binding {
    uri: WireText,
    gruu: Option<WireText>,
    expires: Option<Duration>,
}

impl Binding {
    /// The Contact with our `+sip.instance`; the others are the user's other devices.
    fn ours(headers: &Headers, instance: InstanceId) -> Option<Self> {
        let ours = format!("<urn:uuid:{instance}>");
        for value in headers.all("Contact") {
            for piece in split_addresses(&value) {
                let Some((uri, parameters)) = enclosed(piece) else { continue };
                let names = ["+sip.instance", "expires", "gruu"];
                let [instance, expires, gruu] = values_of(split(parameters, b';'), names);
                if instance.is_some_and(|instance| instance.eq_ignore_ascii_case(&ours)) {
                    let expires = expires.and_then(|value| seconds(&value));
                    return Some(Self {
                        uri: uri.into(),
                        gruu: gruu.map(WireText::new),
                        expires: expires.map(|seconds| Duration::from_secs(seconds.into())),
                    });
                }
            }
        }
        None
    }
}

fn enclosed(piece: &str) -> Option<(&str, &str)> {
    let at = find_outside(piece, b'<', false)?;
    piece.split_at_checked(at)?.1.strip_prefix('<')?.split_once('>')
}
