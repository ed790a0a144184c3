//! A walk over the document that is served: each route is closed to whoever has no token, not the scope, or another tenant.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Api, Caller};
use crate::lab::Lab;

crate::on_both_databases!(every_route_is_closed_to_whom_it_is_not_for, a_token_ends);

/// One route of the document.
struct Route {
    method: String,
    path: String,
    scopes: Vec<String>,
    has_body: bool,
}

fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scopes = operation["security"][0]["bearer"].as_array().unwrap();
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.clone(),
                scopes: scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect(),
                has_body: operation.get("requestBody").is_some(),
            });
        }
    }
    routes
}

fn every_route_is_closed_to_whom_it_is_not_for(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["subscriber", "add", "alice", "--status", "active"]).ok();
    // Whatever a path names, there is one of that name.
    lab.ctl(&["plan", "add", "alice", "--download", "1M", "--upload", "1M"])
        .ok();
    lab.ctl_with(
        &["nas", "add", "192.0.2.1", "--shortname", "alice"],
        "a-shared-secret-of-it\n",
        &[],
    )
    .ok();
    lab.ctl(&["subscriber", "network", "set", "alice", "--service-vlan", "7"])
        .ok();
    let api = Api::start(lab);
    let document = api.send("GET", "/openapi.json", None, &[], None).is(200);
    assert_eq!(document["openapi"], "3.1.0");
    // Whatever it refers to is in it.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let routes = routes(&document);
    assert!(routes.len() >= 10, "{}", routes.len());
    let all: BTreeSet<&str> = routes
        .iter()
        .flat_map(|route| &route.scopes)
        .map(String::as_str)
        .collect();
    lab.ctl(&["tenant", "add", "other"]).ok();
    let (own, other) = (Caller::admin(lab, &api, "example"), Caller::admin(lab, &api, "other"));
    let mut named = 0;
    for route in &routes {
        let name = format!("{} {}", route.method, route.path);
        assert!(!route.scopes.is_empty(), "{name}");
        // What stands in braces is alice's, or as good as anything.
        let path: String = route
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "alice" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let path = format!("/{path}");
        let body = match route.has_body {
            true if path.ends_with("/secret") => Some(json!({"secret": "another-shared-secret"})),
            has_body => has_body.then(|| json!({})),
        };
        let send = |token| api.send(&route.method, &path, token, &[], body.as_ref());
        assert_eq!(send(None).is(401)["title"], "Unauthorized", "{name}");
        for wrong in ["isp_wrong", "x", ""] {
            send(Some(wrong)).is(401);
        }
        // All scopes but those of the route.
        let mut args = vec!["token", "add", "narrow", "--tenant", "example"];
        for scope in all.iter().filter(|scope| !route.scopes.iter().any(|own| own == *scope)) {
            args.extend(["--scope", scope]);
        }
        if !args.contains(&"--scope") {
            args.extend(["--scope", "isp.cpe.read"]);
        }
        let narrow = lab.ctl(&args).ok();
        assert_eq!(send(Some(narrow.trim())).is(403)["title"], "Forbidden", "{name}");
        // Services are the same for all tenants.
        if route.path.contains('{') && !route.path.contains("{service}") {
            let answer = api.send(&route.method, &path, Some(&other.token), &[], body.as_ref());
            assert_eq!(answer.is(404)["title"], "Not Found", "{name}");
            if route.method == "GET" {
                own.get(&path.replacen("//api/v1", "", 1)).is(200);
            }
            named += 1;
        }
    }
    assert!(named >= 15, "{named}");
}

fn a_token_ends(lab: &Lab) {
    lab.set_up();
    let api = Api::start(lab);
    let made = lab.ctl(&["token", "add", "bss", "--role", "admin", "--json"]).json();
    let (token, id) = (made["bearer"].as_str().unwrap(), made["id"].as_str().unwrap());
    let ask = || api.send("GET", "/radius/subscribers", Some(token), &[], None);
    ask().is(200);
    let listed = lab.ctl(&["token", "list", "--json"]).json();
    assert!(
        listed[0]["last_used_at"].is_number() && !listed.to_string().contains(token),
        "{listed}"
    );
    lab.ctl(&["token", "revoke", id]).ok();
    ask().is(401);
    lab.ctl(&["token", "revoke", "nobody"]).fails(3);

    let short = lab
        .ctl(&["token", "add", "short", "--role", "admin", "--expires", "1h"])
        .ok();
    let short = || api.send("GET", "/radius/subscribers", Some(short.trim()), &[], None);
    short().is(200);
    lab.execute("UPDATE api_tokens SET expires_at = '2026-01-01 00:00:00'");
    short().is(401);
    lab.ctl(&["token", "add", "late", "--role", "admin", "--expires", "2020-01-01"])
        .fails(5);

    let kept = lab.ctl(&["token", "add", "of a tenant", "--role", "admin"]).ok();
    let kept = || api.send("GET", "/radius/subscribers", Some(kept.trim()), &[], None);
    kept().is(200);
    lab.ctl(&["tenant", "set", "example", "--enabled", "false"]).ok();
    kept().is(401);
    lab.ctl(&["tenant", "set", "example", "--enabled", "true"]).ok();

    let audit = lab.ctl(&["audit", "list", "--kind", "token", "--json"]).json();
    let actions: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["create", "create", "revoke", "create"]);
    assert!(!audit.to_string().contains("isp_"), "{audit}");
}
