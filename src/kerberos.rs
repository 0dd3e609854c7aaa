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
/// ```text
/// kinit jeremy@CONTOSO.COM                             # a ticket, where the log-on left none
/// klist                                                # which there are, and until when
/// KRB5CCNAME=FILE:$HOME/tickets kinit …                # in a cache of one's own
/// KRB5_TRACE=$HOME/kerberos.log my-program             # what the library asks, and whom
/// ```
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
/// its own. A session does the same when it makes a new security association, in the thread that
/// receives, and who sends meanwhile waits for it, thread and all.
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
    /// The longest token that is sent, in bytes: the longest that Windows takes (`MaxTokenSize`). A
    /// ticket grows with the groups that its owner is in.
    pub const TOKEN_LIMIT: usize = 48_000;

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
        if let Some(token) = answer.as_ref().filter(|token| token.len() > Kerberos::TOKEN_LIMIT) {
            let why = format!("a ticket of {} bytes is too long", token.len());
            return Err(MechanismErrorKind::Other(why.into()).into());
        }
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
            MechanismError::new(kind).because(Said(words(&error.to_string())))
        })
    }

    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

/// What the library says went wrong. Its words are kept: they name the cache, the service, the realm.
fn failure(error: libgssapi::error::Error) -> MechanismError {
    let said = words(&error.to_string());
    match kind(error.major.bits(), error.minor) {
        Some(kind) => MechanismError::new(kind).because(Said(said)),
        None => MechanismErrorKind::Other(said).into(),
    }
}

/// The better half of the library's words: those about Kerberos, in brackets behind those about
/// GSS-API; or these, when those are no help.
fn words(both: &str) -> WireText {
    match both.split_once(" (") {
        Some((general, "Success)")) => general.into(),
        Some((_, kerberos)) => kerberos.strip_suffix(')').unwrap_or(kerberos).into(),
        None => both.into(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credentials;

    #[test]
    fn a_ticket_is_asked_for_under_sip_and_a_plain_host_name_only() {
        for (target, expected) in [
            ("sip/pool01.contoso.com", Some("pool01.contoso.com")),
            ("SIP/POOL01.Contoso.COM", Some("pool01.contoso.com")),
            ("http/pool01.contoso.com", None),
            ("pool01.contoso.com", None),
            ("sip/pool01.contoso.com@EVIL.EXAMPLE", None),
            ("sip/pool01.contoso.com:5061", None),
            ("sip/pool01.contoso.com/x", None),
            ("sip/pool01\\@x", None),
            ("sip/192.0.2.1", None),
            ("sip/", None),
            ("", None),
        ] {
            let host = host(target);
            assert_eq!(host.as_ref().map(HostName::as_str), expected, "{target}");
            if expected.is_none() {
                let started = Kerberos::new().start(target, Identity::CurrentUser);
                assert_eq!(started.err().unwrap().kind(), &MechanismErrorKind::Target, "{target}");
            }
        }
    }

    #[test]
    fn a_password_is_not_taken() {
        let credentials = Credentials::new(r"CONTOSO\jeremy".parse().unwrap(), "Passw0rd!");
        let supplied = Identity::Supplied(&credentials);
        let kerberos = Kerberos::new();
        assert!(kerberos.takes(Identity::CurrentUser) && !kerberos.takes(supplied));
        let started = kerberos.start("sip/pool01.contoso.com", supplied);
        assert_eq!(started.err().unwrap().kind(), &MechanismErrorKind::Identity);
    }

    /// The numbers were seen with MIT Kerberos 1.20, where a comment says so; the others are those of
    /// the standards.
    #[test]
    fn each_pair_of_status_codes_has_its_meaning() {
        use MechanismErrorKind as Kind;
        let general = 13 << 16;
        for (major, minor, expected) in [
            (general, -1_765_328_377, Some(Kind::UnknownService)), // seen
            (general, -1_765_328_228, Some(Kind::Unreachable)),    // seen
            (7 << 16, -1_765_328_230, Some(Kind::Unreachable)),    // seen: no realm of that name
            (7 << 16, -1_765_328_243, Some(Kind::NoTicket)),       // seen
            (7 << 16, -1_765_328_189, Some(Kind::NoTicket)),
            (11 << 16, 100_001, Some(Kind::Expired)), // seen
            (general, -1_765_328_352, Some(Kind::Expired)),
            (12 << 16, 0, Some(Kind::Expired)),
            (general, -1_765_328_347, Some(Kind::ClockSkew)),
            (general, -1_765_328_351, Some(Kind::ClockSkew)),
            (9 << 16, 100_001, Some(Kind::Token)), // seen
            (general, -1_765_328_366, None),
            (0, 0, None),
        ] {
            let minor = i32::cast_unsigned(minor);
            assert_eq!(kind(major, minor), expected, "{major:x} {minor:x}");
        }
    }

    #[test]
    fn of_the_librarys_words_those_about_kerberos_are_told() {
        for (both, told) in [
            ("Unspecified.  See (Server sip/a@B not found)", "Server sip/a@B not found"),
            ("No credentials (None (default cache: FILE:c))", "None (default cache: FILE:c)"),
            (
                "The referenced credential has expired (Success)",
                "The referenced credential has expired",
            ),
            ("Nothing", "Nothing"),
        ] {
            assert_eq!(words(both).to_string(), told);
        }
    }
}
