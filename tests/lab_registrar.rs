//! The lab's registrar lets in who proves who they are, and nobody else. The client is made of the
//! public parts of `sip_signin::auth`, over plain tokio sockets.
#![expect(clippy::disallowed_methods, reason = "a judge from outside connects and reads the clock")]

#[path = "common/tls.rs"]
mod tls;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use sip_signin::auth::{
    Association, AssociationError, Credentials, Digest, DigestAlgorithm, DigestError, Identity,
    Ntlm, Protection, Version,
};
use sip_signin::lab::{Lab, LabBuilder, LabError, Offer, Server, SipFault};
use sip_signin::sip::{
    Challenge, Challenger, Contact, Diagnostics, Message, MessageReader, Register, Scheme, Tokens,
    UriTransport,
};
use sip_signin::{Now, SystemRandom};
use tls::handshake;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const ACCOUNT: &str = r"CONTOSO\jeremy";
const PASSWORD: &str = "Passw0rd!";
const ADDRESS: &str = "sip:jeremy@contoso.com";
const HOST: &str = "pool01.contoso.com";
const VERSIONS: [Version; 3] = [Version::V2, Version::V3, Version::V4];
const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Md5, DigestAlgorithm::Sha256];

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// One endpoint on one connection.
struct Caller {
    stream: Box<dyn Stream>,
    reader: MessageReader,
    register: Register,
}

impl Caller {
    async fn dial(lab: &Lab, published: &str, transport: UriTransport, address: &str) -> Self {
        let real = lab.dial(published.parse().unwrap()).unwrap();
        let stream = TcpStream::connect(real).await.unwrap();
        let local = stream.local_addr().unwrap();
        let stream: Box<dyn Stream> = match transport {
            UriTransport::Tcp => Box::new(stream),
            UriTransport::Tls => Box::new(handshake(lab, stream, HOST).await.unwrap()),
        };
        let tokens = Tokens {
            call_id: "4037df9284354df39065195bd57a4b14".into(),
            from_tag: "3e49177a52".into(),
            branch: "b1".into(),
            contact: "c1".into(),
        };
        let (address, epid) = (address.parse().unwrap(), "c8ca638a15".parse().unwrap());
        let register = Register::new(&address, local, transport, tokens, epid, "judge").unwrap();
        Self { stream, reader: MessageReader::default(), register }
    }

    /// To the pool of a lab with these offers.
    async fn of(lab: &Lab, address: &str) -> Self {
        Self::dial(lab, "192.0.2.10:5061", UriTransport::Tls, address).await
    }

    /// The next REGISTER, changed.
    fn changed(&mut self, change: impl FnOnce(String) -> String) -> Message {
        let text = String::from_utf8(self.register.write().to_vec()).unwrap();
        self.register = self.register.clone().next();
        parse(change(text))
    }

    fn next(&mut self) -> Message {
        self.changed(|text| text)
    }

