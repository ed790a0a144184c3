//! Live sessions follow the database, end to end: a login and a Start by packets, the side service, and a NAS that hears.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::artifact;
use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::{Radiusd, signal};
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::Scheme;
use isp_core::radius::Code;

use crate::accounting::settled;
use crate::server_on;
use crate::simulated::{Answer, Heard, Nas, SECRET};

/// How soon what was committed is at the NAS.
const SOON: Duration = Duration::from_secs(2);
/// How soon what the clock brings is.
const CLOCK: Duration = Duration::from_secs(5);

/// `ispctl serve`, gone when the test is over.
pub(crate) struct Service(Child);

impl Service {
    pub(crate) fn start(database: &Database) -> Self {
        let child = Command::new(artifact::ispctl())
            .args(["--log", "info", "serve"])
            .env("ISP_DATABASE_URL", database.url())
            .env("ISP_KEY_FILE", database.key_file())
            .env("ISP_CONFIG", "/dev/null")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

/// Alice on `fibre`, beside a plan `slow`, one that restricts, and a NAS that takes orders.
pub(crate) fn base(database: Database, nas: &Nas) -> Database {
    let database = database.seeded();
    database.add_plan(TENANT, "slow", 1_000, 500);
    database.add_plan(TENANT, "garden", 64, 64);
    database.execute("UPDATE radius_bandwidth_profiles SET address_list = 'garden' WHERE name = 'garden'");
    database.execute(&format!(
        "UPDATE nas SET secret = '{SECRET}', coa_port = {}, coa_timeout = 300",
        nas.port
    ));
    database.add_with("alice", Scheme::Cleartext, |alice| {
        alice.bandwidth_profile_id = Some(format!("{TENANT}-fibre"));
    });
    database
}

/// A login and the Start of its session, with the Class that the login gave.
pub(crate) fn connect(server: &Radiusd, database: &Database, session: &str) {
    let answer = login(Method::Pap, "alice", PASSWORD).ask(server);
    assert!(answer.accepted());
    let class = answer.values("Class")[0].to_owned();
    assert!(class.starts_with("0x69737031"), "{class}");
    let start = accounting("Start", "alice", session).line(&format!("Class = {class}"));
    assert_eq!(start.ask(server).code, "Accounting-Response");
    settled(server, database);
    e2e::wait_for("the session is known", CLOCK, || {
        let known = "SELECT CAST(count(*) AS TEXT) FROM session_applied p
            JOIN radacct a ON a.radacctid = p.session_id WHERE a.acctsessionid";
        database.value(&format!("{known} = '{session}'")).as_deref() == Some("1")
    });
}

/// Commit `sql`; what the NAS hears of it in time, with the cause and the state of the audit row.
#[track_caller]
fn brings(database: &Database, nas: &Nas, sql: &str, limit: Duration) -> (Heard, String) {
    nas.forget();
    database.execute(sql);
    heard(database, nas, Instant::now(), sql, limit)
}

#[track_caller]
pub(crate) fn heard(database: &Database, nas: &Nas, since: Instant, what: &str, limit: Duration) -> (Heard, String) {
    e2e::wait_for(what, limit, || !nas.heard().is_empty());
    let heard = nas.heard().remove(0);
    let took = heard.at.saturating_duration_since(since);
    assert!(took < limit, "{took:?}: {what}");
    assert!(!heard.packet.is_empty());
    e2e::wait_for("it is written", SOON, || {
        database
            .query("SELECT cause FROM coa_orders WHERE state IN ('pending', 'sending')")
            .is_empty()
    });
    let row = &database.query("SELECT cause, state FROM coa_orders ORDER BY id DESC LIMIT 1")[0];
    let told = [row[0].as_deref(), row[1].as_deref()].map(|text| text.unwrap_or_default());
    (heard, told.join(" "))
}

on_both_databases! {
    fn the_session_has_the_right_attributes_within_two_seconds(database) {
        let nas = Nas::start();
        let database = base(database, &nas);
        let server = server_on(&database).key("sessions.class", "yes").start();
        let _service = Service::start(&database);
        connect(&server, &database, "s1");
        assert!(nas.heard().is_empty(), "it was opened under today's decision: {:?}", nas.heard());

        let plan = |name: &str| format!("UPDATE subscribers SET bandwidth_profile_id = '{TENANT}-{name}' WHERE username = 'alice'");
        let (change, told) = brings(&database, &nas, &plan("slow"), SOON);
        assert_eq!((change.code, change.session.as_str(), change.rate.as_deref()), (Code::COA_REQUEST, "s1", Some("500k/1000k")));
        assert_eq!(told, "plan done");

        let (begins, ends) = if database.is_sqlite() {
            ("datetime('now', '-1 minute')", "datetime('now', '+1 hour')")
        } else {
            ("now() - interval '1 minute'", "now() + interval '1 hour'")
        };
        let tier = format!("INSERT INTO subscriber_tiers (subscriber_id, tenant_id, quota_id, metric, threshold, plan_id, used, since, until)
            VALUES ('{TENANT}-alice', '{TENANT}', 'q', 'total', 1, '{TENANT}-fibre', 2, {begins}, {ends})");
        let (change, told) = brings(&database, &nas, &tier, SOON);
        assert_eq!((change.rate.as_deref(), told.as_str()), (Some("20000k/100000k"), "tier done"));
        let (change, told) = brings(&database, &nas, "DELETE FROM subscriber_tiers", SOON);
        assert_eq!((change.rate.as_deref(), told.as_str()), (Some("500k/1000k"), "tier done"));

        let restrict = format!("INSERT INTO tenant_conditions (tenant_id, condition, action, plan_id)
            VALUES ('{TENANT}', 'suspended', 'restrict', '{TENANT}-garden')");
        database.execute(&restrict);
        let (change, told) = brings(&database, &nas, "UPDATE subscribers SET status = 'suspended'", SOON);
        assert_eq!((change.code, change.list.as_deref(), change.rate.as_deref()), (Code::COA_REQUEST, Some("garden"), Some("64k/64k")));
        assert_eq!(told, "status done");
        // RouterOS takes nobody out of an address list: the session begins anew.
        let (back, told) = brings(&database, &nas, "UPDATE subscribers SET status = 'active'", SOON);
        assert_eq!((back.code, told.as_str()), (Code::DISCONNECT_REQUEST, "restore done"));

        assert_eq!(accounting("Stop", "alice", "s1").ask(&server).code, "Accounting-Response");
        connect(&server, &database, "s2");
        let (change, told) = brings(&database, &nas,
            "INSERT INTO radreply (username, attribute, op, value) VALUES ('alice', 'Filter-Id', ':=', 'quiet')", SOON);
        assert_eq!((change.session.as_str(), change.filter.as_deref(), told.as_str()), ("s2", Some("quiet"), "rows done"));

        let soon = if database.is_sqlite() { "datetime('now', '+3 seconds')" } else { "now() + interval '3 seconds'" };
        let expires = Instant::now() + Duration::from_secs(3);
        let (change, told) = brings(&database, &nas, &format!("UPDATE subscribers SET expiration_date = {soon}"), SOON);
        assert!(change.timeout.is_some_and(|seconds| seconds <= 4), "{change:?}");
        assert_eq!(told, "expiry done");
        nas.forget();
        let wait = expires.saturating_duration_since(Instant::now());
        let (end, told) = heard(&database, &nas, expires, "it has expired", wait + CLOCK);
        assert_eq!((end.code, told.as_str()), (Code::DISCONNECT_REQUEST, "expiry done"));
    }

    fn a_suspension_ends_the_session_and_a_refused_change_too(database) {
        let nas = Nas::start();
        let database = base(database, &nas);
        let server = server_on(&database).key("sessions.class", "yes").start();
        let service = Service::start(&database);
        connect(&server, &database, "s1");
        nas.answers(Answer::RefuseChange(401));
        let (_, told) = brings(&database, &nas,
            &format!("UPDATE subscribers SET bandwidth_profile_id = '{TENANT}-slow'"), SOON);
        assert_eq!(told, "plan done");
        let codes: Vec<Code> = nas.heard().iter().map(|heard| heard.code).collect();
        assert_eq!(codes, [Code::COA_REQUEST, Code::DISCONNECT_REQUEST]);

        // What changes while the service is away is told when it comes back.
        assert_eq!(accounting("Stop", "alice", "s1").ask(&server).code, "Accounting-Response");
        nas.answers(Answer::Silence);
        connect(&server, &database, "s2");
        drop(service);
        nas.forget();
        database.execute("UPDATE subscribers SET status = 'suspended'");
        let _service = Service::start(&database);
        e2e::wait_for("it is told", CLOCK, || !nas.heard().is_empty());
        assert_eq!(nas.heard()[0].code, Code::DISCONNECT_REQUEST);
        nas.answers(Answer::Refuse(503));
        e2e::wait_for("it is done with", Duration::from_secs(15), || {
            let last = "SELECT result FROM coa_orders ORDER BY id DESC LIMIT 1";
            database.query(last)[0][0].as_deref() == Some("gone")
        });
    }
}
