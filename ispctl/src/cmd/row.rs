//! Raw rows of `radcheck` and `radreply`: attributes the server evaluates itself.

use std::io::Read as _;

use clap::{Args, Subcommand};
use isp_core::dictionary::RowList;
use isp_core::store::Store;
use isp_core::subscriber::{AttributeRow, Subscriber};
use serde::Serialize;

use super::DeleteArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::field::parse;

/// A value is one attribute: 253 bytes on the wire, and as wide as the stock column.
const VALUE_MAX: usize = 253;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a row behind the subscriber's others
    Add {
        /// Username or id
        user: String,
        #[command(flatten)]
        row: NewRow,
    },
    /// List the subscriber's rows in the order the server takes them
    List {
        /// Username or id
        user: String,
    },
    /// Delete a row
    Delete {
        /// Username or id
        user: String,
        /// The row's id, as list shows it
        id: i64,
        #[command(flatten)]
        how: DeleteArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewRow {
    /// Attribute by the server's dictionary name, as in Framed-Route or Tunnel-Type:1
    #[arg(value_parser = attribute)]
    attribute: String,
    /// Operator: = := += and, for check rows, == != < <= > >= =~ !~ =* !*
    #[arg(allow_hyphen_values = true)]
    op: String,
    /// Value in the server's syntax; - reads it from standard input (the only way for passwords)
    #[arg(allow_hyphen_values = true)]
    value: String,
}

impl NewRow {
    /// Attribute, operator and value, which may have to be read first.
    pub(super) fn checked(self, list: RowList) -> Result<(String, String, String)> {
        check_operator(list, &self.op)?;
        let value = read_value(list, &self.attribute, self.value)?;
        Ok((self.attribute, self.op, value))
    }
}

/// A row of one text: attribute, operator, value.
pub(super) fn of_text(list: RowList, text: &str) -> Result<(String, String, String)> {
    let mut words = text.trim().splitn(3, char::is_whitespace).map(str::trim);
    let (Some(name), Some(op), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err(Error::Usage(format!(
            "{text:?} is no row: expected an attribute, an operator and a value, as in \"Filter-Id := gold\""
        )));
    };
    let row = NewRow {
        attribute: attribute(name).map_err(Error::Usage)?,
        op: op.to_owned(),
        value: value.to_owned(),
    };
    row.checked(list)
}

/// A row as it may be shown.
#[derive(Debug, Serialize)]
pub(super) struct View {
    id: i64,
    attribute: String,
    op: String,
    value: String,
}

impl From<AttributeRow> for View {
    fn from(row: AttributeRow) -> Self {
        let value = if holds_secret(&row.attribute) {
            "[hidden]".to_owned()
        } else {
            row.value
        };
        Self {
            id: row.id,
            attribute: row.attribute,
            op: row.op,
            value,
        }
    }
}

pub(super) async fn run(context: &Context, list: RowList, command: Command) -> Result<()> {
    let (store, tenant) = context.store_and_tenant().await?;
    let output = context.output;
    match command {
        Command::Add { user, row } => {
            let (attribute, op, value) = row.checked(list)?;
            let subscriber = super::subscriber::find(store, &tenant, &user).await?;
            let id = store.row_add(list, &subscriber, &attribute, &op, &value).await?;
            output.record(&View::from(AttributeRow {
                id,
                attribute,
                op,
                value,
            }))?;
        }
        Command::List { user } => {
            let subscriber = super::subscriber::find(store, &tenant, &user).await?;
            output.list(
                &views(store, list, &subscriber).await?,
                &["id", "attribute", "op", "value"],
            )?;
        }
        Command::Delete { user, id, how } => {
            let subscriber = super::subscriber::find(store, &tenant, &user).await?;
            let rows = store.rows(list, &tenant.id, &subscriber.id).await?;
            let row = rows
                .into_iter()
                .find(|row| row.id == id)
                .ok_or_else(|| Error::NotFound {
                    kind: kind(list),
                    name: id.to_string(),
                    place: format!("subscriber {:?}", subscriber.username),
                })?;
            if !how.dry_run {
                store.row_delete(list, &tenant.id, row.id).await?;
            }
            output.done(&how.told(kind(list), &format!("{} {}", row.attribute, row.op)));
        }
    }
    Ok(())
}

pub(super) async fn views(store: &Store, list: RowList, subscriber: &Subscriber) -> Result<Vec<View>> {
    let rows = store.rows(list, &subscriber.tenant_id, &subscriber.id).await?;
    Ok(rows.into_iter().map(View::from).collect())
}

pub(super) const fn kind(list: RowList) -> &'static str {
    match list {
        RowList::Check => "check row",
        RowList::Reply => "reply row",
    }
}

/// An attribute reference of the server: name, and perhaps a tag.
fn attribute(text: &str) -> std::result::Result<String, String> {
    let name = parse::required(text, VALUE_MAX)?;
    let (bare, tag) = name.split_once(':').unwrap_or((&name, "1"));
    let well_formed = bare.starts_with(|c: char| c.is_ascii_alphanumeric())
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && tag.parse::<u8>().is_ok_and(|tag| tag <= 31);
    if well_formed {
        Ok(name)
    } else {
        Err(format!("{text:?} is no attribute name"))
    }
}

fn check_operator(list: RowList, op: &str) -> Result<()> {
    const REPLY: [&str; 3] = ["=", ":=", "+="];
    const CHECK: [&str; 13] = [
        "=", ":=", "+=", "==", "!=", "<", "<=", ">", ">=", "=~", "!~", "=*", "!*",
    ];
    let known: &[&str] = match list {
        RowList::Check => &CHECK,
        RowList::Reply => &REPLY,
    };
    if known.contains(&op) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{op:?} is no operator of a {}: one of {}",
        kind(list),
        known.join(" ")
    )))
}

/// Attributes whose value is a credential, by the naming habits of the server's dictionaries.
fn holds_secret(attribute: &str) -> bool {
    let name = attribute.split(':').next().unwrap_or_default().to_ascii_lowercase();
    ["password", "secret", "-key", "password-with-header"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn read_value(list: RowList, attribute: &str, value: String) -> Result<String> {
    let secret = holds_secret(attribute);
    if secret && list == RowList::Check {
        return Err(Error::Refused(format!(
            "{attribute} in a check row would keep a password in clear: use ispctl subscriber password"
        )));
    }
    if value != "-" {
        if secret {
            return Err(Error::Usage(format!(
                "{attribute} is a secret, and arguments are public: give - as the value and the secret on standard input"
            )));
        }
        return checked(&value);
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .map_err(Error::Stdin)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    checked(line.strip_suffix('\r').unwrap_or(line))
}

fn checked(value: &str) -> Result<String> {
    parse::required(value, VALUE_MAX).map_err(|e| Error::Refused(format!("the value {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_names_are_those_of_a_dictionary() {
        for good in [
            "Framed-Route",
            "Tunnel-Type:1",
            "3GPP-IMSI",
            "Cisco-AVPair",
            "Attr-26.9.1",
        ] {
            assert!(attribute(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "Framed-Route:=", "-x", "Tunnel-Type:32", "%{sql:x}", "a\nb"] {
            assert!(attribute(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_known_by_name() {
        for secret in [
            "Cleartext-Password",
            "NT-Password",
            "Tunnel-Password:1",
            "Password-With-Header",
            "MS-MPPE-Send-Key",
        ] {
            assert!(holds_secret(secret), "{secret}");
        }
        assert!(!holds_secret("Framed-Route"));
    }
}
