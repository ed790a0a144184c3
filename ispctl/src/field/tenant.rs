use isp_core::tenant::{self, LookupBy, Tenant, UsernameCase, UsernameRealm};

use super::{Field, Record, parse};

impl Record for Tenant {
    const KEY: Field<Self> = Field::new("name", "NAME", "Name of the tenant, unique", |t, text| {
        parse::required(text, 255).map(|name| t.name = name)
    });

    const FIELDS: &'static [Field<Self>] = &[
        Field::new(
            "enabled",
            "YES|NO",
            "Whether its subscribers are let in at all (default yes)",
            |t, text| parse::flag(text).map(|enabled| t.enabled = enabled),
        ),
        Field::new(
            "username_case",
            "RULE",
            "preserve: Alice and alice are two subscribers (default); lower: they are one",
            |t, text| {
                let words = [("preserve", UsernameCase::Preserve), ("lower", UsernameCase::Lower)];
                parse::word(text, &words).map(|rule| t.username_case = rule)
            },
        ),
        Field::new(
            "username_realm",
            "RULE",
            "keep: look up user@realm as it came (default); strip: drop everything from the last @ on",
            |t, text| {
                let words = [("keep", UsernameRealm::Keep), ("strip", UsernameRealm::Strip)];
                parse::word(text, &words).map(|rule| t.username_realm = rule)
            },
        ),
        Field::new(
            "lookup_by",
            "RULE",
            "By what a line without credentials is found: username (default), mac or circuit_id. Whoever is found by its \
             MAC address or circuit is let in without a password (IPoE)",
            |t, text| {
                let words = LookupBy::ALL.map(|rule| (rule.as_str(), rule));
                parse::word(text, &words).map(|rule| t.lookup_by = rule)
            },
        ),
        Field::new(
            "timezone",
            "ZONE",
            "Where its days, weeks and months begin: UTC (default), Europe/Berlin ...; usage counted before stays where it is",
            |t, text| {
                tenant::timezone(text)
                    .map(|zone| t.timezone = zone)
                    .map_err(|e| e.to_string())
            },
        ),
        Field::new(
            "interim_jitter_percent",
            "PERCENT",
            "By how much Acct-Interim-Interval differs between subscribers at most, 0 (default) to 50: those who come back \
             together after an outage do not go on reporting together",
            |t, text| parse::number(text, 0..=50).map(|percent| t.interim_jitter_percent = percent.unwrap_or_default()),
        ),
    ];

    fn blank() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            enabled: true,
            username_case: UsernameCase::default(),
            username_realm: UsernameRealm::default(),
            timezone: tenant::UTC.to_owned(),
            interim_jitter_percent: 0,
            lookup_by: LookupBy::Username,
        }
    }
}
