//! The parts of a page that several commands have.

use sip_signin::HostNamePolicy;
use sip_signin::discovery::{ClearText, Conclusion, Entry, Event, Fault, Search, Trace};

use crate::screen::{BAD, GOOD, PLAIN, Page, QUIET};

/// Where the text of an event begins.
const TEXT: usize = 14;

/// The rules of a search, in a line.
pub fn rules(page: &mut Page, search: &Search) {
    let names = match search.names().policy() {
        HostNamePolicy::Strict => "strict naming",
        HostNamePolicy::Relaxed => "relaxed naming",
        HostNamePolicy::AnySubdomain => "any-subdomain naming",
    };
    let tcp = match search.clear_text() {
        ClearText::Forbid => "TLS only",
        ClearText::Allow => "TLS, then clear text",
    };
    let mut text = match search.order() {
        Some(order) => format!("Search order {}, {names}, {tcp}", order.name()),
        None => format!("Servers set by hand, {tcp}"),
    };
    for (at, domain) in search.names().trusted().iter().enumerate() {
        text.push_str(if at == 0 { ", trusting " } else { " " });
        text.push_str(domain.as_str());
    }
    page.paragraph(PLAIN, 0, &(text + "."));
}

/// Everything that was asked, answered, refused and tried.
pub fn trace(page: &mut Page, trace: &Trace) {
    for line in trace.address().to_string().lines() {
        page.item("address", PLAIN, TEXT - 3, PLAIN, line);
    }
    for line in trace.search().to_string().lines() {
        let (head, text) = line.split_once(' ').unwrap_or((line, ""));
        page.item(head, PLAIN, TEXT - 3, PLAIN, text.trim_start());
    }
    for Event { at, entry } in trace.events() {
        let time = format!("{:>6} ms  ", at.as_millis());
        let style = match entry {
            Entry::Connected(..) | Entry::ConnectEnded(_, _, Ok(())) => GOOD,
            Entry::ConnectEnded(..)
            | Entry::Exhausted
            | Entry::Useless(_)
            | Entry::FinalAnswer(_)
            | Entry::AnsweredSrv(_, Err(_))
            | Entry::AnsweredHost(_, _, Err(_)) => BAD,
            Entry::Concluded(Conclusion::HostRows) => PLAIN,
            Entry::Concluded(_) => BAD,
            _ => PLAIN,
        };
        // What is concluded is indented, and stays so below itself.
        let text = entry.to_string();
        let bare = text.trim_start();
        let indent = text.len().saturating_sub(bare.len());
        page.item(&time, QUIET, time.len().saturating_add(indent), style, bare);
    }
}

/// What is wrong, whose fault it is, what to do.
pub fn problem(page: &mut Page, what: impl ToString, fault: Fault, advice: &str) {
    page.item("  what", PLAIN, 11, PLAIN, &what.to_string());
    page.item("  fault", PLAIN, 11, PLAIN, &fault.to_string());
    page.item("  advice", PLAIN, 11, PLAIN, advice);
}
