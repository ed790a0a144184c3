//! Users of a stock database are answered the same before and after `ispctl import freeradius-sql`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use e2e::artifact;
use e2e::database::Database;
use e2e::radclient::{Method, Packet, SECRET, login};
use e2e::seed::TENANT;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::parity::{STOCK_NAS, shown, stock_beside};
use crate::server_on;

const USERS: usize = 600;
const PASSWORD: &str = "password";

const SCHEMA: &str = "
CREATE TABLE radcheck (id INTEGER PRIMARY KEY, username TEXT, attribute TEXT, op TEXT, value TEXT);
CREATE TABLE radreply (id INTEGER PRIMARY KEY, username TEXT, attribute TEXT, op TEXT, value TEXT);
CREATE TABLE radgroupcheck (id INTEGER PRIMARY KEY, groupname TEXT, attribute TEXT, op TEXT, value TEXT);
CREATE TABLE radgroupreply (id INTEGER PRIMARY KEY, groupname TEXT, attribute TEXT, op TEXT, value TEXT);
CREATE TABLE radusergroup (id INTEGER PRIMARY KEY, username TEXT, groupname TEXT, priority INTEGER);
CREATE TABLE nas (id INTEGER PRIMARY KEY, nasname TEXT, shortname TEXT, type TEXT, ports INTEGER, secret TEXT, server TEXT,
    community TEXT, description TEXT);
INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('disabled', 'Auth-Type', ':=', 'Reject'),
    ('ethernet', 'NAS-Port-Type', '==', 'Ethernet');
INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES
    ('gold', 'Mikrotik-Rate-Limit', '=', '10000k/50000k'), ('gold', 'Acct-Interim-Interval', ':=', '300'),
    ('basic', 'Mikrotik-Rate-Limit', ':=', '1000k/5000k'), ('basic', 'Reply-Message', '=', 'basic'),
    ('first', 'Filter-Id', '=', 'one'), ('first', 'Fall-Through', '=', 'Yes'), ('second', 'Filter-Id', '+=', 'two'),
    ('ethernet', 'Filter-Id', '=', 'wired');
";

/// The rows of one user: of each kind that is taken over, one after the other.
fn rows(index: usize) -> String {
    let mut sql = String::new();
    let mut add = |table: &str, attribute: &str, op: &str, value: &str| {
        writeln!(
            sql,
            "INSERT INTO {table} (username, attribute, op, value) VALUES ('user-{index}', '{attribute}', '{op}', '{value}');"
        )
        .unwrap();
    };
    let clear = |add: &mut dyn FnMut(&str, &str, &str, &str)| add("radcheck", "Cleartext-Password", ":=", PASSWORD);
    let groups: &[&str] = match index % 8 {
        0 => {
            clear(&mut add);
            add(
                "radreply",
                "Framed-IP-Address",
                "=",
                &format!("10.0.{}.{}", index / 256, index % 256),
            );
            &["gold"]
        }
        1 => {
            add("radcheck", "MD5-Password", ":=", "5f4dcc3b5aa765d61d8327deb882cf99");
            &["basic"]
        }
        2 => {
            add("radcheck", "NT-Password", ":=", "8846F7EAEE8FB117AD06BDD830B7586C");
            add("radreply", "Session-Timeout", ":=", "3600");
            &["gold"]
        }
        3 => {
            clear(&mut add);
            add("radcheck", "Calling-Station-Id", "==", "00-11-22-33-44-55");
            add("radreply", "Reply-Message", "+=", "one");
            add("radreply", "Reply-Message", "+=", "two");
            &[]
        }
        4 => {
            clear(&mut add);
            &["disabled", "gold"]
        }
        5 => {
            clear(&mut add);
            &["first", "second"]
        }
        6 => {
            clear(&mut add);
            add("radreply", "Mikrotik-Rate-Limit", ":=", "64k/64k");
            &["gold"]
        }
        _ => {
            add("radcheck", "Cleartext-Password", ":=", "another one");
            &["ethernet"]
        }
    };
    for (priority, group) in groups.iter().enumerate() {
        writeln!(
            sql,
            "INSERT INTO radusergroup (username, groupname, priority) VALUES ('user-{index}', '{group}', {priority});"
        )
        .unwrap();
    }
    sql
}

fn fill(database: &Database, file: &Path) {
    let users: String = (0..USERS).map(rows).collect();
    let sql = format!(
        "BEGIN; {SCHEMA} {users}
         INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.1', 'lo', 'mikrotik', '{SECRET}'); COMMIT;"
    );
    database.wait(async {
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}

fn import(database: &Database, file: &Path) {
    let config = database.key_file().with_file_name("ispctl.toml");
    std::fs::write(&config, "").unwrap();
    let output = Command::new(artifact::ispctl())
        .args(["import", "freeradius-sql", "--apply", "--from"])
        .arg(format!("sqlite://{}", file.display()))
        .env("ISP_CONFIG", config)
        .env("ISP_DATABASE_URL", database.url())
        .env("ISP_KEY_FILE", database.key_file())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn imported_users_are_answered_as_before() {
    let database = Database::sqlite();
    database.add_tenant(TENANT);
    let server = server_on(&database);
    let file = server.directory().join("stock.db");
    fill(&database, &file);
    import(&database, &file);
    assert_eq!(
        database
            .value("SELECT CAST(count(*) AS TEXT) FROM subscribers")
            .as_deref(),
        Some(USERS.to_string().as_str())
    );
    let driver = format!(
        "driver = \"rlm_sql_sqlite\"\n\tsqlite {{\n\t\tfilename = \"{}\"\n\t}}",
        file.display()
    );
    let server = stock_beside(server, &driver).start();
    let [stock, ours] = [STOCK_NAS, Ipv4Addr::LOCALHOST].map(|nas| {
        let packets: Vec<Packet> = (0..USERS)
            .step_by(7)
            .map(|index| {
                let packet = login(Method::Pap, &format!("user-{index}"), PASSWORD).from(nas);
                // Half of those that are bound to a device come from it.
                if index % 16 < 8 {
                    packet
                } else {
                    packet.with("Calling-Station-Id", "00-11-22-33-44-55")
                }
            })
            .collect();
        Packet::ask_all(&packets, &server)
    });
    let mut accepted = 0;
    for (index, (stock, ours)) in (0..USERS).step_by(7).zip(stock.iter().zip(&ours)) {
        let [mut before, mut after] = [shown(stock), shown(ours)];
        // The order of different attributes says nothing (RFC 2865 section 5); that of equal ones is kept.
        let by_name = |one: &String, other: &String| one.split(" = ").next().cmp(&other.split(" = ").next());
        before.sort_by(by_name);
        after.sort_by(by_name);
        assert_eq!(before, after, "user-{index} ({})", index % 8);
        accepted += usize::from(stock.accepted());
    }
    assert!(accepted > USERS / 7 / 2, "{accepted} accepted");
}
