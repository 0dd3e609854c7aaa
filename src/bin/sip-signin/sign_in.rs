//! `sign-in`: the real thing.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use sip_signin::auth::{Account, Credentials, DigestAlgorithm, Ntlm};
use sip_signin::compression::Compression;
use sip_signin::sign_in::{AskReason, CredentialRequest, Mechanisms};
use sip_signin::sip::Message;
use sip_signin::upkeep::SessionError;
use sip_signin::{CredentialSource, Session, SipAddress, WireText};

use crate::complaint::{Complaint, End, Outcome};
use crate::doors::Doors;
use crate::input::first_line;
use crate::report::{Report, tell_failure, tell_signed_in};
use crate::screen::{self, BAD, GOOD, PLAIN, Page};
use crate::settings::SearchOptions;
use crate::tell;
use crate::watch::{Awaited, live};

/// Sign in with an address, for real, and tell who, where and until when.
///
/// The password is asked for on the terminal, after the server's challenge, and is not shown. Where
/// standard input is no terminal, its first line is the password.
///
/// Signs out at once, or with --stay at Ctrl-C; a second Ctrl-C ends everything.
///
/// Ends with 0 if the user was signed in (and the session lived as long as it should), else with 1.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin sign-in jeremy@contoso.com
  sip-signin sign-in jeremy@contoso.com --user 'CONTOSO\\jeremy' --mechanism ntlm
  sip-signin sign-in jeremy@contoso.com < password.txt")]
pub struct Options {
    /// The sign-in address, sip:user@domain or user@domain
    #[arg(value_name = "ADDRESS")]
    address: SipAddress,
    /// The account, DOMAIN\user or user@domain [default: the address without sip:]
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<Account>,
    /// Which proof to give, and no other (may be given several times, the best first)
    #[arg(long, value_name = "NAME", value_parser = MECHANISMS.to_vec())]
    mechanism: Vec<String>,
    /// Ask the server to compress [default: never; length may give secrets away]
    #[arg(long, value_name = "WHEN", value_parser = ["always", "never"])]
    compression: Option<String>,
    /// Stay signed in until Ctrl-C: refresh, keep alive, show what comes; then sign out
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    search: SearchOptions,
}

#[cfg(not(all(unix, feature = "kerberos")))]
const MECHANISMS: [&str; 2] = ["ntlm", "digest"];
#[cfg(all(unix, feature = "kerberos"))]
const MECHANISMS: [&str; 3] = ["kerberos", "ntlm", "digest"];

pub fn run(options: &Options, json: bool) -> Outcome {
    let settings = options.search.settings()?;
    let address = &options.address;
    let account = match &options.user {
        Some(account) => account.clone(),
        None => format!("{}@{}", address.user(), address.domain()).parse().map_err(|error| {
            Complaint::input(format!("{error}"), "name the account with --user")
        })?,
    };
    let awaited = Awaited::default();
    let doors = Doors::of(&settings, &awaited)?;
    let mut client = doors.client(&settings);
    if !options.mechanism.is_empty() {
        client = client.mechanisms(mechanisms(&options.mechanism));
    }
    if options.compression.as_deref() == Some("always") {
        client = client.compression(Compression::Always);
    }
    let prompt = Prompt { account, awaited: awaited.clone() };
    let outcome = live(&awaited, async {
        let _mark = awaited.mark_vaguely("the answer of a server");
        match client.build().sign_in(address, &prompt).await {
            Ok(signed_in) => {
                let mut page = Page::new();
                tell_signed_in(&mut page, address, &signed_in);
                show(&Report::signed_in(address, &signed_in), page, json)?;
                let (endpoint, session) = (signed_in.endpoint, signed_in.session);
                if !options.stay {
                    // Whoever is signed in was; how politely it ends is not the question.
                    let _ = session.sign_out().await;
                    return Ok(End::Yes);
                }
                let session = session.asking(Arc::new(prompt.clone()));
                let end = stay(session, &awaited, json).await;
                show(&Report::stayed(address, &endpoint, &end), ended(&end), json)?;
                Ok(End::when(end.is_ok()))
            }
            Err(failure) => {
                let mut page = Page::new();
                tell_failure(&mut page, address, &failure);
                show(&Report::failed(address, "sign-in", &failure), page, json)?;
                Ok(End::No)
            }
        }
    });
    if let Ok(End::Interrupted(_)) = outcome {
        show_again();
    }
    outcome
}

