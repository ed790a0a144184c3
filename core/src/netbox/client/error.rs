//! What can go wrong with a request, told apart by what a caller may do next.

use reqwest::StatusCode;
use serde_json::Value;

use crate::http;

/// Why NetBox did not do what was asked. Neither the token nor the URL's credentials are in any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetboxError {
    #[error("NetBox settings: {0}")]
    Settings(String),
    /// No connection: nothing was asked, nothing was done.
    #[error("cannot reach NetBox to {what}: {problem}")]
    Unreachable { what: String, problem: String },
    /// The request went out and no answer came: it may have been done.
    #[error("no answer from NetBox to {what}: {problem}; it may have been done")]
    Interrupted { what: String, problem: String },
    #[error(
        "NetBox does not take the token ({0}): set one that is valid, or check its expiry and its allowed addresses"
    )]
    Authentication(String),
    #[error("NetBox does not permit this token to {what}: {detail}")]
    Permission { what: String, detail: String },
    #[error("NetBox has nothing there to {what}: {detail}")]
    NotFound { what: String, detail: String },
    /// 409: the prefix is full, or has less left than was asked for.
    #[error("nothing left in NetBox to {what}")]
    Exhausted { what: String },
    /// 412: changed by another since it was read.
    #[error("changed in NetBox by another while trying to {what}")]
    Changed { what: String },
    /// 400: the request as such.
    #[error("NetBox refuses to {what}: {problems}")]
    Rejected { what: String, problems: String },
    /// 5xx: a fault of NetBox's own. It may have been done.
    #[error("NetBox fails to {what} (HTTP {status}): {detail}")]
    Failed { what: String, status: u16, detail: String },
    #[error("not understood what NetBox answered when asked to {what}: {problem}")]
    Unexpected { what: String, problem: String },
}

impl NetboxError {
    /// Whether what was asked may have been done all the same: to be looked up before it is asked again.
    #[must_use]
    pub const fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. } | Self::Failed { .. } | Self::Unexpected { .. }
        )
    }

    /// Whether asking again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Failed { .. }
        )
    }

    /// Whether a custom field that is to be unique has this value already.
    pub(crate) fn is_taken(&self, field: &str) -> bool {
        match self {
            // The words of the server: there is no code for it.
            Self::Rejected { problems, .. } => {
                problems.contains(&format!("Custom field '{field}' must have a unique value"))
            }
            _ => false,
        }
    }

    /// A request that got no answer.
    pub(super) fn transport(what: &str, error: reqwest::Error) -> Self {
        let connect = error.is_connect() || error.is_builder();
        let problem = http::problem(error);
        let what = what.to_owned();
        if connect {
            Self::Unreachable { what, problem }
        } else {
            Self::Interrupted { what, problem }
        }
    }

    /// An answer that is no success.
    pub(super) fn answer(what: &str, status: StatusCode, body: &[u8]) -> Self {
        let what = what.to_owned();
        let detail = serde_json::from_slice(body).map_or_else(
            // A proxy, or Django before the API: a page for people.
            |_| format!("{} bytes that are no JSON", body.len()),
            |value| problems(&value),
        );
        match status.as_u16() {
            // NetBox itself answers 403 to all; a proxy before it may say 401.
            401 => Self::Authentication(detail),
            403 if of_token(&detail) => Self::Authentication(detail),
            403 => Self::Permission { what, detail },
            404 => Self::NotFound { what, detail },
            409 => Self::Exhausted { what },
            412 => Self::Changed { what },
            300..=399 => Self::Settings(
                "the URL redirects elsewhere: set the one that NetBox itself has (https, and its path)".to_owned(),
            ),
            429 => Self::Unreachable {
                what,
                problem: "it asks for fewer requests (HTTP 429)".to_owned(),
            },
            400..=499 => Self::Rejected { what, problems: detail },
            status => Self::Failed { what, status, detail },
        }
    }
}

/// Every fault of authentication is a 403; only its words tell it from a missing permission.
fn of_token(detail: &str) -> bool {
    [
        "Invalid v1 token",
        "Invalid v2 token",
        "Invalid token",
        "Invalid authorization header",
        "Authentication credentials",
        "Token disabled",
        "Token expired",
        "User inactive",
        "Source IP",
    ]
    .iter()
    .any(|start| detail.starts_with(start))
}

/// An error body in one line, whichever of its shapes it has: `{"detail"}`, messages by field, lists of those.
fn problems(body: &Value) -> String {
    fn collect(at: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Null => {}
            Value::Array(values) => values.iter().for_each(|value| collect(at, value, found)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let at = match name.as_str() {
                        "detail" | "__all__" | "error" | "errors" => at.to_owned(),
                        // Beside "error"; of no use to whoever reads this.
                        "exception" | "netbox_version" | "python_version" | "index" => continue,
                        name if at.is_empty() => name.to_owned(),
                        name => format!("{at}.{name}"),
                    };
                    collect(&at, value, found);
                }
            }
            value => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let problem = if at.is_empty() { text } else { format!("{at}: {text}") };
                // A list of requests has the same fault once each.
                if !found.contains(&problem) {
                    found.push(problem);
                }
            }
        }
    }
    let mut found = Vec::new();
    collect("", body, &mut found);
    if found.is_empty() {
        return "it does not say why".to_owned();
    }
    found.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> NetboxError {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        NetboxError::answer("allocate an address", status, body.as_bytes())
    }

    #[test]
    fn faults_are_told_apart_by_what_the_server_says() {
        for (status, body, shown) in [
            (
                403,
                r#"{"detail":"Invalid v2 token"}"#,
                "NetBox does not take the token (Invalid v2 token)",
            ),
            (
                403,
                r#"{"detail":"You do not have permission to perform this action."}"#,
                "does not permit this token to allocate an address: You do not have",
            ),
            (
                400,
                r#"{"tags":["Related object not found using the provided attributes: {'slug': 'x'}"]}"#,
                "refuses to allocate an address: tags: Related object not found",
            ),
            (
                400,
                r#"{"custom_fields":{"subscriber_id":"Custom field 'subscriber_id' does not exist for this object type."}}"#,
                "custom_fields.subscriber_id: Custom field 'subscriber_id' does not exist",
            ),
            (
                400,
                r#"[{},{"status":["bogus is not a valid choice."]},{"status":["bogus is not a valid choice."]}]"#,
                "address: status: bogus is not a valid choice.",
            ),
            (409, r#"{"detail":"Insufficient resources"}"#, "nothing left in NetBox"),
            (
                500,
                r#"{"error":"terminating connection","exception":"OperationalError","netbox_version":"4.7.3"}"#,
                "(HTTP 500): terminating connection",
            ),
            (500, "<html>", "(HTTP 500): 6 bytes that are no JSON"),
            (301, "", "the URL redirects elsewhere"),
        ] {
            let said = answer(status, body).to_string();
            assert!(said.contains(shown), "{said}");
        }
    }

    #[test]
    fn only_what_may_have_been_done_is_uncertain() {
        assert!(answer(500, "").is_uncertain());
        assert!(answer(502, "<html>").is_uncertain());
        for status in [400, 401, 403, 404, 409, 412, 429] {
            assert!(!answer(status, "{}").is_uncertain(), "{status}");
        }
    }

    #[test]
    fn a_taken_key_is_known() {
        let taken = answer(
            400,
            r#"{"__all__":["Custom field 'lease_key' must have a unique value."]}"#,
        );
        assert!(taken.is_taken("lease_key"));
        assert!(!taken.is_taken("lease"));
        assert!(!answer(400, r#"{"status":["bogus"]}"#).is_taken("lease_key"));
    }
}
