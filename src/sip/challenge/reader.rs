//! Challenges out of a header value: one pass, nothing copied but what has escapes.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::super::head::Span;
use super::super::message::{text, unfolded};
use super::super::parameters::cut_quoted;
use super::super::scan::{cut, cut_token, is_called, trim_start, unquoted};
use super::super::scheme::Scheme;
use super::{Challenge, ChallengeError, ChallengeErrorKind, Parameters, Place, find, read_version};

/// The challenges in some header values.
///
/// Between the commas of a value stands a parameter, or a scheme with or without its first
/// parameter; a scheme is never followed by `=`.
pub(super) struct Unread<'a, V> {
    values: V,
    folded: bool,
    /// What is unread of a value.
    rest: &'a [u8],
    /// What is unread of a value that had folds. Boxed: hardly any has.
    unfolded: Option<Box<Unfolded>>,
}

impl<'a, V: Iterator<Item = &'a [u8]>> Unread<'a, V> {
    /// `folded` says that some of the values may be.
    pub(super) fn of(values: V, folded: bool) -> Self {
        Self { values, folded, rest: &[], unfolded: None }
    }
}

impl<'a, V: Iterator<Item = &'a [u8]>> Iterator for Unread<'a, V> {
    type Item = Result<Challenge<'a>, ChallengeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.rest.is_empty() {
                return Some(read(&mut self.rest));
            }
            if let Some(unfolded) = &mut self.unfolded {
                if let Some(challenge) = unfolded.next() {
                    return Some(challenge);
                }
                self.unfolded = None;
            }
            let value = self.values.next()?;
            if self.folded && value.contains(&b'\r') {
                self.unfolded = Some(Box::new(Unfolded::of(value)));
            } else {
                self.rest = trim_separators(value);
            }
        }
    }
}

/// A value that had folds, without them, and how far it is read.
struct Unfolded {
    value: String,
    at: usize,
}

impl Unfolded {
    #[cold]
    fn of(value: &[u8]) -> Self {
        Self { value: unfolded(text(value)).into_owned(), at: 0 }
    }

    /// The next challenge, in memory of its own: nobody else keeps the value.
    #[cold]
    fn next(&mut self) -> Option<Result<Challenge<'static>, ChallengeError>> {
        let mut rest = trim_separators(self.value.as_bytes().get(self.at..)?);
        let challenge = if rest.is_empty() { None } else { Some(read(&mut rest)) };
        self.at = self.value.len().wrapping_sub(rest.len());
        Some(challenge?.map(|challenge| challenge.apart()))
    }
}

/// Takes the challenge off `text` that it begins with, and the separators behind it.
fn read<'a>(text: &mut &'a [u8]) -> Result<Challenge<'a>, ChallengeError> {
    let whole = *text;
    let (scheme, mut rest) = cut_word(whole);
    let mut wrong = scheme.is_empty().then_some(ChallengeErrorKind::NoScheme);
    let mut draft =
        Draft { whole, parameters: SmallVec::new(), lengths: 0, own: Vec::new(), owned: 0 };
    loop {
        let piece = trim_separators(rest);
        let (name, behind) = cut_token(piece);
        let taken = match trim_start(behind) {
            [b'=', value @ ..] => draft.take(name, trim_start(value)),
            _ if piece.is_empty() || is_word(name, behind) && is_parted(rest, piece) => {
                *text = piece;
                break;
            }
            _ => Err(ChallengeErrorKind::Parameter),
        };
        rest = taken.unwrap_or_else(|kind| {
            wrong.get_or_insert(kind);
            behind_piece(piece)
        });
    }
    let scheme = Scheme::read_bytes(scheme);
    if let Some(kind) = wrong {
        return Err(ChallengeError { scheme, kind });
    }
    let part = whole.get(..whole.len().wrapping_sub(rest.len())).unwrap_or_default();
    let text = if draft.owned == 0 { Cow::Borrowed(part) } else { draft.own(part) };
    Ok(Challenge { scheme, text, parameters: draft.parameters })
}

