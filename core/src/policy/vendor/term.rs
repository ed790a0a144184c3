//! What a template may name: the terms of a plan, each under its unit.

use std::fmt;

use crate::plan::Plan;

/// What a subscriber gets, as far as a NAS is told of it: the plan's columns, or what took their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms<'a> {
    pub plan: Option<&'a str>,
    pub upload_kbps: Option<u32>,
    pub download_kbps: Option<u32>,
    pub upload_burst_kbps: Option<u32>,
    pub download_burst_kbps: Option<u32>,
    pub upload_burst_threshold_kbps: Option<u32>,
    pub download_burst_threshold_kbps: Option<u32>,
    pub upload_burst_seconds: Option<u32>,
    pub download_burst_seconds: Option<u32>,
    pub upload_min_kbps: Option<u32>,
    pub download_min_kbps: Option<u32>,
    pub priority: Option<u8>,
    pub qos_profile_upload: Option<&'a str>,
    pub qos_profile_download: Option<&'a str>,
    pub address_list: Option<&'a str>,
    pub ipv4_pool: Option<&'a str>,
    pub ipv6_pool: Option<&'a str>,
    pub delegated_ipv6_pool: Option<&'a str>,
    pub filter_id: Option<&'a str>,
    pub redirect_url: Option<&'a str>,
}

impl<'a> From<&'a Plan> for Terms<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            plan: Some(&plan.name),
            upload_kbps: Some(plan.upload_rate_kbps),
            download_kbps: Some(plan.download_rate_kbps),
            upload_burst_kbps: plan.upload_burst_kbps,
            download_burst_kbps: plan.download_burst_kbps,
            upload_burst_threshold_kbps: plan.upload_burst_threshold_kbps,
            download_burst_threshold_kbps: plan.download_burst_threshold_kbps,
            upload_burst_seconds: plan.upload_burst_seconds,
            download_burst_seconds: plan.download_burst_seconds,
            upload_min_kbps: plan.upload_min_kbps,
            download_min_kbps: plan.download_min_kbps,
            priority: plan.priority,
            qos_profile_upload: plan.qos_profile_upload.as_deref(),
            qos_profile_download: plan.qos_profile_download.as_deref(),
            address_list: plan.address_list.as_deref(),
            ipv4_pool: plan.ipv4_pool.as_deref(),
            ipv6_pool: plan.ipv6_pool.as_deref(),
            delegated_ipv6_pool: plan.delegated_ipv6_pool.as_deref(),
            filter_id: plan.filter_id.as_deref(),
            redirect_url: plan.redirect_url.as_deref(),
        }
    }
}

impl Terms<'_> {
    /// Put other rates in the place of the plan's. Bursts and guarantees belong to the rates they came with, and go.
    pub fn set_rates(&mut self, upload_kbps: Option<u32>, download_kbps: Option<u32>) {
        *self = Self {
            upload_kbps: upload_kbps.or(self.upload_kbps),
            download_kbps: download_kbps.or(self.download_kbps),
            upload_burst_kbps: None,
            download_burst_kbps: None,
            upload_burst_threshold_kbps: None,
            download_burst_threshold_kbps: None,
            upload_burst_seconds: None,
            download_burst_seconds: None,
            upload_min_kbps: None,
            download_min_kbps: None,
            ..*self
        };
    }
}

/// Sets of terms that may differ from the plan's at a login, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Differing(u8);

impl Differing {
    pub const NONE: Self = Self(0);
    /// Rates, bursts, guarantees and priority.
    pub const RATES: Self = Self(1);
    pub const IPV4_POOL: Self = Self(1 << 1);
    pub const IPV6_POOL: Self = Self(1 << 2);
    pub const DELEGATED_IPV6_POOL: Self = Self(1 << 3);
    pub const ADDRESS_LIST: Self = Self(1 << 4);
    pub const FILTER_ID: Self = Self(1 << 5);
    pub const REDIRECT_URL: Self = Self(1 << 6);
    pub const QOS: Self = Self(1 << 7);
    pub const POOLS: Self = Self::IPV4_POOL.and(Self::IPV6_POOL).and(Self::DELEGATED_IPV6_POOL);
    /// What holds a subscriber within a part of the network.
    pub const WALLS: Self = Self::POOLS
        .and(Self::ADDRESS_LIST)
        .and(Self::FILTER_ID)
        .and(Self::REDIRECT_URL);

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is of nothing but these.
    #[must_use]
    pub const fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

type Number = for<'a> fn(&Terms<'a>) -> Option<u64>;
type Name = for<'a> fn(&Terms<'a>) -> Option<&'a str>;

