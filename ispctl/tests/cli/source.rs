//! A database as stock FreeRADIUS and daloRADIUS have it, of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, SqliteConnection};

use crate::lab::wait;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    Mariadb,
}

pub(crate) struct Source {
    pub(crate) dialect: Dialect,
    pub(crate) url: String,
    /// The server that the database is on.
    server: Option<(String, String)>,
    _directory: tempfile::TempDir,
}

/// The columns that the stock schemas have in all three dialects.
const SCHEMA: &str = "
CREATE TABLE radcheck (id {id}, username varchar(64) NOT NULL DEFAULT '', attribute varchar(64) NOT NULL DEFAULT '',
    op char(2) NOT NULL DEFAULT '==', value varchar(253) NOT NULL DEFAULT '');
CREATE TABLE radreply (id {id}, username varchar(64) NOT NULL DEFAULT '', attribute varchar(64) NOT NULL DEFAULT '',
    op char(2) NOT NULL DEFAULT '=', value varchar(253) NOT NULL DEFAULT '');
CREATE TABLE radgroupcheck (id {id}, groupname varchar(64) NOT NULL DEFAULT '', attribute varchar(64) NOT NULL DEFAULT '',
    op char(2) NOT NULL DEFAULT '==', value varchar(253) NOT NULL DEFAULT '');
CREATE TABLE radgroupreply (id {id}, groupname varchar(64) NOT NULL DEFAULT '', attribute varchar(64) NOT NULL DEFAULT '',
    op char(2) NOT NULL DEFAULT '=', value varchar(253) NOT NULL DEFAULT '');
CREATE TABLE radusergroup (username varchar(64) NOT NULL DEFAULT '', groupname varchar(64) NOT NULL DEFAULT '',
    priority int NOT NULL DEFAULT 1);
CREATE TABLE nas (id {id}, nasname varchar(128) NOT NULL, shortname varchar(32), type varchar(30) DEFAULT 'other', ports int,
    secret varchar(60) DEFAULT 'secret' NOT NULL, server varchar(64), community varchar(50), description varchar(200));
CREATE TABLE userinfo (id {id}, username varchar(128), firstname varchar(200), lastname varchar(200), email varchar(200),
    mobilephone varchar(200), homephone varchar(200), address varchar(200), city varchar(200), zip varchar(200),
    notes varchar(200));
CREATE TABLE radacct (radacctid {big}, acctsessionid varchar(64) NOT NULL DEFAULT '', acctuniqueid varchar(32) NOT NULL UNIQUE,
    username varchar(64), realm varchar(64), nasipaddress {inet}, nasportid varchar(32), nasporttype varchar(32),
    acctstarttime {time}, acctupdatetime {time}, acctstoptime {time}, acctinterval int, acctsessiontime int,
    acctauthentic varchar(32), connectinfo_start varchar(128), connectinfo_stop varchar(128), acctinputoctets bigint,
    acctoutputoctets bigint, calledstationid varchar(50), callingstationid varchar(50), acctterminatecause varchar(32),
    servicetype varchar(32), framedprotocol varchar(32), framedipaddress {inet}, framedipv6address {inet},
    framedipv6prefix {inet}, framedinterfaceid varchar(44), delegatedipv6prefix {inet}, class varchar(64));
";

impl Source {
    /// Loudly none where there is no server of the kind.
    pub(crate) fn create(dialect: Dialect) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir().unwrap();
        let name = format!("source_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let variable = match dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => "ISP_TEST_POSTGRES",
            Dialect::Mariadb => "ISP_TEST_MARIADB",
        };
        let (url, server) = if dialect == Dialect::Sqlite {
            (
                format!("sqlite://{}?mode=rwc", directory.path().join("radius.db").display()),
                None,
            )
        } else {
            let Ok(server) = std::env::var(variable) else {
                let required = variable.replace("TEST_", "TEST_REQUIRE_");
                assert!(std::env::var_os(&required).is_none(), "{variable} must name a server");
                eprintln!("SKIP: {variable} is not set, nothing is imported from there");
                return None;
            };
            (format!("{server}/{name}"), Some((server, name)))
        };
        let source = Self {
            dialect,
            url,
            server,
            _directory: directory,
        };
        source.administer("CREATE DATABASE {}");
        let id = match dialect {
            Dialect::Sqlite => "INTEGER PRIMARY KEY",
            Dialect::Postgres => "serial PRIMARY KEY",
            Dialect::Mariadb => "int PRIMARY KEY AUTO_INCREMENT",
        };
        let (big, time, inet) = match dialect {
            Dialect::Sqlite => ("INTEGER PRIMARY KEY", "datetime", "varchar(45) DEFAULT ''"),
            Dialect::Postgres => ("bigserial PRIMARY KEY", "timestamp with time zone", "inet"),
            Dialect::Mariadb => (
                "bigint PRIMARY KEY AUTO_INCREMENT",
                "datetime NULL",
                "varchar(45) DEFAULT ''",
            ),
        };
        let schema = SCHEMA.replace("{id}", id).replace("{big}", big);
        source.execute(&schema.replace("{time}", time).replace("{inet}", inet));
        Some(source)
    }

    pub(crate) fn execute(&self, sql: &str) {
        run(self.dialect, &self.url, sql);
    }

    fn administer(&self, sql: &str) {
        if let Some((server, name)) = &self.server {
            let database = if self.dialect == Dialect::Postgres {
                "postgres"
            } else {
                "mysql"
            };
            run(self.dialect, &format!("{server}/{database}"), &sql.replace("{}", name));
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.administer("DROP DATABASE {}");
        }
    }
}

fn run(dialect: Dialect, url: &str, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    wait(async {
        match dialect {
            Dialect::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                sql.execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Dialect::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sql.execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Dialect::Mariadb => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                sql.execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    });
}
