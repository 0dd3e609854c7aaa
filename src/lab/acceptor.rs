//! What a registrar knows of one connection: how far the proof is, and with what it is signed.
//! [MS-SIPAE section 3.3]

use std::fmt::Display;
use std::time::SystemTime;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::accounts::{Offer, Resident};
use super::binding::{Binding, enclosed};
use super::digest::{Denied, Nonce};
use super::fault::SipFault;
use super::registrar::Answer;
use crate::auth::{Acceptor, Salt, ServerKeys, Version, signature_buffer};
use crate::discovery::Protocol;
use crate::random::{self, RandomError};
use crate::sip::{Challenge, Message, Request, Scheme};
use crate::system_random::SystemRandom;

/// How one server lets people in, whatever the connection.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) host: String,
    pub(super) protocol: Protocol,
    pub(super) accounts: Vec<Resident>,
    pub(super) offers: Vec<Offer>,
    /// Where the users are at home, when it is not here.
    pub(super) home: Vec<String>,
    pub(super) fault: Option<SipFault>,
}

const REALM: &str = "SIP Communications Service";

/// One connection.
pub(super) struct Session<'a> {
    desk: &'a Desk,
    handshake: Option<Handshake>,
    association: Option<Association<'a>>,
    nonce: Nonce,
    stale: bool,
    /// Whether its endpoint is registered.
    bound: bool,
}

/// A challenge was sent and is to be answered.
struct Handshake {
    version: Version,
    opaque: String,
    ntlm: Acceptor,
}

/// The client has proved its password.
struct Association<'a> {
    version: Version,
    opaque: String,
    keys: ServerKeys,
    owner: &'a Resident,
    /// The highest `cnum` of the client.
    received: u32,
    /// The last `snum`.
    sent: u32,
}

