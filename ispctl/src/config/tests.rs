//! Of the settings.
#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../ispctl.toml");

/// `key = value` lines, commented out or not; prose has a blank after `#`.
fn example_keys(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .collect()
}

#[test]
fn the_example_explains_exactly_the_keys_there_are() {
    let (rest, netbox) = EXAMPLE.split_once("\n#[netbox]\n").unwrap();
    let (top, api) = rest.split_once("\n#[api]\n").unwrap();
    let known = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<&str>>();
    let mut explained = example_keys(top);
    explained.extend(["api", "netbox"]);
    assert_eq!(explained, known(field_names::<File>()));
    assert_eq!(example_keys(api), known(field_names::<ApiTable>()));
    assert_eq!(example_keys(netbox), known(field_names::<netbox::Table>()));
}

#[test]
fn the_example_is_valid_as_shipped_and_with_every_key_set() {
    let path = Path::new("ispctl.toml");
    parse(path, EXAMPLE).unwrap();
    let all_set: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = parse(path, &all_set).unwrap();
    assert!(file.tenant.is_some() && file.reseal_batch.is_some() && file.database_url.is_some());
}

#[test]
fn unknown_keys_are_told_with_line_and_nearest_key() {
    let error = parse(
        Path::new("x.toml"),
        "# one\n\ndatabse_url = \"postgres://u:hunter2@h/d\"\n",
    )
    .unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "x.toml:3: unknown key \"databse_url\": did you mean \"database_url\"?"
    );
    let far = parse(Path::new("x.toml"), "zzz = 1\n").unwrap_err().to_string();
    assert!(far.contains("the keys are database_url"), "{far}");
}

#[test]
fn malformed_files_are_told_by_line_without_the_line() {
    for text in [
        "tenant = \"a\"\ndatabase_url = \"postgres://u:hunter2@h/d\n",
        "\ndatabase_url = [\"hunter2\"]\n",
    ] {
        let told = parse(Path::new("x.toml"), text).unwrap_err().to_string();
        assert!(told.starts_with("x.toml:2: "), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn passwords_are_found_in_urls_and_never_shown() {
    for url in [
        "postgres://u:hunter2@h:5432/d",
        "postgres://u:hun/ter2@h/d",
        "postgres://u@h/d?sslmode=require&password=hunter2",
        "postgres://u@h/d?p%61ssword=hunter2",
    ] {
        assert!(holds_password(url), "{url}");
        assert!(!shown_url(url).contains("ter2"), "{}", shown_url(url));
    }
    for url in [
        "postgres://u@h:5432/d",
        "sqlite:///var/lib/isp/a:b.db",
        "sqlite://isp.db",
    ] {
        assert!(!holds_password(url), "{url}");
        assert_eq!(shown_url(url), url);
    }
    assert_eq!(shown_url("postgres://u:p@h:5432/d?x=y"), "postgres://u@h:5432/d");
}