#[derive(Clone, Copy)]
pub(super) enum Get {
    Number(Number),
    Name(Name),
}

/// A word that a template may have in braces.
pub(super) struct Term {
    pub(super) name: &'static str,
    pub(super) of: Differing,
    pub(super) get: Get,
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Term {
    pub(super) fn called(name: &str) -> Option<&'static Self> {
        TERMS.iter().find(|term| term.name == name)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        TERMS.iter().map(|term| term.name)
    }

    pub(super) fn is_in(&self, terms: &Terms<'_>) -> bool {
        match self.get {
            Get::Number(get) => get(terms).is_some(),
            Get::Name(get) => get(terms).is_some(),
        }
    }
}

const fn name(name: &'static str, of: Differing, get: Name) -> Term {
    Term {
        name,
        of,
        get: Get::Name(get),
    }
}

const fn number(name: &'static str, of: Differing, get: Number) -> Term {
    Term {
        name,
        of,
        get: Get::Number(get),
    }
}

/// A rate in kbit/s, and under another name in bit/s.
macro_rules! terms {
    (rates { $($kbps:ident as $bps:literal,)* } $($other:expr,)*) => {
        static TERMS: &[Term] = &[
            $(
                number(stringify!($kbps), Differing::RATES, |terms| terms.$kbps.map(u64::from)),
                number($bps, Differing::RATES, |terms| terms.$kbps.map(|rate| u64::from(rate) * 1_000)),
            )*
            $($other,)*
        ];
    };
}

terms! {
    rates {
        upload_kbps as "upload_bps",
        download_kbps as "download_bps",
        upload_burst_kbps as "upload_burst_bps",
        download_burst_kbps as "download_burst_bps",
        upload_burst_threshold_kbps as "upload_burst_threshold_bps",
        download_burst_threshold_kbps as "download_burst_threshold_bps",
        upload_min_kbps as "upload_min_bps",
        download_min_kbps as "download_min_bps",
    }
    number("upload_burst_seconds", Differing::RATES, |terms| terms.upload_burst_seconds.map(u64::from)),
    number("download_burst_seconds", Differing::RATES, |terms| terms.download_burst_seconds.map(u64::from)),
    number("upload_burst_bytes", Differing::RATES, |terms| {
        burst_bytes(terms.upload_burst_kbps, terms.upload_burst_seconds)
    }),
    number("download_burst_bytes", Differing::RATES, |terms| {
        burst_bytes(terms.download_burst_kbps, terms.download_burst_seconds)
    }),
    number("priority", Differing::RATES, |terms| terms.priority.map(u64::from)),
    name("plan", Differing::NONE, |terms| terms.plan),
    name("qos_profile_upload", Differing::QOS, |terms| terms.qos_profile_upload),
    name("qos_profile_download", Differing::QOS, |terms| terms.qos_profile_download),
    name("address_list", Differing::ADDRESS_LIST, |terms| terms.address_list),
    name("ipv4_pool", Differing::IPV4_POOL, |terms| terms.ipv4_pool),
    name("ipv6_pool", Differing::IPV6_POOL, |terms| terms.ipv6_pool),
    name("delegated_ipv6_pool", Differing::DELEGATED_IPV6_POOL, |terms| terms.delegated_ipv6_pool),
    name("filter_id", Differing::FILTER_ID, |terms| terms.filter_id),
    name("redirect_url", Differing::REDIRECT_URL, |terms| terms.redirect_url),
}

/// What passes in the time of a burst at its rate.
fn burst_bytes(kbps: Option<u32>, seconds: Option<u32>) -> Option<u64> {
    const BYTES_IN_KBIT: u64 = 125;
    Some(u64::from(kbps?) * BYTES_IN_KBIT * u64::from(seconds?))
}