    async fn send(&mut self, bytes: impl Into<Bytes>) -> Message {
        let bytes = bytes.into();
        let asked = Message::parse(bytes.clone()).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
        let exchange = async {
            loop {
                let mut buffer = [0; 4096];
                let count = self.stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the server closed");
                if let Some(message) = self.reader.read(&mut &buffer[..count]).unwrap() {
                    return message;
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await.unwrap();
        assert_eq!(answer.headers().cseq(), asked.headers().cseq());
        answer
    }

    /// Sends the next REGISTER without credentials; the challenge of `scheme`.
    async fn challenge(&mut self, scheme: Scheme) -> Challenge<'static> {
        let bare = self.next();
        let answer = self.send(bare.as_bytes().clone()).await;
        assert_eq!(status(&answer), 401);
        challenge(&answer, &scheme).apart()
    }

    /// An NTLM exchange up to the server's challenge.
    async fn ntlm(&mut self, account: &str, password: &str) -> Association {
        let offered = self.challenge(Scheme::Ntlm).await;
        let credentials = Credentials::new(account.parse().unwrap(), password);
        let identity = Identity::Supplied(&credentials);
        let by = Challenger::Registrar;
        let mut association =
            Association::start(&offered, by, &Ntlm::new(), identity, now(), &SystemRandom).unwrap();
        let answer = self.signed(&mut association).await;
        assert_eq!(status(&answer), 401);
        let token = challenge(&answer, &Scheme::Ntlm);
        assert!(token.opaque().is_some() && token.gssapi_data().is_some());
        association.challenged(&token, now(), &SystemRandom).unwrap();
        association
    }

    /// Sends the next REGISTER with what the association has to say.
    async fn signed(&mut self, association: &mut Association) -> Message {
        let request = self.next();
        self.send(authorized(association, &request)).await
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

fn parse(text: impl Into<Bytes>) -> Message {
    Message::parse(text.into()).unwrap()
}

fn authorized(association: &mut Association, request: &Message) -> String {
    let authorization = association.authorize(request, &SystemRandom).unwrap();
    String::from_utf8(authorization.add_to(request).to_vec()).unwrap()
}

fn status(message: &Message) -> u16 {
    match message {
        Message::Response(response) => response.status(),
        Message::Request(_) => panic!("it is a request"),
    }
}

fn header(message: &Message, name: &str) -> String {
    message.headers().get(name).unwrap_or_default().into_owned()
}

fn challenge<'a>(message: &'a Message, scheme: &Scheme) -> Challenge<'a> {
    let mut challenges = Challenge::of(message.headers(), "WWW-Authenticate").map(Result::unwrap);
    challenges.find(|it| it.scheme() == scheme).unwrap()
}

/// Status, number and what the lab says it found.
fn refusal(message: &Message) -> (u16, u32, String) {
    let diagnostics = Diagnostics::of(message.headers()).expect("ms-diagnostics");
    assert_eq!(diagnostics.source, Some(HOST.into()));
    let detail = diagnostics.others.iter().find(|(name, _)| name.raw() == "detail");
    let detail = detail.map(|(_, value)| value.raw().to_owned()).unwrap_or_default();
    (status(message), diagnostics.error_id, detail)
}

fn denied(detail: &str) -> (u16, u32, String) {
    (401, 1000, detail.into())
}

fn lab(server: Server) -> LabBuilder {
    let lab = Lab::builder().domain("contoso.com").internal(server);
    lab.account(ACCOUNT, PASSWORD, ADDRESS).account(
        "CONTOSO\\vadim",
        "Tr0ub4dor",
        "vadim@contoso.com",
    )
}

fn pool() -> Server {
    Server::tls(HOST)
}

async fn start(offers: impl IntoIterator<Item = Offer>) -> Lab {
    lab(pool().offers(offers)).start().await.unwrap()
}

fn verify(association: &mut Association, answer: &Message) -> Protection {
    association.verify(answer, now(), &SystemRandom).unwrap()
}

#[tokio::test]
async fn each_version_of_ntlm_signs_in_refreshes_and_signs_out() {
    for version in VERSIONS {
        let lab = start([Offer::Ntlm(version)]).await;
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        assert_eq!(association.version(), version);

        let last = caller.next();
        let last = authorized(&mut association, &last);
        assert_eq!(last.contains("response=\""), version == Version::V4);
        let answer = caller.send(last).await;
        assert_eq!(status(&answer), 200, "{answer:?}");
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
        assert_eq!(header(&answer, "Expires"), "7200");
        assert_eq!(header(&answer, "Server"), "RTC/3.5");
        assert!(header(&answer, "ms-keep-alive").ends_with("timeout=300"));
        assert!(header(&answer, "presence-state").starts_with("register-action=\"added\";"));
        let contact = header(&answer, "Contact");
        let gruu = "gruu=\"sip:jeremy@contoso.com;opaque=user:epid:21nYNIVlkV-jtN6FPBU0fQAA;gruu\"";
        assert!(contact.contains(gruu) && contact.contains(";expires=7200;"), "{contact}");

        // From here on every message is signed, and what is no REGISTER too.
        let answer = caller.signed(&mut association).await;
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
        assert!(header(&answer, "presence-state").starts_with("register-action=\"refreshed\";"));
        // The signature comes in the field that answers the one of the request.
        for (field, info) in [
            ("Proxy-Authorization", "Proxy-Authentication-Info"),
            ("Authorization", "Authentication-Info"),
        ] {
            let options = caller.changed(|text| text.replace("REGISTER", "OPTIONS"));
            let text = authorized(&mut association, &options);
            let answer = caller.send(text.replace("Proxy-Authorization", field)).await;
            assert_eq!(status(&answer), 200);
            assert!(header(&answer, info).contains("rspauth="), "{answer:?}");
            assert_eq!(verify(&mut association, &answer), Protection::Verified);
        }

        let end = caller.changed(|text| text.replace("Event:", "Expires: 0\r\nEvent:"));
        let answer = caller.send(authorized(&mut association, &end)).await;
        assert_eq!(status(&answer), 200);
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
        assert_eq!(header(&answer, "Expires"), "0");
        assert!(answer.headers().get("Contact").is_none());
        let answer = caller.signed(&mut association).await;
        assert!(header(&answer, "presence-state").starts_with("register-action=\"added\";"));
    }
}

#[tokio::test]
async fn an_account_signs_in_by_each_of_its_names_and_in_clear_text() {
    let lab = lab(Server::tcp(HOST)).start().await.unwrap();
    for account in [ACCOUNT, r"contoso\JEREMY", "jeremy", "jeremy@contoso.com"] {
        let tcp = UriTransport::Tcp;
        let mut caller = Caller::dial(&lab, "192.0.2.10:5060", tcp, ADDRESS).await;
        let mut association = caller.ntlm(account, PASSWORD).await;
        let answer = caller.signed(&mut association).await;
        assert_eq!(status(&answer), 200, "{account}");
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
    }
    let wire: Vec<u8> = lab.seen().into_iter().flat_map(|seen| seen.wire).collect();
    assert!(wire.starts_with(b"REGISTER ") && !contains(&wire, PASSWORD));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_are_asked_again() {
    for version in VERSIONS {
        let lab = start([Offer::Ntlm(version), Offer::Kerberos(version)]).await;
        for (account, password, detail) in [
            (ACCOUNT, "passw0rd!", "the ntlm proof is wrong"),
            (r"FABRIKAM\jeremy", PASSWORD, "there is no such account"),
            ("nobody", PASSWORD, "there is no such account"),
        ] {
            let mut caller = Caller::of(&lab, ADDRESS).await;
            let mut association = caller.ntlm(account, password).await;
            let answer = caller.signed(&mut association).await;
            assert_eq!(refusal(&answer), denied(detail));
            assert_eq!(verify(&mut association, &answer), Protection::Absent);
            challenge(&answer, &Scheme::Kerberos);
            let again = challenge(&answer, &Scheme::Ntlm);
            let rejected = association.challenged(&again, now(), &SystemRandom);
            assert!(matches!(rejected, Err(AssociationError::Rejected)), "{rejected:?}");
            // The same connection is good for another try.
            let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
            assert_eq!(status(&caller.signed(&mut association).await), 200);
        }
    }
}

/// Good tickets are for `tests/judges/kerberos.sh`, which has a KDC.
#[tokio::test]
async fn what_is_no_ticket_is_asked_again() {
    let lab = start([Offer::Kerberos(Version::V4)]).await;
    for (target, token, version, detail) in [
        ("sip/pool01.contoso.com", "AAAA", 4, None),
        ("sip/pool01.contoso.com", "", 4, None),
        ("sip/pool01.contoso.com", "!", 4, Some("gssapi-data is no base64")),
        ("sip/pool01.contoso.com", "AAAA", 3, Some("the version was not offered")),
    ] {
        let mut caller = Caller::of(&lab, ADDRESS).await;
        caller.challenge(Scheme::Kerberos).await;
        let line = format!(
            "Authorization: Kerberos realm=\"SIP Communications Service\", \
             targetname=\"{target}\", version={version}, gssapi-data=\"{token}\"\r\nVia:"
        );
        let request = caller.changed(|text| text.replacen("Via:", &line, 1));
        let answer = caller.send(request.as_bytes().clone()).await;
        let (status, number, said) = refusal(&answer);
        assert_eq!((status, number), (401, 1000), "{token} {version}");
        assert!(detail.is_none_or(|detail| said == detail), "{said}");
        challenge(&answer, &Scheme::Kerberos);
    }
}

#[tokio::test]
async fn anothers_address_is_forbidden_and_nobodys_is_not_found() {
    for version in VERSIONS {
        let lab = start([Offer::Ntlm(version)]).await;
        for (address, expected) in [
            ("sip:vadim@contoso.com", (403, 4004, String::new())),
            ("sip:nobody@contoso.com", (404, 4005, String::new())),
        ] {
            let mut caller = Caller::of(&lab, address).await;
            let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
            let answer = caller.signed(&mut association).await;
            assert_eq!(refusal(&answer), expected);
            assert_eq!(verify(&mut association, &answer), Protection::Verified);
        }
    }
    // Whom From names counts as much as whom To names.
    let lab = start([Offer::Ntlm(Version::V4)]).await;
    for field in ["From", "To"] {
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        let own = format!("{field}: <sip:jeremy@");
        let other = format!("{field}: <sip:vadim@");
        let request = caller.changed(|text| text.replace(&own, &other));
        let answer = caller.send(authorized(&mut association, &request)).await;
        assert_eq!(refusal(&answer).1, 4004, "{field}");
    }
}

/// `text` with the value of the parameter `name` changed.
fn edit(text: &str, name: &str, change: impl FnOnce(&str) -> String) -> String {
    let begin = format!("{name}=\"");
    let (head, rest) = text.split_once(&begin).expect(name);
    let (value, tail) = rest.split_once('"').unwrap();
    format!("{head}{begin}{}\"{tail}", change(value))
}

type Tamper = fn(&str) -> String;

fn flip(hex: &str) -> String {
    let last = if hex.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &hex[..hex.len() - 1])
}

#[tokio::test]
async fn a_signature_must_be_there_and_right_in_the_last_round_of_version_4() {
    let lab = start([Offer::Ntlm(Version::V4)]).await;
    let tamper: [(&str, Tamper); 6] = [
        ("the signature is wrong", |text| edit(text, "crand", flip)),
        ("the signature is wrong", |text| edit(text, "cnum", |_| "2".into())),
        ("the signature is wrong", |text| edit(text, "response", |_| "01".repeat(16))),
        ("the signature is wrong", |text| text.replace("CSeq: 3", "CSeq: 4")),
        ("there is no crand", |text| {
            let (head, _) = text.split_once(", crand=").unwrap();
            format!("{head}\r\n\r\n")
        }),
        ("the opaque is not the challenge's", |text| edit(text, "opaque", |_| "0".into())),
    ];
    for (detail, tamper) in tamper {
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        let last = caller.next();
        let tampered = tamper(&authorized(&mut association, &last));
        let answer = caller.send(tampered).await;
        assert_eq!(refusal(&answer), denied(detail));
        // Nothing was agreed on, and the challenge is used up.
        let answer = caller.signed(&mut association).await;
        assert_eq!(refusal(&answer), denied("there is no association"));
    }
}

#[tokio::test]
async fn a_later_request_is_refused_when_it_is_tampered_with_or_replayed() {
    for version in VERSIONS {
        let lab = start([Offer::Ntlm(version)]).await;
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        assert_eq!(status(&caller.signed(&mut association).await), 200);

        let next = caller.next();
        let good = authorized(&mut association, &next);
        let wrong = [
            edit(&good, "response", |_| "01".repeat(16)),
            edit(&good, "cnum", |_| "100".into()),
            good.replace("Event:", "Expires: 0\r\nEvent:"),
        ];
        for wrong in wrong {
            let answer = caller.send(wrong).await;
            assert_eq!(refusal(&answer), denied("the signature is wrong"), "{version:?}");
        }
        let other = edit(&good, "opaque", |_| "0".into());
        let expected = denied("the opaque is not the association's");
        assert_eq!(refusal(&caller.send(other).await), expected);

        let answer = caller.send(good.clone()).await;
        assert_eq!(status(&answer), 200, "what was refused changed nothing");
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
        assert_eq!(refusal(&caller.send(good).await), denied("cnum was used before"));
        let answer = caller.signed(&mut association).await;
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
    }
}

/// The message without its MIC: what stands behind it moves up.
fn without_mic(mut token: Vec<u8>) -> Vec<u8> {
    for at in [12, 20, 28, 36, 44, 52].map(|field| field + 4) {
        let offset = u32::from_le_bytes(token[at..at + 4].try_into().unwrap());
        token[at..at + 4].copy_from_slice(&(offset - 16).to_le_bytes());
    }
    token.drain(72..88);
    token
}

#[tokio::test]
async fn a_mic_that_is_missing_or_wrong_is_noticed() {
    // The signature of the message does not cover the token, so only the MIC can tell.
    let tamper: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        without_mic,
        |mut token| {
            token[72] ^= 1;
            token
        },
        |mut token| {
            token[72..88].fill(0);
            token
        },
        // A flag that nobody asks for.
        |mut token| {
            token[63] ^= 0x80;
            token
        },
    ];
    for version in VERSIONS {
        let lab = start([Offer::Ntlm(version)]).await;
        for tamper in tamper {
            let mut caller = Caller::of(&lab, ADDRESS).await;
            let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
            let last = caller.next();
            let last = authorized(&mut association, &last);
            let last = edit(&last, "gssapi-data", |data| {
                let token = BASE64.decode(data.as_bytes()).unwrap();
                assert_eq!(BASE64.encode(&token), data);
                BASE64.encode(&tamper(token))
            });
            let answer = caller.send(last).await;
            assert_eq!(refusal(&answer), denied("the mic is missing or wrong"));
        }
    }
}

#[tokio::test]
async fn a_proof_is_for_one_challenge() {
    let lab = start([Offer::Ntlm(Version::V3)]).await;
    let mut caller = Caller::of(&lab, ADDRESS).await;
    let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
    let last = caller.next();
    let proof = authorized(&mut association, &last);
    assert_eq!(status(&caller.send(proof.clone()).await), 200);
    assert_eq!(refusal(&caller.send(proof.clone()).await), denied("no challenge was asked for"));
    // Nor does it fit the challenge of another connection.
    let mut other = Caller::of(&lab, ADDRESS).await;
    other.ntlm(ACCOUNT, PASSWORD).await;
    let answer = other.send(proof).await;
    assert_eq!(refusal(&answer), denied("the opaque is not the challenge's"));
    // A version that was not offered is not spoken.
    let line =
        format!("NTLM realm=\"SIP Communications Service\", targetname=\"{HOST}\", version=4");
    let credentials = Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD);
    let forged = Challenge::read_all(&line).remove(0).unwrap();
    let (by, identity) = (Challenger::Registrar, Identity::Supplied(&credentials));
    let mut association =
        Association::start(&forged, by, &Ntlm::new(), identity, now(), &SystemRandom).unwrap();
    let answer = caller.signed(&mut association).await;
    assert_eq!(refusal(&answer), denied("the version was not offered"));
}

