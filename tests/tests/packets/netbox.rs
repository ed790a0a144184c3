//! From NetBox to a packet: the login gives the address that NetBox shows.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::artifact;
use e2e::database::Database;
use e2e::on_both_databases;
use e2e::radclient::{Method, login};
use e2e::seed::{PASSWORD, TENANT};

use crate::simulated::Nas;
use crate::{live, server_on};

pub(crate) const TOKEN: &str = "nbt_TestKey00001.TestSecretTestSecretTestSecretTestSecret";

/// What `ispctl netbox` prints with these arguments.
pub(crate) fn netbox(database: &Database, url: &str, args: &[&str]) -> String {
    let output = Command::new(artifact::ispctl())
        .arg("netbox")
        .args(args)
        .env_clear()
        .env("ISP_DATABASE_URL", database.url())
        .env("ISP_TENANT", TENANT)
        .env("ISP_KEY_FILE", database.key_file())
        .env("NETBOX_URL", url)
        .env("NETBOX_API_TOKEN", TOKEN)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

on_both_databases! {
    fn a_login_gives_the_address_that_netbox_shows(database) {
        let Ok(url) = std::env::var("ISP_TEST_NETBOX") else {
            assert!(std::env::var_os("ISP_TEST_REQUIRE_NETBOX").is_none(), "ISP_TEST_NETBOX names no server");
            return e2e::skip("ISP_TEST_NETBOX names no server");
        };
        let database = database.seeded();
        // NetBox is shared by the tests, and an id is a key there.
        let name = format!("alice-{:08x}", fastrand::u32(..));
        database.add(&name);
        let server = server_on(&database).start();
        let ask = || login(Method::Pap, &name, PASSWORD).ask(&server);
        assert!(ask().values("Framed-IP-Address").is_empty());

        let tenant = format!("packets-{:08x}", fastrand::u32(..));
        let (a, b) = (fastrand::u8(..), fastrand::u8(..));
        let (four, six) = (format!("10.{a}.{b}.0/29"), format!("fd{a:02x}:{b:x}:d000::/48"));
        netbox(&database, &url, &["bootstrap", "--make-tenant", &tenant, "--make-prefix", &four, "--yes"]);
        netbox(&database, &url, &["bootstrap", "--make-prefix", &six, "--delegated", "--yes"]);
        netbox(&database, &url, &["sync", &name, "--kinds", "ipv4,ipv6_prefix"]);
        e2e::wait_for("the address", Duration::from_secs(1), || {
            ask().values("Framed-IP-Address") == [format!("10.{a}.{b}.1")]
        });
        assert_eq!(ask().values("Delegated-IPv6-Prefix"), [format!("fd{a:02x}:{b:x}:d000::/56")]);

        netbox(&database, &url, &["release", &name]);
        e2e::wait_for("no address", Duration::from_secs(1), || {
            let answer = ask();
            answer.accepted()
                && answer.values("Framed-IP-Address").is_empty()
                && answer.values("Delegated-IPv6-Prefix").is_empty()
        });
    }

    fn a_live_session_moves_to_the_address_that_netbox_gives(database) {
        let Ok(url) = std::env::var("ISP_TEST_NETBOX") else {
            assert!(std::env::var_os("ISP_TEST_REQUIRE_NETBOX").is_none(), "ISP_TEST_NETBOX names no server");
            return e2e::skip("ISP_TEST_NETBOX names no server");
        };
        let nas = Nas::start();
        let database = live::base(database, &nas);
        let server = server_on(&database).key("sessions.class", "yes").start();
        // Without a key: alice is a subscriber of other tests, too.
        let tenant = format!("live-{:08x}", fastrand::u32(..));
        let (a, b) = (fastrand::u8(..), fastrand::u8(..));
        let four = format!("10.{a}.{b}.0/29");
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let token = token.to_str().unwrap();
        netbox(&database, &url, &["set", "--url", &url, "--token-file", token, "--key-field", ""]);
        netbox(&database, &url, &["bootstrap", "--make-tenant", &tenant, "--make-prefix", &four, "--yes"]);

        let _service = live::Service::start(&database);
        live::connect(&server, &database, "s1");
        assert!(nas.heard().is_empty());
        let since = Instant::now();
        netbox(&database, &url, &["set", "--reconcile-seconds", "1", "--reconcile-repair", "true"]);
        let (told, row) = live::heard(&database, &nas, since, "the address", Duration::from_secs(20));
        assert_eq!((told.session.as_str(), row.as_str()), ("s1", "address done"), "{told:?}");
        // The side service may know it a moment before the server does.
        let given = || login(Method::Pap, "alice", PASSWORD).ask(&server);
        e2e::wait_for("the address", Duration::from_secs(1), || {
            given().values("Framed-IP-Address") == [format!("10.{a}.{b}.1")]
        });
    }
}
