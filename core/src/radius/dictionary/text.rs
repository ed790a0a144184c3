//! Pairs as people read and write them: `Tunnel-Private-Group-Id:1 = "100"`, `Attr-26.9.1 = 0x616263`.

use std::fmt;

use super::decode::MAY_BE_EMPTY;
use super::{Dictionary, Encryption, Entry, Kind, Pair, Path};

/// No attribute has a longer name, by far.
const LONGEST_NAME: usize = 64;

/// Why a text is no pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("{0:?}: expected Attribute = value")]
    Form(String),
    #[error("there is no attribute {name}{}", nearest(.near))]
    Unknown { name: String, near: Option<String> },
    #[error("{attribute} takes {takes}, not {value:?}")]
    Value {
        attribute: String,
        takes: &'static str,
        value: String,
    },
    #[error("{0} takes no tag, or none above 31")]
    Tag(String),
}

fn nearest(near: &Option<String>) -> String {
    near.as_ref()
        .map_or_else(String::new, |near| format!("; is it {near}?"))
}

impl Dictionary {
    /// Read `Name = value`, `Name:1 = value` or `Attr-26.9.1 = 0x616263`. Text is quoted or not; quoted, `\n`, `\"`, `\\`
    /// and three octal digits after `\` stand for what they do in the server's files.
    ///
    /// # Errors
    /// There is no such attribute, or it cannot have the value.
    pub fn parse(&self, text: &str) -> Result<Pair, TextError> {
        let form = || TextError::Form(text.to_owned());
        let (left, right) = text.split_once('=').ok_or_else(form)?;
        let left = left.trim_end_matches([':', '+']).trim();
        let right = right.trim();
        if left.is_empty() || right.is_empty() {
            return Err(form());
        }
        if let Some(path) = numbers(left) {
            let value = hexadecimal(right).ok_or_else(|| TextError::Value {
                attribute: left.to_owned(),
                takes: "octets, as 0x00ff",
                value: right.to_owned(),
            })?;
            return Ok(Pair {
                path,
                tag: None,
                value,
                raw: true,
            });
        }
        let (name, tag) = match left.split_once(':') {
            Some((name, tag)) => {
                let tag = tag.parse().ok().filter(|tag| *tag <= 0x1f);
                (name, Some(tag.ok_or_else(|| TextError::Tag(name.to_owned()))?))
            }
            None => (left, None),
        };
        let entry = self.named(name, tag)?;
        made(entry, tag, right, value(entry, right))
    }

    /// A pair of its parts; the value without quotes, and with nothing escaped.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn pair(&self, name: &str, tag: Option<u8>, value: &str) -> Result<Pair, TextError> {
        let entry = self.named(name, tag)?;
        let octets = match entry.kind {
            Kind::Octets => hexadecimal(value).or_else(|| Some(value.as_bytes().to_vec())),
            kind => parsed(entry, kind, value),
        };
        made(entry, tag, value, octets)
    }

    fn named(&self, name: &str, tag: Option<u8>) -> Result<&Entry, TextError> {
        let entry = self.get(name).ok_or_else(|| TextError::Unknown {
            name: name.to_owned(),
            near: self.near(name),
        })?;
        match tag {
            Some(tag) if !entry.tagged || tag > 0x1f => Err(TextError::Tag(entry.name.clone())),
            _ => Ok(entry),
        }
    }

    /// The pair as [`Self::parse`] reads it.
    #[must_use]
    pub const fn print<'a>(&'a self, pair: &'a Pair) -> Printed<'a> {
        Printed { dictionary: self, pair }
    }

    fn near(&self, name: &str) -> Option<String> {
        // Whoever gives a whole text for a name has not misspelt one.
        if name.len() > LONGEST_NAME {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let distance = |known: &str| strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase());
        let nearest = self
            .entries
            .iter()
            .map(|entry| (distance(&entry.name), &entry.name))
            .min()?;
        (nearest.0 <= 3).then(|| nearest.1.clone())
    }
}

/// A pair as text.
#[derive(Debug, Clone, Copy)]
pub struct Printed<'a> {
    dictionary: &'a Dictionary,
    pair: &'a Pair,
}

