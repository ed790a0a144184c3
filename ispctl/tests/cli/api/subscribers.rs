use serde_json::{Value, json};

use super::{Api, Caller};
use crate::lab::Lab;

crate::on_both_databases!(
    a_subscriber_lives_by_the_api,
    a_contract_comes_before_its_login,
    what_is_wrong_is_told_field_by_field,
    a_change_of_what_somebody_else_changed_is_refused,
    a_request_sent_twice_is_done_once,
    a_list_goes_on_where_it_ended,
);

const PASSWORD: &str = "correct-horse-battery";

fn a_subscriber_lives_by_the_api(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["plan", "add", "gold", "--download", "100M", "--upload", "20M"])
        .ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let new = json!({
        "username": "Ada@example.net", "password": PASSWORD, "bandwidth_profile_id": "gold",
        "framed_ipv4_address": "192.0.2.7", "framed_ipv6_prefix": "2001:db8:1::/64",
        "delegated_ipv6_prefix": "2001:db8:7::/56", "session_timeout": 3600,
    });
    let answer = bss.post("/radius/subscribers", &new);
    let location = answer.header("location").unwrap().to_owned();
    let made = answer.is(201);
    assert_eq!(
        location,
        format!("/api/v1/radius/subscribers/{}", made["id"].as_str().unwrap())
    );
    assert_eq!(made["enabled"], true);
    assert_eq!(made["password_configured"], true);
    assert_eq!(made["framed_ipv4_address"], "192.0.2.7");
    assert_eq!(made["delegated_ipv6_prefix"], "2001:db8:7::/56");
    let username = made["username"].as_str().unwrap();
    assert_eq!(bss.get(&format!("/radius/subscribers/{username}")).is(200), made);
    assert_eq!(bss.get(&format!("/{location}")).is(200), made, "by its id");

    // The same the command line shows, and the password serves.
    let shown = lab.ctl(&["subscriber", "show", username, "--json"]).json();
    assert_eq!(
        (shown["plan"].clone(), shown["static_ipv4"].clone()),
        (json!("gold"), json!("192.0.2.7"))
    );
    assert_eq!(shown["created_by"], "token bss");

    bss.post("/radius/subscribers", &new).is(409);
    let path = format!("/radius/subscribers/{username}");
    let changed = bss
        .patch(&path, &json!({"session_timeout": null, "idle_timeout": 60}))
        .is(200);
    assert_eq!(
        (changed["session_timeout"].clone(), changed["idle_timeout"].clone()),
        (Value::Null, json!(60))
    );
    assert_eq!(changed["framed_ipv4_address"], "192.0.2.7", "what is not named stays");
    let off = bss.post(&format!("{path}/disable"), &Value::Null).is(200);
    assert_eq!(
        (off["enabled"].clone(), off["status"].clone()),
        (json!(false), json!("suspended"))
    );
    assert_eq!(
        bss.post(&format!("{path}/enable"), &Value::Null).is(200)["status"],
        "active"
    );
    assert_eq!(bss.delete(&path).status, 204);
    bss.get(&path).is(404);
    bss.get(location.trim_start_matches("/api/v1")).is(404);
    bss.delete(&path).is(404);

    let audit = lab.ctl(&["audit", "list", "--kind", "subscriber", "--json"]).json();
    let actions: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["delete", "enable", "disable", "update", "create"]);
    assert_eq!(audit[4]["actor"], "token bss");
    let before: Value = serde_json::from_str(audit[3]["before"].as_str().unwrap()).unwrap();
    assert_eq!(before["session_timeout"], 3600);
    assert!(
        audit[0]["request_id"].is_string() && !audit.to_string().contains(PASSWORD),
        "{audit}"
    );
}

fn a_contract_comes_before_its_login(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let new = json!({
        "id": "c-1", "username": "Ada@Example.net", "full_name": "Ada Lovelace", "email": "ada@example.net",
        "service_coordinates": {"lat": 51.5, "lon": -0.1}, "vlan_id": 7, "cpe_mac_address": "02-00-5e-00-53-01",
        "expiration_date": 4_000_000_000_u64,
    });
    let made = bss.post("/subscribers", &new).is(201);
    assert_eq!(
        (&made["id"], &made["status"], &made["created_by"]),
        (&json!("c-1"), &json!("pending"), &json!("token bss"))
    );
    assert!(made.get("password").is_none(), "{made}");
    assert_eq!(bss.get("/subscribers/c-1").is(200), made);
    let login = json!({"subscriber_id": "c-1", "username": "ada@example.net", "password": PASSWORD});
    bss.post("/radius/subscribers", &login).is(201);
    let answer = bss.put(
        "/subscribers/c-1",
        &json!({"status": "suspended", "email": null, "vlan_id": 8}),
    );
    let changed = answer.is(200);
    assert_eq!(
        (
            &changed["status"],
            &changed["email"],
            &changed["vlan_id"],
            &changed["full_name"]
        ),
        (&json!("suspended"), &Value::Null, &json!(8), &json!("Ada Lovelace"))
    );
    let listed = bss.get("/subscribers?status=suspended").is(200);
    assert_eq!(listed["items"], json!([changed]));
    let wrong = bss
        .put("/subscribers/c-1", &json!({"status": "angry", "vlan_id": 5000}))
        .is(422);
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 2, "{wrong}");
    assert_eq!(bss.delete("/subscribers/c-1").status, 204);
    bss.get("/subscribers/c-1").is(404);
}

