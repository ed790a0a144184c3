//! SQL is only text to the compiler: each statement is prepared on a migrated database of either kind.
#![allow(clippy::unwrap_used, clippy::panic)]

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};

use super::Store;
use super::sql::Sql;

fn all() -> Vec<(&'static str, Sql)> {
    [
        super::accounting::STATEMENTS,
        super::assignments::STATEMENTS,
        super::audit::STATEMENTS,
        super::claims::STATEMENTS,
        super::feed::STATEMENTS,
        super::groups::STATEMENTS,
        super::idempotency::STATEMENTS,
        super::import_rows::STATEMENTS,
        super::inspection::STATEMENTS,
        super::link::STATEMENTS,
        super::load::STATEMENTS,
        super::nas::STATEMENTS,
        super::network_profiles::STATEMENTS,
        super::nodes::STATEMENTS,
        super::orders::STATEMENTS,
        super::overview::STATEMENTS,
        super::plans::STATEMENTS,
        super::provisioning::STATEMENTS,
        super::quotas::STATEMENTS,
        super::realms::STATEMENTS,
        super::records::STATEMENTS,
        super::retention::STATEMENTS,
        super::rows::STATEMENTS,
        super::schedule::STATEMENTS,
        super::schema::STATEMENTS,
        super::secrets::STATEMENTS,
        super::services::STATEMENTS,
        super::sessions::STATEMENTS,
        super::silence::STATEMENTS,
        super::subscribers::STATEMENTS,
        super::tenants::STATEMENTS,
        super::tokens::STATEMENTS,
        super::usage::STATEMENTS,
    ]
    .concat()
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn prepares_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("isp.db").display());
    let store = Store::connect(&url, 1, true).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for (name, sql) in all() {
        let prepared = connection.prepare(sql.sqlite.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {prepared:?}");
    }
    store.close().await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn prepares_on_postgres() {
    let Ok(server) = std::env::var("ISP_TEST_POSTGRES") else {
        let required = std::env::var("ISP_TEST_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
        assert!(!required, "ISP_TEST_POSTGRES is not set, and PostgreSQL is required");
        eprintln!("SKIP: PostgreSQL is not tested, ISP_TEST_POSTGRES is not set");
        return;
    };
    let mut admin = sqlx::PgConnection::connect(&format!("{server}/postgres"))
        .await
        .unwrap();
    let name = format!("isp_test_{}", uuid::Uuid::new_v4().simple());
    admin
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await
        .unwrap();
    let store = Store::connect(&format!("{server}/{name}"), 1, false).await.unwrap();
    store.migrate().await.unwrap();
    let mut failures = Vec::new();
    let mut connection = sqlx::PgConnection::connect(&format!("{server}/{name}")).await.unwrap();
    for (name, sql) in all() {
        if let Err(error) = connection.prepare(sql.postgres.into_sql_str()).await {
            failures.push(format!("{name}: {error}"));
        }
    }
    store.close().await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    admin.execute(drop).await.unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
}