impl Printed<'_> {
    /// The name, or the numbers where there is none.
    #[must_use]
    pub fn name(&self) -> String {
        match self.entry() {
            Some(entry) => entry.name.clone(),
            None => attr(&self.pair.path),
        }
    }

    /// The value without quotes and with nothing escaped, as far as it is text.
    #[must_use]
    pub fn value(&self) -> String {
        let value = &self.pair.value;
        match self.entry() {
            Some(entry) if entry.kind == Kind::Text => String::from_utf8_lossy(value).into_owned(),
            Some(entry) => plain(entry, value),
            None => hex(value),
        }
    }

    fn entry(&self) -> Option<&Entry> {
        let entry = self.dictionary.at(&self.pair.path)?;
        (!self.pair.raw && entry.kind.fits(&self.pair.value)).then_some(entry)
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(entry) = self.entry() else {
            return write!(f, "{} = {}", attr(&self.pair.path), hex(&self.pair.value));
        };
        f.write_str(&entry.name)?;
        if let Some(tag) = self.pair.tag {
            write!(f, ":{tag}")?;
        }
        f.write_str(" = ")?;
        match entry.kind {
            Kind::Text => write!(f, "\"{}\"", escaped(&self.pair.value)),
            Kind::Date => write!(f, "\"{}\"", plain(entry, &self.pair.value)),
            _ => f.write_str(&plain(entry, &self.pair.value)),
        }
    }
}

fn made(entry: &Entry, tag: Option<u8>, text: &str, value: Option<Vec<u8>>) -> Result<Pair, TextError> {
    let value = value.ok_or_else(|| TextError::Value {
        attribute: entry.name.clone(),
        takes: entry.kind.noun(),
        // It may be a password.
        value: if entry.encryption == Encryption::None {
            text
        } else {
            "…"
        }
        .to_owned(),
    })?;
    Ok(Pair {
        path: entry.path.clone(),
        tag,
        value,
        raw: false,
    })
}

/// `Attr-26.9.1`.
pub(super) fn attr(path: &[u32]) -> String {
    let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
    format!("Attr-{}", numbers.join("."))
}

fn numbers(name: &str) -> Option<Path> {
    let prefix = name.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("Attr-"))?;
    let numbers: Path = name
        .get(prefix.len()..)?
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    (1..=255).contains(numbers.first()?).then_some(numbers)
}

fn plain(entry: &Entry, value: &[u8]) -> String {
    let word = entry.kind.number(value).and_then(|number| entry.word(number));
    match word {
        Some(word) => word.to_owned(),
        None => entry.kind.print(value).unwrap_or_else(|| hex(value)),
    }
}

fn value(entry: &Entry, text: &str) -> Option<Vec<u8>> {
    if let Some(quoted) = text.strip_prefix('"') {
        let octets = unescaped(quoted.strip_suffix('"')?)?;
        return match entry.kind {
            Kind::Text | Kind::Octets => Some(octets),
            kind => parsed(entry, kind, std::str::from_utf8(&octets).ok()?),
        };
    }
    match entry.kind {
        Kind::Octets => hexadecimal(text),
        kind => parsed(entry, kind, text),
    }
    .filter(|value| !value.is_empty() || entry.path.first().is_some_and(|first| MAY_BE_EMPTY.contains(first)))
}

fn parsed(entry: &Entry, kind: Kind, text: &str) -> Option<Vec<u8>> {
    match entry.number(text) {
        Some(number) => kind.of_number(number),
        None => kind.parse(text),
    }
}

fn hex(value: &[u8]) -> String {
    use fmt::Write as _;
    value.iter().fold("0x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|pair| {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()
        })
        .collect()
}

/// Text between quotes: what is no character, or does not show, in octal.
fn escaped(value: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                control if control.is_control() => {
                    let mut octets = [0; 4];
                    for octet in control.encode_utf8(&mut octets).bytes() {
                        let _ = write!(text, "\\{octet:03o}");
                    }
                }
                other => text.push(other),
            }
        }
        for octet in chunk.invalid() {
            let _ = write!(text, "\\{octet:03o}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'"' {
            return None;
        }
        if *first != b'\\' {
            octets.push(*first);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        octets.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0'..=b'7' => {
                let (more, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                let digits = [*escape, more[0], more[1]];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?
            }
            other => *other,
        });
    }
    Some(octets)
}
