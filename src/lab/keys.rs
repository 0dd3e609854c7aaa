//! With what the two sides of an association sign: what NTLM agreed on, or a ticket held.

#[cfg(all(unix, feature = "kerberos"))]
use libgssapi::context::{CtxFlags, SecurityContext, ServerCtx};
#[cfg(all(unix, feature = "kerberos"))]
use libgssapi::credential::{Cred, CredUsage};
#[cfg(all(unix, feature = "kerberos"))]
use libgssapi::name::Name;
#[cfg(all(unix, feature = "kerberos"))]
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use crate::auth::ServerKeys;
use crate::sip::Scheme;

/// The keys of an association.
pub(super) enum Keys {
    Ntlm(ServerKeys),
    #[cfg(all(unix, feature = "kerberos"))]
    Kerberos(ServerCtx),
}

impl Keys {
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Ntlm(_) => Scheme::Ntlm,
            #[cfg(all(unix, feature = "kerberos"))]
            Self::Kerberos(_) => Scheme::Kerberos,
        }
    }

    /// Whether the client signed `message` with `signature`.
    pub(super) fn verifies(&mut self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ntlm(keys) => keys.verifies(message, signature),
            #[cfg(all(unix, feature = "kerberos"))]
            Self::Kerberos(context) => context.verify_mic(message, signature).is_ok(),
        }
    }

    /// The server's signature of `message`.
    pub(super) fn sign(&mut self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ntlm(keys) => keys.sign(message).to_vec(),
            // A context that cannot sign makes an empty signature, which nobody takes.
            #[cfg(all(unix, feature = "kerberos"))]
            Self::Kerberos(context) => {
                context.get_mic(message).map(|signature| signature.to_vec()).unwrap_or_default()
            }
        }
    }
}

/// How a server is called in a challenge of this scheme. [MS-SIPAE section 3.2.5.2]
pub(super) fn target(scheme: &Scheme, host: &str) -> String {
    match scheme {
        Scheme::Kerberos => format!("sip/{host}"),
        _ => host.to_owned(),
    }
}

/// What a ticket says.
pub(super) struct Ticket {
    /// Whose it is: `jeremy@CONTOSO.COM`.
    pub(super) owner: String,
    /// What the client awaits before it has keys, if it awaits anything.
    pub(super) reply: Option<Vec<u8>>,
    pub(super) keys: Keys,
}

impl Ticket {
    /// Takes a ticket for `host`, with the keytab of this process (`KRB5_KTNAME`).
    #[cfg(all(unix, feature = "kerberos"))]
    pub(super) fn take(host: &str, token: &[u8]) -> Result<Self, libgssapi::error::Error> {
        let service = target(&Scheme::Kerberos, host);
        let service = Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
        let mechanisms = OidSet::singleton(GSS_MECH_KRB5)?;
        let key = Cred::acquire(Some(&service), None, CredUsage::Accept, Some(&mechanisms))?;
        let mut context = ServerCtx::new(Some(key));
        let reply = context.step(token, None)?.map(|reply| reply.to_vec());
        let owner = context.source_name()?.display_name()?;
        let owner = String::from_utf8_lossy(&owner).into_owned();
        let awaited = context.flags()?.contains(CtxFlags::GSS_C_MUTUAL_FLAG);
        Ok(Self { owner, reply: reply.filter(|_| awaited), keys: Keys::Kerberos(context) })
    }

    /// Without the feature `kerberos` there is nothing that reads a ticket.
    #[cfg(not(all(unix, feature = "kerberos")))]
    pub(super) fn take(_host: &str, _token: &[u8]) -> Result<Self, &'static str> {
        Err("this lab reads no tickets")
    }
}
