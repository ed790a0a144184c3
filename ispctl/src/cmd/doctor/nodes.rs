//! What the servers last said of themselves.

use isp_core::store::{NodeState, Store};

use super::finding::Findings;
use crate::error::Result;

/// Seconds that a snapshot may be behind.
const BEHIND: u64 = 60;
/// As a journal's own.
const BACKLOG: i64 = 120;

pub(super) async fn check(store: &Store, findings: &mut Findings) -> Result<()> {
    for node in store.nodes().await? {
        let report = &node.report;
        let place = format!("node {}", report.node_id);
        if node.state == NodeState::Silent {
            findings.error(
                "node_silent",
                &place,
                "it has not reported for more than half a minute, and did not say that it ends",
                "see whether it runs, and reaches the database",
            );
        }
        if node.state == NodeState::Running {
            let ours = env!("CARGO_PKG_VERSION");
            if report.version != ours {
                let problem = format!("it runs version {}, this is {ours}", report.version);
                findings.warning(
                    "node_version",
                    &place,
                    &problem,
                    "install the same version on both, and restart the server",
                );
            }
            if report.snapshot_age > BEHIND {
                let problem = format!(
                    "the database last confirmed its subscribers {} s ago",
                    report.snapshot_age
                );
                findings.error(
                    "node_stale",
                    &place,
                    &problem,
                    "see its log for why it does not follow the database",
                );
            }
        }
        let age = report.journal_oldest.map_or(0, |oldest| node.reported_at - oldest);
        if report.journal_records > 0 && age > BACKLOG {
            let problem = format!(
                "{} accounting record(s) wait in its journal, the first for {age} s",
                report.journal_records
            );
            findings.warning(
                "node_backlog",
                &place,
                &problem,
                "see its log for why the database does not take them",
            );
        }
        for (code, count, what, remedy) in [
            (
                "node_records_lost",
                report.records_lost,
                "acknowledged record(s) turned out unreadable in its journal",
                "look at its disk",
            ),
            (
                "node_records_aside",
                report.records_aside,
                "record(s) that the database refused lie beside its journal",
                "mend what each says is wrong, then ispctl accounting retry there",
            ),
            (
                "node_unanswered",
                report.records_unanswered,
                "accounting packet(s) got no answer since it started",
                "see its log: the disk or the database did not keep up",
            ),
        ] {
            if count > 0 && node.state != NodeState::Gone {
                findings.warning(code, &place, &format!("{count} {what}"), remedy);
            }
        }
    }
    Ok(())
}
