//! A node against both databases: what it decides, how fast a change by any writer arrives, and how it lives without the
//! database.
#![cfg(all(feature = "sqlite", feature = "postgres"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { crate::run(crate::Kind::Sqlite, super::$name); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::run(crate::Kind::Postgres, super::$name); })*
        }
    };
}

mod accounting;
mod admission;
mod database;
mod lockout;
mod policy;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isp_core::dictionary::AnyAttribute;
use isp_core::node::{AccessRequest, Credential, Identity, Node, NodeConfig, NodeError, Sender};
use isp_core::password::{self, AuthMethod, Scheme};
use isp_core::policy::Reason;
use isp_core::policy::binding::Packet;
use isp_core::secret::{KeyRing, Secret};
use isp_core::store::Store;
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{Tenant, UsernameCase, UsernameRealm};

use database::{Database, Kind};

const NAS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
/// What the follower may need to take a change in; the promise is one second.
const PROMISE: Duration = Duration::from_secs(1);

fn now() -> i64 {
    i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap()
}

fn config(database: &Database, directory: &Path) -> NodeConfig {
    NodeConfig {
        database_url: Secret::new(database.url().to_owned()),
        key_file: Some(directory.join("keys")),
        snapshot_file: Some(directory.join("snapshot")),
        snapshot_interval: Duration::from_secs(1),
        journal: directory.join("journal"),
        poll_interval: Duration::from_millis(50),
        default_tenant: Some("t".into()),
        ..NodeConfig::default()
    }
}

/// A migrated database with tenant `t`, and alice with the password `secret`.
async fn seed(database: &Database, directory: &Path) -> Store {
    let keys = KeyRing::create(&directory.join("keys")).unwrap();
    let store = Store::connect(database.url(), 4, true).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = Tenant {
        id: "t".into(),
        name: "Tenant".into(),
        enabled: true,
        username_case: UsernameCase::Preserve,
        username_realm: UsernameRealm::Keep,
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: isp_core::tenant::LookupBy::Username,
    };
    store.tenant_add(&tenant).await.unwrap();
    store
        .subscriber_add(&subscriber("alice", Scheme::Cleartext, "secret", &keys))
        .await
        .unwrap();
    store
}

fn subscriber(name: &str, scheme: Scheme, password: &str, keys: &KeyRing) -> Subscriber {
    let id = format!("id-of-{name}");
    let encoded = password::encode(scheme, password.as_bytes(), Some(keys), &id).unwrap();
    Subscriber {
        id,
        tenant_id: "t".into(),
        username: name.into(),
        status: Status::Active,
        service_type: "fiber_internet".into(),
        simultaneous_use: 1,
        password: Some(encoded.password),
        password_hash_method: Some(encoded.method.into()),
        ..Subscriber::default()
    }
}

fn pap<'a>(user_name: &'a str, password: &'a str) -> AccessRequest<'a> {
    AccessRequest {
        source: Some(NAS),
        user_name: user_name.as_bytes(),
        method: AuthMethod::Pap,
        user_password: Some(password.as_bytes()),
        packet: Packet::default(),
        now: now(),
    }
}

/// The clear password the node would hand to the server, or why it refuses.
fn decide(node: &Node, user_name: &str) -> Result<String, Reason> {
    node.authorize(&pap(user_name, ""), |authorization| match &authorization.credential {
        Credential::Cleartext(secret) => String::from_utf8(secret.expose().clone()).unwrap(),
        other => format!("{other:?}"),
    })
    .map_err(|refusal| refusal.reason)
}

/// Wait until the node answers as wanted; panics past the promise.
fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    started.elapsed()
}

fn start(config: NodeConfig) -> Node {
    Node::start(config, Arc::new(AnyAttribute)).unwrap()
}

on_both!(
    a_sealed_password_is_opened,
    a_change_by_any_writer_counts_within_a_second,
    a_rename_is_followed,
    a_replaced_subscriber_is_gone,
    a_name_given_up_serves_the_one_who_waited,
    new_rules_for_names_count,
    the_copy_on_disk_serves_without_the_database,
    changes_made_while_it_was_away_arrive,
    without_database_and_copy_it_does_not_start,
    a_stale_snapshot_is_refused,
    one_way_hashes_are_verified_here,
);

