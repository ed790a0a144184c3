//! The configuration: what `freeradius -XC` says of the shipped one, and of each mistake in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::artifact;
use e2e::database::Database;
use e2e::radclient::{Method, login};
use e2e::radiusd::{Builder, VENDORS_FILE, configure};
use e2e::seed::PASSWORD;

use crate::server_on;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Put the module's configuration file as it is shipped in place of the test's.
fn as_shipped(configuration: &Builder) {
    configuration.write(1812, 1813);
    let shipped = artifact::repository("raddb/mods-available/rust");
    std::fs::copy(shipped, configuration.raddb().join("mods-enabled/rust")).unwrap();
}

/// Every file below a directory, with its size and time of change.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                pending.push(entry.path());
            }
            found.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
        }
    }
    found
}

#[test]
fn the_shipped_configuration_passes_and_checking_it_leaves_no_trace() {
    let configuration = configure("").environment("ISP_DATABASE_URL", "sqlite:///nowhere/isp.db");
    as_shipped(&configuration);
    let before = tree(configuration.directory());
    let output = configuration.command().arg("-XC").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("Configuration appears to be OK"),
        "{}",
        text(&output)
    );
    assert_eq!(
        tree(configuration.directory()),
        before,
        "checking made or changed a file"
    );
}

/// As a service, and scripts/run, start it: no option overrides what the configuration says of the log.
#[test]
fn the_shipped_configuration_starts_with_the_log_it_names() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let server = server_on(&database).log_as_configured().start();
    assert!(login(Method::Pap, "alice", PASSWORD).ask(&server).accepted());
    let log = std::fs::read_to_string(server.directory().join("radius.log")).unwrap();
    assert!(log.contains("Ready to process requests"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
}

#[test]
fn checking_opens_no_socket_and_starts_no_thread() {
    if Command::new("strace").arg("-V").output().is_err() {
        e2e::skip("strace is not installed");
        return;
    }
    let database = Database::sqlite().seeded();
    let configuration = server_on(&database).snapshot();
    configuration.write(1812, 1813);
    let trace = configuration.directory().join("trace");
    let server = configuration.command();
    let output = Command::new("strace")
        .args([
            "-f",
            "-e",
            "trace=socket,connect,clone,clone3,fork,vfork,openat,creat,rename,unlink,mkdir",
            "-o",
        ])
        .arg(&trace)
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-XC")
        .envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(configuration.directory())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("rlm_rust.so"), "the module was not loaded");
    for line in trace.lines() {
        // The resolver of the C library looks for nscd when a host name or a user is looked up; not ours.
        let socket = line.contains(" socket(") && !line.contains("AF_UNIX");
        // Processes the server forks itself, to find out whether it is being debugged.
        let thread = line.contains("CLONE_THREAD");
        let writes = (line.contains("O_CREAT")
            || line.contains("O_WRONLY")
            || line.contains("O_RDWR")
            || line.contains(" creat("))
            && !line.contains("/dev/");
        let touches = line.contains(" rename(") || line.contains(" unlink(") || line.contains(" mkdir(");
        assert!(!(socket || thread || writes || touches), "{line}");
        assert!(!line.contains("isp.db"), "the database was opened: {line}");
    }
}

/// Keys with a value that cannot be; each must be named with file and line.
const MISTAKES: &[(&str, &str)] = &[
    ("database.url", "mysql://localhost/isp"),
    ("database.url", ""),
    ("database.connections", "0"),
    ("database.connections", "101"),
    ("database.connections", "many"),
    ("key_file", "/nowhere/keys"),
    ("snapshot.file", "/nowhere/at/all/snapshot"),
    ("snapshot.interval", "0"),
    ("snapshot.interval", "100000"),
    ("snapshot.max_age", "5"),
    ("snapshot.max_age", "old"),
    ("poll_interval", "0"),
    ("poll_interval", "20"),
    ("accounting.mode", "detail"),
    ("accounting.journal", "/nowhere/at/all/journal"),
    ("accounting.journal_max_size", "1M"),
    ("accounting.journal_max_size", "much"),
    ("accounting.timeout", "0"),
    ("accounting.timeout", "11"),
    ("post_auth.queue", "0"),
    ("post_auth.queue", "10000001"),
    ("verify_cache", "10000001"),
    ("vendors", "/nowhere/vendors.toml"),
    ("vendors_local", "/nowhere/vendors-local.toml"),
];

