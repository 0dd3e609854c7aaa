//! What a registrar knows of one connection: how far the proof is, and with what it is signed.
//! [MS-SIPAE section 3.3]

use std::fmt::Display;
use std::time::SystemTime;

use data_encoding::BASE64;

use super::accounts::{Offer, Resident};
use super::association::{Association, REALM, challenge, opaque, parameter};
use super::binding::{Binding, enclosed, handed_on};
use super::control::Control;
use super::digest::{Denied, Nonce};
use super::fault::SipFault;
use super::keys::{Keys, Ticket, target};
use super::registrar::Answer;
use crate::auth::{Acceptor, Version};
use crate::discovery::Protocol;
use crate::random::RandomError;
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

/// An answer.
pub(super) struct Reply {
    pub(super) answer: Answer,
    /// The field for its signature, if it is to be signed.
    pub(super) signed: Option<&'static str>,
    /// Whether who asks has proved who they are.
    pub(super) proved: bool,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, signed: None, proved: false }
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
            Offer::Ntlm(version) => Ok(challenge(&Scheme::Ntlm, host, version)),
            Offer::Kerberos(version) => Ok(challenge(&Scheme::Kerberos, host, version)),
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
            let said = Challenge::of(request.headers(), name).flatten();
            for said in said.filter(|said| said.realm() == Some(REALM)) {
                match said.scheme() {
                    scheme @ (Scheme::Kerberos | Scheme::Ntlm)
                        if said.target_name() == Some(&target(scheme, &self.desk.host)) =>
                    {
                        return self.associate(&said, message, request, info, now);
                    }
                    Scheme::Digest => return Ok(self.digest(&said, request, info)),
                    _ => {}
                }
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

    fn associate(
        &mut self,
        said: &Challenge,
        message: &Message,
        request: &Request,
        info: &'static str,
        now: SystemTime,
    ) -> Result<Reply, RandomError> {
        let taken = match (said.gssapi_data(), said.scheme()) {
            (None, _) => self.signed(said, message),
            (Some(token), Scheme::Kerberos) => self.ticket(said, token, message),
            (Some(""), _) => return self.challenge(said, now),
            (Some(token), _) => self.finish(said, token, message),
        };
        Ok(match taken {
            Ok(owner) => {
                let answer = self.decide(owner, request);
                Reply { answer, signed: Some(info), proved: true }
            }
            Err(why) => self.denied(why).into(),
        })
    }

    /// An empty token asks for a challenge. [MS-SIPAE section 3.3.5.1]
    fn challenge(&mut self, said: &Challenge, now: SystemTime) -> Result<Reply, RandomError> {
        let version = match self.version(said, Offer::Ntlm) {
            Ok(version) => version,
            Err(why) => return Ok(self.denied(why).into()),
        };
        let opaque = opaque()?;
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

    /// The version that the client speaks, if it was offered.
    fn version(
        &self,
        said: &Challenge,
        offer: fn(Version) -> Offer,
    ) -> Result<Version, &'static str> {
        let version = Version::read(said.version());
        let offered = |version: &Version| self.desk.offers.contains(&offer(*version));
        version.filter(offered).ok_or("the version was not offered")
    }

    /// A ticket, which is the first token and the last one. From version 4 on it comes with a
    /// signature, unless the client cannot sign before it has a reply.
    fn ticket(
        &mut self,
        said: &Challenge,
        token: &str,
        message: &Message,
    ) -> Result<&'a Resident, String> {
        let version = self.version(said, Offer::Kerberos)?;
        let token = BASE64.decode(token.as_bytes()).map_err(|_| "gssapi-data is no base64")?;
        // What the library says goes between quotation marks.
        let ticket = Ticket::take(&self.desk.host, &token)
            .map_err(|error| error.to_string().replace(['"', '\\', '\r', '\n'], " "))?;
        let Ticket { owner, reply, keys } = ticket;
        let account = owner.parse().map_err(|_| "the ticket is of no account")?;
        let owner = self.desk.accounts.iter().find(|resident| resident.is(&account));
        let owner = owner.ok_or("the ticket is of nobody here")?;
        let opaque = opaque().map_err(|error| error.to_string())?;
        let signs = version.signs_last_token() && reply.is_none();
        let (epoch, received, sent) = (self.desk.control.associations(), 0, 0);
        let mut association =
            Association { version, opaque, keys, reply, owner, epoch, received, sent };
        if signs || said.parameter("response").is_some() {
            association.check(&self.desk.host, said, message)?;
        }
        self.former = self.association.replace(association);
        Ok(owner)
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
        let (keys, reply, received, sent) = (Keys::Ntlm(keys), None, 0, 0);
        let mut association =
            Association { version, opaque, keys, reply, owner, epoch, received, sent };
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
        if *said.scheme() != association.keys.scheme() {
            return Err("the scheme is not the association's".into());
        }
        association.check(&self.desk.host, said, message)?;
        Ok(association.owner)
    }

    fn digest(&mut self, said: &Challenge, request: &Request, info: &str) -> Reply {
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
                let answer = answer.header(format!("{info}: {proof}"));
                Reply { answer, signed: None, proved: true }
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

    /// `text`, a whole answer, with its signature in the field `info`.
    pub(super) fn sign(&mut self, text: String, info: &str) -> Result<String, RandomError> {
        let Some(association) = self.association.as_mut() else { return Ok(text) };
        let wrong = match self.desk.control.fault() {
            Some(SipFault::NoSignature) => return Ok(text),
            fault => fault == Some(SipFault::WrongSignature),
        };
        let Ok(message) = Message::parse(text.clone().into()) else { return Ok(text) };
        let Some(proof) = association.sign(&self.desk.host, &message, wrong)? else {
            return Ok(text);
        };
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Ok(format!("{head}\r\n{info}: {proof}\r\n\r\n{body}"))
    }

    /// Whether an answer of the client's is signed rightly.
    pub(super) fn trusts(&mut self, answer: &Message) -> bool {
        let said = INFO.into_iter().flat_map(|(name, _)| Challenge::of(answer.headers(), name));
        said.flatten().any(|said| self.signed(&said, answer).is_ok())
    }

    /// Hands a MESSAGE on to the endpoint that sent it, as a user hears what they say to themselves.
    pub(super) fn hand_on(&mut self, message: &Message) -> Result<Option<String>, RandomError> {
        let Some((contact, _)) = &self.bound else { return Ok(None) };
        self.asked = self.asked.saturating_add(1);
        let via = self.desk.protocol.to_string().to_ascii_uppercase();
        let text = handed_on(message, contact, &format!("{via} {}", self.desk.host), self.asked);
        self.sign(text, "Authentication-Info").map(Some)
    }
}

/// Each field that a proof may come in, and the one for the signature of the answer. [MS-SIP, the
/// header fields of its authentication scheme]
const INFO: [(&str, &str); 2] = [
    ("Authorization", "Authentication-Info"),
    ("Proxy-Authorization", "Proxy-Authentication-Info"),
];

/// To a method that this server does not serve: NEGOTIATE [MS-SIPCOMP], say, if it does not compress.
pub(super) fn not_allowed() -> Answer {
    Answer::status(405, "Method Not Allowed").header("Allow: REGISTER")
}
