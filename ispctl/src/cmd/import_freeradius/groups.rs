//! Which groups are plans.
//!
//! Stock `sql` looks at the groups of a user one after another, and at the next one only where the last did not match or says
//! Fall-Through. A plan is looked at always. So a group is a plan only for users that are in no other one, and only where
//! nothing of the user or the group would come out otherwise than it does there.

use std::collections::{BTreeMap, HashSet};

use isp_core::plan::Plan;
use isp_core::store::RawRow;

use super::source::{Attribute, Content};
use super::value::{self, Rates};
use super::vendors::Vendors;

pub(super) const CHECK: &str = "radgroupcheck";
pub(super) const REPLY: &str = "radgroupreply";

/// daloRADIUS puts those it disables in here, beside their other groups.
pub(super) const DISABLED: &str = "daloRADIUS-Disabled-Users";

/// A group, and what of it would become of it as a plan.
pub(super) struct Group<'a> {
    pub(super) check: Vec<&'a Attribute>,
    pub(super) reply: Vec<&'a Attribute>,
    /// Nobody of the group is let in.
    pub(super) rejects: bool,
    /// Its terms, where there is a rate among them.
    pub(super) plan: Option<Plan>,
    /// Of each member that has none of its own.
    pub(super) simultaneous_use: Option<u32>,
    /// Attributes that the plan gives, in lower case, and whether the group's win over the user's.
    pub(super) gives: BTreeMap<String, bool>,
    /// Rows that the plan stands for: radgroupcheck's and radgroupreply's ids, and the field.
    pub(super) mapped_check: BTreeMap<i64, &'static str>,
    pub(super) mapped_reply: BTreeMap<i64, &'static str>,
    /// Rows that look like a plan's and are not, with the reason.
    pub(super) odd: Vec<(&'static str, &'a Attribute, String)>,
}

impl Group<'_> {
    /// Does the plan say all that the group says?
    pub(super) fn is_whole(&self) -> bool {
        self.plan.is_some()
            && self.mapped_check.len() == self.check.len()
            && self.mapped_reply.len() == self.reply.len()
    }
}

pub(super) fn raw(row: &Attribute) -> RawRow {
    RawRow {
        name: row.name.clone(),
        attribute: row.attribute.clone(),
        op: row.op.clone(),
        value: row.value.clone(),
    }
}

pub(super) fn groups<'a>(content: &'a Content, vendors: &Vendors<'_>) -> BTreeMap<&'a str, Group<'a>> {
    let mut rows: BTreeMap<&str, (Vec<&Attribute>, Vec<&Attribute>)> = BTreeMap::new();
    for row in &content.group_check {
        rows.entry(&row.name).or_default().0.push(row);
    }
    for row in &content.group_reply {
        rows.entry(&row.name).or_default().1.push(row);
    }
    rows.into_iter()
        .map(|(name, (check, reply))| (name, group(name, check, reply, vendors)))
        .collect()
}

fn group<'a>(name: &str, check: Vec<&'a Attribute>, reply: Vec<&'a Attribute>, vendors: &Vendors<'_>) -> Group<'a> {
    let rejects = matches!(check.as_slice(), [only] if is_reject(only));
    let mut group = Group {
        check,
        reply,
        rejects,
        plan: None,
        simultaneous_use: None,
        gives: BTreeMap::new(),
        mapped_check: BTreeMap::new(),
        mapped_reply: BTreeMap::new(),
        odd: Vec::new(),
    };
    if !rejects {
        group.understand(name, vendors);
    }
    group
}

pub(super) fn is_reject(row: &Attribute) -> bool {
    row.attribute.eq_ignore_ascii_case("Auth-Type") && row.op == ":=" && row.value.eq_ignore_ascii_case("Reject")
}

/// Of the operators of a reply, those that set one value.
pub(super) fn sets(op: &str) -> bool {
    matches!(op, "=" | ":=")
}

