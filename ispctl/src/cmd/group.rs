//! Groups: raw rows that many subscribers share, and who is a member.

use clap::{Args, Subcommand};
use isp_core::dictionary::RowList;
use isp_core::store::Store;
use isp_core::subscriber::AttributeRow;
use isp_core::tenant::Tenant;
use serde::Serialize;

use super::subscriber::find;
use super::{DeleteArgs, row};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse;

/// As wide as the stock column.
const NAME_MAX: usize = 64;
/// Members that `show` names; a group may have a million.
const SHOWN: u32 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the groups that have rows or members
    List,
    /// Show the rows of a group, and its first members
    Show {
        /// Its name
        group: String,
    },
    /// Rows of radgroupcheck: conditions for the group to count
    #[command(subcommand)]
    Check(RowCommand),
    /// Rows of radgroupreply: attributes the server adds to the answer
    #[command(subcommand)]
    Reply(RowCommand),
    /// Make a subscriber a member
    Join {
        /// The group's name; it need not have rows yet
        #[arg(value_parser = name)]
        group: String,
        /// Username or id
        user: String,
        /// Groups of a lower number are looked at first
        #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
        priority: i32,
    },
    /// End a membership
    Leave {
        /// The group's name
        group: String,
        /// Username or id
        user: String,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RowCommand {
    /// Add a row behind the group's others; the first row makes the group
    Add(AddArgs),
    /// Delete a row
    Delete {
        /// The group's name
        group: String,
        /// The row's id, as show has it
        id: i64,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The group's name
    #[arg(value_parser = name)]
    group: String,
    #[command(flatten)]
    row: row::NewRow,
}

fn name(text: &str) -> std::result::Result<String, String> {
    parse::required(text, NAME_MAX)
}

#[derive(Serialize)]
struct View {
    group: String,
    check: Vec<row::View>,
    reply: Vec<row::View>,
    members: u64,
    first_members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    username: String,
    priority: i32,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let output = context.output;
    match command {
        Command::List => output.list(
            &store.groups(&tenant.id).await?,
            &["group", "checks", "replies", "members"],
        )?,
        Command::Show { group } => output.record(&show(store, &tenant, group).await?)?,
        Command::Check(command) => rows(context, RowList::Check, command).await?,
        Command::Reply(command) => rows(context, RowList::Reply, command).await?,
        Command::Join { group, user, priority } => {
            let subscriber = find(store, &tenant, &user).await?;
            let memberships = store.memberships(&tenant.id, &subscriber.id).await?;
            if memberships.iter().any(|membership| membership.group == group) {
                return Err(Error::Conflict(format!(
                    "subscriber {:?} is a member of group {group:?} already: leave it first to change the priority",
                    subscriber.username
                )));
            }
            store.group_join(&subscriber, &group, priority).await?;
            output.list(
                &store.memberships(&tenant.id, &subscriber.id).await?,
                &["group", "priority"],
            )?;
        }
        Command::Leave { group, user, how } => {
            let subscriber = find(store, &tenant, &user).await?;
            let memberships = store.memberships(&tenant.id, &subscriber.id).await?;
            if !memberships.iter().any(|membership| membership.group == group) {
                return Err(Error::NotFound {
                    kind: "membership",
                    name: group,
                    place: format!("subscriber {:?}", subscriber.username),
                });
            }
            if !how.dry_run {
                store.group_leave(&subscriber, &group).await?;
            }
            output.done(&how.told("membership", &format!("{} in {group}", subscriber.username)));
        }
    }
    Ok(())
}

async fn show(store: &Store, tenant: &Tenant, group: String) -> Result<View> {
    let sizes = store.groups(&tenant.id).await?;
    let Some(size) = sizes.into_iter().find(|size| size.group == group) else {
        return Err(Error::not_found("group", &group, tenant));
    };
    let rows = store.group(&tenant.id, &group).await?;
    let members = store.group_members(&tenant.id, &group, SHOWN).await?;
    Ok(View {
        check: rows.checks.into_iter().map(row::View::from).collect(),
        reply: rows.replies.into_iter().map(row::View::from).collect(),
        members: size.members,
        first_members: members
            .into_iter()
            .map(|(username, priority)| Member { username, priority })
            .collect(),
        group,
    })
}

async fn rows(context: &Context, list: RowList, command: RowCommand) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    match command {
        RowCommand::Add(AddArgs { group, row }) => {
            let (attribute, op, value) = row.checked(list)?;
            let id = store
                .group_row_add(list, &tenant.id, &group, &attribute, &op, &value)
                .await?;
            context.output.record(&row::View::from(AttributeRow {
                id,
                attribute,
                op,
                value,
            }))
        }
        RowCommand::Delete { group, id, how } => {
            let of = store.group(&tenant.id, &group).await?;
            let rows = match list {
                RowList::Check => of.checks,
                RowList::Reply => of.replies,
            };
            let row = rows
                .into_iter()
                .find(|row| row.id == id)
                .ok_or_else(|| Error::NotFound {
                    kind: row::kind(list),
                    name: id.to_string(),
                    place: format!("group {group:?}"),
                })?;
            if !how.dry_run {
                store.group_row_delete(list, &tenant.id, &group, id).await?;
            }
            context
                .output
                .done(&how.told(row::kind(list), &format!("{} {}", row.attribute, row.op)));
            Ok(())
        }
    }
}
