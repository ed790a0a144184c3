//! Migrations, and the check that they were run.

use isp_core::store::StoreError;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use crate::harness::Database;

on_both_databases!(
    migrating_twice_does_nothing,
    an_empty_database_names_the_command,
    an_old_schema_names_the_command,
    a_newer_schema_is_refused,
    accounting_outlives_an_upgrade,
    a_changed_migration_is_noticed,
    radius_tables_have_the_stock_columns,
);

/// Names of the migrations, in order.
fn all(db: &Database) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory(db))
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn directory(db: &Database) -> String {
    let kind = if db.is_sqlite() { "sqlite" } else { "postgres" };
    format!("{}/../migrations/{kind}", env!("CARGO_MANIFEST_DIR"))
}

/// Go back to what an older release left: its tables, empty, and its record of migrations.
async fn turn_back_to(db: &Database, version: i64) {
    if db.is_sqlite() {
        let tables = db
            .query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            .await;
        let drops: String = tables
            .iter()
            .map(|t| format!("DROP TABLE {};", t[0].as_ref().unwrap()))
            .collect();
        db.raw(&format!("PRAGMA foreign_keys = OFF; {drops}")).await;
    } else {
        db.raw("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    }
    let migrations = all(db)
        .into_iter()
        .filter_map(|name| {
            let number: i64 = name.split('_').next().unwrap().parse().unwrap();
            let sql = std::fs::read_to_string(format!("{}/{name}.sql", directory(db))).unwrap();
            (number <= version).then(|| {
                let sql = AssertSqlSafe(sql).into_sql_str();
                Migration::new(number, name.into(), MigrationType::Simple, sql, false)
            })
        })
        .collect();
    let migrator = Migrator::with_migrations(migrations);
    if db.is_sqlite() {
        migrator
            .run(&mut SqliteConnection::connect(&db.url).await.unwrap())
            .await
            .unwrap();
    } else {
        migrator
            .run(&mut PgConnection::connect(&db.url).await.unwrap())
            .await
            .unwrap();
    }
}

async fn migrating_twice_does_nothing(db: &Database) {
    assert_eq!(db.store.migrate().await.unwrap(), Vec::<String>::new());
    db.store.check_schema().await.unwrap();
}

async fn an_empty_database_names_the_command(db: &Database) {
    db.raw("DROP TABLE _sqlx_migrations").await;
    let error = db.store.check_schema().await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaMissing), "{error:?}");
    assert!(error.to_string().contains("`ispctl migrate`"), "{error}");
}

async fn an_old_schema_names_the_command(db: &Database) {
    let names = all(db);
    let newest = i64::try_from(names.len()).unwrap();
    turn_back_to(db, newest - 1).await;
    let error = db.store.check_schema().await.unwrap_err();
    let StoreError::SchemaOld { found, wanted } = error else {
        panic!("{error:?}")
    };
    assert_eq!((found, wanted), (newest - 1, newest));
    assert!(error.to_string().contains("`ispctl migrate`"), "{error}");
    assert_eq!(db.store.migrate().await.unwrap(), names[names.len() - 1..]);
    db.store.check_schema().await.unwrap();
}

async fn a_newer_schema_is_refused(db: &Database) {
    let newest = i64::try_from(all(db).len()).unwrap();
    db.raw(&format!(
        "UPDATE _sqlx_migrations SET version = {} WHERE version = {newest}",
        newest + 1
    ))
    .await;
    for error in [
        db.store.check_schema().await.unwrap_err(),
        db.store.migrate().await.unwrap_err(),
    ] {
        let StoreError::SchemaNew { found, wanted } = error else {
            panic!("{error:?}")
        };
        assert_eq!((found, wanted), (newest + 1, newest));
    }
}

/// Sessions recorded before radacct was partitioned.
async fn accounting_outlives_an_upgrade(db: &Database) {
    turn_back_to(db, 6).await;
    let (closed, open) = if db.is_sqlite() {
        ("'2024-02-29 12:00:00'", "CAST(count(*) AS TEXT)")
    } else {
        ("'2024-02-29 12:00:00+00'", "count(*)::text")
    };
    db.raw(&format!(
        "INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime, callingstationid)
         VALUES ('1', 'a', 'ada', '192.0.2.1', {closed}, {closed}, '00-11-22-AA-bb-cc'),
                ('2', 'b', 'ada', '192.0.2.1', {closed}, NULL, '0011.22aa.bbcc'),
                ('3', 'c', 'ada', '192.0.2.1', {closed}, NULL, 'modem 3')"
    ))
    .await;
    db.store.migrate().await.unwrap();
    let rows = db
        .query("SELECT acctuniqueid, calling_mac FROM radacct ORDER BY acctuniqueid")
        .await;
    let mac = Some("001122aabbcc".to_owned());
    assert_eq!(
        rows,
        [
            vec![Some("a".to_owned()), mac.clone()],
            vec![Some("b".to_owned()), mac],
            vec![Some("c".to_owned()), None]
        ]
    );
    let open = db
        .value(&format!("SELECT {open} FROM radacct WHERE acctstoptime IS NULL"))
        .await;
    assert_eq!(open.as_deref(), Some("2"));
    if !db.is_sqlite() {
        let month = db.value("SELECT count(*)::text FROM radacct_2024_02").await;
        assert_eq!(month.as_deref(), Some("1"));
    }
}

async fn a_changed_migration_is_noticed(db: &Database) {
    let forged = if db.is_sqlite() { "x'00'" } else { "'\\x00'" };
    db.raw(&format!(
        "UPDATE _sqlx_migrations SET checksum = {forged} WHERE version = 3"
    ))
    .await;
    for error in [
        db.store.check_schema().await.unwrap_err(),
        db.store.migrate().await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::SchemaForeign { version: 3 }), "{error:?}");
    }
}

/// Other tools name these columns; a missing one is an error here.
async fn radius_tables_have_the_stock_columns(db: &Database) {
    for (table, columns) in [
        ("radcheck", "id, username, attribute, op, value"),
        ("radreply", "id, username, attribute, op, value"),
        ("radgroupcheck", "id, groupname, attribute, op, value"),
        ("radgroupreply", "id, groupname, attribute, op, value"),
        ("radusergroup", "id, username, groupname, priority"),
        (
            "radpostauth",
            "id, username, pass, reply, calledstationid, callingstationid, authdate, class",
        ),
        (
            "nas",
            "id, nasname, shortname, type, ports, secret, server, community, description",
        ),
        ("nasreload", "nasipaddress, reloadtime"),
        (
            "radacct",
            "radacctid, acctsessionid, acctuniqueid, username, realm, nasipaddress, nasportid, nasporttype,
             acctstarttime, acctupdatetime, acctstoptime, acctinterval, acctsessiontime, acctauthentic,
             connectinfo_start, connectinfo_stop, acctinputoctets, acctoutputoctets, calledstationid,
             callingstationid, acctterminatecause, servicetype, framedprotocol, framedipaddress, framedipv6address,
             framedipv6prefix, framedinterfaceid, delegatedipv6prefix, class",
        ),
    ] {
        db.raw(&format!("SELECT {columns} FROM {table}")).await;
    }
}
