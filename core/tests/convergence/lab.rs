//! A database with a tenant, plans, a NAS and a subscriber, and live sessions that are made to follow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use isp_core::coa::Retry;
use isp_core::convergence::{Convergence, ConvergenceConfig, WorkerConfig};
use isp_core::nas::{CoaSettings, Nas as NasRow};
use isp_core::order::CoaOrder;
use isp_core::plan::Plan;
use isp_core::policy::vendor::VendorSet;
use isp_core::store::{OrderFilter, Store};
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{LookupBy, Tenant, UsernameCase, UsernameRealm};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::nas::{Heard, Nas, SECRET};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) struct Lab {
    kind: Kind,
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) nas: Nas,
    /// PostgreSQL: server and name of the database.
    server: Option<(String, String)>,
}

/// How soon what was committed must be at the NAS.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// How soon what the clock brings must be.
pub(crate) const CLOCK: Duration = Duration::from_secs(5);

pub(crate) fn run(kind: Kind, test: impl AsyncFnOnce(&Lab)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (url, server) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", directory.path().join("isp.db").display()), None),
            Kind::Postgres => {
                let Ok(server) = std::env::var("ISP_TEST_POSTGRES") else {
                    assert!(
                        std::env::var_os("ISP_TEST_REQUIRE_POSTGRES").is_none(),
                        "ISP_TEST_POSTGRES must name a server"
                    );
                    eprintln!("SKIP: ISP_TEST_POSTGRES is not set, nothing is tested on PostgreSQL");
                    return;
                };
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let name = format!("live_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                administer(&server, &format!("CREATE DATABASE {name}")).await;
                (format!("{server}/{name}"), Some((server, name)))
            }
        };
        let store = Store::connect(&url, 4, true).await.unwrap();
        store.migrate().await.unwrap();
        let lab = Lab {
            kind,
            url,
            store,
            nas: Nas::start(),
            server: server.clone(),
        };
        lab.seed().await;
        test(&lab).await;
        lab.store.close().await;
        if let Some((server, name)) = server {
            administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    });
}

