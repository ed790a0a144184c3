//! The RADIUS server's configuration, read as the server does: files, sections, pairs and variables.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A pair, a call or a section.
#[derive(Debug)]
pub(super) struct Entry {
    /// Up to the brace, or the end of the line.
    pub(super) text: String,
    file: PathBuf,
    line: usize,
    /// Of a section.
    pub(super) body: Option<Vec<Self>>,
}

impl Entry {
    /// The name of a module, a section, or what is set.
    pub(super) fn name(&self) -> &str {
        self.text
            .split(|c: char| c.is_whitespace() || c == '=')
            .next()
            .unwrap_or_default()
    }

    /// Of `Auth-Type PAP`, `PAP`.
    pub(super) fn second(&self) -> Option<&str> {
        self.text.split_whitespace().nth(1)
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Self> {
        self.body.iter().flatten()
    }

    pub(super) fn section(&self, name: &str) -> Option<&Self> {
        self.sections()
            .find(|entry| entry.body.is_some() && entry.name() == name)
    }

    /// What a pair sets; the last one counts.
    fn raw(&self, name: &str) -> Option<&str> {
        let pairs = self.sections().filter(|entry| entry.body.is_none());
        let named = pairs.filter(|entry| entry.name() == name).last()?;
        let (_, value) = named.text.split_once('=')?;
        Some(value.trim().trim_matches(|c| c == '"' || c == '\''))
    }

    /// `file:line`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Raddb {
    pub(super) directory: PathBuf,
    root: Entry,
    variables: HashMap<String, String>,
}

/// Where, and what is wrong there.
type Fault = (String, String);

impl Raddb {
    pub(super) fn read(directory: &Path) -> Result<Self, Fault> {
        let file = directory.join("radiusd.conf");
        let shown = directory.display().to_string();
        let mut reader = Reader {
            variables: HashMap::from([("raddbdir".to_owned(), shown.clone()), ("confdir".to_owned(), shown)]),
            depth: 0,
        };
        let body = reader.file(&file)?;
        Ok(Self {
            directory: directory.to_owned(),
            root: Entry {
                text: String::new(),
                file,
                line: 1,
                body: Some(body),
            },
            variables: reader.variables,
        })
    }

    /// The section that sets up this module.
    pub(super) fn instance(&self) -> Option<&Entry> {
        let modules = self.root.sections().filter(|entry| entry.name() == "modules");
        modules
            .flat_map(Entry::sections)
            .find(|entry| entry.body.is_some() && entry.name() == "rust")
    }

    /// By which the module is called.
    pub(super) fn instance_name<'a>(&self, instance: &'a Entry) -> &'a str {
        instance.second().unwrap_or("rust")
    }

    pub(super) fn policy(&self, name: &str) -> Option<&Entry> {
        let policies = self.root.sections().filter(|entry| entry.name() == "policy");
        policies
            .flat_map(Entry::sections)
            .find(|entry| entry.body.is_some() && entry.name() == name)
    }

    /// `server NAME { ... }`.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Entry> {
        self.root
            .sections()
            .filter(|entry| entry.body.is_some() && entry.name() == "server")
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = &Entry> {
        self.root
            .sections()
            .filter(|entry| entry.body.is_some() && entry.name() == "client")
    }

    /// What a pair sets, with variables in it replaced.
    pub(super) fn value(&self, section: &Entry, name: &str) -> Option<String> {
        section.raw(name).map(|value| expand(value, &self.variables))
    }

    /// As [`Self::value`], of the whole configuration.
    pub(super) fn global(&self, name: &str) -> Option<String> {
        self.value(&self.root, name)
    }

    /// A path set in one of the module's subsections.
    pub(super) fn path(&self, instance: &Entry, section: Option<&str>, name: &str) -> Option<PathBuf> {
        let section = match section {
            Some(section) => instance.section(section)?,
            None => instance,
        };
        self.value(section, name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }

    /// As the module has it where nothing is set.
    pub(super) fn default_path(&self, text: &str) -> PathBuf {
        PathBuf::from(expand(text, &self.variables))
    }
}

