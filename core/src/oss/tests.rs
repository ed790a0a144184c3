#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn patch(service: OssService, fields: Value) -> Result<Patch, OssError> {
    let Value::Object(fields) = fields else {
        panic!("an object")
    };
    Patch::new(service, fields)
}

async fn lab() -> (tempfile::TempDir, Store, KeyRing) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("isp.db").display());
    let store = Store::connect(&url, 1, true).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = crate::tenant::Tenant {
        id: "t".to_owned(),
        name: "example".to_owned(),
        enabled: true,
        username_case: Default::default(),
        username_realm: Default::default(),
        timezone: "UTC".to_owned(),
        interim_jitter_percent: 0,
        lookup_by: Default::default(),
    };
    store.tenant_add(&tenant).await.unwrap();
    let keys = KeyRing::create(&directory.path().join("keys")).unwrap();
    (directory, store, keys)
}

#[tokio::test]
async fn a_tenant_s_settings_lie_over_the_defaults_and_null_clears() {
    let (_directory, store, keys) = lab().await;
    let defaults = ServiceConfig {
        url: Some("https://awx.example.net".to_owned()),
        username: Some("all".to_owned()),
        password: Some(Secret::new("for-all".to_owned())),
        timeout_seconds: Some(9),
        ..ServiceConfig::default()
    };
    let oss = Oss::new(&store, Some(keys)).with_defaults(OssService::Ansible, defaults);
    let service = "awx".parse().unwrap();
    let change = json!({"username": "own", "api_token": "own-token-1", "verify_ssl": false, "extras": {"job": 7}});
    let view = oss
        .patch("t", service, &patch(service, change).unwrap(), Some("noc"))
        .await
        .unwrap();
    assert_eq!(view, oss.get("t", service).await.unwrap());
    assert_eq!(
        serde_json::to_value(&view).unwrap(),
        json!({
            "service": "ansible",
            "config": {
                "url": "https://awx.example.net", "username": "own", "password_set": true, "api_token_set": true,
                "verify_ssl": false, "timeout_seconds": 9, "max_retries": 2, "extras": {"job": 7},
            },
            "overrides": {"username": "own", "verify_ssl": false, "extras": {"job": 7}, "api_token_set": true},
        })
    );
    let row = store.service_get("t", "ansible").await.unwrap().unwrap();
    assert!(!row.settings.contains("own-token-1") && !row.secret.unwrap().contains("own-token-1"));

    let change = patch(
        service,
        json!({"username": null, "api_token": null, "extras": null, "verify_ssl": null}),
    )
    .unwrap();
    let view = oss.patch("t", service, &change, None).await.unwrap();
    assert_eq!(
        (view.config.username.as_deref(), view.config.api_token_set),
        (Some("all"), false)
    );
    assert!(view.overrides.is_empty() && view.config.verify_ssl, "{view:?}");
    assert_eq!(store.service_get("t", "ansible").await.unwrap().unwrap().secret, None);
    oss.delete("t", service).await.unwrap();
    assert!(oss.delete("t", service).await.is_err());
    store.close().await;
}

#[tokio::test]
async fn credentials_of_all_do_not_follow_a_tenant_elsewhere() {
    let (_directory, store, keys) = lab().await;
    for (service, authorization) in [
        (OssService::Genieacs, "Bearer for-all-tenants"),
        (OssService::Voltha, "Basic"),
    ] {
        let elsewhere = served(authorization, "200 OK").await;
        let defaults = ServiceConfig {
            url: Some(served(authorization, "200 OK").await),
            username: Some("all".to_owned()),
            password: Some(Secret::new("for-all-tenants".to_owned())),
            api_token: (service == OssService::Genieacs).then(|| Secret::new("for-all-tenants".to_owned())),
            ..ServiceConfig::default()
        };
        let url = defaults.url.clone();
        let oss = Oss::new(&store, Some(keys.clone())).with_defaults(service, defaults);
        assert_eq!(oss.test("t", service).await.unwrap().status, Some(200));

        let change = patch(service, json!({"url": elsewhere})).unwrap();
        let view = oss.patch("t", service, &change, None).await.unwrap();
        assert_eq!(view.config.username, None);
        assert!(!view.config.password_set && !view.config.api_token_set);
        assert_eq!(
            oss.test("t", service).await.unwrap().status,
            Some(401),
            "nothing was sent"
        );

        // The same place in the tenant's own words.
        let change = patch(service, json!({"url": url})).unwrap();
        oss.patch("t", service, &change, None).await.unwrap();
        assert_eq!(oss.test("t", service).await.unwrap().status, Some(200));
    }
    store.close().await;
}

