//! Bandwidth profiles, NAS, network profiles, usage, decisions and settings of other systems.

use serde_json::{Value, json};

use super::{Api, Caller};
use crate::lab::Lab;

crate::on_both_databases!(
    what_subscribers_buy,
    who_sends_packets,
    where_a_line_ends,
    what_a_login_would_be_answered,
    what_a_tenant_sets_of_other_systems,
    what_was_used,
    how_the_servers_stand,
);

const SECRET: &str = "a-secret-that-nobody-sees";

fn what_subscribers_buy(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let new =
        json!({"name": "gold", "id": "g", "download_rate_kbps": 100_000, "upload_rate_kbps": 20_000, "priority": 3});
    let made = bss.post("/radius/bandwidth-profiles", &new).is(201);
    assert_eq!(
        (&made["id"], &made["priority"], &made["session_timeout"]),
        (&json!("g"), &json!(3), &Value::Null)
    );
    bss.post("/radius/bandwidth-profiles", &new).is(409);
    bss.post(
        "/radius/bandwidth-profiles",
        &json!({"name": "free", "upload_rate_kbps": 1}),
    )
    .is(422);
    let problem = bss
        .post(
            "/radius/bandwidth-profiles",
            &json!({"name": "x", "priority": 9, "speed": 1}),
        )
        .is(422);
    assert!(problem["errors"].to_string().contains("/priority") && problem["errors"].to_string().contains("speed"));
    let listed = bss.get("/radius/bandwidth-profiles").is(200);
    assert_eq!(listed["items"][0], made);
    let changed = bss
        .patch(
            "/radius/bandwidth-profiles/gold",
            &json!({"session_timeout": 600, "priority": null}),
        )
        .is(200);
    assert_eq!(
        (&changed["session_timeout"], &changed["priority"]),
        (&json!(600), &Value::Null)
    );
    assert_eq!(bss.get("/radius/bandwidth-profiles/g").is(200), changed);
    lab.ctl(&["subscriber", "add", "ada", "--plan", "gold"]).ok();
    bss.delete("/radius/bandwidth-profiles/g").is(409);
    lab.ctl(&["subscriber", "delete", "ada"]).ok();
    assert_eq!(bss.delete("/radius/bandwidth-profiles/g").status, 204);
    bss.get("/radius/bandwidth-profiles/g").is(404);
}

fn who_sends_packets(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let new =
        json!({"nasname": "192.0.2.1", "shortname": "bras1", "vendor": "mikrotik", "secret": SECRET, "coa_port": 3799});
    let made = bss.post("/radius/nas", &new).is(201);
    assert_eq!(
        (&made["secret_form"], &made["coa_port"]),
        (&json!("sealed"), &json!(3799))
    );
    assert_eq!(bss.get("/radius/nas/bras1").is(200), made);
    bss.post("/radius/nas", &json!({"nasname": "0.0.0.0/0", "secret": SECRET}))
        .is(422);
    bss.post("/radius/nas", &json!({"nasname": "192.0.2.9"})).is(422);
    bss.post("/radius/nas", &new).is(409);
    // A sealed secret is bound to the address, and goes with it.
    let moved = bss.patch("/radius/nas/bras1", &json!({"nasname": "192.0.2.2"})).is(200);
    assert_eq!(
        (&moved["nasname"], &moved["secret_form"]),
        (&json!("192.0.2.2"), &json!("sealed"))
    );
    lab.ctl(&["key", "rotate"]).ok();
    lab.ctl(&["key", "reseal"]).ok();
    let put = api.send(
        "PUT",
        "/radius/nas/bras1/secret",
        Some(&bss.token),
        &[],
        Some(&json!({"secret": "another-secret-of-it"})),
    );
    assert_eq!(put.status, 204);
    assert_eq!(bss.get("/radius/nas").is(200)["items"].as_array().unwrap().len(), 1);
    let id = made["id"].as_i64().unwrap();
    assert_eq!(bss.delete(&format!("/radius/nas/{id}")).status, 204);
    let audit = bss.get("/audit?kind=nas").is(200);
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["delete", "secret", "update", "create"]);
    assert!(
        !audit.to_string().contains(SECRET) && !audit.to_string().contains("another-secret"),
        "{audit}"
    );
}

