//! How connections are made, for functions' requests and webhooks alike: no redirects, no proxies from the environment, HTTP/1.1, and
//! bodies read within a bound.

use std::any::Any;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;

use super::addresses::Reach;
use super::limits;

/// The system cannot make connections of this kind.
#[derive(Debug, thiserror::Error)]
#[error("outgoing HTTP cannot be set up: {0}")]
pub struct SetupError(String);

/// What functions' requests and webhooks have in common.
pub(super) fn builder() -> Result<reqwest::ClientBuilder, SetupError> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .http1_only()
        .http1_max_headers(limits::HEADERS_MAX)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .pool_max_idle_per_host(limits::IDLE_PER_HOST_MAX)
        .pool_idle_timeout(limits::IDLE_TIMEOUT))
}

pub(super) fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, SetupError> {
    builder.build().map_err(|error| SetupError(plain(&error)))
}

/// What the operator's own object store is reached with: any address, and no silence longer than [`limits::STORAGE_SILENCE`].
pub(crate) fn storage_client() -> Result<reqwest::Client, SetupError> {
    build(builder()?.read_timeout(limits::STORAGE_SILENCE))
}

/// Trusts whom the system trusts. A machine without root certificates still speaks `http`.
pub(super) fn tls() -> Result<rustls::ClientConfig, SetupError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!(
            "this machine has no root certificates, so functions reach nobody over https; the package ca-certificates would help"
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| SetupError(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

tokio::task_local! {
    /// A request's place. The system's name resolution keeps it until it is over.
    pub(super) static HELD: Arc<dyn Any + Send + Sync>;
}

/// The system's name resolution. It takes a thread, for as long as the name's servers are silent, and nobody can end it: so the request
/// counts as under way until then, even when it was given up, and only so many names are looked up at once.
pub(super) struct SystemNames(Arc<Semaphore>);

impl Default for SystemNames {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(limits::LOOKUPS_MAX)))
    }
}

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        self.look_up(move || (name.as_str(), 0).to_socket_addrs())
    }
}

impl SystemNames {
    fn look_up<A>(&self, names: impl FnOnce() -> std::io::Result<A> + Send + 'static) -> Resolving
    where
        A: Iterator<Item = SocketAddr>,
    {
        let (held, free) = (HELD.try_with(Arc::clone).ok(), Arc::clone(&self.0));
        Box::pin(async move {
            let permit = free.acquire_owned().await?;
            let found = tokio::task::spawn_blocking(move || {
                let _until_it_is_over = (permit, held);
                names().map(Iterator::collect::<Vec<SocketAddr>>)
            });
            Ok(Box::new(found.await??.into_iter()) as Addrs)
        })
    }
}

/// Names resolved to those addresses only that may be reached: what was judged is what is connected to.
pub(super) struct JudgedNames {
    pub(super) names: Arc<dyn Resolve>,
    pub(super) reach: Arc<Reach>,
}

/// A name has no address that a function may reach. Which it has is not told: that is the operator's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct NotPublic;

impl Resolve for JudgedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, reach) = (self.names.resolve(name), Arc::clone(&self.reach));
        Box::pin(async move {
            let allowed: Vec<SocketAddr> = found.await?.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why a body was not read to its end.
pub(super) enum BodyError {
    TooLarge,
    Failed(reqwest::Error),
}

/// A body of at most `bytes_max` bytes; a larger one is read no further, whatever length was announced.
pub(super) async fn read_body(mut response: reqwest::Response, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Failed)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The causes of an error, the last of which says most; without the URL, whose query may be secret.
pub(super) fn plain(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    match std::ptr::addr_eq(last, error) {
        true => "the request could not be made".to_owned(),
        false => last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_is_given_up_keeps_its_place_while_its_name_is_looked_up() {
        let (names, place) = (SystemNames::default(), Arc::new(()));
        let (answer, silence) = std::sync::mpsc::channel::<()>();
        let never = move || silence.recv().map(|()| std::iter::empty()).map_err(std::io::Error::other);
        let looking_up = HELD.sync_scope(place.clone(), || tokio::spawn(names.look_up(never)));
        while names.0.available_permits() == limits::LOOKUPS_MAX {
            tokio::task::yield_now().await;
        }
        looking_up.abort();
        assert!(looking_up.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!((Arc::strong_count(&place), names.0.available_permits()), (2, limits::LOOKUPS_MAX - 1));
        drop(answer);
        while Arc::strong_count(&place) > 1 || names.0.available_permits() < limits::LOOKUPS_MAX {
            tokio::task::yield_now().await;
        }
    }
}
