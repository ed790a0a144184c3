//! Values in back quotes, which the server expands when a row is used.
//!
//! Its language can run programs and query databases (`%{exec:...}`, `%{sql:...}`). A row of a database must not: whoever may
//! write a row would be able to do whatever the server can, and a login would wait for it.

/// What stands before the colon of `%{list:Attribute}`. Not `config`: `%{config:...}` reads the server's configuration, and
/// the secrets in it.
const LISTS: [&str; 9] = [
    "request",
    "reply",
    "control",
    "session-state",
    "outer.request",
    "outer.reply",
    "outer.control",
    "outer.session-state",
    "outer",
];

/// Functions that look at nothing but what they are given and the packet.
const FUNCTIONS: [&str; 25] = [
    "integer",
    "strlen",
    "length",
    "hex",
    "tag",
    "string",
    "expr",
    "tolower",
    "toupper",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "hmacmd5",
    "hmacsha1",
    "base64",
    "base64tohex",
    "urlquote",
    "urlunquote",
    "escape",
    "unescape",
    "substr",
    "lpad",
    "rpad",
    "concat",
];

/// Set by stock `sql` alone; empty here, which would change what the row means.
const OF_SQL: [&str; 2] = ["SQL-User-Name", "SQL-Group"];

/// Whether a row's value is expanded, and all of it may be.
pub fn check(value: &str) -> Result<(), String> {
    let Some(format) = value.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
        return Ok(());
    };
    format.split("%{").skip(1).try_for_each(part)
}

/// What follows one `%{`.
fn part(text: &str) -> Result<(), String> {
    let name = text.split([':', '}', '[', '%', ' ']).next().unwrap_or_default();
    let rest = text.get(name.len()..).unwrap_or_default();
    if OF_SQL.iter().any(|of_sql| text_names(text, of_sql)) {
        return Err(format!("%{{{name}}} is set by stock sql only: use User-Name"));
    }
    let Some(argument) = rest.strip_prefix(':') else {
        return Ok(());
    };
    if LISTS.contains(&name) || FUNCTIONS.contains(&name) || tagged(name, argument) {
        return Ok(());
    }
    Err(format!(
        "%{{{name}:...}} may run or query something, which a row of the database must not"
    ))
}

/// `%{Attribute:tag}`. Functions go by the names of modules, which are written small.
fn tagged(name: &str, argument: &str) -> bool {
    let tag = argument.split(['}', '[']).next().unwrap_or_default();
    let number = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_digit());
    number && name.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Whether the reference names this attribute, with or without a list before it.
fn text_names(text: &str, attribute: &str) -> bool {
    let reference = text.split(['}', '[', '%', ' ']).next().unwrap_or_default();
    reference
        .rsplit(':')
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_the_packet_is_expanded() {
        for good in [
            "plain",
            "%{exec:in no back quotes}",
            "`",
            "``",
            "`%{User-Name}`",
            "`user %{request:NAS-Port} %{reply:Class[0]}`",
            "`%{%{Stripped-User-Name}:-%{User-Name}}`",
            "`%{Tunnel-Password:1}`",
            "`%{toupper:%{Calling-Station-Id}}`",
            "`%{expr:%{NAS-Port} + 1}`",
            "`%{1} %t 100 %%`",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_runs_or_queries_is_refused() {
        for bad in [
            "`%{exec:/bin/id}`",
            "`%{sql:SELECT 1}`",
            "`%{toupper:%{exec:/bin/id}}`",
            "`%{%{User-Name}:-%{perl:x}}`",
            "`%{xlat:%{User-Name}}`",
            "`%{ldap:ldap:///x}`",
            "`%{sql.second:SELECT 1}`",
            "`%{EXEC:/bin/id}`",
            "`%{sql:-- 1\nSELECT 1}`",
            "`%{exec:-x}`",
            "`%{exec:1/../bin/id}`",
            "`%{exec:1}`",
            "`%{Exec:1 /bin/id}`",
            "`%{config:modules.sql.password}`",
            "`%{client:secret}`",
            "`%{SQL-Group}`",
            "`%{request:SQL-User-Name}`",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
