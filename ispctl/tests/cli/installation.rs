//! An installation that is well, and ways to spoil it.

use std::fs;
use std::path::Path;
use std::process::Command;

use isp_core::snapshot::Snapshot;

use crate::lab::{Lab, chmod};

/// As `make run` sets one up: the configuration of the repository, a tenant, a plan, a NAS, a subscriber.
pub(crate) fn install(lab: &Lab) {
    lab.set_up();
    lab.ctl(&["plan", "add", "fibre", "--download", "100M", "--upload", "20M"])
        .ok();
    lab.ctl_with(
        &["nas", "add", "127.0.0.1", "--vendor", "mikrotik", "--secret-file", "-"],
        "a-secret-of-the-lab\n",
        &[],
    )
    .ok();
    lab.ctl(&["subscriber", "add", "alice", "--plan", "fibre", "--status", "active"])
        .ok();
    lab.ctl_with(
        &["subscriber", "password", "alice", "--password-file", "-"],
        "alice-password\n",
        &[],
    )
    .ok();
    let certificates = lab.path("certificates");
    fs::create_dir(&certificates).unwrap();
    for name in ["ca.pem", "server.pem"] {
        fs::write(certificates.join(name), "").unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let made = Command::new(root.join("scripts/standalone"))
        .arg(lab.path(""))
        .args(["1812", "1813"])
        .env("ISP_CERTS", &certificates)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let here = lab.path("").display().to_string();
    let here = here.trim_end_matches('/');
    lab.write(
        "raddb/clients.conf",
        "client bras1 {\n\tipaddr = 127.0.0.1\n\tsecret = a-secret-of-the-lab\n}\n",
    );
    let url = &lab.url;
    lab.write(
        "raddb/mods-enabled/rust",
        &format!("rust {{\n\tdatabase {{\n\t\turl = \"{url}\"\n\t}}\n\tkey_file = \"{here}/keys\"\n\tsnapshot {{\n\t\tfile = \"{here}/subscribers.snapshot\"\n\t}}\n}}\n"),
    );
    chmod(&lab.path("raddb/mods-enabled/rust"), 0o600);
    snapshot(lab, 0);
    fs::create_dir(lab.path("accounting")).unwrap();
    fs::create_dir(lab.path("modules")).unwrap();
    lab.write(
        "modules/rlm_rust.so",
        "\x7fELF rlm_rust (built for FreeRADIUS 3.2.1 only)",
    );
    server(lab, "3.2.1");
}

pub(crate) fn server(lab: &Lab, release: &str) {
    let program = lab.path("server");
    let _ = fs::remove_file(&program);
    fs::write(
        &program,
        format!("#!/bin/sh\necho 'radiusd: FreeRADIUS Version {release}, for host x'\n"),
    )
    .unwrap();
    chmod(&program, 0o755);
}

pub(crate) fn snapshot(lab: &Lab, age: i64) {
    let now = jiff::Timestamp::now().as_second();
    Snapshot::default()
        .save(&lab.path("subscribers.snapshot"), "0", now - age)
        .unwrap();
}

pub(crate) fn other_keys(lab: &Lab) {
    let path = lab.path("other-keys").display().to_string();
    lab.ctl(&["--key-file", &path, "key", "create"]).ok();
}

/// A server that reported, with one thing as it should not be.
pub(crate) fn node(lab: &Lab, column: &str, value: u64, reported: &str) {
    let version = if column == "version" {
        "0.0.9"
    } else {
        env!("CARGO_PKG_VERSION")
    };
    lab.execute(&format!(
        "INSERT INTO node_status (node_id, host, version, journal_records, journal_bytes, applied_total, applied_per_second,
            snapshot_age, subscribers, reported_at) VALUES ('a:b', 'a', '{version}', 0, 0, 0, 0, 0, 1, datetime('now', '{reported}'))"
    ));
    if column != "version" {
        lab.execute(&format!("UPDATE node_status SET {column} = {value}"));
    }
}

#[track_caller]
pub(crate) fn edit(lab: &Lab, name: &str, old: &str, new: &str) {
    let text = fs::read_to_string(lab.path(name)).unwrap();
    assert!(text.contains(old), "{name} has no {old:?}");
    fs::write(lab.path(name), text.replacen(old, new, 1)).unwrap();
}

pub(crate) fn append(lab: &Lab, name: &str, more: &str) {
    let text = fs::read_to_string(lab.path(name)).unwrap_or_default();
    fs::write(lab.path(name), text + more).unwrap();
}

/// Take lines that are `what` out of the site, between two texts.
#[track_caller]
pub(crate) fn cut(lab: &Lab, from: &str, to: &str, what: &str) {
    let path = lab.path("raddb/sites-enabled/isp");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find(&format!("\t{from}")).unwrap() + 1;
    let end = start + text[start..].find(to).unwrap();
    let kept: Vec<&str> = text[start..end].lines().filter(|line| line.trim() != what).collect();
    assert_ne!(kept.join("\n").len(), text[start..end].len(), "{what:?} is not there");
    fs::write(
        &path,
        format!("{}{}\n{}", &text[..start], kept.join("\n"), &text[end..]),
    )
    .unwrap();
}

/// With modes, which are part of what is looked at.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status()
        .unwrap();
    assert!(done.success());
}