/// The parameters of a challenge that is being read.
struct Draft<'a> {
    /// The header value from where the challenge begins.
    whole: &'a [u8],
    parameters: Parameters,
    /// A bit for the length of each name, modulo 32: whoever brings a new one comes for the first time.
    lengths: u32,
    /// What had escapes, without them.
    own: Vec<u8>,
    /// Of each parameter a bit: whether its value stands in there.
    owned: u32,
}

const _: () = assert!(Challenge::PARAMETER_LIMIT <= u32::BITS as usize);

impl<'a> Draft<'a> {
    /// Takes the parameter `name`, whose value `rest` begins with; gives what is behind it.
    #[inline(always)]
    fn take(&mut self, name: &[u8], rest: &'a [u8]) -> Result<&'a [u8], ChallengeErrorKind> {
        use ChallengeErrorKind as Kind;
        let (value, rest) = match rest {
            _ if name.is_empty() => return Err(Kind::Parameter),
            [b'"', inside @ ..] => match inside.split_at_checked(unquoted(inside)) {
                Some((value, [b'"', rest @ ..])) => (value, ended(rest).ok_or(Kind::Quote)?),
                _ => return self.take_escaped(name, inside),
            },
            [] | [b'=' | b',', ..] => return Err(Kind::Parameter),
            bare => {
                let (value, rest) = cut(bare, is_bare_byte);
                (value, ended(rest).ok_or(Kind::Parameter)?)
            }
        };
        self.check(name, value)?;
        let (name, value) = (Span::of_part(name, self.whole), Span::of_part(value, self.whole));
        self.parameters.push(Place { name, value });
        Ok(rest)
    }

    /// The same for a quoted string with escapes, which `inside` begins with.
    #[cold]
    fn take_escaped(
        &mut self,
        name: &[u8],
        inside: &'a [u8],
    ) -> Result<&'a [u8], ChallengeErrorKind> {
        let (value, rest) = cut_quoted(inside).ok_or(ChallengeErrorKind::Quote)?;
        let rest = ended(rest).ok_or(ChallengeErrorKind::Quote)?;
        self.check(name, &value)?;
        let start = self.own.len();
        self.own.extend_from_slice(&value);
        self.owned |= 1 << self.parameters.len();
        let value = Span::new(start, self.own.len());
        self.parameters.push(Place { name: Span::of_part(name, self.whole), value });
        Ok(rest)
    }

    /// `part`, which the challenge was read from, and what had escapes.
    #[cold]
    fn own(&mut self, part: &[u8]) -> Cow<'a, [u8]> {
        for (index, place) in self.parameters.iter_mut().enumerate() {
            if self.owned >> index & 1 == 1 {
                place.value = place.value.moved(0, part.len());
            }
        }
        Cow::Owned([part, &self.own].concat())
    }

    /// Whether there may be such a parameter.
    #[inline(always)]
    fn check(&mut self, name: &[u8], value: &[u8]) -> Result<(), ChallengeErrorKind> {
        use ChallengeErrorKind as Kind;
        let length = 1 << (name.len() & 31);
        if self.lengths & length != 0 && find(&self.parameters, name, self.whole).is_some() {
            return Err(Kind::Duplicate);
        }
        self.lengths |= length;
        if self.parameters.len() >= Challenge::PARAMETER_LIMIT {
            return Err(Kind::TooManyParameters);
        }
        if is_called(name, b"version") && read_version(value).is_none() {
            return Err(Kind::Version);
        }
        Ok(())
    }
}

/// Whether a comma stands between a piece and what was read before it.
fn is_parted(before: &[u8], piece: &[u8]) -> bool {
    let gap = before.len().wrapping_sub(piece.len());
    before.iter().take(gap).any(|&byte| byte == b',')
}

/// What stands behind commas and white space.
#[inline(always)]
fn trim_separators(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b',' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    text
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

/// A byte of a value without quotes: of a token, and what base64 and URIs need besides.
fn is_bare_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b','
}
