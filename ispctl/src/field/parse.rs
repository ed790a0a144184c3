//! Checked conversions from text to field types. Every error ends the sentence "FIELD: ".

use isp_core::policy::hours::Hours;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;

/// User-Name is one attribute: 253 bytes at most (RFC 2865 section 5.1).
pub(crate) const USERNAME_MAX: usize = 253;

/// Text without control characters, `max` bytes at most, not empty.
pub(crate) fn required(text: &str, max: usize) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > max {
        return Err(format!("is {} bytes long, at most {max} fit", text.len()));
    }
    no_controls(text)?;
    Ok(text.to_owned())
}

fn no_controls(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("holds the control character U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

pub(crate) fn optional(text: &str, max: usize) -> Result<Option<String>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        required(text, max).map(Some)
    }
}

/// Like [`optional`], for what is no part of an attribute: characters count, in whatever script.
pub(crate) fn words(text: &str, max: usize) -> Result<Option<String>, String> {
    prose_without(text, text, max)
}

fn prose_without(text: &str, checked: &str, max: usize) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let length = checked.chars().count();
    if length > max {
        return Err(format!("is {length} characters long, at most {max} fit"));
    }
    no_controls(checked)?;
    Ok(Some(text.to_owned()))
}

/// An address of the web, with its scheme.
pub(crate) fn web_address(text: &str, max: usize) -> Result<Option<String>, String> {
    let address = optional(text.trim(), max)?;
    match &address {
        Some(address) if !address.starts_with("http://") && !address.starts_with("https://") => {
            Err(format!("{address:?} does not begin with http:// or https://"))
        }
        _ => Ok(address),
    }
}

/// Like [`words`], but line breaks and tabs may be in it.
pub(crate) fn prose(text: &str, max: usize) -> Result<Option<String>, String> {
    prose_without(text, &text.replace(['\n', '\r', '\t'], " "), max)
}

/// Anything with a `FromStr`; blanks around it do not count.
pub(crate) fn value<T: FromStr<Err: Display>>(text: &str) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|e: T::Err| format!("{text:?}: {e}")),
    }
}

/// A whole number within `range`.
pub(crate) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<Option<T>, String>
where
    T: FromStr + PartialOrd + Display,
{
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(format!(
            "{text:?} is no whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// A rate in kbit/s, or with a unit: `512k`, `100M`, `1G`.
pub(crate) fn rate(text: &str) -> Result<Option<u32>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    match digits.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)) {
        // The database's column is a signed 32-bit number.
        Some(kbps) if (1..=i32::MAX.unsigned_abs()).contains(&kbps) => Ok(Some(kbps)),
        _ => Err(format!("{text:?} is no rate in kbit/s above 0 (or 512k, 100M, 1G)")),
    }
}

/// An instant as Unix seconds: `2026-01-31`, `2026-01-31T18:00:00Z`, `2026-01-31T18:00:00+02:00` or the number itself. UTC
/// where no offset says otherwise.
pub(crate) fn instant(text: &str) -> Result<Option<i64>, String> {
    // The databases keep calendar dates: years 1970 to 9999.
    const LAST: i64 = 253_402_300_799;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = text.parse().ok().or_else(|| {
        let whole = if text.len() == 10 {
            format!("{text}T00:00:00Z")
        } else {
            text.to_owned()
        };
        let utc = || {
            let at = humantime::parse_rfc3339_weak(&whole).ok()?;
            i64::try_from(at.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
        };
        utc().or_else(|| Some(whole.parse::<jiff::Timestamp>().ok()?.as_second()))
    });
    match seconds {
        Some(seconds) if (0..=LAST).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(format!(
            "{text:?} is no date (2026-01-31), UTC time (2026-01-31T18:00:00Z), time with an offset \
             (2026-01-31T18:00:00+02:00) or Unix seconds"
        )),
    }
}

/// An instant, or a day, which begins when the clocks of its place say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(i64),
    Day(jiff::civil::Date),
}

