//! Values of single rows, as far as a field means exactly the same.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use isp_core::password::{self, StoredPassword};

/// Rates of a plan, kbit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) download: u32,
    pub(super) upload: u32,
    pub(super) download_burst: Option<u32>,
    pub(super) upload_burst: Option<u32>,
    pub(super) download_threshold: Option<u32>,
    pub(super) upload_threshold: Option<u32>,
    pub(super) download_seconds: Option<u32>,
    pub(super) upload_seconds: Option<u32>,
    pub(super) priority: Option<u8>,
    pub(super) download_min: Option<u32>,
    pub(super) upload_min: Option<u32>,
}

/// Stock `sql` takes a value in quotes for text to be expanded, and one in backquotes for a program.
pub(super) fn literal(value: &str) -> Result<&str, String> {
    match value.chars().next() {
        Some('"' | '\'' | '`') => Err("the value is quoted: the server would expand it".to_owned()),
        _ => Ok(value),
    }
}

/// A "known good" password. Never shown, not even in an error.
pub(super) fn password(attribute: &str, value: &str) -> Result<StoredPassword<'static>, String> {
    literal(value)?;
    if value.is_empty() {
        return Err("the password is empty".to_owned());
    }
    let method = match attribute.to_ascii_lowercase().as_str() {
        "cleartext-password" => return cleartext(value),
        "nt-password" => "nt",
        "crypt-password" => "crypt",
        "md5-password" => "md5",
        "ssha-password" => "ssha",
        "sha2-password" if is_hex(value, 64) => "sha256",
        "password-with-header" => return with_header(value),
        _ => return Err("passwords of this form are not kept".to_owned()),
    };
    stored(method, value)
}

fn with_header(value: &str) -> Result<StoredPassword<'static>, String> {
    let (header, rest) = value
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .ok_or("there is no header in front of the password")?;
    match header.to_ascii_lowercase().as_str() {
        "clear" | "cleartext" => cleartext(rest),
        method @ ("crypt" | "md5" | "ssha" | "nt" | "sha256") => stored(method, rest),
        _ => Err("passwords of this form are not kept".to_owned()),
    }
}

fn cleartext(value: &str) -> Result<StoredPassword<'static>, String> {
    if value.len() > password::MAX_PASSWORD {
        return Err("the password is longer than 128 bytes".to_owned());
    }
    if value.chars().any(char::is_control) || value.contains('\\') {
        return Err(
            "the password holds a backslash or a control character, which the server may read otherwise".to_owned(),
        );
    }
    Ok(StoredPassword::Cleartext(Cow::Owned(value.to_owned())))
}

fn stored(method: &str, value: &str) -> Result<StoredPassword<'static>, String> {
    // A scheme in front would win over the method: stock sql knows none.
    if value.contains(':') {
        return Err("the password's hash cannot be read".to_owned());
    }
    StoredPassword::parse(Some(method), value).map_err(|e| e.to_string())
}

fn is_hex(value: &str, digits: usize) -> bool {
    value.len() == digits && value.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A number of seconds, or of sessions. 0 of a field is no limit, of an attribute it is a limit of nothing.
pub(super) fn count(value: &str) -> Result<u32, String> {
    match literal(value)?.trim().parse() {
        Ok(0) => Err("0 says something else in a field".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("the value is no whole number".to_owned()),
    }
}

/// Framed-IP-Address. The last two addresses let the NAS or the user choose (RFC 2865 section 5.8).
pub(super) fn address(value: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = literal(value)?
        .trim()
        .parse()
        .map_err(|_| "the value is no IPv4 address".to_owned())?;
    if u32::from(address) >= u32::MAX - 1 || address.is_unspecified() {
        return Err("the value is no address, it says who chooses one".to_owned());
    }
    Ok(address)
}

/// A name that the NAS knows (Framed-Pool, Filter-Id ...).
pub(super) fn name(value: &str) -> Result<String, String> {
    let name = literal(value)?;
    crate::field::parse::required(name, 253)
}

/// WISPr-Bandwidth-Max-Down and -Up: bit/s.
pub(super) fn bits(value: &str) -> Result<u32, String> {
    let bits: u64 = literal(value)?
        .trim()
        .parse()
        .map_err(|_| "the value is no whole number".to_owned())?;
    kilobits(bits).ok_or_else(|| "the rate is no whole number of kbit/s, or none".to_owned())
}

fn kilobits(bits: u64) -> Option<u32> {
    (bits > 0 && bits.is_multiple_of(1_000))
        .then(|| u32::try_from(bits / 1_000).ok())
        .flatten()
}

/// Mikrotik-Rate-Limit, seen from the router: receiving is what comes from the subscriber.
///
/// `rx[/tx] [rx-burst[/tx-burst] [rx-threshold[/tx-threshold] [rx-time[/tx-time] [priority] [rx-min[/tx-min]]]]]`
pub(super) fn rate_limit(value: &str) -> Result<Rates, String> {
    let bad = || "the value is no rate limit in whole kbit/s".to_owned();
    let mut parts = literal(value)?.split_whitespace();
    let (upload, download) = pair(parts.next().ok_or_else(bad)?, rate).ok_or_else(bad)?;
    let mut rates = Rates {
        download: download.ok_or("a rate of 0 is no limit, and a plan has one")?,
        upload: upload.ok_or("a rate of 0 is no limit, and a plan has one")?,
        ..Rates::default()
    };
    if let Some(part) = parts.next() {
        (rates.upload_burst, rates.download_burst) = pair(part, rate).ok_or_else(bad)?;
    }
    if let Some(part) = parts.next() {
        (rates.upload_threshold, rates.download_threshold) = pair(part, rate).ok_or_else(bad)?;
    }
    if let Some(part) = parts.next() {
        (rates.upload_seconds, rates.download_seconds) = pair(part, seconds).ok_or_else(bad)?;
    }
    if let Some(part) = parts.next() {
        let priority = part.parse().ok().filter(|priority| (1..=8).contains(priority));
        rates.priority = Some(priority.ok_or_else(bad)?);
    }
    if let Some(part) = parts.next() {
        (rates.upload_min, rates.download_min) = pair(part, rate).ok_or_else(bad)?;
    }
    if parts.next().is_some() {
        return Err(bad());
    }
    Ok(rates)
}

/// One value stands for both directions.
fn pair(text: &str, one: fn(&str) -> Option<Option<u32>>) -> Option<(Option<u32>, Option<u32>)> {
    match text.split_once('/') {
        Some((rx, tx)) => Some((one(rx)?, one(tx)?)),
        None => one(text).map(|both| (both, both)),
    }
}

/// bit/s with k or M behind; 0 is no limit.
fn rate(text: &str) -> Option<Option<u32>> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (text.get(..at)?, 1_000),
        (at, 'm' | 'M') => (text.get(..at)?, 1_000_000),
        (at, 'g' | 'G') => (text.get(..at)?, 1_000_000_000),
        _ => (text, 1),
    };
    let bits = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    if bits == 0 {
        Some(None)
    } else {
        kilobits(bits).map(Some)
    }
}

