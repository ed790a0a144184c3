use isp_core::plan::Plan;

use super::{Field, Record, parse};

const SECONDS_MAX: u32 = i32::MAX.unsigned_abs();

impl Record for Plan {
    const KEY: Field<Self> = Field::new(
        "name",
        "NAME",
        "Name of the plan, unique within the tenant",
        |p, text| parse::required(text, 100).map(|name| p.name = name),
    );

    const FIELDS: &'static [Field<Self>] = &[
        Field::new("description", "TEXT", "What the plan is", |p, text| {
            parse::prose(text, 4096).map(|v| p.description = v)
        }),
        Field::<Self>::new(
            "download_rate_kbps",
            "RATE",
            "Towards the subscriber, kbit/s, or with a unit: 512k, 100M, 1G",
            |p, text| required_rate(text).map(|v| p.download_rate_kbps = v),
        )
        .alias("download"),
        Field::<Self>::new("upload_rate_kbps", "RATE", "From the subscriber", |p, text| {
            required_rate(text).map(|v| p.upload_rate_kbps = v)
        })
        .alias("upload"),
        Field::<Self>::new(
            "download_burst_kbps",
            "RATE",
            "Burst rate towards the subscriber",
            |p, text| parse::rate(text).map(|v| p.download_burst_kbps = v),
        )
        .alias("download-burst"),
        Field::<Self>::new(
            "upload_burst_kbps",
            "RATE",
            "Burst rate from the subscriber",
            |p, text| parse::rate(text).map(|v| p.upload_burst_kbps = v),
        )
        .alias("upload-burst"),
        Field::new("session_timeout", "SECONDS", "Session-Timeout", |p, text| {
            parse::number(text, 1..=SECONDS_MAX).map(|v| p.session_timeout = v)
        }),
        Field::new("idle_timeout", "SECONDS", "Idle-Timeout", |p, text| {
            parse::number(text, 1..=SECONDS_MAX).map(|v| p.idle_timeout = v)
        }),
        Field::<Self>::new(
            "acct_interim_interval",
            "SECONDS",
            "Acct-Interim-Interval, 60 or more (RFC 2869 section 5.16)",
            |p, text| parse::number(text, 60..=SECONDS_MAX).map(|v| p.acct_interim_interval = v),
        )
        .alias("interim"),
    ];

    fn blank() -> Self {
        Self::default()
    }
}

fn required_rate(text: &str) -> Result<u32, String> {
    parse::rate(text)?.ok_or_else(|| "must not be empty".to_owned())
}
