//! Stock `sql` for accounting: the queries and the schema that come with the server, unchanged.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::postgres::Cluster;
use crate::server::Module;

/// Where packages put the server's configuration.
const RADDB: [&str; 3] = ["/etc/freeradius/3.0", "/etc/freeradius", "/etc/raddb"];

pub(crate) fn on_postgres(cluster: &Cluster, database: &str, threads: u32) -> Result<Module> {
    cluster.create(database)?;
    cluster.run_file(database, &shipped("postgresql", "schema.sql")?)?;
    let driver = format!(
        "driver = \"rlm_sql_postgresql\"\n\t\tradius_db = \"{}\"",
        cluster.conninfo(database)
    );
    module("postgresql", &driver, threads)
}

pub(crate) fn on_sqlite(file: &Path, threads: u32) -> Result<Module> {
    let schema = shipped("sqlite", "schema.sql")?;
    // The timeout is the one that the server ships.
    let driver = format!(
        "driver = \"rlm_sql_sqlite\"\n\t\tsqlite {{\n\t\t\tfilename = \"{}\"\n\t\t\tbusy_timeout = 200\n\t\t\tbootstrap = \"{}\"\n\t\t}}",
        file.display(),
        schema.display()
    );
    module("sqlite", &driver, threads)
}

/// Whether the server's own configuration can be read: packages give it to the server's user.
pub(crate) fn readable() -> bool {
    shipped("postgresql", "queries.conf").is_ok()
}

fn shipped(dialect: &str, name: &str) -> Result<PathBuf> {
    RADDB
        .iter()
        .map(|raddb| Path::new(raddb).join("mods-config/sql/main").join(dialect).join(name))
        .find(|file| file.exists())
        .ok_or_else(|| Error::Setup(format!("the server's own {dialect}/{name} is in none of {RADDB:?}")))
}

/// As the shipped mods-available/sql has it, with a connection for each thread.
fn module(dialect: &str, driver: &str, threads: u32) -> Result<Module> {
    let queries = shipped(dialect, "queries.conf")?;
    Ok(Module {
        name: "sql",
        section: format!(
            r#"
	sql {{
		dialect = "{dialect}"
		{driver}
		acct_table1 = "radacct"
		acct_table2 = "radacct"
		postauth_table = "radpostauth"
		authcheck_table = "radcheck"
		groupcheck_table = "radgroupcheck"
		authreply_table = "radreply"
		groupreply_table = "radgroupreply"
		usergroup_table = "radusergroup"
		client_table = "nas"
		read_clients = no
		delete_stale_sessions = yes
		group_attribute = "SQL-Group"
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
		$INCLUDE {queries}
	}}
"#,
            queries = queries.display()
        ),
        logs: false,
        accounts: true,
        library_dir: None,
    })
}
