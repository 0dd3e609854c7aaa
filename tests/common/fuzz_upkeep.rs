//! What the fuzz target `upkeep` asserts: a session, and whatever a server and a caller do to it.
//!
//! An input is a script, an event on each line, its header fields parted by `|`:
//!
//! | line | what happens |
//! |---|---|
//! | `wait 600` | so many seconds go by |
//! | `own 200 right Expires: 600` | the server answers the last REGISTER, signed `right`, `wrong` or `bare` |
//! | `peer OPTIONS sip:a SIP/2.0\|right\|X: 1` | another message of the server's, signed likewise |
//! | `send MESSAGE sip:a SIP/2.0\|X: 1` | the caller sends |
//! | `know`, `shrug` | somebody knows a password, or does not |
//! | `refresh`, `leave`, `lose` | what the caller may do besides |

#[path = "toy.rs"]
mod toy;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sip_signin::Now;
use sip_signin::auth::{Credentials, Protection};
use sip_signin::discovery::Seed;
use sip_signin::sign_in::{self, CredentialCache, Mechanisms, Rules, SignIn};
use sip_signin::sip::Message;
use sip_signin::upkeep::{Heard, SessionError, Step, Upkeep};
use toy::Toy;

use super::jeremy::{register, server};
use super::sevens::Sevens;

const PASSWORD: &str = "marker-Pa55word";
const CHALLENGE: &str = "WWW-Authenticate: NTLM realm=\"r\", targetname=\"t\", version=4";
const TOY: Toy = Toy { signature: "right", begins_empty: false };
/// Its signature, in hexadecimal.
const RIGHT: &str = "7269676874";

pub fn upkeep(data: &[u8]) {
    let Ok(script) = std::str::from_utf8(data) else { return };
    let mut talk = Talk::new();
    for line in script.lines().take(256) {
        talk.event(line);
        talk.settle();
    }
}

struct Talk {
    machine: Upkeep,
    now: Now,
    /// The number of the last REGISTER.
    cseq: u32,
    snum: u32,
    end: Option<Step>,
}

