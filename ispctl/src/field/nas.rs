use isp_core::nas::Nas;

use super::{Field, Record, parse};

impl Record for Nas {
    const KEY: Field<Self> = Field::new(
        "nasname",
        "ADDRESS",
        "Address or network its packets come from: 192.0.2.1, 2001:db8::/48",
        |n, text| parse::nasname(text).map(|name| n.nasname = name),
    );

    const FIELDS: &'static [Field<Self>] = &[
        Field::new(
            "shortname",
            "NAME",
            "Name for people (default: the address)",
            |n, text| parse::required(text, 32).map(|v| n.shortname = v),
        ),
        Field::<Self>::new(
            "kind",
            "TYPE",
            "Stock type column: cisco, mikrotik, juniper, huawei, other ... (default other)",
            |n, text| parse::identifier(text, 30).map(|v| n.kind = v),
        )
        .alias("type"),
        Field::new(
            "vendor",
            "VENDOR",
            "Whose reply attributes it takes: mikrotik (default), cisco, huawei, juniper, generic",
            |n, text| parse::identifier(text, 30).map(|v| n.vendor = v),
        ),
        Field::new("model", "TEXT", "Hardware model", |n, text| {
            parse::optional(text, 64).map(|v| n.model = v)
        }),
        Field::new("firmware_version", "TEXT", "Firmware version", |n, text| {
            parse::optional(text, 64).map(|v| n.firmware_version = v)
        }),
        Field::new("ports", "NUMBER", "Number of ports", |n, text| {
            parse::number(text, 0..=i32::MAX).map(|v| n.ports = v)
        }),
        Field::new(
            "server",
            "NAME",
            "Virtual server, where the server reads its clients from this table",
            |n, text| parse::optional(text, 64).map(|v| n.server = v),
        ),
        Field::new(
            "require_message_authenticator",
            "YES|NO",
            "Whether its Access-Requests are refused without Message-Authenticator (default no)",
            |n, text| parse::flag(text).map(|v| n.require_message_authenticator = v),
        ),
        Field::new("description", "TEXT", "Where and what it is", |n, text| {
            parse::prose(text, 200).map(|v| n.description = v)
        }),
    ];

    fn blank() -> Self {
        Self {
            id: 0,
            tenant_id: String::new(),
            nasname: String::new(),
            shortname: String::new(),
            kind: "other".to_owned(),
            vendor: "mikrotik".to_owned(),
            model: None,
            firmware_version: None,
            ports: None,
            secret: String::new(),
            server: None,
            community: None,
            description: None,
            require_message_authenticator: false,
        }
    }
}
