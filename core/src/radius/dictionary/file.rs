//! Reading dictionary files.

use std::path::{Path as FilePath, PathBuf};

use super::{Dictionary, Encryption, Entry, Kind, Path, VSA, Vendor};

/// Files that include one another go no deeper.
const DEEPEST: usize = 20;
/// No dictionary file is longer.
const LONGEST: u64 = 16 << 20;

/// What is wrong with a dictionary.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: {problem}")]
    Line { path: String, line: usize, problem: String },
}

/// What lines before say of those that follow.
struct Reader<'d> {
    dictionary: &'d mut Dictionary,
    /// Vendors by name.
    vendors: Vec<(String, u32)>,
    /// Words of attributes that are not defined yet.
    early: Vec<(String, String, u64)>,
    scope: Vec<Path>,
}

impl Dictionary {
    /// Read a file and those it includes, as `/usr/share/freeradius/dictionary`. The server's own attributes, which are
    /// in no packet, are left out.
    ///
    /// # Errors
    /// A file cannot be read, or does not follow the form: it says where.
    pub fn load(path: &FilePath) -> Result<Self, DictionaryError> {
        let mut dictionary = Self::empty();
        let mut reader = Reader::new(&mut dictionary);
        reader.file(path, 0)?;
        reader.finish();
        Ok(dictionary)
    }

    /// Add the definitions of a text; it can include nothing.
    ///
    /// # Errors
    /// It does not follow the form.
    pub fn add(&mut self, text: &str) -> Result<(), DictionaryError> {
        let mut reader = Reader::new(self);
        reader.lines(text, None, 0)?;
        reader.finish();
        Ok(())
    }
}

impl<'d> Reader<'d> {
    const fn new(dictionary: &'d mut Dictionary) -> Self {
        Self {
            dictionary,
            vendors: Vec::new(),
            early: Vec::new(),
            scope: Vec::new(),
        }
    }

