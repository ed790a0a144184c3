//! Who is let in, and whose session is taken for over, while the database is behind.

use std::path::Path;
use std::time::{Duration, Instant};

use isp_core::accounting::device::Device;
use isp_core::accounting::presence::Patience;
use isp_core::accounting::silence::Silence;
use isp_core::accounting::{AccountingRecord, AcctStatusType};
use isp_core::node::{DatabaseDown, Login, Node, NodeConfig, Sender, SimultaneousUse};
use isp_core::policy::Reason;
use isp_core::store::SessionClaim;
use tokio::runtime::Runtime;

use crate::accounting::{RECOVERY, interim, waiting};
use crate::database::Database;
use crate::{NAS, PROMISE, config, eventually, now, seed, start};

on_both!(
    no_claim_runs_out_while_its_start_waits_in_the_journal,
    what_waits_in_the_journal_is_counted_too,
    nobody_fell_silent_while_the_node_was_away,
);

const ONE: &str = "00:00:5e:00:53:01";
const TWO: &str = "00:00:5e:00:53:02";
/// Longer than a busy machine takes from a login to its Start.
const CLAIM: Duration = Duration::from_secs(3);

fn strict(database: &Database, directory: &Path) -> NodeConfig {
    NodeConfig {
        simultaneous_use: SimultaneousUse::Strict,
        database_down: DatabaseDown::Refuse,
        claim_lifetime: CLAIM,
        claim_timeout: Duration::from_secs(5),
        ..config(database, directory)
    }
}

fn admit(node: &Node, station: &str) -> Result<(), Reason> {
    let login = Login {
        source: Some(NAS),
        sender: Sender::named(b"alice"),
        calling_station_id: Some(station),
        nas_ip_address: "192.0.2.1".parse().ok(),
        nas_port_id: None,
        limit: None,
        now: now(),
    };
    node.admit(&login).map_err(|refusal| refusal.reason)
}

fn record(status: AcctStatusType) -> AccountingRecord {
    AccountingRecord {
        status,
        calling_station_id: Some(ONE.to_owned()),
        session_time: None,
        ..interim(1)
    }
}

/// From now on no record is applied, and the database answers all the same.
fn hold_back(runtime: &Runtime, database: &Database) {
    runtime.block_on(database.execute("ALTER TABLE nasreload RENAME TO elsewhere"));
}

fn let_go(runtime: &Runtime, database: &Database) {
    runtime.block_on(database.execute("ALTER TABLE elsewhere RENAME TO nasreload"));
}

fn no_claim_runs_out_while_its_start_waits_in_the_journal(
    runtime: &Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    hold_back(runtime, database);
    let node = start(strict(database, directory));
    assert_eq!(admit(&node, ONE), Ok(()));
    node.accounting(record(AcctStatusType::Start)).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < CLAIM + 2 * PROMISE {
        assert_eq!(admit(&node, TWO), Err(Reason::TooManySessions), "{:?}", begun.elapsed());
    }
    // The next node knows what the database does, and the records it has not applied itself.
    node.shutdown(PROMISE);
    let node = start(strict(database, directory));
    assert_eq!(admit(&node, TWO), Err(Reason::TooManySessions));
    let_go(runtime, database);
    eventually("an empty journal", RECOVERY, || waiting(&node) == 0);
    assert_eq!(admit(&node, TWO), Err(Reason::TooManySessions));
    node.accounting(record(AcctStatusType::Stop)).unwrap();
    eventually("a place", RECOVERY, || admit(&node, TWO).is_ok());
    node.shutdown(PROMISE);
}

fn what_waits_in_the_journal_is_counted_too(runtime: &Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    hold_back(runtime, database);
    let node = start(strict(database, directory));
    // Let in by another module: there is no claim.
    node.accounting(record(AcctStatusType::Start)).unwrap();
    eventually("a backlog", RECOVERY, || {
        let oldest = node.status(now()).journal.unwrap().oldest;
        oldest.is_some_and(|oldest| now() - oldest > 1)
    });
    assert_eq!(admit(&node, TWO), Err(Reason::TooManySessions));
    assert_eq!(admit(&node, ONE), Ok(()), "its own place");
    let_go(runtime, database);
    node.shutdown(PROMISE);
}

fn nobody_fell_silent_while_the_node_was_away(runtime: &Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let yesterday = now() - 86_400;
    let old = AccountingRecord {
        event_time: yesterday,
        received: yesterday,
        ..record(AcctStatusType::Start)
    };
    let open = || runtime.block_on(store.overview()).unwrap().sessions_open;
    runtime.block_on(store.record_accounting(&[old])).unwrap();
    // As of yesterday, of two places.
    let claim = |station| {
        let claim = SessionClaim {
            subscriber_id: "id-of-alice",
            device: &Device::new(Some(station), None, None),
            limit: 2,
            now: yesterday,
            applied_until: yesterday,
        };
        let patience = Patience {
            silence: Silence::default(),
            claim: CLAIM,
        };
        runtime.block_on(store.claim_session(claim, &patience)).unwrap()
    };
    claim(TWO).unwrap();
    let node = start(config(database, directory));
    // Claims expire just before silent sessions are closed.
    eventually("upkeep", RECOVERY, || claim("another").is_ok());
    let begun = Instant::now();
    while begun.elapsed() < 3 * PROMISE {
        assert_eq!(open(), 1);
    }
    node.shutdown(PROMISE);
}
