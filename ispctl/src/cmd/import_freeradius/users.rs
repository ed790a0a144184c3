//! Which users are subscribers, and which of their rows are fields.

use std::collections::{BTreeMap, BTreeSet};

use isp_core::password::StoredPassword;
use isp_core::plan::Plan;
use isp_core::policy::expiration;
use isp_core::store::{Membership, RawRow};
use isp_core::subscriber::{Status, Subscriber};
use isp_core::tenant::Tenant;
use jiff::tz::TimeZone;

use super::effect;
use super::groups::{self, DISABLED, Group, is_reject, raw, sets};
use super::report::{Problem, Report};
use super::source::{Attribute, Content, Member, Person};
use super::value;
use super::vendors::Vendors;
use crate::field::{self, Record as _};

/// A user and its rows; a subscriber where it has anything to log in with.
pub(super) struct User {
    pub(super) subscriber: Option<Subscriber>,
    pub(super) plan: Option<String>,
    pub(super) password: Option<StoredPassword<'static>>,
    pub(super) check: Vec<RawRow>,
    pub(super) reply: Vec<RawRow>,
    pub(super) memberships: Vec<Membership>,
}

/// What is to be written, but for NAS and sessions.
#[derive(Default)]
pub(super) struct Mapped {
    /// By username.
    pub(super) users: Vec<User>,
    pub(super) plans: Vec<Plan>,
    pub(super) group_check: Vec<RawRow>,
    pub(super) group_reply: Vec<RawRow>,
}

#[derive(Default)]
struct Rows<'a> {
    spelling: &'a str,
    check: Vec<&'a Attribute>,
    reply: Vec<&'a Attribute>,
    groups: Vec<&'a Member>,
    person: Person,
}

