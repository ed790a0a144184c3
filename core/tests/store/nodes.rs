//! What nodes say of themselves.

use isp_core::store::{AgedTable, NodeReport, NodeState};

use crate::harness::Database;

on_both_databases!(
    a_node_is_one_row_with_what_it_said_last,
    a_node_that_says_nothing_is_gone,
);

pub(crate) fn report(node_id: &str, journal_records: u64, journal_oldest: Option<i64>) -> NodeReport {
    NodeReport {
        node_id: node_id.to_owned(),
        host: "aaa1.example.net".to_owned(),
        version: "1.2.3".to_owned(),
        journal_records,
        journal_bytes: 5 << 40,
        journal_oldest,
        applied_total: 1 << 35,
        applied_per_second: 12_000,
        snapshot_age: 1,
        subscribers: 200_000,
        records_lost: 3,
        records_unanswered: 1 << 33,
        records_aside: 2,
        logins_locked_out: 1 << 34,
        logins: [("accepted".to_owned(), 1 << 36), ("bad_password".to_owned(), 9)].into(),
        stopped: false,
    }
}

async fn a_node_is_one_row_with_what_it_said_last(database: &Database) {
    let store = &database.store;
    assert_eq!(store.nodes().await.unwrap(), []);
    let first = report("b", 7, Some(1_700_000_000));
    store.report_node(&first).await.unwrap();
    store.report_node(&report("a", 0, None)).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    assert_eq!(nodes[0].report, report("a", 0, None));
    assert_eq!(nodes[1].report, first);
    assert!(nodes[1].reported_at > 1_700_000_000);
    store.report_node(&report("b", 0, None)).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[1].report, report("b", 0, None));
}

async fn a_node_that_says_nothing_is_gone(database: &Database) {
    let store = &database.store;
    let ago = |seconds: i64| {
        if database.is_sqlite() {
            format!("datetime(unixepoch() - {seconds}, 'unixepoch')")
        } else {
            format!("now() - interval '{seconds} seconds'")
        }
    };
    for (name, seconds) in [("a", 5), ("b", 60), ("c", 90_000), ("d", 90_000)] {
        let stopped = name == "d";
        store
            .report_node(&NodeReport {
                stopped,
                ..report(name, 0, None)
            })
            .await
            .unwrap();
        database
            .raw(&format!(
                "UPDATE node_status SET reported_at = {} WHERE node_id = '{name}'",
                ago(seconds)
            ))
            .await;
    }
    let states: Vec<_> = store.nodes().await.unwrap().iter().map(|node| node.state).collect();
    assert_eq!(
        states,
        [
            NodeState::Running,
            NodeState::Silent,
            NodeState::Gone,
            NodeState::Stopped
        ]
    );
    let day_ago = store.nodes().await.unwrap()[0].reported_at - 86_400;
    assert_eq!(store.aged_count(AgedTable::Nodes, day_ago).await.unwrap(), 2);
    assert_eq!(store.aged_delete(AgedTable::Nodes, day_ago).await.unwrap(), 2);
    assert_eq!(store.nodes().await.unwrap().len(), 2);
}
