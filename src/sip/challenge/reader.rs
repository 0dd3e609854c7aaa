//! Challenges out of a header value: one pass, nothing copied but what has escapes.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::head::{Field, Span};
use super::super::parameters::cut_quoted;
use super::super::scan::{before, cut, is_space, is_token_byte};
use super::super::scheme::Scheme;
use super::{Challenge, ChallengeError, ChallengeErrorKind, Parameters, find, read_version};

/// A header value whose challenges have been read up to `at`.
///
/// Between its commas stands a parameter, or a scheme with or without its first parameter; a scheme
/// is never followed by `=`.
pub(super) struct Unread {
    pub(super) value: Bytes,
    pub(super) at: usize,
}

impl Iterator for Unread {
    type Item = Result<Challenge, ChallengeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, piece) = cut(self.value.get(self.at..)?, is_separator);
        if piece.is_empty() {
            return None;
        }
        let (scheme, mut rest) = cut_word(piece);
        let mut wrong = scheme.is_empty().then_some(ChallengeErrorKind::NoScheme);
        let scheme = Scheme::read_bytes(scheme);
        let mut draft = Draft { value: &self.value, own: Vec::new(), parameters: SmallVec::new() };
        loop {
            let (gap, piece) = cut(rest, is_separator);
            let (name, behind) = cut(piece, is_token_byte);
            let taken = match cut(behind, is_space).1 {
                [b'=', value @ ..] => draft.take(name, value),
                _ if piece.is_empty() || gap.contains(&b',') && is_word(name, behind) => break,
                _ => Err(ChallengeErrorKind::Parameter),
            };
            rest = taken.unwrap_or_else(|kind| {
                wrong.get_or_insert(kind);
                behind_piece(piece)
            });
        }
        let start = self.value.len().wrapping_sub(piece.len());
        self.at = self.value.len().wrapping_sub(rest.len());
        if let Some(kind) = wrong {
            return Some(Err(ChallengeError { scheme, kind }));
        }
        let Draft { own, mut parameters, .. } = draft;
        let text = if !own.is_empty() {
            // This challenge's part of the value alone, or many of them would hold it many times.
            for Field { name, value } in &mut parameters {
                name.cut_out(start, self.at, self.value.len());
                value.cut_out(start, self.at, self.value.len());
            }
            [self.value.get(start..self.at).unwrap_or_default(), &own].concat().into()
        } else if self.at < self.value.len() {
            self.value.clone()
        } else {
            std::mem::take(&mut self.value)
        };
        Some(Ok(Challenge { scheme, text, parameters }))
    }
}

/// The parameters of a challenge that is being read.
struct Draft<'a> {
    value: &'a [u8],
    /// What had escapes, without them. It will stand behind the value.
    own: Vec<u8>,
    parameters: Parameters,
}

impl<'a> Draft<'a> {
    /// Takes the parameter `name`, whose value `rest` begins with; gives what is behind it.
    fn take(&mut self, name: &[u8], rest: &'a [u8]) -> Result<&'a [u8], ChallengeErrorKind> {
        use ChallengeErrorKind as Kind;
        if name.is_empty() {
            return Err(Kind::Parameter);
        }
        let (value, rest) = match cut(rest, is_space).1 {
            [b'"', inside @ ..] => {
                let (value, rest) = cut_quoted(inside).ok_or(Kind::Quote)?;
                (value, ended(rest).ok_or(Kind::Quote)?)
            }
            [] | [b'=' | b',', ..] => return Err(Kind::Parameter),
            bare => {
                let (value, rest) = cut(bare, is_bare_byte);
                (Cow::Borrowed(value), ended(rest).ok_or(Kind::Parameter)?)
            }
        };
        if find(&self.parameters, name, self.value).is_some() {
            return Err(Kind::Duplicate);
        }
        if self.parameters.len() >= Challenge::PARAMETER_LIMIT {
            return Err(Kind::TooManyParameters);
        }
        if name.eq_ignore_ascii_case(b"version") && read_version(&value).is_none() {
            return Err(Kind::Version);
        }
        let name = Span::of_part(name, self.value);
        let value = match value {
            Cow::Borrowed(value) => Span::of_part(value, self.value),
            Cow::Owned(value) => {
                let start = self.value.len().wrapping_add(self.own.len());
                self.own.extend_from_slice(&value);
                Span::new(start, start.wrapping_add(value.len()))
            }
        };
        self.parameters.push(Field { name, value });
        Ok(rest)
    }
}

/// The word that `text` begins with, or nothing where another character follows it, and the rest.
fn cut_word(text: &[u8]) -> (&[u8], &[u8]) {
    let (token, rest) = cut(text, is_token_byte);
    if is_word(token, rest) { (token, rest) } else { (&[], text) }
}

/// Whether a token is a word by itself, with `rest` behind it.
fn is_word(token: &[u8], rest: &[u8]) -> bool {
    !token.is_empty() && matches!(rest, [] | [b' ' | b'\t' | b',' | b'=' | b'"', ..])
}

/// What stands behind a value, when nothing but white space parts it from a comma or the end.
fn ended(text: &[u8]) -> Option<&[u8]> {
    let rest = cut(text, is_space).1;
    matches!(rest, [] | [b',', ..]).then_some(rest)
}

/// What stands behind a piece that cannot be read: the next comma outside quoted strings.
fn behind_piece(mut piece: &[u8]) -> &[u8] {
    loop {
        let stop = before(piece, |byte| byte == b',' || byte == b'"');
        match piece.get(stop..).unwrap_or_default() {
            [b'"', inside @ ..] => piece = cut_quoted(inside).map_or(&[], |(_, behind)| behind),
            rest => return rest,
        }
    }
}

fn is_separator(byte: u8) -> bool {
    byte == b',' || is_space(byte)
}

/// A byte of a value without quotes: of a token, and what base64 and URIs need besides.
fn is_bare_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b','
}
