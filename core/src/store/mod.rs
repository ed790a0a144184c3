//! The database contract: what both stores do, tested by one suite on SQLite and on PostgreSQL.

use std::time::Duration;

use crate::accounting::{AccountingRecord, PostAuthRecord};
use crate::dictionary::RowList;
use crate::nas::{Nas, NasRecord};
use crate::plan::Plan;
use crate::subscriber::{AttributeRow, Status, Subscriber, SubscriberRecord};
use crate::tenant::Tenant;

/// Where a reader of the change feed stands. Opaque; round-trips through [`FeedPosition::as_str`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPosition(String);

impl FeedPosition {
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
    /// Changes in commit order where the database has one, and the position after them.
    Changes {
        position: FeedPosition,
        changes: Vec<Change>,
    },
    /// The position is from another database, was pruned past, or there is more than `limit`: load everything anew.
    Lost,
}

/// Takes what a snapshot load reads. Tenants, plans and NAS come before the first subscriber.
pub trait SnapshotSink: Send {
    fn tenant(&mut self, tenant: Tenant);
    fn plan(&mut self, plan: Plan);
    fn nas(&mut self, nas: NasRecord);
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
}

/// A database fault, in the words of what was attempted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Todo(String),
}

impl StoreError {
    /// The database did not answer `what` (a present participle: "reading the change feed") in time.
    pub fn timeout(what: &'static str, limit: Duration) -> Self {
        todo!()
    }
    /// The database is away, busy or slow: trying the same again later may work (not so for a refused row).
    pub fn is_transient(&self) -> bool {
        todo!()
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A connection pool to one of the two databases.
#[derive(Debug, Clone)]
pub struct Store {}

/// Follows the change feed from a position on.
pub struct ChangeFeed {}

/// An import in one transaction: all rows or none.
pub struct SubscriberImport {}

impl Store {
    /// `sqlite:///abs/path.db`, `sqlite://rel.db` or `postgres://user@host/db`. SQLite: the file is made if `create`.
    pub async fn connect(url: &str, connections: u32, create: bool) -> Result<Self> {
        todo!()
    }
    pub async fn migrate(&self) -> Result<Vec<String>> {
        todo!()
    }
    /// Error unless the schema is at the version this build wants; names the command to run.
    pub async fn check_schema(&self) -> Result<()> {
        todo!()
    }
    pub async fn close(&self) {
        todo!()
    }

    pub async fn load_snapshot(&self, sink: &mut dyn SnapshotSink) -> Result<FeedPosition> {
        todo!()
    }
    pub async fn load_catalog(&self, sink: &mut dyn SnapshotSink) -> Result<()> {
        todo!()
    }
    pub async fn load_subscribers(&self, ids: &[String], sink: &mut dyn SnapshotSink) -> Result<()> {
        todo!()
    }
    pub async fn follow(&self, from: FeedPosition, poll: Duration) -> Result<ChangeFeed> {
        todo!()
    }
    /// Drop feed rows older than `keep`.
    pub async fn prune_feed(&self, keep: Duration) -> Result<u64> {
        todo!()
    }

    pub async fn record_post_auth(&self, rows: &[PostAuthRecord]) -> Result<()> {
        todo!()
    }
    pub async fn record_accounting(&self, rows: &[AccountingRecord]) -> Result<()> {
        todo!()
    }

    pub async fn tenant_add(&self, tenant: &Tenant) -> Result<()> {
        todo!()
    }
    pub async fn tenant_list(&self) -> Result<Vec<Tenant>> {
        todo!()
    }
    /// By id or by name.
    pub async fn tenant_get(&self, id_or_name: &str) -> Result<Option<Tenant>> {
        todo!()
    }
    pub async fn tenant_set(&self, tenant: &Tenant) -> Result<()> {
        todo!()
    }
    pub async fn tenant_delete(&self, id: &str) -> Result<()> {
        todo!()
    }

    pub async fn plan_add(&self, plan: &Plan) -> Result<()> {
        todo!()
    }
    pub async fn plan_list(&self, tenant_id: &str) -> Result<Vec<Plan>> {
        todo!()
    }
    pub async fn plan_get(&self, tenant_id: &str, id_or_name: &str) -> Result<Option<Plan>> {
        todo!()
    }
    pub async fn plan_set(&self, plan: &Plan) -> Result<()> {
        todo!()
    }
    pub async fn plan_delete(&self, tenant_id: &str, id: &str) -> Result<()> {
        todo!()
    }

    /// Returns the id the database gave.
    pub async fn nas_add(&self, nas: &Nas) -> Result<i64> {
        todo!()
    }
    pub async fn nas_list(&self, tenant_id: Option<&str>) -> Result<Vec<Nas>> {
        todo!()
    }
    pub async fn nas_get(&self, tenant_id: &str, id_nasname_or_shortname: &str) -> Result<Option<Nas>> {
        todo!()
    }
    pub async fn nas_set(&self, nas: &Nas) -> Result<()> {
        todo!()
    }
    pub async fn nas_delete(&self, tenant_id: &str, id: i64) -> Result<()> {
        todo!()
    }

    pub async fn subscriber_add(&self, subscriber: &Subscriber) -> Result<()> {
        todo!()
    }
    pub async fn subscriber_list(&self, filter: &SubscriberFilter) -> Result<Vec<Subscriber>> {
        todo!()
    }
    /// By username (not deleted) or id.
    pub async fn subscriber_get(&self, tenant_id: &str, username_or_id: &str) -> Result<Option<Subscriber>> {
        todo!()
    }
    pub async fn subscriber_set(&self, subscriber: &Subscriber) -> Result<()> {
        todo!()
    }
    /// Soft: sets `deleted_at`.
    pub async fn subscriber_delete(&self, tenant_id: &str, id: &str, by: Option<&str>) -> Result<()> {
        todo!()
    }
    pub async fn subscriber_import(&self) -> Result<SubscriberImport> {
        todo!()
    }

    pub async fn rows(&self, list: RowList, tenant_id: &str, subscriber_id: &str) -> Result<Vec<AttributeRow>> {
        todo!()
    }
    pub async fn row_add(
        &self,
        list: RowList,
        subscriber: &Subscriber,
        attribute: &str,
        op: &str,
        value: &str,
    ) -> Result<i64> {
        todo!()
    }
    pub async fn row_delete(&self, list: RowList, tenant_id: &str, id: i64) -> Result<()> {
        todo!()
    }
}

impl ChangeFeed {
    /// Wait until there may be a change, or `poll` is over (PostgreSQL: NOTIFY; SQLite: data_version). Errors when the database is gone.
    pub async fn wait(&mut self) -> Result<()> {
        todo!()
    }
    /// What came since the last call; moves the position forward.
    pub async fn next(&mut self, limit: u32) -> Result<Feed> {
        todo!()
    }
}

impl SubscriberImport {
    /// Fails with the index within `batch` and the reason for the first row the database refuses; nothing is kept then.
    pub async fn push(&mut self, batch: &[Subscriber]) -> std::result::Result<(), ImportError> {
        todo!()
    }
    pub async fn commit(self) -> Result<u64> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("row {index}: {reason}")]
    Row { index: usize, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}
