//! One-way hashes: their text forms, making one, comparing one.

use std::ops::RangeInclusive;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64ct::{Base64ShaCrypt, Encoding as _};
use md5::Digest as _;
use sha_crypt::ShaCrypt;
use subtle::ConstantTimeEq as _;
use yescrypt::Yescrypt;

use super::stored::unreadable;
use super::{PasswordError, Scheme, md5_crypt};

// What a new hash costs. Argon2id: 19 MiB, two passes, as the OWASP password storage cheat sheet has it.
const NEW_BCRYPT_COST: u32 = 12;
const NEW_ARGON2: (u32, u32, u32) = (19 * 1024, 2, 1);
const NEW_SHA512_CRYPT_ROUNDS: u32 = 100_000;
const NEW_SALT: usize = 12;

// What a stored hash may cost: a second or two on one core, and memory that many at once can have. A login of a hash
// beyond that would outlast the patience of the NAS, so it is refused where it is loaded and not found out at night.
const MAX_BCRYPT_COST: u32 = 15;
const MAX_MEMORY_KIB: u64 = 256 * 1024;
const MAX_ARGON2_WORK_KIB: u64 = 1024 * 1024;
const MAX_ARGON2_LANES: u32 = 16;
const MAX_SHA_CRYPT_ROUNDS: u32 = 1_000_000;
const MAX_YESCRYPT_LANES: u32 = 4;

const MAX_SSHA_SALT: usize = 64;

/// A hash taken apart and found good.
pub(super) enum Hash<'a> {
    Md5([u8; 16]),
    Sha256([u8; 32]),
    Ssha { digest: [u8; 20], salt: Vec<u8> },
    Bcrypt(&'a str),
    Argon2id(Box<Phc>),
    Md5Crypt { salt: &'a str, digest: &'a str },
    ShaCrypt(&'a str),
    Yescrypt(&'a str),
}

/// Strip the mark LDAP puts before a hash; tell a bcrypt hash that is filed under crypt(3).
pub(super) fn normalize(scheme: Scheme, text: &str) -> (Scheme, &str) {
    let bare = match scheme {
        Scheme::Ssha => strip_ignore_case(text, "{SSHA}"),
        Scheme::Crypt => strip_ignore_case(text, "{CRYPT}"),
        _ => text,
    };
    match scheme {
        Scheme::Crypt if bare.starts_with("$2") => (Scheme::Bcrypt, bare),
        _ => (scheme, bare),
    }
}

fn strip_ignore_case<'a>(text: &'a str, mark: &str) -> &'a str {
    match text.split_at_checked(mark.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(mark) => rest,
        _ => text,
    }
}

impl<'a> Hash<'a> {
    /// Take a hash apart, without computing anything.
    pub(super) fn parse(scheme: Scheme, text: &'a str) -> Result<Self, PasswordError> {
        let parsed = match scheme {
            Scheme::Md5 => hex(text).map(Self::Md5).ok_or("it is not 32 hex digits".to_owned()),
            Scheme::Sha256 => hex(text).map(Self::Sha256).ok_or("it is not 64 hex digits".to_owned()),
            Scheme::Ssha => parse_ssha(text),
            Scheme::Bcrypt => parse_bcrypt(text),
            Scheme::Argon2id => parse_argon2(text),
            Scheme::Crypt => parse_crypt(text),
            Scheme::Cleartext | Scheme::Nt => Err("it is not a one-way hash".to_owned()),
        };
        parsed.map_err(|problem| unreadable(scheme, problem))
    }

    /// Hash the candidate and compare, in a time that does not depend on where they differ.
    pub(super) fn matches(&self, candidate: &[u8]) -> Result<bool, PasswordError> {
        let verified = match self {
            Self::Md5(digest) => return Ok(md5::Md5::digest(candidate).ct_eq(digest.as_slice()).into()),
            Self::Sha256(digest) => return Ok(sha2::Sha256::digest(candidate).ct_eq(digest.as_slice()).into()),
            Self::Ssha { digest, salt } => {
                let hash = sha1::Sha1::new().chain_update(candidate).chain_update(salt);
                return Ok(hash.finalize().ct_eq(digest.as_slice()).into());
            }
            Self::Md5Crypt { salt, digest } => {
                let hash = md5_crypt::digest(candidate, salt.as_bytes());
                return Ok(hash.ct_eq(digest.as_bytes()).into());
            }
            Self::Bcrypt(text) => {
                return bcrypt::verify(candidate, text).map_err(|e| unreadable(Scheme::Bcrypt, e.to_string()));
            }
            Self::Argon2id(phc) => (Scheme::Argon2id, Argon2::default().verify_password(candidate, &**phc)),
            Self::ShaCrypt(text) => (Scheme::Crypt, ShaCrypt::SHA512.verify_password(candidate, *text)),
            Self::Yescrypt(text) => (Scheme::Crypt, Yescrypt::default().verify_password(candidate, *text)),
        };
        match verified {
            (_, Ok(())) => Ok(true),
            (_, Err(HashError::PasswordInvalid)) => Ok(false),
            (scheme, Err(error)) => Err(unreadable(scheme, error.to_string())),
        }
    }
}

