//! A test on either database, with a lab of its own.

use isp_core::netbox::Sync;
use isp_core::store::Store;
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::{LookupBy, Tenant, UsernameCase, UsernameRealm};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::lab::Lab;

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { $crate::bench::on(false, stringify!($name), super::$name).await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { $crate::bench::on(true, stringify!($name), super::$name).await; })*
        }
    };
}
pub(crate) use on_both;

/// A test's database, lab and subscribers.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) lab: Lab,
    pub(crate) url: String,
    _directory: tempfile::TempDir,
}

pub(crate) async fn on<F: AsyncFnOnce(&Bench)>(postgres: bool, name: &str, test: F) {
    let directory = tempfile::tempdir().unwrap();
    let url = if postgres {
        let Ok(server) = std::env::var("ISP_TEST_POSTGRES") else {
            assert!(
                std::env::var_os("ISP_TEST_REQUIRE_POSTGRES").is_none(),
                "ISP_TEST_POSTGRES must name a server"
            );
            eprintln!("SKIP: ISP_TEST_POSTGRES is not set");
            return;
        };
        let database = format!("netbox_{}_{:08x}", std::process::id(), fastrand::u32(..));
        let mut connection = sqlx::PgConnection::connect(&format!("{server}/postgres"))
            .await
            .unwrap();
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {database}")))
            .await
            .unwrap();
        format!("{server}/{database}")
    } else {
        format!("sqlite://{}", directory.path().join("isp.db").display())
    };
    // Custom fields and names hold the test's name: short, and of each database its own.
    let short: String = name.split('_').map(|word| &word[..1]).collect();
    let Some(lab) = Lab::new(&format!("{short}{}", u8::from(postgres))).await else {
        return;
    };
    let store = Store::connect(&url, 4, true).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = Tenant {
        id: "t1".to_owned(),
        name: "Provider".to_owned(),
        enabled: true,
        username_case: UsernameCase::default(),
        username_realm: UsernameRealm::default(),
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: LookupBy::default(),
    };
    store.tenant_add(&tenant).await.unwrap();
    let bench = Bench {
        store,
        lab,
        url,
        _directory: directory,
    };
    test(&bench).await;
    bench.store.close().await;
}

impl Bench {
    pub(crate) fn sync(&self) -> Sync<'_> {
        Sync::new(&self.store, self.lab.allocator(), "t1", Some("test".to_owned()))
    }

    /// A subscriber at the lab's site; its id is told from those of other tests.
    pub(crate) async fn subscriber(&self, number: usize) -> String {
        self.subscriber_with(number, |_| {}).await
    }

    pub(crate) async fn subscriber_with(&self, number: usize, change: impl FnOnce(&mut Subscriber)) -> String {
        let id = self.lab.id(number);
        let mut subscriber = Subscriber {
            id: id.clone(),
            tenant_id: "t1".to_owned(),
            username: format!("user-{number}"),
            status: Status::Active,
            service_type: "fiber_internet".to_owned(),
            site_id: Some(self.lab.site.to_string()),
            ..Subscriber::default()
        };
        change(&mut subscriber);
        self.store.subscriber_add(&subscriber).await.unwrap();
        id
    }

    pub(crate) async fn get(&self, id: &str) -> Subscriber {
        self.store.subscriber_get("t1", id).await.unwrap().unwrap()
    }

    /// As another program would.
    pub(crate) async fn sql(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.url.starts_with("sqlite") {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            connection.execute(sql).await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            connection.execute(sql).await.unwrap();
        }
    }
}
