//! The files of vendors that the configuration names.

use std::path::PathBuf;

use isp_core::policy::vendor::{self, Source};

use crate::config::Fault;

/// The texts of the files of vendors.
///
/// # Errors
/// One of them cannot be read.
pub fn sources(files: &[(&'static str, PathBuf)]) -> Result<Vec<Source>, Fault> {
    let read = |(key, path): &(&'static str, PathBuf)| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Source {
            path: path.clone(),
            text,
        }),
        Err(why) => Err(Fault::new(key, format!("{key} = {}: {why}", path.display()))),
    };
    files.iter().map(read).collect()
}

/// What is wrong with the files of vendors, each with its own file and line, at the key that names the first of them.
pub fn fault(files: &[(&'static str, PathBuf)], faults: &[vendor::Fault]) -> Fault {
    let named = faults
        .first()
        .and_then(|first| files.iter().find(|(_, path)| *path == first.path));
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Fault::new(named.map_or("vendors", |(key, _)| key), told.join("; "))
}
