use ipnet::Ipv6Net;
use isp_core::network_profile::NetworkProfile;
use isp_core::policy::binding::Enforcement;

use super::{Field, Record, parse};

const POLICY: &str = "enforce: others are refused; log: they are let in and logged; ignore: they are not looked at";

impl Record for NetworkProfile {
    const KEY: Field<Self> = Field::new("subscriber_id", "USER", "Subscriber, by username or id", |p, text| {
        parse::required(text, 255).map(|id| p.subscriber_id = id)
    });

    const FIELDS: &'static [Field<Self>] = &[
        Field::new(
            "circuit_id",
            "TEXT",
            "Agent Circuit ID of Option 82, as text or as 0x...",
            |p, text| parse::optional(text, 255).map(|v| p.circuit_id = v),
        ),
        Field::new(
            "remote_id",
            "TEXT",
            "Agent Remote ID of Option 82, as text or as 0x...",
            |p, text| parse::optional(text, 255).map(|v| p.remote_id = v),
        ),
        Field::new(
            "option82_policy",
            "POLICY",
            "What becomes of packets with another circuit or remote id (default log)",
            |p, text| policy(text, Enforcement::Log).map(|v| p.option82_policy = v),
        ),
        Field::new("service_vlan", "VLAN", "Outer VLAN, 1 to 4094", |p, text| {
            parse::number(text, 1..=4094).map(|v| p.service_vlan = v)
        }),
        Field::new(
            "inner_vlan",
            "VLAN",
            "Inner VLAN, 1 to 4094; given where QinQ is enabled",
            |p, text| parse::number(text, 1..=4094).map(|v| p.inner_vlan = v),
        ),
        Field::new(
            "qinq_enabled",
            "YES|NO",
            "Whether the line has an inner VLAN (default no)",
            |p, text| parse::flag(text).map(|v| p.qinq_enabled = v),
        ),
        Field::new(
            "vlan_policy",
            "POLICY",
            "What becomes of packets whose NAS-Port-Id tells other VLANs (default ignore)",
            |p, text| policy(text, Enforcement::Ignore).map(|v| p.vlan_policy = v),
        ),
        Field::new(
            "static_ipv4",
            "ADDRESS",
            "Framed-IP-Address, where the subscriber has none of its own",
            |p, text| parse::value(text).map(|v| p.static_ipv4 = v),
        ),
        Field::new("static_ipv6", "ADDRESS", "Framed-IPv6-Address", |p, text| {
            parse::value(text).map(|v| p.static_ipv6 = v)
        }),
        Field::new("delegated_ipv6_prefix", "PREFIX", "Delegated-IPv6-Prefix", |p, text| {
            parse::value::<Ipv6Net>(text).map(|v| p.delegated_ipv6_prefix = v)
        }),
        Field::new(
            "nas_policy",
            "POLICY",
            "What becomes of packets from another NAS than the subscriber's nas_identifier, which is a NAS-Identifier, short name or address (default ignore)",
            |p, text| policy(text, Enforcement::Ignore).map(|v| p.nas_policy = v),
        ),
        Field::new(
            "nas_port_id",
            "TEXT",
            "NAS-Port-Id, or the number of NAS-Port",
            |p, text| parse::optional(text, 253).map(|v| p.nas_port_id = v),
        ),
        Field::new(
            "port_policy",
            "POLICY",
            "What becomes of packets from another port (default ignore)",
            |p, text| policy(text, Enforcement::Ignore).map(|v| p.port_policy = v),
        ),
        Field::new(
            "mac_addresses",
            "LIST",
            "MAC addresses, any notation, apart by commas; none = the subscriber's cpe_mac_address",
            |p, text| mac_addresses(text).map(|v| p.mac_addresses = v),
        ),
        Field::new(
            "mac_policy",
            "POLICY",
            "What becomes of packets with another Calling-Station-Id (default ignore)",
            |p, text| policy(text, Enforcement::Ignore).map(|v| p.mac_policy = v),
        ),
        Field::new(
            "login_time",
            "HOURS",
            "When it may be online, by the tenant's clock: Wk0800-1800,Sa,Su (as Login-Time); Any = always; none = as its plan says",
            |p, text| parse::login_time(text).map(|v| p.login_time = v),
        ),
    ];

    fn blank() -> Self {
        Self::blank(String::new(), String::new(), String::new())
    }
}

fn policy(text: &str, default: Enforcement) -> Result<Enforcement, String> {
    match text.trim() {
        "" => Ok(default),
        word => word.parse().map_err(|_| format!("unknown policy {word:?}; {POLICY}")),
    }
}

fn mac_addresses(text: &str) -> Result<Option<String>, String> {
    let mut addresses = Vec::new();
    for one in text.split([',', ' ']).filter(|one| !one.is_empty()) {
        addresses.extend(parse::mac_address(one)?);
    }
    Ok((!addresses.is_empty()).then(|| addresses.join(",")))
}
