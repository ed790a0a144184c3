//! `ispctl serve` as an HTTP API.

mod administration;
mod openapi;
mod permissions;
mod sessions;
mod subscribers;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method};
use serde_json::Value;

use crate::lab::{Lab, wait};

/// The API of a laboratory, until it is dropped.
pub(crate) struct Api {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    client: Client,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if status >= 400 {
            assert_eq!(
                self.header("content-type"),
                Some("application/problem+json"),
                "{self:?}"
            );
            assert_eq!(self.body["status"], status, "{self:?}");
        }
        self.body
    }
}

impl Api {
    pub(crate) fn start(lab: &Lab) -> Self {
        // The client wants one, though nothing here is encrypted. A second is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new();
        lab.write(
            "ispctl.toml",
            "[api]\nlisten = \"127.0.0.1:0\"\nrequests_per_second = 100000\n",
        );
        let mut child = lab.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("the API is at ")?.1.trim().to_owned()))
            .unwrap();
        // Nobody else reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: url.trim_end_matches("/api/v1").to_owned(),
            client,
        }
    }

    /// A request as its parts say; `path` is under `/api/v1`, or from the root where it begins with `//`.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let path = path.strip_prefix('/').filter(|path| path.starts_with('/')).map_or_else(
            || format!("{}/api/v1{path}", self.url),
            |path| format!("{}{path}", self.url),
        );
        let mut request = self
            .client
            .request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        wait(async {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let told = answer.headers().iter();
            let headers = told
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let text = answer.text().await.unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Answer { status, headers, body }
        })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Somebody with a token.
pub(crate) struct Caller<'a> {
    pub(crate) api: &'a Api,
    pub(crate) token: String,
}

impl<'a> Caller<'a> {
    pub(crate) fn admin(lab: &Lab, api: &'a Api, tenant: &str) -> Self {
        let made = lab
            .ctl(&["token", "add", "bss", "--role", "tenant_admin", "--tenant", tenant])
            .ok();
        Self {
            api,
            token: made.trim().to_owned(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.api.send("GET", path, Some(&self.token), &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.api.send("POST", path, Some(&self.token), &[], Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.api.send("PATCH", path, Some(&self.token), &[], Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.api.send("PUT", path, Some(&self.token), &[], Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.api.send("DELETE", path, Some(&self.token), &[], None)
    }
}
