//! What a login would be answered, without a packet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::IntoResponse;
use isp_core::password::{AuthMethod, Known, StoredPassword, nt_hash};
use isp_core::subscriber::Subscriber;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::{Routes, subscribers};
use crate::api::App;
use crate::api::access::Caller;
use crate::api::input::Json;
use crate::api::problem::{Problem, Result};
use crate::cmd::explain::{self, Question};

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(authorize)).routes(routes!(test))
}

/// A login, as a NAS would send it.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
struct Login {
    /// User-Name.
    #[schema(min_length = 1, max_length = 253)]
    username: String,
    /// Not looked at where there is none.
    #[schema(min_length = 1, max_length = 128, format = Password)]
    password: Option<String>,
    /// The NAS it comes by.
    #[schema(value_type = Option<String>, format = "ip")]
    nas_ip_address: Option<IpAddr>,
    /// The original's other name of nas_ip_address.
    #[schema(value_type = Option<String>, format = "ip")]
    nas_ip: Option<IpAddr>,
    /// NAS-Identifier.
    #[schema(max_length = 253)]
    nas_identifier: Option<String>,
    /// NAS-Port.
    #[schema(minimum = 0, maximum = 2147483647)]
    nas_port: Option<u32>,
    /// NAS-Port-Id.
    #[schema(max_length = 253)]
    nas_port_id: Option<String>,
    /// Calling-Station-Id.
    #[schema(max_length = 253)]
    calling_station_id: Option<String>,
    /// Agent-Circuit-Id (option 82), as text or as 0x...
    #[schema(max_length = 253)]
    agent_circuit_id: Option<String>,
    /// Agent-Remote-Id (option 82), as text or as 0x...
    #[schema(max_length = 253)]
    agent_remote_id: Option<String>,
}

/// What it would be answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoginAnswer)]
struct Answer {
    accept: bool,
    /// Why not, or why with less than the plan gives.
    reason: Option<String>,
    /// Each with its value, in the order of the packet.
    #[schema(value_type = Vec<std::collections::HashMap<String, serde_json::Value>>)]
    reply_attributes: Vec<explain::Item>,
    /// Every rule of the decision, and what it said.
    #[schema(value_type = Vec<serde_json::Value>)]
    rules: Value,
}

/// What came of a login, as the original system told it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoginTest)]
struct Tested {
    success: bool,
    message: String,
    #[schema(value_type = Vec<std::collections::HashMap<String, serde_json::Value>>)]
    attributes: Vec<explain::Item>,
    response_time_ms: u64,
}

/// What the servers would answer such a login, with every rule of the decision.
///
/// Who is locked out for failed logins is known to the servers alone, and raw check rows are theirs to evaluate.
#[utoipa::path(
    post, path = "/radius/authorize", tag = "decisions", request_body = Login,
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Answer))
)]
async fn authorize(State(app): State<Arc<App>>, caller: Caller, Json(login): Json<Login>) -> Result<impl IntoResponse> {
    Ok(axum::Json(answer(&app, &caller, login).await?))
}

/// Whether name and password would be let in, without a packet.
#[utoipa::path(
    post, path = "/radius/test/auth", tag = "decisions", request_body = Login,
    security(("bearer" = ["isp.radius.read"])), responses((status = OK, body = Tested))
)]
async fn test(State(app): State<Arc<App>>, caller: Caller, Json(login): Json<Login>) -> Result<impl IntoResponse> {
    let began = Instant::now();
    let answer = match answer(&app, &caller, login).await {
        Ok(answer) => answer,
        // Nobody of that name is what the test found out.
        Err(problem) if problem.is_not_found() => Answer {
            accept: false,
            reason: Some("unknown_subscriber".to_owned()),
            reply_attributes: Vec::new(),
            rules: Value::Null,
        },
        Err(problem) => return Err(problem),
    };
    let told = if answer.accept { "accepted" } else { "rejected" };
    Ok(axum::Json(Tested {
        success: answer.accept,
        message: answer
            .reason
            .map_or_else(|| told.to_owned(), |reason| format!("{told}: {reason}")),
        attributes: answer.reply_attributes,
        response_time_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

async fn answer(app: &App, caller: &Caller, login: Login) -> Result<Answer> {
    let subscriber = subscribers::find(app, caller, &login.username).await?;
    let password = login.password.map(Zeroizing::new);
    let question = Question {
        nas: login
            .nas_ip_address
            .or(login.nas_ip)
            .map(|nas| nas.to_canonical().to_string()),
        at: None,
        method: AuthMethod::Pap,
        user_name: None,
        nas_identifier: login.nas_identifier,
        nas_port_id: login.nas_port_id.or(login.nas_port.map(|port| port.to_string())),
        calling_station_id: login.calling_station_id,
        circuit_id: login.agent_circuit_id,
        remote_id: login.agent_remote_id,
    };
    let vendors = Arc::clone(&app.vendors);
    let view = explain::decide(&app.store, vendors, caller.tenant(), &subscriber, &question).await?;
    let rules = serde_json::to_value(&view.rules).map_err(|why| Problem::internal(&why))?;
    let refused = match password {
        Some(password) if view.verdict != "reject" => verify(app, subscriber, password).await?,
        _ => None,
    };
    Ok(match refused {
        Some(reason) => Answer {
            accept: false,
            reason: Some(reason.to_owned()),
            reply_attributes: Vec::new(),
            rules,
        },
        None => Answer {
            accept: view.verdict != "reject",
            reason: view.why,
            reply_attributes: view.reply,
            rules,
        },
    })
}

/// Why the password is not the subscriber's; how long it takes tells nothing of it. Hashes that are meant to be slow keep no other request waiting.
async fn verify(app: &App, subscriber: Subscriber, password: Zeroizing<String>) -> Result<Option<&'static str>> {
    let keys = app.keys.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let text = subscriber.password.as_deref()?;
        let parsed = StoredPassword::parse(subscriber.password_hash_method.as_deref(), text).ok()?;
        match parsed.reveal(keys.as_ref(), &subscriber.id).ok()? {
            Known::Cleartext(known) => Some(known.expose().ct_eq(password.as_bytes()).into()),
            Known::NtHash(hash) => Some(nt_hash(&password).ct_eq(hash.expose()).into()),
            Known::OneWay => parsed.verify(password.as_bytes()).ok(),
        }
    });
    let verified = verified.await.map_err(|why| Problem::internal(&why))?;
    Ok(match verified {
        Some(true) => None,
        Some(false) => Some("bad_password"),
        None => Some("password_unreadable"),
    })
}
