//! Why a subscriber is let in or not: every rule of the decision, told.

use std::net::IpAddr;
use std::sync::Arc;

use isp_core::dictionary::AnyAttribute;
use isp_core::group::Group;
use isp_core::nas::Nas;
use isp_core::password::AuthMethod;
use isp_core::policy::binding::Packet;
use isp_core::policy::reply::ReplyItem;
use isp_core::policy::rows::{self, Gate};
use isp_core::policy::vendor::{Vendor, VendorSet};
use isp_core::policy::{self, Holder, Reason, SubscriberFacts, Told};
use isp_core::snapshot::{Asked, Entry, Found, Missing, Sender, SnapshotBuilder};
use isp_core::store::{SessionAddress, SessionFilter, Store};
use isp_core::subscriber::{AttributeRow, RawRow, Subscriber};
use isp_core::tenant::{RealmAction, Tenant};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{nas, subscriber};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse;
use crate::period;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Username or id
    user: String,
    #[command(flatten)]
    question: Question,
}

/// The login it is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The NAS it comes by: address, short name or id
    #[arg(long)]
    pub(crate) nas: Option<String>,
    /// When [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    pub(crate) at: Option<i64>,
    /// pap, chap, mschap or none
    #[arg(long, default_value = "pap", value_parser = method)]
    pub(crate) method: AuthMethod,
    /// User-Name in the packet [default: the subscriber's]
    #[arg(long, value_name = "TEXT")]
    pub(crate) user_name: Option<String>,
    /// NAS-Identifier in the packet
    #[arg(long, value_name = "TEXT")]
    pub(crate) nas_identifier: Option<String>,
    /// NAS-Port-Id in the packet
    #[arg(long, value_name = "TEXT")]
    pub(crate) nas_port_id: Option<String>,
    /// Calling-Station-Id in the packet
    #[arg(long, value_name = "TEXT")]
    pub(crate) calling_station_id: Option<String>,
    /// Agent-Circuit-Id in the packet, as text or as 0x...
    #[arg(long, value_name = "TEXT")]
    pub(crate) circuit_id: Option<String>,
    /// Agent-Remote-Id in the packet, as text or as 0x...
    #[arg(long, value_name = "TEXT")]
    pub(crate) remote_id: Option<String>,
}

fn method(word: &str) -> std::result::Result<AuthMethod, String> {
    match word {
        "pap" => Ok(AuthMethod::Pap),
        "chap" => Ok(AuthMethod::Chap),
        "mschap" => Ok(AuthMethod::MsChap),
        "none" => Ok(AuthMethod::None),
        _ => Err("expected pap, chap, mschap or none".to_owned()),
    }
}

#[derive(Serialize)]
pub(crate) struct View {
    username: String,
    at: i64,
    /// Of the NAS; where none is named, of all of the tenant's if it is the same, or else generic.
    vendor: String,
    /// `accept`, `restricted` or `reject`.
    pub(crate) verdict: &'static str,
    pub(crate) why: Option<String>,
    /// Check rows that may refuse it besides: the server compares them with the packet, or the clock.
    pub(crate) depends_on: Vec<String>,
    pub(crate) rules: Vec<Told>,
    pub(crate) reply: Vec<Item>,
    /// Rows the server goes by besides.
    check_rows: Vec<Row>,
    reply_rows: Vec<Row>,
    /// In the order they are looked at: the first whose check rows hold is the last, unless it says Fall-Through.
    groups: Vec<GroupView>,
}

#[derive(Serialize)]
struct Row {
    attribute: String,
    op: String,
    value: String,
}

#[derive(Serialize)]
struct GroupView {
    group: String,
    priority: i32,
    check_rows: Vec<Row>,
    reply_rows: Vec<Row>,
}

