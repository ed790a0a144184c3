//! A change committed by any program counts within a second.

use std::time::{Duration, Instant};

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::{self, Scheme};

use crate::server_on;

/// How soon a committed change must count.
const SOON: Duration = Duration::from_secs(1);

/// Commit `sql` through plain SQL, then log in until `holds`: a second after the commit it must.
#[track_caller]
fn takes_effect(database: &Database, server: &Radiusd, sql: &str, password: &str, holds: impl Fn(&Seen) -> bool) {
    database.execute(sql);
    let committed = Instant::now();
    loop {
        let asked = Instant::now();
        let seen = Seen::by(server, password);
        if holds(&seen) {
            return;
        }
        assert!(
            asked.duration_since(committed) < SOON,
            "after {SOON:?} still {seen:?}: {sql}\n{}",
            server.log()
        );
    }
}

/// What a login of `alice` sees.
#[derive(Debug)]
struct Seen {
    accepted: bool,
    rate: Option<String>,
    routes: Vec<String>,
}

impl Seen {
    fn by(server: &Radiusd, password: &str) -> Self {
        let answer = login(Method::Pap, "alice", password).ask(server);
        Self {
            accepted: answer.accepted(),
            rate: answer
                .values("Mikrotik-Rate-Limit")
                .first()
                .map(|&rate| rate.to_owned()),
            routes: answer.values("Framed-Route").into_iter().map(str::to_owned).collect(),
        }
    }
}

on_both_databases! {
    fn changes_by_plain_sql_count_within_a_second(database) {
        let database = database.seeded();
        database.add_plan(TENANT, "slow", 1_000, 500);
        let alice = database.add_with("alice", Scheme::Cleartext, |s| {
            s.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
        });
        let stored = password::encode(Scheme::Sha256, b"a new one", None, &alice.id).unwrap();
        let server = server_on(&database).quiet().start();
        assert!(Seen::by(&server, PASSWORD).accepted);
        let change = |sql: &str, password: &str, holds: &dyn Fn(&Seen) -> bool| {
            takes_effect(&database, &server, sql, password, holds);
        };

        change("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'", PASSWORD, &|s| !s.accepted);
        change("UPDATE subscribers SET status = 'active' WHERE username = 'alice'", PASSWORD, &|s| s.accepted);
        change(
            &format!("UPDATE subscribers SET bandwidth_profile_id = '{TENANT}-slow' WHERE username = 'alice'"),
            PASSWORD,
            &|s| s.rate.as_deref() == Some("500k/1000k"),
        );
        change(
            &format!("UPDATE radius_bandwidth_profiles SET upload_rate_kbps = 700 WHERE id = '{TENANT}-slow'"),
            PASSWORD,
            &|s| s.rate.as_deref() == Some("700k/1000k"),
        );
        change(
            "INSERT INTO radreply (username, attribute, op, value)
             VALUES ('alice', 'Framed-Route', '+=', '198.51.100.0/24 0.0.0.0 1')",
            PASSWORD,
            &|s| s.routes == ["198.51.100.0/24 0.0.0.0 1"],
        );
        change("DELETE FROM radreply", PASSWORD, &|s| s.routes.is_empty());
        change(
            &format!(
                "UPDATE subscribers SET password = '{}', password_hash_method = '{}' WHERE username = 'alice'",
                stored.password, stored.method
            ),
            "a new one",
            &|s| s.accepted,
        );
        assert!(!Seen::by(&server, PASSWORD).accepted, "the old password is gone");
        change("UPDATE nas SET vendor = 'generic'", "a new one", &|s| s.accepted && s.rate.is_none());
        change("DELETE FROM nas", "a new one", &|s| !s.accepted);
        change(
            &format!("INSERT INTO nas (tenant_id, nasname, shortname, secret) VALUES ('{TENANT}', '127.0.0.0/8', 'all', 'x')"),
            "a new one",
            &|s| s.accepted,
        );
        change("UPDATE subscribers SET username = 'bob' WHERE username = 'alice'", "a new one", &|s| !s.accepted);
        change("UPDATE subscribers SET username = 'alice' WHERE username = 'bob'", "a new one", &|s| s.accepted);
        let deleted = if database.is_sqlite() { "datetime('now')" } else { "now()" };
        change(&format!("UPDATE subscribers SET deleted_at = {deleted}"), "a new one", &|s| !s.accepted);
    }
}

#[test]
fn a_transaction_that_commits_late_is_not_missed() {
    let Some(database) = Database::postgres() else { return };
    let database = database.seeded();
    database.add("alice");
    database.add("bob");
    let server = server_on(&database).quiet().start();
    let mut slow = database.session();
    slow.execute("BEGIN; UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'");
    // Others commit after it wrote and before it commits, and the node takes note of them.
    takes_effect(
        &database,
        &server,
        "UPDATE subscribers SET vlan_id = 7 WHERE username = 'bob'",
        PASSWORD,
        |_| {
            let answer = login(Method::Pap, "bob", PASSWORD).ask(&server);
            answer.values("Tunnel-Private-Group-Id:0") == ["7"]
        },
    );
    assert!(Seen::by(&server, PASSWORD).accepted, "nothing is committed yet");
    slow.execute("COMMIT");
    let committed = Instant::now();
    while Seen::by(&server, PASSWORD).accepted {
        assert!(committed.elapsed() < SOON, "missed\n{}", server.log());
    }
}