/// What a single row is.
enum Fate {
    Field(&'static str),
    Row(&'static str),
    /// It stays a row, and somebody should know why.
    Odd(String),
}

const NO_FIELD: &str = "no field means the same";

/// # Errors
/// Two users of the source would be one here: their names, told apart there, are the same by the tenant's rules.
pub(super) fn map(
    content: &Content,
    tenant: &Tenant,
    zone: &TimeZone,
    vendors: &Vendors<'_>,
    report: &mut Report,
) -> Result<Mapped, String> {
    let groups = groups::groups(content, vendors);
    let users = collect(content, tenant, report)?;
    let torn = torn_groups(&users, &groups);
    let mut mapped = Mapped::default();
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for (name, rows) in &users {
        let user = user(name, rows, &groups, &torn, zone, report);
        if let Some(plan) = &user.plan
            && let Some((&group, _)) = groups.get_key_value(plan.as_str())
        {
            taken.insert(group);
        }
        for membership in &user.memberships {
            // A partial plan leaves its rest in the group, whose other rows are then no more.
            if user.plan.as_ref() != Some(&membership.groupname)
                && let Some((&group, _)) = groups.get_key_value(membership.groupname.as_str())
            {
                needed.insert(group);
            }
        }
        mapped.users.push(user);
    }
    for (&name, group) in &groups {
        let is_plan = taken.contains(name);
        if is_plan {
            mapped.plans.extend(group.plan.clone());
        }
        keep(&mut mapped, group, is_plan, is_plan && !needed.contains(name), report);
    }
    Ok(mapped)
}

/// The rows of a group that stay rows. `without`: those that its plan stands for do not.
fn keep(mapped: &mut Mapped, group: &Group<'_>, is_plan: bool, without: bool, report: &mut Report) {
    for (table, rows, fields, kept) in [
        (
            groups::CHECK,
            &group.check,
            &group.mapped_check,
            &mut mapped.group_check,
        ),
        (
            groups::REPLY,
            &group.reply,
            &group.mapped_reply,
            &mut mapped.group_reply,
        ),
    ] {
        for row in rows {
            let field = fields.get(&row.id).copied().filter(|_| is_plan);
            if let Some(field) = field {
                report.mapped(table, row, field);
            } else {
                report.raw(table, row, "of a group that is no plan, or the rest of one");
                if table == groups::CHECK
                    && let Some(why) = effect::none_of(&row.attribute, &row.op)
                {
                    report.problem(table, row, why);
                }
            }
            if field.is_none() || !without {
                kept.push(raw(row));
            }
        }
    }
    for (table, row, why) in &group.odd {
        report.problem(table, row, why);
    }
}

/// Bring the rows of each user together.
fn collect<'a>(
    content: &'a Content,
    tenant: &Tenant,
    report: &mut Report,
) -> Result<BTreeMap<String, Rows<'a>>, String> {
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut users: BTreeMap<String, Rows<'a>> = BTreeMap::new();
    let mut clash = None;
    let mut of = |username: &'a str, table: &'static str, id: i64, report: &mut Report| -> Option<String> {
        let name = match field::parse::username(&tenant.normalize(username)) {
            Ok(name) => name,
            Err(why) => {
                report.left_out(Problem {
                    table,
                    id,
                    name: username.to_owned(),
                    attribute: String::new(),
                    why: format!("the username {why}"),
                });
                return None;
            }
        };
        // The first spelling stands for all that the database took for the same.
        let key = if content.case_blind {
            name.to_lowercase()
        } else {
            name.clone()
        };
        let name = keys.entry(key).or_insert(name).clone();
        let rows = users.entry(name.clone()).or_default();
        if rows.spelling.is_empty() {
            rows.spelling = username;
        } else if !content.case_blind && rows.spelling != username {
            clash = Some(format!(
                "{:?} and {username:?} are two users there, and by the rules of tenant {:?} one here ({name:?})",
                rows.spelling, tenant.name
            ));
        }
        Some(name)
    };
    let mut check = Vec::new();
    for row in &content.check {
        check.extend(of(&row.name, "radcheck", row.id, report).map(|name| (name, row)));
    }
    let mut reply = Vec::new();
    for row in &content.reply {
        reply.extend(of(&row.name, "radreply", row.id, report).map(|name| (name, row)));
    }
    let mut members = Vec::new();
    for row in &content.members {
        members.extend(of(&row.username, "radusergroup", row.id, report).map(|name| (name, row)));
    }
    if let Some(clash) = clash {
        return Err(clash);
    }
    for (name, row) in check {
        users.entry(name).or_default().check.push(row);
    }
    for (name, row) in reply {
        users.entry(name).or_default().reply.push(row);
    }
    for (name, row) in members {
        users.entry(name).or_default().groups.push(row);
    }
    for rows in users.values_mut() {
        rows.groups.sort_by_key(|member| member.priority);
    }
    for person in &content.people {
        let name = tenant.normalize(&person.username);
        let key = if content.case_blind {
            name.to_lowercase()
        } else {
            name.into_owned()
        };
        // Who is known to the office alone has nothing to log in with.
        if let Some(rows) = keys.get(&key).and_then(|name| users.get_mut(name)) {
            rows.person.add(person);
        }
    }
    Ok(users)
}

impl Person {
    fn add(&mut self, other: &Self) {
        for (field, value) in [
            (&mut self.full_name, &other.full_name),
            (&mut self.email, &other.email),
            (&mut self.phone, &other.phone),
            (&mut self.address, &other.address),
            (&mut self.notes, &other.notes),
        ] {
            if field.is_none() {
                field.clone_from(value);
            }
        }
    }
}

/// Groups whose plan would leave a rest, and that some member needs whole: they stay what they are.
fn torn_groups<'a>(users: &BTreeMap<String, Rows<'a>>, groups: &BTreeMap<&str, Group<'_>>) -> BTreeSet<&'a str> {
    let mut torn = BTreeSet::new();
    for rows in users.values() {
        for member in &rows.groups {
            let group = groups.get(member.groupname.as_str());
            if let Some(group) = group
                && group.plan.is_some()
                && !group.is_whole()
                && why_not(rows, member, group, groups).is_some()
            {
                torn.insert(member.groupname.as_str());
            }
        }
    }
    torn
}

fn is_disabling(member: &Member, first: bool, groups: &BTreeMap<&str, Group<'_>>) -> bool {
    let rejects = groups.get(member.groupname.as_str()).is_some_and(|group| group.rejects);
    rejects && (first || member.groupname == DISABLED)
}

/// The groups of a user, but for one that disables it.
fn enabled_groups<'a>(rows: &Rows<'a>, groups: &BTreeMap<&str, Group<'_>>) -> (bool, Vec<&'a Member>) {
    let disabling: Vec<bool> = rows
        .groups
        .iter()
        .enumerate()
        .map(|(index, member)| is_disabling(member, index == 0, groups))
        .collect();
    let others = rows.groups.iter().zip(&disabling).filter(|(_, disabling)| !**disabling);
    (disabling.contains(&true), others.map(|(member, _)| *member).collect())
}

