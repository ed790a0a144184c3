//! Quotas: what accounting packets bring about at the next login.

use std::time::Duration;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::Radiusd;
use e2e::seed::{PASSWORD, TENANT};
use isp_core::accounting::period::{Period, PeriodKind};
use isp_core::accounting::quota::{Effect, Metric, Quota, Tier, TopUp};
use isp_core::password::Scheme;

use crate::accounting::settled;
use crate::{assert_recorded, server_on};

const GIB: u64 = 1 << 30;

/// 6 GiB a month on `fibre`, then `slow`; 9 GiB, then no more.
fn with_quota(database: Database) -> Database {
    let database = database.seeded();
    database.add_plan(TENANT, "slow", 512, 64);
    let tier = |gib, effect| Tier {
        threshold: gib * GIB,
        effect,
    };
    let quota = Quota {
        id: "q1".to_owned(),
        tenant_id: TENANT.to_owned(),
        plan_id: format!("{TENANT}-fibre"),
        metric: Metric::Total,
        period: Period::Month,
        tiers: vec![tier(6, Effect::Plan(format!("{TENANT}-slow"))), tier(9, Effect::Refuse)],
    };
    database.wait(database.store().quota_add(&quota)).unwrap();
    database.add_with("alice", Scheme::Cleartext, |alice| {
        alice.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
    });
    database
}

/// Alice's session has moved so much towards her by now.
fn moved(server: &Radiusd, database: &Database, gib: u64) {
    let packet = accounting("Interim-Update", "alice", "s1")
        .line(&format!("Acct-Output-Gigawords = {}", gib / 4))
        .line(&format!("Acct-Output-Octets = {}", gib % 4 * GIB));
    assert_eq!(packet.ask(server).code, "Accounting-Response");
    settled(server, database);
}

/// What a login gets: its rate, or nothing.
fn rate(server: &Radiusd) -> Option<String> {
    let answer = login(Method::Pap, "alice", PASSWORD).ask(server);
    let rate = || {
        answer
            .values("Mikrotik-Rate-Limit")
            .first()
            .map(|&rate| rate.to_owned())
    };
    answer.accepted().then(rate).flatten()
}

/// A change of the database reaches the server within a second.
#[track_caller]
fn comes_to(server: &Radiusd, expected: Option<&str>) {
    e2e::wait_for(
        &format!("a login comes to {expected:?}"),
        Duration::from_secs(5),
        || rate(server).as_deref() == expected,
    );
}

const FULL: Option<&str> = Some("20000k/100000k");
const SLOW: Option<&str> = Some("64k/512k");

on_both_databases! {
    /// The rows are those of a line that has not used its quota up.
    fn no_row_undoes_a_tier(database) {
        let database = with_quota(database);
        database.execute(
            "INSERT INTO radreply (username, attribute, op, value) VALUES ('alice', 'Mikrotik-Rate-Limit', ':=', '1G/1G')",
        );
        let server = server_on(&database).start();
        comes_to(&server, Some("1G/1G"));
        moved(&server, &database, 7);
        comes_to(&server, Some("64k/512k"));
    }

    fn use_beyond_a_quota_slows_down_and_a_top_up_brings_it_back(database) {
        let database = with_quota(database);
        let server = server_on(&database).start();
        assert_eq!(accounting("Start", "alice", "s1").ask(&server).code, "Accounting-Response");
        moved(&server, &database, 5);
        assert_eq!(rate(&server).as_deref(), FULL);
        moved(&server, &database, 6);
        comes_to(&server, SLOW);
        moved(&server, &database, 10);
        comes_to(&server, None);
        assert_recorded(&database, "alice", "quota_exhausted");

        let topup = TopUp {
            id: "u1".to_owned(),
            subscriber_id: format!("{TENANT}-alice"),
            metric: Metric::Total,
            period: PeriodKind::Month,
            amount: 5 * GIB,
            valid_from: 1_700_000_000,
            valid_until: 4_000_000_000,
            note: None,
            created_at: 0,
            created_by: None,
        };
        database.wait(database.store().topup_add(TENANT, &topup)).unwrap();
        comes_to(&server, FULL);
        moved(&server, &database, 11);
        comes_to(&server, SLOW);
    }

    fn the_end_of_the_period_brings_it_back(database) {
        let database = with_quota(database);
        let server = server_on(&database).start();
        assert_eq!(accounting("Start", "alice", "s1").ask(&server).code, "Accounting-Response");
        moved(&server, &database, 7);
        comes_to(&server, SLOW);
        // As if all of it had been 40 days ago.
        let (day, past) = if database.is_sqlite() {
            ("date(day, '-40 days')", "datetime('now', '-9 days')")
        } else {
            ("day - 40", "now() - interval '9 days'")
        };
        database.execute(&format!("UPDATE usage_daily SET day = {day}"));
        database.execute(&format!("UPDATE subscriber_tiers SET until = {past}"));
        comes_to(&server, FULL);
        moved(&server, &database, 13);
        comes_to(&server, SLOW);
    }
}
