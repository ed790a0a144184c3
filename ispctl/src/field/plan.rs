use isp_core::plan::Plan;

use super::{Field, Record, parse};

const SECONDS_MAX: u32 = i32::MAX.unsigned_abs();
/// One attribute (RFC 2865 section 5).
const ATTRIBUTE_MAX: usize = 253;

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
        Field::<Self>::new(
            "download_burst_threshold_kbps",
            "RATE",
            "Average rate up to which bursts towards the subscriber are allowed",
            |p, text| parse::rate(text).map(|v| p.download_burst_threshold_kbps = v),
        )
        .alias("download-threshold"),
        Field::<Self>::new(
            "upload_burst_threshold_kbps",
            "RATE",
            "Average rate up to which bursts from the subscriber are allowed",
            |p, text| parse::rate(text).map(|v| p.upload_burst_threshold_kbps = v),
        )
        .alias("upload-threshold"),
        Field::new(
            "download_burst_seconds",
            "SECONDS",
            "Time that average is taken over",
            |p, text| parse::number(text, 1..=86_400).map(|v| p.download_burst_seconds = v),
        ),
        Field::new(
            "upload_burst_seconds",
            "SECONDS",
            "Time that average is taken over",
            |p, text| parse::number(text, 1..=86_400).map(|v| p.upload_burst_seconds = v),
        ),
        Field::new(
            "priority",
            "1-8",
            "Among the queues of the NAS, 1 is the highest",
            |p, text| parse::number(text, 1..=8).map(|v| p.priority = v),
        ),
        Field::<Self>::new(
            "download_min_kbps",
            "RATE",
            "Guaranteed rate towards the subscriber",
            |p, text| parse::rate(text).map(|v| p.download_min_kbps = v),
        )
        .alias("download-min"),
        Field::<Self>::new(
            "upload_min_kbps",
            "RATE",
            "Guaranteed rate from the subscriber",
            |p, text| parse::rate(text).map(|v| p.upload_min_kbps = v),
        )
        .alias("upload-min"),
        Field::new("address_list", "NAME", "Firewall address list of the NAS", |p, text| {
            parse::optional(text, ATTRIBUTE_MAX).map(|v| p.address_list = v)
        }),
        Field::new(
            "ipv4_pool",
            "NAME",
            "Pool of the NAS for IPv4 addresses (Framed-Pool)",
            |p, text| parse::optional(text, ATTRIBUTE_MAX).map(|v| p.ipv4_pool = v),
        ),
        Field::new(
            "ipv6_pool",
            "NAME",
            "Pool of the NAS for IPv6 prefixes (Framed-IPv6-Pool)",
            |p, text| parse::optional(text, ATTRIBUTE_MAX).map(|v| p.ipv6_pool = v),
        ),
        Field::new(
            "delegated_ipv6_pool",
            "NAME",
            "Pool of the NAS for delegated IPv6 prefixes",
            |p, text| parse::optional(text, ATTRIBUTE_MAX).map(|v| p.delegated_ipv6_pool = v),
        ),
        Field::new(
            "qos_profile_download",
            "NAME",
            "QoS profile or policy of the NAS, towards the subscriber",
            |p, text| parse::optional(text, ATTRIBUTE_MAX).map(|v| p.qos_profile_download = v),
        ),
        Field::new(
            "qos_profile_upload",
            "NAME",
            "QoS profile or policy of the NAS, from the subscriber",
            |p, text| parse::optional(text, ATTRIBUTE_MAX).map(|v| p.qos_profile_upload = v),
        ),
        Field::new("filter_id", "NAME", "Filter of the NAS (Filter-Id)", |p, text| {
            parse::optional(text, ATTRIBUTE_MAX).map(|v| p.filter_id = v)
        }),
        Field::new(
            "redirect_url",
            "URL",
            "Where the subscriber's browser is sent",
            |p, text| parse::web_address(text, ATTRIBUTE_MAX).map(|v| p.redirect_url = v),
        ),
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
        Field::new(
            "login_time",
            "HOURS",
            "When subscribers may be online who have no hours of their own, by the tenant's clock: Wk0800-1800,Sa,Su",
            |p, text| parse::login_time(text).map(|v| p.login_time = v),
        ),
        Field::new(
            "ipv6_pd_size",
            "LENGTH",
            "Length of the prefixes delegated to its subscribers, 1 to 128 (NetBox gives them)",
            |p, text| parse::number(text, 1..=128).map(|v| p.ipv6_pd_size = v),
        ),
    ];

    fn blank() -> Self {
        Self::default()
    }
}

fn required_rate(text: &str) -> Result<u32, String> {
    parse::rate(text)?.ok_or_else(|| "must not be empty".to_owned())
}
