//! What vendors are, and what a plan gives on them.

use serde_json::{Value, json};

use crate::lab::Lab;

crate::on_both_databases!(
    vendors_need_no_database,
    a_nas_of_an_unknown_vendor_is_warned_of,
    a_plan_is_shown_as_a_vendor_gets_it,
);

fn vendors_need_no_database(lab: &Lab) {
    let listed = lab.ctl(&["vendor", "list", "--json"]).json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"mikrotik") && names.contains(&"generic"), "{names:?}");

    let shown = lab.ctl(&["vendor", "show", "Juniper", "--json"]).json();
    assert_eq!(
        (&shown["name"], &shown["extends"]),
        (&json!("juniper"), &json!("generic"))
    );
    assert_eq!(
        shown["reply"].as_array().unwrap()[3],
        json!({"attribute": "ERX-Service-Activate", "tag": 1, "value": ["{qos_profile_download}"]})
    );
    assert_eq!(
        shown["coa_undo"][0],
        json!({"attribute": "ERX-Service-Activate", "by": "ERX-Service-Deactivate", "value": "{sent}", "disconnect": false})
    );
    let text = lab.ctl(&["vendor", "show", "nokia-sr"]).ok();
    assert!(
        text.contains("NAS-Port-Id, Framed-IP-Address | Acct-Session-Id | User-Name"),
        "{text}"
    );
    assert!(lab.ctl(&["vendor", "show", "nobody"]).fails(3).contains("vendor list"));
}

fn a_nas_of_an_unknown_vendor_is_warned_of(lab: &Lab) {
    lab.set_up();
    let run = |args: &[&str]| lab.ctl_with(args, "a-shared-secret-of-the-nas", &[]);
    let known = run(&["nas", "add", "192.0.2.1", "--vendor", "huawei"]);
    assert!(known.code == 0 && !known.err.contains("vendor"), "{known:?}");
    let unknown = run(&["nas", "add", "192.0.2.2", "--vendor", "acme"]);
    assert!(
        unknown.code == 0 && unknown.err.contains("vendor \"acme\""),
        "{unknown:?}"
    );
    let again = run(&["nas", "set", "192.0.2.2", "--description", "x"]);
    assert!(again.code == 0 && !again.err.contains("acme"), "{again:?}");
}

fn a_plan_is_shown_as_a_vendor_gets_it(lab: &Lab) {
    lab.set_up();
    lab.ctl(&[
        "plan",
        "add",
        "fibre",
        "--download",
        "100M",
        "--upload",
        "20M",
        "--download-burst",
        "150M",
    ])
    .ok();
    let shown = |vendor: &str, more: &[&str]| {
        let command = [&["vendor", "show", vendor, "--plan", "fibre", "--json"], more].concat();
        let rows = lab.ctl(&command).json();
        let line = |row: &Value| {
            format!(
                "{} = {}",
                row["attribute"].as_str().unwrap(),
                row["value"].as_str().unwrap()
            )
        };
        rows.as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        shown("mikrotik", &[]),
        ["Mikrotik-Rate-Limit = 20000k/100000k 20000k/150000k"]
    );
    assert_eq!(shown("generic", &[]), [""; 0]);

    // As the servers have it, so do we.
    let file = lab.path("vendors.toml");
    std::fs::write(
        &file,
        "[vendor.ours]\n[[vendor.ours.reply]]\nattribute = \"Reply-Message\"\nvalue = \"{plan}\"\n\
         [tenant.example]\nhuawei = \"ours\"\n",
    )
    .unwrap();
    let more = ["--vendors-local", file.to_str().unwrap()];
    for vendor in ["ours", "huawei"] {
        assert_eq!(shown(vendor, &more), ["Reply-Message = fibre"], "{vendor}");
    }
    std::fs::write(&file, "[vendor.ours]\nextends = \"mikrotk\"\n").unwrap();
    let told = lab.ctl(&["vendor", "list", more[0], more[1]]).fails(2);
    assert!(
        told.contains("vendors.toml:2: ") && told.contains("did you mean \"mikrotik\"?"),
        "{told}"
    );
    std::fs::remove_file(&file).unwrap();
    assert!(
        lab.ctl(&["vendor", "list", more[0], more[1]])
            .fails(1)
            .contains("vendors.toml")
    );
}