impl Group<'_> {
    fn understand(&mut self, name: &str, vendors: &Vendors<'_>) {
        for &row in &self.check {
            if row.attribute.eq_ignore_ascii_case("Simultaneous-Use")
                && row.op == ":="
                && self.simultaneous_use.is_none()
            {
                match value::count(&row.value) {
                    Ok(number) => {
                        self.simultaneous_use = Some(number);
                        self.mapped_check.insert(row.id, "subscriber.simultaneous_use");
                    }
                    Err(why) => self.odd.push((CHECK, row, why)),
                }
            }
        }
        // What is left decides whether the group matches at all: a plan cannot.
        if self.mapped_check.len() < self.check.len() {
            return;
        }
        let mut plan = Plan {
            name: name.to_owned(),
            ..Plan::default()
        };
        let mut seen = HashSet::new();
        let (mut down, mut up) = (None, None);
        for &row in &self.reply {
            let attribute = row.attribute.to_ascii_lowercase();
            let once = self
                .reply
                .iter()
                .filter(|other| other.attribute.eq_ignore_ascii_case(&attribute))
                .count()
                == 1;
            if !once || !sets(&row.op) || !seen.insert(attribute.clone()) {
                if is_term(&attribute) {
                    self.odd
                        .push((REPLY, row, "a plan gives one value, with = or :=".to_owned()));
                }
                continue;
            }
            match term(&mut plan, &mut down, &mut up, &attribute, &row.value) {
                Ok(Some(field)) => {
                    self.mapped_reply.insert(row.id, field);
                    self.gives.insert(attribute, row.op == ":=");
                }
                Ok(None) => {}
                Err(why) => self.odd.push((REPLY, row, why)),
            }
        }
        match (down, up) {
            (Some(down), Some(up)) if plan.download_rate_kbps == 0 => {
                (plan.download_rate_kbps, plan.upload_rate_kbps) = (down, up);
            }
            (None, None) => {}
            // Half of WISPr's rates, or two kinds of rates that may differ.
            _ => plan.download_rate_kbps = 0,
        }
        if plan.download_rate_kbps > 0
            && let Some(why) = vendors.why_not(&plan, self.gives.keys().map(String::as_str))
        {
            let rates = self
                .reply
                .iter()
                .filter(|row| is_rate(&row.attribute.to_ascii_lowercase()));
            self.odd.extend(rates.map(|row| (REPLY, *row, why.clone())));
            plan.download_rate_kbps = 0;
        }
        if plan.download_rate_kbps == 0 {
            (self.mapped_check, self.mapped_reply, self.simultaneous_use) = Default::default();
            self.gives.clear();
        } else {
            // MikroTik is told other rates than WISPr's, and a row of the user's own may give those.
            for attribute in vendors.told(&plan) {
                self.gives.entry(attribute).or_insert(false);
            }
            self.plan = Some(plan);
        }
    }
}

fn is_rate(attribute: &str) -> bool {
    attribute == "mikrotik-rate-limit" || attribute.starts_with("wispr-bandwidth-max-")
}

/// An empty value is one of none of them.
fn is_term(attribute: &str) -> bool {
    !matches!(
        term(&mut Plan::default(), &mut None, &mut None, attribute, ""),
        Ok(None)
    )
}

/// Write one attribute into the plan; `None` where it is none of a plan's.
fn term(
    plan: &mut Plan,
    down: &mut Option<u32>,
    up: &mut Option<u32>,
    attribute: &str,
    value: &str,
) -> Result<Option<&'static str>, String> {
    match attribute {
        "mikrotik-rate-limit" => {
            fill(plan, &value::rate_limit(value)?);
            Ok(Some("plan rates"))
        }
        "wispr-bandwidth-max-down" => {
            *down = Some(value::bits(value)?);
            Ok(Some("plan.download_rate_kbps"))
        }
        "wispr-bandwidth-max-up" => {
            *up = Some(value::bits(value)?);
            Ok(Some("plan.upload_rate_kbps"))
        }
        "session-timeout" => {
            plan.session_timeout = Some(value::count(value)?);
            Ok(Some("plan.session_timeout"))
        }
        "idle-timeout" => {
            plan.idle_timeout = Some(value::count(value)?);
            Ok(Some("plan.idle_timeout"))
        }
        "acct-interim-interval" => {
            plan.acct_interim_interval = Some(value::count(value)?);
            Ok(Some("plan.acct_interim_interval"))
        }
        "framed-pool" => {
            plan.ipv4_pool = Some(value::name(value)?);
            Ok(Some("plan.ipv4_pool"))
        }
        "filter-id" => {
            plan.filter_id = Some(value::name(value)?);
            Ok(Some("plan.filter_id"))
        }
        "mikrotik-address-list" => {
            plan.address_list = Some(value::name(value)?);
            Ok(Some("plan.address_list"))
        }
        _ => Ok(None),
    }
}

const fn fill(plan: &mut Plan, rates: &Rates) {
    plan.download_rate_kbps = rates.download;
    plan.upload_rate_kbps = rates.upload;
    plan.download_burst_kbps = rates.download_burst;
    plan.upload_burst_kbps = rates.upload_burst;
    plan.download_burst_threshold_kbps = rates.download_threshold;
    plan.upload_burst_threshold_kbps = rates.upload_threshold;
    plan.download_burst_seconds = rates.download_seconds;
    plan.upload_burst_seconds = rates.upload_seconds;
    plan.priority = rates.priority;
    plan.download_min_kbps = rates.download_min;
    plan.upload_min_kbps = rates.upload_min;
}
