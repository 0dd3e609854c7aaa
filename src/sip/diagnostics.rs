//! Why a server refused, in its own words: `ms-diagnostics`.

use std::borrow::Cow;
use std::fmt;

use super::message::Headers;
use super::parameters::{parameter, split, unquote};
use crate::text::WireText;

/// The diagnosis that a Communications Server adds to its answers.
///
/// `<ErrorId>[.<SubErrorCode>];source="…";reason="…"[;<name>="…"]*` ([MS-OCER]; the grammar is that
/// of the header's page bb964037). What the numbers mean is for whoever reads them: unknown ones
/// are data.
///
/// ```
/// use sip_signin::sip::Diagnostics;
/// let text = r#"4004;reason="Not authorized";source="sip.contoso.com""#;
/// let diagnostics = Diagnostics::parse(text).unwrap();
/// assert_eq!(diagnostics.error_id, 4004);
/// assert_eq!(diagnostics.to_string(), "4004 Not authorized (sip.contoso.com)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnostics {
    /// The number of the error.
    pub error_id: u32,
    /// The number behind its dot.
    pub sub_code: Option<u32>,
    /// The server that says so.
    pub source: Option<WireText>,
    /// What it says.
    pub reason: Option<WireText>,
    /// Whatever else it says, in the order it came.
    pub others: Vec<(WireText, WireText)>,
}

impl Diagnostics {
    /// How many other attributes are kept; those behind are left out.
    pub const LIMIT: usize = 32;

    /// The diagnosis in a message: `ms-diagnostics`, or else `ms-diagnostics-public`, the form that
    /// passes an Edge.
    pub fn of(headers: &Headers) -> Option<Self> {
        ["ms-diagnostics", "ms-diagnostics-public"]
            .iter()
            .find_map(|name| headers.all(name).find_map(|value| Self::parse(&value)))
    }

    /// Reads a header value; `None` when no error number leads it. What else is broken is left out.
    pub fn parse(value: &str) -> Option<Self> {
        let mut pieces = split(value, b';');
        let number = pieces.next()?;
        let (error_id, sub_code) = match number.split_once('.') {
            Some((number, sub_code)) => (number, read_number(sub_code)),
            None => (number, None),
        };
        let mut diagnostics = Self {
            error_id: read_number(error_id)?,
            sub_code,
            source: None,
            reason: None,
            others: Vec::new(),
        };
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let (name, value) = parameter(piece);
            let value = value.map_or(Some(Cow::Borrowed("")), unquote);
            if let Some(value) = value {
                diagnostics.take(name, WireText::new(value));
            }
        }
        Some(diagnostics)
    }

    fn take(&mut self, name: &str, value: WireText) {
        if name.eq_ignore_ascii_case("source") {
            self.source.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("reason") {
            self.reason.get_or_insert(value);
        } else if self.others.len() < Self::LIMIT {
            self.others.push((name.into(), value));
        }
    }
}

fn read_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// `4004.2 what it says (who says it)`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error_id)?;
        if let Some(sub_code) = self.sub_code {
            write!(f, ".{sub_code}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " {reason}")?;
        }
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_is_read_whatever_else_it_carries() {
        for (value, shown, others) in [
            ("1000", "1000", 0),
            ("1000.5", "1000.5", 0),
            ("1000.x", "1000", 0),
            (
                r#"1013;reason="Significant time skew detected during authentication";source="ocs.contoso.com""#,
                "1013 Significant time skew detected during authentication (ocs.contoso.com)",
                0,
            ),
            (
                r#"17003; Source = "a" ; URL="http://x/?a;b"; HotFix ;reason="r;s""#,
                "17003 r;s (a)",
                2,
            ),
            (r#"1;reason="a";reason="b";source="c";source="d""#, "1 a (c)", 0),
            (r#"4005;reason="never ends;source="a""#, "4005", 0),
            (r"4005;reason=bare;;", "4005 bare", 0),
            ("4005;reason=\"a\u{202e}b\"", r"4005 a\u{202e}b", 0),
        ] {
            let diagnostics = Diagnostics::parse(value).expect(value);
            assert_eq!(diagnostics.to_string(), shown);
            assert_eq!(diagnostics.others.len(), others, "{value}");
        }
    }

    #[test]
    fn without_a_number_there_is_no_diagnosis() {
        for value in ["", ";", "x", "-1", "+1", "4294967296", r#"reason="r""#, "1000 ;x"] {
            let read = Diagnostics::parse(value).map(|d| d.error_id);
            assert_eq!(read, (value == "1000 ;x").then_some(1000), "{value}");
        }
    }

    #[test]
    fn no_more_than_the_limit_are_kept() {
        for count in [Diagnostics::LIMIT, Diagnostics::LIMIT + 1] {
            let value = format!("1{}", ";a=b".repeat(count));
            let kept = Diagnostics::parse(&value).unwrap().others.len();
            assert_eq!(kept, Diagnostics::LIMIT);
        }
    }
}
