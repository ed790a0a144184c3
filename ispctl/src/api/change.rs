//! Who changed what: a row of the audit log for each change that was made.

use isp_core::access::AuditEntry;
use serde::Serialize;

use super::App;
use super::access::Caller;
use super::problem::{Problem, Result};
use crate::period::now;

/// A change of one thing, as it is shown before and after: what is not shown to callers is in no audit log.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) action: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) subject: &'a str,
}

impl Change<'_> {
    pub(crate) async fn record<B: Serialize, A: Serialize>(
        &self,
        app: &App,
        caller: &Caller,
        before: Option<&B>,
        after: Option<&A>,
    ) -> Result<()> {
        let entry = AuditEntry {
            id: 0,
            at: now(),
            tenant_id: caller.tenant_id().to_owned(),
            actor: caller.actor().to_owned(),
            action: self.action.to_owned(),
            kind: self.kind.to_owned(),
            subject: self.subject.to_owned(),
            before: text(before)?,
            after: text(after)?,
            request_id: caller.request_id().map(str::to_owned),
        };
        Ok(app.store.audit_add(&entry).await?)
    }
}

fn text(shown: Option<&impl Serialize>) -> Result<Option<String>> {
    let text = shown.map(serde_json::to_string).transpose();
    text.map_err(|why| Problem::internal(&why))
}
