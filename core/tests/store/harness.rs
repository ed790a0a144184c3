//! A fresh, migrated database for each test, and what the tests put into it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt as _;
use isp_core::group::GroupRow;
use isp_core::nas::{CoaSettings, CoaTransport, Nas, NasRecord};
use isp_core::plan::Plan;
use isp_core::store::{SnapshotSink, Store};
use isp_core::subscriber::{Status, Subscriber, SubscriberRecord};
use isp_core::tenant::{Tenant, TenantCondition, TenantRealm, UsernameCase, UsernameRealm};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

/// Makes `sqlite::name` and `postgres::name` of each test function, which takes `&Database`.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { $crate::harness::on_sqlite(|db| Box::pin(super::$test(db))); })+
        }
        mod postgres {
            $(#[test] fn $test() { $crate::harness::on_postgres(|db| Box::pin(super::$test(db))); })+
        }
    };
}

pub(crate) type Test = for<'a> fn(&'a Database) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) store: Store,
}

impl Database {
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// Run a statement as another program would, on a connection of its own.
    pub(crate) async fn execute(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await?;
            connection.execute(sql).await?.rows_affected()
        } else {
            let mut connection = PgConnection::connect(&self.url).await?;
            connection.execute(sql).await?.rows_affected()
        })
    }

    pub(crate) async fn raw(&self, sql: &str) {
        self.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The rows of a query all of whose columns are text.
    pub(crate) async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let text = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            let rows = sqlx::query(text).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|r| (0..r.len()).map(|i| r.get(i)).collect()).collect()
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let rows = sqlx::query(text).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|r| (0..r.len()).map(|i| r.get(i)).collect()).collect()
        }
    }

    /// The first column of the only row.
    pub(crate) async fn value(&self, sql: &str) -> Option<String> {
        let rows = self.query(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.into_iter().flatten().next().unwrap()
    }

    pub(crate) async fn load(&self) -> Base {
        let mut base = Base::default();
        self.store.load_snapshot(&mut base).await.unwrap();
        base
    }
}

pub(crate) fn on_sqlite(test: Test) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("isp.db").display());
    block_on(async {
        let store = Store::connect(&url, 4, true).await.unwrap();
        store.migrate().await.unwrap();
        let database = Database { url, store };
        test(&database).await;
        database.store.close().await;
    });
}

