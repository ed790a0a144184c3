//! One file per command.

pub(crate) mod accounting;
pub(crate) mod audit;
pub(crate) mod coa;
mod condition;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod group;
mod import;
pub(crate) mod import_freeradius;
pub(crate) mod key;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod nas;
pub(crate) mod netbox;
mod network;
pub(crate) mod order;
pub(crate) mod oss;
pub(crate) mod plan;
mod provisioning;
mod quota;
mod realm;
mod reseal;
pub(crate) mod retention;
mod row;
mod schedule;
pub(crate) mod serve;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod subscriber;
pub(crate) mod tenant;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod vendor;
pub(crate) mod whohad;

/// `set` without a field is a slip, but does what it says.
const NOTHING_TO_SET: &str = "no field is named, so nothing changes (see --help)";

/// What `delete` takes besides a name.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// Say what would be deleted, delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl DeleteArgs {
    fn told(&self, kind: &str, name: &str) -> String {
        if self.dry_run {
            format!("would delete {kind} {name:?}")
        } else {
            format!("deleted {kind} {name:?}")
        }
    }
}

/// A new id for a record whose id is ours to choose. Ids made one after another sort so (RFC 9562 section 5.7): a
/// database that is filled in bulk then appends to its key's index, where random ones would hit every page of it.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
