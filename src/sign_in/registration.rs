//! What it means to be signed in.

use std::time::Duration;

use crate::auth::Protection;
use crate::sip::parameters::{find_outside, seconds, split, split_addresses, value_of};
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
    /// How we proved who we are; `None` when nobody asked.
    pub scheme: Option<Scheme>,
    /// Whether the server proved who it is.
    pub protection: Protection,
}

impl Registration {
    pub(super) fn read(
        response: &Response,
        register: &Register,
        scheme: Option<Scheme>,
        protection: Protection,
    ) -> Self {
        let headers = response.headers();
        let ours = Binding::ours(headers, InstanceId::of(register.epid()));
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
            scheme,
            protection,
        }
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
                let parameter = |name| value_of(split(parameters, b';'), name);
                if !parameter("+sip.instance").is_some_and(|v| v.eq_ignore_ascii_case(&ours)) {
                    continue;
                }
                let expires = parameter("expires").and_then(|value| seconds(&value));
                return Some(Self {
                    uri: uri.into(),
                    gruu: parameter("gruu").map(WireText::new),
                    expires: expires.map(|seconds| Duration::from_secs(seconds.into())),
                });
            }
        }
        None
    }
}

fn enclosed(piece: &str) -> Option<(&str, &str)> {
    let at = find_outside(piece, b'<', false)?;
    piece.split_at_checked(at)?.1.strip_prefix('<')?.split_once('>')
}
