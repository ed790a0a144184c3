//! What nodes say of themselves.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::Attempt as _;
use super::sql::{Columns, Row, params, statements};
use super::{Result, Store};

/// How a node stands, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// The same after a restart, and no other node's.
    pub node_id: String,
    pub host: String,
    pub version: String,
    /// Accounting records that are acknowledged and not in the database yet.
    pub journal_records: u64,
    pub journal_bytes: u64,
    /// When the first of them came, Unix seconds.
    pub journal_oldest: Option<i64>,
    /// Records that went to the database since the node started.
    pub applied_total: u64,
    pub applied_per_second: u64,
    /// Seconds since the database last confirmed its snapshot.
    pub snapshot_age: u64,
    /// In its snapshot.
    pub subscribers: u64,
    /// Acknowledged records that turned out unreadable in its journal, since it started.
    pub records_lost: u64,
    /// Accounting packets that got no answer since it started, as their records could not be kept.
    pub records_unanswered: u64,
    /// Records that the database refused and that still lie beside the journal.
    pub records_aside: u64,
    /// Logins refused as locked since it started.
    pub logins_locked_out: u64,
    /// Logins answered since it started: `accepted`, and refused ones by the code of their reason.
    pub logins: BTreeMap<String, u64>,
    /// It has ended since, as it should.
    pub stopped: bool,
}

impl NodeReport {
    /// What accepted logins are counted as.
    pub const ACCEPTED: &str = "accepted";
}

/// A node's last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    pub state: NodeState,
    #[serde(flatten)]
    pub report: NodeReport,
    /// Unix seconds, by the database's clock.
    pub reported_at: i64,
}

/// What the time of its last report tells of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Running,
    /// It ended as it should.
    Stopped,
    /// It missed two reports: it is away, or does not reach the database.
    Silent,
    /// For a day: nothing waits for it any more.
    Gone,
}

impl NodeState {
    const fn of(stopped: bool, age: i64) -> Self {
        match age {
            _ if stopped => Self::Stopped,
            ..=30 => Self::Running,
            31..=86_400 => Self::Silent,
            _ => Self::Gone,
        }
    }
}

/// How far the records of all nodes are known to be applied: `$now`, unless some wait in a journal, or a node has missed two
/// of its reports and did not say whether they do. One that was silent for `$gone` seconds while another reported is gone.
macro_rules! applied_until {
    (sqlite: $now:literal, $gone:literal) => {
        concat!(
            "SELECT min(",
            $now,
            ", coalesce(min(unixepoch(CASE WHEN journal_records > 0 THEN journal_oldest
                    WHEN unixepoch(reported_at) < ",
            $now,
            " - 30 THEN reported_at END)), ",
            $now,
            ")) FROM node_status
            WHERE NOT (stopped AND journal_records = 0)
                AND unixepoch(reported_at) > (SELECT max(unixepoch(reported_at)) FROM node_status) - ",
            $gone
        )
    };
    (postgres: $now:literal, $gone:literal) => {
        concat!(
            "SELECT least(",
            $now,
            "::bigint, extract(epoch FROM min(CASE WHEN journal_records > 0 THEN journal_oldest
                    WHEN reported_at < to_timestamp(",
            $now,
            "::bigint - 30) THEN reported_at END))::bigint)
            FROM node_status
            WHERE NOT (stopped AND journal_records = 0)
                AND extract(epoch FROM reported_at)
                    > (SELECT max(extract(epoch FROM reported_at)) FROM node_status) - ",
            $gone,
            "::bigint"
        )
    };
}
pub(super) use applied_until;

statements! {
    REPORT {
        sqlite: "INSERT INTO node_status (node_id, host, version, journal_records, journal_bytes, journal_oldest,
                applied_total, applied_per_second, snapshot_age, subscribers, records_lost, records_unanswered,
                records_aside, logins_locked_out, stopped, logins, reported_at)
            VALUES ($1, $2, $3, $4, $5, datetime($6, 'unixepoch'), $7, $8, $9, $10, $11, $12, $13, $14, $15,
                $16, datetime('now'))
            ON CONFLICT (node_id) DO UPDATE SET host = excluded.host, version = excluded.version,
                journal_records = excluded.journal_records, journal_bytes = excluded.journal_bytes,
                journal_oldest = excluded.journal_oldest, applied_total = excluded.applied_total,
                applied_per_second = excluded.applied_per_second, snapshot_age = excluded.snapshot_age,
                subscribers = excluded.subscribers, records_lost = excluded.records_lost,
                records_unanswered = excluded.records_unanswered, records_aside = excluded.records_aside,
                logins_locked_out = excluded.logins_locked_out, stopped = excluded.stopped,
                logins = excluded.logins, reported_at = excluded.reported_at",
        postgres: "INSERT INTO node_status (node_id, host, version, journal_records, journal_bytes, journal_oldest,
                applied_total, applied_per_second, snapshot_age, subscribers, records_lost, records_unanswered,
                records_aside, logins_locked_out, stopped, logins, reported_at)
            VALUES ($1, $2, $3, $4, $5, to_timestamp($6), $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, now())
            ON CONFLICT (node_id) DO UPDATE SET host = excluded.host, version = excluded.version,
                journal_records = excluded.journal_records, journal_bytes = excluded.journal_bytes,
                journal_oldest = excluded.journal_oldest, applied_total = excluded.applied_total,
                applied_per_second = excluded.applied_per_second, snapshot_age = excluded.snapshot_age,
                subscribers = excluded.subscribers, records_lost = excluded.records_lost,
                records_unanswered = excluded.records_unanswered, records_aside = excluded.records_aside,
                logins_locked_out = excluded.logins_locked_out, stopped = excluded.stopped,
                logins = excluded.logins, reported_at = excluded.reported_at",
    }
    LIST {
        sqlite: "SELECT node_id, host, version, journal_records, journal_bytes, unixepoch(journal_oldest),
                applied_total, applied_per_second, snapshot_age, subscribers, records_lost, records_unanswered,
                records_aside, logins_locked_out, stopped, logins, unixepoch(reported_at), unixepoch('now') - unixepoch(reported_at)
            FROM node_status ORDER BY node_id",
        postgres: "SELECT node_id, host, version, journal_records, journal_bytes,
                extract(epoch FROM journal_oldest)::bigint, applied_total, applied_per_second, snapshot_age,
                subscribers, records_lost, records_unanswered, records_aside, logins_locked_out, stopped, logins,
                extract(epoch FROM reported_at)::bigint, extract(epoch FROM now() - reported_at)::bigint
            FROM node_status ORDER BY node_id COLLATE \"C\"",
    }
}

