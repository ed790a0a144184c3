//! Groups as stock FreeRADIUS has them: attribute rows that many subscribers share.

use serde::{Deserialize, Serialize};

use crate::dictionary::RowList;
use crate::subscriber::AttributeRow;

/// A row of `radgroupcheck` or `radgroupreply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    pub tenant_id: String,
    pub group: String,
    pub list: RowList,
    pub row: AttributeRow,
}

/// The rows of one group, in the order the server takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub checks: Vec<AttributeRow>,
    pub replies: Vec<AttributeRow>,
    /// A row the server cannot build: why. Its members are refused with it.
    pub fault: Option<String>,
}

/// A group that has no rows: it holds for everybody and gives nothing.
pub static EMPTY: Group = Group {
    checks: Vec::new(),
    replies: Vec::new(),
    fault: None,
};

/// A row of `radusergroup`. Groups of a lower priority are looked at first, those of the same in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    pub id: i64,
    pub group: String,
    pub priority: i32,
}

/// What a group consists of, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupSize {
    pub group: String,
    pub checks: u64,
    pub replies: u64,
    pub members: u64,
}
