//! `SAFETY.md` and the boundary's comments belong together.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The words after `SAFETY:` up to the next colon, by file.
fn cited() -> Vec<(String, String)> {
    let mut cited = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some((_, reason)) = line.split_once("// SAFETY: ") else {
                continue;
            };
            let (rules, _) = reason.split_once(':').unwrap_or((reason, ""));
            cited.extend(rules.split(", ").map(|rule| (file.clone(), rule.to_owned())));
        }
    }
    cited
}

fn rules() -> BTreeSet<String> {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../SAFETY.md")).unwrap();
    document
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_unsafe_block_cites_a_rule() {
    let rules = rules();
    let unknown: Vec<_> = cited().into_iter().filter(|(_, rule)| !rules.contains(rule)).collect();
    assert!(unknown.is_empty(), "not in SAFETY.md: {unknown:?}");
}

#[test]
fn every_rule_is_relied_on() {
    let cited: BTreeSet<_> = cited().into_iter().map(|(_, rule)| rule).collect();
    let idle: Vec<_> = rules().into_iter().filter(|rule| !cited.contains(rule)).collect();
    assert!(idle.is_empty(), "nothing relies on {idle:?}");
}

/// The tests that SAFETY.md names exist.
#[test]
fn every_test_it_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("SAFETY.md")).unwrap();
    let mut missing = Vec::new();
    for word in document.split('`').skip(1).step_by(2) {
        let Some((file, rest)) = word.split_once("::") else {
            continue;
        };
        let test = rest.rsplit("::").next().unwrap_or(rest);
        if !test.contains('_') {
            continue;
        }
        let name = file.strip_suffix(".rs").unwrap_or(file);
        let places = [
            format!("tests/tests/packets/{name}.rs"),
            format!("freeradius-module/src/{name}.rs"),
            format!("freeradius-module/src/{name}/tests.rs"),
            format!("freeradius-module/src/server/{name}.rs"),
        ];
        let mut texts = places
            .iter()
            .filter_map(|place| fs::read_to_string(root.join(place)).ok());
        if !texts.any(|text| text.contains(&format!("fn {test}("))) {
            missing.push(word.to_owned());
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
