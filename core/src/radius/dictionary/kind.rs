//! What values are: their form on the wire and as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The type of an attribute (RFC 8044).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Octets,
    /// One octet.
    Byte,
    /// Two octets.
    Short,
    Integer,
    Integer64,
    Signed,
    /// Unix seconds.
    Date,
    Ipv4,
    Ipv4Prefix,
    Ipv6,
    Ipv6Prefix,
    /// An address of either family.
    Ip,
    InterfaceId,
    Ethernet,
    /// Attributes inside.
    Tlv,
    /// Vendor-Specific itself, extended attributes themselves.
    Container,
}

impl Kind {
    /// The dictionaries' word for it.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        // octets[24] says how long it is; that is not held against a value.
        let word = word.split('[').next().unwrap_or(word).to_ascii_lowercase();
        Some(match word.as_str() {
            "string" | "text" => Self::Text,
            // abinary is a filter of Ascend's in a form of its own.
            "octets" | "abinary" => Self::Octets,
            "byte" | "uint8" => Self::Byte,
            "short" | "uint16" => Self::Short,
            "integer" | "uint32" => Self::Integer,
            "integer64" | "uint64" => Self::Integer64,
            "signed" | "int32" => Self::Signed,
            "date" | "time" => Self::Date,
            "ipaddr" | "ipv4addr" => Self::Ipv4,
            "ipv4prefix" => Self::Ipv4Prefix,
            "ipv6addr" => Self::Ipv6,
            "ipv6prefix" => Self::Ipv6Prefix,
            "combo-ip" => Self::Ip,
            "ifid" => Self::InterfaceId,
            "ether" => Self::Ethernet,
            "tlv" => Self::Tlv,
            "vsa" | "extended" | "long-extended" | "evs" => Self::Container,
            _ => return None,
        })
    }

    /// For the sentence "it takes ...".
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Octets => "octets, as 0x00ff",
            Self::Byte => "a number up to 255, or a word for one",
            Self::Short => "a number up to 65535, or a word for one",
            Self::Integer => "a number up to 4294967295, or a word for one",
            Self::Integer64 => "a number",
            Self::Signed => "a number, which may be negative",
            Self::Date => "a time, as 2026-01-31T12:00:00Z or in Unix seconds",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv4Prefix => "an IPv4 prefix",
            Self::Ipv6 => "an IPv6 address",
            Self::Ipv6Prefix => "an IPv6 prefix",
            Self::Ip => "an address",
            Self::InterfaceId => "an interface identifier, as 1:2:3:4",
            Self::Ethernet => "a MAC address",
            Self::Tlv | Self::Container => "no value of its own, but attributes inside",
        }
    }

    /// Can these octets be such a value?
    pub(super) fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::Text | Self::Octets => true,
            Self::Byte => value.len() == 1,
            Self::Short => value.len() == 2,
            Self::Integer | Self::Signed | Self::Date | Self::Ipv4 => value.len() == 4,
            Self::Integer64 | Self::InterfaceId => value.len() == 8,
            Self::Ipv6 => value.len() == 16,
            Self::Ethernet => value.len() == 6,
            Self::Ip => matches!(value.len(), 4 | 16),
            Self::Ipv4Prefix => ipv4_prefix(value).is_some(),
            Self::Ipv6Prefix => ipv6_prefix(value).is_some(),
            Self::Tlv | Self::Container => false,
        }
    }

    /// Numbers, for which there may be words.
    pub(super) fn number(self, value: &[u8]) -> Option<u64> {
        match self {
            Self::Byte | Self::Short | Self::Integer | Self::Integer64 => {
                Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            _ => None,
        }
    }

    pub(super) fn of_number(self, number: u64) -> Option<Vec<u8>> {
        Some(match self {
            Self::Byte => u8::try_from(number).ok()?.to_be_bytes().to_vec(),
            Self::Short => u16::try_from(number).ok()?.to_be_bytes().to_vec(),
            Self::Integer => u32::try_from(number).ok()?.to_be_bytes().to_vec(),
            Self::Integer64 => number.to_be_bytes().to_vec(),
            _ => return None,
        })
    }

    /// The value as text, without quotes; of octets that fit.
    pub(super) fn print(self, value: &[u8]) -> Option<String> {
        let array4 = || <[u8; 4]>::try_from(value).ok();
        let array16 = || <[u8; 16]>::try_from(value).ok();
        Some(match self {
            Self::Text | Self::Octets | Self::Tlv | Self::Container => return None,
            Self::Byte | Self::Short | Self::Integer | Self::Integer64 => self.number(value)?.to_string(),
            Self::Signed => i32::from_be_bytes(array4()?).to_string(),
            Self::Date => jiff::Timestamp::from_second(u32::from_be_bytes(array4()?).into())
                .ok()?
                .to_string(),
            Self::Ipv4 => Ipv4Addr::from(array4()?).to_string(),
            Self::Ipv6 => Ipv6Addr::from(array16()?).to_string(),
            Self::Ip => match array4() {
                Some(v4) => Ipv4Addr::from(v4).to_string(),
                None => Ipv6Addr::from(array16()?).to_string(),
            },
            Self::Ipv4Prefix => ipv4_prefix(value)?.to_string(),
            Self::Ipv6Prefix => ipv6_prefix(value)?.to_string(),
            Self::InterfaceId => {
                let (parts, _) = value.as_chunks::<2>();
                let parts: Vec<String> = parts
                    .iter()
                    .map(|part| format!("{:x}", u16::from_be_bytes(*part)))
                    .collect();
                parts.join(":")
            }
            Self::Ethernet => {
                let parts: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                parts.join(":")
            }
        })
    }

    /// The octets of what a text says.
    pub(super) fn parse(self, text: &str) -> Option<Vec<u8>> {
        Some(match self {
            Self::Text | Self::Octets => text.as_bytes().to_vec(),
            Self::Tlv | Self::Container => return None,
            Self::Byte | Self::Short | Self::Integer | Self::Integer64 => self.of_number(number(text)?)?,
            Self::Signed => text.parse::<i32>().ok()?.to_be_bytes().to_vec(),
            Self::Date => {
                let seconds = match text.parse::<jiff::Timestamp>() {
                    Ok(time) => u32::try_from(time.as_second()).ok()?,
                    Err(_) => text.parse().ok()?,
                };
                seconds.to_be_bytes().to_vec()
            }
            Self::Ipv4 => text
                .strip_suffix("/32")
                .unwrap_or(text)
                .parse::<Ipv4Addr>()
                .ok()?
                .octets()
                .to_vec(),
            Self::Ipv6 => text
                .strip_suffix("/128")
                .unwrap_or(text)
                .parse::<Ipv6Addr>()
                .ok()?
                .octets()
                .to_vec(),
            Self::Ip => Self::Ipv4.parse(text).or_else(|| Self::Ipv6.parse(text))?,
            Self::Ipv4Prefix => {
                let net: Ipv4Net = prefix(text, 32)?;
                [&[0, net.prefix_len()], net.network().octets().as_slice()].concat()
            }
            // RFC 3162 section 2.3: as much of the prefix as has bits.
            Self::Ipv6Prefix => {
                let net: Ipv6Net = prefix(text, 128)?;
                let octets = net.network().octets();
                let bytes = octets.get(..usize::from(net.prefix_len().div_ceil(8)))?;
                [&[0, net.prefix_len()], bytes].concat()
            }
            Self::InterfaceId => {
                let parts: Vec<u16> = text
                    .split(':')
                    .map(|part| u16::from_str_radix(part, 16).ok())
                    .collect::<Option<_>>()?;
                let parts: [u16; 4] = parts.try_into().ok()?;
                parts.into_iter().flat_map(u16::to_be_bytes).collect()
            }
            Self::Ethernet => {
                let parts = text.split([':', '-']).map(|part| u8::from_str_radix(part, 16).ok());
                let bytes: Vec<u8> = parts.collect::<Option<_>>()?;
                (bytes.len() == 6).then_some(bytes)?
            }
        })
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        None => text.parse().ok(),
    }
}

fn prefix<T: std::str::FromStr>(text: &str, whole: u8) -> Option<T> {
    match text.contains('/') {
        true => text.parse().ok(),
        false => format!("{text}/{whole}").parse().ok(),
    }
}

/// RFC 8044 section 3.11: reserved, length, four octets.
fn ipv4_prefix(value: &[u8]) -> Option<Ipv4Net> {
    let [_, length, address @ ..] = value else { return None };
    let address = <[u8; 4]>::try_from(address).ok()?;
    // The upper bits are reserved, too.
    Some(Ipv4Net::new(address.into(), length & 0x3f).ok()?.trunc())
}

/// RFC 3162 section 2.3: reserved, length, up to sixteen octets.
fn ipv6_prefix(value: &[u8]) -> Option<Ipv6Net> {
    let [_, length, address @ ..] = value else { return None };
    let mut octets = [0; 16];
    octets.get_mut(..address.len())?.copy_from_slice(address);
    if address.len() * 8 < usize::from(*length) {
        return None;
    }
    // Bits behind the prefix mean nothing.
    Some(Ipv6Net::new(octets.into(), *length).ok()?.trunc())
}
