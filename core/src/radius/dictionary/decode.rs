//! From attributes to pairs. Whatever the octets are, each ends up in a pair.

use super::{Cipher, Dictionary, Encryption, Entry, Kind, Pair, Path, VSA, Vendor, is_extended, is_long};
use crate::radius::{Attribute, Attributes};

/// TLVs in TLVs go no deeper.
const DEEPEST: usize = 16;
/// Chargeable-User-Identity: the one attribute that may be empty (RFC 4372 section 2.1).
pub(super) const MAY_BE_EMPTY: &[u32] = &[89];

/// `Err` = it does not follow the form, and stays whole.
type Taken = Result<Vec<Pair>, Malformed>;

struct Malformed;

impl Dictionary {
    /// Take attributes apart. What does not follow its form comes as it is, marked raw; without a cipher, so does what is
    /// hidden. Octets behind a malformed attribute are left out, as are attributes without a value.
    #[must_use]
    pub fn decode(&self, attributes: &[u8], cipher: Option<&Cipher<'_>>) -> Vec<Pair> {
        let mut rest = Attributes::new(attributes);
        let mut pairs = Vec::new();
        while let Some(attribute) = rest.next() {
            let number = u32::from(attribute.kind.0);
            if attribute.value.is_empty() && !MAY_BE_EMPTY.contains(&number) {
                continue;
            }
            let before = rest.clone();
            let taken = match number {
                VSA => self.vendor_specific(attribute.value, &mut rest, cipher),
                _ if is_extended(number) => self.extended(number, attribute.value, &mut rest, cipher),
                _ => Ok(self.value(vec![number], attribute.value, cipher)),
            };
            match taken {
                Ok(taken) => pairs.extend(taken),
                Err(Malformed) => {
                    rest = before;
                    pairs.push(raw(vec![number], attribute.value));
                }
            }
        }
        pairs
    }

    fn vendor_specific(&self, value: &[u8], rest: &mut Attributes<'_>, cipher: Option<&Cipher<'_>>) -> Taken {
        let (vendor, inside) = value.split_first_chunk::<4>().ok_or(Malformed)?;
        let vendor = u32::from_be_bytes(*vendor);
        let form = self.vendor(vendor);
        if inside.is_empty() {
            return Err(Malformed);
        }
        if form.continued {
            return self.continued(vendor, inside, rest, cipher);
        }
        let mut pairs = Vec::new();
        for (number, value) in split(form, inside)? {
            pairs.extend(self.value(vec![VSA, vendor, number], value, cipher));
        }
        Ok(pairs)
    }

    /// A vendor whose values go on in further attributes: number, length, and an octet that says so.
    fn continued(&self, vendor: u32, inside: &[u8], rest: &mut Attributes<'_>, cipher: Option<&Cipher<'_>>) -> Taken {
        let fragment = |inside: &[u8]| match *inside {
            [number, length, more, ref value @ ..] if usize::from(length) == inside.len() && !value.is_empty() => {
                Some((number, more & 0x80 != 0, value.to_vec()))
            }
            _ => None,
        };
        let (number, mut more, mut whole) = fragment(inside).ok_or(Malformed)?;
        while more {
            let next = rest
                .next()
                .filter(|next| u32::from(next.kind.0) == VSA)
                .ok_or(Malformed)?;
            let (next_vendor, inside) = next.value.split_first_chunk::<4>().ok_or(Malformed)?;
            let (next_number, goes_on, value) = fragment(inside).ok_or(Malformed)?;
            if u32::from_be_bytes(*next_vendor) != vendor || next_number != number {
                return Err(Malformed);
            }
            whole.extend(value);
            more = goes_on;
        }
        Ok(self.value(vec![VSA, vendor, number.into()], &whole, cipher))
    }

    /// RFC 6929 sections 2.1 and 2.2.
    fn extended(&self, number: u32, value: &[u8], rest: &mut Attributes<'_>, cipher: Option<&Cipher<'_>>) -> Taken {
        let mut path = vec![number];
        let whole;
        let inside = if is_long(number) {
            whole = defragment(value, number, rest)?;
            path.push(whole.0.into());
            whole.1.as_slice()
        } else {
            let (kind, inside) = value.split_first().ok_or(Malformed)?;
            path.push((*kind).into());
            inside
        };
        if inside.is_empty() {
            return Err(Malformed);
        }
        if path.last() == Some(&VSA) {
            // Extended-Vendor-Specific (RFC 6929 section 2.4): vendor and one octet of type.
            let (vendor, inside) = inside.split_first_chunk::<4>().ok_or(Malformed)?;
            let (kind, inside) = inside.split_first().ok_or(Malformed)?;
            if inside.is_empty() {
                return Err(Malformed);
            }
            path.extend([u32::from_be_bytes(*vendor), (*kind).into()]);
            return Ok(self.value(path, inside, cipher));
        }
        Ok(self.value(path, inside, cipher))
    }

