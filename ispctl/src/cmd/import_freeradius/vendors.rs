//! The vendors of the NAS that the users come from, and whether a plan says to all of them what a group's rows said.

use std::collections::{BTreeMap, BTreeSet};

use isp_core::nas::Nas;
use isp_core::plan::Plan;
use isp_core::policy::reply::ReplyItem;
use isp_core::policy::vendor::{Terms, Vendor, VendorSet};
use isp_core::tenant::Tenant;

use super::source::Content;

/// Attributes that are written whatever the vendor.
const OF_ALL: [&str; 3] = ["session-timeout", "idle-timeout", "acct-interim-interval"];

pub(super) struct Vendors<'a> {
    set: &'a VendorSet,
    /// Of NAS whose type is no vendor.
    otherwise: &'a str,
    /// Those of the source's NAS and of the tenant's, with what the tenant has in their place; one NAS of each.
    of_nas: BTreeMap<&'a str, (&'a Vendor, String)>,
}

impl<'a> Vendors<'a> {
    /// # Errors
    /// There is no vendor of that name.
    pub(super) fn new(
        set: &'a VendorSet,
        named: Option<&str>,
        tenant: &Tenant,
        content: &Content,
        there: &[Nas],
    ) -> Result<Self, String> {
        let speaks = |prefix: &str| {
            let mut rows = content.reply.iter().chain(&content.group_reply);
            rows.any(|row| is_of(&row.attribute, prefix))
        };
        let otherwise = match named {
            Some(name) => name,
            None if speaks("Mikrotik-") => "mikrotik",
            None if speaks("WISPr-") => "wispr",
            None => "generic",
        };
        let Some(otherwise) = set.get(otherwise) else {
            let known: Vec<&str> = set.vendors().iter().map(Vendor::name).collect();
            return Err(format!("there is no vendor {otherwise:?}: {}", known.join(", ")));
        };
        let mut vendors = Self {
            set,
            otherwise: otherwise.name(),
            of_nas: BTreeMap::new(),
        };
        let theirs = content
            .nas
            .iter()
            .map(|nas| (set.get(&nas.kind).unwrap_or(otherwise), &nas.nasname));
        let ours = there
            .iter()
            .filter(|nas| nas.tenant_id == tenant.id)
            .map(|nas| (set.get(&nas.vendor).unwrap_or(set.generic()), &nas.nasname));
        for (vendor, nasname) in theirs.chain(ours) {
            let vendor = set.for_tenant([&tenant.id, &tenant.name], vendor);
            vendors
                .of_nas
                .entry(vendor.name())
                .or_insert_with(|| (vendor, format!("NAS {nasname}, of vendor {},", vendor.name())));
        }
        if vendors.of_nas.is_empty() {
            // Its NAS are in a file: somebody will add them.
            let told = format!("a NAS of vendor {}", otherwise.name());
            vendors.of_nas.insert(otherwise.name(), (otherwise, told));
        }
        Ok(vendors)
    }

    /// The vendor of a NAS by its type.
    pub(super) fn of(&self, kind: &str) -> &str {
        self.set.get(kind).map_or(self.otherwise, Vendor::name)
    }

    /// What NAS are told by the plan, in lower case.
    pub(super) fn told(&self, plan: &Plan) -> BTreeSet<String> {
        let terms = Terms::from(plan);
        let replies = self.of_nas.values().filter_map(|(vendor, _)| vendor.reply(&terms).ok());
        replies.flat_map(|reply| names(&reply)).collect()
    }

    /// Why NAS would be told something else by the plan than by rows that give these attributes (in lower case).
    pub(super) fn why_not<'n>(&self, plan: &Plan, gives: impl Iterator<Item = &'n str>) -> Option<String> {
        let given: BTreeSet<String> = gives.filter(|name| !OF_ALL.contains(name)).map(str::to_owned).collect();
        let terms = Terms::from(plan);
        self.of_nas.values().find_map(|(vendor, nas)| {
            let reply = match vendor.reply(&terms) {
                Ok(reply) => reply,
                Err(why) => return Some(format!("{nas} cannot be told: {why}")),
            };
            let told = names(&reply);
            (told != as_told(&given, &told)).then(|| {
                let told: Vec<&str> = reply.iter().map(|item| item.attribute.name()).collect();
                let told = if told.is_empty() {
                    "nothing".to_owned()
                } else {
                    told.join(", ")
                };
                format!("{nas} would be told {told} by a plan")
            })
        })
    }
}

fn names(reply: &[ReplyItem<'_>]) -> BTreeSet<String> {
    let names = reply.iter().map(|item| item.attribute.name().to_ascii_lowercase());
    names.collect()
}

/// Whether an attribute is one of those whose names begin so; FreeRADIUS reads names in whatever case.
fn is_of(attribute: &str, prefix: &str) -> bool {
    attribute
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// MikroTik takes WISPr's rates for its own, in whose place a plan gives its own (RouterOS manual, RADIUS client).
fn as_told(given: &BTreeSet<String>, told: &BTreeSet<String>) -> BTreeSet<String> {
    const RATES: [&str; 2] = ["wispr-bandwidth-max-down", "wispr-bandwidth-max-up"];
    const MIKROTIK: &str = "mikrotik-rate-limit";
    let mut given = given.clone();
    if told.contains(MIKROTIK) && RATES.iter().all(|rate| given.contains(*rate)) {
        given.retain(|attribute| !RATES.contains(&attribute.as_str()));
        given.insert(MIKROTIK.to_owned());
    }
    given
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn the_case_of_an_attributes_name_says_nothing() {
        for attribute in [
            "Mikrotik-Rate-Limit",
            "MIKROTIK-RATE-LIMIT",
            "mikrotik-rate-limit",
            "Mikrotik-",
        ] {
            assert!(is_of(attribute, "Mikrotik-"), "{attribute}");
        }
        for attribute in [
            "",
            "Mikrotik",
            "WISPr-Bandwidth-Max-Up",
            "X-Mikrotik-Group",
            "Mikroti\u{e9}-",
        ] {
            assert!(!is_of(attribute, "Mikrotik-"), "{attribute}");
        }
    }
}
