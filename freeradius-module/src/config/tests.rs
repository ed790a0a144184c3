//! Of the settings.

use super::*;

fn values<'a>(changed: &[(&str, &'a str)]) -> Values<'a> {
    let mut values: Values<'a> = KEYS.map(|key| key.default.map(|default| default.to_str().unwrap()));
    let set = |values: &mut Values<'a>, path: &str, value| {
        let index = KEYS.iter().position(|key| key.path() == path).unwrap();
        values[index] = Some(value);
    };
    set(&mut values, "database.url", "sqlite:/var/lib/isp.db");
    // The server has expanded it.
    set(&mut values, "accounting.journal", "/accounting");
    set(&mut values, "vendors", "/vendors.toml");
    for (path, value) in changed {
        set(&mut values, path, value);
    }
    values
}

#[test]
fn defaults_are_those_of_the_library() {
    let config = settings(&values(&[])).unwrap().node;
    let expected = NodeConfig {
        database_url: config.database_url.clone(),
        journal: "/accounting".into(),
        ..NodeConfig::default()
    };
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
}

#[test]
fn every_key_refuses_what_it_cannot_be_and_names_itself() {
    let cases = [
        ("key_file", ["", ""]),
        ("poll_interval", ["-0.2", "fast"]),
        ("poll_interval", ["0", "3600"]),
        ("poll_interval", ["NaN", "inf"]),
        ("default_tenant", ["", ""]),
        ("vendors", ["", ""]),
        ("vendors_local", ["", ""]),
        ("verify_cache", ["-1", "10000001"]),
        ("verify_cache", ["4294967296", "1.5"]),
        ("database.url", ["mysql://localhost/x", ""]),
        ("database.connections", ["0", "101"]),
        ("database.connections", ["-1", "four"]),
        ("snapshot.file", ["/nonexistent/directory/copy", "/"]),
        ("snapshot.file", ["", "relative"]),
        ("snapshot.interval", ["0", "86401"]),
        ("snapshot.interval", ["-1", "1 minute"]),
        ("snapshot.max_age", ["9", "-1"]),
        ("accounting.mode", ["", "detail"]),
        (
            "accounting.journal",
            ["/nonexistent/directory/journal", "/proc/version"],
        ),
        ("accounting.journal", ["", "relative"]),
        ("accounting.journal_max_size", ["63M", "2T"]),
        ("accounting.journal_max_size", ["-1", "4GB"]),
        ("accounting.journal_max_size", ["", "99999999999T"]),
        ("sessions.interim", ["59", "86401"]),
        ("sessions.silent_intervals", ["-1", "101"]),
        ("sessions.simultaneous_use", ["", "yes"]),
        ("sessions.claim", ["0", "3601"]),
        ("sessions.timeout", ["0", "11"]),
        ("sessions.database_down", ["", "reject"]),
        ("sessions.class", ["", "maybe"]),
        ("accounting.timeout", ["0", "11"]),
        ("accounting.timeout", ["-1", "soon"]),
        ("post_auth.queue", ["0", "10000001"]),
        ("post_auth.queue", ["-1", "1e3"]),
        ("lockout.threshold", ["-1", "some"]),
        ("lockout.source_threshold", ["-1", "1.5"]),
        ("lockout.window", ["0", "86401"]),
        ("lockout.duration", ["0.5", "1 hour"]),
        ("lockout.delay", ["-1", "11"]),
        ("lockout.max_delay", ["-1", "11"]),
        ("lockout.remembered", ["0", "10000001"]),
    ];
    for (path, bad) in cases {
        for value in bad {
            let fault = settings(&values(&[(path, value)])).expect_err(&format!("{path} = {value}"));
            assert_eq!(fault.key, path, "{path} = {value}: {}", fault.message);
            assert!(fault.message.contains(path), "{}", fault.message);
        }
    }
    for key in KEYS {
        assert!(
            cases.iter().any(|(path, _)| *path == key.path()),
            "{} untested",
            key.path()
        );
    }
}

#[test]
fn a_url_with_a_password_is_not_repeated() {
    let fault = settings(&values(&[("database.url", "mysql://isp:hunter2@db/x")])).unwrap_err();
    assert!(!fault.message.contains("hunter2"), "{}", fault.message);
}

#[test]
fn zero_turns_the_age_limit_off() {
    assert_eq!(settings(&values(&[])).unwrap().node.snapshot_max_age, None);
    let limited = settings(&values(&[("snapshot.max_age", "86400")])).unwrap();
    assert_eq!(limited.node.snapshot_max_age, Some(Duration::from_secs(86_400)));
}

#[test]
fn sizes_are_counted_in_1024s() {
    let size = |text| settings(&values(&[("accounting.journal_max_size", text)])).map(|c| c.node.journal_max_size);
    assert_eq!(size("64M"), Ok(64 << 20));
    assert_eq!(size("67108864"), Ok(64 << 20));
    assert_eq!(size("1T"), Ok(1 << 40));
}

#[test]
fn a_journal_that_is_not_used_may_be_anywhere() {
    let away = ("accounting.journal", "/nonexistent/directory/journal");
    let config = settings(&values(&[away, ("accounting.mode", "database")])).unwrap();
    assert_eq!(config.node.accounting_mode, AccountingMode::Database);
}

#[test]
fn unknown_keys_are_told_from_known_ones() {
    assert_eq!(unknown("", "key_file", false), None);
    assert_eq!(unknown("", "database", true), None);
    assert_eq!(unknown("database", "url", false), None);
    assert_eq!(
        unknown("database", "conections", false).unwrap(),
        "section database has no key \"conections\" (did you mean connections?)"
    );
    assert_eq!(
        unknown("", "databases", true).unwrap(),
        "this module has no section \"databases\" (did you mean database?)"
    );
    assert!(unknown("", "url", false).is_some());
    assert!(unknown("database", "snapshot", true).is_some());
}

/// The file in `mods-available` is the manual: it documents every key, no other, and with the true default.
#[test]
fn the_manual_has_every_key_with_its_default() {
    let manual = include_str!("../../../raddb/mods-available/rust");
    let mut sections = Vec::new();
    let mut documented = Vec::new();
    for line in manual.lines().map(str::trim) {
        if let Some((key, value)) = assignment(line) {
            let path = [sections.get(1).copied(), Some(key)];
            let path = path.into_iter().flatten().collect::<Vec<_>>().join(".");
            documented.push((path, value, line.starts_with('#')));
        } else if line.starts_with('#') {
        } else if let Some(name) = line.strip_suffix('{') {
            sections.push(name.trim());
        } else if line == "}" {
            sections.pop();
        }
    }
    for key in KEYS {
        let found: Vec<_> = documented.iter().filter(|(path, ..)| *path == key.path()).collect();
        assert_eq!(found.len(), 1, "{} is documented {} times", key.path(), found.len());
        if let (Some(default), (_, value, true)) = (key.default, found[0]) {
            assert_eq!(default.to_str().unwrap(), *value, "{}", key.path());
        }
    }
    for (path, ..) in &documented {
        assert!(KEYS.iter().any(|key| key.path() == *path), "{path} is no key");
    }
}

/// `key = value`, in force or commented out as FreeRADIUS does it: `#`, a tab, the key.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("#\t").unwrap_or(line);
    let (key, value) = line.trim_start().split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then(|| (key, value.trim().trim_matches('"')))
}
