//! Writes what was mapped, all in one transaction.

use std::collections::HashMap;

use isp_core::nas::Nas;
use isp_core::plan::Plan;
use isp_core::secret::KeyRing;
use isp_core::store::{ImportError, RawRow, RawTable, Store, SubscriberFilter, SubscriberImport};
use isp_core::subscriber::Subscriber;
use isp_core::tenant::Tenant;

use super::report::{Problem, Report, Written};
use super::source::NasRow;
use super::users::{Mapped, User};
use super::vendors::Vendors;
use crate::cmd::new_id;
use crate::error::{Error, Result};
use crate::field;

/// Subscribers read at a time.
const PAGE: u32 = 20_000;

pub(super) struct Writer<'a> {
    pub(super) store: &'a Store,
    pub(super) tenant: &'a Tenant,
    pub(super) keys: &'a KeyRing,
    pub(super) operator: Option<String>,
    pub(super) update: bool,
    pub(super) batch: usize,
    pub(super) vendors: &'a Vendors<'a>,
    /// The NAS that are there already, of all tenants: an address is one NAS's, whichever tenant's.
    pub(super) nas_there: &'a [Nas],
}

/// What the tenant has already.
struct There {
    subscribers: HashMap<String, Subscriber>,
    plans: HashMap<String, Plan>,
}

impl Writer<'_> {
    /// Write everything into a transaction that is still to be committed. Gives the ids of all subscribers by their usernames,
    /// too.
    pub(super) async fn write(
        &self,
        mapped: Mapped,
        nas: &[NasRow],
        report: &mut Report,
    ) -> Result<(SubscriberImport, Written, HashMap<String, String>)> {
        let there = self.there().await?;
        let mut written = Written::default();
        let mut import = self.store.subscriber_import().await?;
        let plans = self
            .plans(&mut import, mapped.plans, &there, report, &mut written)
            .await?;
        let (mut check, mut reply, mut memberships) = (Vec::new(), Vec::new(), Vec::new());
        let mut batch = Vec::with_capacity(self.batch);
        let known = there.subscribers.values();
        let mut ids: HashMap<_, _> = known.map(|there| (there.username.clone(), there.id.clone())).collect();
        for user in mapped.users {
            let User {
                subscriber,
                plan,
                password,
                ..
            } = user;
            if let Some(subscriber) = subscriber {
                let existing = there.subscribers.get(&subscriber.username);
                if existing.is_some() && !self.update {
                    written.subscribers_there += 1;
                    continue;
                }
                let mut subscriber = merged(subscriber, existing);
                subscriber.tenant_id.clone_from(&self.tenant.id);
                subscriber.updated_by.clone_from(&self.operator);
                subscriber.bandwidth_profile_id = plan.and_then(|name| plans.get(&name).cloned());
                let password = password
                    .map(|stored| stored.encode(Some(self.keys), &subscriber.id))
                    .transpose()?;
                subscriber.password_hash_method = password.as_ref().map(|encoded| encoded.method.to_owned());
                subscriber.password = password.map(|encoded| encoded.password);
                if existing.is_some() {
                    import.clear_rows(&subscriber).await?;
                    import.set(&subscriber).await?;
                    written.updated += 1;
                } else {
                    subscriber.created_by.clone_from(&self.operator);
                    ids.insert(subscriber.username.clone(), subscriber.id.clone());
                    batch.push(subscriber);
                    written.subscribers += 1;
                }
                if batch.len() >= self.batch {
                    push(&mut import, &mut batch).await?;
                }
            }
            check.extend(user.check);
            reply.extend(user.reply);
            memberships.extend(user.memberships);
        }
        push(&mut import, &mut batch).await?;
        for (table, rows) in [
            (RawTable::GroupCheck, &mapped.group_check),
            (RawTable::GroupReply, &mapped.group_reply),
            (RawTable::Check, &check),
            (RawTable::Reply, &reply),
        ] {
            written.rows += self.rows(&mut import, table, rows).await?;
        }
        written.memberships = import.push_memberships(&self.tenant.id, &memberships).await?;
        self.nas(&mut import, nas, report, &mut written).await?;
        Ok((import, written, ids))
    }

    async fn rows(&self, import: &mut SubscriberImport, table: RawTable, rows: &[RawRow]) -> Result<u64> {
        Ok(import.push_rows(table, &self.tenant.id, rows).await?)
    }

    async fn there(&self) -> Result<There> {
        let mut filter = SubscriberFilter {
            tenant_id: Some(self.tenant.id.clone()),
            limit: Some(PAGE),
            ..SubscriberFilter::default()
        };
        let mut subscribers = HashMap::new();
        loop {
            let page = self.store.subscriber_list(&filter).await?;
            if page.is_empty() {
                break;
            }
            subscribers.extend(page.into_iter().map(|found| (found.username.clone(), found)));
            filter.offset = filter.offset.saturating_add(PAGE);
        }
        let plans = self.store.plan_list(&self.tenant.id).await?;
        Ok(There {
            subscribers,
            plans: plans.into_iter().map(|plan| (plan.name.clone(), plan)).collect(),
        })
    }

    /// Add the plans that are not there; the ids of all by their names.
    async fn plans(
        &self,
        import: &mut SubscriberImport,
        plans: Vec<Plan>,
        there: &There,
        report: &mut Report,
        written: &mut Written,
    ) -> Result<HashMap<String, String>> {
        let mut ids = HashMap::new();
        for plan in plans {
            if let Some(existing) = there.plans.get(&plan.name) {
                let same = Plan {
                    id: existing.id.clone(),
                    tenant_id: existing.tenant_id.clone(),
                    description: existing.description.clone(),
                    ..plan.clone()
                };
                if same != *existing {
                    report.notes.push(format!(
                        "plan {:?} is there with other terms than the group of that name gives; it stays as it is",
                        plan.name
                    ));
                }
                ids.insert(plan.name, existing.id.clone());
                written.plans_there += 1;
                continue;
            }
            let plan = Plan {
                id: new_id(),
                tenant_id: self.tenant.id.clone(),
                ..plan
            };
            import.push_plan(&plan).await?;
            written.plans += 1;
            ids.insert(plan.name, plan.id);
        }
        Ok(ids)
    }

    async fn nas(
        &self,
        import: &mut SubscriberImport,
        rows: &[NasRow],
        report: &mut Report,
        written: &mut Written,
    ) -> Result<()> {
        let mut taken: HashMap<String, i64> = HashMap::new();
        for row in rows {
            let problem = |attribute: &str, why: String| Problem {
                table: "nas",
                id: row.id,
                name: row.nasname.clone(),
                attribute: attribute.to_owned(),
                why,
            };
            let nasname = match field::parse::nasname(&row.nasname) {
                Ok(nasname) => nasname,
                Err(why) => {
                    report.left_out(problem("nasname", why));
                    continue;
                }
            };
            if let Some(existing) = self.nas_there.iter().find(|nas| nas.nasname == nasname) {
                if existing.tenant_id == self.tenant.id {
                    written.nas_there += 1;
                } else {
                    report.left_out(problem("nasname", "the address is another tenant's NAS's".to_owned()));
                }
                continue;
            }
            if row.secret.is_empty() {
                report.left_out(problem("secret", "there is no shared secret".to_owned()));
                continue;
            }
            if let Some(other) = taken.insert(nasname.clone(), row.id) {
                let why = format!("row {other} is a NAS of the same address: which secret is right?");
                report.left_out(problem("nasname", why));
                taken.insert(nasname, other);
                continue;
            }
            let mut nas = self.nas_of(row, nasname);
            nas.secret = self.keys.seal(&nas.secret_context(), row.secret.as_bytes())?;
            import.push_nas(&nas).await?;
            written.nas += 1;
        }
        Ok(())
    }

    fn nas_of(&self, row: &NasRow, nasname: String) -> Nas {
        Nas {
            id: 0,
            tenant_id: self.tenant.id.clone(),
            shortname: if row.shortname.is_empty() {
                nasname.clone()
            } else {
                row.shortname.clone()
            },
            nasname,
            kind: row.kind.clone(),
            vendor: self.vendors.of(&row.kind).to_owned(),
            model: None,
            firmware_version: None,
            ports: row.ports,
            secret: String::new(),
            server: row.server.clone(),
            community: row.community.clone(),
            description: row.description.clone(),
            // Stock sql has no column for it.
            require_message_authenticator: false,
            coa: isp_core::nas::CoaSettings::default(),
        }
    }
}