fn parse_ssha<'a>(text: &str) -> Result<Hash<'a>, String> {
    let bytes = STANDARD.decode(text).map_err(|_| "it is not base64")?;
    let (digest, salt) = bytes
        .split_first_chunk::<20>()
        .ok_or("it is shorter than a SHA-1 digest")?;
    if salt.is_empty() || salt.len() > MAX_SSHA_SALT {
        return Err(format!("its salt has {} bytes, not 1 to {MAX_SSHA_SALT}", salt.len()));
    }
    Ok(Hash::Ssha {
        digest: *digest,
        salt: salt.to_vec(),
    })
}

fn parse_bcrypt(text: &str) -> Result<Hash<'_>, String> {
    if !["$2a$", "$2b$", "$2y$"].iter().any(|mark| text.starts_with(mark)) {
        return Err("it does not start with $2a$, $2b$ or $2y$".to_owned());
    }
    let parts: bcrypt::HashParts = text.parse().map_err(|e: bcrypt::BcryptError| e.to_string())?;
    match parts.get_cost() {
        4..=MAX_BCRYPT_COST => Ok(Hash::Bcrypt(text)),
        cost => Err(format!("cost {cost} is not between 4 and {MAX_BCRYPT_COST}")),
    }
}

fn parse_argon2<'a>(text: &str) -> Result<Hash<'a>, String> {
    let phc = Phc::new(text).map_err(|e| e.to_string())?;
    if phc.algorithm.as_str() != "argon2id" {
        return Err("it does not start with $argon2id$".to_owned());
    }
    if phc.salt.is_none() || phc.hash.is_none_or(|hash| hash.len() < 16) {
        return Err("it has no salt, or less than 16 bytes of hash".to_owned());
    }
    let params = Params::try_from(&phc).map_err(|e| e.to_string())?;
    let (memory, passes, lanes) = (u64::from(params.m_cost()), params.t_cost(), params.p_cost());
    if memory > MAX_MEMORY_KIB {
        return Err(format!("m={memory} is above {MAX_MEMORY_KIB} (KiB)"));
    }
    if memory.saturating_mul(u64::from(passes)) > MAX_ARGON2_WORK_KIB {
        return Err(format!(
            "m={memory},t={passes} is more work than {MAX_ARGON2_WORK_KIB} KiB, written once"
        ));
    }
    if lanes > MAX_ARGON2_LANES {
        return Err(format!("p={lanes} is above {MAX_ARGON2_LANES}"));
    }
    Ok(Hash::Argon2id(Box::new(phc)))
}

fn parse_crypt(text: &str) -> Result<Hash<'_>, String> {
    let mut fields = text.strip_prefix('$').unwrap_or_default().split('$');
    let (Some(id), Some(second), Some(third)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("it is not of the form $ID$SALT$HASH".to_owned());
    };
    let fourth = fields.next();
    if fields.next().is_some() {
        return Err("there is something after the hash".to_owned());
    }
    match (id, fourth) {
        ("1", None) => {
            check_alphabet("salt", second, 1..=8)?;
            check_alphabet("hash", third, 22..=22)?;
            Ok(Hash::Md5Crypt {
                salt: second,
                digest: third,
            })
        }
        ("5" | "6", _) => {
            let (salt, hash) = match fourth {
                None => (second, third),
                Some(hash) => {
                    check_rounds(second)?;
                    (third, hash)
                }
            };
            check_alphabet("salt", salt, 1..=16)?;
            check_base64("hash", hash, if id == "5" { 32..=32 } else { 64..=64 })?;
            Ok(Hash::ShaCrypt(text))
        }
        ("y", Some(hash)) => {
            check_yescrypt(second)?;
            check_base64("salt", third, 1..=64)?;
            check_base64("hash", hash, 32..=32)?;
            Ok(Hash::Yescrypt(text))
        }
        ("1" | "y", _) => Err(format!("${id}$ does not have that many parts")),
        _ => Err("of crypt(3), only $1$, $5$, $6$, $y$ and bcrypt are supported".to_owned()),
    }
}

