//! Migrations, and the check that they were run.

use isp_core::store::StoreError;

use crate::harness::Database;

on_both_databases!(
    migrating_twice_does_nothing,
    an_empty_database_names_the_command,
    an_old_schema_names_the_command,
    a_newer_schema_is_refused,
    a_changed_migration_is_noticed,
    radius_tables_have_the_stock_columns,
);

const ALL: [&str; 6] = [
    "0001_tenants",
    "0002_plans_nas",
    "0003_subscribers",
    "0004_radius",
    "0005_addressing",
    "0006_change_feed",
];

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
    // What the newest migration made goes, and the record of it.
    if db.is_sqlite() {
        let made = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%\\_feed\\_%' ESCAPE '\\'";
        for row in db.query(made).await {
            db.raw(&format!("DROP TRIGGER {}", row[0].as_ref().unwrap())).await;
        }
        db.raw("DROP TABLE change_feed; DROP TABLE change_feed_state").await;
    } else {
        db.raw("DROP TABLE change_feed, change_feed_state, change_feed_checkpoint")
            .await;
        let made = "SELECT proname::text FROM pg_proc WHERE proname LIKE 'change\\_feed%'";
        for row in db.query(made).await {
            db.raw(&format!("DROP FUNCTION {} CASCADE", row[0].as_ref().unwrap()))
                .await;
        }
    }
    db.raw("DELETE FROM _sqlx_migrations WHERE version = 6").await;
    let error = db.store.check_schema().await.unwrap_err();
    assert!(
        matches!(error, StoreError::SchemaOld { found: 5, wanted: 6 }),
        "{error:?}"
    );
    assert!(error.to_string().contains("`ispctl migrate`"), "{error}");
    assert_eq!(db.store.migrate().await.unwrap(), ALL[5..]);
    db.store.check_schema().await.unwrap();
}

async fn a_newer_schema_is_refused(db: &Database) {
    db.raw("UPDATE _sqlx_migrations SET version = 7 WHERE version = 6")
        .await;
    for error in [
        db.store.check_schema().await.unwrap_err(),
        db.store.migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::SchemaNew { found: 7, wanted: 6 }),
            "{error:?}"
        );
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
