use ipnet::Ipv6Net;
use isp_core::subscriber::{Subscriber, UnknownStatus};

use super::{Field, Record, parse};

/// The database's columns are signed 32-bit numbers.
const INT_MAX: u32 = i32::MAX.unsigned_abs();

impl Record for Subscriber {
    const KEY: Field<Self> = Field::new("username", "USER", "User-Name, unique within the tenant", |s, text| {
        parse::username(text).map(|name| s.username = name)
    });

    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(
            "subscriber_number",
            "NUMBER",
            "Contract or line number, unique within the tenant",
            |s, text| plain(text, 50).map(|v| s.subscriber_number = v),
        )
        .alias("number"),
        Field::new("full_name", "NAME", "Name of the person or business", |s, text| {
            parse::words(text, 255).map(|v| s.full_name = v)
        }),
        Field::new("email", "ADDRESS", "Mail address", |s, text| {
            parse::words(text, 255).map(|v| s.email = v)
        }),
        Field::new("phone_number", "NUMBER", "Telephone number", |s, text| {
            parse::words(text, 32).map(|v| s.phone_number = v)
        }),
        Field::new(
            "status",
            "STATUS",
            "pending (default), active, suspended, disconnected, terminated or quarantined; only active is let in",
            |s, text| {
                text.trim()
                    .parse()
                    .map(|v| s.status = v)
                    .map_err(|e: UnknownStatus| e.to_string())
            },
        ),
        Field::new(
            "service_type",
            "TYPE",
            "fiber_internet (default), dsl_internet, wireless_internet, voip ...; an open set",
            |s, text| parse::identifier(text, 64).map(|v| s.service_type = v),
        ),
        Field::<Self>::new(
            "download_speed_kbps",
            "RATE",
            "Overrides the plan's rate towards the subscriber: kbit/s, or 512k, 100M, 1G",
            |s, text| parse::rate(text).map(|v| s.download_speed_kbps = v),
        )
        .alias("download"),
        Field::<Self>::new(
            "upload_speed_kbps",
            "RATE",
            "Overrides the plan's rate from the subscriber",
            |s, text| parse::rate(text).map(|v| s.upload_speed_kbps = v),
        )
        .alias("upload"),
        Field::<Self>::new("static_ipv4", "ADDRESS", "Framed-IP-Address", |s, text| {
            parse::value(text).map(|v| s.static_ipv4 = v)
        })
        .alias("ipv4"),
        Field::new("ipv6_prefix", "PREFIX", "Framed-IPv6-Prefix", |s, text| {
            prefix(text).map(|v| s.ipv6_prefix = v)
        }),
        Field::<Self>::new("vlan_id", "VLAN", "VLAN, 1 to 4094", |s, text| {
            parse::number(text, 1..=4094).map(|v| s.vlan_id = v)
        })
        .alias("vlan"),
        Field::new(
            "session_timeout",
            "SECONDS",
            "Session-Timeout; overrides the plan's",
            |s, text| parse::number(text, 1..=INT_MAX).map(|v| s.session_timeout = v),
        ),
        Field::new(
            "idle_timeout",
            "SECONDS",
            "Idle-Timeout; overrides the plan's",
            |s, text| parse::number(text, 1..=INT_MAX).map(|v| s.idle_timeout = v),
        ),
        Field::new(
            "simultaneous_use",
            "SESSIONS",
            "Sessions at a time (default 1; 0 = no limit)",
            |s, text| parse::number(text, 0..=INT_MAX).map(|v| s.simultaneous_use = v.unwrap_or(1)),
        ),
        Field::new(
            "activation_date",
            "WHEN",
            "Not let in before: 2026-01-31, 2026-01-31T18:00:00Z or Unix seconds",
            |s, text| parse::instant(text).map(|v| s.activation_date = v),
        ),
        Field::new("suspension_date", "WHEN", "When it was suspended", |s, text| {
            parse::instant(text).map(|v| s.suspension_date = v)
        }),
        Field::new("termination_date", "WHEN", "When it was terminated", |s, text| {
            parse::instant(text).map(|v| s.termination_date = v)
        }),
        Field::new(
            "expiration_date",
            "WHEN",
            "Refused as expired from then on",
            |s, text| parse::instant(text).map(|v| s.expiration_date = v),
        ),
        Field::new(
            "billing_day",
            "DAY",
            "Day of the month from which quotas by the billing day count, 1 (default) to 31",
            |s, text| parse::number(text, 1..=31).map(|v| s.billing_day = v),
        ),
        Field::new("customer_id", "ID", "Customer who pays", |s, text| {
            parse::words(text, 255).map(|v| s.customer_id = v)
        }),
        Field::new("user_id", "ID", "Login of the self-service portal", |s, text| {
            parse::words(text, 255).map(|v| s.user_id = v)
        }),
        Field::new(
            "nas_identifier",
            "NAME",
            "NAS-Identifier it is expected on",
            |s, text| parse::words(text, 128).map(|v| s.nas_identifier = v),
        ),
        Field::new("onu_serial", "SERIAL", "Serial number of the ONU", |s, text| {
            parse::words(text, 50).map(|v| s.onu_serial = v)
        }),
        Field::new(
            "cpe_mac_address",
            "MAC",
            "Hardware address of the CPE, any punctuation",
            |s, text| parse::mac_address(text).map(|v| s.cpe_mac_address = v),
        ),
        Field::new(
            "device_metadata",
            "JSON",
            "OLT, PON port and the like, as JSON",
            |s, text| parse::json(text).map(|v| s.device_metadata = v),
        ),
        Field::new("service_address", "TEXT", "Where the line ends", |s, text| {
            parse::prose(text, 500).map(|v| s.service_address = v)
        }),
        Field::new(
            "service_coordinates",
            "JSON",
            "{\"lat\": ..., \"lon\": ...}",
            |s, text| parse::json(text).map(|v| s.service_coordinates = v),
        ),
        Field::new("site_id", "ID", "Site (point of presence)", |s, text| {
            parse::words(text, 100).map(|v| s.site_id = v)
        }),
        Field::new("netbox_ip_id", "ID", "NetBox's id of the address", |s, text| {
            parse::number(text, 1..=i64::MAX).map(|v| s.netbox_ip_id = v)
        }),
        Field::new("voltha_onu_id", "ID", "VOLTHA's id of the ONU", |s, text| {
            parse::words(text, 100).map(|v| s.voltha_onu_id = v)
        }),
        Field::new("genieacs_device_id", "ID", "GenieACS's id of the device", |s, text| {
            parse::words(text, 100).map(|v| s.genieacs_device_id = v)
        }),
        Field::new("metadata", "JSON", "Anything else, as JSON", |s, text| {
            parse::json(text).map(|v| s.metadata = v)
        }),
        Field::new("notes", "TEXT", "Notes", |s, text| {
            parse::prose(text, 65_536).map(|v| s.notes = v)
        }),
    ];

    fn blank() -> Self {
        Self {
            service_type: "fiber_internet".to_owned(),
            simultaneous_use: 1,
            ..Self::default()
        }
    }
}

