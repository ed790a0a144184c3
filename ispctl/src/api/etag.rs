//! Changes of what was read before, and of nothing else: ETag and If-Match (RFC 9110 section 13).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::{Problem, Result};

/// What is shown of a thing, with its tag.
pub(crate) struct Tagged<T> {
    status: StatusCode,
    shown: T,
    location: Option<String>,
}

impl<T: Serialize> Tagged<T> {
    pub(crate) const fn new(shown: T) -> Self {
        Self {
            status: StatusCode::OK,
            shown,
            location: None,
        }
    }

    /// It was made, and is found there.
    pub(crate) const fn created(shown: T, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            shown,
            location: Some(location),
        }
    }
}

fn tag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let digits: String = digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("\"{digits}\"")
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let body = match serde_json::to_vec(&self.shown) {
            Ok(body) => body,
            Err(why) => return Problem::internal(&why).into_response(),
        };
        let tag = tag(&body);
        let kind = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let set = |response: &mut Response, name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set(&mut response, header::ETAG, &tag);
        if let Some(location) = &self.location {
            set(&mut response, header::LOCATION, location);
        }
        response
    }
}

/// What a change is to find; without If-Match, whatever there is.
pub(crate) struct IfMatch(Option<String>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(given(&parts.headers)))
    }
}

fn given(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::IF_MATCH).iter();
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

impl IfMatch {
    /// Whether the thing as it is now is what the caller saw.
    pub(crate) fn check(&self, now: &impl Serialize) -> Result<()> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let body = serde_json::to_vec(now).map_err(|why| Problem::internal(&why))?;
        let tag = tag(&body);
        // Weak tags never match here (RFC 9110 section 13.1.1).
        let met = wanted
            .split(',')
            .map(str::trim)
            .any(|given| given == "*" || given == tag);
        if met {
            Ok(())
        } else {
            let detail = "it was changed since you read it (If-Match): read it again";
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail.to_owned()))
        }
    }
}