fn seconds(text: &str) -> Option<Option<u32>> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    (seconds <= 86_400).then_some((seconds > 0).then_some(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rate_limits_are_seen_from_the_router() {
        let plain = Rates {
            upload: 10_000,
            download: 20_000,
            ..Rates::default()
        };
        for (text, rates) in [
            ("10M/20M", plain),
            ("10000k/20000k", plain),
            ("10000000/20000000", plain),
            (
                "64k",
                Rates {
                    upload: 64,
                    download: 64,
                    ..Rates::default()
                },
            ),
            ("10M/20M 0/0", plain),
            (
                "10M/20M 15M/30M 8M/16M 10/20 5 1M/2M",
                Rates {
                    upload_burst: Some(15_000),
                    download_burst: Some(30_000),
                    upload_threshold: Some(8_000),
                    download_threshold: Some(16_000),
                    upload_seconds: Some(10),
                    download_seconds: Some(20),
                    priority: Some(5),
                    upload_min: Some(1_000),
                    download_min: Some(2_000),
                    ..plain
                },
            ),
        ] {
            assert_eq!(rate_limit(text), Ok(rates), "{text}");
        }
        for text in [
            "",
            "0/0",
            "10M/0",
            "1500/1500",
            "10M/20M/30M",
            "x",
            "1M/1M 2M/2M 1M/1M 8/8 9",
            "\"10M/20M\"",
            "1M 1M 1M 1 8 1M 1",
        ] {
            assert!(rate_limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_taken_in_forms_that_are_kept() {
        for (attribute, value, scheme) in [
            ("Cleartext-Password", "md5:not a scheme", Some("cleartext")),
            ("NT-Password", "0x8846F7EAEE8FB117AD06BDD830B7586C", Some("nt")),
            ("NT-Password", "8846f7eaee8fb117ad06bdd830b7586c", Some("nt")),
            ("MD5-Password", "5f4dcc3b5aa765d61d8327deb882cf99", Some("md5")),
            ("Crypt-Password", "$1$salt$qJH7.N4xYta3aEG/dfqo/0", Some("crypt")),
            ("Password-With-Header", "{clear}secret", Some("cleartext")),
            (
                "Password-With-Header",
                "{md5}5f4dcc3b5aa765d61d8327deb882cf99",
                Some("md5"),
            ),
            ("Password-With-Header", "secret", None),
            ("Cleartext-Password", "", None),
            ("Cleartext-Password", "`rm`", None),
            ("Cleartext-Password", "\"%{User-Name}\"", None),
            ("LM-Password", "8846f7eaee8fb117ad06bdd830b7586c", None),
            ("SMD5-Password", "x", None),
            ("NT-Password", "short", None),
        ] {
            let taken = password(attribute, value).map(|stored| stored.scheme().as_str());
            assert_eq!(taken.ok(), scheme, "{attribute} {value}");
        }
    }

    #[test]
    fn numbers_and_addresses_mean_what_fields_mean() {
        assert_eq!(count(" 300 "), Ok(300));
        assert!(count("0").is_err() && count("-1").is_err() && count("5m").is_err());
        assert_eq!(address("192.0.2.1"), Ok(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(address("255.255.255.254").is_err() && address("192.0.2.1+").is_err());
        assert_eq!(bits("2000000"), Ok(2_000));
        assert!(bits("2000001").is_err() && bits("0").is_err());
    }
}
