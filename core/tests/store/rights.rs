//! A server needs no more rights on PostgreSQL than the README gives it.

use std::time::Duration;

use isp_core::accounting::device::Device;
use isp_core::accounting::presence::Patience;
use isp_core::accounting::silence::Silence;
use isp_core::policy::schedule::Change;
use isp_core::store::{PlannedChange, SessionClaim, Store};
use isp_core::subscriber::Status;

use crate::accounting::{T, interim, on, post_auth, prepare, start, stop};
use crate::harness::{Base, Database, plan};
use crate::nodes::report;

const README: &str = include_str!("../../../README.md");

/// The statements of the README, for this role.
fn grants(role: &str) -> String {
    let (_, after) = README.split_once("```sql\n").unwrap();
    let (block, _) = after.split_once("```").unwrap();
    assert!(block.contains("GRANT"), "{block}");
    block.replace("isp_server", role)
}

#[test]
fn a_server_needs_no_more_than_the_readme_gives_it() {
    crate::harness::on_postgres(|db| Box::pin(serve(db)));
}

async fn serve(db: &Database) {
    prepare(db).await;
    let role = format!("isp_server_{}", uuid::Uuid::new_v4().simple());
    db.raw(&format!("CREATE ROLE {role} LOGIN")).await;
    db.raw(&grants(&role)).await;
    let user = db.url.split_once("//").unwrap().1.split_once('@').unwrap().0;
    let url = db.url.replacen(user, &role, 1);
    let store = Store::connect(&url, 4, false).await.unwrap();
    let outcome = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work(db, &store))).await;
    store.close().await;
    db.raw(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// All that a server does with its database.
async fn work(db: &Database, store: &Store) {
    let denied = store.tenant_delete("t2").await.unwrap_err().to_string();
    assert!(denied.contains("permission denied"), "{denied}");

    store.check_schema().await.unwrap();
    let position = store.load_snapshot(&mut Base::default()).await.unwrap();
    let mut feed = store.follow(position, Duration::from_secs(1)).await.unwrap();
    // Months that nobody has made.
    let old = T - 400 * 86_400;
    for records in [
        vec![start("1", old - T), interim("1", old - T + 60, 60, 5, 6)],
        vec![stop("1", old - T + 90, 90, 7, 8), start("2", 0)],
        vec![on(30)],
    ] {
        store.record_accounting(&records).await.unwrap();
    }
    assert!(!store.radacct_upkeep(T + 4_000 * 86_400).await.unwrap().is_empty());
    store.record_post_auth(&[post_auth("ada")]).await.unwrap();
    store.report_node(&report("a", 0, None)).await.unwrap();
    store.record_accounting(&[start("3", 100)]).await.unwrap();
    assert_eq!(store.close_silent(&Silence::default(), T, T + 90_000).await.unwrap(), 1);
    let device = Device::new(Some("one"), None, None);
    let claim = SessionClaim {
        subscriber_id: "ada",
        device: &device,
        limit: 1,
        now: T + 90_000,
        applied_until: T + 90_000,
    };
    let patience = Patience {
        silence: Silence::default(),
        claim: Duration::from_secs(60),
    };
    store.claim_session(claim, &patience).await.unwrap().unwrap();
    store.expire_claims(T + 100_000).await.unwrap();
    store.sessions_heard_since(T).await.unwrap();

    // A tier begins, a change is due, and both are seen.
    db.store.plan_add(&plan("gold", "t1")).await.unwrap();
    db.raw("UPDATE subscribers SET bandwidth_profile_id = 'gold'").await;
    db.raw(
        "INSERT INTO plan_quotas (id, tenant_id, plan_id, metric, period) VALUES ('q', 't1', 'gold', 'total', 'day');
         INSERT INTO plan_quota_tiers (quota_id, threshold, tenant_id, restriction) VALUES ('q', 1, 't1', 'refuse')",
    )
    .await;
    db.store
        .schedule_add(&[PlannedChange {
            id: "c1".to_owned(),
            tenant_id: "t1".to_owned(),
            subscriber_id: "ada".to_owned(),
            at: T,
            change: Change::Status(Status::Suspended),
            note: None,
            created_at: 0,
            created_by: None,
            applied_at: None,
        }])
        .await
        .unwrap();
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap();
    assert_eq!(store.schedule_apply(now).await.unwrap(), 1);
    store
        .record_accounting(&[start("4", now - T - 60), interim("4", now - T, 60, 5, 6)])
        .await
        .unwrap();
    db.raw("UPDATE plan_quota_tiers SET threshold = 2").await;
    assert!(store.quota_roll(now).await.unwrap() > 0);
    assert_eq!(
        db.value("SELECT count(*)::text FROM subscriber_tiers").await.as_deref(),
        Some("1")
    );
    feed.next(1_000).await.unwrap();
    store.prune_feed(Duration::ZERO).await.unwrap();
    let (from, to) = (T - 500 * 86_400, now);
    let address = "192.0.2.1".parse().unwrap();
    store.whohad(None, address, from..=to, None).await.unwrap();
}
