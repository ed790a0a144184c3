//! Raw rows that the server cannot use as they are: found when they are loaded, not when somebody logs in.

use tracing::warn;

use crate::dictionary::{Dictionary, RowList};
use crate::subscriber::AttributeRow;

/// Operators that change a reply. Others only compare: the server takes such a row and adds nothing.
const OF_REPLY: [&str; 8] = ["=", ":=", "+=", "-=", "^=", "!*", "<=", ">="];

/// `rlm_exec` runs what these say, with the rights of the server, for whoever may write a row.
const EXECUTED: [&str; 3] = ["Exec-Program", "Exec-Program-Wait", "Exec-Program-Log"];

/// Names the table, the row, its attribute and what is wrong with the first row that the server cannot build. `whose`
/// says in the log whose rows they are.
pub(super) fn first_fault(
    dictionary: &dyn Dictionary,
    tables: [(RowList, &str, &[AttributeRow]); 2],
    whose: &dyn std::fmt::Display,
) -> Option<String> {
    tables.into_iter().find_map(|(list, table, rows)| {
        rows.iter().find_map(|row| {
            let AttributeRow { id, attribute, op, .. } = row;
            if let Err(why) = refused(list, row).and_then(|()| dictionary.check_row(list, row)) {
                return Some(format!("{table} row {id}, attribute {attribute}: {why}"));
            }
            if list == RowList::Reply && !OF_REPLY.contains(&op.as_str()) {
                warn!("{table} row {id} of {whose}, attribute {attribute}: operator {op:?} adds nothing to a reply; = := += do");
            }
            None
        })
    })
}

/// What stock `sql` would go to the database for again, at every login, and what makes the server run programs.
fn refused(list: RowList, row: &AttributeRow) -> Result<(), String> {
    if EXECUTED.iter().any(|name| row.attribute.eq_ignore_ascii_case(name)) {
        return Err("a row runs no program: call one where the server is configured".to_owned());
    }
    if list == RowList::Check && row.attribute.eq_ignore_ascii_case("User-Profile") {
        return Err("profiles are not looked up: make the subscriber a member of the profile's groups".to_owned());
    }
    Ok(())
}