impl When {
    pub(crate) fn resolve(self, zone: &jiff::tz::TimeZone) -> Result<i64, String> {
        match self {
            Self::At(seconds) => Ok(seconds),
            Self::Day(day) => {
                let begin = day.to_zoned(zone.clone()).map_err(|why| why.to_string())?;
                Ok(begin.timestamp().as_second())
            }
        }
    }
}

/// As [`moment`], but that a date alone is a day of the place it is asked about.
pub(crate) fn when(text: &str) -> Result<When, String> {
    let seconds = moment(text)?;
    let text = text.trim();
    let day = if text.len() == 10 { text.parse().ok() } else { None };
    Ok(day.map_or(When::At(seconds), When::Day))
}

/// An instant that must be there.
pub(crate) fn moment(text: &str) -> Result<i64, String> {
    instant(text)?.ok_or_else(|| "must not be empty".to_owned())
}

/// Octets: `5000000000`, `500G` (decimal) or `500Gi` (binary).
pub(crate) fn octets(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    amount(text, &UNITS).ok_or_else(|| format!("{text:?} is no number of octets above 0 (or 500M, 10G, 1Ti)"))
}

/// A time in seconds: `3600`, `90m`, `10h`, `30d`, `2w`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
    amount(text, &UNITS).ok_or_else(|| format!("{text:?} is no number of seconds above 0 (or 90m, 10h, 30d)"))
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let with_unit = |(unit, factor): &(&str, u64)| Some((text.strip_suffix(unit)?, *factor));
    let (digits, factor) = units.iter().find_map(with_unit).unwrap_or((text, 1));
    let amount = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    // The databases' widest number is signed.
    (1..=i64::MAX.unsigned_abs()).contains(&amount).then_some(amount)
}

/// JSON, kept as it came.
pub(crate) fn json(text: &str) -> Result<Option<String>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| Some(text.to_owned()))
        .map_err(|e| format!("not JSON: {e}"))
}

/// A hardware address in any usual punctuation, as `AA:BB:CC:DD:EE:FF`.
pub(crate) fn mac_address(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) {
        return Err(format!("{text:?} is no MAC address"));
    }
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect();
    Ok(Some(pairs.join(":").to_ascii_uppercase()))
}

/// Hours of the week.
pub(crate) fn login_time(text: &str) -> Result<Option<String>, String> {
    let hours = optional(text, 255)?;
    if let Some(hours) = &hours {
        Hours::parse(hours).map_err(|why| why.to_string())?;
    }
    Ok(hours)
}

pub(crate) fn username(text: &str) -> Result<String, String> {
    required(text, USERNAME_MAX)
}

/// An address or a network in canonical form: no prefix length on a single host, no bits set past the prefix.
pub(crate) fn nasname(text: &str) -> Result<String, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(address.to_canonical().to_string());
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is no IP address or network (192.0.2.1, 2001:db8::/48)"))?;
    if network.trunc() != network {
        return Err(format!(
            "{text:?} has bits set past its prefix: did you mean {}?",
            network.trunc()
        ));
    }
    if network.prefix_len() == network.max_prefix_len() {
        return Ok(network.addr().to_string());
    }
    Ok(network.to_string())
}

/// One of a few words.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|&(_, meaning)| meaning)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
            format!("{text:?} is none of {}", known.join(", "))
        })
}

/// A switch.
pub(crate) fn flag(text: &str) -> Result<bool, String> {
    word(
        text,
        &[
            ("true", true),
            ("yes", true),
            ("on", true),
            ("false", false),
            ("no", false),
            ("off", false),
        ],
    )
}