/// `${name}` and `$ENV{NAME}`; what is not known stays as it is.
fn expand(text: &str, variables: &HashMap<String, String>) -> String {
    let mut expanded = text.to_owned();
    // Values have variables in them; a circle ends.
    for _ in 0..8 {
        let mut out = String::new();
        let mut rest = expanded.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let environment = rest.starts_with("$ENV{");
            let open = if environment { 5 } else { 2 };
            let closed = if environment || rest.starts_with("${") {
                rest.find('}')
            } else {
                None
            };
            let value = closed.and_then(|end| {
                let name = rest.get(open..end)?;
                if environment {
                    std::env::var(name).ok()
                } else {
                    variables.get(name).cloned()
                }
            });
            match (value, closed) {
                (Some(value), Some(end)) => {
                    out.push_str(&value);
                    rest = &rest[end + 1..];
                }
                _ => {
                    out.push('$');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        if out == expanded {
            break;
        }
        expanded = out;
    }
    expanded
}

struct Reader {
    variables: HashMap<String, String>,
    depth: usize,
}

/// No configuration includes itself deeper.
const DEEPEST: usize = 32;

impl Reader {
    fn file(&mut self, file: &Path) -> Result<Vec<Entry>, Fault> {
        let at = file.display().to_string();
        if self.depth > DEEPEST {
            return Err((at, "files include each other in a circle".to_owned()));
        }
        let bytes = std::fs::read(file).map_err(|error| (at, error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut tokens = tokens(&text).into_iter();
        self.depth += 1;
        let body = self.body(file, &mut tokens, false);
        self.depth -= 1;
        body
    }

    fn body(&mut self, file: &Path, tokens: &mut std::vec::IntoIter<Token>, inside: bool) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        while let Some(token) = tokens.next() {
            match token {
                Token::Close(_) if inside => return Ok(entries),
                Token::Close(line) => {
                    return Err((
                        format!("{}:{line}", file.display()),
                        "a brace closes nothing".to_owned(),
                    ));
                }
                Token::Open(text, line) => {
                    let body = Some(self.body(file, tokens, true)?);
                    entries.push(Entry {
                        text,
                        file: file.to_owned(),
                        line,
                        body,
                    });
                }
                Token::Statement(text, line) => {
                    let include = text.strip_prefix("$INCLUDE").or_else(|| text.strip_prefix("$-INCLUDE"));
                    if let Some(path) = include {
                        entries.extend(self.include(file, path.trim(), text.starts_with("$-"))?);
                        continue;
                    }
                    if self.depth > 0
                        && !inside
                        && let Some((name, value)) = text.split_once('=')
                    {
                        let value = value.trim().trim_matches('"').to_owned();
                        self.variables.insert(name.trim().to_owned(), value);
                    }
                    entries.push(Entry {
                        text,
                        file: file.to_owned(),
                        line,
                        body: None,
                    });
                }
            }
        }
        match inside {
            false => Ok(entries),
            true => Err((file.display().to_string(), "a section is not closed".to_owned())),
        }
    }

    fn include(&mut self, from: &Path, path: &str, optional: bool) -> Result<Vec<Entry>, Fault> {
        let path = expand(path.trim_matches('"'), &self.variables);
        let beside = from.parent().unwrap_or(Path::new("."));
        let whole = beside.join(&path);
        if path.ends_with('/') || whole.is_dir() {
            let failed = |error: std::io::Error| (whole.display().to_string(), error.to_string());
            let mut files = Vec::new();
            for entry in std::fs::read_dir(&whole).map_err(failed)? {
                files.push(entry.map_err(failed)?.path());
            }
            files.sort();
            let mut entries = Vec::new();
            for file in files.iter().filter(|file| is_read(file)) {
                entries.extend(self.file(file)?);
            }
            return Ok(entries);
        }
        if optional && !whole.exists() {
            return Ok(Vec::new());
        }
        self.file(&whole)
    }
}

/// The server passes over names with other characters, as editors leave them.
fn is_read(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.starts_with('.') && name.chars().all(plain) && !file.is_dir()
}

#[derive(Debug)]
enum Token {
    Statement(String, usize),
    /// What stands before a brace.
    Open(String, usize),
    Close(usize),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut held = String::new();
    let mut line = 1;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', _) => {
                // The next line goes on, or the next character is as it stands.
                match characters.next() {
                    Some('\n') => line += 1,
                    Some(next) => held.extend(['\\', next]),
                    None => {}
                }
            }
            (c, Some(open)) => {
                held.push(c);
                line += usize::from(c == '\n');
                if c == open {
                    quote = None;
                }
            }
            ('"' | '\'' | '`', None) => {
                quote = Some(c);
                held.push(c);
            }
            ('#', None) => {
                while characters.peek().is_some_and(|next| *next != '\n') {
                    characters.next();
                }
            }
            ('{', None) if matches!(held.chars().last(), Some('$' | '%')) || held.ends_with("$ENV") => {
                held.push('{');
                let mut depth = 1;
                for next in characters.by_ref() {
                    held.push(next);
                    depth += i32::from(next == '{') - i32::from(next == '}');
                    if depth == 0 || next == '\n' {
                        break;
                    }
                }
            }
            ('{', None) => tokens.push(Token::Open(taken(&mut held), line)),
            ('}', None) => {
                finish(&mut held, line, &mut tokens);
                tokens.push(Token::Close(line));
            }
            ('\n', None) => {
                finish(&mut held, line, &mut tokens);
                line += 1;
            }
            (c, None) => held.push(c),
        }
    }
    finish(&mut held, line, &mut tokens);
    tokens
}

fn taken(held: &mut String) -> String {
    std::mem::take(held).trim().to_owned()
}

fn finish(held: &mut String, line: usize, tokens: &mut Vec<Token>) {
    let text = taken(held);
    if !text.is_empty() {
        tokens.push(Token::Statement(text, line));
    }
}
