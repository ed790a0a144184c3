//! What a server keeps on this machine: its journal, and its copy of the subscribers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use isp_core::accounting::aside;
use isp_core::accounting::journal::Journal;
use rustix::fs::{FsWord, statfs, statvfs};

use super::finding::Findings;
use super::raddb::{Entry, Raddb};

/// Records on their way are younger.
const BACKLOG: i64 = 120;
/// A copy that nobody rewrote for a day.
const OLD: u64 = 86_400;
/// tmpfs and ramfs of linux/magic.h.
const MEMORY: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];

pub(super) fn check(raddb: &Raddb, instance: &Entry, findings: &mut Findings) {
    let accounting = instance.section("accounting");
    let mode = accounting.and_then(|section| raddb.value(section, "mode"));
    if mode.as_deref() != Some("database") {
        let directory = raddb
            .path(instance, Some("accounting"), "journal")
            .unwrap_or_else(|| raddb.default_path("${db_dir}/accounting"));
        let most = accounting.and_then(|section| raddb.value(section, "journal_max_size"));
        journal(&directory, &most.unwrap_or_else(|| "4G".to_owned()), findings);
    }
    if let Some(file) = raddb.path(instance, Some("snapshot"), "file") {
        snapshot(&file, findings);
    }
}

fn journal(directory: &Path, most: &str, findings: &mut Findings) {
    let shown = directory.display().to_string();
    // A server that has not begun yet makes it.
    if !directory.exists() {
        let parent = directory.parent().unwrap_or(Path::new("/"));
        if !parent.is_dir() {
            findings.error(
                "journal_no_place",
                &shown,
                "the directory it would be made in is not there",
                &format!("mkdir {}", parent.display()),
            );
        }
        return;
    }
    match Journal::survey(directory) {
        Ok(survey) => {
            if survey.damaged_files > 0 {
                let problem = format!("{} file(s) had something unreadable in them", survey.damaged_files);
                findings.error(
                    "journal_damaged",
                    &shown,
                    &problem,
                    "look at the disk; keep or delete the *.damaged files once they are looked into",
                );
            }
            if survey.missing > 0 {
                let problem = format!(
                    "{} acknowledged record(s) are missing among those that wait",
                    survey.missing
                );
                findings.error(
                    "journal_gaps",
                    &shown,
                    &problem,
                    "look at the disk: what is missing was not kept by it",
                );
            }
            let age = survey
                .oldest
                .map_or(0, |oldest| jiff::Timestamp::now().as_second() - oldest);
            if age > BACKLOG {
                let problem = format!(
                    "{} record(s) wait for the database, the first for {age} s",
                    survey.records
                );
                let remedy = if survey.in_use {
                    "see the server's log for why the database does not take them"
                } else {
                    "start the server that owns it: nobody hands them on"
                };
                findings.warning("journal_backlog", &shown, &problem, remedy);
            }
        }
        Err(error) => findings.error(
            "journal_unreadable",
            &shown,
            &error.to_string(),
            "let the user that runs this read it, or look at the disk",
        ),
    }
    let refused = directory.join(aside::NAME);
    match aside::count(&refused) {
        Ok(0) => {}
        Ok(count) => {
            let problem = format!("{count} record(s) that the database refused lie beside the journal");
            findings.error(
                "records_refused",
                &refused.display().to_string(),
                &problem,
                "mend what each says is wrong, then ispctl accounting retry",
            );
        }
        Err(error) => findings.error(
            "journal_unreadable",
            &refused.display().to_string(),
            &error.to_string(),
            "let the user that runs this read it",
        ),
    }
    space(directory, most, findings);
}

fn space(directory: &Path, most: &str, findings: &mut Findings) {
    let shown = directory.display().to_string();
    if statfs(directory).is_ok_and(|stat| MEMORY.contains(&stat.f_type)) {
        let problem = "it is in memory: records that were acknowledged are gone with the machine's power";
        findings.error(
            "journal_in_memory",
            &shown,
            problem,
            "set accounting { journal } to a directory on a disk",
        );
    }
    let (Some(most), Ok(stat)) = (octets(most), statvfs(directory)) else {
        return;
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    // An eighth of what it may take is hours of accounting.
    if free < most / 8 {
        let problem = format!("{} MB are free, and the journal may take {} MB", free >> 20, most >> 20);
        findings.warning(
            "journal_space",
            &shown,
            &problem,
            "make room, or lower journal_max_size",
        );
    }
}

/// `4G` as octets.
fn octets(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().ok()?;
    let shift = match text.get(digits.len()..)?.chars().next().map(|c| c.to_ascii_uppercase()) {
        None => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        Some(_) => return None,
    };
    number.checked_shl(shift)
}

fn snapshot(file: &Path, findings: &mut Findings) {
    let shown = file.display().to_string();
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Written when the server first runs, if it has a place.
            if !file.parent().is_some_and(Path::is_dir) {
                findings.error(
                    "snapshot_no_place",
                    &shown,
                    "the directory it would be written to is not there",
                    "make it, the server's user its owner",
                );
            }
            return;
        }
        Err(error) => {
            return findings.error(
                "snapshot_unreadable",
                &shown,
                &error.to_string(),
                "let the user that runs this read it",
            );
        }
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        let problem = "others can read it, and the subscribers' passwords are in it as in the database";
        findings.error("snapshot_exposed", &shown, problem, &format!("chmod 0600 {shown}"));
    }
    match isp_core::snapshot::Snapshot::confirmed_at(file) {
        Ok(confirmed) => {
            let age = jiff::Timestamp::now().as_second() - confirmed;
            if age.unsigned_abs() > OLD && age > 0 {
                let problem = format!(
                    "it is {} hours old: a server that starts without the database serves from it",
                    age / 3_600
                );
                findings.warning(
                    "snapshot_old",
                    &shown,
                    &problem,
                    "see the server's log for why it is not rewritten",
                );
            }
        }
        Err(error) => {
            let remedy = "delete it: the server writes another from the database";
            findings.error(
                "snapshot_damaged",
                &shown,
                &format!("it cannot be used: {error}"),
                remedy,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::octets;

    #[test]
    fn sizes_are_read_as_the_module_reads_them() {
        assert_eq!(octets("64M"), Some(64 << 20));
        assert_eq!(octets("4G"), Some(4 << 30));
        assert_eq!(octets("many"), None);
    }
}
