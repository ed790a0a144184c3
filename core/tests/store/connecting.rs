//! Opening a database, or saying in time why not.

use std::time::{Duration, Instant};

use isp_core::store::{Store, StoreError};

use crate::harness::{Database, block_on, postgres_server, tenant};

on_both_databases!(clones_share_the_pool, a_closed_store_says_so);

async fn clones_share_the_pool(db: &Database) {
    let clone = db.store.clone();
    clone.tenant_add(&tenant("t1")).await.unwrap();
    assert_eq!(db.store.tenant_list().await.unwrap().len(), 1);
}

async fn a_closed_store_says_so(db: &Database) {
    let store = Store::connect(&db.url, 1, false).await.unwrap();
    store.close().await;
    assert!(store.tenant_list().await.unwrap_err().is_transient());
}

fn refused(url: &str) -> StoreError {
    let started = Instant::now();
    let error = block_on(Store::connect(url, 1, false)).unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{error} took {:?}",
        started.elapsed()
    );
    error
}

#[test]
fn a_url_that_is_none_is_refused() {
    for url in [
        "",
        "isp.db",
        "mysql://root@localhost/isp",
        "sqlite::memory:",
        "sqlite://x?mode=memory",
        "postgres://[bad",
    ] {
        assert!(matches!(refused(url), StoreError::Url(_)), "{url}");
    }
}

#[test]
fn a_missing_file_names_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.db");
    let error = refused(&format!("sqlite://{}", path.display()));
    assert!(
        error.to_string().contains("none.db") && error.to_string().contains("`ispctl migrate`"),
        "{error}"
    );
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.db");
    std::fs::write(
        &path,
        "not a database at all, but long enough to be looked at as one".repeat(99),
    )
    .unwrap();
    let error = refused(&format!("sqlite://{}", path.display()));
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[test]
fn a_server_that_hangs_up_is_reported_without_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || listener.accept().map(drop));
    let error = refused(&format!("postgres://isp:hunter2@127.0.0.1:{port}/isp"));
    server.join().unwrap().unwrap();
    assert!(error.is_transient(), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains(&format!("isp@127.0.0.1:{port}/isp")) && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    // Accepts, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = refused(&format!("postgres://isp@127.0.0.1:{port}/isp"));
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[test]
fn postgres_credentials_are_not_shown() {
    let Some(server) = postgres_server() else { return };
    let store = block_on(Store::connect(
        &format!("{}/postgres", server.replace("isp@", "isp:hunter2@")),
        1,
        false,
    ));
    let shown = format!("{:?}", store.unwrap());
    assert!(shown.contains("127.0.0.1") && !shown.contains("hunter2"), "{shown}");
}
