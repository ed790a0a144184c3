//! How much one token may ask.

use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::{Problem, Result};

/// Counts requests by token.
#[derive(Debug)]
pub(super) struct Limits(RateLimiter<String, HashMapStateStore<String>, DefaultClock>);

impl Limits {
    /// So many in a second, and twice as many at once.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let quota =
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Self(RateLimiter::hashmap(quota))
    }

    pub(super) fn pass(&self, token: &str) -> Result<()> {
        self.0.check_key(&token.to_owned()).map_err(|_| {
            let detail = "more requests than api.requests_per_second allows one token: ask again later";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail.to_owned())
        })
    }
}
