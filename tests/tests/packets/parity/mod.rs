//! Raw rows mean to us what they mean to stock `sql`: each case of `corpus.toml` is asked of both modules, in one server
//! and on the same rows, and the replies are the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Answer, Method, Packet, login};
use e2e::radiusd::{Builder, Radiusd};
use e2e::seed::{PASSWORD, TENANT};
use serde::Deserialize;

use crate::server_on;

/// The NAS whose packets stock `sql` answers.
pub(crate) const STOCK_NAS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    case: Vec<Case>,
}

/// Rows are written `attribute operator value`; an operator of `_` is an empty one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Rows of `radcheck`, after the one with the password.
    #[serde(default)]
    check: Vec<String>,
    #[serde(default)]
    reply: Vec<String>,
    /// Rows of `radusergroup`: `group priority`.
    #[serde(default)]
    member: Vec<String>,
    #[serde(default)]
    group: BTreeMap<String, Rows>,
    /// The user has no row with the password.
    #[serde(default)]
    no_password: bool,
    /// The password sent, where it is not the right one.
    #[serde(default)]
    sent_password: Option<String>,
    /// Further attributes of the request.
    #[serde(default)]
    request: Vec<String>,
    #[serde(default)]
    reject: bool,
    /// Our answer where it differs, and why it does.
    #[serde(default)]
    ours: Option<Differs>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(default)]
    check: Vec<String>,
    #[serde(default)]
    reply: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Differs {
    answer: Vec<String>,
    because: String,
}

fn corpus() -> Vec<Case> {
    let Corpus { case } = toml::from_str(include_str!("corpus.toml")).unwrap();
    case
}

/// Nobody else's user, and nobody else's groups.
fn user(index: usize) -> String {
    format!("case-{index}")
}

fn group(index: usize, name: &str) -> String {
    format!("{index}-{name}")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// As stock tools write: by name, without a tenant.
fn insert(sql: &mut String, table: &str, key: (&str, &str), rows: &[String]) {
    for row in rows {
        let mut words = row.splitn(3, ' ');
        let mut word = || quoted(words.next().unwrap_or_default());
        let (attribute, op, value) = (word(), word().replace('_', ""), word());
        let (column, name) = (key.0, quoted(key.1));
        writeln!(
            sql,
            "INSERT INTO {table} ({column}, attribute, op, value) VALUES ({name}, {attribute}, {op}, {value});"
        )
        .unwrap();
    }
}

fn seed(database: &Database, corpus: &[Case]) {
    let mut sql = String::from("BEGIN;\n");
    for (index, case) in corpus.iter().enumerate() {
        let user = user(index);
        writeln!(
            sql,
            "INSERT INTO subscribers (id, tenant_id, username, status) VALUES ('{user}', '{TENANT}', '{user}', 'active');"
        )
        .unwrap();
        if !case.no_password {
            insert(
                &mut sql,
                "radcheck",
                ("username", &user),
                &[format!("Cleartext-Password := {PASSWORD}")],
            );
        }
        insert(&mut sql, "radcheck", ("username", &user), &case.check);
        insert(&mut sql, "radreply", ("username", &user), &case.reply);
        for member in &case.member {
            let (name, priority) = member.rsplit_once(' ').unwrap();
            let name = quoted(&group(index, name));
            writeln!(
                sql,
                "INSERT INTO radusergroup (username, groupname, priority) VALUES ('{user}', {name}, {priority});"
            )
            .unwrap();
        }
        for (name, rows) in &case.group {
            let name = group(index, name);
            insert(&mut sql, "radgroupcheck", ("groupname", &name), &rows.check);
            insert(&mut sql, "radgroupreply", ("groupname", &name), &rows.reply);
        }
    }
    sql.push_str("COMMIT;");
    database.execute(&sql);
}

/// The same server with stock `sql`, and the queries it comes with, for one of the NAS.
fn with_stock(server: Builder, database: &Database) -> Builder {
    let driver = if database.is_sqlite() {
        // A copy: two SQLite libraries in one process must not open one file.
        let copy = server.directory().join("stock.db");
        database.execute(&format!("VACUUM INTO '{}'", copy.display()));
        format!(
            "driver = \"rlm_sql_sqlite\"\n\tsqlite {{\n\t\tfilename = \"{}\"\n\t\tbusy_timeout = 5000\n\t}}",
            copy.display()
        )
    } else {
        format!(
            "driver = \"rlm_sql_postgresql\"\n\tradius_db = \"{}\"",
            conninfo(database.url())
        )
    };
    stock_beside(server, &driver)
}

/// Stock `sql` on a database of its own, for the packets of [`STOCK_NAS`].
pub(crate) fn stock_beside(server: Builder, driver: &str) -> Builder {
    let rows = |table: &str, key: &str, name: &str| {
        format!("\"SELECT id, {name}, attribute, value, op FROM {table} WHERE {name} = '%{{{key}}}' ORDER BY id\"")
    };
    let sql = format!(
        "sql {{
	{driver}
	sql_user_name = \"%{{User-Name}}\"
	authorize_check_query = {}
	authorize_reply_query = {}
	authorize_group_check_query = {}
	authorize_group_reply_query = {}
	group_membership_query = \"SELECT groupname FROM radusergroup WHERE username = '%{{SQL-User-Name}}' ORDER BY priority, id\"
	pool {{
		start = 1
		max = 5
	}}
}}
",
        rows("radcheck", "SQL-User-Name", "username"),
        rows("radreply", "SQL-User-Name", "username"),
        rows("radgroupcheck", "SQL-Group", "groupname"),
        rows("radgroupreply", "SQL-Group", "groupname"),
    );
    let site = "server stock {
	authorize {
		chap
		mschap
		sql
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
		Auth-Type CHAP {
			chap
		}
		Auth-Type MS-CHAP {
			mschap
		}
	}
	post-auth {
		Post-Auth-Type REJECT {
			bare_reject
		}
	}
}
";
    server
        .file("mods-enabled/sql", sql)
        .file("sites-enabled/stock", site.to_owned())
        .client_of("stock", STOCK_NAS)
}

