//! What a registrar knows of one connection: how far the proof is, and with what it is signed.
//! [MS-SIPAE section 3.3]

use std::fmt::Display;
use std::time::SystemTime;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::accounts::{Offer, Resident};
use super::binding::{Binding, enclosed, handed_on};
use super::control::Control;
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
    /// The longest time that is granted, in seconds.
    pub(super) longest: u64,
    pub(super) control: Control,
}

const REALM: &str = "SIP Communications Service";

/// One connection.
pub(super) struct Session<'a> {
    desk: &'a Desk,
    handshake: Option<Handshake>,
    association: Option<Association<'a>>,
    /// The association before, whose messages may still be under way.
    former: Option<Association<'a>>,
    nonce: Nonce,
    stale: bool,
    /// The Contact of its endpoint, while it is registered, and when bindings were last forgotten.
    bound: Option<(String, usize)>,
    /// How many requests were sent.
    asked: u32,
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
    /// When associations were last forgotten.
    epoch: usize,
    /// The highest `cnum` of the client.
    received: u32,
    /// The last `snum`.
    sent: u32,
}

/// An answer, and whether it is to be signed.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) signed: bool,
    /// Whether who asks has proved who they are.
    pub(super) proved: bool,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, signed: false, proved: false }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(desk: &'a Desk) -> Result<Self, RandomError> {
        let nonce = Nonce::new()?;
        let (handshake, association, former) = (None, None, None);
        let (stale, bound, asked) = (false, None, 0);
        Ok(Self { desk, handshake, association, former, nonce, stale, bound, asked })
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
        let fields = ["Authorization", "Proxy-Authorization"];
        let said = fields.into_iter().flat_map(|name| Challenge::of(request.headers(), name));
        for said in said.flatten().filter(|said| said.realm() == Some(REALM)) {
            match said.scheme() {
                Scheme::Ntlm if said.target_name() == Some(&self.desk.host) => {
                    return self.ntlm(&said, message, request, now);
                }
                Scheme::Digest => return Ok(self.digest(&said, request)),
                _ => {}
            }
        }
        match request.method() {
            // Who comes without credentials begins anew. The old association stays until there is a
            // new one.
            "REGISTER" => self.handshake = None,
            "MESSAGE" | "OPTIONS" => {}
            _ => return Ok(not_allowed().into()),
        }
        Ok(Answer::challenge().into())
    }

    fn ntlm(
        &mut self,
        said: &Challenge,
        message: &Message,
        request: &Request,
        now: SystemTime,
    ) -> Result<Reply, RandomError> {
        let taken = match said.gssapi_data() {
            Some("") => return self.challenge(said, now),
            Some(token) => self.finish(said, token, message),
            None => self.signed(said, message),
        };
        Ok(match taken {
            Ok(owner) => Reply { answer: self.decide(owner, request), signed: true, proved: true },
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
        let epoch = self.desk.control.associations();
        let mut association =
            Association { version, opaque, keys, owner, epoch, received: 0, sent: 0 };
        if version.signs_last_token() || said.parameter("response").is_some() {
            association.check(&self.desk.host, said, message)?;
        }
        self.former = self.association.replace(association);
        Ok(owner)
    }

    /// A message after the handshake. One that is not signed rightly changes nothing.
    fn signed(&mut self, said: &Challenge, message: &Message) -> Result<&'a Resident, String> {
        let epoch = self.desk.control.associations();
        let known = [&mut self.association, &mut self.former].into_iter().flatten();
        let mut known = known.filter(|association| association.epoch == epoch).peekable();
        known.peek().ok_or("there is no association")?;
        let association = known.find(|association| said.opaque() == Some(&association.opaque));
        let association = association.ok_or("the opaque is not the association's")?;
        association.check(&self.desk.host, said, message)?;
        Ok(association.owner)
    }

    fn digest(&mut self, said: &Challenge, request: &Request) -> Reply {
        let Desk { offers, accounts, .. } = self.desk;
        match self.nonce.check(said, request, offers, accounts) {
            Ok((owner, proof)) => {
                let answer = self.decide(owner, request);
                let proof = match self.desk.control.fault() {
                    Some(SipFault::NoSignature) => return answer.into(),
                    Some(SipFault::WrongSignature) => {
                        proof.replacen("rspauth=\"", "rspauth=\"0", 1)
                    }
                    _ => proof,
                };
                let answer = answer.header(format!("{}: {proof}", info(request.method())));
                Reply { answer, signed: false, proved: true }
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
        match request.method() {
            "REGISTER" => {}
            "MESSAGE" | "OPTIONS" => return Answer::status(200, "OK"),
            _ => return not_allowed(),
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
        let Some(binding) = Binding::of(request, self.desk.longest) else {
            let answer = Answer::status(400, "Bad Request");
            return self.diagnosed(answer, 4010, "Neither epid nor sip.instance");
        };
        if !self.desk.home.is_empty() {
            return self.redirect();
        }
        let epoch = self.desk.control.bindings();
        let bound = (!binding.ends()).then(|| (binding.contact().to_owned(), epoch));
        let before = std::mem::replace(&mut self.bound, bound);
        binding.granted(&owner.address, before.is_some_and(|(_, known)| known == epoch))
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

    /// `text`, a whole answer to a request of this method, with its signature.
    pub(super) fn sign(&mut self, text: String, method: &str) -> Result<String, RandomError> {
        let Some(association) = self.association.as_mut() else { return Ok(text) };
        let wrong = match self.desk.control.fault() {
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
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Ok(format!(
            "{head}\r\n{}: NTLM rspauth=\"{rspauth}\", srand=\"{srand}\", snum=\"{snum}\", \
             opaque=\"{opaque}\", qop=\"auth\", targetname=\"{host}\", realm=\"{REALM}\"\r\n\r\n{body}",
            info(method)
        ))
    }

    /// Whether an answer of the client's is signed rightly.
    pub(super) fn trusts(&mut self, answer: &Message) -> bool {
        let said = Challenge::of(answer.headers(), "Proxy-Authorization");
        said.into_iter().flatten().any(|said| self.signed(&said, answer).is_ok())
    }

    /// Hands a MESSAGE on to the endpoint that sent it, as a user hears what they say to themselves.
    pub(super) fn hand_on(&mut self, message: &Message) -> Result<Option<String>, RandomError> {
        let Some((contact, _)) = &self.bound else { return Ok(None) };
        self.asked = self.asked.saturating_add(1);
        let via = self.desk.protocol.to_string().to_ascii_uppercase();
        let text = handed_on(message, contact, &format!("{via} {}", self.desk.host), self.asked);
        self.sign(text, "MESSAGE").map(Some)
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

/// The field that answers the proof in a request of this method.
fn info(method: &str) -> &'static str {
    if method == "REGISTER" { "Authentication-Info" } else { "Proxy-Authentication-Info" }
}

/// What is no REGISTER asks for compression [MS-SIPCOMP], and this server has none.
pub(super) fn not_allowed() -> Answer {
    Answer::status(405, "Method Not Allowed").header("Allow: REGISTER")
}
