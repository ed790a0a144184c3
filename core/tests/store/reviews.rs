//! Reviews of open sessions: by one process at a time, of what is new, due or changed.

use isp_core::order::OrderState;
use isp_core::store::{Review, ReviewOf};

use crate::harness::Database;
use crate::orders::{LEASE, order, sessions, states, wanted};

on_both_databases!(one_process_leads, open_sessions_are_reviewed);

async fn one_process_leads(db: &Database) {
    assert!(db.store.lead("one", LEASE).await.unwrap());
    assert!(!db.store.lead("two", LEASE).await.unwrap());
    assert!(db.store.lead("one", LEASE).await.unwrap());
    assert!(!db.store.write_reviews("two", &[]).await.unwrap());
    assert!(db.store.write_reviews("one", &[]).await.unwrap());
    db.store.resign("one").await.unwrap();
    assert!(!db.store.write_reviews("one", &[]).await.unwrap());
    assert!(db.store.lead("two", LEASE).await.unwrap());
}

async fn open_sessions_are_reviewed(db: &Database) {
    sessions(db, 3).await;
    db.raw(
        "INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, nasipaddress) VALUES (9, 'x', 'x', '192.0.2.1')",
    )
    .await;
    let all = db.store.sessions_to_review(ReviewOf::All, 0, 10).await.unwrap();
    assert_eq!(all.len(), 3, "one is nobody's");
    let first = &all[0];
    assert_eq!(
        (
            first.username.as_deref(),
            first.gone,
            first.plan_id.as_deref(),
            first.class.as_deref()
        ),
        (Some("alice"), false, Some("p"), Some("0x6161"))
    );
    assert!(first.applied.is_none() && first.pending.is_none());
    assert!(db.store.lead("me", LEASE).await.unwrap());
    let review = |session_id, recheck_at| Review {
        session_id,
        tenant_id: Some("t".to_owned()),
        subscriber_id: Some("alice".to_owned()),
        applied: wanted("old"),
        retold: false,
        recheck_at,
        supersede: false,
        order: None,
    };
    let ordered = Review {
        order: Some(order(2, "new")),
        ..review(2, None)
    };
    db.store
        .write_reviews("me", &[review(1, Some(1_000)), ordered])
        .await
        .unwrap();
    let ids = |sessions: &[isp_core::store::ReviewedSession]| {
        sessions
            .iter()
            .map(|session| session.live.session_id)
            .collect::<Vec<_>>()
    };
    let new = db.store.sessions_to_review(ReviewOf::New, 0, 10).await.unwrap();
    assert_eq!(ids(&new), [3]);
    let due = db.store.sessions_due(10).await.unwrap();
    assert_eq!(ids(&due), [1]);
    assert_eq!(due[0].applied.as_ref().unwrap().wanted, wanted("old"));
    for (of, expected) in [
        (ReviewOf::Tenant("t"), &[2, 3][..]),
        (ReviewOf::Tenant("other"), &[]),
        (ReviewOf::Plan("p"), &[2, 3]),
        (ReviewOf::Plan("q"), &[]),
    ] {
        assert_eq!(
            ids(&db.store.sessions_to_review(of, 1, 10).await.unwrap()),
            expected,
            "{of:?}"
        );
    }
    let hers = db.store.sessions_of(&["alice".to_owned()]).await.unwrap();
    let pending = hers.iter().find_map(|session| session.pending.as_ref()).unwrap();
    assert_eq!(pending.wanted.as_deref(), Some("new"));
    db.store
        .write_reviews(
            "me",
            &[Review {
                supersede: true,
                ..review(2, None)
            }],
        )
        .await
        .unwrap();
    assert_eq!(states(db).await[0].1, OrderState::Superseded);
    db.raw("DELETE FROM radacct WHERE radacctid = 1").await;
    assert_eq!(db.store.forget_ended_sessions().await.unwrap(), 1);
}