    fn file(&mut self, path: &FilePath, depth: usize) -> Result<(), DictionaryError> {
        use std::io::Read as _;
        let failed = |source| DictionaryError::Read {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        // Comments have names in other character sets.
        self.lines(&String::from_utf8_lossy(&bytes), Some(path), depth)
    }

    fn lines(&mut self, text: &str, path: Option<&FilePath>, depth: usize) -> Result<(), DictionaryError> {
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let include = match words.as_slice() {
                ["$INCLUDE" | "$INCLUDE-", name] => Some(*name),
                _ => None,
            };
            let result = match (include, path) {
                (Some(name), Some(path)) if depth < DEEPEST => {
                    let included = path.parent().unwrap_or(path).join(name);
                    match self.file(&included, depth + 1) {
                        Err(DictionaryError::Read { .. }) if words.first() == Some(&"$INCLUDE-") => {}
                        other => other?,
                    }
                    Ok(())
                }
                (Some(_), _) => Err("nothing can be included here".to_owned()),
                (None, _) => self.line(&words),
            };
            result.map_err(|problem| DictionaryError::Line {
                path: path.map_or_else(|| "dictionary".to_owned(), |path| path.display().to_string()),
                line: number + 1,
                problem,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["ATTRIBUTE", name, number, kind, rest @ ..] => self.attribute(name, number, kind, rest),
            ["VALUE", attribute, word, number] => {
                let number = integer(number)?;
                let known = self.dictionary.names.get(&attribute.to_ascii_lowercase());
                match known.and_then(|at| self.dictionary.entries.get_mut(*at)) {
                    Some(entry) => entry.words.push(((*word).to_owned(), number)),
                    None => self.early.push(((*attribute).to_owned(), (*word).to_owned(), number)),
                }
                Ok(())
            }
            ["VENDOR", name, number, rest @ ..] => {
                let number = small(number)?;
                let form = rest.iter().find_map(|word| word.strip_prefix("format="));
                let vendor = form.map_or_else(|| Ok(Vendor::default()), format)?;
                self.vendors.push(((*name).to_owned(), number));
                self.dictionary.vendors.insert(number, vendor);
                Ok(())
            }
            ["BEGIN-VENDOR", name, rest @ ..] => {
                let vendor = self.vendor(name)?;
                let inside = rest
                    .iter()
                    .find_map(|word| word.strip_prefix("format=Extended-Vendor-Specific-"));
                let path = match inside {
                    Some(number) => vec![240 + small(number)?, VSA, vendor],
                    None => vec![VSA, vendor],
                };
                self.scope.push(path);
                Ok(())
            }
            ["BEGIN-TLV", name] => {
                let entry = self
                    .dictionary
                    .get(name)
                    .ok_or_else(|| format!("there is no TLV {name}"))?;
                let path = entry.path.clone();
                self.scope.push(path);
                Ok(())
            }
            ["END-VENDOR" | "END-TLV", _] => match self.scope.pop() {
                Some(_) => Ok(()),
                None => Err("nothing was begun".to_owned()),
            },
            // What newer servers may say besides.
            _ => Ok(()),
        }
    }

    fn attribute(&mut self, name: &str, number: &str, kind: &str, rest: &[&str]) -> Result<(), String> {
        let numbers: Path = number.split('.').map(small).collect::<Result<_, _>>()?;
        let mut path = self.scope.last().cloned().unwrap_or_default();
        let flags: Vec<&str> = rest.iter().flat_map(|word| word.split(',')).collect();
        if path.is_empty()
            && let Some(vendor) = rest.iter().find_map(|word| self.vendor(word).ok())
        {
            path = vec![VSA, vendor];
        }
        path.extend(numbers);
        if path.first().is_none_or(|first| !(1..=255).contains(first)) {
            // The server's own.
            return Ok(());
        }
        let encryption = match flags.iter().find_map(|flag| flag.strip_prefix("encrypt=")) {
            None => Encryption::None,
            Some("1") => Encryption::UserPassword,
            Some("2") => Encryption::TunnelPassword,
            Some("3") => Encryption::Ascend,
            Some(other) => return Err(format!("there is no encryption {other}")),
        };
        self.dictionary.define(Entry {
            name: name.to_owned(),
            path,
            kind: Kind::from_word(kind).ok_or_else(|| format!("there is no type {kind}"))?,
            tagged: flags.contains(&"has_tag"),
            encryption,
            words: Vec::new(),
        });
        Ok(())
    }

    fn vendor(&self, name: &str) -> Result<u32, String> {
        let found = self
            .vendors
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found
            .map(|(_, number)| *number)
            .ok_or_else(|| format!("there is no vendor {name}"))
    }

    fn finish(self) {
        for (attribute, word, number) in self.early {
            let at = self.dictionary.names.get(&attribute.to_ascii_lowercase());
            if let Some(entry) = at.and_then(|at| self.dictionary.entries.get_mut(*at)) {
                entry.words.push((word, number));
            }
        }
    }
}

/// `format=2,1`, `format=1,1,c`.
fn format(form: &str) -> Result<Vendor, String> {
    let parts: Vec<&str> = form.split(',').collect();
    let (number, length, continued) = match parts.as_slice() {
        [number, length] => (number, length, false),
        [number, length, "c"] => (number, length, true),
        _ => return Err(format!("there is no format {form}")),
    };
    let number = ["1", "2", "4"].contains(number).then(|| number.parse().ok()).flatten();
    let length = ["0", "1", "2"].contains(length).then(|| length.parse().ok()).flatten();
    match (number, length) {
        (Some(number), Some(length)) => Ok(Vendor {
            number,
            length,
            continued,
        }),
        _ => Err(format!("there is no format {form}")),
    }
}

fn integer(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no number"))
}

fn small(text: &str) -> Result<u32, String> {
    u32::try_from(integer(text)?).map_err(|_| format!("{text} is too great"))
}