impl Row {
    fn raw(&self) -> RawRow<'_> {
        RawRow {
            id: 0,
            attribute: &self.attribute,
            op: &self.op,
            value: &self.value,
        }
    }

    /// A password is none of a decision's reasons.
    fn new(row: RawRow<'_>) -> Self {
        let is_password = row.attribute.to_ascii_lowercase().contains("password");
        Self {
            attribute: row.attribute.to_owned(),
            op: row.op.to_owned(),
            value: if is_password { "(set)" } else { row.value }.to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Item {
    attribute: String,
    value: String,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let subscriber = subscriber::find(store, &tenant, &args.user).await?;
    let vendors = Arc::new(context.vendors()?);
    context
        .output
        .record(&decide(store, vendors, &tenant, &subscriber, &args.question).await?)
}

/// What such a login of a subscriber would be answered, and why.
pub(crate) async fn decide(
    store: &Store,
    vendors: Arc<VendorSet>,
    tenant: &Tenant,
    subscriber: &Subscriber,
    args: &Question,
) -> Result<View> {
    let nas = match &args.nas {
        Some(name) => Some(find_nas(store, tenant, name).await?),
        None => None,
    };
    let usual = match nas {
        Some(_) => None,
        None => usual_vendor(store, &vendors, tenant).await?,
    };
    let mut builder = SnapshotBuilder::new(Arc::new(AnyAttribute), Arc::clone(&vendors));
    let foreign = nas.as_ref().is_some_and(|nas| nas.tenant_id != tenant.id);
    if args.user_name.is_some() || foreign {
        // Others may have the name, or the line.
        store.load_snapshot(&mut builder).await?;
    } else {
        store.load_catalog(&mut builder).await?;
        store
            .load_subscribers(std::slice::from_ref(&subscriber.id), &mut builder)
            .await?;
    }
    let (snapshot, _) = builder.finish();
    let view = snapshot.view();
    let source = nas.as_ref().and_then(address);
    let now = args.at.unwrap_or_else(period::now);
    let [circuit_id, remote_id] =
        [&args.circuit_id, &args.remote_id].map(|text| text.as_deref().map(policy::binding::octets_of));
    let packet = Packet {
        signed: true,
        by_client: false,
        nas_identifier: args.nas_identifier.as_deref().map(str::as_bytes),
        nas_addresses: [source, None],
        nas_port_id: args.nas_port_id.as_deref().map(str::as_bytes),
        nas_port: args.nas_port_id.as_deref().and_then(|port| port.parse().ok()),
        calling_station_id: args.calling_station_id.as_deref().map(str::as_bytes),
        circuit_id: circuit_id.as_deref(),
        remote_id: remote_id.as_deref(),
    };
    let user_name = args.user_name.as_deref().unwrap_or(&subscriber.username);
    let sender = Sender {
        user_name: user_name.as_bytes(),
        method: args.method,
        has_password: args.method == AuthMethod::Pap,
        packet,
    };
    let found = view.find(source, Some(&tenant.id), &sender).map_err(|missing| {
        Error::Refused(
            if args.user_name.is_none() && !foreign && missing == Missing::Subscriber {
                format!("subscriber {:?} is deleted, or cannot be packed", subscriber.username)
            } else {
                format!("such a packet is refused: {}", missing.refusal(source))
            },
        )
    })?;
    let entry = found.entry().map_err(|why| Error::Refused(why.to_string()))?;
    if entry.id() != subscriber.id {
        return Err(Error::Refused(format!(
            "such a packet is of another subscriber, with the id {}",
            entry.id()
        )));
    }
    let standing = entry.standing(now);
    let facts = SubscriberFacts {
        status: standing.status,
        ..entry.facts
    };
    let asked = Asked {
        method: args.method,
        packet,
        now,
    };
    let holder = address_holder(store, tenant, &subscriber.id, &facts).await?;
    let mut facts = found.facts(&entry, &facts, &standing, asked);
    facts.address_holder = holder.as_ref().map(|(address, by)| Holder { address: *address, by });
    if let Some(vendor) = usual {
        facts.vendor = vendor;
    }
    let groups = groups(store, tenant, &subscriber.id).await?;
    let faults = entry
        .groups
        .iter()
        .filter_map(|&index| found.group(index).fault.as_deref());
    let fault = entry.fault.into_iter().chain(faults).next();
    let of_rows = of_rows(&found, &entry, now).or_else(|| fault.map(|fault| format!("bad_attribute: {fault}")));
    let (verdict, why, reply) = match (policy::decide(&facts), of_rows) {
        (Ok(_), Some(why)) => ("reject", Some(why), Vec::new()),
        (Ok(decision), None) => {
            let why = decision.restricted.as_ref().map(ToString::to_string);
            let verdict = if why.is_some() { "restricted" } else { "accept" };
            (verdict, why, decision.reply.iter().map(item).collect())
        }
        (Err(refusal), _) => ("reject", Some(refusal.to_string()), Vec::new()),
    };
    Ok(View {
        username: subscriber.username.clone(),
        at: now,
        vendor: facts.vendor.name().to_owned(),
        verdict,
        why,
        depends_on: match verdict {
            "reject" => Vec::new(),
            _ => open_rows(&entry, &groups),
        },
        rules: policy::explain(&facts),
        reply,
        check_rows: entry.checks.iter().copied().map(Row::new).collect(),
        reply_rows: entry.replies.iter().copied().map(Row::new).collect(),
        groups,
    })
}

/// The vendor of all the NAS of a tenant, where it is one.
async fn usual_vendor<'v>(store: &Store, vendors: &'v VendorSet, tenant: &Tenant) -> Result<Option<&'v Vendor>> {
    let all = store.nas_list(Some(&tenant.id)).await?;
    let mut names = all.iter().map(|nas| nas.vendor.as_str());
    let first = names.next().filter(|first| names.all(|name| name == *first));
    let vendor = first.and_then(|name| vendors.get(name));
    Ok(vendor.map(|vendor| vendors.for_tenant([&tenant.name, &tenant.id], vendor)))
}

