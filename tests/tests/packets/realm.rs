//! `user@realm`, where several providers share a NAS.

use std::time::Duration;

use e2e::on_both_databases;
use e2e::radclient::{Method, accounting, login};
use e2e::seed::{PASSWORD, TENANT};
use isp_core::password::Scheme;
use isp_core::store::SessionFilter;
use isp_core::tenant::{RealmAction, TenantRealm};

use crate::{assert_recorded, server_on};

on_both_databases! {
    fn a_realm_leads_to_its_tenant_is_stripped_or_refused(database) {
        let database = database.seeded();
        database.add("alice");
        database.add_tenant("retail");
        database.add_plan("retail", "slow", 2_000, 1_000);
        database.add_in("retail", "alice@retail.example", "another", Scheme::Cleartext, |alice| {
            alice.bandwidth_profile_id = Some("retail-slow".to_owned());
        });
        let server = server_on(&database).start();
        let logs_in = |name: &str, password: &str| login(Method::Pap, name, password).ask(&server);
        assert!(!logs_in("alice@retail.example", "another").accepted(), "no tenant has said so");
        assert_recorded(&database, "alice@retail.example", "unknown_subscriber");
        for (realm, action) in [
            ("retail.example", RealmAction::Tenant("retail".to_owned())),
            ("acme.example", RealmAction::Strip),
            (TenantRealm::OTHER, RealmAction::Refuse),
        ] {
            let rule = TenantRealm { tenant_id: TENANT.to_owned(), realm: realm.to_owned(), action };
            database.wait(database.store().tenant_realm_set(&rule)).unwrap();
        }
        e2e::wait_for("the last rule", Duration::from_secs(1), || {
            let refused = !logs_in("alice@elsewhere.example", PASSWORD).accepted();
            refused && crate::recorded(&database, "alice@elsewhere.example").last().is_some_and(|r| r == "realm_refused")
        });
        let answer = logs_in("alice@retail.example", "another");
        assert_eq!(answer.values("Mikrotik-Rate-Limit"), ["1000k/2000k"], "{answer:?}");
        assert!(!logs_in("alice@retail.example", PASSWORD).accepted(), "the password is that one's");
        assert!(logs_in("alice@ACME.example", PASSWORD).accepted());
        assert!(logs_in("alice", PASSWORD).accepted(), "no realm is none that is refused");
        assert!(login(Method::MsChapV2, "alice@retail.example", "another").ask(&server).accepted());

        let start = accounting("Start", "alice@retail.example", "s1");
        assert_eq!(start.ask(&server).code, "Accounting-Response");
        let filter = SessionFilter {
            tenant_id: Some("retail".to_owned()),
            subscriber_id: Some("retail-alice@retail.example".to_owned()),
            ..SessionFilter::default()
        };
        e2e::wait_for("its session", Duration::from_secs(10), || {
            database.wait(database.store().session_list(&filter)).is_ok_and(|sessions| sessions.len() == 1)
        });
        database.execute("INSERT INTO tenant_realms (tenant_id, realm, action) VALUES ('acme', '', 'refuse')");
        e2e::wait_for("a realm that is required", Duration::from_secs(1), || !logs_in("alice", PASSWORD).accepted());
        assert_recorded(&database, "alice", "realm_refused");
        assert!(logs_in("alice@acme.example", PASSWORD).accepted());
    }
}