fn what_is_wrong_is_told_field_by_field(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let problem = bss
        .post(
            "/radius/subscribers",
            &json!({"username": "a b", "password": "hunter2", "session_timeout": "soon", "surprise": 1}),
        )
        .is(422);
    let at: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["at"].as_str().unwrap())
        .collect();
    for field in ["/username", "/password", "/session_timeout"] {
        assert!(at.contains(&field), "{problem}");
    }
    let told = problem.to_string();
    assert!(told.contains("surprise") && !told.contains("hunter2"), "{problem}");
    bss.post(
        "/radius/subscribers",
        &json!({"username": "ada", "password": PASSWORD, "bandwidth_profile_id": "none"}),
    )
    .is(404);
    let headers = [("content-type", "text/plain")];
    api.send("POST", "/radius/subscribers", Some(&bss.token), &headers, None)
        .is(415);
    let headers = [("content-type", "application/json")];
    api.send("POST", "/radius/subscribers", Some(&bss.token), &headers, None)
        .is(400);
    let whole = json!({"username": "dan", "password": PASSWORD, "session_timeout": 60.0});
    assert_eq!(bss.post("/radius/subscribers", &whole).is(201)["session_timeout"], 60);
    bss.get("/radius/subscribers?limit=0").is(400);
    bss.get("/radius/subscribers?surprise=1").is(400);
    bss.get("/radius/subscribers?status=drunk").is(400);
    bss.get("/nowhere").is(404);
    let answer = api.send("PUT", "/radius/subscribers", Some(&bss.token), &[], None);
    assert!(
        answer.header("allow").is_some_and(|allowed| allowed.contains("POST")),
        "{answer:?}"
    );
    answer.is(405);
    assert_eq!(api.send("GET", "//health", None, &[], None).status, 204);
    assert_eq!(api.send("GET", "//ready", None, &[], None).status, 204);
}

fn a_change_of_what_somebody_else_changed_is_refused(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "alice"]).ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let path = "/radius/subscribers/alice";
    let seen = bss.get(path).header("etag").unwrap().to_owned();
    let change = |tag: &str, seconds: u32| {
        let body = json!({"idle_timeout": seconds});
        api.send("PATCH", path, Some(&bss.token), &[("if-match", tag)], Some(&body))
    };
    let answer = change(&seen, 60);
    let newer = answer.header("etag").unwrap().to_owned();
    answer.is(200);
    assert_ne!(seen, newer);
    assert_eq!(bss.get(path).header("etag"), Some(newer.as_str()));
    change(&seen, 90).is(412);
    let removed = api.send("DELETE", path, Some(&bss.token), &[("if-match", &seen)], None);
    removed.is(412);
    assert_eq!(bss.get(path).is(200)["idle_timeout"], 60);
    change(&format!("\"x\", {newer}"), 90).is(200);
    change("*", 91).is(200);
}

fn a_request_sent_twice_is_done_once(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let send = |key: &str, username: &str| {
        let body = json!({"username": username, "password": PASSWORD});
        let headers = [("idempotency-key", key)];
        api.send("POST", "/radius/subscribers", Some(&bss.token), &headers, Some(&body))
    };
    let first = send("one", "ada").is(201);
    let again = send("one", "ada");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.is(201), first);
    send("one", "bob").is(422);
    let refused = send("two", "ada").is(409);
    assert_eq!(send("two", "ada").is(409), refused);
    assert_eq!(lab.query("SELECT username FROM subscribers"), ["ada"]);
    let kept = lab.query("SELECT body FROM api_idempotency");
    assert!(
        kept.len() == 2 && kept.iter().all(|body| !body.contains(PASSWORD)),
        "{kept:?}"
    );
    send("", "eve").is(400);
}

fn a_list_goes_on_where_it_ended(lab: &Lab) {
    lab.set_up();
    for name in ["eve", "ada", "Zoe", "dan", "bob"] {
        lab.ctl(&["subscriber", "add", name, "--status", "active"]).ok();
    }
    lab.ctl(&["subscriber", "add", "carl", "--status", "suspended"]).ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let mut path = "/radius/subscribers?limit=2&status=active".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = bss.get(&path).is(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2, "{page}");
        seen.extend(items.iter().map(|item| item["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/radius/subscribers?limit=2&status=active&after={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(seen, sorted);
    assert_eq!(seen.len(), 5);
}
