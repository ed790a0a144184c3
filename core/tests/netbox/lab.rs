//! A tenant of its own in the real server, with what it needs to give addresses.

use std::time::Duration;

use ipnet::IpNet;
use isp_core::netbox::{Allocator, Client, Kind, Rules, Settings, Site, Wanted};
use isp_core::secret::Secret;
use serde_json::{Value, json};

/// The administrator's, the same on every server that `scripts/netbox` starts.
pub(crate) const TOKEN: &str = "nbt_TestKey00001.TestSecretTestSecretTestSecretTestSecret";
pub(crate) const TOKEN_V1: &str = "0123456789abcdef0123456789abcdef01234567";

/// `None`, loudly, where no server is given.
pub(crate) fn url() -> Option<String> {
    let url = std::env::var("ISP_TEST_NETBOX").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(
            std::env::var_os("ISP_TEST_REQUIRE_NETBOX").is_none(),
            "ISP_TEST_NETBOX names no server"
        );
        skip("ISP_TEST_NETBOX names no server: scripts/netbox start DIR prints its URL");
    }
    url
}

fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    if let Some(path) = std::env::var_os("ISP_TEST_SKIPPED") {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        writeln!(file, "netbox {name}: {reason}").unwrap();
    }
}

pub(crate) fn settings(url: &str) -> Settings {
    Settings::new(url, Secret::new(TOKEN.to_owned()))
}

/// Requests as a person or another system makes them, not through what is tested.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    pub(crate) url: String,
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .timeout(Duration::from_secs(60))
                .build()
                .unwrap(),
            url: url.to_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/api/{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/api/{path}", self.url)).bearer_auth(TOKEN);
        let answer = request.json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "POST {path} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        let request = self.http.patch(format!("{}/api/{path}", self.url)).bearer_auth(TOKEN);
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "PATCH {path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) {
        let request = self.http.delete(format!("{}/api/{path}", self.url)).bearer_auth(TOKEN);
        assert!(request.send().await.unwrap().status().is_success(), "DELETE {path}");
    }
}

pub(crate) struct Lab {
    pub(crate) api: Api,
    pub(crate) rules: Rules,
    pub(crate) site: u64,
    /// Of everything this lab makes.
    pub(crate) name: String,
}

impl Lab {
    /// `name` is the test's: what it makes is told from what others make by it.
    pub(crate) async fn new(name: &str) -> Option<Self> {
        Some(Self::at(&url()?, name).await)
    }

    pub(crate) async fn at(url: &str, name: &str) -> Self {
        let api = Api::new(url);
        // The same server may serve several runs.
        let name = format!("{name}-{:06x}", fastrand::u32(..0x100_0000));
        let tenant = api
            .post("tenancy/tenants/", json!({ "name": name, "slug": name }))
            .await;
        let site = api
            .post("dcim/sites/", json!({ "name": name, "slug": name, "status": "active" }))
            .await;
        let rules = Rules {
            tenant: tenant["id"].as_u64().unwrap(),
            role: format!("assign-{name}"),
            prefix_role: format!("delegate-{name}"),
            look_first: false,
            ..Rules::default()
        };
        let lab = Self {
            api,
            rules,
            site: site["id"].as_u64().unwrap(),
            name,
        };
        lab.allocator().bootstrap(&[]).await.unwrap();
        lab
    }

    pub(crate) fn allocator(&self) -> Allocator {
        self.allocator_with(&settings(&self.api.url), self.rules.clone())
    }

    pub(crate) fn allocator_with(&self, settings: &Settings, rules: Rules) -> Allocator {
        Allocator::new(Client::new(settings).unwrap(), rules)
    }

    /// A prefix of the tenant at its site; `net` is unique to the lab, since NetBox keeps prefixes unique.
    pub(crate) async fn pool(&self, kind: Kind, net: &str) -> u64 {
        let net: IpNet = net.parse().unwrap();
        self.allocator().make_pool(kind, net, Some(self.site)).await.unwrap()
    }

    /// The lab's name and `number` make the subscriber's id.
    pub(crate) fn id(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    pub(crate) fn wanted<'a>(&self, subscriber_id: &'a str, kind: Kind) -> Wanted<'a> {
        Wanted {
            subscriber_id,
            username: subscriber_id,
            service_address: None,
            kind,
            site: Some(Site::Id(self.site)),
            connection_type: None,
            prefix_length: None,
        }
    }

    /// Every address the tenant has in NetBox, with the subscriber it names.
    pub(crate) async fn addresses(&self) -> Vec<(String, String)> {
        self.listed("ipam/ip-addresses/", "address").await
    }

    pub(crate) async fn listed(&self, path: &str, of: &str) -> Vec<(String, String)> {
        let page = self
            .api
            .get(&format!("{path}?tenant_id={}&limit=1000", self.rules.tenant))
            .await;
        assert!(page["next"].is_null(), "more than a page");
        let rows = page["results"].as_array().unwrap();
        rows.iter()
            .filter(|row| !row["custom_fields"]["subscriber_id"].is_null() || of == "address")
            .map(|row| {
                let subscriber = row["custom_fields"]["subscriber_id"].as_str().unwrap_or_default();
                (row[of].as_str().unwrap().to_owned(), subscriber.to_owned())
            })
            .collect()
    }
}

/// A network of `10.0.0.0/8` that no other lab has, as two octets: tests share the server and its address space.
pub(crate) fn octets() -> (u8, u8) {
    (fastrand::u8(..), fastrand::u8(..))
}