/// A word of an open set, as the database keeps them: lower case, digits and underscores.
pub(crate) fn identifier(text: &str, max: usize) -> Result<String, String> {
    let text = required(text.trim(), max)?;
    if text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
    {
        Ok(text)
    } else {
        Err(format!(
            "{text:?} may only have lower-case letters, digits, '_' and '-'"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn usernames_hold_253_bytes_and_no_control_characters() {
        assert!(username(&"x".repeat(253)).is_ok());
        assert!(username(&"x".repeat(254)).unwrap_err().contains("253"));
        assert!(username(&"é".repeat(127)).unwrap_err().contains("254 bytes"));
        for bad in ["", "a\0b", "a\nb", "\u{7f}"] {
            assert!(username(bad).is_err(), "{bad:?}");
        }
        for good in ["o'neil; DROP TABLE nas", "%s%n", "a b", "user@realm"] {
            assert_eq!(username(good).unwrap(), good);
        }
    }

    #[test]
    fn nas_names_are_canonical_addresses_or_networks() {
        for (text, canonical) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(nasname(text).unwrap(), canonical);
        }
        assert!(nasname("192.0.2.1/24").unwrap_err().contains("192.0.2.0/24"));
        for bad in ["", "router1", "192.0.2", "192.0.2.1/33"] {
            assert!(nasname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rates_take_units() {
        for (text, kbps) in [("1", 1), ("512k", 512), ("100M", 100_000), ("2g", 2_000_000)] {
            assert_eq!(rate(text).unwrap(), Some(kbps));
        }
        for bad in ["0", "-1", "M", "1.5M", "3G5", "9999999999", "4000G", "é"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts_take_units() {
        for (text, amount) in [
            ("5000000000", 5_000_000_000),
            ("500G", 500_000_000_000),
            ("5Gi", 5 << 30),
            ("1T", 1_000_000_000_000),
            (" 7k ", 7_000),
        ] {
            assert_eq!(octets(text).unwrap(), amount, "{text}");
        }
        for (text, amount) in [("30", 30), ("90m", 5_400), ("10h", 36_000), ("30d", 2_592_000)] {
            assert_eq!(seconds(text).unwrap(), amount, "{text}");
        }
        for bad in ["", "0", "-1", "G", "1.5G", "9999999999T", "10h", "+", "1 G"] {
            assert!(octets(bad).is_err(), "{bad:?}");
        }
        assert!(seconds("10G").is_err());
    }

    #[test]
    fn instants_are_dates_times_or_seconds() {
        for (text, seconds) in [
            ("1970-01-02", 86_400),
            ("1970-01-01T00:01:00Z", 60),
            ("1970-01-01 00:01:00", 60),
            ("1700000000", 1_700_000_000),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-01 00:00:00-03:30", 12_600),
        ] {
            assert_eq!(instant(text).unwrap(), Some(seconds), "{text}");
        }
        for bad in [
            "-5",
            "253402300800",
            "tomorrow",
            "2026-13-01",
            "2026-02-30",
            "31.01.2026",
        ] {
            assert!(instant(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mac_addresses_are_written_one_way() {
        for text in [
            "aa:bb:cc:dd:ee:ff",
            "AABB.CCDD.EEFF",
            "aa-bb-cc-dd-ee-ff",
            "aabbccddeeff",
        ] {
            assert_eq!(mac_address(text).unwrap().unwrap(), "AA:BB:CC:DD:EE:FF");
        }
        assert!(mac_address("aa:bb:cc:dd:ee").is_err());
        assert!(mac_address("aa:bb:cc:dd:ee:gg").is_err());
    }

    #[test]
    fn web_addresses_have_a_scheme() {
        assert_eq!(web_address("", 9).unwrap(), None);
        assert_eq!(
            web_address(" https://pay.example/ ", 99).unwrap().unwrap(),
            "https://pay.example/"
        );
        assert!(web_address("pay.example", 99).unwrap_err().contains("https://"));
        assert!(web_address("https://pay.example/", 9).unwrap_err().contains('9'));
    }

    #[test]
    fn empty_text_clears() {
        assert_eq!(optional("", 9).unwrap(), None);
        assert_eq!(number::<u16>(" ", 1..=4094).unwrap(), None);
        assert_eq!(json("").unwrap(), None);
    }
}
