//! The database: what both stores do, tested by one suite on SQLite and on PostgreSQL.
//!
//! | module | what it holds |
//! |--------|---------------|
//! | `tenants`, `plans`, `nas`, `subscribers`, `rows`, `groups` | administration: one file per table |
//! | `network_profiles`, `schedule` | where a subscriber's line ends; changes of a subscriber that are planned |
//! | `load`, `feed` | what a node reads: the whole base, then what changed |
//! | `records`, `accounting` | what a node writes |
//! | `silence` | what a node closes |
//! | `claims` | how many sessions a subscriber has, over all nodes |
//! | `quotas` | quotas of plans, top-ups, and the tier of a subscriber |
//! | `import`, `import_rows` | subscribers in bulk; what comes with them |
//! | `tokens`, `audit`, `idempotency` | what the HTTP API keeps |
//! | `assignments` | addresses that subscribers were given out of pools |
//! | `services` | what tenants set of the systems beside this one |
//! | `secrets` | passwords and NAS secrets, to be sealed anew |
//! | `nodes` | what nodes say of themselves |
//! | `orders` | what NAS are told of live sessions, and what came of it |
//! | `sessions`, `address`, `whohad` | reading accounting back: sessions, and who had an address |
//! | `usage`, `usage_plan` | what subscribers used |
//! | `retention` | months made ahead, and what is old enough to go |
//! | `overview` | what there is, in numbers |
//! | `schema` | migrations |
//! | `sqlite`, `postgres`, `link`, `sql` | the drivers behind one face; statements in both dialects |
//!
//! Statements stand beside the method that runs them, once per dialect. To add a table: a migration in both
//! directories, a module with its `statements!`, its tests in the conformance suite.

use std::time::Duration;

use crate::group::GroupRow;
use crate::nas::NasRecord;
use crate::plan::Plan;
use crate::subscriber::{Status, SubscriberRecord};
use crate::tenant::{Tenant, TenantCondition, TenantRealm};

mod accounting;
mod address;
mod assignments;
mod audit;
mod claims;
mod error;
#[cfg(test)]
mod every_statement;
mod feed;
mod groups;
mod idempotency;
mod import;
mod import_rows;
mod inspection;
mod link;
mod load;
mod nas;
mod network_profiles;
mod nodes;
mod orders;
mod overview;
mod plans;
#[cfg(feature = "postgres")]
mod postgres;
mod provisioning;
mod quotas;
mod realms;
mod records;
mod retention;
mod rows;
mod schedule;
mod schema;
mod secrets;
mod services;
mod sessions;
mod silence;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod subscribers;
mod tenants;
mod tokens;
mod usage;
mod usage_plan;
mod whohad;

pub use accounting::AdoptedSessions;
pub use address::{AddressError, SessionAddress};
pub use assignments::{Addressed, Assignment};
pub use audit::AuditFilter;
pub use claims::SessionClaim;
pub use error::StoreError;
pub use feed::ChangeFeed;
pub use idempotency::{IDEMPOTENCY_KEPT, Replay};
pub use import::{ImportError, SubscriberImport};
pub use import_rows::{Membership, RawRow, RawTable};
pub use inspection::{Inspection, SchemaObject};
pub use nodes::{NodeReport, NodeState, NodeStatus};
pub use orders::{
    Applied, ClaimedOrder, LiveFilter, LiveOrder, OrderClaim, OrderFilter, OrderOutcome, OrderProgress, Review,
    ReviewOf, ReviewedSession,
};
pub use overview::{OutboxState, Overview};
pub use quotas::{Held, QuotaState, Standing};
pub use retention::{AccountingMonth, AgedTable};
pub use schedule::PlannedChange;
pub use secrets::{Replacement, StoredSecret};
pub use services::TenantService;
pub use sessions::{Session, SessionFilter};
pub use usage::{TopUser, TopUsers, Usage, UsageAmount, UsageBy, UsageQuery, UsageRow};
pub use whohad::{Certainty, Holder};

use error::Attempt as _;
use link::{Conn, Tx};

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("feature `store` is internal: choose `sqlite`, `postgres` or both");

type Result<T> = std::result::Result<T, StoreError>;

/// Where a reader of the change feed stands. Opaque; round-trips through [`FeedPosition::as_str`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPosition(String);

impl FeedPosition {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FeedPosition {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a row of the change feed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Tenant,
    Plan,
    Nas,
    /// The subscriber itself, its network profile or its raw rows.
    Subscriber,
}

/// One change, committed by any writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub tenant_id: String,
    pub id: String,
    /// For a subscriber whose row was updated or deleted: the username it had before.
    pub old_username: Option<String>,
}

/// What the feed has since a position.
#[derive(Debug)]
pub enum Feed {
    /// Changes, and the position after them. Per entity they are in the order they were made.
    Changes {
        position: FeedPosition,
        changes: Vec<Change>,
    },
    /// The position is from another database, was pruned past, or there is more than `limit`: load everything anew.
    Lost,
}

