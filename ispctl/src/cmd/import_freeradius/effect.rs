//! Which check rows anything here acts on.

use isp_core::policy::rows;
use isp_core::subscriber::RawRow;

/// Set by rows, and acted on by the shipped site: the server itself, the modules that authenticate, or ours.
const HEEDED: [&str; 13] = [
    "auth-type",
    "autz-type",
    "eap-type",
    "expiration",
    "fall-through",
    "freeradius-response-delay",
    "freeradius-response-delay-usec",
    "login-time",
    "post-auth-type",
    "response-packet-type",
    "simultaneous-use",
    "smb-account-ctrl",
    "smb-account-ctrl-text",
];

/// Why a check row that stays a row has no effect; `None` where it has one.
pub(super) fn none_of(attribute: &str, op: &str) -> Option<&'static str> {
    let row = RawRow {
        id: 0,
        attribute,
        op,
        value: "",
    };
    let sets = !rows::compares(&row);
    let attribute = attribute.to_ascii_lowercase();
    if attribute == "huntgroup-name" && !sets {
        return Some("nothing tells the huntgroup of a packet here (preprocess): the row holds for none");
    }
    let for_scripts = attribute.starts_with("tmp-");
    let heeded = HEEDED.contains(&attribute.as_str()) || attribute.ends_with("-password") || for_scripts;
    if !sets || heeded || attribute == "password-with-header" {
        return None;
    }
    if attribute.starts_with("max-") {
        return Some("nothing counts it here (sqlcounter): give the plan a quota (ispctl quota)");
    }
    Some("nothing here acts on it: it was for another module of the server (sqlippool, sqlcounter ...)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nothing_keeps_is_told() {
        for (attribute, op, effect) in [
            ("Max-Daily-Session", ":=", false),
            ("Pool-Name", ":=", false),
            ("Huntgroup-Name", "==", false),
            ("Huntgroup-Name", "=", false),
            ("Pool-Name", "=", true),
            ("Current-Time", "=", true),
            ("Login-Time", ":=", true),
            ("Simultaneous-Use", ":=", true),
            ("Cleartext-Password", ":=", true),
            ("Calling-Station-Id", "==", true),
            ("Max-Daily-Session", "<", true),
            ("Tmp-String-0", ":=", true),
        ] {
            assert_eq!(none_of(attribute, op).is_none(), effect, "{attribute} {op}");
        }
    }
}
