//! Kerberos by the system's GSS-API: the ticket of whoever is logged on. [MS-SIPAE]

use std::time::SystemTime;

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use crate::auth::{
    Identity, Mechanism, MechanismError, MechanismErrorKind, MechanismProvider, MechanismStep,
};
use crate::name::HostName;
use crate::now::Now;
use crate::random::Random;
use crate::sip::Scheme;
use crate::text::WireText;

/// Proves who is logged on with the Kerberos ticket that the system holds (feature `kerberos`, on
/// Unix). See the [trait](MechanismProvider) for how it is used.
///
/// The ticket is the one of the default credential cache: what `kinit` or the log-on left, in the
/// place that `KRB5CCNAME` or `krb5.conf` names. Without one the next mechanism has its turn.
/// Passwords are not taken; those are for NTLM and Digest.
///
/// # Who the server is
/// The ticket is for `sip/` and the host that was checked before, in the user's own realm, whatever
/// DNS says of other names of that host; a realm of its own may refer to another. That the server
/// could read the ticket it shows by its signature, which nobody can make without the key inside:
/// an answer without one is never taken with Kerberos. [`with_reply`](Self::with_reply) asks for a
/// second proof.
///
/// # Time
/// A call blocks while the library asks the ticket server (KDC) for a ticket that is not in the
/// cache: as long as that takes, in the thread that runs the sign-in, and with every ticket server
/// silent until the library gives up. Nothing is spawned to hide it. MIT Kerberos 1.20 was seen to
/// give up a single silent server after 27 s. Where other work shares the thread, sign in on one of
/// its own.
///
/// ```no_run
/// # #[cfg(feature = "net")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sip_signin::sign_in::Mechanisms;
/// use sip_signin::{Client, Kerberos, NoCredentials};
///
/// // Tickets and nothing else: nobody is asked for a password.
/// let client = Client::system_builder()?
///     .mechanisms(Mechanisms::none().then(Kerberos::new()))
///     .build();
/// let signed_in = client.sign_in(&"sip:jeremy@contoso.com".parse()?, &NoCredentials).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Kerberos {
    reply: bool,
}

impl Kerberos {
    /// Kerberos as Communicator runs it: one token, and from then on signatures. [MS-SIPAE section
    /// 4.2]
    pub fn new() -> Self {
        Self::default()
    }

    /// Kerberos that awaits a token of the server as well, which GSS-API calls mutual
    /// authentication. Such a client has no keys before the reply, so it cannot sign the message
    /// with its ticket, as a server of version 4 may demand.
    #[must_use]
    pub fn with_reply(self) -> Self {
        Self { reply: true }
    }

    /// What the context must have, and what is asked for.
    fn flags(self) -> CtxFlags {
        let reply = if self.reply { CtxFlags::GSS_C_MUTUAL_FLAG } else { CtxFlags::empty() };
        CtxFlags::GSS_C_INTEG_FLAG | reply
    }
}

impl MechanismProvider for Kerberos {
    fn scheme(&self) -> Scheme {
        Scheme::Kerberos
    }

    /// The user who is logged on only. A password that a ticket server turned down must not go to
    /// the SIP server as well, and `CONTOSO\jeremy` names no realm.
    fn takes(&self, identity: Identity<'_>) -> bool {
        matches!(identity, Identity::CurrentUser)
    }

    fn start(
        &self,
        target: &str,
        identity: Identity<'_>,
    ) -> Result<Box<dyn Mechanism>, MechanismError> {
        if !self.takes(identity) {
            return Err(MechanismErrorKind::Identity.into());
        }
        let host = host(target).ok_or(MechanismErrorKind::Target)?;
        let mechanisms = OidSet::singleton(GSS_MECH_KRB5).map_err(failure)?;
        let ticket = Cred::acquire(None, None, CredUsage::Initiate, Some(&mechanisms));
        let ticket = ticket.map_err(failure)?;
        let user = ticket.name().and_then(|name| name.display_name()).map_err(failure)?;
        // A principal and not a host-based name: those the library asks DNS about.
        let service = match String::from_utf8_lossy(&user).rsplit_once('@') {
            Some((_, realm)) => format!("sip/{host}@{realm}"),
            None => format!("sip/{host}"),
        };
        let service =
            Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(failure)?;
        let context = ClientCtx::new(Some(ticket), service, self.flags(), Some(GSS_MECH_KRB5));
        Ok(Box::new(Exchange { context, flags: self.flags(), begun: false, expires: None }))
    }
}

