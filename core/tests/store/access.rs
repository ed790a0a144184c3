//! Tokens of the HTTP API, who changed what, and requests that are sent twice.

use isp_core::access::{ApiToken, AuditEntry, Role};
use isp_core::store::{AgedTable, AuditFilter, Replay, StoreError};

use crate::harness::{Database, tenant};

on_both_databases!(
    a_token_is_known_by_its_digest,
    a_token_of_a_tenant_that_is_disabled_is_none,
    a_token_is_revoked_by_its_tenant_alone,
    the_use_of_a_token_is_written_once_a_minute,
    the_audit_log_is_paged_from_the_latest,
    the_audit_log_outlives_what_it_tells_of,
    of_two_at_once_one_begins,
    a_request_is_answered_as_it_was,
    what_is_abandoned_or_old_is_begun_anew,
);

const T: i64 = 1_800_000_000;

fn token(id: &str, tenant_id: &str) -> ApiToken {
    ApiToken {
        id: id.to_owned(),
        tenant_id: tenant_id.to_owned(),
        name: "billing".to_owned(),
        role: Some(Role::TenantAdmin),
        scopes: vec!["isp.radius.read".to_owned(), "isp.of.the.future".to_owned()],
        created_at: T,
        created_by: Some("grace".to_owned()),
        expires_at: Some(T + 100),
        revoked_at: None,
        last_used_at: None,
    }
}

fn digest(of: char) -> String {
    String::from(of).repeat(64)
}

async fn tenants(db: &Database) {
    for id in ["t1", "t2"] {
        db.store.tenant_add(&tenant(id)).await.unwrap();
    }
}

async fn a_token_is_known_by_its_digest(db: &Database) {
    tenants(db).await;
    let bare = ApiToken {
        role: None,
        scopes: Vec::new(),
        created_by: None,
        expires_at: None,
        created_at: T + 1,
        ..token("b", "t1")
    };
    db.store.token_add(&bare, &digest('b')).await.unwrap();
    db.store.token_add(&token("a", "t1"), &digest('a')).await.unwrap();
    let found = db.store.token_by_digest(&digest('a')).await.unwrap();
    assert_eq!(found, Some(token("a", "t1")));
    assert_eq!(db.store.token_by_digest(&digest('c')).await.unwrap(), None);
    assert_eq!(db.store.token_list("t1").await.unwrap(), [token("a", "t1"), bare]);
    assert_eq!(db.store.token_list("t2").await.unwrap(), []);

    assert!(db.store.token_add(&token("c", "t2"), &digest('a')).await.is_err());
    assert!(db.store.token_add(&token("a", "t2"), &digest('d')).await.is_err());
    assert!(db.store.token_add(&token("e", "nobody"), &digest('e')).await.is_err());
    db.store.tenant_delete("t1").await.unwrap();
    assert_eq!(db.store.token_by_digest(&digest('a')).await.unwrap(), None);
}

async fn a_token_of_a_tenant_that_is_disabled_is_none(db: &Database) {
    tenants(db).await;
    db.store.token_add(&token("a", "t1"), &digest('a')).await.unwrap();
    let mut owner = tenant("t1");
    for enabled in [false, true] {
        owner.enabled = enabled;
        db.store.tenant_set(&owner).await.unwrap();
        let found = db.store.token_by_digest(&digest('a')).await.unwrap();
        assert_eq!(found.is_some(), enabled);
    }
}

async fn a_token_is_revoked_by_its_tenant_alone(db: &Database) {
    tenants(db).await;
    db.store.token_add(&token("a", "t1"), &digest('a')).await.unwrap();
    for (tenant_id, id) in [("t2", "a"), ("t1", "b")] {
        let error = db.store.token_revoke(tenant_id, id, T).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    }
    let revoked_at = async || db.store.token_list("t1").await.unwrap()[0].revoked_at;
    assert_eq!(revoked_at().await, None);
    db.store.token_revoke("t1", "a", T + 5).await.unwrap();
    db.store.token_revoke("t1", "a", T + 9).await.unwrap();
    assert_eq!(revoked_at().await, Some(T + 5));
    let found = db.store.token_by_digest(&digest('a')).await.unwrap().unwrap();
    assert!(!found.is_valid(T + 4));
}

async fn the_use_of_a_token_is_written_once_a_minute(db: &Database) {
    tenants(db).await;
    db.store.token_add(&token("a", "t1"), &digest('a')).await.unwrap();
    for (now, written) in [(T, T), (T + 59, T), (T - 9, T), (T + 60, T + 60), (T + 500, T + 500)] {
        db.store.token_used("a", now).await.unwrap();
        let found = db.store.token_by_digest(&digest('a')).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, Some(written), "{}", now - T);
    }
}

fn entry(tenant_id: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        id: 0,
        at: T,
        tenant_id: tenant_id.to_owned(),
        actor: "token billing".to_owned(),
        action: "update".to_owned(),
        kind: "subscriber".to_owned(),
        subject: subject.to_owned(),
        before: Some(r#"{"b": 1, "a": "ü"}"#.to_owned()),
        after: None,
        request_id: Some("r1".to_owned()),
    }
}

fn of(tenant_id: &str, limit: u32) -> AuditFilter {
    AuditFilter {
        tenant_id: tenant_id.to_owned(),
        limit,
        ..AuditFilter::default()
    }
}