/// An answer, and the field for its signature if it is to be signed.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) signed: Option<&'static str>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, signed: None }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(desk: &'a Desk) -> Result<Self, RandomError> {
        let nonce = Nonce::new()?;
        let (handshake, association, stale, bound) = (None, None, false, false);
        Ok(Self { desk, handshake, association, nonce, stale, bound })
    }

    /// The values of the header fields that ask for a proof.
    pub(super) fn challenges(&mut self) -> Result<Vec<String>, RandomError> {
        let stale = std::mem::take(&mut self.stale);
        let host = &self.desk.host;
        let line = |offer: &Offer| match *offer {
            Offer::Ntlm(version) => {
                Ok(format!("NTLM realm=\"{REALM}\", targetname=\"{host}\"{}", parameter(version)))
            }
            Offer::Kerberos(version) => Ok(format!(
                "Kerberos realm=\"{REALM}\", targetname=\"sip/{host}\"{}",
                parameter(version)
            )),
            Offer::Digest(algorithm) => self.nonce.challenge(algorithm, REALM, stale),
        };
        self.desk.offers.iter().map(line).collect()
    }

    /// What to answer to `message` at the time `now`.
    pub(super) fn answer(
        &mut self,
        message: &Message,
        now: SystemTime,
    ) -> Result<Reply, RandomError> {
        let Message::Request(request) = message else {
            return Ok(Answer::status(400, "Bad Request").into());
        };
        for (name, info) in INFO {
            let said = Challenge::of(request.headers(), name).into_iter().flatten();
            for said in said.filter(|said| said.realm() == Some(REALM)) {
                match said.scheme() {
                    Scheme::Ntlm if said.target_name() == Some(&self.desk.host) => {
                        return self.ntlm(&said, message, request, info, now);
                    }
                    Scheme::Digest => return Ok(self.digest(&said, request, info)),
                    _ => {}
                }
            }
        }
        if request.method() != "REGISTER" {
            return Ok(not_allowed().into());
        }
        // Who comes without credentials begins anew.
        (self.handshake, self.association) = (None, None);
        Ok(Answer::challenge().into())
    }

    fn ntlm(
        &mut self,
        said: &Challenge,
        message: &Message,
        request: &Request,
        info: &'static str,
        now: SystemTime,
    ) -> Result<Reply, RandomError> {
        let taken = match said.gssapi_data() {
            Some("") => return self.challenge(said, now),
            Some(token) => self.finish(said, token, message),
            None => self.signed(said, message),
        };
        Ok(match taken {
            Ok(owner) => Reply { answer: self.decide(owner, request), signed: Some(info) },
            Err(why) => self.denied(why).into(),
        })
    }

    /// An empty token asks for a challenge. [MS-SIPAE section 3.3.5.1]
    fn challenge(&mut self, said: &Challenge, now: SystemTime) -> Result<Reply, RandomError> {
        let version = Version::read(said.version());
        let offered = |version: &Version| self.desk.offers.contains(&Offer::Ntlm(*version));
        let Some(version) = version.filter(offered) else {
            return Ok(self.denied("the version was not offered").into());
        };
        let opaque = random::hex::<4>(&SystemRandom)?.to_ascii_uppercase();
        let ntlm = Acceptor::new(&self.desk.host, now, &SystemRandom)?;
        let line = format!(
            "WWW-Authenticate: NTLM opaque=\"{opaque}\", gssapi-data=\"{}\", realm=\"{REALM}\", \
             targetname=\"{}\"{}",
            BASE64.encode(ntlm.challenge()),
            self.desk.host,
            parameter(version)
        );
        self.handshake = Some(Handshake { version, opaque, ntlm });
        Ok(Answer::status(401, "Unauthorized").header(line).into())
    }

    /// The last token, which from version 4 on comes with a signature.
    fn finish(
        &mut self,
        said: &Challenge,
        token: &str,
        message: &Message,
    ) -> Result<&'a Resident, String> {
        // A challenge is for one answer.
        let handshake = self.handshake.take().ok_or("no challenge was asked for")?;
        let Handshake { version, opaque, ntlm } = handshake;
        if said.opaque() != Some(&opaque) {
            return Err("the opaque is not the challenge's".into());
        }
        let token = BASE64.decode(token.as_bytes()).map_err(|_| "gssapi-data is no base64")?;
        let accounts = &self.desk.accounts;
        let find = |account: &_| {
            let found = accounts.iter().find(|resident| resident.is(account))?;
            Some((found, found.credentials.password.clone()))
        };
        let (owner, keys) = ntlm.accept(&token, find).map_err(|denied| denied.to_string())?;
        let mut association = Association { version, opaque, keys, owner, received: 0, sent: 0 };
        if version.signs_last_token() || said.parameter("response").is_some() {
            association.check(&self.desk.host, said, message)?;
        }
        self.association = Some(association);
        Ok(owner)
    }

    /// A request after the handshake. One that is not signed rightly changes nothing.
    fn signed(&mut self, said: &Challenge, message: &Message) -> Result<&'a Resident, String> {
        let association = self.association.as_mut().ok_or("there is no association")?;
        if said.opaque() != Some(&association.opaque) {
            return Err("the opaque is not the association's".into());
        }
        association.check(&self.desk.host, said, message)?;
        Ok(association.owner)
    }

    fn digest(&mut self, said: &Challenge, request: &Request, info: &str) -> Reply {
        let Desk { offers, accounts, .. } = self.desk;
        match self.nonce.check(said, request, offers, accounts) {
            Ok((owner, proof)) => {
                let answer = self.decide(owner, request);
                let proof = match self.desk.fault {
                    Some(SipFault::NoSignature) => return answer.into(),
                    Some(SipFault::WrongSignature) => {
                        proof.replacen("rspauth=\"", "rspauth=\"0", 1)
                    }
                    _ => proof,
                };
                answer.header(format!("{info}: {proof}")).into()
            }
            Err(Denied::Wrong(why)) => self.denied(why).into(),
            Err(Denied::Stale) => {
                self.stale = true;
                Answer::challenge().into()
            }
        }
    }

    /// The proof is right; is it also the right person's, and does this server serve them?
    fn decide(&mut self, owner: &Resident, request: &Request) -> Answer {
        if request.method() != "REGISTER" {
            return not_allowed();
        }
        for name in ["From", "To"] {
            let value = request.headers().get(name).unwrap_or_default();
            let uri = enclosed(&value).map_or(&*value, |(uri, _)| uri);
            let known = uri.parse().ok().and_then(|address| {
                self.desk.accounts.iter().find(|resident| resident.has(&address))
            });
            match known {
                Some(known) if known.address == owner.address => {}
                Some(_) => {
                    return self.diagnosed(
                        Answer::status(403, "Forbidden"),
                        4004,
                        "Credentials provided are not authorized to act as specified From URI",
                    );
                }
                None => {
                    return self.diagnosed(
                        Answer::status(404, "Not Found"),
                        4005,
                        "Destination URI either not enabled for SIP or does not exist",
                    );
                }
            }
        }
        if request.headers().get("Event").as_deref() != Some("registration") {
            return self.diagnosed(Answer::status(489, "Bad Event"), 4055, "Bad event");
        }
        let Some(binding) = Binding::of(request) else {
            let answer = Answer::status(400, "Bad Request");
            return self.diagnosed(answer, 4010, "Neither epid nor sip.instance");
        };
        if !self.desk.home.is_empty() {
            return self.redirect();
        }
        let known = std::mem::replace(&mut self.bound, !binding.ends());
        binding.granted(&owner.address, known)
    }

    fn redirect(&self) -> Answer {
        let transport = match self.desk.protocol {
            Protocol::Tls => "TLS",
            Protocol::Tcp => "TCP",
        };
        let qualities = ["0.7", "0.3"].into_iter().chain(std::iter::repeat("0.1"));
        let homes = self.desk.home.iter().zip(qualities);
        Answer::redirect(homes.map(|(home, q)| format!("<sip:{home};transport={transport}>;q={q}")))
    }

    /// 401 with the schemes again. What a real server keeps to itself comes as `detail`.
    fn denied(&self, why: impl Display) -> Answer {
        let source = &self.desk.host;
        Answer::challenge().header(format!(
            "ms-diagnostics: 1000;reason=\"Final handshake failed\";source=\"{source}\";\
             detail=\"{why}\""
        ))
    }

    fn diagnosed(&self, answer: Answer, number: u32, reason: &str) -> Answer {
        let source = &self.desk.host;
        answer.header(format!("ms-diagnostics: {number};reason=\"{reason}\";source=\"{source}\""))
    }

    /// `text`, a whole answer, with its signature in the field `info`.
    pub(super) fn sign(&mut self, text: String, info: &str) -> Result<String, RandomError> {
        let Some(association) = self.association.as_mut() else { return Ok(text) };
        let wrong = match self.desk.fault {
            Some(SipFault::NoSignature) => return Ok(text),
            fault => fault == Some(SipFault::WrongSignature),
        };
        let Ok(message) = Message::parse(text.clone().into()) else { return Ok(text) };
        association.sent = association.sent.saturating_add(1);
        let (srand, snum) = (random::hex::<4>(&SystemRandom)?, association.sent.to_string());
        let srand = srand.to_ascii_uppercase();
        let host = &self.desk.host;
        let salt = salt(host, &srand, &snum);
        let Ok(buffer) = signature_buffer(association.version, salt, &message) else {
            return Ok(text);
        };
        let signed = if wrong { format!("{buffer}<>") } else { buffer };
        let rspauth = HEXLOWER.encode(&association.keys.sign(signed.as_bytes()));
        let opaque = &association.opaque;
        let head = text.strip_suffix("\r\n").unwrap_or(&text);
        Ok(format!(
            "{head}{info}: NTLM rspauth=\"{rspauth}\", srand=\"{srand}\", snum=\"{snum}\", \
             opaque=\"{opaque}\", qop=\"auth\", targetname=\"{host}\", realm=\"{REALM}\"\r\n\r\n"
        ))
    }
}