#[tokio::test]
async fn a_director_sends_home_whom_it_knows() {
    let homes = ["pool01.contoso.com:5061", "pool02.contoso.com:5061", "pool03.contoso.com"];
    for version in VERSIONS {
        let director = Server::tls("sip.contoso.com").certificate_for([HOST]).home(homes);
        let lab = lab(director.offers([Offer::Ntlm(version)]));
        let lab = lab.server(pool().offers([Offer::Ntlm(version)])).start().await.unwrap();
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        let answer = caller.signed(&mut association).await;
        let Message::Response(moved) = &answer else { panic!("it is an answer") };
        assert_eq!(
            (moved.status(), moved.reason().raw()),
            (301, "Redirect request to Home Server")
        );
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
        let contacts = Contact::of(answer.headers());
        let shown: Vec<_> = contacts.iter().map(|it| (it.uri.raw(), it.quality)).collect();
        let expected = [
            ("sip:pool01.contoso.com:5061;transport=TLS", 700),
            ("sip:pool02.contoso.com:5061;transport=TLS", 300),
            ("sip:pool03.contoso.com;transport=TLS", 100),
        ];
        assert_eq!(shown, expected);
        // Who is wrong there is not told where to go.
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, "x").await;
        assert_eq!(status(&caller.signed(&mut association).await), 401);

        let tls = UriTransport::Tls;
        let mut caller = Caller::dial(&lab, "192.0.2.11:5061", tls, ADDRESS).await;
        let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
        let answer = caller.signed(&mut association).await;
        assert_eq!(status(&answer), 200);
        assert_eq!(verify(&mut association, &answer), Protection::Verified);
    }
}

