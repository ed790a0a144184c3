//! From an answered accounting packet to its row.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use isp_core::accounting::{AccountingRecord, AcctStatusType};
use isp_core::dictionary::AnyAttribute;
use isp_core::node::{AccountingError, AccountingMode, Node, NodeConfig, NodeError};
use isp_core::secret::Secret;
use isp_core::store::Store;
use tokio::runtime::Runtime;

use crate::database::Database;
use crate::{PROMISE, config, eventually, now, seed, start};

/// How long a node may take to find that the database is back.
pub(crate) const RECOVERY: Duration = Duration::from_secs(15);

on_both!(
    what_is_answered_gets_into_the_database,
    the_database_may_be_away_meanwhile,
    what_is_not_applied_when_the_node_stops_is_applied_by_the_next,
    a_record_the_database_refuses_is_put_aside_alone,
    a_database_that_cannot_be_written_to_costs_no_record,
    what_the_journal_held_is_applied_in_database_mode,
    a_journal_that_is_not_needed_keeps_no_node_from_starting,
    in_database_mode_nothing_is_answered_without_it,
    a_node_says_how_it_stands,
    a_journal_serves_one_node,
);

pub(crate) fn interim(number: u64) -> AccountingRecord {
    AccountingRecord {
        status: AcctStatusType::InterimUpdate,
        tenant_id: Some("t".to_owned()),
        subscriber_id: Some("id-of-alice".to_owned()),
        acct_session_id: number.to_string(),
        acct_unique_id: format!("{number:032x}"),
        user_name: "alice".to_owned(),
        realm: String::new(),
        nas_ip_address: "192.0.2.1".parse().unwrap(),
        nas_port_id: None,
        nas_port_type: None,
        event_time: now(),
        session_time: Some(60),
        authentic: None,
        connect_info: None,
        input_octets: Some(1_000),
        output_octets: Some(2_000),
        called_station_id: None,
        calling_station_id: None,
        terminate_cause: None,
        service_type: None,
        framed_protocol: None,
        framed_ip_address: None,
        framed_ipv6_address: None,
        framed_ipv6_prefix: None,
        framed_interface_id: None,
        delegated_ipv6_prefix: None,
        class: None,
        multi_session_id: None,
        gigawords: true,
        received: now(),
        interim_interval: None,
    }
}

fn keep(node: &Node, numbers: std::ops::Range<u64>) {
    for number in numbers {
        node.accounting(interim(number)).unwrap();
    }
}

fn sessions(runtime: &Runtime, store: &Store) -> u64 {
    runtime.block_on(store.overview()).unwrap().sessions_open
}

pub(crate) fn waiting(node: &Node) -> u64 {
    node.status(now()).journal.unwrap().records
}

fn what_is_answered_gets_into_the_database(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    keep(&node, 0..20);
    eventually("all rows", RECOVERY, || sessions(runtime, &store) == 20);
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    keep(&node, 0..20);
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    assert_eq!(sessions(runtime, &store), 20);
    node.shutdown(PROMISE);
}

fn the_database_may_be_away_meanwhile(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    runtime.block_on(store.close());
    let node = start(config(database, directory));
    eventually("the copy on disk", RECOVERY, || directory.join("snapshot").exists());
    node.shutdown(PROMISE);

    runtime.block_on(database.hide());
    let node = start(config(database, directory));
    keep(&node, 0..20);
    assert_eq!(waiting(&node), 20);
    assert!(node.status(now()).journal.unwrap().oldest.is_some());
    runtime.block_on(database.show());
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    let store = runtime.block_on(Store::connect(database.url(), 1, false)).unwrap();
    assert_eq!(sessions(runtime, &store), 20);
    node.shutdown(PROMISE);
}

fn what_is_not_applied_when_the_node_stops_is_applied_by_the_next(
    runtime: &Runtime,
    database: &mut Database,
    directory: &Path,
) {
    let store = runtime.block_on(seed(database, directory));
    runtime.block_on(store.close());
    let node = start(config(database, directory));
    eventually("the copy on disk", RECOVERY, || directory.join("snapshot").exists());
    node.shutdown(PROMISE);

    runtime.block_on(database.hide());
    let node = start(config(database, directory));
    keep(&node, 0..5);
    node.shutdown(PROMISE);
    runtime.block_on(database.show());
    let node = start(config(database, directory));
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    // And what is in the journal when the node stops is applied, if the database is there.
    keep(&node, 5..8);
    node.shutdown(RECOVERY);
    let store = runtime.block_on(Store::connect(database.url(), 1, false)).unwrap();
    assert_eq!(sessions(runtime, &store), 8);
}

