//! Passwords and shared secrets come from a file, standard input, the environment or a prompt; never from an argument.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use isp_core::secret::Secret;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// 32 letters and digits that nobody mistakes for one another: five bits each, without bias.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Far above any password, far below what would hurt.
const READ_MAX: u64 = 4096;

/// What is asked for, in the operator's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) what: &'static str,
    pub(crate) variable: &'static str,
    /// Characters of a generated one.
    pub(crate) length: usize,
    /// Bytes that fit.
    pub(crate) max: usize,
}

/// 20 characters are 100 bits. User-Password carries 128 bytes at most (RFC 2865 section 5.2).
pub(crate) const PASSWORD: Wanted = Wanted {
    what: "password",
    variable: "ISP_PASSWORD",
    length: 20,
    max: 128,
};

/// 32 characters are 160 bits; RFC 2865 section 3 asks for 16 octets or more.
pub(crate) const NAS_SECRET: Wanted = Wanted {
    what: "secret",
    variable: "ISP_NAS_SECRET",
    length: 32,
    max: 128,
};

/// What NetBox signs its webhooks with; as wide as its column.
pub(crate) const WEBHOOK_SECRET: Wanted = Wanted {
    what: "webhook secret",
    variable: "NETBOX_WEBHOOK_SECRET",
    length: 40,
    max: 255,
};

/// NetBox makes them: nothing is generated here.
pub(crate) const NETBOX_TOKEN: Wanted = Wanted {
    what: "token",
    variable: "NETBOX_API_TOKEN",
    length: 40,
    max: 256,
};

/// Of a system beside this one, which makes them.
pub(crate) const SERVICE_SECRET: Wanted = Wanted {
    what: "password or token",
    variable: "ISP_SERVICE_SECRET",
    length: 40,
    max: 2_048,
};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
    Environment,
    Prompt,
    Generate,
}

impl Source {
    /// The source a file option names: `-` is standard input.
    pub(crate) fn file(path: &Path) -> Self {
        if path.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(path.to_owned())
        }
    }

    /// Where to read from when nothing is said: the environment, else a terminal's prompt, else standard input.
    pub(crate) fn unsaid(wanted: Wanted) -> Self {
        if Self::in_environment(wanted) {
            Self::Environment
        } else if io::stdin().is_terminal() {
            Self::Prompt
        } else {
            Self::Stdin
        }
    }

    pub(crate) fn in_environment(wanted: Wanted) -> bool {
        std::env::var_os(wanted.variable).is_some_and(|value| !value.is_empty())
    }

    /// Obtain and check the secret.
    pub(crate) fn read(&self, wanted: Wanted) -> Result<Secret<String>> {
        let text = match self {
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
                first_line(file).map_err(|e| Error::file(path, e))?
            }
            Self::Stdin => first_line(io::stdin().lock()).map_err(Error::Stdin)?,
            Self::Environment => {
                let value = std::env::var(wanted.variable)
                    .map_err(|_| Error::Refused(format!("{} is not UTF-8", wanted.variable)))?;
                Zeroizing::new(value)
            }
            Self::Prompt => prompt(wanted)?,
            Self::Generate => generate(wanted.length)?,
        };
        check(wanted, &text).map_err(Error::Refused)?;
        Ok(Secret::new(text.to_string()))
    }
}

pub(crate) fn check(wanted: Wanted, text: &str) -> std::result::Result<(), String> {
    let what = wanted.what;
    if text.is_empty() {
        Err(format!("the {what} is empty"))
    } else if text.len() > wanted.max {
        Err(format!(
            "the {what} is {} bytes long, at most {} fit",
            text.len(),
            wanted.max
        ))
    } else if text.contains(char::is_control) {
        Err(format!("the {what} holds a control character"))
    } else {
        Ok(())
    }
}

/// The first line, without its end.
fn first_line(source: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source.take(READ_MAX).read_to_string(&mut text)?;
    let line = text.split('\n').next().unwrap_or_default();
    Ok(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn prompt(wanted: Wanted) -> Result<Zeroizing<String>> {
    let terminal = console::Term::stderr();
    if !io::stdin().is_terminal() || !terminal.is_term() {
        return Err(Error::Usage(format!(
            "there is no terminal to ask for the {} on",
            wanted.what
        )));
    }
    let ask = |text: String| -> Result<Zeroizing<String>> {
        terminal.write_str(&text).map_err(Error::Stdin)?;
        terminal.read_secure_line().map(Zeroizing::new).map_err(Error::Stdin)
    };
    let first = ask(format!("New {}: ", wanted.what))?;
    if *first != *ask(format!("New {} again: ", wanted.what))? {
        return Err(Error::Refused(format!("the two {}s differ", wanted.what)));
    }
    Ok(first)
}

fn generate(length: usize) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0_u8; length]);
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    Ok(Zeroizing::new(letters.map(|&letter| char::from(letter)).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_first_line_counts() {
        for (text, line) in [
            ("pw", "pw"),
            ("pw\n", "pw"),
            ("pw\r\nx", "pw"),
            (" a b \n", " a b "),
            ("", ""),
        ] {
            assert_eq!(*first_line(text.as_bytes()).unwrap(), line);
        }
    }

    #[test]
    fn generated_ones_have_their_length_and_differ() {
        let (a, b) = (generate(20).unwrap(), generate(20).unwrap());
        assert_eq!(a.len(), 20);
        assert_ne!(*a, *b);
        assert!(a.bytes().all(|c| ALPHABET.contains(&c)));
    }

    #[test]
    fn a_password_fits_user_password() {
        assert!(check(PASSWORD, &"x".repeat(128)).is_ok());
        assert!(check(PASSWORD, &"x".repeat(129)).is_err());
        assert!(check(PASSWORD, "a\0b").is_err());
        assert!(check(PASSWORD, "").is_err());
    }
}