fn run(kind: Kind, test: fn(&tokio::runtime::Runtime, &mut Database, &Path)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(mut database) = runtime.block_on(Database::create(kind)) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    test(&runtime, &mut database, directory.path());
    runtime.block_on(database.destroy());
}

fn a_sealed_password_is_opened(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    assert_eq!(decide(&node, "alice").as_deref(), Ok("secret"));
    assert_eq!(decide(&node, "nobody"), Err(Reason::UnknownSubscriber));
    assert_eq!(
        node.identify(Some(NAS), &Sender::named(b"alice")),
        Identity {
            tenant_id: Some("t".to_owned()),
            subscriber_id: Some("id-of-alice".to_owned()),
            interim_interval: None,
        }
    );
    node.shutdown(PROMISE);

    std::fs::remove_file(directory.join("keys")).unwrap();
    KeyRing::create(&directory.join("keys")).unwrap();
    let node = start(config(database, directory));
    assert_eq!(
        decide(&node, "alice"),
        Err(Reason::PasswordUnreadable),
        "another key opens nothing"
    );
    node.shutdown(PROMISE);
}

fn a_change_by_any_writer_counts_within_a_second(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let steps: [(&str, Result<String, Reason>); 5] = [
        (
            "UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'",
            Err(Reason::Suspended),
        ),
        (
            "UPDATE subscribers SET status = 'active' WHERE username = 'alice'",
            Ok("secret".into()),
        ),
        (
            "UPDATE tenants SET enabled = FALSE WHERE id = 't'",
            Err(Reason::TenantDisabled),
        ),
        ("UPDATE tenants SET enabled = TRUE WHERE id = 't'", Ok("secret".into())),
        (
            "DELETE FROM subscribers WHERE username = 'alice'",
            Err(Reason::UnknownSubscriber),
        ),
    ];
    for (sql, wanted) in steps {
        runtime.block_on(database.execute(sql));
        eventually(sql, PROMISE, || decide(&node, "alice") == wanted);
    }
    node.shutdown(PROMISE);
}

fn a_rename_is_followed(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    runtime.block_on(database.execute("UPDATE subscribers SET username = 'alicia' WHERE username = 'alice'"));
    eventually("the new name", PROMISE, || decide(&node, "alicia").is_ok());
    eventually("the old name", PROMISE, || {
        decide(&node, "alice") == Err(Reason::UnknownSubscriber)
    });
    node.shutdown(PROMISE);
}

fn a_replaced_subscriber_is_gone(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    // In one go, so that the feed may know of the new row alone.
    runtime.block_on(database.execute(
        "DELETE FROM subscribers WHERE username = 'alice'; \
         DELETE FROM change_feed; \
         INSERT INTO subscribers (id, tenant_id, username, status) VALUES ('other', 't', 'alice', 'suspended')",
    ));
    eventually("the replacement", PROMISE, || {
        decide(&node, "alice") == Err(Reason::Suspended)
    });
    node.shutdown(PROMISE);
}

fn a_name_given_up_serves_the_one_who_waited(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    runtime.block_on(database.execute("UPDATE tenants SET username_case = 'lower' WHERE id = 't'"));
    runtime.block_on(
        database.execute(
            "INSERT INTO subscribers (id, tenant_id, username, status) VALUES ('twin', 't', 'ALICE', 'active')",
        ),
    );
    let node = start(config(database, directory));
    let first = node
        .identify(Some(NAS), &Sender::named(b"alice"))
        .subscriber_id
        .unwrap();
    assert_eq!(first, "id-of-alice", "the lower id, in whichever order they are read");
    runtime.block_on(database.execute(&format!("DELETE FROM subscribers WHERE id = '{first}'")));
    let waited = if first == "twin" { "id-of-alice" } else { "twin" };
    eventually("the other one", PROMISE, || {
        node.identify(Some(NAS), &Sender::named(b"alice"))
            .subscriber_id
            .as_deref()
            == Some(waited)
    });
    node.shutdown(PROMISE);
}

