//! Filters of a list.

use serde::Serialize;

/// Names and values. A name given twice means either value.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(in crate::netbox) struct Query(Vec<(String, String)>);

impl Query {
    pub(in crate::netbox) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(in crate::netbox) fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }
}