/// Takes what a snapshot load reads. Tenants, plans, NAS and rows of groups come before the first subscriber.
pub trait SnapshotSink: Send {
    fn tenant(&mut self, tenant: Tenant);
    fn plan(&mut self, plan: Plan);
    fn nas(&mut self, nas: NasRecord);
    fn condition(&mut self, condition: TenantCondition);
    fn realm(&mut self, realm: TenantRealm);
    /// In the order of ids.
    fn group_row(&mut self, row: GroupRow);
    /// Not deleted ones only.
    fn subscriber(&mut self, subscriber: SubscriberRecord);
}

/// Which subscribers to list, in order of username.
#[derive(Debug, Clone, Default)]
pub struct SubscriberFilter {
    pub tenant_id: Option<String>,
    pub status: Option<Status>,
    pub plan_id: Option<String>,
    /// Substring of the username.
    pub username: Option<String>,
    pub include_deleted: bool,
    pub limit: Option<u32>,
    pub offset: u32,
    /// Go on after this username; for one tenant without the deleted, of whom several may have had one name.
    pub after: Option<String>,
}

/// A connection pool to one of the two databases. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlite::SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(postgres::PgStore),
}

impl Store {
    /// Open `sqlite:///abs/path.db`, `sqlite://rel.db` or `postgres://user@host/db`, with at most `connections`
    /// connections for reading (SQLite) or in all (PostgreSQL). SQLite: the file is made if `create`.
    ///
    /// Returns within seconds, connected or not.
    ///
    /// # Errors
    /// The URL is no such URL, the database cannot be reached, or the server is too old.
    pub async fn connect(url: &str, connections: u32, create: bool) -> Result<Self> {
        #[cfg(not(feature = "sqlite"))]
        let _ = create;
        // Without "//" the whole of `postgres:/user:password@host/db` would be the name of a database.
        let scheme = match url.split_once(':') {
            Some((scheme, rest)) if scheme == "sqlite" || rest.starts_with("//") => Some(scheme),
            _ => None,
        };
        let backend = match scheme {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Backend::Sqlite(sqlite::SqliteStore::connect(url, connections, create).await?),
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Backend::Postgres(postgres::PgStore::connect(url, connections).await?),
            #[cfg(not(feature = "sqlite"))]
            Some("sqlite") => return Err(StoreError::Url("this build has no support for SQLite".to_owned())),
            #[cfg(not(feature = "postgres"))]
            Some("postgres" | "postgresql") => {
                return Err(StoreError::Url("this build has no support for PostgreSQL".to_owned()));
            }
            _ => {
                return Err(StoreError::Url(
                    "expected sqlite:///path/to/file or postgres://user@host/database".to_owned(),
                ));
            }
        };
        Ok(Self { backend })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<()> {
        let attempt = || "reach the database".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        connection
            .link()
            .execute(link::PING, &[])
            .await
            .attempt(attempt)
            .map(drop)
    }

    /// Close all connections, waiting for the statements that run.
    pub async fn close(&self) {
        match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.close().await,
        }
    }

    /// Start following the change feed after `from`. `poll` bounds how long [`ChangeFeed::wait`] waits (PostgreSQL,
    /// where a notification ends it early) or is how often it looks (SQLite).
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn follow(&self, from: FeedPosition, poll: Duration) -> Result<ChangeFeed> {
        ChangeFeed::open(self, from, poll).await
    }

    async fn reader(&self) -> std::result::Result<Conn, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Conn::Sqlite(store.reader().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Conn::Postgres(store.pool().acquire().await?),
        })
    }

    async fn writer(&self) -> std::result::Result<Conn, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Conn::Sqlite(store.writer().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Conn::Postgres(store.pool().acquire().await?),
        })
    }

    /// One consistent view for several reads.
    async fn begin_snapshot(&self) -> std::result::Result<Tx, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Tx::Sqlite(store.begin_read().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Tx::Postgres(store.begin_snapshot().await?),
        })
    }

    /// The same for reading everything.
    async fn begin_load(&self) -> std::result::Result<Tx, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Tx::Sqlite(store.begin_load().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Tx::Postgres(store.begin_snapshot().await?),
        })
    }

    async fn begin(&self) -> std::result::Result<Tx, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Tx::Sqlite(store.begin_write().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Tx::Postgres(store.begin().await?),
        })
    }

    /// A write transaction that may take its time.
    async fn begin_long(&self) -> std::result::Result<Tx, sqlx::Error> {
        Ok(match &self.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Tx::Sqlite(store.begin_bulk().await?),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Tx::Postgres(store.begin_long().await?),
        })
    }
}

/// `Err(NotFound)` if a statement that must hit one row hit none.
fn must_hit(rows: u64, attempt: impl FnOnce() -> String) -> Result<()> {
    if rows == 0 {
        return Err(StoreError::NotFound { attempt: attempt() });
    }
    Ok(())
}
