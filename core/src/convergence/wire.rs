//! Orders in the terms of the protocol: attribute names to numbers, texts to values.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::coa::Order;
use crate::order::{LiveSession, OrderItem, OrderKind};
use crate::policy::vendor::Coa;
use crate::policy::vendor::coa::SessionKey;
use crate::radius::AttributeType;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Ipv4,
    Ipv6,
    Prefix,
    /// Text behind a tag (RFC 2868 section 3).
    Tagged,
}
use Kind::{Integer, Ipv4, Ipv6, Prefix, Tagged, Text};

/// Name, enterprise number (0 = none), number, what its values are. In the order of the names.
const ATTRIBUTES: &[(&str, u32, u8, Kind)] = &[
    ("Acct-Interim-Interval", 0, 85, Integer),
    ("Acct-Multi-Session-Id", 0, 50, Text),
    ("Acct-Session-Id", 0, 44, Text),
    ("Alc-SLA-Prof-Str", 6527, 13, Text),
    ("Alc-Subsc-Prof-Str", 6527, 12, Text),
    ("Alc-Subscriber-QoS-Override", 6527, 126, Text),
    ("Called-Station-Id", 0, 30, Text),
    ("Calling-Station-Id", 0, 31, Text),
    ("Cisco-AVPair", 9, 1, Text),
    ("Cisco-Account-Info", 9, 250, Text),
    ("Class", 0, 25, Text),
    ("Delegated-IPv6-Prefix", 0, 123, Prefix),
    ("ERX-CoS-Shaping-Pmt-Type", 4874, 108, Text),
    ("ERX-Ingress-Policy-Name", 4874, 10, Text),
    ("ERX-Qos-Profile-Name", 4874, 26, Text),
    ("ERX-Service-Activate", 4874, 65, Tagged),
    ("ERX-Service-Deactivate", 4874, 66, Text),
    ("Filter-Id", 0, 11, Text),
    ("Framed-IP-Address", 0, 8, Ipv4),
    ("Framed-IPv6-Address", 0, 168, Ipv6),
    ("Framed-IPv6-Pool", 0, 100, Text),
    ("Framed-IPv6-Prefix", 0, 97, Prefix),
    ("Framed-Pool", 0, 88, Text),
    ("Framed-Route", 0, 22, Text),
    ("H3C-Input-Average-Rate", 25506, 2, Integer),
    ("H3C-Input-Peak-Rate", 25506, 1, Integer),
    ("H3C-Output-Average-Rate", 25506, 5, Integer),
    ("H3C-Output-Peak-Rate", 25506, 4, Integer),
    ("Huawei-Down-QOS-Profile-Name", 2011, 182, Text),
    ("Huawei-Input-Average-Rate", 2011, 2, Integer),
    ("Huawei-Input-Peak-Rate", 2011, 3, Integer),
    ("Huawei-Output-Average-Rate", 2011, 5, Integer),
    ("Huawei-Output-Peak-Rate", 2011, 6, Integer),
    ("Huawei-PortalURL", 2011, 27, Text),
    ("Huawei-Qos-Profile-Name", 2011, 31, Text),
    ("Idle-Timeout", 0, 28, Integer),
    ("Mikrotik-Address-List", 14988, 19, Text),
    ("Mikrotik-Rate-Limit", 14988, 8, Text),
    ("NAS-IP-Address", 0, 4, Ipv4),
    ("NAS-IPv6-Address", 0, 95, Ipv6),
    ("NAS-Identifier", 0, 32, Text),
    ("NAS-Port", 0, 5, Integer),
    ("NAS-Port-Id", 0, 87, Text),
    ("Reply-Message", 0, 18, Text),
    ("Session-Timeout", 0, 27, Integer),
    ("Termination-Action", 0, 29, Integer),
    ("User-Name", 0, 1, Text),
    ("WISPr-Bandwidth-Max-Down", 14122, 8, Integer),
    ("WISPr-Bandwidth-Max-Up", 14122, 7, Integer),
    ("WISPr-Redirection-URL", 14122, 4, Text),
    ("ZTE-QOS-Profile-Up", 3902, 94, Text),
    ("ZTE-QoS-Profile-Down", 3902, 82, Text),
    ("ZTE-Rate-Ctrl-SCR-Down", 3902, 83, Integer),
    ("ZTE-Rate-Ctrl-SCR-Up", 3902, 89, Integer),
];

/// Why an order cannot be put into a packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("{0} is no attribute that is known here")]
    Unknown(String),
    #[error("{attribute} cannot be {value:?}")]
    Value { attribute: String, value: String },
}