/// Why the group's plan would not do for this user what the group does.
fn why_not(
    rows: &Rows<'_>,
    member: &Member,
    group: &Group<'_>,
    groups: &BTreeMap<&str, Group<'_>>,
) -> Option<&'static str> {
    let (_, others) = enabled_groups(rows, groups);
    let has = |list: &[&Attribute], name: &str| list.iter().any(|row| row.attribute.eq_ignore_ascii_case(name));
    if group.plan.is_none() {
        return Some("the group is no plan");
    }
    if rows.check.is_empty() {
        return Some("the user is no subscriber");
    }
    if others.iter().any(|other| other.groupname != member.groupname) || others.len() > 1 {
        return Some("the user is in several groups");
    }
    if has(&rows.reply, "Fall-Through") {
        return Some("the user's own rows say whether groups are looked at (Fall-Through)");
    }
    if group.simultaneous_use.is_some() && has(&rows.check, "Simultaneous-Use") {
        return Some("the user's own rows and the group's give the same attribute");
    }
    group
        .gives
        .iter()
        .any(|(attribute, wins)| {
            // Fields of a subscriber win over its plan's, as rows of a user do over a group's with "=".
            let own_field = matches!(attribute.as_str(), "session-timeout" | "idle-timeout") && !wins;
            has(&rows.reply, attribute) && !own_field
        })
        .then_some("the user's own rows and the group's give the same attribute")
}

fn user(
    name: &str,
    rows: &Rows<'_>,
    groups: &BTreeMap<&str, Group<'_>>,
    torn: &BTreeSet<&str>,
    zone: &TimeZone,
    report: &mut Report,
) -> User {
    let mut subscriber = Subscriber {
        username: name.to_owned(),
        status: Status::Active,
        // Without a row there is no limit.
        simultaneous_use: 0,
        full_name: rows.person.full_name.clone(),
        email: rows.person.email.clone(),
        phone_number: rows.person.phone.clone(),
        service_address: rows.person.address.clone(),
        notes: rows.person.notes.clone(),
        ..Subscriber::blank()
    };
    let mut mapped = User {
        subscriber: None,
        plan: None,
        password: None,
        check: Vec::new(),
        reply: Vec::new(),
        memberships: Vec::new(),
    };
    for row in &rows.check {
        let fate = check_row(row, &rows.check, &mut subscriber, &mut mapped.password, zone);
        settle("radcheck", row, fate, name, &mut mapped.check, report);
    }
    for row in &rows.reply {
        let fate = match rows.check.is_empty() {
            true => Fate::Row("the user is no subscriber"),
            false => reply_row(row, &rows.reply, &mut subscriber),
        };
        settle("radreply", row, fate, name, &mut mapped.reply, report);
    }
    memberships(name, rows, groups, torn, &mut subscriber, &mut mapped, report);
    // Who has no row to be checked against has nothing to log in with: its rows wait for a subscriber.
    mapped.subscriber = (!rows.check.is_empty()).then_some(subscriber);
    mapped
}

fn settle(table: &'static str, row: &Attribute, fate: Fate, name: &str, kept: &mut Vec<RawRow>, report: &mut Report) {
    match &fate {
        Fate::Field(field) => return report.mapped(table, row, field),
        Fate::Row(why) => report.raw(table, row, why),
        Fate::Odd(why) => {
            report.raw(table, row, why);
            report.problem(table, row, why);
        }
    }
    if row.op.chars().count() > 2 || row.attribute.is_empty() {
        report.left_out(Problem {
            table,
            id: row.id,
            name: name.to_owned(),
            attribute: row.attribute.clone(),
            why: "a row needs an attribute and an operator of two characters at most".to_owned(),
        });
        return;
    }
    kept.push(RawRow {
        name: name.to_owned(),
        ..raw(row)
    });
}