async fn the_audit_log_is_paged_from_the_latest(db: &Database) {
    for n in 0..7 {
        db.store.audit_add(&entry("t1", &format!("s{n}"))).await.unwrap();
        db.store.audit_add(&entry("t2", "other")).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let filter = AuditFilter { before, ..of("t1", 3) };
        let page = db.store.audit_list(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        before = Some(last.id);
        // What comes meanwhile moves no page.
        db.store.audit_add(&entry("t1", "later")).await.unwrap();
        seen.extend(page);
    }
    let subjects: Vec<&str> = seen.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects, ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]);
    let ids = seen.iter().map(|entry| entry.id);
    assert!(ids.is_sorted_by(|one, next| one > next));
    let id = seen[6].id;
    assert_eq!(
        seen[6],
        AuditEntry {
            id,
            ..entry("t1", "s0")
        }
    );

    let removal = AuditEntry {
        actor: "grace".to_owned(),
        action: "delete".to_owned(),
        kind: "nas".to_owned(),
        before: None,
        request_id: None,
        ..entry("t1", "s0")
    };
    db.store.audit_add(&removal).await.unwrap();
    let some = |text: &str| Some(text.to_owned());
    for (kind, subject, actor, count) in [
        (some("nas"), None, None, 1),
        (None, some("s0"), None, 2),
        (some("subscriber"), some("s0"), None, 1),
        (None, None, some("grace"), 1),
        (some("nas"), None, some("token billing"), 0),
    ] {
        let filter = AuditFilter {
            kind,
            subject,
            actor,
            ..of("t1", 100)
        };
        assert_eq!(db.store.audit_list(&filter).await.unwrap().len(), count, "{filter:?}");
    }
}

async fn the_audit_log_outlives_what_it_tells_of(db: &Database) {
    tenants(db).await;
    db.store.audit_add(&entry("t1", "s")).await.unwrap();
    let recent = AuditEntry {
        at: T + 10,
        ..entry("t1", "s")
    };
    db.store.audit_add(&recent).await.unwrap();
    db.store.tenant_delete("t1").await.unwrap();
    assert_eq!(db.store.audit_list(&of("t1", 9)).await.unwrap().len(), 2);

    assert_eq!(db.store.aged_count(AgedTable::Audit, T).await.unwrap(), 0);
    assert_eq!(db.store.aged_count(AgedTable::Audit, T + 10).await.unwrap(), 1);
    assert_eq!(db.store.aged_delete(AgedTable::Audit, T + 10).await.unwrap(), 1);
    let left = db.store.audit_list(&of("t1", 9)).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.at).collect::<Vec<_>>(), [T + 10]);
}

async fn of_two_at_once_one_begins(db: &Database) {
    tenants(db).await;
    for round in 0..20 {
        let key = format!("k{round}");
        let begin = || db.store.idempotency_begin("t1", &key, "f", T);
        let (one, other) = tokio::join!(begin(), begin());
        let both = [one.unwrap(), other.unwrap()];
        let begun = both.iter().filter(|replay| **replay == Replay::New).count();
        let running = both.iter().filter(|replay| **replay == Replay::Running).count();
        assert_eq!((begun, running), (1, 1), "{both:?}");
    }
}

async fn a_request_is_answered_as_it_was(db: &Database) {
    tenants(db).await;
    let begin = async |tenant_id: &str, fingerprint: &str| {
        let begun = db.store.idempotency_begin(tenant_id, "k", fingerprint, T).await;
        begun.unwrap()
    };
    assert_eq!(begin("t1", "f").await, Replay::New);
    assert_eq!(begin("t1", "g").await, Replay::Different);
    // Keys are a tenant's own.
    assert_eq!(begin("t2", "g").await, Replay::New);
    db.store.idempotency_end("t1", "k", 201, "{\"id\":1}").await.unwrap();
    let done = Replay::Done {
        status: 201,
        body: "{\"id\":1}".to_owned(),
    };
    assert_eq!(begin("t1", "f").await, done);
    assert_eq!(begin("t1", "g").await, Replay::Different);
    assert_eq!(begin("t2", "g").await, Replay::Running);
    db.store.idempotency_forget("t1", "k").await.unwrap();
    assert_eq!(begin("t1", "g").await, Replay::New);
}

async fn what_is_abandoned_or_old_is_begun_anew(db: &Database) {
    tenants(db).await;
    let day = 24 * 60 * 60;
    let begin = async |key: &str, now: i64| db.store.idempotency_begin("t1", key, "f", now).await.unwrap();
    assert_eq!(begin("k", T).await, Replay::New);
    assert_eq!(begin("k", T + 60).await, Replay::Running);
    assert_eq!(begin("k", T + 61).await, Replay::New);
    db.store.idempotency_end("t1", "k", 204, "").await.unwrap();
    let done = Replay::Done {
        status: 204,
        body: String::new(),
    };
    assert_eq!(begin("k", T + 61 + day).await, done);
    assert_eq!(begin("k", T + 62 + day).await, Replay::New);
    // What was answered the last time is not what this one is answered.
    assert_eq!(begin("k", T + 63 + day).await, Replay::Running);

    assert_eq!(begin("old", T).await, Replay::New);
    assert_eq!(db.store.idempotency_prune(T).await.unwrap(), 0);
    assert_eq!(db.store.idempotency_prune(T + 1).await.unwrap(), 1);
    assert_eq!(begin("k", T + 63 + day).await, Replay::Running);
}
