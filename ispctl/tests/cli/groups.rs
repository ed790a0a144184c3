//! Groups: their rows and members.

use serde_json::json;

use crate::lab::Lab;

crate::on_both_databases!(a_group_is_what_has_rows_or_members, secrets_of_groups_are_not_shown);

fn a_group_is_what_has_rows_or_members(lab: &Lab) {
    lab.set_up();
    for user in ["alice", "bob"] {
        lab.ctl(&["subscriber", "add", user]).ok();
    }
    let check = lab
        .ctl(&[
            "group",
            "check",
            "add",
            "gold",
            "NAS-Port-Type",
            "==",
            "Ethernet",
            "--json",
        ])
        .json();
    lab.ctl(&["group", "reply", "add", "gold", "Filter-Id", ":=", "gold"])
        .ok();
    lab.ctl(&["group", "join", "gold", "alice", "--priority", "-5"]).ok();
    lab.ctl(&["group", "join", "iron", "alice", "--priority", "-9"]).ok();
    lab.ctl(&["group", "join", "gold", "bob"]).ok();
    assert_eq!(
        lab.ctl(&["group", "list", "--json"]).json(),
        json!([
            {"group": "gold", "checks": 1, "replies": 1, "members": 2},
            {"group": "iron", "checks": 0, "replies": 0, "members": 1},
        ])
    );
    let gold = lab.ctl(&["group", "show", "gold", "--json"]).json();
    assert_eq!(gold["check"], json!([check]));
    assert_eq!(gold["reply"][0]["value"], "gold");
    assert_eq!(
        gold["first_members"],
        json!([{"username": "alice", "priority": -5}, {"username": "bob", "priority": 1}])
    );
    let alice = lab.ctl(&["subscriber", "show", "alice", "--json"]).json();
    let names: Vec<_> = alice["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["group"].clone())
        .collect();
    assert_eq!(names, ["iron", "gold"], "in the order they are looked at");

    lab.ctl(&["group", "join", "gold", "alice"]).fails(4);
    lab.ctl(&["group", "join", "gold", "nobody"]).fails(3);
    lab.ctl(&["group", "show", "lead"]).fails(3);
    lab.ctl(&["group", "reply", "add", "gold", "Filter-Id", "==", "x"])
        .fails(2);
    lab.ctl(&["group", "leave", "gold", "alice", "--dry-run"]).ok();
    lab.ctl(&["group", "leave", "gold", "alice"]).ok();
    lab.ctl(&["group", "leave", "gold", "alice"]).fails(3);
    let id = check["id"].to_string();
    lab.ctl(&["group", "check", "delete", "iron", &id]).fails(3);
    lab.ctl(&["group", "check", "delete", "gold", &id]).ok();
    let gold = lab.ctl(&["group", "show", "gold", "--json"]).json();
    assert_eq!((&gold["check"], &gold["members"]), (&json!([]), &json!(1)));
}

fn secrets_of_groups_are_not_shown(lab: &Lab) {
    lab.set_up();
    let add = ["group", "reply", "add", "gold", "Tunnel-Password", ":="];
    lab.ctl(&[&add[..], &["s3cret"]].concat()).fails(2);
    lab.ctl_with(&[&add[..], &["-"]].concat(), "s3cret\n", &[]).ok();
    let shown = lab.ctl(&["group", "show", "gold"]).ok();
    assert!(shown.contains("[hidden]") && !shown.contains("s3cret"), "{shown}");
    lab.ctl_with(
        &["group", "check", "add", "gold", "Cleartext-Password", ":=", "-"],
        "s3cret\n",
        &[],
    )
    .fails(5);
}