impl Association<'_> {
    /// Takes the signature of `message`, if it is right and its number higher than those before.
    fn check(&mut self, host: &str, said: &Challenge, message: &Message) -> Result<(), String> {
        let get = |name| said.parameter(name).ok_or_else(|| format!("there is no {name}"));
        let (crand, cnum, response) = (get("crand")?, get("cnum")?, get("response")?);
        let signature = HEXLOWER_PERMISSIVE.decode(response.as_bytes());
        let signature = signature.map_err(|_| "the response is not hexadecimal")?;
        let number: u32 = cnum.parse().map_err(|_| "cnum is no number")?;
        let buffer = signature_buffer(self.version, salt(host, crand, cnum), message)
            .map_err(|ambiguous| ambiguous.to_string())?;
        if !self.keys.verifies(buffer.as_bytes(), &signature) {
            return Err("the signature is wrong".into());
        }
        if number <= self.received {
            return Err("cnum was used before".into());
        }
        self.received = number;
        Ok(())
    }
}

fn salt<'a>(target: &'a str, rand: &'a str, num: &'a str) -> Salt<'a> {
    Salt { scheme: "NTLM", rand, num, realm: REALM, target }
}

/// How a header field names the version. A server of version 2 knows no other.
fn parameter(version: Version) -> String {
    match version {
        Version::V2 => String::new(),
        version => format!(", version={}", version.number()),
    }
}

/// Each field that a proof may come in, and the one for the signature of the answer. [MS-SIP, the
/// header fields of its authentication scheme]
const INFO: [(&str, &str); 2] = [
    ("Authorization", "Authentication-Info"),
    ("Proxy-Authorization", "Proxy-Authentication-Info"),
];

/// What is no REGISTER asks for compression [MS-SIPCOMP], and this server has none.
pub(super) fn not_allowed() -> Answer {
    Answer::status(405, "Method Not Allowed").header("Allow: REGISTER")
}
