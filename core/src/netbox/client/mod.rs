//! Requests to the REST API.
//!
//! What is safe to repeat (reading, and changes of one object to a wanted state) is repeated where NetBox is away or
//! fails; an allocation never is: after a timeout it may have been made. Redirects are not followed, since they would
//! carry the token elsewhere and turn a POST into a GET.

mod error;
mod query;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::NetboxError;
pub(super) use query::Query;
pub use settings::Settings;

use super::model::Page;
use crate::http;
use crate::telemetry::instruments;

pub(super) type Result<T> = std::result::Result<T, NetboxError>;

/// Most objects NetBox gives in one page.
pub(super) const PAGE: usize = 1_000;

/// gunicorn closes a connection idle for two seconds: one that is about to be closed is not to be used for a POST.
const IDLE: Duration = Duration::from_millis(1_500);

/// The longest answer that is read: a page of a thousand addresses has less than one megabyte.
const LONGEST: usize = 64 << 20;

/// Before the first repetition; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(250);

/// A NetBox. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// With a slash at its end.
    base: Arc<Url>,
    retries: u32,
    timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.base.host_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The URL, the token or the authorities' certificates are not what they should be.
    pub fn new(settings: &Settings) -> Result<Self> {
        let bad = |problem: &str| NetboxError::Settings(problem.to_owned());
        let mut base = Url::parse(settings.url.trim())
            .map_err(|e| bad(&format!("the URL is none ({e}): https://netbox.example.net")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad("the URL must begin with https:// or http://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad(
                "the URL holds a user name or a password: NetBox takes a token, set that",
            ));
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/');
        let path = format!("{}/", path.strip_suffix("/api").unwrap_or(path));
        base.set_path(&path);

        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization(settings.token.expose())?);
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .timeout(settings.timeout)
            .user_agent(concat!("isp-core/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.ca {
            let authorities = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|_| bad("the authorities' certificates are not in the form of PEM"))?;
            if authorities.is_empty() {
                return Err(bad("the file of authorities holds no certificate"));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        if !settings.verify_tls {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        // One TLS, the one the database drivers have. A program that installed another keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            http: builder.build().map_err(|e| NetboxError::Settings(http::problem(e)))?,
            base: Arc::new(base),
            retries: settings.retries,
            timeout: settings.timeout,
        })
    }

    /// Version of the server; a token that holds is enough to ask.
    ///
    /// # Errors
    /// It cannot be reached, or does not take the token.
    pub async fn version(&self) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Status {
            #[serde(rename = "netbox-version")]
            version: String,
        }
        let status: Status = self.get("read its status", "status/", &Query::new()).await?;
        Ok(status.version)
    }

    /// How long one request may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, what: &str, path: &str, query: &Query) -> Result<T> {
        self.repeated(what, || self.request(Method::GET, path).query(query))
            .await
    }

    /// One page of at most `limit`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        query: Query,
        limit: usize,
    ) -> Result<Page<T>> {
        self.get(what, path, &query.with("limit", limit)).await
    }

    /// Everything that matches, in the order of ids, page by page: what is made or taken away meanwhile neither moves nor
    /// hides the rest.
    pub(super) fn all<'a, T>(&'a self, what: &'a str, path: &'a str, query: Query) -> Pages<'a, T> {
        Pages {
            client: self,
            what,
            path,
            query,
            start: Some(0),
            of: std::marker::PhantomData,
        }
    }

    /// The same of what has a higher id than `last`.
    #[cfg(feature = "store")]
    pub(super) fn after<'a, T>(&'a self, what: &'a str, path: &'a str, query: Query, last: u64) -> Pages<'a, T> {
        Pages {
            start: Some(last + 1),
            ..self.all(what, path, query)
        }
    }

    /// Sent once: what it makes may exist although no answer came.
    pub(super) async fn create<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        let sent = self.request(Method::POST, path).json(body);
        decode(what, &self.send(what, sent).await?)
    }

    /// Bring an object into a wanted state. With `etag`, only while it is as it was read.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        etag: Option<&str>,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        self.repeated(what, || conditional(self.request(Method::PATCH, path), etag).json(body))
            .await
    }

    /// Take an object away; one that is gone is as it should be.
    pub(super) async fn delete(&self, what: &str, path: &str, etag: Option<&str>) -> Result<()> {
        let sent = || conditional(self.request(Method::DELETE, path), etag);
        match self.retried(what, sent).await {
            Ok(_) | Err(NetboxError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // Paths are of this crate and end with a slash: without one NetBox answers a POST with a page.
        self.http.request(method, format!("{}api/{path}", self.base))
    }

    async fn repeated<T: DeserializeOwned>(&self, what: &str, request: impl Fn() -> RequestBuilder) -> Result<T> {
        decode(what, &self.retried(what, request).await?)
    }

    async fn retried(&self, what: &str, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>> {
        let mut pause = BACKOFF;
        for _ in 0..self.retries {
            match self.send(what, request()).await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "asking NetBox again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.send(what, request()).await
    }

    /// Body of the answer, where that is a success; counted whatever it is.
    async fn send(&self, what: &str, request: RequestBuilder) -> Result<Vec<u8>> {
        let began = std::time::Instant::now();
        let answer = self.exchange(what, request).await;
        let result = match &answer {
            Ok(_) => "ok",
            Err(NetboxError::Unreachable { .. } | NetboxError::Interrupted { .. }) => "no_answer",
            Err(NetboxError::Authentication(_) | NetboxError::Permission { .. }) => "denied",
            Err(NetboxError::Failed { .. }) => "failed",
            Err(_) => "refused",
        };
        instruments().netbox_request(result, began.elapsed());
        answer
    }

    async fn exchange(&self, what: &str, request: RequestBuilder) -> Result<Vec<u8>> {
        let mut response = request
            .send()
            .await
            .map_err(|error| NetboxError::transport(what, error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| NetboxError::transport(what, error))?
        {
            if body.len() + chunk.len() > LONGEST {
                return Err(NetboxError::Unexpected {
                    what: what.to_owned(),
                    problem: format!("an answer longer than {LONGEST} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(NetboxError::answer(what, status, &body))
    }
}

/// A list, read page by page.
pub(super) struct Pages<'a, T> {
    client: &'a Client,
    what: &'a str,
    path: &'a str,
    query: Query,
    /// The least id of what is still to be read; `None` at the end.
    start: Option<u64>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Numbered> Pages<'_, T> {
    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<T>>> {
        let Some(start) = self.start else { return Ok(None) };
        let query = self.query.clone().with("limit", PAGE).with("start", start);
        let page: Page<T> = self.client.get(self.what, self.path, &query).await?;
        // A full last page names a next one that is empty.
        self.start = match page.results.iter().map(Numbered::id).max() {
            Some(last) if page.next.is_some() => Some(last + 1),
            _ => None,
        };
        Ok((!page.results.is_empty()).then_some(page.results))
    }
}

/// What has an id of NetBox's.
pub(super) trait Numbered {
    fn id(&self) -> u64;
}

fn conditional(request: RequestBuilder, etag: Option<&str>) -> RequestBuilder {
    match etag {
        Some(etag) => request.header(IF_MATCH, etag),
        None => request,
    }
}

/// `Bearer` for tokens of version 2, `Token` for those of version 1: right with every release.
fn authorization(token: &str) -> Result<HeaderValue> {
    let token = token.trim();
    let keyword = if token.starts_with("nbt_") { "Bearer" } else { "Token" };
    if token.is_empty() {
        return Err(NetboxError::Settings("no token is set".to_owned()));
    }
    let mut value = HeaderValue::from_str(&format!("{keyword} {token}"))
        .map_err(|_| NetboxError::Settings("the token holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn decode<T: DeserializeOwned>(what: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| NetboxError::Unexpected {
        what: what.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::secret::Secret;

    fn client(url: &str, token: &str) -> Result<Client> {
        Client::new(&Settings::new(url, Secret::new(token.to_owned())))
    }

    #[test]
    fn a_url_is_one_of_the_server() {
        for (url, base) in [
            ("https://netbox.example.net", "https://netbox.example.net/"),
            ("https://netbox.example.net/", "https://netbox.example.net/"),
            ("https://netbox.example.net/api/", "https://netbox.example.net/"),
            (
                " https://tools.example.net/netbox/api ",
                "https://tools.example.net/netbox/",
            ),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ] {
            assert_eq!(client(url, "nbt_k.s").unwrap().base.as_str(), base);
        }
        for url in [
            "netbox.example.net",
            "ftp://x/",
            "https://user:hunter2@netbox.example.net",
        ] {
            let error = client(url, "nbt_k.s").unwrap_err().to_string();
            assert!(error.starts_with("NetBox settings: the URL"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn both_kinds_of_token_have_their_keyword() {
        assert_eq!(authorization("nbt_key.secret\n").unwrap(), "Bearer nbt_key.secret");
        assert_eq!(authorization("0123").unwrap(), "Token 0123");
        assert!(authorization("").is_err());
        let error = authorization("se\u{1}cret").unwrap_err().to_string();
        assert!(!error.contains("cret\u{1}") && !error.contains("se\u{1}"), "{error}");
        let shown = format!("{:?}", authorization("nbt_key.secret").unwrap());
        assert_eq!(shown, "Sensitive");
    }

    /// What no server listens to was not asked; what is answered with silence may have been done.
    #[tokio::test]
    async fn no_connection_and_no_answer_are_not_the_same() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = Settings::new(format!("http://{address}"), Secret::new("nbt_k.s".to_owned()));
        settings.retries = 0;
        settings.timeout = Duration::from_millis(100);
        let silent = Client::new(&settings).unwrap();
        let error = silent.create::<serde_json::Value>("ask", "x/", &()).await.unwrap_err();
        assert!(matches!(error, NetboxError::Interrupted { .. }), "{error}");
        drop(listener);
        let error = silent.create::<serde_json::Value>("ask", "x/", &()).await.unwrap_err();
        assert!(matches!(error, NetboxError::Unreachable { .. }), "{error}");
        assert!(!error.to_string().contains("nbt_k"), "{error}");
    }
}
