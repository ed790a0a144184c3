//! The server's program and the module's file: one build of the module belongs to one release of the server.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::finding::Findings;
use super::raddb::Raddb;

pub(super) fn check(raddb: &Raddb, modules: Option<&Path>, program: Option<&Path>, findings: &mut Findings) {
    let running = release(program, findings);
    let Some(file) = module(raddb, modules, findings) else {
        return;
    };
    let shown = file.display().to_string();
    let built = match std::fs::read(&file) {
        Ok(bytes) => built_for(&bytes),
        Err(error) => {
            return findings.error(
                "module_unreadable",
                &shown,
                &error.to_string(),
                "let the server's user read it",
            );
        }
    };
    match (built, running) {
        (None, _) => findings.error(
            "module_foreign",
            &shown,
            "it does not say for which release of FreeRADIUS it was built",
            "install the module again: make install",
        ),
        (Some(built), Some(running)) if built != running => findings.error(
            "module_version",
            &shown,
            &format!("it was built for FreeRADIUS {built}, and the server is {running}: the server refuses to load it"),
            &format!("build and install the module again with the headers of {running}"),
        ),
        _ => {}
    }
}

/// The server's release, `3.2.1`.
fn release(program: Option<&Path>, findings: &mut Findings) -> Option<String> {
    let names: Vec<PathBuf> = match program {
        Some(program) => vec![program.to_owned()],
        None => ["freeradius", "radiusd", "/usr/sbin/freeradius", "/usr/sbin/radiusd"]
            .map(PathBuf::from)
            .to_vec(),
    };
    let output = names.iter().find_map(|name| Command::new(name).arg("-v").output().ok());
    let shown = program.map_or_else(|| "freeradius".to_owned(), |program| program.display().to_string());
    let Some(output) = output else {
        findings.error(
            "server_missing",
            &shown,
            "the RADIUS server's program is not there",
            "install FreeRADIUS 3.2, or name it with --server",
        );
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let release = text
        .split_once("FreeRADIUS Version ")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit() && c != '.').next());
    if release.is_none() {
        findings.warning(
            "server_version",
            &shown,
            "it does not tell its release",
            "see what it says with -v",
        );
    }
    release.map(str::to_owned)
}

fn module(raddb: &Raddb, modules: Option<&Path>, findings: &mut Findings) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = match modules {
        Some(directory) => vec![directory.to_owned()],
        None => {
            let path = std::env::var_os("FR_LIBRARY_PATH").unwrap_or_default();
            let libdir = raddb
                .global("libdir")
                .unwrap_or_else(|| "/usr/lib/freeradius".to_owned());
            std::env::split_paths(&path).chain([PathBuf::from(libdir)]).collect()
        }
    };
    let found = directories
        .iter()
        .filter(|directory| directory.as_os_str() != OsStr::new(""))
        .map(|directory| directory.join("rlm_rust.so"))
        .find(|file| file.exists());
    if found.is_none() {
        let looked: Vec<String> = directories
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        findings.error(
            "module_missing",
            &looked.join(":"),
            "rlm_rust.so is not there",
            "make install, or name its directory with --modules",
        );
    }
    found
}

fn built_for(bytes: &[u8]) -> Option<String> {
    const WORDS: &[u8] = b"built for FreeRADIUS ";
    let at = bytes.windows(WORDS.len()).position(|window| window == WORDS)?;
    let rest = bytes.get(at + WORDS.len()..)?;
    let release: String = rest
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    (!release.is_empty()).then_some(release)
}
