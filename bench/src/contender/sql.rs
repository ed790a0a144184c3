//! Stock `sql` with the PostgreSQL driver.

use crate::contender::reply_rows;
use crate::error::Result;
use crate::population::Member;
use crate::postgres::Cluster;
use crate::server::Module;

pub(crate) const DATABASE: &str = "bench_sql";

/// The tables authorize reads and post-auth writes, with the columns and indexes of the stock schema.
const SCHEMA: &str = "
CREATE TABLE radcheck (id serial PRIMARY KEY, UserName text NOT NULL, Attribute text NOT NULL,
    op varchar(2) NOT NULL, Value text NOT NULL);
CREATE TABLE radreply (LIKE radcheck INCLUDING ALL);
CREATE TABLE radusergroup (id serial PRIMARY KEY, UserName text NOT NULL, GroupName text NOT NULL,
    priority integer NOT NULL DEFAULT 0);
CREATE TABLE radgroupcheck (id serial PRIMARY KEY, GroupName text NOT NULL, Attribute text NOT NULL,
    op varchar(2) NOT NULL, Value text NOT NULL);
CREATE TABLE radgroupreply (LIKE radgroupcheck INCLUDING ALL);
CREATE TABLE radpostauth (id bigserial PRIMARY KEY, username text NOT NULL, pass text, reply text,
    CalledStationId text, CallingStationId text, authdate timestamptz NOT NULL DEFAULT now(), Class text);
CREATE INDEX ON radpostauth (username);
CREATE INDEX ON radpostauth (Class);
";

/// After the rows are in, as an administrator would load a table.
const INDEXES: &str = "
CREATE INDEX ON radcheck (UserName, Attribute);
CREATE INDEX ON radreply (UserName, Attribute);
CREATE INDEX ON radusergroup (UserName);
CREATE INDEX ON radgroupcheck (GroupName, Attribute);
CREATE INDEX ON radgroupreply (GroupName, Attribute);
VACUUM ANALYZE;
";

/// Fill the tables.
pub(crate) fn prepare(cluster: &Cluster, users: u32, threads: u32) -> Result<Module> {
    cluster.create(DATABASE)?;
    cluster.psql(DATABASE, |sql| {
        sql.write_all(SCHEMA.as_bytes())?;
        writeln!(sql, "COPY radcheck (UserName, Attribute, op, Value) FROM STDIN;")?;
        for member in (0..users).map(Member) {
            writeln!(
                sql,
                "{}\tCleartext-Password\t:=\t{}",
                member.username_text(),
                member.password_text()
            )?;
        }
        writeln!(sql, "\\.")?;
        writeln!(sql, "COPY radreply (UserName, Attribute, op, Value) FROM STDIN;")?;
        for member in (0..users).map(Member) {
            let username = member.username_text();
            for (attribute, value) in reply_rows(member) {
                writeln!(sql, "{username}\t{attribute}\t=\t{value}")?;
            }
        }
        writeln!(sql, "\\.")?;
        sql.write_all(INDEXES.as_bytes())
    })?;
    Ok(Module {
        name: "sql",
        section: section(&cluster.conninfo(DATABASE), threads),
        logs: true,
        accounts: false,
        library_dir: None,
    })
}

/// The stock instance: its queries over its tables, one connection for each worker thread.
fn section(conninfo: &str, threads: u32) -> String {
    let rows = |table: &str, key: &str, value: &str, name: &str| {
        format!("\"SELECT id, {name}, Attribute, Value, Op FROM {table} WHERE {key} = '{value}' ORDER BY id\"")
    };
    let check = rows("radcheck", "Username", "%{SQL-User-Name}", "UserName");
    let reply = rows("radreply", "Username", "%{SQL-User-Name}", "UserName");
    let group_check = rows("radgroupcheck", "GroupName", "%{SQL-Group}", "GroupName");
    let group_reply = rows("radgroupreply", "GroupName", "%{SQL-Group}", "GroupName");
    format!(
        r#"
	sql {{
		driver = "rlm_sql_postgresql"
		radius_db = "{conninfo}"
		read_clients = no
		group_attribute = "SQL-Group"
		sql_user_name = "%{{User-Name}}"
		authorize_check_query = {check}
		authorize_reply_query = {reply}
		authorize_group_check_query = {group_check}
		authorize_group_reply_query = {group_reply}
		group_membership_query = "SELECT GroupName FROM radusergroup WHERE UserName='%{{SQL-User-Name}}' ORDER BY priority"
		post-auth {{
			query = "INSERT INTO radpostauth (username, pass, reply, authdate) VALUES ('%{{SQL-User-Name}}', '%{{%{{User-Password}}:-%{{Chap-Password}}}}', '%{{reply:Packet-Type}}', '%S.%M')"
		}}
		pool {{
			start = {threads}
			min = {threads}
			max = {threads}
			spare = 0
			uses = 0
			retry_delay = 30
			lifetime = 0
			idle_timeout = 0
		}}
	}}
"#
    )
}
