//! Lists, a page at a time, however far the reader has gone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list. Its schema in the document is named after what it lists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// What to send as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// A list that is short enough to be told at once.
    pub(crate) const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// From up to one more than was asked for, which tells that there is a next page; `cursor` names where it begins.
    pub(crate) fn cut<R>(mut rows: Vec<R>, limit: Limit, cursor: impl Fn(&R) -> String, show: impl Fn(R) -> T) -> Self {
        let size = limit.0 as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(cursor);
        Self {
            items: rows.into_iter().map(show).collect(),
            next,
        }
    }
}

/// How many a page holds at most: 1 to 1000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(u32);

impl Limit {
    const MOST: u32 = 1_000;

    /// One more, which tells whether there is another page.
    pub(crate) const fn and_one(self) -> u32 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        match limit {
            1..=Self::MOST => Ok(Self(limit)),
            _ => Err(format!("limit: {limit} is not between 1 and {}", Self::MOST)),
        }
    }
}