#[test]
fn each_mistake_is_reported_with_file_and_line() {
    let database = Database::sqlite().seeded();
    let mut wrong = Vec::new();
    for &(key, value) in MISTAKES {
        let configuration = server_on(&database).key(key, value);
        let output = configuration.check();
        let said = text(&output);
        let file = configuration.raddb().join("mods-enabled/rust");
        let name = key.rsplit('.').next().unwrap();
        let lines = std::fs::read_to_string(&file).unwrap();
        let number = 1 + lines
            .lines()
            .position(|line| line.trim_start().starts_with(&format!("{name} =")))
            .unwrap();
        let place = format!("{}[{number}]", file.display());
        let named = said.lines().any(|line| line.contains(&place) && line.contains(name));
        if output.status.success() || !named {
            let tail: Vec<&str> = said.lines().rev().take(4).collect();
            wrong.push(format!(
                "{key} = {value:?}: status {}, wanted {place}, said {tail:#?}",
                output.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A vendor of the provider's own, and what is said of it: the line, and what is wrong with it.
const BAD_VENDORS: &[(&str, &[&str])] = &[
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Mikrotik-Rate-Limt\"\nvalue = \"1k\"\n",
        &[
            ":3: ",
            "no attribute Mikrotik-Rate-Limt",
            "did you mean Mikrotik-Rate-Limit",
        ],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Service-Type\"\nvalue = \"Framed-Usr\"\n",
        &[
            ":4: ",
            "no value Framed-Usr of Service-Type",
            "did you mean Framed-User",
        ],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Huawei-Input-Peak-Rate\"\nvalue = \"{upload_kbps}k\"\n",
        &[":4: ", "Huawei-Input-Peak-Rate takes a number", "{upload_kbps}k"],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Huawei-Gateway-Address\"\nvalue = \"here\"\n",
        &[":4: ", "Huawei-Gateway-Address takes an IPv4 address"],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Filter-Id\"\nvalue = \"{downlod_kbps}\"\n",
        &[":4: ", "no term \"downlod_kbps\"", "did you mean \"download_kbps\""],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Filter-Id\"\nvalue = \"x\"\ntag = 1\n",
        &[":5: ", "Filter-Id carries no tag"],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Cleartext-Password\"\nvalue = \"x\"\n",
        &[":3: ", "Cleartext-Password is the server's own"],
    ),
    (
        "[vendor.acme]\n[[vendor.acme.reply]]\nattribute = \"Event-Timestamp\"\nvalue = 1\n",
        &[":3: ", "Event-Timestamp has a type"],
    ),
    (
        "[vendor.acme]\n[vendor.acme.coa]\nattributes = [\"Sesion-Timeout\"]\n",
        &[":3: ", "no attribute Sesion-Timeout", "did you mean Session-Timeout"],
    ),
    (
        "[vendor.acme]\nextends = \"mikrotk\"\n",
        &[":2: ", "no vendor \"mikrotk\"", "did you mean \"mikrotik\""],
    ),
    ("[vendor.acme\n", &[":1: "]),
];

#[test]
fn each_mistake_in_a_file_of_vendors_is_reported_with_its_line() {
    let database = Database::sqlite().seeded();
    for (text, expected) in BAD_VENDORS {
        let configuration = server_on(&database).vendors(text);
        let file = configuration.directory().join(VENDORS_FILE).display().to_string();
        let output = configuration.check();
        let said = self::text(&output);
        assert!(!output.status.success(), "{text}: {said}");
        // After the place of the key that names the file.
        let named = said.lines().any(|line| {
            line.contains("mods-enabled/rust[3]: ")
                && line.contains(&file)
                && expected.iter().all(|part| line.contains(part))
        });
        assert!(named, "{text} should say {expected:?}: {said}");
    }
    let (text, expected) = BAD_VENDORS[0];
    let log = server_on(&database).vendors(text).try_start().unwrap_err();
    assert!(expected.iter().all(|part| log.contains(part)), "{log}");
}

#[test]
fn words_of_the_dictionary_are_values_of_vendors() {
    let database = Database::sqlite().seeded();
    database.add("alice");
    let server = server_on(&database)
        .vendors(
            "[vendor.mikrotik]\nextends = \"mikrotik\"\n[[vendor.mikrotik.reply]]\nattribute = \"Service-Type\"\n\
             value = \"Framed-User\"\n[[vendor.mikrotik.reply]]\nattribute = \"Framed-MTU\"\nvalue = 1492\n\
             [[vendor.mikrotik.reply]]\nattribute = \"Huawei-Gateway-Address\"\nvalue = \"192.0.2.1\"\n",
        )
        .start();
    let answer = login(Method::Pap, "alice", PASSWORD).ask(&server);
    assert_eq!(answer.values("Service-Type"), ["Framed-User"]);
    assert_eq!(answer.values("Framed-MTU"), ["1492"]);
    assert_eq!(answer.values("Huawei-Gateway-Address"), ["192.0.2.1"]);
}

#[test]
fn a_key_that_does_not_exist_is_reported() {
    let database = Database::sqlite().seeded();
    let configuration = server_on(&database).key("snapshott", "x");
    let output = configuration.check();
    let said = text(&output);
    assert!(said.contains("snapshott"), "{said}");
}

#[test]
fn every_key_that_is_documented_is_one_the_module_takes() {
    let database = Database::sqlite();
    let shipped = std::fs::read_to_string(artifact::repository("raddb/mods-available/rust")).unwrap();
    let configured_vendors = artifact::repository("raddb/mods-config/rust/vendors.toml");
    let mut keys = Vec::new();
    // Set every default that is shown in a comment: nothing may complain.
    let uncommented: String = shipped
        .lines()
        .map(|line| {
            match line
                .strip_prefix("#\t")
                .and_then(|rest| rest.trim_start().split_once(" = "))
            {
                Some((key, value)) if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                    keys.push(key.to_owned());
                    // Files of a system where it is installed.
                    let value = match key {
                        "key_file" => database.key_file().display().to_string(),
                        // Most have none.
                        "vendors_local" => configured_vendors.display().to_string(),
                        "file" => database.file().with_extension("snapshot").display().to_string(),
                        _ => value.to_owned(),
                    };
                    format!("{key} = {value}\n")
                }
                _ => format!("{line}\n"),
            }
        })
        .collect();
    assert!(keys.len() >= 8, "only {keys:?} found");
    let configuration = configure("").environment("ISP_DATABASE_URL", database.url());
    as_shipped(&configuration);
    std::fs::write(configuration.raddb().join("mods-enabled/rust"), uncommented).unwrap();
    let output = configuration.command().arg("-XC").output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.lines().any(|line| line.contains("mods-enabled/rust[")), "{said}");
}
