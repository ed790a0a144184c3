use clap::Subcommand;
use isp_core::policy::vendor::coa::{Request, SessionKey, Undo, UndoBy, UndoValue};
use isp_core::policy::vendor::{Item, Terms, Vendor, VendorSet};
use serde::Serialize;

use super::plan::find_plan;
use crate::context::Context;
use crate::error::{Error, Result};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the vendors that a NAS may be of
    List,
    /// Show what a vendor's NAS are told, and how their sessions are changed
    Show {
        vendor: String,
        /// What this plan gives there instead: the attributes of an Access-Accept
        #[arg(long, value_name = "NAME|ID")]
        plan: Option<String>,
    },
}

/// A line of the list.
#[derive(Serialize)]
struct Line<'v> {
    name: &'v str,
    extends: Option<&'v str>,
    description: &'v str,
}

/// All of a vendor.
#[derive(Serialize)]
struct Shown<'v> {
    name: &'v str,
    description: &'v str,
    extends: Option<&'v str>,
    reply: Vec<Template<'v>>,
    coa_request: Request,
    coa_port: u16,
    coa_signed_answers: bool,
    coa_session: &'v [Vec<SessionKey>],
    coa_attributes: &'v [String],
    coa_together: &'v [Vec<String>],
    coa_undo: Vec<TakenBack<'v>>,
    notes: &'v [String],
}

#[derive(Serialize)]
struct Template<'v> {
    attribute: &'v str,
    tag: Option<u8>,
    /// The first that can be filled counts.
    value: Vec<&'v str>,
}

/// How an attribute is taken back.
#[derive(Serialize)]
struct TakenBack<'v> {
    attribute: &'v str,
    by: Option<&'v str>,
    value: Option<&'v UndoValue>,
    disconnect: bool,
}

/// An attribute of a reply.
#[derive(Serialize)]
struct Written<'v> {
    attribute: &'v str,
    tag: Option<u8>,
    value: String,
}

impl<'v> From<&'v Vendor> for Line<'v> {
    fn from(vendor: &'v Vendor) -> Self {
        Self {
            name: vendor.name(),
            extends: vendor.extends(),
            description: vendor.description(),
        }
    }
}

impl<'v> From<&'v Vendor> for Shown<'v> {
    fn from(vendor: &'v Vendor) -> Self {
        let coa = vendor.coa();
        Self {
            name: vendor.name(),
            description: vendor.description(),
            extends: vendor.extends(),
            reply: vendor.items().iter().map(Template::from).collect(),
            coa_request: coa.request,
            coa_port: coa.port,
            coa_signed_answers: coa.signed_answers,
            coa_session: &coa.session,
            coa_attributes: &coa.attributes,
            coa_together: &coa.together,
            coa_undo: coa.undo.iter().map(TakenBack::from).collect(),
            notes: &coa.notes,
        }
    }
}

impl<'v> From<&'v Undo> for TakenBack<'v> {
    fn from(undo: &'v Undo) -> Self {
        let (by, value) = match &undo.how {
            UndoBy::Send { by, value } => (Some(by.as_str()), Some(value)),
            UndoBy::Disconnect => (None, None),
        };
        Self {
            attribute: &undo.attribute,
            by,
            value,
            disconnect: by.is_none(),
        }
    }
}

impl<'v> From<&'v Item> for Template<'v> {
    fn from(item: &'v Item) -> Self {
        Self {
            attribute: item.attribute().name(),
            tag: Some(item.tag()).filter(|tag| *tag > 0),
            value: item.templates().collect(),
        }
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let vendors = context.vendors()?;
    match command {
        Command::List => {
            let lines: Vec<_> = vendors.vendors().iter().map(Line::from).collect();
            context.output.list(&lines, &["name", "extends", "description"])
        }
        Command::Show { vendor, plan: None } => context.output.record(&Shown::from(find(&vendors, &vendor)?)),
        Command::Show {
            vendor,
            plan: Some(plan),
        } => {
            let (store, tenant) = context.store_and_tenant().await?;
            let plan = find_plan(store, &tenant, &plan).await?;
            let named = find(&vendors, &vendor)?;
            let vendor = vendors.for_tenant([&tenant.name, &tenant.id], named);
            if vendor.name() != named.name() {
                let (name, other) = (named.name(), vendor.name());
                context.output.done(&format!(
                    "NAS of vendor {name} are {other} for tenant {:?}",
                    tenant.name
                ));
            }
            let reply = vendor
                .reply(&Terms::from(&plan))
                .map_err(|why| Error::Refused(format!("plan {:?} on vendor {}: {why}", plan.name, vendor.name())))?;
            let written: Vec<_> = reply
                .iter()
                .map(|item| Written {
                    attribute: item.attribute.name(),
                    tag: Some(item.tag).filter(|tag| *tag > 0),
                    value: item.value.to_string(),
                })
                .collect();
            context.output.list(&written, &["attribute", "tag", "value"])
        }
    }
}

fn find<'v>(vendors: &'v VendorSet, name: &str) -> Result<&'v Vendor> {
    vendors.get(name).ok_or_else(|| Error::NotFound {
        kind: "vendor",
        name: name.to_owned(),
        place: "the files of vendors (ispctl vendor list)".to_owned(),
    })
}
