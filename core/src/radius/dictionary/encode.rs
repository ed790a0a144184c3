//! From pairs to attributes.

use super::decode::MAY_BE_EMPTY;
use super::{Cipher, Dictionary, Encryption, Entry, Kind, Pair, VSA, Vendor, head, is_extended, is_long, text};

/// Longest value of an attribute (RFC 2865 section 5).
const LONGEST: usize = 253;
/// What an attribute that may be in several fragments holds in all: more than a packet.
const LONGEST_FRAGMENTED: usize = 4_096;

/// Why pairs cannot be written as attributes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    #[error("{0} has {1} octets, more than an attribute holds")]
    TooLong(String, usize),
    #[error("{0} is empty: an attribute without a value must be left out")]
    Empty(String),
    #[error("{0} is no number of an attribute")]
    Path(String),
    #[error("{attribute} takes {takes}")]
    Value { attribute: String, takes: &'static str },
    #[error("{0} takes no tag, or none above 31")]
    Tag(String),
    #[error("{0} is hidden under the shared secret, which is not at hand")]
    Hidden(String),
    #[error("the system gives no random numbers")]
    Random,
}

impl Dictionary {
    /// Append pairs as attributes. Those that follow one another in the same TLV share it.
    ///
    /// # Errors
    /// A pair does not fit its attribute; `out` is as it was then.
    pub fn encode(&self, pairs: &[Pair], cipher: Option<&Cipher<'_>>, out: &mut Vec<u8>) -> Result<(), PairError> {
        let start = out.len();
        let mut rest = pairs;
        while let Some(first) = rest.first() {
            match self.group(first, rest, cipher, out) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Write the first, and as many of those that follow as go into the same attribute; gives how many.
    fn group(
        &self,
        first: &Pair,
        rest: &[Pair],
        cipher: Option<&Cipher<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<usize, PairError> {
        let depth = head(&first.path);
        let number = first.path.first().copied().unwrap_or_default();
        let bare = first.raw && first.path.len() < depth;
        let Some(start) = first.path.get(..depth).filter(|_| !bare) else {
            // The attribute itself, whatever is in it.
            return match (first.raw, first.path.as_slice()) {
                (true, [number]) => attribute(*number, &first.value, out, first).map(|()| 1),
                (true, [number, 26]) if is_extended(*number) => {
                    extended(*number, VSA, &first.value, out, first).map(|()| 1)
                }
                _ => Err(PairError::Path(text::attr(&first.path))),
            };
        };
        let inside = |pair: &Pair| pair.path.len() > depth && pair.path.starts_with(start);
        let mut count = 1;
        if inside(first) {
            count = rest.iter().take_while(|pair| inside(pair)).count();
        }
        let longest = if is_long(number) || (number == VSA && self.vendor(start[1]).continued) {
            LONGEST_FRAGMENTED
        } else {
            LONGEST - overhead(start, self)
        };
        loop {
            let pairs = rest.get(..count).unwrap_or_default();
            let value = self.contents(pairs, depth, cipher)?;
            if value.len() <= longest {
                return self.wrap(start, &value, out, first).map(|()| count);
            }
            if count == 1 {
                return Err(PairError::TooLong(text::attr(&first.path), value.len()));
            }
            count -= 1;
        }
    }

    /// What pairs are behind the first `depth` numbers of their paths, which they share.
    fn contents(&self, pairs: &[Pair], depth: usize, cipher: Option<&Cipher<'_>>) -> Result<Vec<u8>, PairError> {
        if let [pair] = pairs
            && pair.path.len() == depth
        {
            return self.leaf(pair, cipher);
        }
        let mut whole = Vec::new();
        let mut rest = pairs;
        while let Some(first) = rest.first() {
            let number = first.path.get(depth).copied().unwrap_or_default();
            let same = |pair: &&Pair| pair.path.len() > depth + 1 && pair.path.get(depth) == Some(&number);
            let count = rest.iter().take_while(same).count().max(1);
            let mut taken = count;
            let value = loop {
                let value = self.contents(rest.get(..taken).unwrap_or_default(), depth + 1, cipher)?;
                if value.len() <= LONGEST || taken == 1 {
                    break value;
                }
                taken -= 1;
            };
            let length = u8::try_from(value.len() + 2);
            let length = length.map_err(|_| PairError::TooLong(text::attr(&first.path), value.len()))?;
            whole.extend([octet(number, first)?, length]);
            whole.extend(value);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(whole)
    }

    /// A value with its tag, hidden where it has to be.
    fn leaf(&self, pair: &Pair, cipher: Option<&Cipher<'_>>) -> Result<Vec<u8>, PairError> {
        let name = || text::attr(&pair.path);
        if pair.value.is_empty() && !pair.path.first().is_some_and(|first| MAY_BE_EMPTY.contains(first)) {
            return Err(PairError::Empty(name()));
        }
        let entry = self.at(&pair.path).filter(|_| !pair.raw);
        let Some(entry) = entry else {
            return match pair.tag {
                None => Ok(pair.value.clone()),
                Some(_) => Err(PairError::Tag(name())),
            };
        };
        if !entry.kind.fits(&pair.value) {
            return Err(PairError::Value {
                attribute: entry.name.clone(),
                takes: entry.kind.noun(),
            });
        }
        let hidden = match (entry.encryption, cipher) {
            (Encryption::None, _) => pair.value.clone(),
            (Encryption::UserPassword, Some(cipher)) => {
                let blocks = pair.value.len().div_ceil(16).max(1);
                if blocks > 8 {
                    return Err(PairError::TooLong(name(), pair.value.len()));
                }
                let mut padded = pair.value.clone();
                padded.resize(blocks * 16, 0);
                cipher.secret.hide(&cipher.authenticator, &mut padded);
                padded
            }
            (Encryption::TunnelPassword, Some(cipher)) => {
                let mut salt = [0; 2];
                getrandom::fill(&mut salt).map_err(|_| PairError::Random)?;
                let hidden = cipher.secret.hide_salted(&cipher.authenticator, salt, &pair.value);
                hidden.ok_or_else(|| PairError::TooLong(name(), pair.value.len()))?
            }
            (Encryption::Ascend, _) | (_, None) => return Err(PairError::Hidden(entry.name.clone())),
        };
        with_tag(entry, pair.tag, hidden)
    }

    /// A value in the attribute, or the attributes, that hold it.
    fn wrap(&self, start: &[u32], value: &[u8], out: &mut Vec<u8>, pair: &Pair) -> Result<(), PairError> {
        match *start {
            [VSA, vendor, number] => {
                let form = self.vendor(vendor);
                if form.continued {
                    return continued(vendor, octet(number, pair)?, value, out, pair);
                }
                let mut inside = vendor.to_be_bytes().to_vec();
                wide(number, form.number, pair, &mut inside)?;
                if form.length > 0 {
                    let length = u32::try_from(form.number + form.length + value.len()).unwrap_or(u32::MAX);
                    wide(length, form.length, pair, &mut inside)?;
                }
                inside.extend_from_slice(value);
                attribute(VSA, &inside, out, pair)
            }
            [outer, number] => extended(outer, number, value, out, pair),
            [outer, VSA, vendor, number] => {
                let mut inside = vendor.to_be_bytes().to_vec();
                inside.push(octet(number, pair)?);
                inside.extend_from_slice(value);
                extended(outer, VSA, &inside, out, pair)
            }
            [number] => attribute(number, value, out, pair),
            _ => Err(PairError::Path(text::attr(&pair.path))),
        }
    }
}

/// Octets that stand before a value in its attribute.
fn overhead(start: &[u32], dictionary: &Dictionary) -> usize {
    match *start {
        [VSA, vendor, _] => {
            let Vendor { number, length, .. } = dictionary.vendor(vendor);
            4 + number + length
        }
        [_, VSA, _, _] => 6,
        [_, _] => 1,
        _ => 0,
    }
}

fn octet(number: u32, pair: &Pair) -> Result<u8, PairError> {
    u8::try_from(number).map_err(|_| PairError::Path(text::attr(&pair.path)))
}

fn wide(number: u32, octets: usize, pair: &Pair, out: &mut Vec<u8>) -> Result<(), PairError> {
    let bytes = number.to_be_bytes();
    let (above, below) = bytes.split_at_checked(bytes.len() - octets).unwrap_or((&[], &bytes));
    if above.iter().any(|byte| *byte != 0) {
        return Err(PairError::Path(text::attr(&pair.path)));
    }
    out.extend_from_slice(below);
    Ok(())
}

fn attribute(number: u32, value: &[u8], out: &mut Vec<u8>, pair: &Pair) -> Result<(), PairError> {
    let number = octet(number, pair)?;
    let length = u8::try_from(value.len() + 2).map_err(|_| PairError::TooLong(text::attr(&pair.path), value.len()))?;
    out.extend([number, length]);
    out.extend_from_slice(value);
    Ok(())
}

/// RFC 6929 sections 2.1 and 2.2: a long one in as many fragments as it takes.
fn extended(outer: u32, number: u32, value: &[u8], out: &mut Vec<u8>, pair: &Pair) -> Result<(), PairError> {
    let number = octet(number, pair)?;
    if !is_long(outer) {
        return attribute(outer, &[&[number], value].concat(), out, pair);
    }
    let mut fragments = value.chunks(LONGEST - 2).peekable();
    while let Some(fragment) = fragments.next() {
        let flags = if fragments.peek().is_some() { 0x80 } else { 0 };
        attribute(outer, &[&[number, flags], fragment].concat(), out, pair)?;
    }
    Ok(())
}

fn continued(vendor: u32, number: u8, value: &[u8], out: &mut Vec<u8>, pair: &Pair) -> Result<(), PairError> {
    let mut fragments = value.chunks(LONGEST - 7).peekable();
    while let Some(fragment) = fragments.next() {
        let flags = if fragments.peek().is_some() { 0x80 } else { 0 };
        // No longer than the chunks.
        let length = u8::try_from(fragment.len() + 3).unwrap_or(u8::MAX);
        let inside = [&vendor.to_be_bytes(), [number, length, flags].as_slice(), fragment].concat();
        attribute(VSA, &inside, out, pair)?;
    }
    Ok(())
}

fn with_tag(entry: &Entry, tag: Option<u8>, mut value: Vec<u8>) -> Result<Vec<u8>, PairError> {
    match (entry.tagged, tag) {
        (true, _) if entry.kind == Kind::Integer => match value.first_mut() {
            // A number has 24 bits then.
            Some(first) if *first == 0 => {
                *first = tag.unwrap_or(0);
                Ok(value)
            }
            _ => Err(PairError::Value {
                attribute: entry.name.clone(),
                takes: "a number up to 16777215 besides its tag",
            }),
        },
        (true, Some(tag)) if tag <= 0x1f || entry.encryption == Encryption::TunnelPassword => {
            value.insert(0, tag);
            Ok(value)
        }
        // What is hidden has a tag always; text that begins like one needs it.
        (true, None) if entry.encryption == Encryption::TunnelPassword => {
            value.insert(0, 0);
            Ok(value)
        }
        (true, None) if value.first().is_some_and(|first| *first <= 0x1f) => {
            value.insert(0, 0);
            Ok(value)
        }
        (true, None) | (false, None) => Ok(value),
        _ => Err(PairError::Tag(entry.name.clone())),
    }
}
