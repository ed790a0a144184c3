//! A provider's whole base comes over: the same from each kind of database, into each. Long: `make scale`.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

use crate::lab::{Kind, Lab};
use crate::source::{Dialect, Source};

const USERS: usize = 100_000;
/// Rows per statement.
const BATCH: usize = 5_000;

/// Rows of users, of each kind that is taken over, one after the other.
#[derive(Default)]
struct Base {
    check: Vec<String>,
    reply: Vec<String>,
    groups: Vec<String>,
}

impl Base {
    fn new() -> Self {
        let mut base = Self::default();
        for index in 0..USERS {
            let user = format!("user-{index}");
            let password = match index % 10 {
                9 => "'MD5-Password', ':=', '5f4dcc3b5aa765d61d8327deb882cf99'".to_owned(),
                _ => format!("'Cleartext-Password', ':=', 'secret-{index}'"),
            };
            base.check.push(format!("'{user}', {password}"));
            match index % 10 {
                0..=5 => base.groups.push(format!("'{user}', 'gold', 1")),
                6 => base
                    .groups
                    .extend([format!("'{user}', 'gold', 1"), format!("'{user}', 'extra', 2")]),
                7 => base.groups.push(format!("'{user}', 'disabled', 0")),
                8 => base.check.push(format!("'{user}', 'NAS-Port-Type', '==', 'Ethernet'")),
                _ => base.reply.push(format!(
                    "'{user}', 'Framed-IP-Address', '=', '10.{}.{}.{}'",
                    index >> 16,
                    index >> 8 & 255,
                    index & 255
                )),
            }
        }
        base
    }

    fn write(&self, source: &Source) {
        source.execute(
            "INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('disabled', 'Auth-Type', ':=', 'Reject');
             INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Mikrotik-Rate-Limit', '=', '10M/50M'),
                ('extra', 'Reply-Message', '=', 'welcome');
             INSERT INTO nas (nasname, shortname, type, secret) VALUES ('192.0.2.1', 'one', 'mikrotik', 'nas-secret');",
        );
        for (table, columns, rows) in [
            ("radcheck", "username, attribute, op, value", &self.check),
            ("radreply", "username, attribute, op, value", &self.reply),
            ("radusergroup", "username, groupname, priority", &self.groups),
        ] {
            for rows in rows.chunks(BATCH) {
                let mut sql = format!("INSERT INTO {table} ({columns}) VALUES ");
                for (index, row) in rows.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(sql, "{comma}({row})").unwrap();
                }
                source.execute(&sql);
            }
        }
    }
}

/// What came over, without the time it took.
fn summary(lab: &Lab, source: &Source) -> Value {
    let imported = lab.ctl_with(
        &["import", "freeradius-sql", "--apply", "--json"],
        "",
        &[("ISP_IMPORT_URL", &source.url)],
    );
    let mut summary = imported.json();
    // MySQL's names have no case, which is said.
    for part in ["seconds", "notes"] {
        summary.as_object_mut().unwrap().remove(part);
    }
    summary
}

#[test]
#[ignore = "100,000 users, six times: make scale"]
fn scale_a_whole_base_comes_over_from_each_kind_into_each() {
    let base = Base::new();
    let mut summaries = Vec::new();
    for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::Mariadb] {
        let Some(source) = Source::create(dialect) else {
            continue;
        };
        base.write(&source);
        for kind in [Kind::Sqlite, Kind::Postgres] {
            Lab::run_on(kind, |lab| {
                let began = Instant::now();
                let summary = summary(lab.set_up(), &source);
                println!("{USERS} users from {dialect:?} into {kind:?}: {:.1?}", began.elapsed());
                for (table, rows) in [
                    ("subscribers", USERS),
                    ("radcheck", USERS / 10),
                    ("radusergroup", USERS / 5),
                ] {
                    let count = lab.query(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}"));
                    assert_eq!(count, [rows.to_string()], "{table} from {dialect:?} into {kind:?}");
                }
                let told = lab.ctl(&["subscriber", "show", "user-12345", "--json"]).json();
                assert_eq!(
                    (&told["status"], &told["username"]),
                    (&json!("active"), &json!("user-12345"))
                );
                summaries.push(summary);
            });
        }
    }
    let (first, others) = summaries.split_first().unwrap();
    assert_eq!(first["subscribers_added"], json!(USERS));
    assert_eq!((&first["plans_added"], &first["problem_count"]), (&json!(1), &json!(0)));
    for other in others {
        assert_eq!(first, other);
    }
}
