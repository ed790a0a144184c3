//! Whether the module is called where it has to be, and whom the server listens to.

use super::finding::{Findings, Severity};
use super::raddb::{Entry, Raddb};

pub(super) fn check(raddb: &Raddb, instance: Option<&Entry>, findings: &mut Findings) {
    let Some(instance) = instance else {
        let place = raddb.directory.join("mods-enabled").display().to_string();
        let remedy = format!("ln -s ../mods-available/rust {place}/");
        return findings.error(
            "module_not_enabled",
            &place,
            "no module \"rust\" is set up: nothing uses the subscriber base",
            &remedy,
        );
    };
    let module = raddb.instance_name(instance);
    calls(raddb, module, findings);
    clients(raddb, findings);
}

fn calls(raddb: &Raddb, module: &str, findings: &mut Findings) {
    let mut serves = false;
    let mut faults = Vec::new();
    for server in raddb.servers() {
        let listens = |kind: &str| {
            let listeners = server.sections().filter(|entry| entry.name() == "listen");
            let mut kinds = listeners.filter_map(|entry| raddb.value(entry, "type"));
            kinds.any(|found| found.contains(kind))
        };
        if listens("auth") {
            faults.extend(authentication(raddb, module, server, &mut serves));
        }
        if listens("acct") && !in_section(raddb, server.section("accounting"), module) {
            faults.push((
                "not_in_accounting",
                server,
                "accounting packets are not recorded: the section \"accounting\" does not call the module",
                format!("call {module} in \"accounting\""),
            ));
        }
    }
    // A server of somebody else's beside ours is no fault of the module.
    let severity = if serves { Severity::Warning } else { Severity::Error };
    let partly = |code: &str| code != "not_in_authorize";
    for (code, server, problem, remedy) in faults {
        let severity = if partly(code) { Severity::Error } else { severity };
        findings.add(severity, code, &server.place(), problem, &remedy);
    }
    if !serves && raddb.servers().all(|server| server.section("listen").is_none()) {
        let place = raddb.directory.join("sites-enabled").display().to_string();
        let remedy = format!("ln -s ../sites-available/isp ../sites-available/isp-inner-tunnel {place}/");
        findings.error("no_server_listens", &place, "no virtual server listens", &remedy);
    }
}

type CallFault<'a> = (&'static str, &'a Entry, &'static str, String);

fn authentication<'a>(raddb: &Raddb, module: &str, server: &'a Entry, serves: &mut bool) -> Vec<CallFault<'a>> {
    let mut faults = Vec::new();
    if !in_section(raddb, server.section("authorize"), module) {
        let problem =
            "logins are not decided by the subscriber base: the section \"authorize\" does not call the module";
        faults.push((
            "not_in_authorize",
            server,
            problem,
            format!("call {module} in \"authorize\", before pap, or do away with this server"),
        ));
        return faults;
    }
    *serves = true;
    let authenticate = server.section("authenticate");
    let verifies = |entry: &Entry| entry.name() == "Auth-Type" && called(raddb, entry, module, 0);
    if !authenticate.is_some_and(|section| section.sections().any(verifies)) {
        let problem =
            "subscribers with one-way hashes are rejected: \"authenticate\" has no Auth-Type that calls the module";
        faults.push((
            "not_in_authenticate",
            server,
            problem,
            format!("add Auth-Type {module} {{ {module} }} to \"authenticate\""),
        ));
    }
    let post_auth = server.section("post-auth");
    let accepts = |section: &Entry| {
        section
            .sections()
            .any(|entry| entry.name() != "Post-Auth-Type" && calls_here(raddb, entry, module, 0))
    };
    if !post_auth.is_some_and(accepts) {
        let problem = "logins are neither counted nor recorded: the section \"post-auth\" does not call the module";
        faults.push((
            "not_in_post_auth",
            server,
            problem,
            format!("call {module} in \"post-auth\""),
        ));
    }
    let rejects = |entry: &Entry| {
        entry.name() == "Post-Auth-Type" && entry.second() == Some("REJECT") && called(raddb, entry, module, 0)
    };
    if !post_auth.is_some_and(|section| section.sections().any(rejects)) {
        let problem = "rejected logins are neither recorded nor counted for the lockout: Post-Auth-Type REJECT does not call the module";
        faults.push((
            "not_in_reject",
            server,
            problem,
            format!("call {module} in Post-Auth-Type REJECT"),
        ));
    }
    faults
}

fn in_section(raddb: &Raddb, section: Option<&Entry>, module: &str) -> bool {
    section.is_some_and(|section| called(raddb, section, module, 0))
}

fn called(raddb: &Raddb, section: &Entry, module: &str, depth: usize) -> bool {
    section.sections().any(|entry| calls_here(raddb, entry, module, depth))
}

/// `module`, `module.method`, `-module`, what a policy of that name does, or what stands inside.
fn calls_here(raddb: &Raddb, entry: &Entry, module: &str, depth: usize) -> bool {
    let name = entry.name().trim_start_matches('-');
    if name == module || name.strip_prefix(module).is_some_and(|method| method.starts_with('.')) {
        return true;
    }
    // Policies call each other.
    if depth > 8 {
        return false;
    }
    let policy = || {
        raddb
            .policy(name)
            .is_some_and(|policy| called(raddb, policy, module, depth + 1))
    };
    called(raddb, entry, module, depth + 1) || policy()
}

/// Secrets everybody knows, of documentation.
const KNOWN: [&str; 4] = ["testing123", "testing123-1", "secret", "radius"];

fn clients(raddb: &Raddb, findings: &mut Findings) {
    for client in raddb.clients() {
        let address = ["ipaddr", "ipv4addr", "ipv6addr"]
            .iter()
            .find_map(|name| raddb.value(client, name))
            .unwrap_or_else(|| client.second().unwrap_or_default().to_owned());
        if address.starts_with("127.") || address == "::1" || address == "localhost" {
            continue;
        }
        if let Some(server) = raddb.value(client, "dynamic_clients") {
            let named = |entry: &&Entry| entry.second() == Some(server.as_str());
            match raddb.servers().find(named) {
                Some(site) if in_section(raddb, site.section("authorize"), instance_name(raddb)) => {}
                Some(site) => findings.error(
                    "dynamic_clients_unanswered",
                    &site.place(),
                    "no NAS of the database becomes a client: the section \"authorize\" of this server does not call the module",
                    "set it as in sites-available/isp-dynamic-clients",
                ),
                None => findings.error(
                    "dynamic_clients_unanswered",
                    &client.place(),
                    &format!("clients are looked up in the virtual server {server:?}, which is not there"),
                    "ln -s ../sites-available/isp-dynamic-clients sites-enabled/",
                ),
            }
            continue;
        }
        if raddb
            .value(client, "secret")
            .is_some_and(|secret| KNOWN.contains(&secret.as_str()))
        {
            findings.error(
                "client_secret_known",
                &client.place(),
                &format!("the shared secret of client {address} is one of the documentation's"),
                "give it a random secret of 16 characters or more",
            );
        }
        if raddb.value(client, "require_message_authenticator").as_deref() != Some("yes") {
            findings.warning(
                "message_authenticator_not_required",
                &client.place(),
                &format!(
                    "client {address} need not send Message-Authenticator: its answers can be forged (CVE-2024-3596)"
                ),
                "set require_message_authenticator = yes once the NAS sends it",
            );
        }
    }
}

fn instance_name(raddb: &Raddb) -> &str {
    raddb
        .instance()
        .map_or("rust", |instance| raddb.instance_name(instance))
}
