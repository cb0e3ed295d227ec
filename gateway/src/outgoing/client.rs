//! Functions' outgoing HTTP requests: checked against the manifest and the network's bounds, sent, and answered whole or refused.
//!
//! What it does not know: how many requests a second a tenant may make (the caller counts them), and what a function did with the answer.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tandem_host::outside::{Bytes, HttpRequest, HttpResponse, Refusal, Reply};
use tandem_switch::id::TenantId;
use url::{Host, Url};

use super::addresses::Reach;
use super::hosts::HostPattern;
use super::limits;
use super::metrics::{OutcomeLabel, OutgoingMetrics};
use super::transport::{self, BodyError, JudgedNames, NotPublic, SetupError, SystemNames};

/// Header fields that belong to one connection (RFC 9110 section 7.6.1) or that the gateway sets.
const REFUSED_HEADERS: [HeaderName; 11] = [
    header::CONNECTION,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Sends functions' requests. Clones share connections and counters.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    reach: Arc<Reach>,
    under_way: Mutex<UnderWay>,
    metrics: OutgoingMetrics,
}

/// Requests under way; only tenants that have some stand in the map.
#[derive(Debug, Default)]
struct UnderWay {
    all: usize,
    of: HashMap<TenantId, usize>,
}

impl Client {
    /// Sends to public addresses, and to those that `reach` adds.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new(reach: Reach, metrics: OutgoingMetrics) -> Result<Self, SetupError> {
        Self::with_names(reach, metrics, Arc::new(SystemNames::default()))
    }

    fn with_names(reach: Reach, metrics: OutgoingMetrics, names: Arc<dyn Resolve>) -> Result<Self, SetupError> {
        let reach = Arc::new(reach);
        let names = JudgedNames { names, reach: Arc::clone(&reach) };
        let http = transport::build(transport::builder()?.dns_resolver(Arc::new(names)))?;
        Ok(Self { inner: Arc::new(Inner { http, reach, under_way: Mutex::default(), metrics }) })
    }

    /// Sends a function's request to where its version's manifest allows, and gives the answer whole. A redirect is an answer like any
    /// other: the function decides whether to follow it, by another request.
    pub async fn send(&self, tenant: &TenantId, request: HttpRequest, allowed: &[HostPattern]) -> Reply {
        let outcome = self.try_send(tenant, request, allowed).await;
        let label = OutcomeLabel { outcome: outcome.as_ref().map_or_else(outcome_word, |_| "answered") };
        self.inner.metrics.requests.get_or_create(&label).inc();
        outcome.map_or_else(Reply::Refused, Reply::Response)
    }

    async fn try_send(
        &self,
        tenant: &TenantId,
        request: HttpRequest,
        allowed: &[HostPattern],
    ) -> Result<HttpResponse, Refusal> {
        let timeout = request.timeout_ms.map_or(limits::TOTAL_TIMEOUT, Duration::from_millis);
        let timeout = timeout.min(limits::TOTAL_TIMEOUT);
        let request = self.checked(request, allowed)?;
        let place = Arc::new(self.place(tenant)?);
        let exchange = async {
            let response = self.inner.http.execute(request).await.map_err(|error| refusal(&error))?;
            whole(response).await
        };
        let too_long = || Refusal::TimedOut(format!("no whole answer within {} ms", timeout.as_millis()));
        transport::HELD.scope(place, tokio::time::timeout(timeout, exchange)).await.map_err(|_| too_long())?
    }

    fn checked(&self, request: HttpRequest, allowed: &[HostPattern]) -> Result<reqwest::Request, Refusal> {
        let url = checked_url(&request.url)?;
        if !allowed.iter().any(|pattern| pattern.allows(&url)) {
            let origin = url.origin().ascii_serialization();
            let advice = "add it to allowed_outbound_hosts in the function's manifest and deploy a new version";
            return Err(Refusal::Denied(format!("the manifest does not allow {origin}; {advice}")));
        }
        // A name is judged when it is resolved.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if literal.is_some_and(|address| !self.inner.reach.allows(address)) {
            return Err(not_public());
        }
        let method = checked_method(&request.method)?;
        let headers = checked_headers(&request.headers, request.body.0.len())?;
        if request.body.0.len() > limits::BODY_BYTES_MAX {
            let most = limits::BODY_BYTES_MAX;
            return Err(Refusal::TooLarge(format!("the body has more than {most} bytes")));
        }
        let mut checked = reqwest::Request::new(method, url);
        *checked.headers_mut() = headers;
        if !request.body.0.is_empty() {
            *checked.body_mut() = Some(request.body.0.into());
        }
        Ok(checked)
    }

    /// A place among the requests under way, for as long as it is held.
    fn place(&self, tenant: &TenantId) -> Result<Place, Refusal> {
        let mut under_way = self.inner.lock();
        if under_way.all >= limits::IN_FLIGHT_MAX {
            return Err(Refusal::Failed("too many requests are under way at this node; try again".into()));
        }
        let own = under_way.of.entry(tenant.clone()).or_default();
        if *own >= limits::IN_FLIGHT_PER_TENANT_MAX {
            let most = limits::IN_FLIGHT_PER_TENANT_MAX;
            return Err(Refusal::OverLimit(format!("{most} outgoing HTTP requests at once")));
        }
        *own += 1;
        under_way.all += 1;
        drop(under_way);
        Ok(Place { inner: Arc::clone(&self.inner), tenant: tenant.clone() })
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place {
    inner: Arc<Inner>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.inner.lock();
        under_way.all -= 1;
        if let Some(own) = under_way.of.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                under_way.of.remove(&self.tenant);
            }
        }
    }
}