fn a_record_the_database_refuses_is_put_aside_alone(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    runtime.block_on(database.refuse_session("7"));
    let node = start(config(database, directory));
    // By itself it may be the database's fault.
    keep(&node, 7..8);
    keep(&node, 0..20);
    eventually("the others", RECOVERY, || sessions(runtime, &store) == 19);
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    let aside = std::fs::read_to_string(directory.join("journal/refused.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = aside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{aside}");
    assert!(
        lines.iter().all(|line| line["record"]["acct_session_id"] == "7"),
        "{aside}"
    );
    assert!(lines[0]["error"].as_str().unwrap().contains("not this one"), "{aside}");
    node.shutdown(PROMISE);
    let told = &runtime.block_on(store.nodes()).unwrap()[0].report;
    assert_eq!(
        (told.records_aside, told.records_lost, told.records_unanswered),
        (2, 0, 0)
    );
}

/// A standby, or a file that belongs to another user. A record that changes nothing goes in all the same, and proves nothing.
fn a_database_that_cannot_be_written_to_costs_no_record(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    keep(&node, 0..1);
    eventually("the first", RECOVERY, || waiting(&node) == 0);
    node.shutdown(RECOVERY);
    let node = start(NodeConfig {
        database_url: Secret::new(database.url_to_read()),
        ..config(database, directory)
    });
    node.accounting(interim(1)).unwrap();
    keep(&node, 0..1);
    keep(&node, 2..6);
    // A node that stops tries a last few times before it leaves them in the journal.
    node.shutdown(RECOVERY);
    let aside = directory.join("journal/refused.jsonl");
    assert!(
        !aside.exists(),
        "put aside: {}",
        std::fs::read_to_string(&aside).unwrap()
    );
    let node = start(config(database, directory));
    eventually("an empty journal", 2 * RECOVERY, || waiting(&node) == 0);
    assert_eq!(sessions(runtime, &store), 6);
    assert!(!aside.exists());
    node.shutdown(PROMISE);
}

fn what_the_journal_held_is_applied_in_database_mode(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    runtime.block_on(store.close());
    let node = start(config(database, directory));
    eventually("the copy on disk", RECOVERY, || directory.join("snapshot").exists());
    node.shutdown(PROMISE);
    runtime.block_on(database.hide());
    let node = start(config(database, directory));
    keep(&node, 0..5);
    node.shutdown(PROMISE);
    runtime.block_on(database.show());

    let node = start(NodeConfig {
        accounting_mode: AccountingMode::Database,
        ..config(database, directory)
    });
    let store = runtime.block_on(Store::connect(database.url(), 1, false)).unwrap();
    eventually("what was left", RECOVERY, || sessions(runtime, &store) == 5);
    keep(&node, 5..6);
    assert_eq!(sessions(runtime, &store), 6);
    node.shutdown(RECOVERY);
    let left = std::fs::read_dir(directory.join("journal")).unwrap();
    let segments = left.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|it| it == "journal")
    });
    assert_eq!(segments.count(), 0);
}

fn a_journal_that_is_not_needed_keeps_no_node_from_starting(
    runtime: &Runtime,
    database: &mut Database,
    directory: &Path,
) {
    let store = runtime.block_on(seed(database, directory));
    let in_database = || NodeConfig {
        accounting_mode: AccountingMode::Database,
        ..config(database, directory)
    };
    let journal = start(config(database, directory));
    keep(&journal, 0..1);
    let beside = start(in_database());
    keep(&beside, 1..2);
    beside.shutdown(RECOVERY);
    journal.shutdown(RECOVERY);
    let foreign = directory.join("journal/0000000000000009.journal");
    std::fs::write(&foreign, b"ISPACCT\xff of another version").unwrap();
    let node = start(in_database());
    keep(&node, 2..3);
    assert_eq!(sessions(runtime, &store), 3);
    node.shutdown(RECOVERY);
    assert!(foreign.exists(), "left alone");
}

fn in_database_mode_nothing_is_answered_without_it(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let config = NodeConfig {
        accounting_mode: AccountingMode::Database,
        accounting_timeout: Duration::from_secs(5),
        ..config(database, directory)
    };
    let node = start(config);
    keep(&node, 0..1);
    assert_eq!(sessions(runtime, &store), 1, "what is answered is there");
    runtime.block_on(store.close());
    runtime.block_on(database.hide());
    let refused = node.accounting(interim(1)).err();
    // SQLite: the node's own connections have the file open, wherever it is called now.
    if let Some(refused) = refused {
        assert!(
            matches!(refused, AccountingError::Store(_) | AccountingError::Timeout(_)),
            "{refused}"
        );
    }
    runtime.block_on(database.show());
    assert!(!directory.join("journal").exists());
    node.shutdown(PROMISE);
}

fn a_node_says_how_it_stands(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    keep(&node, 0..3);
    node.shutdown(RECOVERY);
    let nodes = runtime.block_on(store.nodes()).unwrap();
    assert_eq!(nodes.len(), 1);
    let report = &nodes[0].report;
    assert!(
        report.node_id.ends_with(directory.join("journal").to_str().unwrap()),
        "{report:?}"
    );
    assert_eq!(
        (report.journal_records, report.applied_total, report.subscribers),
        (0, 3, 1)
    );
    assert!(report.stopped);
    assert!((nodes[0].reported_at - now()).abs() < 60);
    let node = start(config(database, directory));
    let runs = || !runtime.block_on(store.nodes()).unwrap()[0].report.stopped;
    eventually("that it runs again", RECOVERY, runs);
    node.shutdown(RECOVERY);
}

fn a_journal_serves_one_node(runtime: &Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let refused = Node::start(config(database, directory), Arc::new(AnyAttribute)).unwrap_err();
    assert!(matches!(refused, NodeError::Journal(_)), "{refused}");
    node.shutdown(PROMISE);
    start(config(database, directory)).shutdown(PROMISE);
}
