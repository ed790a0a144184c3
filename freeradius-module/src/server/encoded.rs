//! Values of a reply as the server's pairs hold them.

use isp_core::policy::reply::Value as ReplyValue;

use crate::attribute::ipv6_prefix_bytes;

/// The bytes of a value as a pair holds them.
pub(super) enum Encoded<'a> {
    Text(&'a [u8]),
    Four([u8; 4]),
    Sixteen([u8; 16]),
    Prefix([u8; 18]),
}

impl Encoded<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Four(bytes) => bytes,
            Self::Sixteen(bytes) => bytes,
            Self::Prefix(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a ReplyValue<'a>> for Encoded<'a> {
    fn from(value: &'a ReplyValue<'a>) -> Self {
        match value {
            ReplyValue::Text(text) => Self::Text(text.as_bytes()),
            ReplyValue::Integer(integer) => Self::Four(integer.to_ne_bytes()),
            ReplyValue::Ipv4(address) => Self::Four(address.octets()),
            ReplyValue::Ipv6(address) => Self::Sixteen(address.octets()),
            ReplyValue::Ipv6Prefix(prefix) => Self::Prefix(ipv6_prefix_bytes(*prefix)),
        }
    }
}
