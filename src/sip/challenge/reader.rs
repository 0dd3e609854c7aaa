//! Challenges out of a header value: one pass, nothing copied but what has escapes.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::head::Span;
use super::super::message::{text, unfolded};
use super::super::parameters::cut_quoted;
use super::super::scan::{cut, cut_token, is_called, is_space, trim_start};
use super::super::scheme::Scheme;
use super::{Challenge, ChallengeError, ChallengeErrorKind, Parameters, Place, find, read_version};

/// The challenges in some header values of a message.
///
/// Between the commas of a value stands a parameter, or a scheme with or without its first
/// parameter; a scheme is never followed by `=`.
pub(super) struct Unread<'a, V> {
    message: &'a Bytes,
    folded: bool,
    values: V,
    /// The value that is being read, when it had folds: else it stands in the message.
    unfolded: Option<Bytes>,
    /// From where to where it is unread.
    at: usize,
    end: usize,
}

impl<'a, V: Iterator<Item = &'a [u8]>> Unread<'a, V> {
    /// `folded` says that some of the values may be.
    pub(super) fn of(message: &'a Bytes, folded: bool, values: V) -> Self {
        Self { message, folded, values, unfolded: None, at: 0, end: 0 }
    }

    /// Goes on to the next value.
    fn turn(&mut self, value: &[u8]) {
        if self.folded && value.contains(&b'\r') {
            let value = Bytes::from(unfolded(text(value)).into_owned());
            (self.at, self.end) = (0, value.len());
            self.unfolded = Some(value);
        } else {
            self.unfolded = None;
            self.at = value.as_ptr().addr().wrapping_sub(self.message.as_ptr().addr());
            self.end = self.at.wrapping_add(value.len());
        }
    }
}

impl<'a, V: Iterator<Item = &'a [u8]>> Iterator for Unread<'a, V> {
    type Item = Result<Challenge, ChallengeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let whole = self.unfolded.as_ref().unwrap_or(self.message);
            let value = whole.get(..self.end).unwrap_or_default();
            let (gap, rest) = cut(value.get(self.at..).unwrap_or_default(), is_separator);
            if !rest.is_empty() {
                self.at = self.at.wrapping_add(gap.len());
                return Some(read(whole, value, &mut self.at));
            }
            let value = self.values.next()?;
            self.turn(value);
        }
    }
}

/// Reads the challenge that begins at `at`, and leaves there where it ends; `value` is `whole` up to
/// the end of the header value.
fn read(whole: &Bytes, value: &[u8], at: &mut usize) -> Result<Challenge, ChallengeError> {
    let start = *at;
    let (scheme, mut rest) = cut_word(value.get(start..).unwrap_or_default());
    let mut wrong = scheme.is_empty().then_some(ChallengeErrorKind::NoScheme);
    let mut draft = Draft { value, parameters: SmallVec::new(), own: Vec::new(), owned: 0 };
    loop {
        let (gap, piece) = cut(rest, is_separator);
        let (name, behind) = cut_token(piece);
        let taken = match trim_start(behind) {
            [b'=', value @ ..] => draft.take(name, value),
            _ if piece.is_empty() || gap.contains(&b',') && is_word(name, behind) => break,
            _ => Err(ChallengeErrorKind::Parameter),
        };
        rest = taken.unwrap_or_else(|kind| {
            wrong.get_or_insert(kind);
            behind_piece(piece)
        });
    }
    *at = value.len().wrapping_sub(rest.len());
    if let Some(kind) = wrong {
        return Err(ChallengeError { scheme: Scheme::read_bytes(scheme), kind });
    }
    let Draft { mut parameters, own, owned, .. } = draft;
    let text = if owned == 0 {
        whole.clone()
    } else {
        // This challenge's part of the value alone, or many of them would hold it many times.
        let part = value.get(start..*at).unwrap_or_default();
        for (index, Place { name, value }) in parameters.iter_mut().enumerate() {
            let is_own = owned >> index & 1 == 1;
            *name = name.moved(start, 0);
            *value = if is_own { value.moved(0, part.len()) } else { value.moved(start, 0) };
        }
        [part, &own].concat().into()
    };
    Ok(Challenge { scheme: Scheme::read_bytes(scheme), text, parameters })
}

/// The parameters of a challenge that is being read.
struct Draft<'a> {
    value: &'a [u8],
    parameters: Parameters,
    /// What had escapes, without them.
    own: Vec<u8>,
    /// Of each parameter a bit: whether its value stands in there.
    owned: u32,
}

const _: () = assert!(Challenge::PARAMETER_LIMIT <= u32::BITS as usize);

impl<'a> Draft<'a> {
    /// Takes the parameter `name`, whose value `rest` begins with; gives what is behind it.
    fn take(&mut self, name: &[u8], rest: &'a [u8]) -> Result<&'a [u8], ChallengeErrorKind> {
        use ChallengeErrorKind as Kind;
        if name.is_empty() {
            return Err(Kind::Parameter);
        }
        let (value, rest) = match trim_start(rest) {
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
        if is_called(name, b"version") && read_version(&value).is_none() {
            return Err(Kind::Version);
        }
        let name = Span::of_part(name, self.value);
        let value = match value {
            Cow::Borrowed(value) => Span::of_part(value, self.value),
            Cow::Owned(value) => {
                let start = self.own.len();
                self.own.extend_from_slice(&value);
                self.owned |= 1 << self.parameters.len();
                Span::new(start, self.own.len())
            }
        };
        self.parameters.push(Place { name, value });
        Ok(rest)
    }
}

/// The word that `text` begins with, or nothing where another character follows it, and the rest.
fn cut_word(text: &[u8]) -> (&[u8], &[u8]) {
    let (token, rest) = cut_token(text);
    if is_word(token, rest) { (token, rest) } else { (&[], text) }
}

/// Whether a token is a word by itself, with `rest` behind it.
fn is_word(token: &[u8], rest: &[u8]) -> bool {
    !token.is_empty() && matches!(rest, [] | [b' ' | b'\t' | b',' | b'=' | b'"', ..])
}

/// What stands behind a value, when nothing but white space parts it from a comma or the end.
fn ended(text: &[u8]) -> Option<&[u8]> {
    let rest = trim_start(text);
    matches!(rest, [] | [b',', ..]).then_some(rest)
}

/// What stands behind a piece that cannot be read: the next comma outside quoted strings.
fn behind_piece(mut piece: &[u8]) -> &[u8] {
    loop {
        let is_stop = |&byte: &u8| byte == b',' || byte == b'"';
        let stop = piece.iter().position(is_stop).unwrap_or(piece.len());
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