fn node(row: &Row) -> std::result::Result<NodeStatus, sqlx::Error> {
    let mut columns = Columns::of(row);
    let report = NodeReport {
        node_id: columns.text()?,
        host: columns.text()?,
        version: columns.text()?,
        journal_records: columns.number()?,
        journal_bytes: columns.number()?,
        journal_oldest: columns.opt_number()?,
        applied_total: columns.number()?,
        applied_per_second: columns.number()?,
        snapshot_age: columns.number()?,
        subscribers: columns.number()?,
        records_lost: columns.number()?,
        records_unanswered: columns.number()?,
        records_aside: columns.number()?,
        logins_locked_out: columns.number()?,
        stopped: columns.flag()?,
        logins: columns.json()?,
    };
    let (reported_at, age) = (columns.number()?, columns.number()?);
    Ok(NodeStatus {
        state: NodeState::of(report.stopped, age),
        report,
        reported_at,
    })
}

impl Store {
    /// Replace what a node said of itself before.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn report_node(&self, report: &NodeReport) -> Result<()> {
        let attempt = || format!("report the state of node {}", report.node_id);
        let mut connection = self.writer().await.attempt(attempt)?;
        let params = params![
            &report.node_id,
            &report.host,
            &report.version,
            report.journal_records,
            report.journal_bytes,
            report.journal_oldest,
            report.applied_total,
            report.applied_per_second,
            report.snapshot_age,
            report.subscribers,
            report.records_lost,
            report.records_unanswered,
            report.records_aside,
            report.logins_locked_out,
            report.stopped,
            serde_json::to_string(&report.logins).unwrap_or_default(),
        ];
        connection
            .link()
            .execute(REPORT, params)
            .await
            .attempt(attempt)
            .map(drop)
    }

    /// What every node said last, by id.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn nodes(&self) -> Result<Vec<NodeStatus>> {
        let attempt = || "list nodes".to_owned();
        let mut connection = self.reader().await.attempt(attempt)?;
        let rows = connection.link().all(LIST, &[]).await.attempt(attempt)?;
        rows.iter()
            .map(node)
            .collect::<std::result::Result<_, _>>()
            .attempt(attempt)
    }
}
