//! What the tests run: the built module, `ispctl`, the repository's own files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Which build of the module a server loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Module {
    #[default]
    Plain,
    /// Built with the feature `fault-injection`.
    FaultInjection,
}

impl Module {
    const fn variable(self) -> &'static str {
        match self {
            Self::Plain => "ISP_TEST_MODULE",
            Self::FaultInjection => "ISP_TEST_FAULTY_MODULE",
        }
    }

    /// Directory that holds this build as `rlm_rust.so`; `None` where `scripts/test` has not made it.
    #[must_use]
    pub fn directory(self) -> Option<PathBuf> {
        if let Some(directory) = std::env::var_os(self.variable()) {
            return Some(PathBuf::from(directory));
        }
        match self {
            Self::Plain => {
                // Outside of scripts/test: what the last `cargo build -p rlm_rust` left beside the tests.
                static LINK: OnceLock<TempDir> = OnceLock::new();
                let built = profile_directory().join("librlm_rust.so");
                assert!(
                    built.exists(),
                    "{}: first run: cargo build -p rlm_rust",
                    built.display()
                );
                let link = LINK.get_or_init(|| {
                    let directory = TempDir::new().unwrap();
                    std::os::unix::fs::symlink(&built, directory.path().join("rlm_rust.so")).unwrap();
                    directory
                });
                Some(link.path().to_owned())
            }
            Self::FaultInjection => None,
        }
    }
}

/// The server program, and where its own modules are.
#[derive(Debug, Clone)]
pub struct Server {
    pub program: PathBuf,
    pub modules: PathBuf,
}

/// Debian's FreeRADIUS, or the one that `ISP_TEST_SERVER` gives the prefix of. The module under test must have been
/// built with that server's headers.
#[must_use]
pub fn server() -> Server {
    match std::env::var_os("ISP_TEST_SERVER").map(PathBuf::from) {
        Some(prefix) => Server {
            program: prefix.join("sbin/radiusd"),
            modules: prefix.join("lib"),
        },
        None => Server {
            program: PathBuf::from("freeradius"),
            modules: PathBuf::from("/usr/lib/freeradius"),
        },
    }
}

/// The `ispctl` program.
#[must_use]
pub fn ispctl() -> PathBuf {
    let path = std::env::var_os("ISP_TEST_ISPCTL").map_or_else(|| profile_directory().join("ispctl"), PathBuf::from);
    assert!(path.exists(), "{}: first run: cargo build -p ispctl", path.display());
    path
}

/// A file of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Directory with `ca.pem` and `server.pem`, made once for all tests of a run.
#[must_use]
pub fn certificates() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = profile_directory().join("test-certificates");
        std::fs::create_dir_all(&directory).unwrap();
        let lock = std::fs::File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let status = Command::new(repository("scripts/certs"))
            .arg(&directory)
            .status()
            .unwrap();
        assert!(status.success(), "scripts/certs failed");
        directory
    })
}

/// `target/debug`, from the place of the running test (`target/debug/deps/name-hash`).
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .expect("a test lies in target/PROFILE/deps")
        .to_owned()
}
