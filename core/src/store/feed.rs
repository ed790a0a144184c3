//! The change feed: what was committed since a position.

#[cfg(feature = "sqlite")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "sqlite")]
use sqlx::SqliteConnection;
#[cfg(feature = "postgres")]
use sqlx::postgres::PgListener;

use super::error::{Attempt as _, StoreError};
#[cfg(feature = "sqlite")]
use super::link::Link;
use super::link::Tx;
#[cfg(feature = "postgres")]
use super::link::bounded;
use super::sql::{Columns, Row, params, statements};
#[cfg(feature = "sqlite")]
use super::sqlite::DatabaseFile;
use super::{Backend, Change, ChangeKind, Feed, FeedPosition, Result, Store};

/// How long a waiter may be kept without word, so that it can notice that it should stop.
#[cfg(feature = "sqlite")]
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[cfg(feature = "postgres")]
const CHANNEL: &str = "isp_change_feed";

/// A cluster, its timeline (a restored or promoted server is on another one) and a database of it.
macro_rules! postgres_identity {
    () => {
        "(SELECT system_identifier FROM pg_control_system()) || '.' || \
         (SELECT timeline_id FROM pg_control_checkpoint()) || '.' || \
         (SELECT oid FROM pg_database WHERE datname = current_database()) || '.' || s.identity"
    };
}

macro_rules! sqlite_last {
    () => {
        "coalesce((SELECT max(seq) FROM change_feed), 0)"
    };
}

statements! {
    POSITION {
        sqlite: concat!("SELECT s.identity, CAST(", sqlite_last!(), " AS TEXT) FROM change_feed_state s"),
        postgres: concat!(
            "SELECT ", postgres_identity!(), ", pg_current_snapshot()::text FROM change_feed_state s"),
    }
    /// One statement, so that the position and the rows are of one view. $1 is the position, $2 how many rows to read.
    /// No row at all comes as one with an empty kind.
    NEXT {
        sqlite: concat!("
            SELECT s.identity, CAST(", sqlite_last!(), " AS TEXT),
                CAST($1 AS INTEGER) < s.horizon OR CAST($1 AS INTEGER) > ", sqlite_last!(), ",
                f.kind, f.tenant_id, f.entity_id, f.old_username
            FROM change_feed_state s LEFT JOIN (
                SELECT * FROM change_feed WHERE seq > CAST($1 AS INTEGER) ORDER BY seq LIMIT $2) f ON true
            ORDER BY f.seq"),
        // Not visible in a snapshot is what began after it and what was under way; the index finds both.
        postgres: concat!("
            SELECT ", postgres_identity!(), ", pg_current_snapshot()::text,
                coalesce(s.pruned >= pg_snapshot_xmax($1::pg_snapshot) OR EXISTS (
                    SELECT 1 FROM pg_snapshot_xip($1::pg_snapshot) x
                    WHERE x <= s.pruned AND pg_visible_in_snapshot(x, s.horizon)), false),
                f.kind, f.tenant_id, f.entity_id, f.old_username
            FROM change_feed_state s LEFT JOIN (
                SELECT * FROM (
                    SELECT * FROM change_feed WHERE txid >= pg_snapshot_xmax($1::pg_snapshot)
                    UNION ALL
                    SELECT * FROM change_feed WHERE txid = ANY (ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot)))) unseen
                LIMIT $2) f ON true
            ORDER BY f.seq"),
    }
    /// Two nodes may prune at once; SQLite has one writer anyway.
    PRUNE_LOCK {
        postgres: "SELECT 1 FROM change_feed_state FOR UPDATE",
    }
    PRUNE_CHECKPOINT {
        postgres: "INSERT INTO change_feed_checkpoint DEFAULT VALUES ON CONFLICT DO NOTHING",
    }
    /// $1: how long to keep rows, in milliseconds.
    PRUNE_HORIZON {
        sqlite: "UPDATE change_feed_state SET horizon = max(horizon, coalesce(
            (SELECT max(seq) FROM change_feed WHERE at <= unixepoch() - $1 / 1000
                AND seq < (SELECT max(seq) FROM change_feed)), 0))",
        postgres: "UPDATE change_feed_state SET horizon = coalesce((
            SELECT position FROM change_feed_checkpoint WHERE at <= clock_timestamp() - $1 * interval '1 millisecond'
            ORDER BY at DESC LIMIT 1), horizon)",
    }
    PRUNE_NEWEST {
        postgres: "UPDATE change_feed_state s SET pruned = greatest(s.pruned, (
            SELECT f.txid FROM change_feed f
            WHERE f.txid < pg_snapshot_xmax(s.horizon) AND pg_visible_in_snapshot(f.txid, s.horizon)
            ORDER BY f.txid DESC LIMIT 1))",
    }
    PRUNE_ROWS {
        sqlite: "DELETE FROM change_feed WHERE seq <= (SELECT horizon FROM change_feed_state)",
        postgres: "DELETE FROM change_feed f USING change_feed_state s
            WHERE f.txid < pg_snapshot_xmax(s.horizon) AND pg_visible_in_snapshot(f.txid, s.horizon)",
    }
    /// Of the checkpoints old enough only the newest is of use.
    PRUNE_CHECKPOINTS {
        postgres: "DELETE FROM change_feed_checkpoint WHERE at < (
            SELECT max(at) FROM change_feed_checkpoint WHERE at <= clock_timestamp() - $1 * interval '1 millisecond')",
    }
}

