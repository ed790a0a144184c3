//! The key file: text in, text out, with the care a key deserves.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::sealed::parse_id;
use super::{KEY, KeyRing, Ring, Secret, SecretError};

const VERSION_LINE: &str = "isp-keys 1";

const HEADER: &str = "\
# Keys that open the secrets in the database. Back this file up apart from the database: without it they are lost.
# One `key ID BASE64 [primary]` a line. The primary key seals, all of them open.
";

/// No key file is longer: this much is thousands of keys.
const MAX_FILE: u64 = 1 << 20;

/// A key file, line by line, so that a rotation keeps the operator's comments.
#[derive(Debug)]
pub(super) struct KeyFile {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// The version line, a comment or nothing.
    Other(String),
    Key(Key),
}

#[derive(Debug)]
struct Key {
    id: u32,
    value: Secret<[u8; KEY]>,
    primary: bool,
}

/// Read and check the file.
pub(super) fn read(path: &Path) -> Result<KeyFile, SecretError> {
    load(path).map(|(key_file, _)| key_file)
}

fn load(path: &Path) -> Result<(KeyFile, Owner), SecretError> {
    let (file, owner) = open_checked(path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|source| failed("read", path, source))?;
    Ok((KeyFile::parse(path, &text)?, owner))
}

/// Write a new file with one fresh key.
pub(super) fn create(path: &Path) -> Result<KeyFile, SecretError> {
    let key_file = KeyFile {
        lines: VERSION_LINE
            .lines()
            .chain(HEADER.lines())
            .map(|line| Line::Other(line.to_owned()))
            .chain([Line::Key(Key::fresh(1)?)])
            .collect(),
    };
    let mut file = create_new(path).map_err(|source| failed("create", path, source))?;
    let written = key_file
        .write(&mut file)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(path));
    if let Err(source) = written {
        // Half a key file would block the next attempt.
        let _ = std::fs::remove_file(path);
        return Err(failed("write", path, source));
    }
    Ok(key_file)
}

/// Add a fresh primary key.
pub(super) fn rotate(path: &Path) -> Result<KeyFile, SecretError> {
    // A symbolic link stays one: what it points to is replaced.
    let path = &path.canonicalize().map_err(|source| failed("find", path, source))?;
    // The name is fixed, so that it is a lock as well. Taken before reading: two rotations must not start from one state.
    let temporary = suffixed(path, ".new");
    let mut file = match create_new(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SecretError::RotationUnderWay {
                path: path.clone(),
                temporary,
            });
        }
        created => created.map_err(|source| failed("replace", path, source))?,
    };
    let replaced = replace(path, &temporary, &mut file);
    if replaced.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    replaced
}

fn replace(path: &Path, temporary: &Path, file: &mut File) -> Result<KeyFile, SecretError> {
    let (mut key_file, owner) = load(path)?;
    key_file.add_primary(path)?;
    // Whoever could use the old file (the server's own user, when root rotates) must be able to use the new one.
    let own = file.metadata().map_err(|source| failed("replace", path, source))?;
    if (own.uid(), own.gid()) != (owner.uid, owner.gid) {
        fchown(&*file, Some(owner.uid), Some(owner.gid)).map_err(|source| failed("replace", path, source))?;
    }
    key_file
        .write(file)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(temporary, path))
        .and_then(|()| sync_directory(path))
        .map_err(|source| failed("replace", path, source))?;
    Ok(key_file)
}

struct Owner {
    uid: u32,
    gid: u32,
}

/// Open the file and check, on what was opened, that nobody else can use it.
fn open_checked(path: &Path) -> Result<(File, Owner), SecretError> {
    let file = File::open(path).map_err(|source| failed("open", path, source))?;
    let metadata = file.metadata().map_err(|source| failed("open", path, source))?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let owner = metadata.uid();
    check_owner(path, owner, rustix::process::geteuid().as_raw())?;
    let gid = metadata.gid();
    Ok((file, Owner { uid: owner, gid }))
}

/// Root administers the files of the server's user; anybody else uses only its own and root's.
pub(super) fn check_owner(path: &Path, owner: u32, user: u32) -> Result<(), SecretError> {
    if user == 0 || owner == 0 || owner == user {
        return Ok(());
    }
    Err(SecretError::Owner {
        path: path.to_owned(),
        owner,
        user,
    })
}

/// `O_EXCL`: neither an existing file nor a planted link is written to.
fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // The umask may have taken even the owner's bits.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// A new name in a directory is durable only once the directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> SecretError {
    SecretError::KeyFile {
        action,
        path: path.to_owned(),
        source,
    }
}

