//! `address`: how an address is read, or why not.

use clap::Args;
use serde::Serialize;
use sip_signin::{AddressError, SipAddress, WireText};

use crate::complaint::{End, Outcome};
use crate::input;
use crate::screen::{self, BAD, GOOD, PLAIN, Page};

/// Read sign-in addresses, and say what is wrong with those that are none.
///
/// An address is what a user types: sip:user@domain or user@domain. The search begins at its domain;
/// a port or parameters behind it are read and not used.
///
/// Ends with 0 if every address can be read, else with 1.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sip-signin address sip:jeremy@contoso.com jeremy@bücher.example
  sip-signin address --json 'sips:jeremy@contoso.com'
  echo '\"jeremy@contoso.com\"' | sip-signin address")]
pub struct Options {
    /// The addresses; without any, one JSON string per line is read from standard input, and
    /// answered with one JSON object per line
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Reading<'a> {
    Good { input: &'a str, user: &'a str, domain: &'a str, port: Option<u16> },
    Bad { input: &'a str, error: String },
}

impl<'a> Reading<'a> {
    fn of(input: &'a str, read: &'a Result<SipAddress, AddressError>) -> Self {
        match read {
            Ok(address) => Self::Good {
                input,
                user: address.user(),
                domain: address.domain().as_str(),
                port: address.port(),
            },
            Err(error) => Self::Bad { input, error: error.kind.to_string() },
        }
    }
}

pub fn run(options: &Options, json: bool) -> Outcome {
    let mut good = true;
    if options.texts.is_empty() {
        input::each_line(|text| {
            let read = text.parse();
            good &= read.is_ok();
            screen::show_json_line(&Reading::of(&text, &read))
        })?;
        return Ok(End::when(good));
    }
    let mut page = Page::new();
    for text in &options.texts {
        let read: Result<SipAddress, _> = text.parse();
        good &= read.is_ok();
        if json {
            screen::show_json_line(&Reading::of(text, &read))?;
            continue;
        }
        match read {
            Ok(address) => {
                let mut shown = format!("user {}  domain {}", address.user(), address.domain());
                if let Some(port) = address.port() {
                    shown.push_str(&format!("  port {port}, which is not used"));
                }
                page.item(&address.to_string(), GOOD, 4, PLAIN, "");
                page.paragraph(PLAIN, 4, &shown);
            }
            Err(error) => {
                page.item(&WireText::new(text).to_string(), BAD, 4, PLAIN, "");
                page.paragraph(PLAIN, 4, &format!("no sign-in address: {}", error.kind));
            }
        }
    }
    page.show()?;
    Ok(End::when(good))
}
