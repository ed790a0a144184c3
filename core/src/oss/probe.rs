//! One question to a service, harmless and answered only to whom it knows.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Serialize;

use super::{OssError, OssService, ServiceConfig, TIMEOUT};
use crate::http;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    pub service: OssService,
    /// Something answered by HTTP.
    pub reachable: bool,
    /// The credentials were taken; `None` where that could not be told.
    pub authenticated: Option<bool>,
    /// HTTP's.
    pub status: Option<u16>,
    pub milliseconds: u64,
    /// What is wrong and what to do; `None` where all is well.
    pub problem: Option<String>,
}

impl ProbeReport {
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.problem.is_none()
    }
}

pub(super) async fn probe(service: OssService, config: &ServiceConfig) -> Result<ProbeReport, OssError> {
    let url = question(service, config)?;
    let seconds = config.timeout_seconds.unwrap_or(TIMEOUT);
    let mut builder = reqwest::Client::builder()
        // They would carry the credentials elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(seconds.into()))
        .user_agent(concat!("isp-core/", env!("CARGO_PKG_VERSION")));
    if config.verify_ssl == Some(false) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    // One TLS, the one the database drivers have. A program that installed another keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = builder.build().map_err(|error| OssError::Field {
        field: "verify_ssl".to_owned(),
        problem: http::problem(error),
    })?;
    let request = authorized(service, config, client.get(url))?;
    let began = Instant::now();
    let outcome = request.send().await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut report = ProbeReport {
        service,
        reachable: false,
        authenticated: None,
        status: None,
        milliseconds,
        problem: None,
    };
    match outcome {
        Ok(answer) => judge(&mut report, answer.status(), has_credentials(config)),
        Err(error) if error.is_timeout() => report.problem = Some(format!("no answer within {seconds} s")),
        Err(error) => {
            report.problem = Some(format!(
                "it cannot be reached ({}): see the URL, the network and the certificate",
                http::problem(error)
            ));
        }
    }
    Ok(report)
}

fn judge(report: &mut ProbeReport, status: StatusCode, credentials: bool) {
    report.reachable = true;
    report.status = Some(status.as_u16());
    match status {
        status if status.is_success() => report.authenticated = credentials.then_some(true),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            report.authenticated = Some(false);
            let problem = if credentials {
                "it refuses the credentials: set others, or give them more rights there"
            } else {
                "it wants credentials, and none are set"
            };
            report.problem = Some(problem.to_owned());
        }
        status if status.is_redirection() => {
            report.problem = Some("it points elsewhere: set the URL that it points to".to_owned());
        }
        status => {
            report.problem = Some(format!(
                "it answers {status}: see whether the URL is this service's, and its log"
            ));
        }
    }
}

const fn has_credentials(config: &ServiceConfig) -> bool {
    config.api_token.is_some() || config.username.is_some()
}

/// Something short to read that needs the rights of any use.
fn question(service: OssService, config: &ServiceConfig) -> Result<Url, OssError> {
    let base = config.url.as_deref().ok_or(OssError::NoUrl { service })?;
    let path = match service {
        OssService::Voltha => "api/v1/devices",
        OssService::Genieacs => "devices/?limit=1&projection=_id",
        OssService::Netbox => "api/ipam/prefixes/?limit=1&brief=true",
        OssService::Ansible => "api/v2/me/",
        OssService::Prometheus => "api/v1/query?query=1",
    };
    let base = base.trim_end_matches('/');
    // Some give the URL of the API.
    let base = match service {
        OssService::Netbox => base.strip_suffix("/api").unwrap_or(base),
        _ => base,
    };
    Url::parse(&format!("{base}/{path}")).map_err(|error| OssError::Field {
        field: "url".to_owned(),
        problem: error.to_string(),
    })
}

fn authorized(
    service: OssService,
    config: &ServiceConfig,
    request: RequestBuilder,
) -> Result<RequestBuilder, OssError> {
    if let Some(token) = &config.api_token {
        let token = token.expose().trim();
        let keyword = match service {
            // Tokens of version 2 begin so.
            OssService::Netbox if !token.starts_with("nbt_") => "Token",
            _ => "Bearer",
        };
        let mut value = HeaderValue::from_str(&format!("{keyword} {token}")).map_err(|_| OssError::Field {
            field: "api_token".to_owned(),
            problem: "it has characters that no token has".to_owned(),
        })?;
        value.set_sensitive(true);
        return Ok(request.header(AUTHORIZATION, value));
    }
    Ok(match &config.username {
        Some(username) => request.basic_auth(username, config.password.as_ref().map(|password| password.expose())),
        None => request,
    })
}