impl Talk {
    fn new() -> Self {
        let mut rules = Rules::default();
        rules.mechanisms = Mechanisms::none().then(TOY);
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let instant = Instant::now();
        let now = Now { instant, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) };
        let (cache, random) = (CredentialCache::new(), Arc::new(Sevens));
        let mut sign_in = SignIn::new(register(), server(), rules, cache, random);
        let _ = sign_in.poll_step(now.instant);
        sign_in.receive(&own(1, "401", CHALLENGE), now);
        sign_in.supply(Some(credentials()), now);
        let _ = sign_in.poll_step(now.instant);
        sign_in.receive(&own(2, "200", &format!("Expires: 600|{}", signature(1, "right"))), now);
        assert!(matches!(sign_in.poll_step(now.instant), sign_in::Step::SignedIn(_)));
        let machine = Upkeep::new(sign_in, Seed(1), now.instant).unwrap();
        Self { machine, now, cseq: 2, snum: 1, end: None }
    }

    fn event(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "wait" => {
                let seconds = Duration::from_secs(rest.parse().unwrap_or(1).min(1_000_000));
                self.now.instant += seconds;
                self.now.wall += seconds;
            }
            "own" => {
                let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let (how, fields) = rest.split_once(' ').unwrap_or((rest, ""));
                let fields = format!("{fields}|{}", self.signature(how));
                let Some(message) = read_own(self.cseq, status, &fields) else { return };
                let _ = self.hear(&message);
                // Said again it means nothing: no request of ours has two answers.
                self.tell();
                let before = self.shown();
                let _ = self.hear(&message);
                if !status.starts_with('1') {
                    assert_eq!(self.shown(), before, "{line}");
                }
            }
            "peer" => {
                let rest = ["right", "wrong"].into_iter().fold(rest.to_owned(), |text, how| {
                    text.replacen(&format!("|{how}"), &format!("|{}", self.signature(how)), 1)
                });
                let Some(message) = read(&rest) else { return };
                let _ = self.hear(&message);
            }
            "send" => {
                let Some(message) = read(rest) else { return };
                let sent = self.machine.outgoing(&message, self.now.instant);
                if let Ok(bytes) = sent {
                    assert!(self.end.is_none() && Message::parse(bytes).is_ok());
                }
            }
            "know" => self.machine.supply(Some(credentials()), self.now),
            "shrug" => self.machine.supply(None, self.now),
            "refresh" => self.machine.refresh(self.now.instant),
            "leave" => self.machine.sign_out(),
            "lose" => self.machine.lose(SessionError::Lost("gone".into())),
            _ => {}
        }
    }

    /// What is delivered is signed, or is one of those that no server signs.
    fn hear(&mut self, message: &Message) -> Heard {
        let heard = self.machine.receive(message, self.now);
        let text = String::from_utf8_lossy(message.as_bytes());
        let status = match message {
            Message::Response(response) => response.status(),
            Message::Request(_) => 0,
        };
        match &heard {
            Heard::Yours(Protection::Verified) => assert!(text.contains(RIGHT), "{text}"),
            Heard::Yours(Protection::Absent) => {
                assert!(matches!(status, 100..=199 | 401 | 407), "{text}");
            }
            Heard::Ours => assert!(matches!(message, Message::Response(_)), "{text}"),
            Heard::Dropped(_) => {}
        }
        if self.end.is_some() {
            assert!(matches!(heard, Heard::Dropped(_)), "{text}");
        }
        heard
    }

    /// Carries out what is due, and looks at it.
    fn settle(&mut self) {
        for _ in 0..32 {
            let step = self.machine.poll_step(self.now.instant);
            if let Some(end) = &self.end {
                assert_eq!(step, *end, "for ever");
            }
            match step {
                Step::Send(bytes) => self.sent(&bytes),
                Step::AskCredentials(_) => {}
                Step::Wait { until } => {
                    assert!(until > self.now.instant, "a tight loop");
                    return self.tell();
                }
                end => {
                    self.end = Some(end);
                    return self.tell();
                }
            }
        }
        panic!("it does not come to rest");
    }

    fn sent(&mut self, bytes: &[u8]) {
        assert!(!String::from_utf8_lossy(bytes).contains(PASSWORD));
        if bytes == b"\r\n\r\n" {
            return;
        }
        let message = Message::parse(bytes.to_vec().into()).unwrap();
        let number = message.headers().cseq().unwrap().number;
        assert!(number > self.cseq, "the numbers of REGISTERs only grow");
        self.cseq = number;
    }

    fn tell(&mut self) {
        while let Some((credentials, _)) = self.machine.judged() {
            assert!(!format!("{credentials:?}").contains(PASSWORD));
        }
    }

    fn shown(&self) -> String {
        let shown = format!("{:?} {:?}", self.machine, self.machine.expires_at());
        assert!(!shown.contains(PASSWORD));
        shown
    }

    fn signature(&mut self, how: &str) -> String {
        match how {
            "right" | "wrong" => {
                self.snum += 1;
                signature(self.snum, how)
            }
            _ => "X: bare".into(),
        }
    }
}

fn signature(snum: u32, how: &str) -> String {
    let signature = if how == "right" { RIGHT } else { "00" };
    format!(
        "Authentication-Info: NTLM rspauth=\"{signature}\", srand=\"1\", snum=\"{snum}\", \
         realm=\"r\", targetname=\"t\""
    )
}

fn own(cseq: u32, status: &str, fields: &str) -> Message {
    read_own(cseq, status, fields).unwrap()
}

fn read_own(cseq: u32, status: &str, fields: &str) -> Option<Message> {
    read(&format!("SIP/2.0 {status} x|Call-ID: ours|CSeq: {cseq} REGISTER|{fields}"))
}

fn read(script: &str) -> Option<Message> {
    let lines: String = script.split('|').map(|line| format!("{line}\r\n")).collect();
    Message::parse(format!("{lines}l: 0\r\n\r\n").into()).ok()
}

fn credentials() -> Credentials {
    Credentials::new("jeremy".parse().unwrap(), PASSWORD)
}
