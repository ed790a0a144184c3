//! Errors as RFC 9457 says: `application/problem+json`, with all that is wrong and what to do.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isp_core::netbox::{AllocationError, NetboxError};
use isp_core::oss::OssError;
use isp_core::secret::SecretError;
use isp_core::store::StoreError;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not served (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Of the kind of problem; `about:blank` where the status says all.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What is wrong here, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Each fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub(crate) at: String,
    pub(crate) detail: String,
}

pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Option<String>>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail.into())
    }

    /// `what`, of that name, is not there; or is another tenant's, which is the same to whoever asks.
    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {name:?}"))
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail.into())
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail.into())
    }

    /// The request is well-formed, and some of it cannot be.
    pub(crate) fn unprocessable(errors: Vec<Fault>) -> Self {
        Self {
            errors,
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the request is not as the API's document says: see errors".to_owned(),
            )
        }
    }

    /// One field of the body cannot be as it is.
    pub(crate) fn field(name: &str, detail: impl Into<String>) -> Self {
        Self::unprocessable(vec![Fault {
            at: format!("/{name}"),
            detail: detail.into(),
        }])
    }

    pub(crate) const fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// A fault of ours: what it is stands in the log alone.
    pub(crate) fn internal(why: &dyn std::fmt::Display) -> Self {
        error!(%why, "a request could not be served");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a fault of the service: its log has more under the request's id".to_owned(),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))],
            body,
        )
            .into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            StoreError::Duplicate { .. } | StoreError::InUse { .. } | StoreError::MissingReference { .. } => {
                Self::conflict(error.to_string())
            }
            StoreError::Refused { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            StoreError::Connect { .. } | StoreError::Unreachable { .. } => {
                error!(why = %error, "a request found no database");
                Self::unavailable("the database does not answer: try again")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        Self::internal(&error)
    }
}

impl From<OssError> for Problem {
    fn from(error: OssError) -> Self {
        match error {
            OssError::Field { field, problem } => Self::field(&field, problem),
            OssError::NoUrl { .. } | OssError::NoKeys => Self::unavailable(error.to_string()),
            OssError::Damaged { .. } => Self::conflict(error.to_string()),
            OssError::Store(error) => error.into(),
            OssError::Secret(error) => error.into(),
        }
    }
}

/// What NetBox said is for whoever asked; that it is away is not the request's fault.
impl From<NetboxError> for Problem {
    fn from(error: NetboxError) -> Self {
        let status = if error.is_transient() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_GATEWAY
        };
        Self::new(status, format!("NetBox: {error}"))
    }
}

impl From<AllocationError> for Problem {
    fn from(error: AllocationError) -> Self {
        match error {
            AllocationError::Netbox(error) => error.into(),
            other => Self::conflict(format!("NetBox: {other}")),
        }
    }
}

/// Errors of the command line's own, where the API does the same work.
impl From<crate::error::Error> for Problem {
    fn from(error: crate::error::Error) -> Self {
        use crate::error::Error;
        match error {
            Error::Store(error) => error.into(),
            Error::Oss(error) => error.into(),
            Error::Netbox(error) => error.into(),
            Error::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            Error::Conflict(detail) => Self::conflict(detail),
            Error::Usage(detail) => Self::conflict(detail),
            Error::Refused(detail) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            other => Self::internal(&other),
        }
    }
}
