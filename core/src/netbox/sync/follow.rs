//! What changed in NetBox, brought here at once.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::drift::Report;
use super::reconcile::{Found, Run};
use super::{Sync, SyncError};
use crate::addressing::Kind;
use crate::netbox::allocate::collection;
use crate::netbox::client::Query;
use crate::netbox::model::{IpAddress, Prefix};
use crate::netbox::push::{LogEntry, Touched};
use crate::store::TenantService;

/// Subscribers of one request: their ids are in its line.
const ASKED: usize = 20;

/// Entries of the change log may show up this much later than such with a higher id.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// Name under which the place in the change log is remembered.
const PLACE: &str = "netbox_changes";

/// How far a tenant's change log was read. What is late is held against entries remembered by their ids.
#[derive(Debug, Default)]
pub struct Cursor {
    /// Everything up to this entry was read; `None`: nothing was yet.
    place: Option<u64>,
    seen: HashSet<u64>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    place: u64,
}

impl Sync<'_> {
    /// Look at these subscribers alone as [`Sync::reconcile`] does at all, and put right what needs no person: the
    /// database follows NetBox. None is given an address who has none.
    ///
    /// # Errors
    /// NetBox or the database does not answer.
    pub async fn refresh(&self, touched: &Touched) -> Result<Report, SyncError> {
        if touched.pools {
            self.allocator.forget();
            self.store.pools_forget(&self.tenant_id).await?;
        }
        let mut run = Run::new(self, true, &[]);
        let ids: Vec<&str> = touched.subscribers.iter().map(String::as_str).collect();
        for ids in ids.chunks(ASKED) {
            run.page(self.objects_of(ids).await?).await?;
            let subscribers = self.store.addressed_of(&self.tenant_id, ids).await?;
            run.subscribers(&subscribers).await?;
        }
        Ok(run.finish())
    }

    /// Everything in NetBox that names one of these subscribers.
    async fn objects_of(&self, ids: &[&str]) -> Result<Vec<Found>, SyncError> {
        let what = "look at what subscribers have";
        let client = &self.allocator.client;
        let own = Query::new().with("tenant_id", self.allocator.rules.tenant);
        let by_field = ids
            .iter()
            .fold(own.clone(), |query, id| query.with("cf_subscriber_id", id));
        let by_description = ids.iter().fold(own, |query, id| {
            let query = query.with("description", format!("Subscriber:{id}"));
            query.with("description", format!("Subscriber: {id}"))
        });
        let mut found = HashMap::new();
        for query in [by_field, by_description] {
            let mut pages = client.all::<IpAddress>(what, collection(Kind::Ipv4), query.clone());
            while let Some(page) = pages.next().await? {
                found.extend(
                    page.into_iter()
                        .map(|address| ((false, address.id), Found::from(address))),
                );
            }
            let mut pages = client.all::<Prefix>(what, collection(Kind::Ipv6Prefix), query);
            while let Some(page) = pages.next().await? {
                found.extend(page.into_iter().map(|prefix| ((true, prefix.id), Found::from(prefix))));
            }
        }
        // A filter that NetBox does not know is none.
        let mut found: Vec<Found> = found
            .into_values()
            .filter(|found| found.owner().is_some_and(|owner| ids.contains(&owner)))
            .collect();
        found.sort_by_key(Found::id);
        Ok(found)
    }

    /// Where the last process stopped reading the change log.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn cursor(&self) -> Result<Cursor, SyncError> {
        let kept = self.store.service_get(&self.tenant_id, PLACE).await?;
        let place = kept.and_then(|kept| serde_json::from_str::<Place>(&kept.settings).ok());
        Ok(Cursor {
            place: place.map(|kept| kept.place),
            seen: HashSet::new(),
        })
    }

    /// What the change log has since it was last read: nothing the first time. The place is remembered by
    /// [`Sync::keep_cursor`], once what was read is done.
    ///
    /// # Errors
    /// NetBox does not answer, or the token may not read the log (`core.view_objectchange`).
    pub async fn changes(&self, cursor: &mut Cursor) -> Result<Touched, SyncError> {
        let path = "core/object-changes/";
        let what = "read the change log";
        let client = &self.allocator.client;
        let mut touched = Touched::default();
        let Some(place) = cursor.place else {
            let newest = Query::new().with("ordering", "-id");
            let page = client.page::<LogEntry>(what, path, newest, 1).await?;
            cursor.place = Some(page.results.iter().map(|entry| entry.id).max().unwrap_or(0));
            return Ok(touched);
        };
        let mut entries = Vec::new();
        for object_type in ["ipam.ipaddress", "ipam.prefix"] {
            let query = Query::new().with("changed_object_type", object_type);
            let mut pages = client.after::<LogEntry>(what, path, query, place);
            while let Some(page) = pages.next().await? {
                for entry in page {
                    if cursor.seen.insert(entry.id) {
                        entry.touches(&mut touched);
                    }
                    entries.push((entry.id, entry.time));
                }
            }
        }
        cursor.advance(&entries);
        Ok(touched)
    }

    /// Remember the place for the next process.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn keep_cursor(&self, cursor: &Cursor) -> Result<(), SyncError> {
        let Some(place) = cursor.place else { return Ok(()) };
        let kept = TenantService {
            settings: format!("{{\"place\":{place}}}"),
            secret: None,
        };
        self.store.service_set(&self.tenant_id, PLACE, &kept, &self.by).await?;
        Ok(())
    }
}

impl Cursor {
    /// Behind what nothing can come before any more.
    fn advance(&mut self, entries: &[(u64, Timestamp)]) {
        // By the server's own clock.
        let Some(newest) = entries.iter().map(|(_, time)| *time).max() else {
            return;
        };
        let settled = entries.iter().filter(|(_, time)| *time < newest - LATE);
        if let Some(place) = settled.map(|(id, _)| *id).max() {
            self.place = self.place.max(Some(place));
            self.seen.retain(|id| *id > place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_passed_only_when_nothing_can_come_before_it() {
        let at = |second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let mut cursor = Cursor {
            place: Some(10),
            seen: HashSet::from([11, 13]),
        };
        cursor.advance(&[(11, at(100)), (13, at(130))]);
        assert_eq!(cursor.place, Some(10));
        cursor.advance(&[(11, at(100)), (12, at(101)), (13, at(130)), (20, at(190))]);
        assert_eq!(cursor.place, Some(12));
        assert_eq!(cursor.seen, HashSet::from([13]));
        cursor.advance(&[]);
        assert_eq!(cursor.place, Some(12));
    }
}