fn memberships(
    name: &str,
    rows: &Rows<'_>,
    groups: &BTreeMap<&str, Group<'_>>,
    torn: &BTreeSet<&str>,
    subscriber: &mut Subscriber,
    mapped: &mut User,
    report: &mut Report,
) {
    let is_subscriber = !rows.check.is_empty();
    for (index, member) in rows.groups.iter().enumerate() {
        let group = groups.get(member.groupname.as_str());
        if is_subscriber && is_disabling(member, index == 0, groups) {
            subscriber.status = Status::Suspended;
            report.membership(true, &member.groupname, "subscriber.status suspended");
            continue;
        }
        let why = match group {
            Some(_) if torn.contains(member.groupname.as_str()) => Some("some of its members need the whole group"),
            Some(group) => why_not(rows, member, group, groups),
            None => Some("the group has no rows"),
        };
        let Some((group, None)) = group.map(|group| (group, why)) else {
            report.membership(false, &member.groupname, why.unwrap_or(NO_FIELD));
            mapped.memberships.push(membership(name, member));
            continue;
        };
        mapped.plan = Some(member.groupname.clone());
        if let Some(number) = group.simultaneous_use {
            subscriber.simultaneous_use = number;
        }
        report.membership(true, &member.groupname, "subscriber.plan");
        if !group.is_whole() {
            mapped.memberships.push(membership(name, member));
        }
    }
}

fn membership(name: &str, member: &Member) -> Membership {
    Membership {
        username: name.to_owned(),
        groupname: member.groupname.clone(),
        priority: member.priority,
    }
}

fn is_password(attribute: &str) -> bool {
    let name = attribute.to_ascii_lowercase();
    name == "password-with-header" || name.ends_with("-password")
}

fn check_row(
    row: &Attribute,
    all: &[&Attribute],
    subscriber: &mut Subscriber,
    password: &mut Option<StoredPassword<'static>>,
    zone: &TimeZone,
) -> Fate {
    let odd = |why: String| Fate::Odd(why);
    if is_password(&row.attribute) {
        if row.op != ":=" {
            return odd("a password is given with :=, and compared with = and ==".to_owned());
        }
        if all.iter().filter(|other| is_password(&other.attribute)).count() > 1 {
            return odd("the user has several passwords".to_owned());
        }
        return match value::password(&row.attribute, &row.value) {
            Ok(stored) => {
                *password = Some(stored);
                Fate::Field("subscriber.password")
            }
            Err(why) => odd(why),
        };
    }
    if is_reject(row) {
        subscriber.status = Status::Suspended;
        return Fate::Field("subscriber.status suspended");
    }
    let field = match row.attribute.to_ascii_lowercase().as_str() {
        "expiration" => "subscriber.expiration_date",
        "simultaneous-use" => "subscriber.simultaneous_use",
        _ => {
            let why = effect::none_of(&row.attribute, &row.op);
            return why.map_or(Fate::Row(NO_FIELD), |why| odd(why.to_owned()));
        }
    };
    if row.op != ":=" || !is_single(row, all) {
        return odd("a field is one value, given with :=".to_owned());
    }
    let outcome = match field {
        "subscriber.expiration_date" => {
            let date = value::literal(&row.value).and_then(|value| Ok(expiration::read(value, zone)?));
            date.map(|at| subscriber.expiration_date = Some(at))
        }
        _ => value::count(&row.value).map(|number| subscriber.simultaneous_use = number),
    };
    outcome.map_or_else(odd, |()| Fate::Field(field))
}

fn reply_row(row: &Attribute, all: &[&Attribute], subscriber: &mut Subscriber) -> Fate {
    let field = match row.attribute.to_ascii_lowercase().as_str() {
        "framed-ip-address" => "subscriber.static_ipv4",
        "session-timeout" => "subscriber.session_timeout",
        "idle-timeout" => "subscriber.idle_timeout",
        _ => return Fate::Row(NO_FIELD),
    };
    if !sets(&row.op) || !is_single(row, all) {
        return Fate::Odd("a field is one value, given with = or :=".to_owned());
    }
    let outcome = match field {
        "subscriber.static_ipv4" => value::address(&row.value).map(|address| subscriber.static_ipv4 = Some(address)),
        "subscriber.session_timeout" => value::count(&row.value).map(|n| subscriber.session_timeout = Some(n)),
        _ => value::count(&row.value).map(|n| subscriber.idle_timeout = Some(n)),
    };
    outcome.map_or_else(Fate::Odd, |()| Fate::Field(field))
}

fn is_single(row: &Attribute, all: &[&Attribute]) -> bool {
    all.iter()
        .filter(|other| other.attribute.eq_ignore_ascii_case(&row.attribute))
        .count()
        == 1
}
