//! `rlm_rust`, set up as for production: passwords sealed under a key file, replies from plan and subscriber.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use isp_core::nas::Nas;
use isp_core::password::{self, Scheme};
use isp_core::plan::Plan;
use isp_core::secret::KeyRing;
use isp_core::store::Store;
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{Tenant, UsernameCase, UsernameRealm};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::population::{BenchPlan, Member, PLANS};
use crate::postgres::Cluster;
use crate::server::Module;

const TENANT: &str = "bench";
/// Rows handed to the store at once.
const BATCH: u32 = 10_000;

/// Makes databases for the module and instances that serve them.
#[derive(Debug)]
pub(crate) struct Rust {
    library_dir: PathBuf,
    key_file: PathBuf,
    keys: KeyRing,
}

impl Rust {
    /// `library`: the built module. `directory`: where its key file goes.
    pub(crate) fn new(library: &Path, directory: &Path) -> Result<Self> {
        let library = library.canonicalize().map_err(|e| {
            Error::io(
                format!(
                    "find the module {} (build it with: cargo build --release -p rlm_rust)",
                    library.display()
                ),
                e,
            )
        })?;
        // The server looks for rlm_rust.so; cargo names it librlm_rust.so.
        symlink(&library, directory.join("rlm_rust.so")).map_err(|e| Error::io("link the module", e))?;
        let key_file = directory.join("keys");
        let keys = KeyRing::create(&key_file).map_err(|e| Error::Setup(format!("key file: {e}")))?;
        Ok(Self {
            library_dir: directory.to_owned(),
            key_file,
            keys,
        })
    }

    /// Make `database` and fill it with the base.
    pub(crate) fn fill(&self, cluster: &Cluster, database: &str, users: u32) -> Result<()> {
        cluster.create(database)?;
        self.fill_url(&cluster.url(database), users)?;
        // As autovacuum would have done by the time a base of this size is in service.
        cluster.psql(database, |sql| writeln!(sql, "VACUUM ANALYZE;"))
    }

    /// Migrate the database at `url`, an SQLite file or an empty PostgreSQL database, and fill it.
    pub(crate) fn fill_url(&self, url: &str, users: u32) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::io("start a runtime", e))?;
        runtime
            .block_on(self.import(url, users))
            .map_err(|e| Error::Setup(format!("cannot fill {url}: {e}")))
    }

    async fn import(&self, url: &str, users: u32) -> Result<(), Box<dyn std::error::Error>> {
        let store = Store::connect(url, 2, true).await?;
        store.migrate().await?;
        store.tenant_add(&tenant()).await?;
        for plan in &PLANS {
            store.plan_add(&stored_plan(plan)).await?;
        }
        store.nas_add(&nas()).await?;
        let mut import = store.subscriber_import().await?;
        for start in (0..users).step_by(BATCH as usize) {
            let members = (start..users.min(start + BATCH)).map(Member);
            let rows = members
                .map(|member| self.subscriber(member))
                .collect::<Result<Vec<_>, _>>()?;
            import.push(&rows).await?;
        }
        import.commit().await?;
        store.close().await;
        Ok(())
    }

    fn subscriber(&self, member: Member) -> Result<Subscriber, Box<dyn std::error::Error>> {
        let id = Uuid::new_v4().to_string();
        let stored = password::encode(Scheme::Cleartext, &member.password(), Some(&self.keys), &id)?;
        Ok(Subscriber {
            id,
            tenant_id: TENANT.to_owned(),
            username: member.username_text(),
            password: Some(stored.password),
            password_hash_method: Some(stored.method.to_owned()),
            status: Status::Active,
            service_type: "fiber_internet".to_owned(),
            bandwidth_profile_id: Some(member.plan().name.to_owned()),
            static_ipv4: Some(member.framed_ip()),
            simultaneous_use: 1,
            ..Subscriber::default()
        })
    }

    /// An instance that serves the database at `url`, with its copy on disk in `snapshot_file` and its journal beside it.
    pub(crate) fn module(&self, url: &str, snapshot_file: &Path) -> Module {
        Module {
            name: "rust",
            section: format!(
                r#"
	rust {{
		key_file = {key_file}
		vendors = {VENDORS}
		database {{
			url = "{url}"
		}}
		snapshot {{
			file = {snapshot_file}
		}}
		accounting {{
			journal = {journal}
		}}
		# On by default: more than the four attributes that every contender is held to. Naming the decision is measured,
		# adding it to the reply is not.
		sessions {{
			class = no
		}}
	}}
"#,
                key_file = self.key_file.display(),
                snapshot_file = snapshot_file.display(),
                journal = snapshot_file.with_extension("journal").display(),
            ),
            logs: true,
            accounts: true,
            library_dir: Some(self.library_dir.clone()),
        }
    }
}

fn tenant() -> Tenant {
    Tenant {
        id: TENANT.to_owned(),
        name: TENANT.to_owned(),
        enabled: true,
        username_case: UsernameCase::Preserve,
        username_realm: UsernameRealm::Keep,
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: isp_core::tenant::LookupBy::Username,
    }
}

fn stored_plan(plan: &BenchPlan) -> Plan {
    Plan {
        id: plan.name.to_owned(),
        tenant_id: TENANT.to_owned(),
        name: plan.name.to_owned(),
        download_rate_kbps: plan.download_kbps,
        upload_rate_kbps: plan.upload_kbps,
        session_timeout: Some(plan.session_timeout),
        acct_interim_interval: Some(plan.interim_interval),
        ..Plan::default()
    }
}

/// The one that comes with the module.
const VENDORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../raddb/mods-config/rust/vendors.toml");

/// The generator: its vendor makes the policy write Mikrotik-Rate-Limit.
fn nas() -> Nas {
    Nas {
        id: 0,
        tenant_id: TENANT.to_owned(),
        nasname: "127.0.0.1".to_owned(),
        shortname: "generator".to_owned(),
        kind: "mikrotik".to_owned(),
        vendor: "mikrotik".to_owned(),
        model: None,
        firmware_version: None,
        ports: None,
        secret: crate::server::SECRET.to_owned(),
        server: None,
        community: None,
        description: None,
        require_message_authenticator: false,
        coa: isp_core::nas::CoaSettings::default(),
    }
}