/// The packet that tells a NAS of the vendor to do this to the session. `now` is Unix seconds.
///
/// # Errors
/// An attribute is not known, or cannot have its value.
pub(super) fn order<'a>(
    kind: OrderKind,
    coa: &Coa,
    session: &LiveSession,
    items: impl IntoIterator<Item = &'a OrderItem>,
    now: i64,
) -> Result<Order, WireError> {
    let mut order = match kind {
        OrderKind::Change => Order::change(),
        OrderKind::Disconnect => Order::disconnect(),
    };
    for item in identification(coa, session) {
        order = with(order, &item, now)?;
    }
    if kind == OrderKind::Change {
        for item in items {
            order = with(order, item, now)?;
        }
    }
    Ok(order)
}

/// What tells the NAS and the session (RFC 5176 section 3): of the vendor's choices the first of which accounting told all,
/// else what it told of the first.
fn identification(coa: &Coa, session: &LiveSession) -> Vec<OrderItem> {
    let told = |keys: &[SessionKey]| -> Vec<OrderItem> {
        let item = |key: &SessionKey| Some(OrderItem::new(key.name(), key.of(session)?));
        keys.iter().filter_map(item).collect()
    };
    let whole = coa
        .session
        .iter()
        .map(|keys| (keys.len(), told(keys)))
        .find(|(wanted, items)| items.len() == *wanted)
        .map(|(_, items)| items);
    let mut items = whole
        .or_else(|| coa.session.first().map(|keys| told(keys)))
        .unwrap_or_default();
    let nas = session.nas_ip_address.to_canonical();
    let attribute = if nas.is_ipv4() {
        "NAS-IP-Address"
    } else {
        "NAS-IPv6-Address"
    };
    items.push(OrderItem::new(attribute, nas.to_string()));
    items
}

impl SessionKey {
    const fn name(self) -> &'static str {
        match self {
            Self::UserName => "User-Name",
            Self::AcctSessionId => "Acct-Session-Id",
            Self::NasPortId => "NAS-Port-Id",
            Self::FramedIpAddress => "Framed-IP-Address",
            Self::FramedIpv6Address => "Framed-IPv6-Address",
            Self::FramedIpv6Prefix => "Framed-IPv6-Prefix",
            Self::DelegatedIpv6Prefix => "Delegated-IPv6-Prefix",
            Self::CallingStationId => "Calling-Station-Id",
            Self::CalledStationId => "Called-Station-Id",
        }
    }

    fn of(self, session: &LiveSession) -> Option<String> {
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        match self {
            Self::UserName => text(&session.username),
            Self::AcctSessionId => Some(session.acct_session_id.clone()).filter(|id| !id.is_empty()),
            Self::NasPortId => text(&session.nas_port_id),
            Self::FramedIpAddress => session.framed_ip_address.map(|address| address.to_string()),
            Self::FramedIpv6Address => session.framed_ipv6_address.map(|address| address.to_string()),
            Self::FramedIpv6Prefix => session.framed_ipv6_prefix.map(|prefix| prefix.to_string()),
            Self::DelegatedIpv6Prefix => session.delegated_ipv6_prefix.map(|prefix| prefix.to_string()),
            Self::CallingStationId => text(&session.calling_station_id),
            Self::CalledStationId => text(&session.called_station_id),
        }
    }
}

/// A value that is an instant (Unix seconds) is sent as the time that is left.
pub(super) const UNTIL: &str = "until ";

fn with(order: Order, item: &OrderItem, now: i64) -> Result<Order, WireError> {
    let found = ATTRIBUTES
        .iter()
        .find(|(name, ..)| name.eq_ignore_ascii_case(&item.attribute));
    let Some(&(_, vendor, number, kind)) = found else {
        return Err(WireError::Unknown(item.attribute.clone()));
    };
    let value = encode(kind, item, now).ok_or_else(|| WireError::Value {
        attribute: item.attribute.clone(),
        value: item.value.clone(),
    })?;
    Ok(match vendor {
        0 => order.with(AttributeType(number), value),
        vendor => order.with_vendor(vendor, number, value),
    })
}

fn encode(kind: Kind, item: &OrderItem, now: i64) -> Option<Vec<u8>> {
    let text = item.value.as_str();
    Some(match kind {
        Text => text.as_bytes().to_vec(),
        Tagged => [&[item.tag], text.as_bytes()].concat(),
        Integer => {
            let number: u32 = match text.strip_prefix(UNTIL) {
                Some(instant) => u32::try_from((instant.parse::<i64>().ok()? - now).max(1)).ok()?,
                None => text.parse().ok()?,
            };
            number.to_be_bytes().to_vec()
        }
        Ipv4 => text.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        Ipv6 => text.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        // RFC 3162 section 2.3: reserved, length, and as much of the prefix as has bits.
        Prefix => {
            let prefix: Ipv6Net = text.parse().ok()?;
            let bytes = usize::from(prefix.prefix_len().div_ceil(8));
            let network = prefix.network().octets();
            [&[0, prefix.prefix_len()], network.get(..bytes)?].concat()
        }
    })
}