#[tokio::test]
async fn netbox_keeps_what_its_own_command_set() {
    let (_directory, store, keys) = lab().await;
    let token = keys.seal("tenant t service netbox", b"nbt_key.word").unwrap();
    let row = TenantService {
        settings: r#"{"url":"https://nb","tenant":7,"ca_file":"/etc/ca.pem","verify_tls":false}"#.to_owned(),
        secret: Some(token),
    };
    store.service_set("t", "netbox", &row, &None).await.unwrap();
    let oss = Oss::new(&store, Some(keys));
    let change = patch(
        OssService::Netbox,
        json!({"verify_ssl": true, "extras": {"role": "pool"}}),
    )
    .unwrap();
    let view = oss.patch("t", OssService::Netbox, &change, None).await.unwrap();
    assert!(view.config.api_token_set && view.config.verify_ssl);
    assert_eq!(Value::Object(view.config.extras), json!({"tenant": 7, "role": "pool"}));
    let row = store.service_get("t", "netbox").await.unwrap().unwrap();
    let settings: Value = serde_json::from_str(&row.settings).unwrap();
    assert_eq!(settings["ca_file"], "/etc/ca.pem");
    assert_eq!(settings["verify_tls"], true);
    store.close().await;
}

#[test]
fn what_is_not_as_it_should_be_is_refused_without_being_shown() {
    let service = OssService::Genieacs;
    for (fields, field) in [
        (json!({"url": "ftp://hunter2.example"}), "url"),
        (json!({"url": "https://user:hunter2@acs.example"}), "url"),
        (json!({"timeout_seconds": 0}), "timeout_seconds"),
        (json!({"max_retries": -1}), "max_retries"),
        (json!({"verify_ssl": "hunter2"}), "verify_ssl"),
        (json!({"password": "hunter2\n"}), "password"),
        (json!({"api_token": ""}), "api_token"),
        (json!({"extras": ["hunter2"]}), "extras"),
        (json!({"passwort": "hunter2"}), "passwort"),
    ] {
        let error = patch(service, fields).unwrap_err().to_string();
        assert!(error.starts_with(field) && !error.contains("hunter2"), "{error}");
    }
    assert!(patch(OssService::Netbox, json!({"password": "x"})).is_err());
    assert!(patch(OssService::Netbox, json!({"extras": {"ca_file": "/etc/shadow"}})).is_err());
    assert!(!format!("{:?}", patch(service, json!({"password": "hunter2"})).unwrap()).contains("hunter2"));
    assert!("olt".parse::<OssService>().is_err());
}

/// A service that takes one credential, and answers with the status.
async fn served(authorization: &'static str, status: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let known = request.contains(&format!("authorization: {authorization}").to_lowercase());
            let status = if known { status } else { "401 Unauthorized" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_test_tells_reach_from_credentials() {
    let config = |url: String, token: &str| ServiceConfig {
        url: Some(url),
        api_token: Some(Secret::new(token.to_owned())),
        timeout_seconds: Some(2),
        ..ServiceConfig::default()
    };
    for (service, authorization) in [
        (OssService::Netbox, "Token good"),
        (OssService::Ansible, "Bearer good"),
        (OssService::Prometheus, "Bearer good"),
        (OssService::Genieacs, "Bearer good"),
        (OssService::Voltha, "Bearer good"),
    ] {
        let url = served(authorization, "200 OK").await;
        let report = probe::probe(service, &config(url.clone(), "good")).await.unwrap();
        assert!(report.is_well() && report.authenticated == Some(true), "{report:?}");
        let report = probe::probe(service, &config(url, "bad")).await.unwrap();
        assert_eq!(
            (report.reachable, report.authenticated, report.status),
            (true, Some(false), Some(401))
        );
        assert!(report.problem.is_some());
    }
    let basic = ServiceConfig {
        username: Some("noc".to_owned()),
        password: Some(Secret::new("word".to_owned())),
        api_token: None,
        ..config(served("Basic bm9jOndvcmQ=", "200 OK").await, "")
    };
    let report = probe::probe(OssService::Genieacs, &basic).await.unwrap();
    assert!(report.is_well() && report.authenticated == Some(true), "{report:?}");
    let report = probe::probe(OssService::Voltha, &config("http://127.0.0.1:9".to_owned(), "good"))
        .await
        .unwrap();
    assert!(!report.reachable && report.problem.is_some(), "{report:?}");
    let broken = config(served("Bearer good", "502 Bad Gateway").await, "good");
    let report = probe::probe(OssService::Voltha, &broken).await.unwrap();
    assert!(
        report.reachable && report.authenticated.is_none() && report.problem.is_some(),
        "{report:?}"
    );
    let nowhere = probe::probe(OssService::Voltha, &ServiceConfig::default()).await;
    assert!(matches!(nowhere, Err(OssError::NoUrl { .. })));
}
