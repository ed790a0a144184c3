//! `make install` into a directory of its own, and `make uninstall` out of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::artifact::{self, Module};
use tempfile::TempDir;

/// Every file and directory below, with mode and content.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let content = if metadata.is_dir() {
                pending.push(entry.path());
                Vec::new()
            } else {
                std::fs::read(entry.path()).unwrap()
            };
            let path = entry.path().strip_prefix(root).unwrap().to_owned();
            found.insert(path, (metadata.permissions().mode(), content));
        }
    }
    found
}

struct Stage {
    directory: TempDir,
}

impl Stage {
    /// A system that has a configuration directory, with one file of ours' name in it.
    fn new() -> Self {
        let directory = TempDir::with_prefix("install-").unwrap();
        for path in ["etc/raddb/mods-available", "etc/raddb/mods-enabled", "usr/lib/radius"] {
            std::fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        std::fs::write(
            directory.path().join("etc/raddb/mods-available/rust"),
            "somebody else's\n",
        )
        .unwrap();
        Self { directory }
    }

    fn run(&self, what: &str) -> Output {
        Command::new(artifact::repository("scripts/install"))
            .arg(what)
            .env("DESTDIR", self.directory.path())
            .env("PREFIX", "/usr/local")
            .env("RADDBDIR", "/etc/raddb")
            .env("LIBDIR", "/usr/lib/radius")
            .env("ISP_MODULE", Module::Plain.directory().unwrap().join("rlm_rust.so"))
            .env("ISP_ISPCTL", artifact::ispctl())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn done(&self, what: &str) {
        let output = self.run(what);
        assert!(
            output.status.success(),
            "{what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn tree(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        tree(self.directory.path())
    }
}

#[test]
fn uninstalling_undoes_installing_however_often_it_was_done() {
    let stage = Stage::new();
    let before = stage.tree();
    stage.done("install");
    let installed = stage.tree();
    for path in [
        "usr/lib/radius/rlm_rust.so",
        "usr/local/bin/ispctl",
        "etc/raddb/mods-available/rust",
        "etc/raddb/mods-available/eap-isp",
        "etc/raddb/sites-available/isp",
        "etc/raddb/sites-available/isp-inner-tunnel",
        "etc/raddb/policy.d/rust",
    ] {
        assert!(stage.path(path).is_file(), "{path}");
    }
    assert_eq!(
        std::fs::read_dir(stage.path("etc/raddb/mods-enabled")).unwrap().count(),
        0,
        "nothing is enabled"
    );
    stage.done("install");
    assert_eq!(
        stage.tree().keys().collect::<Vec<_>>(),
        installed.keys().collect::<Vec<_>>(),
        "installing is idempotent"
    );
    assert!(stage.tree() == installed, "installing again changes no file");
    stage.done("uninstall");
    assert_eq!(
        stage.tree().keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    assert!(stage.tree() == before, "contents and modes are as they were");
    assert!(
        !stage.run("uninstall").status.success(),
        "there is nothing left to undo"
    );
}

#[test]
fn an_edited_configuration_survives_the_next_installation() {
    let stage = Stage::new();
    stage.done("install");
    let site = stage.path("etc/raddb/sites-available/isp");
    std::fs::write(&site, "edited\n").unwrap();
    stage.done("install");
    assert_eq!(std::fs::read_to_string(&site).unwrap(), "edited\n");
    assert!(stage.path("usr/local/share/rlm_rust/isp.new").is_file());
    stage.done("uninstall");
    assert_eq!(
        std::fs::read_to_string(&site).unwrap(),
        "edited\n",
        "a person's work is not thrown away"
    );
}

#[test]
fn what_is_enabled_is_not_pulled_away_from_under_the_server() {
    let stage = Stage::new();
    stage.done("install");
    let link = stage.path("etc/raddb/mods-enabled/rust");
    std::os::unix::fs::symlink("../mods-available/rust", &link).unwrap();
    let output = stage.run("uninstall");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("mods-enabled/rust"));
    assert!(stage.path("usr/lib/radius/rlm_rust.so").is_file());
    std::fs::remove_file(link).unwrap();
    stage.done("uninstall");
}