fn new_rules_for_names_count(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    assert_eq!(decide(&node, "ALICE@realm"), Err(Reason::UnknownSubscriber));
    runtime.block_on(
        database.execute("UPDATE tenants SET username_case = 'lower', username_realm = 'strip' WHERE id = 't'"),
    );
    eventually("the new rules", PROMISE, || decide(&node, "ALICE@realm").is_ok());
    node.shutdown(PROMISE);
}

fn the_copy_on_disk_serves_without_the_database(
    runtime: &tokio::runtime::Runtime,
    database: &mut Database,
    directory: &Path,
) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    let copy = directory.join("snapshot");
    eventually("the copy on disk", Duration::from_secs(5), || copy.exists());
    node.shutdown(PROMISE);

    let away = NodeConfig {
        database_url: Secret::new(database.url_of_nothing()),
        ..config(database, directory)
    };
    let node = start(away);
    assert_eq!(decide(&node, "alice").as_deref(), Ok("secret"));
    node.shutdown(PROMISE);
}

fn changes_made_while_it_was_away_arrive(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(config(database, directory));
    eventually("the copy on disk", Duration::from_secs(5), || {
        directory.join("snapshot").exists()
    });
    node.shutdown(PROMISE);

    runtime.block_on(database.execute("UPDATE subscribers SET status = 'suspended' WHERE username = 'alice'"));
    runtime.block_on(database.hide());
    let node = start(config(database, directory));
    assert_eq!(
        decide(&node, "alice").as_deref(),
        Ok("secret"),
        "the copy does not know yet"
    );
    runtime.block_on(database.show());
    eventually("the suspension", Duration::from_secs(8), || {
        decide(&node, "alice") == Err(Reason::Suspended)
    });
    node.shutdown(PROMISE);
}

fn without_database_and_copy_it_does_not_start(_: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    KeyRing::create(&directory.join("keys")).unwrap();
    let away = NodeConfig {
        database_url: Secret::new(database.url_of_nothing()),
        ..config(database, directory)
    };
    let refused = Node::start(away, Arc::new(AnyAttribute)).unwrap_err();
    assert!(matches!(refused, NodeError::NoSubscribers { .. }), "{refused}");
}

fn a_stale_snapshot_is_refused(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    runtime.block_on(seed(database, directory));
    let node = start(NodeConfig {
        snapshot_max_age: Some(Duration::from_secs(60)),
        ..config(database, directory)
    });
    let at = |now| {
        node.authorize(
            &AccessRequest {
                now,
                ..pap("alice", "")
            },
            |_| (),
        )
        .map_err(|r| r.reason)
    };
    assert_eq!(at(now() + 50), Ok(()));
    assert_eq!(at(now() + 120), Err(Reason::SnapshotStale));
    node.shutdown(PROMISE);
}

fn one_way_hashes_are_verified_here(runtime: &tokio::runtime::Runtime, database: &mut Database, directory: &Path) {
    let store = runtime.block_on(seed(database, directory));
    let keys = KeyRing::load(&directory.join("keys")).unwrap();
    runtime
        .block_on(store.subscriber_add(&subscriber("bob", Scheme::Argon2id, "hashed", &keys)))
        .unwrap();
    let node = start(config(database, directory));
    let here = node.authorize(&pap("bob", "hashed"), |a| {
        matches!(a.credential, Credential::VerifyHere)
    });
    assert_eq!(here.map_err(|refusal| refusal.reason), Ok(true));
    assert_eq!(node.authenticate(&pap("bob", "hashed")).map_err(|r| r.reason), Ok(()));
    assert_eq!(
        node.authenticate(&pap("bob", "wrong")).map_err(|r| r.reason),
        Err(Reason::BadPassword)
    );
    let chap = AccessRequest {
        method: AuthMethod::Chap,
        ..pap("bob", "")
    };
    assert_eq!(
        node.authorize(&chap, |_| ()).map_err(|r| r.reason),
        Err(Reason::MethodUnsupported)
    );
    node.shutdown(PROMISE);
}
