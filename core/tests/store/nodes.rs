//! What nodes say of themselves.

use isp_core::store::NodeReport;

use crate::harness::Database;

on_both_databases!(a_node_is_one_row_with_what_it_said_last);

fn report(node_id: &str, journal_records: u64, journal_oldest: Option<i64>) -> NodeReport {
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