/// Fields that the network fills in; only an import may bring them, from the system it replaces.
pub(crate) const COUNTERS: &[Field<Subscriber>] = &[
    Field::new("last_online", "WHEN", "", |s, text| {
        parse::instant(text).map(|v| s.last_online = v)
    }),
    Field::new("total_sessions", "NUMBER", "", |s, text| {
        counter(text).map(|v| s.total_sessions = v)
    }),
    Field::new("total_upload_bytes", "BYTES", "", |s, text| {
        counter(text).map(|v| s.total_upload_bytes = v)
    }),
    Field::new("total_download_bytes", "BYTES", "", |s, text| {
        counter(text).map(|v| s.total_download_bytes = v)
    }),
];

fn counter(text: &str) -> Result<u64, String> {
    // The databases' widest number is signed.
    Ok(parse::number(text, 0..=i64::MAX.unsigned_abs())?.unwrap_or_default())
}

/// Text that is empty rather than absent.
fn plain(text: &str, max: usize) -> Result<String, String> {
    Ok(parse::words(text, max)?.unwrap_or_default())
}

fn prefix(text: &str) -> Result<Option<Ipv6Net>, String> {
    match parse::value::<Ipv6Net>(text)? {
        Some(net) if net.trunc() != net => Err(format!(
            "{net} has bits set past its prefix: did you mean {}?",
            net.trunc()
        )),
        net => Ok(net),
    }
}