/// Follows the change feed from a position on. Survives nothing: after an error, open a new one at
/// [`ChangeFeed::position`].
pub struct ChangeFeed {
    source: Source,
    position: FeedPosition,
    poll: Duration,
    /// Something may have been committed between the position and the start of listening.
    due: bool,
}

enum Source {
    #[cfg(feature = "sqlite")]
    Sqlite {
        file: Arc<DatabaseFile>,
        connection: SqliteConnection,
        /// Changes whenever another connection commits.
        version: i64,
    },
    #[cfg(feature = "postgres")]
    Postgres(Box<PgListener>),
}

fn attempt() -> String {
    "follow the change feed".to_owned()
}

impl ChangeFeed {
    pub(super) async fn open(store: &Store, from: FeedPosition, poll: Duration) -> Result<Self> {
        let source = match &store.backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite(store) => Source::Sqlite {
                connection: store.file.open().await.attempt(attempt)?,
                file: Arc::clone(&store.file),
                version: 0,
            },
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => {
                let pool = store.listener_pool().await.attempt(attempt)?;
                let mut listener = PgListener::connect_with(&pool).await.attempt(attempt)?;
                listener.eager_reconnect(false);
                bounded(listener.listen(CHANNEL)).await.attempt(attempt)?;
                Source::Postgres(Box::new(listener))
            }
        };
        Ok(Self {
            source,
            position: from,
            poll,
            due: true,
        })
    }

    /// Up to where the feed was read.
    #[must_use]
    pub const fn position(&self) -> &FeedPosition {
        &self.position
    }

    /// Wait until there may be a change, or for a while: `poll` on PostgreSQL, a second at most on SQLite. May be
    /// dropped at any time.
    ///
    /// # Errors
    /// The database is gone, or (SQLite) its path names another file.
    pub async fn wait(&mut self) -> Result<()> {
        if std::mem::take(&mut self.due) {
            return Ok(());
        }
        match &mut self.source {
            #[cfg(feature = "sqlite")]
            Source::Sqlite {
                file,
                connection,
                version,
            } => {
                let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
                loop {
                    file.check().attempt(attempt)?;
                    let now = data_version(connection).await.attempt(attempt)?;
                    if *version != now || tokio::time::Instant::now() >= deadline {
                        *version = now;
                        return Ok(());
                    }
                    tokio::time::sleep(self.poll.min(LONGEST_WAIT)).await;
                }
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(listener) => match tokio::time::timeout(self.poll, listener.try_recv()).await {
                Err(_) | Ok(Ok(Some(_))) => Ok(()),
                Ok(Ok(None)) => Err(StoreError::Unreachable {
                    attempt: attempt(),
                    reason: "the connection was lost".to_owned(),
                }),
                Ok(Err(error)) => Err(StoreError::from_sqlx(attempt(), error)),
            },
        }
    }

    /// What came since the last call; moves the position forward unless it is [`Feed::Lost`].
    ///
    /// # Errors
    /// The database is gone.
    pub async fn next(&mut self, limit: u32) -> Result<Feed> {
        let Some((identity, at)) = self.position.0.split_once('/') else {
            return Ok(Feed::Lost);
        };
        let rows = self.source.read(at, i64::from(limit) + 1).await.attempt(attempt)?;
        let tag = self.source.tag();
        let mut changes = Vec::with_capacity(rows.len());
        let mut position = None;
        for row in &rows {
            let mut columns = Columns::of(row);
            let here = columns.text().attempt(attempt)? + &tag;
            let now = columns.text().attempt(attempt)?;
            let missed = columns.flag().attempt(attempt)?;
            if missed || here != identity {
                return Ok(Feed::Lost);
            }
            position.get_or_insert_with(|| FeedPosition(format!("{here}/{now}")));
            match change(&mut columns) {
                Ok(change) => changes.extend(change),
                // A name that is no text (SQLite takes any bytes) must not stop the feed for all.
                Err(sqlx::Error::ColumnDecode { index, source }) => {
                    tracing::error!(column = index, "a change cannot be read: {source}");
                    return Ok(Feed::Lost);
                }
                Err(error) => return Err(StoreError::from_sqlx(attempt(), error)),
            }
        }
        let Some(position) = position.filter(|_| changes.len() <= limit as usize) else {
            return Ok(Feed::Lost);
        };
        self.position = position.clone();
        Ok(Feed::Changes { position, changes })
    }
}

