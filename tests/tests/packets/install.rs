//! `make install` into a directory of its own, and `make uninstall` out of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::artifact::{self, Module};
use tempfile::TempDir;

type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Every file and directory below, with mode and content.
fn tree(root: &Path) -> Tree {
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

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(artifact::repository("scripts/install"));
        command
            .arg(what)
            .env("DESTDIR", self.directory.path())
            .env("PREFIX", "/usr/local")
            .env("RADDBDIR", "/etc/raddb")
            .env("LIBDIR", "/usr/lib/radius")
            .env("ISP_MODULE", Module::Plain.directory().unwrap().join("rlm_rust.so"))
            .env("ISP_ISPCTL", artifact::ispctl())
            .env("ISP_CERTS", artifact::certificates());
        command
    }

    fn run(&self, what: &str) -> Output {
        self.command(what).output().unwrap()
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

    fn tree(&self) -> Tree {
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
        "etc/raddb/mods-config/rust/vendors.toml",
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
    let newer = "usr/local/share/rlm_rust/etc%raddb%sites-available%isp.new";
    assert!(stage.path(newer).is_file());
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

/// Programs in the way of the real ones: they count what is done to the stage, and cut the run short where told to.
/// What they stand in for changes files; the server's judgement of the module has its own tests.
struct Interrupter {
    directory: TempDir,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Before(usize),
    After(usize),
    Never,
}

impl Interrupter {
    fn new() -> Self {
        let directory = TempDir::with_prefix("interrupter-").unwrap();
        let script = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["cp", "install", "mkdir", "mv", "rm", "rmdir", "sort"] {
            script(
                name,
                &format!(
                    r#"#!/bin/sh
case "$*" in
*"$DESTDIR"*) step=$(($(cat "$STEPS") + 1)); echo "$step" >"$STEPS" ;;
*) step=0 ;;
esac
[ "$step" != "$CUT_BEFORE" ] || kill -KILL 0
PATH=${{PATH#*:}} {name} "$@"
status=$?
[ "$step" != "$CUT_AFTER" ] || kill -KILL 0
exit $status
"#
                ),
            );
        }
        script("freeradius", "#!/bin/sh\n");
        std::fs::write(directory.path().join("module"), "our module").unwrap();
        // One page and one word for each shell: what a cut leaves does not depend on how much there is.
        script(
            "program",
            "#!/bin/sh\nif [ \"$1\" = man ]; then echo page >\"$2/ispctl.1\"; else echo \"$2\"; fi\n",
        );
        Self { directory }
    }

    /// Run to the end or to the cut. Returns how many steps there were, `None` where it was cut short.
    fn run(&self, stage: &Stage, what: &str, cut: Cut) -> Option<usize> {
        let steps = self.directory.path().join("steps");
        std::fs::write(&steps, "0").unwrap();
        let (before, after) = match cut {
            Cut::Before(step) => (step.to_string(), String::new()),
            Cut::After(step) => (String::new(), step.to_string()),
            Cut::Never => (String::new(), String::new()),
        };
        let path = std::env::var("PATH").unwrap();
        let output = stage
            .command(what)
            .env("PATH", format!("{}:{path}", self.directory.path().display()))
            .env("TMPDIR", self.directory.path())
            .env("ISP_MODULE", self.directory.path().join("module"))
            .env("ISP_ISPCTL", self.directory.path().join("program"))
            .env("STEPS", &steps)
            .env("CUT_BEFORE", before)
            .env("CUT_AFTER", after)
            // The programs kill their whole group.
            .process_group(0)
            .output()
            .unwrap();
        if output.status.signal() == Some(9) {
            return None;
        }
        assert!(
            output.status.success(),
            "{what}, {cut:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(std::fs::read_to_string(steps).unwrap().trim().parse().unwrap())
    }

    #[track_caller]
    fn done(&self, stage: &Stage, what: &str) {
        assert!(self.run(stage, what, Cut::Never).is_some(), "{what} was not cut");
    }
}

fn names(tree: &Tree) -> Vec<&PathBuf> {
    tree.keys().collect()
}

/// As [`Stage::new`], with a module of somebody else's too.
fn stage_with_a_module() -> Stage {
    let stage = Stage::new();
    for path in [
        "lib/systemd/system",
        "share/man/man1",
        "share/bash-completion/completions",
        "share/zsh/site-functions",
        "share/fish/vendor_completions.d",
    ] {
        std::fs::create_dir_all(stage.path(&format!("usr/local/{path}"))).unwrap();
    }
    let module = stage.path("usr/lib/radius/rlm_rust.so");
    std::fs::write(&module, "an older module").unwrap();
    std::fs::set_permissions(module, std::fs::Permissions::from_mode(0o600)).unwrap();
    stage
}

#[test]
fn whatever_cuts_installing_short_it_can_be_done_again_and_undone() {
    let interrupter = Interrupter::new();
    let stage = stage_with_a_module();
    let before = stage.tree();
    let steps = interrupter.run(&stage, "install", Cut::Never).unwrap();
    let installed = stage.tree();
    interrupter.done(&stage, "uninstall");
    assert!(stage.tree() == before, "contents and modes are as they were");

    let mut last = Tree::new();
    for cut in (1..=steps).flat_map(|step| [Cut::Before(step), Cut::After(step)]) {
        let stage = stage_with_a_module();
        assert_eq!(interrupter.run(&stage, "install", cut), None, "{cut:?}");
        if stage.tree() == last {
            // Nothing was recorded since the step before.
            continue;
        }
        last = stage.tree();
        interrupter.done(&stage, "install");
        assert_eq!(names(&stage.tree()), names(&installed), "{cut:?}");
        assert!(stage.tree() == installed, "{cut:?}: installed as in one go");
        interrupter.done(&stage, "uninstall");
        assert_eq!(names(&stage.tree()), names(&before), "{cut:?}");
        assert!(stage.tree() == before, "{cut:?}: contents and modes are as they were");

        assert_eq!(interrupter.run(&stage, "install", cut), None, "{cut:?}");
        if stage.path("usr/local/share/rlm_rust/installed").exists() {
            interrupter.done(&stage, "uninstall");
            assert_eq!(names(&stage.tree()), names(&before), "{cut:?}, undone at once");
        }
        let mut left = stage.tree();
        left.retain(|path, _| before.contains_key(path));
        assert!(
            left == before,
            "{cut:?}, undone at once: contents and modes are as they were"
        );
    }
}

#[test]
fn whatever_cuts_uninstalling_short_nothing_of_the_operator_is_lost() {
    let interrupter = Interrupter::new();
    let stage = stage_with_a_module();
    let before = stage.tree();
    interrupter.done(&stage, "install");
    let steps = interrupter.run(&stage, "uninstall", Cut::Never).unwrap();

    // Nothing is recorded between the steps: after one is before the next.
    for cut in (1..=steps).map(Cut::Before) {
        for install_again in [false, true] {
            let stage = stage_with_a_module();
            interrupter.done(&stage, "install");
            assert_eq!(interrupter.run(&stage, "uninstall", cut), None, "{cut:?}");
            if install_again {
                interrupter.done(&stage, "install");
            }
            if stage.path("usr/local/share/rlm_rust/installed").exists() {
                interrupter.done(&stage, "uninstall");
            }
            // Of directories that are empty by now, those above one that was left may stay.
            let mut left = stage.tree();
            left.retain(|path, _| before.contains_key(path) || stage.path(path.to_str().unwrap()).is_file());
            assert_eq!(names(&left), names(&before), "{cut:?}");
            assert!(left == before, "{cut:?}: contents and modes are as they were");
        }
    }
}