async fn administer(server: &str, sql: &str) {
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

fn plan(id: &str, upload: u32, download: u32) -> Plan {
    Plan {
        id: id.to_owned(),
        tenant_id: "t".to_owned(),
        name: id.to_owned(),
        upload_rate_kbps: upload,
        download_rate_kbps: download,
        ..Plan::default()
    }
}

impl Lab {
    async fn seed(&self) {
        let tenant = Tenant {
            id: "t".to_owned(),
            name: "Tenant".to_owned(),
            enabled: true,
            username_case: UsernameCase::Preserve,
            username_realm: UsernameRealm::Keep,
            timezone: "UTC".to_owned(),
            interim_jitter_percent: 0,
            lookup_by: LookupBy::Username,
        };
        self.store.tenant_add(&tenant).await.unwrap();
        for plan in [plan("fast", 10_000, 20_000), plan("slow", 1_000, 2_000)] {
            self.store.plan_add(&plan).await.unwrap();
        }
        let garden = Plan {
            address_list: Some("garden".to_owned()),
            ..plan("garden", 100, 100)
        };
        self.store.plan_add(&garden).await.unwrap();
        let nas = NasRow {
            id: 0,
            tenant_id: "t".to_owned(),
            nasname: "127.0.0.1".to_owned(),
            shortname: "sim".to_owned(),
            kind: "other".to_owned(),
            vendor: "mikrotik".to_owned(),
            model: None,
            firmware_version: None,
            ports: None,
            secret: SECRET.to_owned(),
            server: None,
            community: None,
            description: None,
            require_message_authenticator: false,
            coa: CoaSettings {
                coa_port: Some(self.nas.port),
                coa_timeout: Some(300),
                coa_attempts: Some(2),
                ..CoaSettings::default()
            },
        };
        self.store.nas_add(&nas).await.unwrap();
        let alice = Subscriber {
            id: "alice".to_owned(),
            tenant_id: "t".to_owned(),
            username: "alice".to_owned(),
            status: Status::Active,
            service_type: "fiber_internet".to_owned(),
            bandwidth_profile_id: Some("fast".to_owned()),
            ..Subscriber::default()
        };
        self.store.subscriber_add(&alice).await.unwrap();
    }

    /// A session of alice's begins.
    pub(crate) async fn session(&self, id: u32, class: Option<&str>) {
        let class = class.map_or("NULL".to_owned(), |class| format!("'{class}'"));
        self.execute(&format!(
            "INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, tenant_id, subscriber_id, class)
             VALUES ({id}, 's{id}', 'u{id}', 'alice', '127.0.0.1', 't', 'alice', {class})"
        ))
        .await;
    }

    /// Write as any other program would.
    pub(crate) async fn execute(&self, sql: &str) {
        let text = AssertSqlSafe(sql.to_owned());
        let done = match self.kind {
            Kind::Sqlite => SqliteConnection::connect(&self.url)
                .await
                .unwrap()
                .execute(text)
                .await
                .map(drop),
            Kind::Postgres => PgConnection::connect(&self.url)
                .await
                .unwrap()
                .execute(text)
                .await
                .map(drop),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Take the database away.
    pub(crate) async fn hide(&self) {
        self.rename("", ".hidden").await;
    }

    /// Give it back as it was.
    pub(crate) async fn show(&self) {
        self.rename(".hidden", "").await;
    }

    async fn rename(&self, from: &str, to: &str) {
        if let Some((server, name)) = &self.server {
            let kick = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}{from}'");
            let rename = format!("ALTER DATABASE \"{name}{from}\" RENAME TO \"{name}{to}\"");
            let closed = format!("ALTER DATABASE \"{name}{from}\" ALLOW_CONNECTIONS false");
            let open = format!("ALTER DATABASE \"{name}{to}\" ALLOW_CONNECTIONS true");
            let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
            connection.execute(AssertSqlSafe(closed)).await.unwrap();
            let end = Instant::now() + CLOCK;
            // Nobody comes any more; who is there takes a moment to go.
            loop {
                connection.execute(AssertSqlSafe(kick.clone())).await.unwrap();
                match connection.execute(AssertSqlSafe(rename.clone())).await {
                    Ok(_) => break,
                    Err(why) => assert!(Instant::now() < end, "{why}"),
                }
            }
            connection.execute(AssertSqlSafe(open)).await.unwrap();
            return;
        }
        let path = self.url.trim_start_matches("sqlite://");
        for suffix in ["", "-wal", "-shm"] {
            let (from, to) = (format!("{path}{suffix}{from}"), format!("{path}{suffix}{to}"));
            if std::path::Path::new(&from).exists() {
                std::fs::rename(from, to).unwrap();
            }
        }
    }

    /// A moment from now, as the SQL of the database writes it.
    pub(crate) fn in_seconds(&self, seconds: i64) -> String {
        match self.kind {
            Kind::Sqlite => format!("datetime('now', '{seconds:+} seconds')"),
            Kind::Postgres => format!("now() + interval '{seconds} seconds'"),
        }
    }

    pub(crate) fn config(&self, owner: &str) -> ConvergenceConfig {
        let mut worker = WorkerConfig::new(owner.to_owned());
        worker.poll = Duration::from_millis(50);
        worker.lease = Duration::from_secs(2);
        worker.first_wait = Duration::from_secs(1);
        worker.give_up = Duration::from_secs(2);
        worker.retry = Retry {
            attempts: 2,
            first_wait: Duration::from_millis(300),
            longest_wait: Duration::from_millis(300),
        };
        ConvergenceConfig {
            worker,
            vendors: Arc::new(VendorSet::shipped().unwrap()),
            keys: None,
            poll: Duration::from_millis(50),
        }
    }

    pub(crate) async fn start(&self) -> Convergence {
        let mut live = Convergence::start(&self.store, self.config("one"));
        live.loaded().await;
        live
    }

    /// Sessions are known, and nothing is on its way.
    pub(crate) async fn settled(&self, sessions: usize) {
        self.wait("all is settled", CLOCK, async || {
            let known = self
                .store
                .sessions_to_review(isp_core::store::ReviewOf::All, 0, 10_000)
                .await
                .unwrap();
            known.iter().filter(|session| session.applied.is_some()).count() == sessions
                && self.orders().await.iter().all(CoaOrder::is_over)
        })
        .await;
    }

    /// All orders, the first one first.
    pub(crate) async fn orders(&self) -> Vec<CoaOrder> {
        let mut orders = self.store.order_list(&OrderFilter::default()).await.unwrap();
        orders.reverse();
        orders
    }

    pub(crate) async fn wait(&self, what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + limit;
        while !holds().await {
            assert!(
                Instant::now() < end,
                "not within {limit:?}: {what}; heard {:#?}, orders {:#?}",
                self.nas.heard(),
                self.orders().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Commit `sql`, and wait for what the NAS hears of it; then for the audit row to be written.
    pub(crate) async fn brings(&self, sql: &str, limit: Duration) -> (Heard, CoaOrder) {
        self.nas.forget();
        self.execute(sql).await;
        let committed = Instant::now();
        self.wait(sql, limit, async || !self.nas.heard().is_empty()).await;
        let heard = self.nas.heard().remove(0);
        let took = heard.at.saturating_duration_since(committed);
        assert!(took < limit, "{took:?}: {sql}");
        self.wait("it is written", SOON, async || {
            self.orders().await.iter().all(CoaOrder::is_over)
        })
        .await;
        (heard, self.orders().await.pop().unwrap())
    }
}