/// The host of `sip/host`.
fn host(target: &str) -> Option<HostName> {
    let (service, host) = target.split_once('/')?;
    HostName::parse(host).ok().filter(|_| service.eq_ignore_ascii_case("sip"))
}

/// One exchange. The key is the library's, and stays there.
struct Exchange {
    context: ClientCtx,
    flags: CtxFlags,
    begun: bool,
    expires: Option<SystemTime>,
}

impl Mechanism for Exchange {
    fn step(
        &mut self,
        token: Option<&[u8]>,
        now: Now,
        _random: &dyn Random,
    ) -> Result<MechanismStep, MechanismError> {
        if self.context.is_complete() {
            return Err(MechanismErrorKind::NotReady.into());
        }
        // A ticket is shown at once; only then is it the server's turn.
        if std::mem::replace(&mut self.begun, true) != token.is_some() {
            return Err(MechanismErrorKind::Token.into());
        }
        let answer = self.context.step(token, None).map_err(failure)?;
        let answer = answer.map(|token| token.to_vec());
        if !self.context.is_complete() {
            return Ok(MechanismStep::Continue(answer.unwrap_or_default()));
        }
        if !self.context.flags().map_err(failure)?.contains(self.flags) {
            return Err(MechanismErrorKind::Weak.into());
        }
        self.expires = now.wall.checked_add(self.context.lifetime().map_err(failure)?);
        Ok(MechanismStep::Done(answer))
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, MechanismError> {
        if !self.context.is_complete() {
            return Err(MechanismErrorKind::NotReady.into());
        }
        self.context.get_mic(message).map(|signature| signature.to_vec()).map_err(failure)
    }

    fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), MechanismError> {
        if !self.context.is_complete() {
            return Err(MechanismErrorKind::NotReady.into());
        }
        self.context.verify_mic(message, signature).map_err(|error| {
            let kind = match kind(error.major.bits(), error.minor) {
                Some(MechanismErrorKind::Expired) => MechanismErrorKind::Expired,
                _ => MechanismErrorKind::Signature,
            };
            MechanismError::new(kind).because(Said(WireText::new(error.to_string())))
        })
    }

    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

/// What the library says went wrong. Its words are kept: they name the cache, the service, the realm.
fn failure(error: libgssapi::error::Error) -> MechanismError {
    let said = WireText::new(error.to_string());
    match kind(error.major.bits(), error.minor) {
        Some(kind) => MechanismError::new(kind).because(Said(said)),
        None => MechanismErrorKind::Other(said).into(),
    }
}

/// The library's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(WireText);

/// What a pair of status codes means. The routine error stands in bits 16 to 23 of the first (RFC
/// 2744 section 3.9.1). The second counts from the base of the table `krb5`: up to 127 the codes of
/// RFC 4120 section 7.5.9, above them those of the MIT and Heimdal libraries.
fn kind(major: u32, minor: u32) -> Option<MechanismErrorKind> {
    const KRB5: u32 = 0x96c7_3a00;
    let routine = major.wrapping_shr(16) & 0xff;
    Some(match (routine, minor.wrapping_sub(KRB5)) {
        (_, 7) => MechanismErrorKind::UnknownService,
        (_, 33 | 37) => MechanismErrorKind::ClockSkew,
        (_, 154..=156) => MechanismErrorKind::Unreachable,
        (_, 32) | (11 | 12, _) => MechanismErrorKind::Expired,
        (7, _) => MechanismErrorKind::NoTicket,
        (9, _) => MechanismErrorKind::Token,
        _ => return None,
    })
}