impl Source {
    /// What a position carries beside what the database says of itself.
    fn tag(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, .. } => file.tag(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => String::new(),
        }
    }

    async fn read(&mut self, position: &str, rows: i64) -> std::result::Result<Vec<Row>, sqlx::Error> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, connection, .. } => {
                file.check()?;
                Link::Sqlite(connection).all(NEXT, params![position, rows]).await
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(listener) => {
                // What was announced so far is seen by the query; what comes during it wakes the next wait.
                while listener.next_buffered().is_some() {}
                let query = sqlx::query(NEXT.postgres).bind(position).bind(rows);
                let rows = bounded(query.fetch_all(&mut **listener)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }
}

#[cfg(feature = "sqlite")]
async fn data_version(connection: &mut SqliteConnection) -> std::result::Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}

fn change(columns: &mut Columns<'_>) -> std::result::Result<Option<Change>, sqlx::Error> {
    let kind = match columns.opt_str()? {
        None => return Ok(None),
        Some("tenant") => ChangeKind::Tenant,
        Some("plan") => ChangeKind::Plan,
        Some("nas") => ChangeKind::Nas,
        // The schema admits no fifth word.
        Some(_) => ChangeKind::Subscriber,
    };
    Ok(Some(Change {
        kind,
        tenant_id: columns.text()?,
        id: columns.text()?,
        old_username: columns.opt_text()?,
    }))
}

/// Where the feed stands in the view of `tx`.
pub(super) async fn position(store: &Store, tx: &mut Tx) -> std::result::Result<FeedPosition, sqlx::Error> {
    let row = tx.link().one(POSITION, &[]).await?;
    let mut columns = Columns::of(&row);
    let (identity, at) = (columns.text()?, columns.text()?);
    let tag = match &store.backend {
        #[cfg(feature = "sqlite")]
        Backend::Sqlite(store) => store.file.tag(),
        #[cfg(feature = "postgres")]
        Backend::Postgres(_) => String::new(),
    };
    Ok(FeedPosition(format!("{identity}{tag}/{at}")))
}

impl Store {
    /// Drop feed rows older than `keep`; returns how many. A reader behind them gets [`Feed::Lost`].
    ///
    /// PostgreSQL tells age by the calls of this method: rows go once a call at least `keep` ago has seen them. SQLite
    /// keeps the newest row whatever its age.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn prune_feed(&self, keep: Duration) -> Result<u64> {
        let attempt = || "prune the change feed".to_owned();
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let mut tx = self.begin().await.attempt(attempt)?;
        tx.link().execute(PRUNE_LOCK, &[]).await.attempt(attempt)?;
        tx.link().execute(PRUNE_CHECKPOINT, &[]).await.attempt(attempt)?;
        tx.link().execute(PRUNE_HORIZON, params![keep]).await.attempt(attempt)?;
        tx.link().execute(PRUNE_NEWEST, &[]).await.attempt(attempt)?;
        let dropped = tx.link().execute(PRUNE_ROWS, &[]).await.attempt(attempt)?;
        tx.link()
            .execute(PRUNE_CHECKPOINTS, params![keep])
            .await
            .attempt(attempt)?;
        tx.commit().await.attempt(attempt)?;
        Ok(dropped)
    }
}