    /// The value of an attribute whose path is known.
    fn value(&self, path: Path, value: &[u8], cipher: Option<&Cipher<'_>>) -> Vec<Pair> {
        match self.at(&path) {
            Some(entry) if entry.kind == Kind::Tlv => {
                let taken = self.tlvs(&path, value, cipher);
                taken.unwrap_or_else(|_| vec![raw(path, value)])
            }
            Some(entry) => vec![leaf(entry, value, cipher).unwrap_or_else(|| raw(path, value))],
            None => vec![raw(path, value)],
        }
    }

    /// RFC 6929 section 2.3.
    fn tlvs(&self, path: &[u32], inside: &[u8], cipher: Option<&Cipher<'_>>) -> Taken {
        if path.len() >= DEEPEST {
            return Err(Malformed);
        }
        let mut pairs = Vec::new();
        for (number, value) in split(Vendor::default(), inside)? {
            pairs.extend(self.value([path, &[number]].concat(), value, cipher));
        }
        Ok(pairs)
    }
}

/// Numbers and values that follow one another without a gap.
fn split(form: Vendor, mut inside: &[u8]) -> Result<Vec<(u32, &[u8])>, Malformed> {
    let mut found = Vec::new();
    while !inside.is_empty() {
        let (number, after) = inside.split_at_checked(form.number).ok_or(Malformed)?;
        let (length, _) = after.split_at_checked(form.length).ok_or(Malformed)?;
        let header = form.number + form.length;
        let length = match form.length {
            0 => inside.len(),
            _ => big_endian(length) as usize,
        };
        let value = inside
            .get(header..length)
            .filter(|value| !value.is_empty())
            .ok_or(Malformed)?;
        found.push((big_endian(number), value));
        inside = inside.get(length..).ok_or(Malformed)?;
    }
    Ok(found)
}

fn big_endian(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

/// Join what a long extended attribute says in several (RFC 6929 section 2.2).
fn defragment(value: &[u8], number: u32, rest: &mut Attributes<'_>) -> Result<(u8, Vec<u8>), Malformed> {
    const MORE: u8 = 0x80;
    let [kind, flags, value @ ..] = value else {
        return Err(Malformed);
    };
    let mut flags = *flags;
    let mut whole = value.to_vec();
    while flags & MORE != 0 {
        let Some(Attribute { kind: next, value }) = rest.next() else {
            return Err(Malformed);
        };
        match value {
            [same, next_flags, value @ ..] if u32::from(next.0) == number && same == kind => {
                whole.extend_from_slice(value);
                flags = *next_flags;
            }
            _ => return Err(Malformed),
        }
    }
    Ok((*kind, whole))
}

/// A value without tag and in clear; `None` where it is not of its form.
fn leaf(entry: &Entry, value: &[u8], cipher: Option<&Cipher<'_>>) -> Option<Pair> {
    let mut value = value.to_vec();
    let mut tag = None;
    if entry.tagged {
        tag = take_tag(entry, &mut value);
        // A tag with nothing behind it is no value: it stays the octet that it is.
        if tag.is_some() && value.is_empty() {
            return None;
        }
    }
    match (entry.encryption, cipher) {
        (Encryption::None, _) => {}
        (Encryption::UserPassword, Some(cipher)) => {
            let clear = cipher.secret.reveal_user_password(&cipher.authenticator, &value)?;
            value.clone_from(clear.expose());
        }
        (Encryption::TunnelPassword, Some(cipher)) => {
            let clear = cipher.secret.reveal_salted(&cipher.authenticator, &value)?;
            value.clone_from(clear.expose());
        }
        (Encryption::Ascend, _) | (_, None) => return None,
    }
    entry.kind.fits(&value).then(|| Pair {
        path: entry.path.clone(),
        tag,
        value,
        raw: false,
    })
}

/// RFC 2868 section 3: an octet before text, or the first octet of a number.
fn take_tag(entry: &Entry, value: &mut Vec<u8>) -> Option<u8> {
    let first = *value.first()?;
    if entry.kind == Kind::Integer {
        // A number has 24 bits then.
        *value.first_mut()? = 0;
        return Some(first);
    }
    // Text may come without one; what is hidden has one always, before the salt.
    if first <= 0x1f || entry.encryption == Encryption::TunnelPassword {
        value.remove(0);
        return Some(first);
    }
    None
}

fn raw(path: Path, value: &[u8]) -> Pair {
    Pair {
        path,
        tag: None,
        value: value.to_vec(),
        raw: true,
    }
}
