use isp_core::nas::{CoaSettings, Nas, UnknownTransport};

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
        Field::new(
            "coa_port",
            "PORT",
            "Where it takes orders about its sessions (default: its vendor's)",
            |n, text| parse::number(text, 1..=u16::MAX).map(|v| n.coa.coa_port = v),
        ),
        Field::new(
            "coa_timeout",
            "MILLISECONDS",
            "How long it may take to answer one",
            |n, text| parse::number(text, 10..=60_000).map(|v| n.coa.coa_timeout = v),
        ),
        Field::new("coa_attempts", "NUMBER", "How often one is sent", |n, text| {
            parse::number(text, 1..=20).map(|v| n.coa.coa_attempts = v)
        }),
        Field::new("coa_rate", "NUMBER", "How many it takes in a second", |n, text| {
            parse::number(text, 1..=100_000).map(|v| n.coa.coa_rate = v)
        }),
        Field::new(
            "coa_strict",
            "YES|NO",
            "Whether its answers do not count without Message-Authenticator (default no)",
            |n, text| parse::flag(text).map(|v| n.coa.coa_strict = v),
        ),
        Field::new(
            "coa_transport",
            "WORD",
            "How they get there: udp (default), radclient, http, radsec; none = it takes none",
            |n, text| {
                text.parse()
                    .map(|v| n.coa.coa_transport = v)
                    .map_err(|why: UnknownTransport| why.to_string())
            },
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
            coa: CoaSettings::default(),
        }
    }
}