fn where_a_line_ends(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "ada"]).ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let path = "/network/subscribers/ada/profile";
    let put = |body: Value| api.send("PUT", path, Some(&bss.token), &[], Some(&body));
    bss.get(path).is(404);
    let made = put(json!({"circuit_id": "olt1/1/3", "option82_policy": "enforce", "service_vlan": 100})).is(200);
    assert_eq!(
        (&made["service_vlan"], &made["option82_policy"]),
        (&json!(100), &json!("enforce"))
    );
    let changed = put(json!({"service_vlan": null, "login_time": "Wk0800-1800"})).is(200);
    assert_eq!(
        (&changed["service_vlan"], &changed["circuit_id"]),
        (&Value::Null, &json!("olt1/1/3"))
    );
    put(json!({"login_time": "sometimes"})).is(422);
    assert_eq!(bss.get(path).is(200), changed);
    assert_eq!(bss.delete(path).status, 204);
    bss.get(path).is(404);
}

fn what_a_login_would_be_answered(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["plan", "add", "gold", "--download", "100M", "--upload", "20M"])
        .ok();
    lab.ctl_with(
        &["nas", "add", "192.0.2.1", "--vendor", "mikrotik"],
        "a-shared-secret-of-it\n",
        &[],
    )
    .ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let new = json!({"username": "ada", "password": "correct-horse", "bandwidth_profile_id": "gold"});
    bss.post("/radius/subscribers", &new).is(201);
    let ask = |password: &str| {
        let login = json!({"username": "ada", "password": password, "nas_ip_address": "192.0.2.1"});
        bss.post("/radius/authorize", &login).is(200)
    };
    let answer = ask("correct-horse");
    assert_eq!(answer["accept"], true);
    let rate = json!({"attribute": "Mikrotik-Rate-Limit", "value": "20000k/100000k"});
    assert!(
        answer["reply_attributes"].as_array().unwrap().contains(&rate),
        "{answer}"
    );
    let wrong = ask("wrong-horse");
    assert_eq!(
        (&wrong["accept"], &wrong["reason"]),
        (&json!(false), &json!("bad_password"))
    );
    bss.post("/radius/subscribers/ada/disable", &Value::Null).is(200);
    let off = bss
        .post(
            "/radius/test/auth",
            &json!({"username": "ada", "password": "correct-horse"}),
        )
        .is(200);
    assert_eq!(off["success"], false);
    assert!(off["message"].as_str().unwrap().contains("suspended"), "{off}");
    let nobody = bss
        .post(
            "/radius/test/auth",
            &json!({"username": "eve", "password": "correct-horse"}),
        )
        .is(200);
    assert_eq!(nobody["message"], "rejected: unknown_subscriber");
}

fn what_a_tenant_sets_of_other_systems(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let path = "/tenant/oss/genieacs";
    let view = bss.get(path).is(200);
    assert_eq!(view["config"]["timeout_seconds"], 30);
    bss.post(&format!("{path}/test"), &Value::Null).is(503);
    let change = json!({"url": "http://127.0.0.1:9", "api_token": SECRET, "timeout_seconds": 2});
    let view = bss.patch(path, &change).is(200);
    assert_eq!(view["config"]["api_token_set"], true);
    assert_eq!(view["overrides"]["url"], "http://127.0.0.1:9");
    let report = bss.post(&format!("{path}/test"), &Value::Null).is(200);
    assert_eq!(report["reachable"], false);
    let view = bss.patch(path, &json!({"url": null})).is(200);
    assert_eq!(view["config"]["url"], Value::Null);
    bss.patch(path, &json!({"url": "ftp://x"})).is(422);
    bss.patch(path, &json!({"pasword": "x"})).is(422);
    assert_eq!(bss.delete(path).status, 204);
    bss.delete(path).is(404);
    bss.get("/tenant/oss/olt").is(404);
    assert_eq!(bss.get("/tenant/oss/awx").is(200)["service"], "ansible");
    assert!(!bss.get("/audit?kind=oss").is(200).to_string().contains(SECRET));
}

fn what_was_used(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "ada"]).ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let total = bss
        .post("/radius/accounting/usage", &json!({"username": "ada"}))
        .is(200);
    assert_eq!((&total["username"], &total["total_bytes"]), (&json!("ada"), &json!(0)));
    bss.post("/radius/accounting/usage", &json!({"username": "eve"}))
        .is(404);
    assert!(bss.get("/radius/analytics/subscriber/ada/usage?by=hour").is(200)["rows"].is_array());
    assert!(bss.get("/radius/analytics/tenant/usage").is(200)["timezone"].is_string());
    assert!(bss.get("/radius/analytics/top-subscribers?count=5").is(200)["users"].is_array());
    bss.get("/radius/analytics/tenant/usage?by=year").is(400);
    bss.get("/radius/analytics/tenant/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z")
        .is(409);
}

fn how_the_servers_stand(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let health = bss.get("/radius/health").is(200);
    assert_eq!((&health["status"], &health["nas_count"]), (&json!("down"), &json!(0)));
    let netbox = bss.get("/netbox/health").is(200);
    assert_eq!(netbox["healthy"], false);
    assert!(netbox["problem"].is_string());
}