#[tokio::test]
async fn a_wrong_and_a_missing_signature_of_the_server_are_noticed() {
    for version in VERSIONS {
        for fault in [SipFault::WrongSignature, SipFault::NoSignature] {
            let server = pool().offers([Offer::Ntlm(version)]).fault(fault);
            let lab = lab(server).start().await.unwrap();
            let mut caller = Caller::of(&lab, ADDRESS).await;
            let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
            for _ in 0..2 {
                let answer = caller.signed(&mut association).await;
                assert_eq!(status(&answer), 200);
                let outcome = association.verify(&answer, now(), &SystemRandom);
                if fault == SipFault::WrongSignature {
                    assert!(outcome.unwrap_err().is_wrong_signature());
                } else {
                    assert_eq!(outcome.unwrap(), Protection::Absent);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_names_itself_badly_is_not_bound() {
    let lab = start([Offer::Ntlm(Version::V4)]).await;
    let mut caller = Caller::of(&lab, ADDRESS).await;
    let mut association = caller.ntlm(ACCOUNT, PASSWORD).await;
    let request = caller.changed(|text| text.replace("Event: registration", "Event: presence"));
    let answer = caller.send(authorized(&mut association, &request)).await;
    assert_eq!((refusal(&answer).0, refusal(&answer).1), (489, 4055));
    let request =
        caller.changed(|text| text.replace(";epid=", ";was=").replace(";+sip.instance=", ";was="));
    let answer = caller.send(authorized(&mut association, &request)).await;
    assert_eq!((refusal(&answer).0, refusal(&answer).1), (400, 4010));
    assert_eq!(verify(&mut association, &answer), Protection::Verified);
}

async fn digest(caller: &mut Caller, account: &str, password: &str) -> Digest {
    let offered = caller.challenge(Scheme::Digest).await;
    let credentials = Credentials::new(account.parse().unwrap(), password);
    Digest::start(&offered, Challenger::Registrar, &credentials).unwrap()
}

fn digested(caller: &mut Caller, digest: &mut Digest) -> String {
    let request = caller.next();
    let authorization = digest.authorize(&request, &SystemRandom).unwrap();
    String::from_utf8(authorization.add_to(&request).to_vec()).unwrap()
}

#[tokio::test]
async fn digest_signs_in_with_either_hash() {
    for algorithm in ALGORITHMS {
        let lab = start([Offer::Digest(algorithm)]).await;
        for account in [ACCOUNT, "jeremy", "jeremy@contoso.com"] {
            let mut caller = Caller::of(&lab, ADDRESS).await;
            let mut digest = digest(&mut caller, account, PASSWORD).await;
            assert_eq!(digest.algorithm(), algorithm);
            for action in ["added", "refreshed", "refreshed"] {
                let request = digested(&mut caller, &mut digest);
                let answer = caller.send(request).await;
                assert_eq!(status(&answer), 200, "{answer:?}");
                assert_eq!(digest.verify(&answer).unwrap(), Protection::Verified);
                let begin = format!("register-action=\"{action}\"");
                assert!(header(&answer, "presence-state").starts_with(&begin));
            }
        }
    }
}

#[tokio::test]
async fn digest_refuses_what_ntlm_refuses() {
    for algorithm in ALGORITHMS {
        let lab = start([Offer::Digest(algorithm)]).await;
        for (account, password, address, expected) in [
            (ACCOUNT, "passw0rd!", ADDRESS, denied("the digest is wrong")),
            ("nobody", PASSWORD, ADDRESS, denied("there is no such account")),
            (ACCOUNT, PASSWORD, "sip:vadim@contoso.com", (403, 4004, String::new())),
            (ACCOUNT, PASSWORD, "sip:nobody@contoso.com", (404, 4005, String::new())),
        ] {
            let mut caller = Caller::of(&lab, address).await;
            let mut digest = digest(&mut caller, account, password).await;
            let request = digested(&mut caller, &mut digest);
            let answer = caller.send(request).await;
            assert_eq!(refusal(&answer), expected);
            if expected.0 == 401 {
                let again = challenge(&answer, &Scheme::Digest);
                assert_eq!(digest.challenged(&again), Err(DigestError::Rejected));
            } else {
                assert_eq!(digest.verify(&answer).unwrap(), Protection::Verified);
            }
        }
        for (detail, name, value) in [
            ("the digest is wrong", "cnonce", "0"),
            ("the proof is for something else", "uri", "sip:fabrikam.com"),
            ("the digest is wrong", "nonce", "0"),
        ] {
            let mut caller = Caller::of(&lab, ADDRESS).await;
            let mut digest = digest(&mut caller, ACCOUNT, PASSWORD).await;
            let request = digested(&mut caller, &mut digest);
            let request = edit(&request, &format!(", {name}"), |_| value.into());
            assert_eq!(refusal(&caller.send(request).await), denied(detail));
        }
    }
}

#[tokio::test]
async fn a_nonce_of_another_connection_or_a_count_that_was_used_is_stale() {
    let lab = start([Offer::Digest(DigestAlgorithm::Sha256)]).await;
    let mut first = Caller::of(&lab, ADDRESS).await;
    let mut digest = digest(&mut first, ACCOUNT, PASSWORD).await;
    let request = digested(&mut first, &mut digest);
    assert_eq!(status(&first.send(request.clone()).await), 200);
    let mut second = Caller::of(&lab, ADDRESS).await;
    for caller in [&mut first, &mut second] {
        let answer = caller.send(request.clone()).await;
        assert_eq!(status(&answer), 401);
        let offered = challenge(&answer, &Scheme::Digest);
        assert!(offered.stale(), "{answer:?}");
        digest.challenged(&offered).unwrap();
        let request = digested(caller, &mut digest);
        let answer = caller.send(request).await;
        assert_eq!(status(&answer), 200);
        assert_eq!(digest.verify(&answer).unwrap(), Protection::Verified);
        // Who comes without credentials is not told that something is stale.
        assert!(!caller.challenge(Scheme::Digest).await.stale());
    }
}

#[tokio::test]
async fn a_hash_that_was_not_offered_is_not_taken() {
    let lab = start([Offer::Digest(DigestAlgorithm::Sha256)]).await;
    let mut caller = Caller::of(&lab, ADDRESS).await;
    let offered = caller.challenge(Scheme::Digest).await;
    let line = format!(
        "Digest realm=\"{}\", nonce=\"{}\", qop=\"auth\", algorithm=MD5",
        offered.realm().unwrap(),
        offered.nonce().unwrap()
    );
    let weaker = Challenge::read_all(&line).remove(0).unwrap();
    let credentials = Credentials::new(ACCOUNT.parse().unwrap(), PASSWORD);
    let mut digest = Digest::start(&weaker, Challenger::Registrar, &credentials).unwrap();
    let request = digested(&mut caller, &mut digest);
    let answer = caller.send(request).await;
    assert_eq!(refusal(&answer), denied("the algorithm was not offered"));
}

#[tokio::test]
async fn a_wrong_and_a_missing_proof_of_a_digest_server_are_noticed() {
    for (fault, expected) in [
        (SipFault::WrongSignature, Err(DigestError::WrongProof)),
        (SipFault::NoSignature, Ok(Protection::Absent)),
    ] {
        let server = pool().offers([Offer::Digest(DigestAlgorithm::Sha256)]).fault(fault);
        let lab = lab(server).start().await.unwrap();
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let mut digest = digest(&mut caller, ACCOUNT, PASSWORD).await;
        let request = digested(&mut caller, &mut digest);
        let answer = caller.send(request).await;
        assert_eq!(status(&answer), 200);
        assert_eq!(digest.verify(&answer), expected);
    }
}

#[tokio::test]
async fn what_is_offered_is_said_in_its_order_with_or_without_accounts() {
    let offers = [
        Offer::Kerberos(Version::V3),
        Offer::Ntlm(Version::V2),
        Offer::Digest(DigestAlgorithm::Sha256),
    ];
    let without = Lab::builder().internal(pool().offers(offers)).start().await.unwrap();
    for lab in [start(offers).await, without] {
        let mut caller = Caller::of(&lab, ADDRESS).await;
        let bare = caller.next();
        let answer = caller.send(bare.as_bytes().clone()).await;
        let lines: Vec<_> = answer.headers().all("WWW-Authenticate").collect();
        let realm = "realm=\"SIP Communications Service\"";
        let kerberos = format!("Kerberos {realm}, targetname=\"sip/{HOST}\", version=3");
        assert_eq!(lines[..2], [kerberos, format!("NTLM {realm}, targetname=\"{HOST}\"")]);
        assert!(lines[2].starts_with("Digest ") && lines[2].ends_with("algorithm=SHA-256"));
    }
}

#[tokio::test]
async fn a_bad_account_or_address_keeps_the_lab_from_starting_and_a_password_is_not_shown() {
    let with = |account: &str, address: &str| Lab::builder().account(account, PASSWORD, address);
    assert!(!format!("{:?}", with(ACCOUNT, ADDRESS)).contains(PASSWORD));
    let error = with(r"\jeremy", ADDRESS).start().await.err().unwrap();
    assert!(matches!(error, LabError::Account(_)), "{error}");
    let error = with(ACCOUNT, "jeremy").start().await.err().unwrap();
    assert!(matches!(error, LabError::Address(_)), "{error}");
}
