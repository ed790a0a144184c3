//! A gateway that takes orders by HTTP and tells the NAS itself.
//!
//! `POST {url}/disconnect` or `POST {url}/coa` with `{"action", "username", "session_id", "nas_ip", "nas_port",
//! "attributes": [{"name", "value"}]}` and the key as bearer. The answer is an object with `success`, and where that is
//! false, `error_cause` (a number) and `message`. What a gateway of less words answers counts by its status alone.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Delivery, Transport};
use crate::coa::{CoaError, ErrorCause, Order, Outcome, Report, Target};
use crate::http;
use crate::radius::{AttributeType, Code, Dictionary};
use crate::secret::Secret;

const VIA: &str = "HTTP";
/// The most of an answer that is read.
const LONGEST: usize = 64 << 10;

/// Where the gateway is.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    pub url: String,
    pub key: Option<Secret<String>>,
    /// For one request; the gateway waits for the NAS in it.
    pub timeout: Duration,
}

/// Five seconds, and neither URL nor key.
impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            key: None,
            timeout: Duration::from_secs(5),
        }
    }
}

/// What a gateway cannot be made of.
#[derive(Debug, thiserror::Error)]
#[error("the gateway for orders: {0}")]
pub struct GatewayError(String);

/// Tells NAS by a gateway.
pub struct Gateway {
    http: reqwest::Client,
    url: String,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a> {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    nas_ip: std::net::IpAddr,
    nas_port: u16,
    attributes: &'a [Named],
}

#[derive(Serialize)]
struct Named {
    name: String,
    value: String,
}

#[derive(Deserialize, Default)]
struct Answer {
    success: Option<bool>,
    error_cause: Option<u32>,
}

impl Gateway {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The URL or the key are not what they should be.
    pub fn new(settings: &GatewaySettings) -> Result<Self, GatewayError> {
        let bad = |problem: &str| GatewayError(problem.to_owned());
        let url =
            reqwest::Url::parse(settings.url.trim()).map_err(|error| GatewayError(format!("its URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("its URL must begin with https:// or http://"));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &settings.key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))
                .map_err(|_| bad("its key holds what no header can"))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        // One TLS, the one the database drivers have. A program that installed another keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            // They would carry the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .user_agent(concat!("isp-core/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| GatewayError(http::problem(error)))?;
        Ok(Self {
            http,
            url: url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    async fn run(&self, target: &Target, order: &Order) -> Result<Report, CoaError> {
        order.check()?;
        let dictionary = Dictionary::builtin();
        let named = |pair| {
            let printed = dictionary.print(pair);
            Named {
                name: printed.name(),
                value: printed.value(),
            }
        };
        let attributes: Vec<Named> = order.pairs(dictionary).iter().map(named).collect();
        let (path, action) = match order.code() {
            Code::DISCONNECT_REQUEST => ("disconnect", "disconnect"),
            _ => ("coa", "coa"),
        };
        let request = Request {
            action,
            username: order.text(AttributeType::USER_NAME),
            session_id: order.text(AttributeType::ACCT_SESSION_ID),
            nas_ip: target.address.ip(),
            nas_port: target.address.port(),
            attributes: &attributes,
        };
        let url = format!("{}/{path}", self.url);
        let mut wait = target.retry.first_wait;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let begun = Instant::now();
            let problem = match self.ask(&url, &request).await {
                Ok((status, answer)) => match judge(status, &answer) {
                    Ok(outcome) => {
                        return Ok(Report {
                            outcome,
                            attempts,
                            round_trip: (outcome != Outcome::Timeout).then(|| begun.elapsed()),
                            rejected: 0,
                        });
                    }
                    Err(problem) => problem,
                },
                Err(error) => (http::problem(error), true),
            };
            let (problem, temporary) = problem;
            if !temporary || attempts >= target.retry.attempts.max(1) {
                return Err(CoaError::Transport {
                    nas: target.address,
                    via: VIA,
                    problem,
                    temporary,
                });
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(target.retry.longest_wait);
        }
    }

    async fn ask(&self, url: &str, request: &Request<'_>) -> Result<(StatusCode, Answer), reqwest::Error> {
        let mut response = self.http.post(url).json(request).send().await?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > LONGEST {
                return Ok((status, Answer::default()));
            }
            body.extend_from_slice(&piece);
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// What an answer means; or what is wrong, and whether it may pass.
fn judge(status: StatusCode, answer: &Answer) -> Result<Outcome, (String, bool)> {
    match (answer.success, status) {
        (Some(false), _) if answer.error_cause.is_some() || status.is_success() => {
            Ok(Outcome::Nak(answer.error_cause.map(ErrorCause)))
        }
        (Some(true) | None, status) if status.is_success() => Ok(Outcome::Ack),
        // The gateway has waited for the NAS in vain.
        (_, StatusCode::GATEWAY_TIMEOUT) => Ok(Outcome::Timeout),
        (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err((format!("the gateway does not take the key ({status})"), false))
        }
        (_, status) => {
            let temporary = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            Err((format!("the gateway answers {status}"), temporary))
        }
    }
}

impl Transport for Gateway {
    fn deliver<'a>(&'a self, target: &'a Target, order: &'a Order) -> Delivery<'a> {
        Box::pin(self.run(target, order))
    }
}
