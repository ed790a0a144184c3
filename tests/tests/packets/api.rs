//! The HTTP API beside the server: what it provisions logs in, and what it ends is gone from both.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::artifact;
use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, accounting, login};
use e2e::radiusd::{Radiusd, signal};
use e2e::seed::{PASSWORD, TENANT};
use isp_core::radius::Code;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::accounting::settled;
use crate::netbox::{TOKEN, netbox};
use crate::simulated::Nas;
use crate::{live, server_on};

const USER: &str = "john.doe@isp.com";

/// `ispctl serve` with the API, and a token of the tenant's; gone when the test is over.
struct Api {
    child: Child,
    url: String,
    token: String,
    _directory: TempDir,
}

impl Api {
    fn start(database: &Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("ispctl.toml");
        std::fs::write(&config, "[api]\nlisten = \"127.0.0.1:0\"\n").unwrap();
        let ispctl = || {
            let mut command = Command::new(artifact::ispctl());
            command
                .env("ISP_DATABASE_URL", database.url())
                .env("ISP_KEY_FILE", database.key_file())
                .env("ISP_CONFIG", &config);
            command
        };
        let token = ispctl()
            .args(["token", "add", "bss", "--role", "tenant_admin", "--tenant", TENANT])
            .output()
            .unwrap();
        assert!(token.status.success(), "{token:?}");
        let mut child = ispctl()
            .args(["--log", "info", "serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = lines.by_ref().map(Result::unwrap);
        let url = told
            .into_iter()
            .find_map(|line| Some(line.split_once("the API is at ")?.1.trim().to_owned()))
            .unwrap();
        // Nobody else reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url,
            token: String::from_utf8(token.stdout).unwrap().trim().to_owned(),
            _directory: directory,
        }
    }

    /// As an operator would ask, with curl.
    #[track_caller]
    fn curl(&self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-X", method, "-w", "\n%{http_code}"])
            .args(["-H", &format!("Authorization: Bearer {}", self.token)])
            .arg(format!("{}{path}", self.url));
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let output = curl.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, code) = text.rsplit_once('\n').unwrap();
        assert_eq!(code, status.to_string(), "{method} {path}: {body} {output:?}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// Acct-Session-Id of the live sessions of the user.
    fn active(&self) -> Vec<String> {
        let listed = self.curl(200, "GET", &format!("/radius/sessions/active?username={USER}"), None);
        let items = listed["items"].as_array().unwrap();
        let ids = items
            .iter()
            .map(|item| item["acctsessionid"].as_str().unwrap().to_owned());
        ids.collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

fn let_in(server: &Radiusd) -> bool {
    login(Method::Pap, USER, PASSWORD).ask(server).accepted()
}

on_both_databases! {
    fn what_the_api_provisions_logs_in_and_what_it_ends_is_gone(database) {
        let nas = Nas::start();
        let database = live::base(database, &nas);
        let server = server_on(&database).start();
        let api = Api::start(&database);
        assert!(!let_in(&server));

        let plan = json!({"name": "premium", "download_rate_kbps": 100_000, "upload_rate_kbps": 20_000});
        api.curl(201, "POST", "/radius/bandwidth-profiles", Some(&plan));
        let user = json!({"username": USER, "password": PASSWORD, "bandwidth_profile_id": "premium"});
        let made = api.curl(201, "POST", "/radius/subscribers", Some(&user));
        e2e::wait_for("it logs in", Duration::from_secs(1), || let_in(&server));
        let reply = login(Method::Pap, USER, PASSWORD).ask(&server);
        assert_eq!(reply.values("Mikrotik-Rate-Limit"), ["20000k/100000k"], "{reply:?}");
        let tested = json!({"username": USER, "password": PASSWORD});
        assert_eq!(api.curl(200, "POST", "/radius/test/auth", Some(&tested))["success"], true);

        assert_eq!(accounting("Start", USER, "s1").ask(&server).code, "Accounting-Response");
        settled(&server, &database);
        assert_eq!(api.active(), ["s1"]);
        let named = json!({"username": USER});
        let told = api.curl(202, "POST", "/radius/sessions/disconnect", Some(&named));
        assert_eq!((&told["success"], &told["username"]), (&json!(true), &json!(USER)), "{told}");
        let heard = nas.heard().remove(0);
        assert_eq!((heard.code, heard.session.as_str()), (Code::DISCONNECT_REQUEST, "s1"));
        // A NAS that has ended a session says so.
        assert_eq!(accounting("Stop", USER, "s1").ask(&server).code, "Accounting-Response");
        e2e::wait_for("it is gone", Duration::from_secs(5), || api.active().is_empty());

        let id = made["id"].as_str().unwrap();
        api.curl(200, "POST", &format!("/radius/subscribers/{id}/disable"), None);
        e2e::wait_for("it is let in no more", Duration::from_secs(1), || !let_in(&server));
    }

    fn an_address_from_netbox_is_in_the_next_login(database) {
        let Ok(url) = std::env::var("ISP_TEST_NETBOX") else {
            assert!(std::env::var_os("ISP_TEST_REQUIRE_NETBOX").is_none(), "ISP_TEST_NETBOX names no server");
            return e2e::skip("ISP_TEST_NETBOX names no server");
        };
        let database = database.seeded();
        let server = server_on(&database).start();
        let (a, b) = (fastrand::u8(..), fastrand::u8(..));
        let (tenant, prefix) = (format!("api-{:08x}", fastrand::u32(..)), format!("10.{a}.{b}.0/29"));
        let make = ["--make-tenant", &tenant, "--make-prefix", &prefix, "--connection-type", "ftth", "--yes"];
        netbox(&database, &url, &[&["bootstrap"], &make[..]].concat());
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        // NetBox is shared by the tests, and an id is a key there.
        netbox(&database, &url, &["set", "--url", &url, "--token-file", token.to_str().unwrap()]);
        let api = Api::start(&database);
        let id = format!("123e4567-e89b-12d3-a456-{:012x}", fastrand::u32(..));
        let user = json!({"subscriber_id": id, "username": USER, "password": PASSWORD});
        api.curl(201, "POST", "/radius/subscribers", Some(&user));
        let wanted = json!({"subscriber_id": id, "subscriber_data": {
            "username": USER, "service_address": "123 Main St", "connection_type": "ftth"}});
        let synced = api.curl(200, "POST", "/netbox/sync-subscriber", Some(&wanted));
        let address = format!("10.{a}.{b}.1");
        assert_eq!(synced["address"], format!("{address}/29"), "{synced}");
        let given = || login(Method::Pap, USER, PASSWORD).ask(&server);
        e2e::wait_for("the address", Duration::from_secs(1), || given().values("Framed-IP-Address") == [&address]);
        assert_eq!(api.curl(200, "POST", "/netbox/sync-subscriber", Some(&wanted))["id"], synced["id"], "once");
    }
}
