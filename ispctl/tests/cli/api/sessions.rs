use isp_core::radius::Code;
use serde_json::json;

use super::{Api, Caller};
use crate::lab::{Kind, Lab};
use crate::orders::{SECRET, set_up, with_nas};

crate::on_both_databases!(
    a_session_is_listed_until_it_is_ended,
    several_sessions_are_not_guessed,
    a_list_of_sessions_goes_on_where_it_ended,
);

/// Those that are listed, with what the API says of them.
fn listed(bss: &Caller<'_>, path: &str) -> Vec<String> {
    let page = bss.get(path).is(200);
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["acctsessionid"].as_str().unwrap().to_owned())
        .collect()
}

fn a_session_is_listed_until_it_is_ended(lab: &Lab) {
    set_up(lab, 1);
    // As the server writes them.
    let now = if lab.kind() == Kind::Sqlite {
        "datetime('now')"
    } else {
        "now()"
    };
    lab.execute(&format!(
        "UPDATE radacct SET acctstarttime = {now}, acctupdatetime = {now}"
    ));
    let codes = with_nas(|port| {
        let add = ["nas", "add", "127.0.0.1", "--coa-port", &port.to_string()];
        lab.ctl_with(&add, "", &[("ISP_NAS_SECRET", SECRET)]).ok();
        let api = Api::start(lab);
        let bss = Caller::admin(lab, &api, "example");
        for path in ["/radius/sessions/active", "/radius/sessions", "/radius/sessions/alice"] {
            assert_eq!(listed(&bss, path), ["s1"], "{path}");
        }
        assert_eq!(listed(&bss, "/radius/sessions/active?username=bob"), [""; 0]);
        bss.get("/radius/sessions/bob").is(404);
        // By the names of the original, too.
        let named = json!({"username": "alice@isp", "acctsessionid": "s1", "nasipaddress": "127.0.0.1"});
        let told = bss.post("/radius/sessions/disconnect", &named).is(202);
        assert_eq!(
            (&told["success"], &told["message"], &told["username"]),
            (&json!(true), &json!("the session was ended"), &json!("alice@isp"))
        );
        assert_eq!(told["details"][0]["details"]["result"], "ack");
        // The NAS reports the end.
        lab.execute(&format!(
            "UPDATE radacct SET acctstoptime = {now}, acctterminatecause = 'Admin-Reset'"
        ));
        assert_eq!(listed(&bss, "/radius/sessions/active"), [""; 0]);
        let ended = bss.get("/radius/sessions/alice").is(200);
        assert_eq!(
            (
                &ended["items"][0]["is_active"],
                &ended["items"][0]["acct_terminate_cause"]
            ),
            (&json!(false), &json!("Admin-Reset"))
        );
        let again = bss.post("/radius/sessions/disconnect", &json!({"session_id": "s1"}));
        again.is(404);
        let log = lab.ctl(&["coa", "log", "--json"]).json();
        assert_eq!(
            (&log[0]["actor"], &log[0]["cause"]),
            (&json!("token bss"), &json!("manual"))
        );
        let audit = bss.get("/audit?kind=session").is(200);
        assert_eq!(
            (&audit["items"][0]["action"], &audit["items"][0]["subject"]),
            (&json!("disconnect"), &json!("s1"))
        );
    });
    assert_eq!(codes, [Code::DISCONNECT_REQUEST]);
}

fn several_sessions_are_not_guessed(lab: &Lab) {
    set_up(lab, 2);
    lab.ctl(&["tenant", "add", "other"]).ok();
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let path = "/radius/sessions/disconnect";
    let problem = bss.post(path, &json!({"username": "alice@isp"})).is(409);
    let told = problem["detail"].as_str().unwrap();
    assert!(told.contains("s1 at 127.0.0.1") && told.contains("s2"), "{told}");
    bss.post(path, &json!({"nas_ip": "127.0.0.1"})).is(422);
    bss.post(path, &json!({})).is(422);
    bss.post(path, &json!({"session_id": "s1", "nas_ip": "nowhere"}))
        .is(422);
    Caller::admin(lab, &api, "other")
        .post(path, &json!({"session_id": "s1"}))
        .is(404);
    assert_eq!(lab.ctl(&["coa", "log", "--json"]).json(), json!([]));
    // Nobody waits for the NAS, which there is none of: the orders are placed.
    let both = bss
        .post(path, &json!({"username": "alice@isp", "all": true, "wait_seconds": 0}))
        .is(202);
    assert_eq!(both["details"].as_array().unwrap().len(), 2);
    assert_eq!(lab.ctl(&["coa", "log", "--json"]).json().as_array().unwrap().len(), 2);
}

fn a_list_of_sessions_goes_on_where_it_ended(lab: &Lab) {
    set_up(lab, 5);
    let now = if lab.kind() == Kind::Sqlite {
        "datetime('now')"
    } else {
        "now()"
    };
    lab.execute(&format!("UPDATE radacct SET acctstarttime = {now}"));
    let api = Api::start(lab);
    let bss = Caller::admin(lab, &api, "example");
    let (mut path, mut seen) = ("/radius/sessions/active?limit=2".to_owned(), Vec::new());
    loop {
        let page = bss.get(&path).is(200);
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["radacctid"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/radius/sessions/active?limit=2&after={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}
