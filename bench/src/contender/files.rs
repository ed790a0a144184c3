//! Stock `files`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::contender::reply_rows;
use crate::error::{Error, Result};
use crate::population::Member;
use crate::server::Module;

/// Write the authorize file into `directory`.
pub(crate) fn prepare(directory: &Path, users: u32) -> Result<Module> {
    let path = directory.join("authorize");
    write(&path, users).map_err(|e| Error::io(format!("write {}", path.display()), e))?;
    Ok(Module {
        name: "files",
        section: format!("\tfiles {{\n\t\tfilename = {}\n\t}}\n", path.display()),
        logs: false,
        accounts: false,
        library_dir: None,
    })
}

fn write(path: &Path, users: u32) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for member in (0..users).map(Member) {
        writeln!(
            out,
            "\"{}\" Cleartext-Password := \"{}\"",
            member.username_text(),
            member.password_text()
        )?;
        let rows = reply_rows(member);
        for (index, (attribute, value)) in rows.iter().enumerate() {
            let separator = if index + 1 < rows.len() { "," } else { "" };
            writeln!(out, "\t{attribute} = \"{value}\"{separator}")?;
        }
    }
    out.flush()
}