fn check_alphabet(what: &str, field: &str, length: RangeInclusive<usize>) -> Result<(), String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if length.contains(&field.len()) && field.bytes().all(known) {
        return Ok(());
    }
    Err(format!("its {what} is not {} characters of ./0-9A-Za-z", span(&length)))
}

/// Stricter than the alphabet alone: the last character must not carry bits of no byte.
fn check_base64(what: &str, field: &str, bytes: RangeInclusive<usize>) -> Result<(), String> {
    match Base64ShaCrypt::decode_vec(field) {
        Ok(decoded) if bytes.contains(&decoded.len()) => Ok(()),
        _ => Err(format!(
            "its {what} is not {} bytes in base64 of crypt(3)",
            span(&bytes)
        )),
    }
}

fn span(range: &RangeInclusive<usize>) -> String {
    match (range.start(), range.end()) {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    }
}

fn check_rounds(field: &str) -> Result<(), String> {
    let rounds = field
        .strip_prefix("rounds=")
        .and_then(|digits| digits.parse::<u32>().ok());
    match rounds {
        Some(1000..=MAX_SHA_CRYPT_ROUNDS) => Ok(()),
        Some(rounds) => Err(format!(
            "rounds={rounds} is not between 1000 and {MAX_SHA_CRYPT_ROUNDS}"
        )),
        None => Err("it has four parts, and the first is not rounds=NUMBER".to_owned()),
    }
}

fn check_yescrypt(field: &str) -> Result<(), String> {
    let params: yescrypt::Params = field.parse().map_err(|e: yescrypt::Error| e.to_string())?;
    // 128 r N bytes; the parameters are small numbers or powers of two, so nothing near overflow is under the limit.
    let memory = u64::from(params.r()).saturating_mul(params.n()) / 8;
    if memory > MAX_MEMORY_KIB {
        return Err(format!(
            "its parameters ask for {memory} KiB, which is above {MAX_MEMORY_KIB}"
        ));
    }
    if params.p() > MAX_YESCRYPT_LANES {
        return Err(format!("p={} is above {MAX_YESCRYPT_LANES}", params.p()));
    }
    Ok(())
}

/// Exactly `N` bytes in hex, of either case.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != N {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}

/// Hash a new password, in the text form without scheme.
pub(super) fn hash(scheme: Scheme, password: &[u8]) -> Result<String, PasswordError> {
    let failed = |problem: String| PasswordError::Hash { scheme, problem };
    match scheme {
        Scheme::Md5 => Ok(to_hex(&md5::Md5::digest(password))),
        Scheme::Sha256 => Ok(to_hex(&sha2::Sha256::digest(password))),
        Scheme::Ssha => {
            let salt = salt().map_err(|e| failed(e.to_string()))?;
            let digest = sha1::Sha1::new().chain_update(password).chain_update(salt).finalize();
            Ok(STANDARD.encode([digest.as_slice(), &salt].concat()))
        }
        // bcrypt ignores what is past 72 bytes, the closing NUL included; better no hash than one of half the password.
        Scheme::Bcrypt => bcrypt::non_truncating_hash(password, NEW_BCRYPT_COST).map_err(|error| match error {
            bcrypt::BcryptError::Truncation(_) => PasswordError::Unsuitable {
                problem: "is longer than the 71 bytes bcrypt takes",
            },
            other => failed(other.to_string()),
        }),
        Scheme::Argon2id => {
            let (memory, passes, lanes) = NEW_ARGON2;
            let params = Params::new(memory, passes, lanes, None).map_err(|e| failed(e.to_string()))?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let phc: Phc = argon2.hash_password(password).map_err(|e| failed(e.to_string()))?;
            Ok(phc.to_string())
        }
        // The form every crypt(3) since 2007 reads.
        Scheme::Crypt => {
            let params = sha_crypt::Params::new(NEW_SHA512_CRYPT_ROUNDS).map_err(|e| failed(e.to_string()))?;
            let salt = salt().map_err(|e| failed(e.to_string()))?;
            let hasher = ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, params);
            let hash = hasher.hash_password_with_salt(password, &salt);
            hash.map(|hash| hash.as_str().to_owned())
                .map_err(|e| failed(e.to_string()))
        }
        Scheme::Cleartext | Scheme::Nt => Err(failed("it is kept sealed, not hashed".to_owned())),
    }
}

fn salt() -> Result<[u8; NEW_SALT], getrandom::Error> {
    let mut salt = [0; NEW_SALT];
    getrandom::fill(&mut salt)?;
    Ok(salt)
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