pub(crate) fn on_postgres(test: Test) {
    let Some(server) = postgres_server() else { return };
    block_on(async {
        let name = format!("isp_test_{}", uuid::Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .unwrap();
        let outcome = AssertUnwindSafe(async {
            let url = format!("{server}/{name}");
            let store = Store::connect(&url, 4, false).await.unwrap();
            store.migrate().await.unwrap();
            let database = Database { url, store };
            test(&database).await;
            database.store.close().await;
        })
        .catch_unwind()
        .await;
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        admin.execute(drop).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) fn postgres_server() -> Option<String> {
    match std::env::var("ISP_TEST_POSTGRES") {
        Ok(url) if !url.is_empty() => Some(url),
        _ => {
            let required = std::env::var("ISP_TEST_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            assert!(!required, "ISP_TEST_POSTGRES is not set, and PostgreSQL is required");
            eprintln!("SKIP: PostgreSQL is not tested, ISP_TEST_POSTGRES is not set");
            None
        }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Everything a load gave.
#[derive(Debug, Default)]
pub(crate) struct Base {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) nas: Vec<NasRecord>,
    pub(crate) conditions: Vec<TenantCondition>,
    pub(crate) realms: Vec<TenantRealm>,
    pub(crate) group_rows: Vec<GroupRow>,
    pub(crate) subscribers: Vec<SubscriberRecord>,
}

impl SnapshotSink for Base {
    fn tenant(&mut self, tenant: Tenant) {
        assert!(self.subscribers.is_empty(), "tenants come before subscribers");
        self.tenants.push(tenant);
    }
    fn plan(&mut self, plan: Plan) {
        assert!(self.subscribers.is_empty(), "plans come before subscribers");
        self.plans.push(plan);
    }
    fn nas(&mut self, nas: NasRecord) {
        assert!(self.subscribers.is_empty(), "NAS come before subscribers");
        self.nas.push(nas);
    }
    fn condition(&mut self, condition: TenantCondition) {
        assert!(self.subscribers.is_empty(), "conditions come before subscribers");
        self.conditions.push(condition);
    }
    fn realm(&mut self, realm: TenantRealm) {
        assert!(self.subscribers.is_empty(), "realms come before subscribers");
        self.realms.push(realm);
    }
    fn group_row(&mut self, row: GroupRow) {
        assert!(self.subscribers.is_empty(), "groups come before subscribers");
        self.group_rows.push(row);
    }
    fn subscriber(&mut self, subscriber: SubscriberRecord) {
        self.subscribers.push(subscriber);
    }
}

impl Base {
    #[track_caller]
    pub(crate) fn subscriber_of(&self, id: &str) -> &SubscriberRecord {
        self.subscribers.iter().find(|s| s.id == id).expect("loaded")
    }
}

pub(crate) fn tenant(id: &str) -> Tenant {
    Tenant {
        id: id.to_owned(),
        name: format!("Provider {id}"),
        enabled: true,
        username_case: UsernameCase::Lower,
        username_realm: UsernameRealm::Strip,
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: isp_core::tenant::LookupBy::Username,
    }
}

pub(crate) fn plan(id: &str, tenant_id: &str) -> Plan {
    Plan {
        id: id.to_owned(),
        tenant_id: tenant_id.to_owned(),
        name: format!("Plan {id}"),
        description: Some("as advertised".to_owned()),
        download_rate_kbps: 100_000,
        upload_rate_kbps: 20_000,
        download_burst_kbps: Some(120_000),
        upload_burst_kbps: None,
        download_burst_threshold_kbps: Some(90_000),
        upload_burst_threshold_kbps: Some(15_000),
        download_burst_seconds: Some(12),
        upload_burst_seconds: Some(8),
        priority: Some(5),
        download_min_kbps: Some(10_000),
        upload_min_kbps: Some(2_000),
        address_list: Some("paying".to_owned()),
        ipv4_pool: Some("public-v4".to_owned()),
        ipv6_pool: Some("public-v6".to_owned()),
        delegated_ipv6_pool: Some("delegated".to_owned()),
        qos_profile_download: Some("gold-down".to_owned()),
        qos_profile_upload: Some("gold-up".to_owned()),
        filter_id: Some("customers".to_owned()),
        redirect_url: Some("https://pay.example/".to_owned()),
        login_time: Some("Wk0800-1800".to_owned()),
        ipv6_pd_size: Some(60),
        session_timeout: Some(86_400),
        idle_timeout: Some(900),
        acct_interim_interval: Some(300),
    }
}

pub(crate) fn nas(tenant_id: &str, nasname: &str) -> Nas {
    Nas {
        id: 0,
        tenant_id: tenant_id.to_owned(),
        nasname: nasname.to_owned(),
        shortname: format!("bras {nasname}"),
        kind: "other".to_owned(),
        vendor: "mikrotik".to_owned(),
        model: Some("CCR2004".to_owned()),
        firmware_version: Some("7.15".to_owned()),
        ports: Some(1812),
        secret: "sealed:whatever".to_owned(),
        server: None,
        community: Some("public".to_owned()),
        description: Some("rack 3".to_owned()),
        require_message_authenticator: true,
        coa: CoaSettings {
            coa_port: Some(1700),
            coa_timeout: Some(500),
            coa_attempts: Some(2),
            coa_rate: Some(50),
            coa_strict: true,
            coa_transport: CoaTransport::Radclient,
        },
    }
}

/// A subscriber with no column left empty that may be filled without other rows. Its username is its id.
pub(crate) fn subscriber(id: &str, tenant_id: &str) -> Subscriber {
    Subscriber {
        id: id.to_owned(),
        tenant_id: tenant_id.to_owned(),
        customer_id: None,
        user_id: None,
        username: id.to_owned(),
        password: Some("cleartext:secret".to_owned()),
        password_hash_method: Some("cleartext".to_owned()),
        subscriber_number: format!("N-{id}"),
        full_name: Some("Ada L.".to_owned()),
        email: Some("ada@example.org".to_owned()),
        phone_number: Some("+44 20".to_owned()),
        status: Status::Active,
        service_type: "fiber_internet".to_owned(),
        bandwidth_profile_id: None,
        download_speed_kbps: Some(50_000),
        upload_speed_kbps: Some(10_000),
        static_ipv4: Some("192.0.2.7".parse().unwrap()),
        ipv6_prefix: Some("2001:db8:7::/64".parse().unwrap()),
        vlan_id: Some(107),
        nas_identifier: Some("bras-1".to_owned()),
        onu_serial: Some("ABCD12345678".to_owned()),
        cpe_mac_address: Some("00:11:22:33:44:55".to_owned()),
        device_metadata: Some(r#"{"olt_id": "olt-1",  "onu_id": 3}"#.to_owned()),
        service_address: Some("1 Example Street".to_owned()),
        service_coordinates: Some(r#"{"lat": 1.5, "lon": 2.5}"#.to_owned()),
        site_id: Some("site-1".to_owned()),
        activation_date: Some(1_600_000_000),
        suspension_date: Some(1_700_000_000),
        termination_date: Some(1_800_000_000),
        expiration_date: Some(1_900_000_000),
        session_timeout: Some(3_600),
        idle_timeout: Some(600),
        simultaneous_use: 2,
        last_online: Some(1_650_000_000),
        total_sessions: 3,
        total_upload_bytes: 5_000_000_000,
        total_download_bytes: 50_000_000_000,
        netbox_ip_id: Some(42),
        voltha_onu_id: Some("onu-3".to_owned()),
        genieacs_device_id: Some("acs-3".to_owned()),
        metadata: Some("{}".to_owned()),
        notes: Some("dog bites".to_owned()),
        created_at: 1_500_000_000,
        updated_at: 1_500_000_001,
        deleted_at: None,
        created_by: Some("import".to_owned()),
        updated_by: Some("ada".to_owned()),
        billing_day: Some(29),
    }
}
