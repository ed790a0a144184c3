//! Subscriber, policy, accounting and RADIUS logic for internet providers.
//!
//! Nothing here knows FreeRADIUS: the server module and `ispctl` are two users of this library among others.
//!
//! | area | what it holds |
//! |------|---------------|
//! | [`tenant`], [`plan`], [`nas`], [`subscriber`] | the model, as the database stores it |
//! | [`secret`], [`password`] | secrets at rest; stored password forms and what each can verify |
//! | [`policy`] | the pure decision: facts in, verdict and ordered reply out |
//! | [`snapshot`] | the subscriber base in memory and its copy on disk |
//! | [`access`] | scopes, roles and tokens of the HTTP API |
//! | [`accounting`] | what an accounting packet says about a session |
//! | [`radius`], [`coa`] | sans-I/O packet codec; Disconnect and CoA client |
//! | [`addressing`] | kinds of address that a subscriber can be given for itself |
//! | `netbox` | addresses from NetBox: client, allocation, and what keeps both the same (feature `netbox`) |
//! | `provisioning` | a subscriber made or ended as one operation, with its addresses (features `netbox` and a store) |
//! | `store` | SQLite and PostgreSQL behind one contract (features `sqlite`, `postgres`) |
//! | `oss` | tenants' settings of the systems beside this one (features `netbox` and a store) |
//! | [`order`] | what a NAS is to be told of a live session |
//! | `convergence` | live sessions made to follow the database (features `coa` and a store) |
//! | `node` | one AAA node: snapshot, change feed and writers, as a server embeds it |
//!
//! With no features the crate is the model, the policy, the snapshot and the codec: no driver, no runtime.
#![forbid(unsafe_code)]

pub mod access;
pub mod accounting;
pub mod addressing;
mod clock;
#[cfg(feature = "coa")]
pub mod coa;
#[cfg(all(feature = "coa", feature = "store"))]
pub mod convergence;
pub mod dictionary;
pub mod group;
#[cfg(any(feature = "coa", feature = "netbox"))]
mod http;
pub mod nas;
#[cfg(feature = "netbox")]
pub mod netbox;
pub mod network_profile;
#[cfg(feature = "store")]
pub mod node;
pub mod order;
#[cfg(all(feature = "netbox", feature = "store"))]
pub mod oss;
pub mod password;
pub mod plan;
pub mod policy;
#[cfg(all(feature = "netbox", feature = "store"))]
pub mod provisioning;
pub mod radius;
pub mod secret;
pub mod snapshot;
#[cfg(feature = "store")]
pub mod store;
pub mod subscriber;
#[cfg(any(feature = "coa", feature = "netbox"))]
pub mod telemetry;
pub mod tenant;
