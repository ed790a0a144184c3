//! Whether the server's dictionaries have what the vendors' templates name.

use std::path::{Path, PathBuf};

use isp_core::dictionary::{Definition, Definitions, Kind};
use isp_core::policy::vendor::{self, Source, VendorSet};
use isp_core::radius::Dictionary;
use isp_core::radius::dictionary::Kind as WireKind;

use super::finding::Findings;
use super::raddb::{Entry, Raddb};
use crate::context::Context;

/// Where the server's dictionaries are.
const DICTIONARY: &str = "/usr/share/freeradius/dictionary";

pub(super) fn check(context: &Context, server: Option<(&Raddb, &Entry)>, findings: &mut Findings) {
    let mut sources = Vec::new();
    for path in files(context, server) {
        match std::fs::read_to_string(&path) {
            Ok(text) => sources.push(Source { path, text }),
            Err(error) => {
                let remedy = "install it again (make install), or set another one";
                return findings.error(
                    "vendors_unreadable",
                    &path.display().to_string(),
                    &error.to_string(),
                    remedy,
                );
            }
        }
    }
    if sources.is_empty() {
        sources.push(Source {
            path: "vendors.toml".into(),
            text: vendor::SHIPPED.to_owned(),
        });
    }
    let Some(dictionary) = dictionary(context, findings) else {
        return;
    };
    let faults = VendorSet::read(&sources, &Known(&dictionary)).err().unwrap_or_default();
    for fault in faults {
        findings.error(
            "vendor_template",
            &format!("{}:{}", fault.path.display(), fault.line),
            &format!("{}: the server does not start", fault.problem),
            "mend the template, or add the attribute to the server's dictionaries",
        );
    }
}

/// Those of the server, else ispctl's.
fn files(context: &Context, server: Option<(&Raddb, &Entry)>) -> Vec<PathBuf> {
    let settings = &context.settings;
    let of_server = |name: &str| server.and_then(|(raddb, instance)| raddb.path(instance, None, name));
    let usual = || {
        let (raddb, _) = server?;
        Some(raddb.default_path("${modconfdir}/rust/vendors.toml"))
    };
    let first = of_server("vendors").or_else(|| settings.vendors.clone()).or_else(usual);
    let second = of_server("vendors_local").or_else(|| settings.vendors_local.clone());
    first.into_iter().chain(second).collect()
}

fn dictionary(context: &Context, findings: &mut Findings) -> Option<Dictionary> {
    let path = match &context.settings.coa.dictionary {
        Some(path) if path.is_dir() => path.join("dictionary"),
        Some(path) => path.clone(),
        // Where no server is, none of its dictionaries need be.
        None if Path::new(DICTIONARY).exists() => PathBuf::from(DICTIONARY),
        None => return None,
    };
    match Dictionary::load(&path) {
        Ok(dictionary) => Some(dictionary),
        Err(error) => {
            let remedy = "install freeradius-common again, or set \"dictionary\" of ispctl";
            findings.error(
                "dictionary_unreadable",
                &path.display().to_string(),
                &error.to_string(),
                remedy,
            );
            None
        }
    }
}

/// Dictionaries of files, asked as the running server's are.
struct Known<'a>(&'a Dictionary);

impl Definitions for Known<'_> {
    fn define(&self, attribute: &str) -> Result<Definition, String> {
        let entry = self
            .0
            .get(attribute)
            .ok_or_else(|| format!("{attribute} is in no dictionary of the server"))?;
        let kind = match entry.kind {
            WireKind::Text | WireKind::Octets => Kind::Text,
            WireKind::Byte | WireKind::Short | WireKind::Integer | WireKind::Integer64 | WireKind::Signed => {
                Kind::Integer
            }
            WireKind::Ipv4 => Kind::Ipv4,
            WireKind::Ipv6 => Kind::Ipv6,
            WireKind::Ipv6Prefix => Kind::Ipv6Prefix,
            other => return Err(format!("{attribute} takes {}, which cannot be written", other.noun())),
        };
        // RFC 2865 sections 5 and 5.26.
        let longest = if entry.path.len() > 1 { 247 } else { 253 };
        Ok(Definition {
            kind,
            longest: longest - usize::from(entry.tagged),
            tagged: entry.tagged,
        })
    }

    fn word(&self, attribute: &str, word: &str) -> Result<u32, String> {
        let entry = self
            .0
            .get(attribute)
            .ok_or_else(|| format!("{attribute} is in no dictionary"))?;
        entry
            .number(word)
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| format!("{attribute} has no word {word:?} in the server's dictionaries"))
    }
}