impl KeyFile {
    fn parse(path: &Path, text: &str) -> Result<Self, SecretError> {
        let mut lines = Vec::new();
        let mut versioned = false;
        for (index, line) in text.lines().enumerate() {
            let problem = |problem| SecretError::Line {
                path: path.to_owned(),
                line: index + 1,
                problem,
            };
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                lines.push(Line::Other(line.to_owned()));
            } else if !versioned {
                if content != VERSION_LINE {
                    return Err(problem("expected the line `isp-keys 1` before all keys"));
                }
                versioned = true;
                lines.push(Line::Other(line.to_owned()));
            } else {
                let key = Key::parse(content).map_err(problem)?;
                let same = |line: &Line| matches!(line, Line::Key(known) if known.id == key.id);
                if lines.iter().any(same) {
                    return Err(problem("this key id stands on an earlier line too"));
                }
                lines.push(Line::Key(key));
            }
        }
        let key_file = Self { lines };
        let count = key_file.keys().filter(|key| key.primary).count();
        if count != 1 {
            return Err(SecretError::Primary {
                path: path.to_owned(),
                count,
            });
        }
        Ok(key_file)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.lines.iter().filter_map(|line| match line {
            Line::Key(key) => Some(key),
            Line::Other(_) => None,
        })
    }

    fn add_primary(&mut self, path: &Path) -> Result<(), SecretError> {
        let newest = self.keys().map(|key| key.id).max().unwrap_or(0);
        let id = newest.checked_add(1).ok_or_else(|| SecretError::Line {
            path: path.to_owned(),
            line: self.lines.len(),
            problem: "no key id is left above the highest one",
        })?;
        for line in &mut self.lines {
            if let Line::Key(key) = line {
                key.primary = false;
            }
        }
        self.lines.push(Line::Key(Key::fresh(id)?));
        Ok(())
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        // Room for all of it at once: a reallocation would leave a copy of the keys behind.
        let mut text = Zeroizing::new(String::with_capacity(self.lines.iter().map(Line::most_bytes).sum()));
        for line in &self.lines {
            match line {
                Line::Other(line) => text.push_str(line),
                Line::Key(key) => {
                    text.push_str(&format!("key {} ", key.id));
                    STANDARD.encode_string(key.value.expose(), &mut text);
                    text.push_str(if key.primary { " primary" } else { "" });
                }
            }
            text.push('\n');
        }
        file.write_all(text.as_bytes())
    }

    pub(super) fn into_ring(self, path: &Path) -> Result<KeyRing, SecretError> {
        let primary = self.keys().find(|key| key.primary).map(|key| key.id);
        Ok(KeyRing(Arc::new(Ring {
            path: path.to_owned(),
            primary: primary.ok_or_else(|| SecretError::Primary {
                path: path.to_owned(),
                count: 0,
            })?,
            keys: self.keys().map(|key| (key.id, key.value.clone())).collect(),
        })))
    }
}

impl Line {
    fn most_bytes(&self) -> usize {
        match self {
            Self::Other(line) => line.len() + 1,
            Self::Key(_) => 80,
        }
    }
}

impl Key {
    /// A fresh primary key.
    fn fresh(id: u32) -> Result<Self, SecretError> {
        let mut value = Zeroizing::new([0; KEY]);
        getrandom::fill(value.as_mut_slice())?;
        Ok(Self {
            id,
            value: Secret::new(*value),
            primary: true,
        })
    }

    fn parse(content: &str) -> Result<Self, &'static str> {
        let mut words = content.split_ascii_whitespace();
        if words.next() != Some("key") {
            return Err("expected `key ID BASE64 [primary]`");
        }
        let id = words
            .next()
            .and_then(parse_id)
            .ok_or("the key id is not a number from 1 to 4294967295")?;
        let value = words.next().ok_or("the key itself is missing")?;
        // One more than a key has, since the decoder wants room for a whole last group.
        let mut bytes = Zeroizing::new([0; KEY + 1]);
        let value = match STANDARD.decode_slice(value, bytes.as_mut_slice()) {
            Ok(KEY) => bytes.first_chunk::<KEY>().copied().map(Secret::new),
            Ok(_) | Err(_) => None,
        };
        let value = value.ok_or("the key is not 32 bytes in base64")?;
        let primary = match words.next() {
            None => false,
            Some("primary") => true,
            Some(_) => return Err("only `primary` may follow the key"),
        };
        if words.next().is_some() {
            return Err("there is something after the key");
        }
        Ok(Self { id, value, primary })
    }
}
