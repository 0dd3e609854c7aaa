//! What a registrar binds: the endpoint that a REGISTER names, and the 200 that says so.

use data_encoding::{BASE64URL, HEXLOWER_PERMISSIVE};

use super::registrar::Answer;
use crate::address::SipAddress;
use crate::sip::parameters::{find_outside, split, value_of};
use crate::sip::{Epid, InstanceId, Message, Request};

/// The longest time that is granted, in seconds: what an Office Communications Server grants.
pub(super) const LONGEST: u64 = 7200;

/// What a REGISTER wants to be bound.
pub(super) struct Binding {
    contact: String,
    /// The `+sip.instance`, or the one that the `epid` leads to.
    instance: String,
    expires: u64,
}

impl Binding {
    /// What `request` wants; `None` when it names no endpoint. [MS-SIPREGE section 3.1.2.5.1]
    pub(super) fn of(request: &Request, longest: u64) -> Option<Self> {
        let headers = request.headers();
        let contact = headers.get("Contact").unwrap_or_default();
        let (uri, parameters) = enclosed(&contact).unwrap_or((&contact, ""));
        let parameter = |name| value_of(split(parameters, b';'), name);
        let instance = parameter("+sip.instance").map(Into::into).or_else(|| {
            let from = headers.get("From").unwrap_or_default();
            let (_, parameters) = enclosed(&from)?;
            let epid: Epid = value_of(split(parameters, b';'), "epid")?.parse().ok()?;
            Some(format!("<urn:uuid:{}>", InstanceId::of(&epid)))
        })?;
        let of_contact = || parameter("expires")?.parse().ok();
        let wanted = headers.expires().map(|expires| expires.as_secs()).or_else(of_contact);
        let expires = wanted.unwrap_or(longest).min(longest);
        Some(Self { contact: uri.into(), instance, expires })
    }

    /// Where the endpoint is.
    pub(super) fn contact(&self) -> &str {
        &self.contact
    }

    /// Whether the endpoint signs out.
    pub(super) fn ends(&self) -> bool {
        self.expires == 0
    }

    /// The 200 for `address`; `known` says whether the endpoint was bound before.
    pub(super) fn granted(&self, address: &SipAddress, known: bool) -> Answer {
        let Self { contact, instance, expires } = self;
        let answer = Answer::status(200, "OK").header(format!("Expires: {expires}"));
        if self.ends() {
            return answer;
        }
        let gruu = gruu(instance).map_or_else(String::new, |opaque| {
            format!(";gruu=\"{address};opaque=user:epid:{opaque};gruu\"")
        });
        let action = if known { "refreshed" } else { "added" };
        answer
            .header(format!(
                "Contact: <{contact}>;expires={expires};+sip.instance=\"{instance}\"{gruu}"
            ))
            .header(format!(
                "presence-state: register-action=\"{action}\"; primary-cluster-type=\"central\"; \
                 is-connected-to-primary=\"yes\""
            ))
            .header("ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300")
            .header(
                "Allow-Events: vnd-microsoft-provisioning,vnd-microsoft-roaming-contacts,\
                 vnd-microsoft-roaming-ACL,presence,presence.wpending,\
                 vnd-microsoft-roaming-self,vnd-microsoft-provisioning-v2",
            )
            .header("Supported: adhoclist")
    }
}

/// `message` as a request of a server's to the endpoint at `contact`.
pub(super) fn handed_on(message: &Message, contact: &str, sent_by: &str, number: u32) -> String {
    let headers = message.headers();
    let (from, to) =
        (headers.get("From").unwrap_or_default(), headers.get("To").unwrap_or_default());
    let body = String::from_utf8_lossy(headers.body());
    format!(
        "MESSAGE {contact} SIP/2.0\r\nVia: SIP/2.0/{sent_by};branch=z9hG4bK{number}\r\n\
         Max-Forwards: 69\r\nFrom: {from}\r\nTo: {to}\r\n\
         Call-ID: handed-on-{number}\r\nCSeq: {number} MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What stands in the angle brackets of an address, and what behind them.
pub(super) fn enclosed(address: &str) -> Option<(&str, &str)> {
    let (_, rest) = address.split_at_checked(find_outside(address, b'<', false)?)?;
    rest.strip_prefix('<')?.split_once('>')
}

/// The opaque of a GRUU: the instance as a little-endian GUID and two zeros, in the base64 of URLs.
/// (as the recorded GRUUs of Office Communications Servers are)
fn gruu(instance: &str) -> Option<String> {
    let uuid = instance.trim_matches(['<', '>']).strip_prefix("urn:uuid:")?.replace('-', "");
    let bytes: [u8; 16] = HEXLOWER_PERMISSIVE.decode(uuid.as_bytes()).ok()?.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, last @ ..] = bytes;
    let guid = [&[d, c, b, a, f, e, h, g][..], &last, &[0, 0]].concat();
    Some(BASE64URL.encode(&guid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(lines: &str) -> Option<Binding> {
        let text = format!("REGISTER sip:contoso.com SIP/2.0\r\n{lines}l: 0\r\n\r\n");
        let Message::Request(request) = Message::parse(text.into()).unwrap() else {
            panic!("it is a request");
        };
        Binding::of(&request, LONGEST)
    }

    /// A trace of Communicator 2007 R2, and the example of [MS-SIPREGE].
    #[test]
    fn the_published_gruus_come_out() {
        for (uuid, opaque) in [
            ("34D859DB-6585-5F91-A3B4-DE853C15347D", "21nYNIVlkV-jtN6FPBU0fQAA"),
            ("c1589240-e660-594f-a8b3-4b55f358cbc1", "QJJYwWDmT1mos0tV81jLwQAA"),
        ] {
            assert_eq!(gruu(&format!("<urn:uuid:{uuid}>")).unwrap(), opaque);
        }
        assert_eq!(gruu("<urn:uuid:34>"), None);
    }

    #[test]
    fn an_endpoint_is_named_by_its_instance_or_its_epid() {
        let contact = "Contact: <sip:1.2.3.4>;+sip.instance=\"<urn:uuid:x>\"\r\n";
        assert_eq!(binding(contact).unwrap().instance, "<urn:uuid:x>");
        let from = "From: <sip:a@b>;tag=1;epid=8248ca9ebb\r\nContact: <sip:1.2.3.4>\r\n";
        let instance = "<urn:uuid:4233fd41-093b-5fd6-b5d2-651ed55969e6>";
        assert_eq!(binding(from).unwrap().instance, instance);
        assert!(binding("From: <sip:a@b>;tag=1\r\nContact: <sip:1.2.3.4>\r\n").is_none());
    }

    #[test]
    fn time_is_granted_up_to_two_hours() {
        let contact = "Contact: <sip:1.2.3.4>;+sip.instance=\"<urn:uuid:x>\"";
        for (more, granted) in [
            ("\r\n", 7200),
            (";expires=60\r\n", 60),
            (";expires=60\r\nExpires: 600\r\n", 600),
            ("\r\nExpires: 86400\r\n", 7200),
            ("\r\nExpires: 0\r\n", 0),
        ] {
            let binding = binding(&format!("{contact}{more}")).unwrap();
            assert_eq!((binding.expires, binding.ends()), (granted, granted == 0));
        }
    }
}