/// Lives in the session until Ctrl-C, then signs out.
async fn stay(mut session: Session, awaited: &Awaited, json: bool) -> Result<(), SessionError> {
    let _mark = awaited.mark_prompt("the session");
    let mut enough = pin!(awaited.pass_ctrl_c());
    loop {
        tokio::select! {
            biased;
            () = &mut enough => return session.sign_out().await,
            received = session.receive() => match received? {
                Some(received) if !json => came(&received.message),
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// Shows a message that came; to answer it is for real clients.
fn came(message: &Message) {
    let what = match message {
        Message::Request(request) => format!("{} {}", request.method(), request.uri()),
        Message::Response(response) => format!("{} {}", response.status(), response.reason().raw()),
    };
    let mut page = Page::new();
    page.item("came", PLAIN, 11, PLAIN, &WireText::new(what).to_string());
    // The end of the session says that nobody reads.
    let _ = page.show();
}

fn ended(end: &Result<(), SessionError>) -> Page {
    let mut page = Page::new();
    match end {
        Ok(()) => page.item("signed out", GOOD, 11, PLAIN, "the server has taken the binding back"),
        Err(error) => {
            page.item("over", BAD, 11, PLAIN, "the session did not end as it should");
            tell::problem(&mut page, error, error.fault(), error.advice());
        }
    }
    page
}

fn show(report: &Report, page: Page, json: bool) -> std::io::Result<()> {
    if json { screen::show_json(report) } else { page.show() }
}

fn mechanisms(names: &[String]) -> Mechanisms {
    names.iter().fold(Mechanisms::none(), |mechanisms, name| match name.as_str() {
        "digest" => {
            mechanisms.then_digest(DigestAlgorithm::Sha256).then_digest(DigestAlgorithm::Md5)
        }
        #[cfg(all(unix, feature = "kerberos"))]
        "kerberos" => mechanisms.then(sip_signin::Kerberos::new()),
        _ => mechanisms.then(Ntlm::new()),
    })
}

/// Asks on the terminal.
#[derive(Clone)]
struct Prompt {
    account: Account,
    awaited: Awaited,
}

#[async_trait]
impl CredentialSource for Prompt {
    async fn credentials(&self, request: &CredentialRequest) -> Option<Credentials> {
        let terminal = std::io::stdin().is_terminal();
        if request.reason == AskReason::Rejected && !terminal {
            return None;
        }
        let rejected = match request.reason {
            AskReason::Rejected => "not accepted; once more, ",
            _ => "",
        };
        let question = format!(
            "{}: {rejected}password of {} ({}): ",
            request.endpoint,
            self.account.typed(),
            request.scheme
        );
        screen::erase_meanwhile();
        let _mark = self.awaited.mark_prompt("the password");
        // Reading blocks, and Ctrl-C must not wait for it.
        #[expect(clippy::disallowed_methods, reason = "a prompt blocks; the tool ends without it")]
        let typed = tokio::task::spawn_blocking(move || {
            if terminal {
                rpassword::prompt_password(question)
            } else {
                first_line(std::io::stdin().lock())
            }
        });
        let password = typed.await.ok()?.ok().filter(|password| !password.is_empty())?;
        Some(Credentials::new(self.account.clone(), password))
    }
}

/// A prompt that was interrupted leaves a terminal that shows nothing of what is typed.
fn show_again() {
    if std::io::stdin().is_terminal() {
        // Where there is no such program, the shell does it.
        let _ = std::process::Command::new("stty").arg("echo").status();
        let _ = writeln!(std::io::stderr());
    }
}
