//! How the node stands, told to the log while there is a backlog and to the database for `ispctl status`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tracing::{debug, error, info, warn};

use super::NodeConfig;
use super::accounting::Accounting;
use super::link::Link;
use super::logins::Logins;
use super::state::State;
use crate::accounting::aside::Count;
use crate::accounting::journal::{Journal, JournalStats};
use crate::clock::unix_now;
use crate::store::NodeReport;

const EVERY: Duration = Duration::from_secs(10);
/// The last report is not worth waiting for.
const FAREWELL: Duration = Duration::from_secs(2);
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Records this young are on their way.
const BACKLOG_AGE: i64 = 10;

#[derive(Debug)]
pub(super) struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Report once more, and stop.
    pub(super) async fn finish(self) {
        let _ = self.stop.send(true);
        if let Err(why) = self.task.await {
            error!("the reporter ended badly: {why}");
        }
    }
}

/// What others count, and the report tells.
pub(super) struct Counts {
    /// The file of records that the database refused.
    pub(super) refused: PathBuf,
    pub(super) locked_out: Arc<AtomicU64>,
    pub(super) logins: Arc<Logins>,
}

struct Reporter {
    link: Arc<Link>,
    state: Arc<State>,
    journal: Option<Arc<Journal>>,
    unanswered: Arc<AtomicU64>,
    locked_out: Arc<AtomicU64>,
    logins: Arc<Logins>,
    aside: Count,
    node_id: String,
    host: String,
    since: Instant,
    before: JournalStats,
    /// When a backlog was last logged, if there is one.
    logged: Option<Instant>,
}

pub(super) fn spawn(
    runtime: &tokio::runtime::Handle,
    config: &NodeConfig,
    link: &Arc<Link>,
    state: &Arc<State>,
    accounting: &Accounting,
    counts: Counts,
) -> Handle {
    let journal = accounting.journal();
    let (stop, mut stopping) = watch::channel(false);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut reporter = Reporter {
        link: Arc::clone(link),
        state: Arc::clone(state),
        journal: journal.cloned(),
        unanswered: accounting.unanswered(),
        locked_out: counts.locked_out,
        logins: counts.logins,
        aside: Count::new(counts.refused),
        // What no two nodes of a machine share.
        node_id: match (journal, &config.snapshot_file) {
            (Some(_), _) => format!("{host}:{}", config.journal.display()),
            (None, Some(file)) => format!("{host}:{}", file.display()),
            (None, None) => host.clone(),
        },
        host,
        since: Instant::now(),
        before: JournalStats::default(),
        logged: None,
    };
    let task = runtime.spawn(async move {
        loop {
            reporter.report(false).await;
            if tokio::time::timeout(EVERY, stopping.changed()).await.is_ok() {
                let _ = tokio::time::timeout(FAREWELL, reporter.report(true)).await;
                return;
            }
        }
    });
    Handle { stop, task }
}

impl Reporter {
    /// `last`: nothing comes after it, as all that could be applied is.
    async fn report(&mut self, last: bool) {
        let stats = self.journal.as_ref().map(|journal| journal.stats()).unwrap_or_default();
        let elapsed = self.since.elapsed().as_secs_f64().max(0.001);
        let rate = |total: u64, before: u64| ((total - before) as f64 / elapsed).round() as u64;
        let appended = rate(stats.appended, self.before.appended);
        let applied = rate(stats.applied, self.before.applied);
        self.since = Instant::now();
        self.before = stats;
        self.log(&stats, appended, applied);

        let status = self.state.status(unix_now());
        let report = NodeReport {
            node_id: self.node_id.clone(),
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal_records: stats.records,
            journal_bytes: stats.bytes,
            journal_oldest: stats.oldest,
            applied_total: stats.applied,
            applied_per_second: applied,
            snapshot_age: status.age.as_secs(),
            subscribers: status.subscribers as u64,
            records_lost: stats.lost,
            records_unanswered: self.unanswered.load(Ordering::Relaxed),
            logins_locked_out: self.locked_out.load(Ordering::Relaxed),
            logins: self.logins.counts(),
            records_aside: block_in_place(|| self.aside.get()),
            stopped: last,
        };
        // Who needs the database says that it is away.
        let told = match self.link.store().await {
            Ok(store) => store.report_node(&report).await,
            Err(why) => Err(why),
        };
        if let Err(why) = told {
            debug!("the state of this node is not in the database: {why}");
        }
    }

    fn log(&mut self, stats: &JournalStats, appended: u64, applied: u64) {
        let age = stats.oldest.map_or(0, |oldest| unix_now() - oldest);
        if stats.records == 0 || (self.logged.is_none() && age < BACKLOG_AGE) {
            if self.logged.take().is_some() {
                info!("accounting backlog: none any more");
            }
            return;
        }
        if self.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        warn!(
            "accounting backlog: {} records, {} bytes, the oldest from {age} s ago; {appended} records/s come, \
             {applied} records/s go to the database",
            stats.records, stats.bytes
        );
        self.logged = Some(Instant::now());
    }
}