/// Why check rows refuse whatever the packet.
fn of_rows(found: &Found<'_>, entry: &Entry<'_>, now: i64) -> Option<String> {
    let groups: Vec<&Group> = entry.groups.iter().map(|&index| found.group(index)).collect();
    let gate = Gate::of(&entry.checks, &entry.replies, &groups, &TimeZone::system());
    if gate.rejects {
        return Some(format!(
            "{}: a check row says Auth-Type := Reject",
            Reason::CheckMismatch
        ));
    }
    let expired = gate.expires.filter(|&at| at <= now)?;
    Some(format!(
        "{}: a check row says Expiration, which was at {expired}",
        Reason::Expired
    ))
}

/// Check rows that may refuse a packet besides, each with the table it is of.
fn open_rows(entry: &Entry<'_>, groups: &[GroupView]) -> Vec<String> {
    let own = entry.checks.iter().filter(|row| rows::is_open(row));
    let own = own.map(|row| format!("radcheck {}", row.attribute));
    let of_groups = groups.iter().flat_map(|group| {
        let open = group.check_rows.iter().filter(|row| rows::is_open(&row.raw()));
        open.map(|row| format!("radgroupcheck {} of {}", row.attribute, group.group))
    });
    own.chain(of_groups).collect()
}

/// Another live session that has the subscriber's address, as the database knows of it.
async fn address_holder(
    store: &Store,
    tenant: &Tenant,
    subscriber_id: &str,
    facts: &SubscriberFacts,
) -> Result<Option<(IpAddr, String)>> {
    let Some(address) = facts.static_ipv4 else {
        return Ok(None);
    };
    let filter = SessionFilter {
        tenant_id: Some(tenant.id.clone()),
        address: Some(SessionAddress::Ipv4(address)),
        open: true,
        ..SessionFilter::default()
    };
    let sessions = store.session_list(&filter).await?;
    let other = sessions
        .into_iter()
        .find(|session| session.subscriber_id.as_deref() != Some(subscriber_id));
    Ok(other.map(|session| (address.into(), session.username.unwrap_or_default())))
}

async fn groups(store: &Store, tenant: &Tenant, subscriber_id: &str) -> Result<Vec<GroupView>> {
    let mut groups = Vec::new();
    for membership in store.memberships(&tenant.id, subscriber_id).await? {
        let group = store.group(&tenant.id, &membership.group).await?;
        let rows = |rows: &[AttributeRow]| rows.iter().map(RawRow::from).map(Row::new).collect();
        groups.push(GroupView {
            check_rows: rows(&group.checks),
            reply_rows: rows(&group.replies),
            group: membership.group,
            priority: membership.priority,
        });
    }
    Ok(groups)
}

/// The tenant's, or one of a tenant that hands a realm on to it.
async fn find_nas(store: &Store, tenant: &Tenant, name: &str) -> Result<Nas> {
    if let Some(nas) = store.nas_get(&tenant.id, name).await? {
        return Ok(nas);
    }
    for other in store.tenant_list().await? {
        let realms = store.tenant_realms(&other.id).await?;
        let leads_here = |action: &RealmAction| matches!(action, RealmAction::Tenant(id) if *id == tenant.id);
        if realms.iter().any(|realm| leads_here(&realm.action))
            && let Some(nas) = store.nas_get(&other.id, name).await?
        {
            return Ok(nas);
        }
    }
    nas::find_nas(store, tenant, name).await
}

fn address(nas: &Nas) -> Option<IpAddr> {
    let host = nas.nasname.split('/').next()?;
    host.parse().ok()
}

fn item(item: &ReplyItem<'_>) -> Item {
    let name = item.attribute.name();
    Item {
        attribute: match item.tag {
            0 => name.to_owned(),
            tag => format!("{name}:{tag}"),
        },
        value: item.value.to_string(),
    }
}