/// `postgres://user:password@host:port/name` in the words of libpq's other form.
fn conninfo(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, name) = rest.split_once('/').unwrap();
    let (login, address) = authority.split_once('@').unwrap_or(("", authority));
    let (host, port) = address.split_once(':').unwrap_or((address, "5432"));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut text = format!("host={host} port={port} dbname={name}");
    for (key, value) in [("user", user), ("password", password)] {
        if !value.is_empty() {
            write!(text, " {key}={value}").unwrap();
        }
    }
    text
}

fn ask(server: &Radiusd, corpus: &[Case], from: Ipv4Addr) -> Vec<Answer> {
    let packet = |(index, case): (usize, &Case)| {
        let password = case.sent_password.as_deref().unwrap_or(PASSWORD);
        let packet = login(Method::Pap, &user(index), password).from(from);
        case.request.iter().fold(packet, |packet, line| packet.line(line))
    };
    let packets: Vec<Packet> = corpus.iter().enumerate().map(packet).collect();
    Packet::ask_all(&packets, server)
}

pub(crate) fn shown(answer: &Answer) -> Vec<String> {
    let attributes = answer
        .attributes
        .iter()
        .map(|(name, value)| format!("{name} = {value}"));
    [answer.code.clone()].into_iter().chain(attributes).collect()
}

/// What is wrong with the answers to a case.
fn judge(case: &Case, stock: &Answer, ours: &Answer) -> Option<String> {
    let (stock, ours) = (shown(stock), shown(ours));
    let wanted = case.ours.as_ref().map_or(&stock, |differs| &differs.answer);
    let code = if case.reject { "Access-Reject" } else { "Access-Accept" };
    let verdict = match &case.ours {
        _ if stock[0] != code => format!("stock sql was expected to answer {code}"),
        Some(_) if stock == ours => "no longer differs".to_owned(),
        _ if *wanted == ours => return None,
        Some(Differs { because, .. }) => format!("differs, but not as it should ({because})"),
        None => "differs".to_owned(),
    };
    Some(format!(
        "{}: {verdict}\n  stock sql: {stock:#?}\n  ours: {ours:#?}",
        case.name
    ))
}

on_both_databases! {
    fn raw_rows_are_answered_as_stock_sql_answers_them(database) {
        let database = database.seeded();
        let corpus = corpus();
        assert!(corpus.len() >= 60, "{} cases", corpus.len());
        seed(&database, &corpus);
        let server = with_stock(server_on(&database), &database).start();
        let answers = [STOCK_NAS, Ipv4Addr::LOCALHOST].map(|nas| ask(&server, &corpus, nas));
        let [stock, ours] = &answers;
        let faults: Vec<String> = corpus
            .iter()
            .zip(stock.iter().zip(ours))
            .filter_map(|(case, (stock, ours))| judge(case, stock, ours))
            .collect();
        assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), corpus.len(), faults.join("\n"));
    }
}
