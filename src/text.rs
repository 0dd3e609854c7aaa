//! Text that somebody else wrote: shown, never trusted.

use std::fmt;

/// Text from the wire or from a keyboard, safe to show.
///
/// Printing it escapes the backslash and everything that is not a printable ASCII character as
/// `\u{1b}`, and cuts at [`WireText::LIMIT`] bytes, so that no terminal, log or right-to-left
/// trick comes through. A space is escaped too where it could be lost: at an end and behind another
/// space. [`WireText::read_back`] undoes the escape.
///
/// ```
/// use sip_signin::WireText;
/// assert_eq!(WireText::new("gone\u{1b}[2J").to_string(), r"gone\u{1b}[2J");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireText(Box<str>);

impl WireText {
    /// How many bytes are printed at the most; a longer text ends in `...`.
    pub const LIMIT: usize = 256;
    const ELLIPSIS: &str = "...";
    const ROOM: usize = Self::LIMIT - Self::ELLIPSIS.len();

    /// Keeps as much of `text` as can ever be printed.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        // Nearly every text: it is printed as it is, and as a whole.
        let plain = |b| matches!(b, b' '..=b'~' if b != b'\\');
        if text.len() <= Self::LIMIT && text.bytes().all(plain) {
            return Self(text.into());
        }
        let mut printed = 0usize;
        let kept: String = text
            .chars()
            .take_while(|&c| {
                let before = printed;
                printed = printed.saturating_add(width(c, !(' '..='~').contains(&c)));
                before <= Self::LIMIT
            })
            .collect();
        Self(kept.into())
    }

    /// Keeps bytes that ought to be UTF-8; what is not becomes U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let head = bytes.get(..Self::LIMIT.saturating_mul(2)).unwrap_or(bytes);
        Self::new(String::from_utf8_lossy(head))
    }

    /// What something prints that holds text of this kind, without escaping it twice.
    pub fn printed(shown: &impl fmt::Display) -> Self {
        let shown = shown.to_string();
        Self::read_back(&shown).unwrap_or_else(|| Self::new(shown))
    }

    /// The text as it came: only for comparing, never for showing.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Reads what `Display` printed; `None` when an escape is broken.
    pub fn read_back(printed: &str) -> Option<Self> {
        let mut text = String::new();
        let mut chars = printed.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next()? {
                '\\' => text.push('\\'),
                'u' => {
                    let code = chars.as_str().strip_prefix('{')?.split_once('}')?.0;
                    text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                    chars.by_ref().find(|&c| c == '}');
                }
                _ => return None,
            }
        }
        Some(Self::new(text))
    }

    /// The same, with the comma and the space escaped too, so that it stays one word of a list.
    pub(crate) fn word(&self) -> impl fmt::Display + '_ {
        Printed { text: &self.0, word: true }
    }
}

/// The printed width of one character, in bytes.
fn width(c: char, escaped: bool) -> usize {
    match c {
        _ if escaped => c.escape_unicode().count(),
        '\\' => 2,
        _ => 1,
    }
}

struct Printed<'a> {
    text: &'a str,
    word: bool,
}

impl Printed<'_> {
    /// Each character, and whether it is escaped.
    fn chars(&self) -> impl Iterator<Item = (char, bool)> {
        let mut rest = self.text.chars();
        let mut before = ' ';
        std::iter::from_fn(move || {
            let c = rest.next()?;
            let escaped = match c {
                ' ' => self.word || before == ' ' || rest.as_str().is_empty(),
                ',' => self.word,
                _ => !('!'..='~').contains(&c),
            };
            before = c;
            Some((c, escaped))
        })
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let whole: usize = self.chars().map(|(c, escaped)| width(c, escaped)).sum();
        let cut = whole > WireText::LIMIT;
        let room = if cut { WireText::ROOM } else { WireText::LIMIT };
        let mut printed = 0usize;
        for (c, escaped) in self.chars() {
            printed = printed.saturating_add(width(c, escaped));
            if printed > room {
                break;
            }
            match c {
                _ if escaped => write!(f, "{}", c.escape_unicode())?,
                '\\' => f.write_str("\\\\")?,
                _ => f.write_char(c)?,
            }
        }
        f.write_str(if cut { WireText::ELLIPSIS } else { "" })
    }
}

impl fmt::Display for WireText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printed { text: &self.0, word: false }.fmt(f)
    }
}

impl fmt::Debug for WireText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<String> for WireText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for WireText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for WireText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bidirectional_and_non_ascii_characters_are_escaped() {
        for (text, shown) in [
            ("plain text, 100 %", "plain text, 100 %"),
            ("a\u{1b}[31mb", r"a\u{1b}[31mb"),
            ("pay\u{202e}lap", r"pay\u{202e}lap"),
            ("münchen", r"m\u{fc}nchen"),
            (r"back\slash", r"back\\slash"),
            ("line\r\nbreak", r"line\u{d}\u{a}break"),
            (" a b  c ", r"\u{20}a b \u{20}c\u{20}"),
            (" ", r"\u{20}"),
        ] {
            assert_eq!(WireText::new(text).to_string(), shown);
            assert_eq!(WireText::read_back(shown).unwrap().raw(), text);
        }
    }

    #[test]
    fn a_word_has_no_space_and_no_comma() {
        let word = WireText::new("a b,c").word().to_string();
        assert_eq!(word, r"a\u{20}b\u{2c}c");
        assert_eq!(WireText::read_back(&word).unwrap().raw(), "a b,c");
    }

    #[test]
    fn a_long_text_is_cut_at_the_limit_and_prints_the_same_once_read_back() {
        for (text, cut) in
            [("x".repeat(256), false), ("x".repeat(257), true), ("\u{7}".repeat(99), true)]
        {
            let printed = WireText::new(&text).to_string();
            assert!(printed.len() <= WireText::LIMIT);
            // What is never shown is not kept either.
            assert!(WireText::new(text.repeat(99)).raw().len() <= WireText::LIMIT + 1);
            assert_eq!(printed.ends_with("..."), cut, "{printed}");
            assert_eq!(WireText::read_back(&printed).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_broken_escape_does_not_read_back() {
        for broken in [r"\", r"\n", r"\u", r"\u{", r"\u{110000}", r"\u{zz}", r"\u{1b"] {
            assert_eq!(WireText::read_back(broken), None, "{broken}");
        }
    }
}
