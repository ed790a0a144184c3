//! What can go wrong, in the operator's words, and the exit code of each.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use isp_core::accounting::journal::JournalError;
use isp_core::netbox::{NetboxError, SyncError};
use isp_core::oss::OssError;
use isp_core::password::PasswordError;
use isp_core::policy::vendor;
use isp_core::provisioning::{Cause, ProvisioningError};
use isp_core::secret::SecretError;
use isp_core::store::StoreError;
use isp_core::tenant::Tenant;

use crate::config::ConfigError;

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, or the state it met, leaves open what is meant.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no {kind} {name:?} in {place}")]
    NotFound {
        kind: &'static str,
        name: String,
        place: String,
    },
    /// A value that is well-formed by itself is not acceptable here.
    #[error("{0}")]
    Refused(String),
    /// What is named exists already, or is still needed.
    #[error("{0}")]
    Conflict(String),
    #[error("{file}: {errors} error(s); nothing was imported")]
    ImportRefused { file: String, errors: u64 },
    #[error("{failed} of {all} order(s) did not reach what they are for")]
    Orders { failed: usize, all: usize },
    #[error("{errors} error(s) and {warnings} warning(s) found")]
    Findings { errors: usize, warnings: usize },
    #[error("{0} secret(s) could not be opened and stay as they are")]
    Unreadable(u64),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{0} record(s) are refused still, and stay in the file")]
    StillRefused(u64),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Netbox(#[from] NetboxError),
    #[error(transparent)]
    Oss(#[from] OssError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Provisioning(#[from] ProvisioningError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}", lines(.0))]
    Vendors(Vec<vendor::Fault>),
    #[error("standard input: {0}")]
    Stdin(io::Error),
    #[error("standard output: {0}")]
    Stdout(io::Error),
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("cannot listen at {address}: {source}")]
    Listen {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("the {0} thread stopped unexpectedly")]
    Thread(&'static str),
}

fn lines(faults: &[vendor::Fault]) -> String {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    told.join("\n")
}

/// The list that `--help` shows; [`Error::exit_code`] is its other half.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failure: database, file, key or system
  2  usage or configuration: an unknown option, a malformed value, a bad configuration key
  3  not found: what is named does not exist
  4  conflict: the name, number or address is taken, or the record is still in use
  5  refused data: an import file with errors, or a value the record cannot take
  6  ispctl doctor found warnings
  7  ispctl doctor found errors";

impl Error {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// Nothing of that name among what the tenant owns.
    pub(crate) fn not_found(kind: &'static str, name: &str, tenant: &Tenant) -> Self {
        Self::NotFound {
            kind,
            name: name.to_owned(),
            place: format!("tenant {:?}", tenant.name),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            // The reader of a pipe went away: it has what it wanted.
            Self::Stdout(e) if e.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Usage(_) | Self::Config(_) | Self::Vendors(_) | Self::Password(PasswordError::NoKeys(_)) => 2,
            Self::NotFound { .. } | Self::Store(StoreError::NotFound { .. } | StoreError::MissingReference { .. }) => 3,
            Self::Conflict(_) | Self::Store(StoreError::Duplicate { .. } | StoreError::InUse { .. }) => 4,
            Self::Secret(SecretError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => 4,
            Self::Refused(_)
            | Self::ImportRefused { .. }
            | Self::StillRefused(_)
            | Self::Store(StoreError::Refused { .. }) => 5,
            Self::Netbox(NetboxError::Settings(_)) => 2,
            Self::Provisioning(error) if error.is_conflict() => 4,
            Self::Provisioning(ProvisioningError {
                cause: Cause::Store(StoreError::Refused { .. }) | Cause::NoNetbox(_),
                ..
            }) => 5,
            Self::Oss(OssError::NoUrl { .. } | OssError::NoKeys) => 2,
            Self::Oss(OssError::Store(StoreError::NotFound { .. })) => 3,
            Self::Oss(OssError::Field { .. }) => 5,
            Self::Findings { errors: 0, .. } => 6,
            Self::Findings { .. } => 7,
            Self::Unreadable(_)
            | Self::Orders { .. }
            | Self::Netbox(_)
            | Self::Sync(_)
            | Self::Oss(_)
            | Self::Provisioning(_)
            | Self::Store(_)
            | Self::Journal(_)
            | Self::Secret(_)
            | Self::Password(_)
            | Self::File { .. }
            | Self::Stdin(_)
            | Self::Stdout(_)
            | Self::Random(_)
            | Self::Runtime(_)
            | Self::Listen { .. }
            | Self::Thread(_) => 1,
        })
    }

    /// Print the error and its causes to standard error.
    pub(crate) fn report(&self) {
        if matches!(self, Self::Stdout(e) if e.kind() == io::ErrorKind::BrokenPipe) {
            return;
        }
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // An error that prints its cause itself needs no second telling.
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        crate::output::message("error", &text);
    }
}
