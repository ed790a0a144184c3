//! Who asks, and whether they may: before a handler sees a request.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use isp_core::access::{ApiToken, Bearer, Scope};
use isp_core::tenant::Tenant;
use serde_json::Value;

use super::App;
use super::problem::{Problem, Result};
use crate::period::now;

/// Whoever the request is from.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<Known>);

#[derive(Debug)]
struct Known {
    tenant: Tenant,
    actor: String,
    request_id: Option<String>,
}

impl Caller {
    /// All that is read and written is this tenant's.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    pub(crate) fn tenant_id(&self) -> &str {
        &self.0.tenant.id
    }

    /// As the audit log and `updated_by` name it.
    pub(crate) fn actor(&self) -> &str {
        &self.0.actor
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        // Nobody gets past the guard without; a route outside of it has no caller.
        let caller = parts.extensions.get::<Self>();
        caller
            .cloned()
            .ok_or_else(|| Problem::internal(&"a route without a guard asks who calls"))
    }
}

/// What each route needs, as the API's document says.
#[derive(Debug)]
pub(super) struct Guard(HashMap<(String, Method), Vec<Scope>>);

/// The name of the way to authenticate in the document.
pub(super) const SCHEME: &str = "bearer";

impl Guard {
    /// From the document that is served, so that both always say the same.
    pub(super) fn read(document: &Value) -> std::result::Result<Self, String> {
        let mut routes = HashMap::new();
        let paths = document["paths"].as_object();
        for (path, item) in paths.into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else {
                    continue;
                };
                let words = operation["security"][0][SCHEME].as_array();
                let scopes = words.into_iter().flatten().map(|word| {
                    let word = word.as_str().unwrap_or_default();
                    word.parse::<Scope>().map_err(|why| format!("{method} {path}: {why}"))
                });
                let scopes: Vec<Scope> = scopes.collect::<std::result::Result<_, _>>()?;
                if scopes.is_empty() {
                    return Err(format!("{method} {path} names no scope"));
                }
                routes.insert((path.clone(), method), scopes);
            }
        }
        Ok(Self(routes))
    }

    /// What a request needs; `None` where nobody said, so that nobody may.
    fn scopes(&self, path: &str, method: &Method) -> Option<&[Scope]> {
        // The router answers HEAD by what GET has.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(&(path.to_owned(), method.clone())).map(Vec::as_slice)
    }
}

/// Lets a request through to its handler, with its [`Caller`].
pub(super) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let asked = Asked::read(&app, &request);
    match admit(&app, asked).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// What of a request tells whether it is let through.
struct Asked {
    bearer: Option<Bearer>,
    scopes: Option<Vec<Scope>>,
    request_id: Option<String>,
}

impl Asked {
    fn read(app: &App, request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let scopes = path.and_then(|path| app.guard.scopes(path, request.method()));
        let request_id = request.headers().get(super::REQUEST_ID);
        Self {
            bearer: bearer(request.headers()),
            scopes: scopes.map(<[Scope]>::to_vec),
            request_id: request_id.and_then(|id| id.to_str().ok()).map(str::to_owned),
        }
    }
}

async fn admit(app: &App, asked: Asked) -> Result<Caller> {
    let unknown = || {
        let detail = "no valid token: send Authorization: Bearer TOKEN (ispctl token add makes one)";
        Problem::new(StatusCode::UNAUTHORIZED, detail.to_owned())
    };
    let bearer = asked.bearer.ok_or_else(unknown)?;
    let token = app.store.token_by_digest(&bearer.digest()).await?;
    let now = now();
    let token = token.filter(|token| token.is_valid(now)).ok_or_else(unknown)?;
    app.limits.pass(&token.id)?;
    check(&token, asked.scopes.as_deref())?;
    let tenant = app.store.tenant_get(&token.tenant_id).await?;
    let tenant = tenant.filter(|tenant| tenant.enabled).ok_or_else(unknown)?;
    // Not each time: it is for people, who ask whether a token is in use at all.
    if token.last_used_at.is_none_or(|last| now >= last + 60) {
        app.store.token_used(&token.id, now).await?;
    }
    Ok(Caller(Arc::new(Known {
        tenant,
        actor: format!("token {}", token.name),
        request_id: asked.request_id,
    })))
}

/// RFC 6750 section 2.1.
fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Bearer::parse(token.trim()))?
}

fn check(token: &ApiToken, scopes: Option<&[Scope]>) -> Result<()> {
    let forbidden = |detail: String| Problem::new(StatusCode::FORBIDDEN, detail);
    let scopes = scopes.ok_or_else(|| forbidden("nobody may do this: the route names no scope".to_owned()))?;
    match scopes.iter().find(|scope| !token.allows(**scope)) {
        None => Ok(()),
        Some(scope) => Err(forbidden(format!("the token has not the scope {scope}"))),
    }
}
