//! `answer`: what a server's response means.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use sip_signin::WireText;
use sip_signin::discovery::Fault;
use sip_signin::sign_in::SignInError;
use sip_signin::sip::{Answer, Contact, Diagnostics, Message, Response};

use crate::complaint::{Complaint, End, Outcome};
use crate::screen::{self, BAD, GOOD, PLAIN, Page};
use crate::{input, words};

/// Say what a SIP response to a REGISTER means, whose fault it is and what to do.
///
/// Paste the response from a trace or a log, status line and headers; a body is not needed. The
/// numbers of ms-diagnostics are understood.
///
/// Ends with 0 if the response lets in, challenges, redirects or is not final, with 1 if it refuses.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin answer response.txt
  xclip -o | sip-signin answer --json")]
pub struct Options {
    /// The file with the response; standard input where it is left out or `-`
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What a response means. Its form is promised in `docs/tool.md`.
#[derive(Serialize)]
struct Meaning {
    kind: &'static str,
    class: Option<&'static str>,
    status: u16,
    schemes: Vec<String>,
    targets: Vec<String>,
    expires: Option<u64>,
    retry_after: Option<u64>,
    diagnostics: Option<Diagnosis>,
    fault: Option<&'static str>,
    advice: Option<&'static str>,
}

#[derive(Serialize)]
struct Diagnosis {
    error_id: u32,
    sub_code: Option<u32>,
    reason: Option<String>,
    source: Option<String>,
}

impl From<&Diagnostics> for Diagnosis {
    fn from(diagnostics: &Diagnostics) -> Self {
        Self {
            error_id: diagnostics.error_id,
            sub_code: diagnostics.sub_code,
            reason: diagnostics.reason.as_ref().map(ToString::to_string),
            source: diagnostics.source.as_ref().map(ToString::to_string),
        }
    }
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let bytes = match options.file.as_deref() {
        Some(path) if path.as_os_str() != "-" => input::file(path)?,
        _ => input::all()?,
    };
    let response = read(&bytes)?;
    let answer = Answer::to_first_register(&response);
    let error = SignInError::of_answer(&response);
    let meaning = meaning(&response, &answer, error.as_ref());
    if json {
        screen::show_json(&meaning)?;
    } else {
        page(&response, &answer, error.as_ref()).show()?;
    }
    Ok(End::when(error.is_none()))
}

/// Reads what was pasted: line ends of any kind, space in front of it, the body left out.
fn read(bytes: &[u8]) -> Result<Response, Complaint> {
    let complain = |what: String| {
        Complaint::input(what, "paste the response from its status line on, SIP/2.0 and a number")
    };
    let text = String::from_utf8_lossy(bytes);
    let head = text.trim_start().lines().map(str::trim_end).take_while(|line| !line.is_empty());
    let length = |line: &str| {
        let name = line.split(':').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l")
    };
    let lines = head.filter(|line| !length(line));
    let head: String = lines.flat_map(|line| [line, "\r\n"]).collect();
    match Message::parse(format!("{head}Content-Length: 0\r\n\r\n").into()) {
        Ok(Message::Response(response)) => Ok(response),
        Ok(Message::Request(request)) => {
            let method = WireText::new(request.method());
            Err(complain(format!("this is a request ({method}), not a response")))
        }
        Err(error) => Err(complain(format!("this is no SIP response: {error}"))),
    }
}

fn kind(answer: &Answer, error: Option<&SignInError>) -> &'static str {
    match answer {
        _ if error.is_some() => "refused",
        Answer::Challenged { .. } => "challenged",
        Answer::Provisional => "provisional",
        Answer::Redirected(_) => "redirected",
        Answer::Unauthenticated => "registered",
        _ => "refused",
    }
}

fn meaning(response: &Response, answer: &Answer, error: Option<&SignInError>) -> Meaning {
    let headers = response.headers();
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
    Meaning {
        kind: kind(answer, error),
        class: error.map(SignInError::name),
        status: response.status(),
        schemes: match answer {
            Answer::Challenged { challenges, .. } => {
                challenges.iter().map(|challenge| challenge.scheme().to_string()).collect()
            }
            _ => Vec::new(),
        },
        targets: match answer {
            Answer::Redirected(contacts) => contacts.iter().map(|c| c.uri.to_string()).collect(),
            _ => Vec::new(),
        },
        expires: seconds(headers.expires()),
        retry_after: seconds(headers.retry_after()),
        diagnostics: Diagnostics::of(headers).as_ref().map(Diagnosis::from),
        fault: error.map(SignInError::fault).map(words::of_fault),
        advice: error.map(SignInError::advice),
    }
}

fn page(response: &Response, answer: &Answer, error: Option<&SignInError>) -> Page {
    const HANG: usize = 10;
    let mut page = Page::new();
    let style = if error.is_some() { BAD } else { GOOD };
    let status = format!("{} {}", response.status(), response.reason());
    page.item(kind(answer, error), style, HANG + 2, PLAIN, &status);
    page.blank();
    let mut say =
        |head: &str, text: &str| page.item(&format!("  {head}"), PLAIN, HANG + 2, PLAIN, text);
    match error {
        Some(error) => {
            say("what", &error.to_string());
            let fault: Fault = error.fault();
            say("fault", &fault.to_string());
            say("advice", error.advice());
            say("again", &error.retry().to_string());
        }
        None => say("what", sense(answer)),
    }
    match answer {
        Answer::Challenged { challenges, unread, .. } => {
            for challenge in challenges {
                let mut text = challenge.scheme().to_string();
                if let Some(target) = challenge.target_name() {
                    text.push_str(&format!(" for {}", WireText::new(target)));
                }
                if let Some(realm) = challenge.realm() {
                    text.push_str(&format!(", realm \"{}\"", WireText::new(realm)));
                }
                say("scheme", &text);
            }
            unread.iter().for_each(|error| say("unread", &error.to_string()));
        }
        Answer::Redirected(contacts) => {
            for Contact { uri, target, .. } in contacts {
                let usable = if target.is_some() { "" } else { "   names no host to go to" };
                say("target", &format!("{uri}{usable}"));
            }
        }
        _ => {}
    }
    let headers = response.headers();
    if let Some(diagnostics) = Diagnostics::of(headers) {
        say("server", &diagnostics.to_string());
    }
    if let Some(after) = headers.retry_after() {
        say("wait", &format!("{} s before the next attempt", after.as_secs()));
    }
    if let (Answer::Unauthenticated, Some(expires)) = (answer, headers.expires()) {
        say("expires", &format!("{} s from now", expires.as_secs()));
    }
    page
}

fn sense(answer: &Answer) -> &'static str {
    match answer {
        Answer::Challenged { .. } => {
            "the server asks for a proof of who the user is, in one of these ways"
        }
        Answer::Provisional => "the server is still at work; the final answer is to come",
        Answer::Redirected(_) => "the user is at home on another server; the client goes there",
        Answer::Unauthenticated => {
            "the server lets the user in; where it never asked for a proof, clients should not \
             believe it"
        }
        _ => "no",
    }
}