/// What is there, with what the source knows in its place.
fn merged(new: Subscriber, existing: Option<&Subscriber>) -> Subscriber {
    let Some(existing) = existing else {
        return Subscriber { id: new_id(), ..new };
    };
    Subscriber {
        status: new.status,
        static_ipv4: new.static_ipv4,
        expiration_date: new.expiration_date,
        session_timeout: new.session_timeout,
        idle_timeout: new.idle_timeout,
        simultaneous_use: new.simultaneous_use,
        full_name: new.full_name.or_else(|| existing.full_name.clone()),
        email: new.email.or_else(|| existing.email.clone()),
        phone_number: new.phone_number.or_else(|| existing.phone_number.clone()),
        service_address: new.service_address.or_else(|| existing.service_address.clone()),
        notes: new.notes.or_else(|| existing.notes.clone()),
        ..existing.clone()
    }
}

async fn push(import: &mut SubscriberImport, batch: &mut Vec<Subscriber>) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let outcome = import.push(batch).await;
    let username = |index: usize| batch.get(index).map_or("", |subscriber| subscriber.username.as_str());
    match outcome {
        Ok(()) => {}
        Err(ImportError::Row { index, reason }) => {
            return Err(Error::Refused(format!(
                "user {:?}: {reason}; nothing was imported",
                username(index)
            )));
        }
        Err(ImportError::Store(error)) => return Err(error.into()),
    }
    batch.clear();
    Ok(())
}
