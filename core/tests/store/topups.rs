//! Top-ups: what a subscriber bought beyond a quota, for as long as it is valid.

use isp_core::accounting::period::PeriodKind;
use isp_core::accounting::quota::{Metric, TopUp};

use crate::accounting::write;
use crate::feed::{follow, words};
use crate::harness::Database;
use crate::quotas::{ADA, GIB, effect, moved, now, prepare_with_quota, state, tier};

on_both_databases!(
    a_top_up_raises_the_thresholds_while_it_is_valid,
    a_top_up_is_for_one_metric_and_period,
);

pub(crate) fn topup(id: &str, amount: u64, until: i64) -> TopUp {
    TopUp {
        id: id.to_owned(),
        subscriber_id: "ada".to_owned(),
        metric: Metric::Total,
        period: PeriodKind::Month,
        amount,
        valid_from: now() - 60,
        valid_until: until,
        note: Some("paid in cash".to_owned()),
        created_at: 1_700_000_000,
        created_by: Some("eve".to_owned()),
    }
}

async fn a_top_up_raises_the_thresholds_while_it_is_valid(db: &Database) {
    prepare_with_quota(db).await;
    write(db, &moved(0, 7 * GIB)).await;
    let until = tier(db).await.unwrap().until;
    let mut feed = follow(db).await;
    let ends = now() + 60;
    let ten = topup("u1", 10 * GIB, ends);
    db.store.topup_add("t1", &ten).await.unwrap();
    assert_eq!(effect(db).await, "none");
    assert_eq!(words(&mut feed).await, ADA);
    let standing = state(db).await.standings.remove(0);
    assert_eq!((standing.topped_up, standing.left()), (10 * GIB, Some(8 * GIB)));
    assert_eq!(db.store.topup_list("t1", "ada").await.unwrap(), [ten]);

    if ends < until {
        assert_eq!(db.store.quota_roll(ends).await.unwrap(), 1);
        assert_eq!(effect(db).await, "slow", "no record came, but the top-up has ended");
    }
    db.store
        .topup_add("t1", &topup("u2", GIB, ends + 86_400))
        .await
        .unwrap();
    db.store
        .topup_add("t1", &topup("u3", 2 * GIB, ends + 86_400))
        .await
        .unwrap();
    db.store.topup_delete("t1", "ada", "u1").await.unwrap();
    assert_eq!(effect(db).await, "none", "8 GiB are allowed");
    db.store.topup_delete("t1", "ada", "u2").await.unwrap();
    assert_eq!(effect(db).await, "slow", "7 GiB are allowed");
}

async fn a_top_up_is_for_one_metric_and_period(db: &Database) {
    prepare_with_quota(db).await;
    write(db, &moved(0, 5 * GIB)).await;
    for other in [
        TopUp {
            metric: Metric::Download,
            ..topup("u1", GIB, now() + 3_600)
        },
        TopUp {
            period: PeriodKind::Day,
            ..topup("u2", GIB, now() + 3_600)
        },
        TopUp {
            valid_from: now() + 1_800,
            ..topup("u3", GIB, now() + 3_600)
        },
    ] {
        db.store.topup_add("t1", &other).await.unwrap();
        assert_eq!(effect(db).await, "slow", "{other:?}");
    }
}
