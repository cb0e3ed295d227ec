//! The control API as a client sees it: JSON in, JSON or a problem out.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_switch::id::TenantId;

use super::connection::Connection;
use super::problem::{Problem, RemoteError, excerpt};
use crate::tenants::model::{Page, Revision};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take: a component of 16 MiB over a slow link included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);

/// Most bytes of one answer: a page of 200 invocations with 256 KiB of host calls each is rarer than a server gone mad.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most items that are asked for at once; the API's own bound.
const PAGE_MAX: usize = 200;

type Result<T> = std::result::Result<T, RemoteError>;

/// A gateway that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    connection: Connection,
}

impl Client {
    /// Sets it up; connects with the first request.
    ///
    /// # Errors
    /// When there is no certificate authority to trust.
    pub(crate) fn new(connection: Connection) -> anyhow::Result<Self> {
        let tls = connection.trust.tls(&[&rustls::version::TLS13, &rustls::version::TLS12], "http/1.1")?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // A redirect could send the token somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the HTTP client cannot start")?;
        Ok(Self { http, connection })
    }

    /// Where the gateway is.
    pub(crate) fn server(&self) -> &str {
        self.connection.server.as_str().trim_end_matches('/')
    }

    /// The tenant that is meant: the one that was named, else the one that the token is for.
    ///
    /// # Errors
    /// When there is neither.
    pub(crate) async fn tenant(&self) -> anyhow::Result<TenantId> {
        if let Some(tenant) = &self.connection.tenant {
            return Ok(tenant.clone());
        }
        let me: serde_json::Value = self.get("/v1/me", &[]).await?;
        let tenant = me.get("tenant").and_then(serde_json::Value::as_str);
        let tenant =
            tenant.context("which tenant? Give --tenant NAME, or set TANDEM_TENANT; `tandem login` remembers it")?;
        Ok(TenantId::new(tenant)?)
    }

    /// The path of something of the tenant that is meant: `/v1/tenants/acme` and then `rest`, which begins with `/`.
    ///
    /// # Errors
    /// When no tenant is meant.
    pub(crate) async fn path(&self, rest: &str) -> anyhow::Result<String> {
        Ok(format!("/v1/tenants/{}{rest}", segment(self.tenant().await?.as_str())))
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T> {
        self.json(self.request(Method::GET, &with_query(path, query))).await
    }

    /// Reads bytes.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Makes something, or sets something going.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// Does something that brings nothing back.
    pub(crate) async fn tell(&self, path: &str, body: &impl Serialize) -> Result<()> {
        self.send(self.request(Method::POST, path).json(body)).await.map(drop)
    }

    /// Keeps something under its name; only if it is as it was at `expected`, when that is given.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        expected: Option<Revision>,
    ) -> Result<T> {
        let mut request = self.request(Method::PUT, path).json(body);
        if let Some(revision) = expected {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        self.json(request).await
    }

    /// Keeps bytes under their name.
    pub(crate) async fn put_bytes(&self, path: &str, body: Vec<u8>) -> Result<()> {
        let request = self.request(Method::PUT, path).header("content-type", "application/octet-stream").body(body);
        self.send(request).await.map(drop)
    }

    /// Changes some of something.
    pub(crate) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(self.request(Method::PATCH, path).json(body)).await
    }

    /// Keeps bytes under their name, and reads what became of them.
    pub(crate) async fn put_upload<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T> {
        let request = self.request(Method::PUT, path).header("content-type", "application/octet-stream").body(body);
        self.json(request).await
    }

    /// Forgets something.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Reads at most `limit` of many, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor = None;
        while items.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", (limit - items.len()).min(PAGE_MAX).to_string()));
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            let was_empty = page.items.is_empty();
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || was_empty {
                break;
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server());
        self.http.request(method, url).bearer_auth(self.connection.token.reveal())
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(&format!("{error} in {:?}", excerpt(&body))))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = self.body(answer).await?;
        if status.is_success() {
            return Ok(body);
        }
        if status.is_redirection() {
            return Err(self.foreign(&format!("it redirects (status {})", status.as_u16())));
        }
        Err(RemoteError::Refused(Problem::read(status.as_u16(), &body)))
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(RemoteError::TooLarge(ANSWER_BYTES_MAX));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn foreign(&self, what: &str) -> RemoteError {
        RemoteError::Foreign { server: self.server().to_owned(), what: what.to_owned() }
    }

    fn unreachable(&self, error: &reqwest::Error) -> RemoteError {
        let why = causes(error);
        let hint = if error.is_timeout() {
            "is a firewall in between?"
        } else if why.contains("certificate") || why.contains("Certificate") {
            "its certificate is not the expected one: a self-signed one needs --fingerprint SHA256 (the node writes it into ports.json) or --ca FILE"
        } else if why.contains("refused") {
            "is it running, and does its control API listen there ([control] listen)?"
        } else if why.contains("lookup") || why.contains("dns") {
            "is the host's name right?"
        } else {
            "is it running, and is the address right?"
        };
        RemoteError::Unreachable { server: self.server().to_owned(), why, hint }
    }
}

/// The innermost reason of an error: the outer ones only say that a request failed.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// One segment of a path, whatever is in it; but `.` and `..`, which no URL can name, are for the caller to refuse.
pub(crate) fn segment(text: &str) -> String {
    let mut coded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            coded.push(char::from(byte));
        } else {
            coded.push_str(&format!("%{byte:02X}"));
        }
    }
    coded
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let pairs: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{pairs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one() {
        for (text, coded) in
            [("front-desk", "front-desk"), ("a/b.c d", "a%2Fb.c%20d"), ("+49*", "%2B49%2A"), ("é", "%C3%A9")]
        {
            assert_eq!(segment(text), coded);
        }
    }
}
