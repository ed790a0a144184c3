//! The API is as its document says: schemathesis asks all that the document allows, and what it does not.

use std::process::Command;

use super::{Api, Caller};
use crate::lab::{Kind, Lab};

crate::on_both_databases!(the_document_and_the_routes_say_the_same,);

/// With a token of all scopes, and with none.
fn the_document_and_the_routes_say_the_same(lab: &Lab) {
    examined(lab, "1", 5);
}

#[test]
#[ignore = "takes minutes: make openapi"]
fn openapi_of_many_examples() {
    for (seed, kind) in [("7", Kind::Sqlite), ("11", Kind::Postgres)] {
        Lab::run_on(kind, |lab| examined(lab, seed, 100));
    }
}

fn examined(lab: &Lab, seed: &str, examples: u32) {
    let Some(program) = std::env::var_os("ISP_TEST_SCHEMATHESIS") else {
        eprintln!("SKIP: ISP_TEST_SCHEMATHESIS names no program");
        return;
    };
    lab.set_up();
    lab.ctl(&["plan", "add", "gold", "--download", "100M", "--upload", "20M"])
        .ok();
    lab.ctl(&["subscriber", "add", "ada", "--status", "active"]).ok();
    let api = Api::start(lab);
    let admin = Caller::admin(lab, &api, "example");
    let authorization = format!("Authorization: Bearer {}", admin.token);
    for header in [Some(authorization.as_str()), None] {
        let run = Command::new(&program)
            .args(["run", &format!("{}/api/v1/openapi.json", api.url)])
            .args([
                "--checks",
                "all",
                "--phases",
                "examples,coverage,fuzzing",
                "--continue-on-failure",
            ])
            .args(["--max-examples", &examples.to_string(), "--seed", seed, "--no-color"])
            .args(["--generation-database", "none"])
            .args(header.map(|header| ["-H", header]).into_iter().flatten())
            .current_dir(lab.path(""))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
        let cases = told.lines().find(|line| line.contains("generated")).unwrap_or_default();
        assert!(!cases.is_empty(), "{told}");
        eprintln!(
            "{} a token: {}",
            if header.is_some() { "with" } else { "without" },
            cases.trim()
        );
    }
}
