//! Orders in the terms of the protocol: attribute names to numbers, texts to values.

use crate::coa::{InvalidOrder, Order};
use crate::order::{LiveSession, OrderItem, OrderKind};
use crate::policy::vendor::Coa;
use crate::policy::vendor::coa::SessionKey;
use crate::radius::Dictionary;
use crate::radius::dictionary::TextError;

/// Why an order cannot be put into a packet.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Order(#[from] InvalidOrder),
    #[error("{attribute} cannot be {value:?}")]
    Value { attribute: String, value: String },
}

/// The packet that tells a NAS of the vendor to do this to the session. `now` is Unix seconds.
///
/// # Errors
/// An attribute is not known, or cannot have its value.
pub(super) fn order<'a>(
    dictionary: &Dictionary,
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
        order = with(dictionary, order, &item, now)?;
    }
    if kind == OrderKind::Change {
        for item in items {
            order = with(dictionary, order, item, now)?;
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

fn with(dictionary: &Dictionary, order: Order, item: &OrderItem, now: i64) -> Result<Order, WireError> {
    let left = match item.value.strip_prefix(UNTIL) {
        Some(instant) => {
            let instant: i64 = instant.parse().map_err(|_| WireError::Value {
                attribute: item.attribute.clone(),
                value: item.value.clone(),
            })?;
            Some((instant - now).max(1).to_string())
        }
        None => None,
    };
    let value = left.as_deref().unwrap_or(&item.value);
    let pair = dictionary.pair(&item.attribute, Some(item.tag).filter(|tag| *tag > 0), value)?;
    Ok(order.with_pairs(dictionary, &[pair])?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn shown(items: &[OrderItem]) -> Result<Vec<String>, WireError> {
        let dictionary = Dictionary::builtin();
        let add = |order: Order, item: &OrderItem| with(dictionary, order, item, 1_000);
        let order = items.iter().try_fold(Order::change(), add)?;
        let pairs = order.pairs(dictionary);
        Ok(pairs.iter().map(|pair| dictionary.print(pair).to_string()).collect())
    }

    #[test]
    fn items_become_attributes() {
        let tagged = OrderItem {
            tag: 2,
            ..OrderItem::new("ERX-Service-Activate", "gold")
        };
        let items = [
            OrderItem::new("session-timeout", "until 1060"),
            OrderItem::new("Idle-Timeout", "until 900"),
            OrderItem::new("Service-Type", "Framed-User"),
            OrderItem::new("Reply-Message", "\"quoted\" and \\"),
            OrderItem::new("Delegated-IPv6-Prefix", "2001:db8::/56"),
            OrderItem::new("Class", "isp:1"),
            OrderItem::new("ERX-Service-Activate", "silver"),
            tagged,
        ];
        let expected = [
            "Session-Timeout = 60",
            "Idle-Timeout = 1",
            "Service-Type = Framed-User",
            "Reply-Message = \"\\\"quoted\\\" and \\\\\"",
            "Delegated-IPv6-Prefix = 2001:db8::/56",
            "Class = 0x6973703a31",
            "ERX-Service-Activate = \"silver\"",
            "ERX-Service-Activate:2 = \"gold\"",
        ];
        assert_eq!(shown(&items).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let error = |attribute, value| shown(&[OrderItem::new(attribute, value)]).unwrap_err().to_string();
        assert!(error("Session-Timeot", "60").contains("is it Session-Timeout?"));
        assert!(error("Session-Timeout", "soon").contains("takes a number"));
        assert!(error("Session-Timeout", "until noon").contains("until noon"));
        assert!(error("Tunnel-Password", "secret-word").contains("hidden"));
        assert!(error("Filter-Id", "").contains("empty"));
    }
}
