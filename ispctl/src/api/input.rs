//! What requests bring: read whole, held against the API's document, and told with all its faults.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::problem::{Fault, Problem, Result};

/// Which requests are as the document says.
#[derive(Debug)]
pub(super) struct Schemas(HashMap<String, Validator>);

impl Schemas {
    /// One for each schema of the document, by its name.
    pub(super) fn read(document: &Value) -> std::result::Result<Self, String> {
        let schemas = document["components"]["schemas"].as_object();
        let compiled = schemas.into_iter().flatten().map(|(name, _)| {
            let schema = serde_json::json!({
                "$ref": format!("#/components/schemas/{name}"),
                "components": {"schemas": document["components"]["schemas"]},
            });
            let validator = jsonschema::draft202012::options()
                .should_validate_formats(true)
                .should_ignore_unknown_formats(true)
                .build(&schema)
                .map_err(|why| format!("schema {name}: {why}"))?;
            Ok((name.clone(), validator))
        });
        compiled.collect::<std::result::Result<_, _>>().map(Self)
    }

    fn check(&self, name: &str, value: &Value) -> Result<()> {
        let validator = self.0.get(name);
        let validator = validator.ok_or_else(|| Problem::internal(&format!("no schema {name} in the document")))?;
        // What was sent may be a secret: it is not told back.
        let faults = validator.iter_errors(value).map(|fault| Fault {
            at: fault.instance_path().to_string(),
            detail: fault.masked().to_string(),
        });
        let faults: Vec<Fault> = faults.collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::unprocessable(faults))
        }
    }
}

/// A body, as the schema of `T` in the document says.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + ToSchema> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        if !is_json(request.headers()) {
            let detail = "the body is to be JSON: send Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail.to_owned()));
        }
        let body = Bytes::from_request(request, app)
            .await
            .map_err(|why| Problem::new(why.status(), why.body_text()))?;
        let mut value: Value = serde_json::from_slice(&body).map_err(|why| {
            // Without what was sent, of which it may be a part.
            Problem::bad_request(format!(
                "the body is no JSON: line {}, column {}",
                why.line(),
                why.column()
            ))
        })?;
        whole(&mut value);
        app.schemas.check(&T::name(), &value)?;
        match serde_path_to_error::deserialize(value) {
            Ok(body) => Ok(Self(body)),
            Err(why) => {
                let path = why.path().to_string();
                let at = match path.as_str() {
                    "." => String::new(),
                    path => format!("/{}", path.replace('.', "/")),
                };
                let detail = why.into_inner().to_string();
                Err(Problem::unprocessable(vec![Fault { at, detail }]))
            }
        }
    }
}

/// JSON knows one kind of number: 3.0 is a whole one (JSON Schema 2020-12, section 6.1.1 of its validation).
fn whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            // Beyond this not every whole number is one of these.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            if let Some(float) = float.filter(|float| float.fract() == 0.0 && float.abs() <= EXACT) {
                #[allow(clippy::cast_possible_truncation, reason = "it is whole and fits")]
                let whole = float as i64;
                *value = whole.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(whole),
        Value::Object(map) => map.values_mut().for_each(whole),
        _ => {}
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Parameters after the question mark; one that is not known is an error, not overlooked.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        refuse_nul(parts.uri.query().unwrap_or_default())?;
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|why| Problem::bad_request(why.body_text()))
    }
}

/// What stands for `{name}` in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        refuse_nul(parts.uri.path())?;
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|why| Problem::new(why.status(), why.body_text()))
    }
}

/// No text that is kept holds one, and PostgreSQL takes none to look for.
fn refuse_nul(encoded: &str) -> Result<()> {
    if encoded.contains("%00") {
        return Err(Problem::bad_request(
            "the address of the request holds a NUL (%00)".to_owned(),
        ));
    }
    Ok(())
}

/// What a change says of a field: nothing, that it is cleared (null), or its new value.
pub(crate) type Set<T> = Option<Option<T>>;

/// For `deserialize_with` of a [`Set`], with `default`.
pub(crate) fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Set<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