fn checked_url(text: &str) -> Result<Url, Refusal> {
    if text.len() > limits::URL_BYTES_MAX {
        return Err(Refusal::Invalid(format!("the URL has more than {} bytes", limits::URL_BYTES_MAX)));
    }
    let mut url = Url::parse(text).map_err(|error| Refusal::Invalid(format!("the URL cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Invalid(format!("{}: a function speaks http and https only", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Invalid("the URL carries a sign-in; send it in the header `authorization`".into()));
    }
    url.set_fragment(None);
    Ok(url)
}

fn checked_method(text: &str) -> Result<Method, Refusal> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => Err(Refusal::Denied(format!("the method {text} is not for functions"))),
        Ok(method) => Ok(method),
        Err(_) => Err(Refusal::Invalid(format!("{text:?} is no method; write GET, POST, PUT, PATCH, DELETE or HEAD"))),
    }
}

fn checked_headers(fields: &[(String, String)], body_bytes: usize) -> Result<HeaderMap, Refusal> {
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if fields.len() > limits::HEADERS_MAX || bytes > limits::HEADER_BYTES_MAX {
        let (most, most_bytes) = (limits::HEADERS_MAX, limits::HEADER_BYTES_MAX);
        return Err(Refusal::Invalid(format!("a request has at most {most} headers of {most_bytes} bytes altogether")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let field = HeaderName::from_bytes(name.as_bytes());
        let field = field.map_err(|_| Refusal::Invalid(format!("{name:?} is no header name")))?;
        if REFUSED_HEADERS.contains(&field) {
            return Err(Refusal::Denied(format!("the header `{field}` is set by the gateway")));
        }
        if field == header::CONTENT_LENGTH {
            if value.trim().parse() != Ok(body_bytes) {
                return Err(Refusal::Invalid(format!("content-length says {value}, the body has {body_bytes} bytes")));
            }
            continue;
        }
        let value = HeaderValue::from_str(value);
        headers.append(field, value.map_err(|_| Refusal::Invalid(format!("the value of `{name}` cannot be sent")))?);
    }
    Ok(headers)
}

async fn whole(response: Response) -> Result<HttpResponse, Refusal> {
    let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits::HEADER_BYTES_MAX {
        return Err(Refusal::TooLarge(format!(
            "the answer's headers have more than {} bytes",
            limits::HEADER_BYTES_MAX
        )));
    }
    let status = response.status().as_u16();
    // A value that is no UTF-8 is of no use to a function, and no reason to lose the answer.
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let headers = response.headers().iter().filter_map(text).collect();
    match transport::read_body(response, limits::BODY_BYTES_MAX).await {
        Ok(body) => Ok(HttpResponse { status, headers, body: Bytes(body) }),
        Err(BodyError::TooLarge) => {
            Err(Refusal::TooLarge(format!("the answer's body has more than {} bytes", limits::BODY_BYTES_MAX)))
        }
        Err(BodyError::Failed(error)) => Err(refusal(&error)),
    }
}

fn refusal(error: &reqwest::Error) -> Refusal {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return not_public();
        }
        source = cause.source();
    }
    match error.is_timeout() {
        true => Refusal::TimedOut(format!("no connection within {} ms", limits::CONNECT_TIMEOUT.as_millis())),
        false => Refusal::Failed(transport::plain(error)),
    }
}

fn not_public() -> Refusal {
    let advice = "the operator may allow private ones with `allow_private_addresses` under [functions]";
    Refusal::Denied(format!("{NotPublic}; {advice}"))
}

fn outcome_word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Denied(_) => "denied",
        Refusal::NoSuch(_) => "no-such",
        Refusal::OverLimit(_) => "over-limit",
        Refusal::Invalid(_) => "invalid",
        Refusal::TooLarge(_) => "too-large",
        Refusal::TimedOut(_) => "timed-out",
        Refusal::Failed(_) => "failed",
        Refusal::NotRecorded => "not-recorded",
    }
}

#[cfg(test)]
mod tests;
