//! Addresses from NetBox 4.x: taken once each, given back, and kept the same as in the database.
//!
//! | part | what it holds |
//! |------|---------------|
//! | [`Client`], [`Settings`], [`NetboxError`] | requests, and what may be done after one failed |
//! | [`Allocator`], [`Wanted`], [`Rules`] | taking addresses and delegated prefixes, giving them back; check and bootstrap |
//! | `Sync`, `Report` | the same in the database and in NetBox (with a store) |
//! | [`push`] | webhooks and the change log: who is to be looked at again |
//! | [`Page`], [`IpAddress`], [`Prefix`], [`Choice`], [`Reference`] | answers of the REST API, as 4.7 gives them |
//! | [`OwnerFields`], [`Owned`] | the custom fields and the description that name a subscriber |
//! | [`LifecycleState`] | the states of an assigned address, and which may follow which |
//!
//! The models need neither the client nor a runtime of the caller's:
//!
//! ```
//! use isp_core::netbox::{IpAddress, Owned as _, Page};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! # let body = r#"{"count": 0, "next": null, "previous": null, "results": []}"#;
//! let page: Page<IpAddress> = serde_json::from_str(body)?;
//! // NetBox ignores a filter it does not know and answers with everything: look before you act on an answer.
//! let own: Vec<_> = page.results.iter().filter(|ip| ip.is_of("1001")).collect();
//! # assert!(own.is_empty());
//! # Ok(())
//! # }
//! ```

mod allocate;
mod client;
mod lifecycle;
mod model;
mod owner;
mod pool;
pub mod push;
mod settings;
mod setup;
#[cfg(feature = "store")]
mod sync;

pub use crate::addressing::Kind;
pub use allocate::{Allocated, Allocation, AllocationError, Allocator, Released, Wanted};
pub use client::{Client, NetboxError, Settings};
pub use lifecycle::{IllegalTransition, LifecycleState, UnknownState};
pub use model::{AddressStatus, Choice, CustomFields, IpAddress, Page, Prefix, PrefixStatus, Reference};
pub use owner::{Owned, OwnerFields};
pub use pool::Pool;
pub use settings::{Release, Rules, Site};
pub use setup::{Adoption, Finding, Made};
#[cfg(feature = "store")]
pub use sync::{Cursor, Drift, DriftKind, Origin, Progress, Report, Sync, SyncError, Synced};
