//! What is missing is named, and made where that is asked for.

use isp_core::netbox::{Client, Kind, NetboxError, Rules, Settings};
use isp_core::secret::Secret;
use serde_json::json;

use crate::lab::{Lab, TOKEN_V1, octets, settings, url};

fn with_token(url: &str, token: &str) -> Settings {
    Settings::new(url, Secret::new(token.to_owned()))
}

#[tokio::test]
async fn a_complete_installation_has_no_finding() {
    let Some(lab) = Lab::new("complete").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    assert_eq!(lab.allocator().check().await.unwrap(), []);
    // Once more makes nothing.
    assert_eq!(lab.allocator().bootstrap(&[]).await.unwrap(), []);
    assert_eq!(lab.addresses().await, []);
}

#[tokio::test]
async fn everything_that_is_missing_is_named() {
    let Some(lab) = Lab::new("missing").await else { return };
    let name = &lab.name;
    let rules = Rules {
        tenant: 4_000_000,
        role: format!("r-{name}"),
        prefix_role: format!("p-{name}"),
        tags: vec![format!("t-{name}")],
        key_field: Some(format!("k_{}", name.replace('-', "_"))),
        ..Rules::default()
    };
    let allocator = lab.allocator_with(&settings(&lab.api.url), rules.clone());
    let findings = allocator.check().await.unwrap();
    let said: Vec<String> = findings
        .iter()
        .map(|f| format!("{}: {}", f.subject, f.problem))
        .collect();
    assert_eq!(
        said,
        [
            "tenant 4000000: does not exist".to_owned(),
            format!("role \"r-{name}\": does not exist"),
            format!("role \"p-{name}\": does not exist"),
            format!("tag \"t-{name}\": does not exist"),
            format!("custom field \"k_{}\": does not exist", name.replace('-', "_")),
        ]
    );
    let id = lab.id(1);
    let error = allocator
        .allocate(&lab.wanted(&id, Kind::Ipv4))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("tenant_id: Select a valid choice"), "{error}");

    let made: Vec<String> = allocator
        .bootstrap(&[])
        .await
        .unwrap()
        .into_iter()
        .map(|made| made.subject)
        .collect();
    assert_eq!(made.len(), 4, "{made:?}");
    assert_eq!(
        allocator.check().await.unwrap().len(),
        1,
        "the tenant is nobody's to make but a person's"
    );
}

#[tokio::test]
async fn a_field_that_finds_too_much_or_repeats_is_named() {
    let Some(lab) = Lab::new("loose").await else { return };
    let field = format!("k_{}", lab.name.replace('-', "_"));
    let body = json!({ "name": field, "type": "text", "object_types": ["ipam.ipaddress"] });
    lab.api.post("extras/custom-fields/", body).await;
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let rules = Rules {
        key_field: Some(field),
        ..lab.rules.clone()
    };
    let findings = lab
        .allocator_with(&settings(&lab.api.url), rules)
        .check()
        .await
        .unwrap();
    let said: Vec<&str> = findings
        .iter()
        .map(|finding| finding.problem.split(':').next().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "is not on ipam.prefix",
            "is filtered loosely, so that looking for 12 finds 123 too",
            "is not unique, so that two requests at once may take two addresses",
        ]
    );
}

#[tokio::test]
async fn both_kinds_of_token_serve_and_others_are_told_apart() {
    let Some(lab) = Lab::new("tokens").await else { return };
    let url = &lab.api.url;
    assert!(
        Client::new(&with_token(url, TOKEN_V1))
            .unwrap()
            .version()
            .await
            .unwrap()
            .starts_with("4.")
    );
    for wrong in [
        "nbt_NoSuchKey000.secret",
        "0000000000000000000000000000000000000000",
        "nbt_x",
    ] {
        let error = Client::new(&with_token(url, wrong))
            .unwrap()
            .version()
            .await
            .unwrap_err();
        assert!(matches!(error, NetboxError::Authentication(_)), "{error}");
        assert!(!error.to_string().contains(wrong), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_only_reads_is_found_out_before_it_matters() {
    let Some(lab) = Lab::new("readonly").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    lab.pool(Kind::Ipv6Prefix, &format!("fd{a:02x}:{b:x}:9000::/48")).await;
    let token = json!({ "user": 1, "version": 2, "write_enabled": false, "description": lab.name });
    let token = lab.api.post("users/tokens/", token).await;
    let token = format!(
        "nbt_{}.{}",
        token["key"].as_str().unwrap(),
        token["token"].as_str().unwrap()
    );
    let allocator = lab.allocator_with(&with_token(&lab.api.url, &token), lab.rules.clone());
    let findings = allocator.check().await.unwrap();
    let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "permission to add addresses",
            "permission to add prefixes",
            "permission to change addresses",
            "permission to change prefixes",
            "permission to delete addresses",
            "permission to delete prefixes",
        ]
    );
    let id = lab.id(1);
    let error = allocator
        .allocate(&lab.wanted(&id, Kind::Ipv4))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not permit this token to take ipv4 of 10."),
        "{error}"
    );
}

/// One who may see the prefixes and nothing else.
#[tokio::test]
async fn what_a_token_may_not_see_is_named() {
    let Some(lab) = Lab::new("blind").await else { return };
    let (a, b) = octets();
    lab.pool(Kind::Ipv4, &format!("10.{a}.{b}.0/28")).await;
    let user = json!({ "username": lab.name, "password": format!("{}-A1", lab.name) });
    let user = lab.api.post("users/users/", user).await;
    let permission =
        json!({ "name": lab.name, "object_types": ["ipam.prefix"], "actions": ["view"], "users": [user["id"]] });
    lab.api.post("users/permissions/", permission).await;
    let token = lab
        .api
        .post("users/tokens/", json!({ "user": user["id"], "version": 2 }))
        .await;
    let token = format!(
        "nbt_{}.{}",
        token["key"].as_str().unwrap(),
        token["token"].as_str().unwrap()
    );
    let allocator = lab.allocator_with(&with_token(&lab.api.url, &token), lab.rules.clone());
    let findings = allocator.check().await.unwrap();
    for subject in [
        format!("tenant {}", lab.rules.tenant),
        format!("role {:?}", lab.rules.role),
        "tag \"subscriber\"".to_owned(),
        "custom field \"lease_key\"".to_owned(),
        "permission to add addresses".to_owned(),
    ] {
        let finding = findings.iter().find(|finding| finding.subject == subject);
        let finding = finding.unwrap_or_else(|| panic!("{subject}: {findings:?}"));
        assert!(finding.problem.starts_with("the token may not"), "{finding:?}");
    }
}

/// The certificate is of an authority that no system trusts.
#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let Some(url) = url() else { return };
    let certificates = tempfile::tempdir().unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/certs");
    assert!(
        std::process::Command::new(script)
            .arg(certificates.path())
            .status()
            .unwrap()
            .success()
    );
    let address = crate::proxy::tls(&url, certificates.path()).await;

    let mut settings = settings(&format!("https://{address}"));
    settings.retries = 0;
    let error = Client::new(&settings).unwrap().version().await.unwrap_err();
    assert!(matches!(error, NetboxError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");

    settings.ca = Some(std::fs::read(certificates.path().join("ca.pem")).unwrap());
    Client::new(&settings).unwrap().version().await.unwrap();
    settings.ca = None;
    settings.verify_tls = false;
    Client::new(&settings).unwrap().version().await.unwrap();
}
