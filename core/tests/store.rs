//! The store's conformance suite: every test runs on SQLite and on PostgreSQL.
//!
//! PostgreSQL: `ISP_TEST_POSTGRES` is the URL of a server without a database name (`scripts/postgres start DIR` prints
//! one); each test makes a database of its own there. Unset, those tests say loudly that they were skipped;
//! `ISP_TEST_REQUIRE_POSTGRES=1` makes that a failure.
#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
#[path = "store/harness.rs"]
mod harness;

#[path = "store/access.rs"]
mod access;
#[path = "store/accounting.rs"]
mod accounting;
#[path = "store/administration.rs"]
mod administration;
#[path = "store/claims.rs"]
mod claims;
#[path = "store/connecting.rs"]
mod connecting;
#[path = "store/feed.rs"]
mod feed;
#[path = "store/feed_hazards.rs"]
mod feed_hazards;
#[path = "store/fleet.rs"]
mod fleet;
#[path = "store/foreign_writers.rs"]
mod foreign_writers;
#[path = "store/groups.rs"]
mod groups;
#[path = "store/hazards.rs"]
mod hazards;
#[path = "store/import.rs"]
mod import;
#[path = "store/load.rs"]
mod load;
#[path = "store/nodes.rs"]
mod nodes;
#[path = "store/orders.rs"]
mod orders;
#[path = "store/policy.rs"]
mod policy;
#[path = "store/quota_hazards.rs"]
mod quota_hazards;
#[path = "store/quotas.rs"]
mod quotas;
#[path = "store/restarts.rs"]
mod restarts;
#[path = "store/retention.rs"]
mod retention;
#[path = "store/reviews.rs"]
mod reviews;
#[path = "store/rights.rs"]
mod rights;
#[path = "store/schema.rs"]
mod schema;
#[path = "store/secrets.rs"]
mod secrets;
#[path = "store/sessions.rs"]
mod sessions;
#[path = "store/silence.rs"]
mod silence;
#[path = "store/speed.rs"]
mod speed;
#[path = "store/topups.rs"]
mod topups;
#[path = "store/usage.rs"]
mod usage;
#[path = "store/whohad.rs"]
mod whohad;
#[path = "store/whohad_speed.rs"]
mod whohad_speed;
