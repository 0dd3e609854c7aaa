//! jeremy@contoso.com at his server: whom the tests of the machines sign in.

use sip_signin::discovery::{Endpoint, Protocol};
use sip_signin::sign_in::Server;
use sip_signin::sip::{Register, Tokens, UriTransport};
use sip_signin::{HostName, HostNamePolicy, NameRule};

/// His first REGISTER. Its Call-ID is `ours`.
pub fn register() -> Register {
    let tokens = Tokens {
        call_id: "ours".into(),
        from_tag: "f".into(),
        branch: "b".into(),
        contact: "c".into(),
    };
    let address = "sip:jeremy@contoso.com".parse().unwrap();
    let (local, epid) = ("192.0.2.7:49152".parse().unwrap(), "c8ca638a15".parse().unwrap());
    Register::new(&address, local, UriTransport::Tls, tokens, epid, "test/1").unwrap()
}

pub fn server() -> Server {
    let host = HostName::parse("sip.contoso.com").unwrap();
    let rule = NameRule::new(HostNamePolicy::Relaxed).trusting([host.clone()]);
    let host = rule.admit(&host, &host).unwrap();
    let endpoint = Endpoint { protocol: Protocol::Tls, host, port: 5061 };
    Server { endpoint, certificate: [].into(), names: NameRule::default() }
}
