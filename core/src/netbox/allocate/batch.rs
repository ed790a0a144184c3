//! Many subscribers in one request.
//!
//! NetBox makes its allocations one after the other, and a list of them costs it a quarter of as many single ones. A list
//! is all or nothing. Where it is refused, what was done is looked up by the keys; what is left is asked for again in
//! halves, or one by one where the fault is an entry's own.

use std::collections::{HashMap, HashSet};

use super::request::Request;
use super::{Allocated, Allocation, Allocator, Object, Pool, REPETITIONS, SETTLE, Wanted, descriptions, source};
use crate::addressing::Kind;
use crate::netbox::client::{NetboxError, Query, Result};
use crate::netbox::model::{IpAddress, Prefix};

/// Entries of one list: more takes NetBox longer than others want to wait.
const LIST: usize = 25;

/// Bytes of values in one look-up: gunicorn takes a request line of 4,094, and a value may be three times as long there.
const LINE: usize = 1_000;

/// Subscribers of one place and kind, each with its place in the answer.
type List<'a, 'b> = Vec<(usize, &'a Wanted<'b>)>;

impl Allocator {
    /// What each of `wanted` has, or is given now, in their order. They may be of any kinds and places.
    ///
    /// Without a key each is asked for by itself.
    pub async fn allocate_all(&self, wanted: &[Wanted<'_>]) -> Vec<Allocated<Allocation>> {
        let mut done = HashMap::with_capacity(wanted.len());
        if self.rules.key_field.is_some() {
            let mut groups: HashMap<_, List<'_, '_>> = HashMap::new();
            for (index, one) in wanted.iter().enumerate() {
                let group = (&one.site, one.kind, one.length(&self.rules));
                groups.entry(group).or_default().push((index, one));
            }
            for group in groups.values() {
                for list in group.chunks(LIST) {
                    // What cannot be had by a list is asked for one by one below, and fails there with its reason.
                    if let Err(error) = self.by_list(list.to_vec(), &mut done).await {
                        tracing::debug!(%error, "asking for addresses one by one");
                    }
                }
            }
        }
        let mut answers = Vec::with_capacity(wanted.len());
        for (index, one) in wanted.iter().enumerate() {
            answers.push(match done.remove(&index) {
                Some(allocation) => Ok(allocation),
                None => self.allocate(one).await,
            });
        }
        answers
    }

    async fn by_list(&self, mut list: List<'_, '_>, done: &mut HashMap<usize, Allocation>) -> Allocated<()> {
        let Some((_, first)) = list.first().copied() else {
            return Ok(());
        };
        if self.rules.look_first {
            self.look_up(&mut list, done).await?;
        }
        let pools = self.pools(first).await?;
        // Lists that are still to be asked for, each with the prefix to ask next.
        let mut lists = vec![(list, 0)];
        let mut repetitions = 0;
        while let Some((mut list, at)) = lists.pop() {
            // One alone goes the way of one.
            let Some(pool) = pools.get(at).filter(|_| list.len() > 1) else {
                continue;
            };
            match self.take_list(&list, pool).await {
                Ok(taken) => done.extend(taken),
                Err(NetboxError::Exhausted { .. }) => {
                    let half = list.split_off(list.len() / 2);
                    // A prefix with room for one of a pair has it for a single request, too.
                    lists.extend([(half, at), (list, at)]);
                }
                Err(error) if self.is_key_taken(&error) => {
                    let before = list.len();
                    self.look_up(&mut list, done).await?;
                    if list.len() < before {
                        lists.push((list, at));
                    }
                }
                Err(error) if (error.is_transient() || error.is_uncertain()) && repetitions < REPETITIONS => {
                    tokio::time::sleep(SETTLE * (1 << repetitions)).await;
                    repetitions += 1;
                    self.look_up(&mut list, done).await?;
                    lists.push((list, at));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn take_list(&self, list: &[(usize, &Wanted<'_>)], pool: &Pool) -> Result<HashMap<usize, Allocation>> {
        let Some((_, first)) = list.first() else {
            return Ok(HashMap::new());
        };
        let what = format!("take {} of {} for {} subscribers", first.kind, pool.net, list.len());
        let body: Vec<_> = list.iter().map(|(_, one)| Request::of(&self.rules, one)).collect();
        let path = source(pool, first.kind);
        let objects: Vec<Object> = match first.kind {
            Kind::Ipv4 | Kind::Ipv6 => {
                let made: Vec<IpAddress> = self.client.create(&what, &path, &body).await?;
                made.into_iter().map(Into::into).collect()
            }
            Kind::Ipv6Prefix => {
                let made: Vec<Prefix> = self.client.create(&what, &path, &body).await?;
                made.into_iter().map(Into::into).collect()
            }
        };
        let mut by_key: HashMap<_, _> = objects
            .into_iter()
            .filter_map(|object| Some((object.key(&self.rules)?, object)))
            .collect();
        list.iter()
            .map(|(index, one)| {
                let object = by_key.remove(&one.key()).ok_or_else(|| NetboxError::Unexpected {
                    what: what.clone(),
                    problem: format!("there is none for subscriber {}", one.subscriber_id),
                })?;
                Ok((*index, self.accept(one, pool, object, &what)?))
            })
            .collect()
    }

    /// Move from `list` to `done` what is there already.
    async fn look_up(&self, list: &mut List<'_, '_>, done: &mut HashMap<usize, Allocation>) -> Result<()> {
        let Some(kind) = list.first().map(|(_, one)| one.kind) else {
            return Ok(());
        };
        let mut found: HashMap<usize, Vec<Object>> = HashMap::new();
        for query in self.queries_of(list) {
            for object in self.objects(kind, query).await? {
                let whose = list.iter().find(|(_, one)| object.is_of(one, &self.rules));
                if let Some((index, _)) = whose {
                    found.entry(*index).or_default().push(object);
                }
            }
        }
        let mut several = HashSet::new();
        for (index, mut objects) in found {
            // The same one may be found by its key and by its description.
            objects.sort_by_key(|object| object.id);
            objects.dedup_by_key(|object| object.id);
            match objects.pop() {
                Some(object) if objects.is_empty() => {
                    let allocation = Allocation {
                        kind,
                        id: object.id,
                        net: object.net,
                        pool: None,
                    };
                    done.insert(index, allocation);
                }
                // To be asked for by itself, where it is refused with both of them named.
                _ => {
                    several.insert(index);
                }
            }
        }
        list.retain(|(index, _)| !done.contains_key(index) && !several.contains(index));
        Ok(())
    }

    /// Look-ups for all of a list, in requests that are not too long.
    fn queries_of(&self, list: &[(usize, &Wanted<'_>)]) -> Vec<Query> {
        let mut queries = Vec::new();
        let mut ask = |base: &Query, values: Vec<(String, String)>| {
            let mut query = base.clone();
            let mut length = 0;
            for (name, value) in values {
                if length > 0 && length + value.len() > LINE {
                    queries.push(std::mem::replace(&mut query, base.clone()));
                    length = 0;
                }
                length += value.len();
                query = query.with(name, value);
            }
            queries.push(query);
        };
        if let Some(field) = &self.rules.key_field {
            let keys = list.iter().map(|(_, one)| (format!("cf_{field}"), one.key()));
            ask(&Query::new(), keys.collect());
        }
        if self.rules.look_first {
            let own = Query::new().with("tenant_id", self.rules.tenant);
            let described = list
                .iter()
                .flat_map(|(_, one)| descriptions(one.subscriber_id))
                .map(|description| ("description".to_owned(), description));
            ask(&own, described.collect());
            let ids = list
                .iter()
                .map(|(_, one)| ("cf_subscriber_id".to_owned(), one.subscriber_id.to_owned()));
            ask(&own, ids.collect());
        }
        queries
    }
}
