//! What can stop the benchmark.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{0}")]
    Setup(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
