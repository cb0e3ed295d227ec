//! The object store that finished blobs are uploaded to: from `[storage]` to something that can be asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::config::Storage;
use crate::outgoing;

/// How long one request may take that the store repeats by itself. What fails then is repeated by the worker, whose state shows it.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the store repeats a request by itself.
const RETRIES_MAX: usize = 2;

/// Where finished blobs go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) store: Arc<dyn ObjectStore>,
    prefix: object_store::path::Path,
    /// The directory of a store that is one.
    directory: Option<PathBuf>,
    /// Whether "not found" says that an object is gone. S3 says so of buckets only: deleting what is not there succeeds.
    pub(super) tells_absence: bool,
}

/// What kind of store a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    File,
    S3,
    Azure,
    Google,
}

/// Checks a store's URL: its kind, and the URL.
///
/// # Errors
/// Says what would be right.
pub(crate) fn parse_url(text: &str) -> Result<(Scheme, Url), String> {
    let right =
        "is no object store; write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory";
    let url: Url = text.parse().map_err(|error| format!("{right} ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("has credentials or a query in it; set storage.key_id and storage.key, or the environment".into());
    }
    let host = url.host_str().unwrap_or_default();
    let scheme = match url.scheme() {
        "file" if host.is_empty() && url.path().len() > 1 => Scheme::File,
        "s3" if !host.is_empty() => Scheme::S3,
        "gs" if !host.is_empty() => Scheme::Google,
        "az" if !host.is_empty() => Scheme::Azure,
        _ => return Err(format!("{right}; got {text:?}")),
    };
    Ok((scheme, url))
}

/// A blob's place below any root. Names of blobs have no character that is written otherwise there.
pub(super) fn path(object: &str) -> object_store::path::Path {
    object.split('/').collect()
}

impl Target {
    /// The store of the configuration, if there is one.
    pub(super) fn open(storage: &Storage) -> Result<Option<Self>, String> {
        let Some(text) = &storage.url else { return Ok(None) };
        let (scheme, url) = parse_url(text)?;
        let bucket = url.host_str().unwrap_or_default();
        if scheme == Scheme::File {
            let directory = url.to_file_path().map_err(|()| format!("{text:?} is no path of this machine"))?;
            let unusable =
                |error: &dyn std::fmt::Display| format!("cannot use the directory {}: {error}", directory.display());
            crate::store::create_private(&directory).map_err(|error| unusable(&error))?;
            let directory = directory.canonicalize().map_err(|error| unusable(&error))?;
            let store = LocalFileSystem::new_with_prefix(&directory).map_err(|error| error.to_string())?;
            let store = Arc::new(store.with_automatic_cleanup(true));
            return Ok(Some(Self {
                store,
                prefix: object_store::path::Path::default(),
                directory: Some(directory),
                tells_absence: true,
            }));
        }
        let prefix = object_store::path::Path::from_url_path(url.path()).map_err(|error| error.to_string())?;
        let connector = Connector(outgoing::storage_client().map_err(|error| error.to_string())?);
        let store: Arc<dyn ObjectStore> = match scheme {
            Scheme::S3 => Arc::new(s3(storage, bucket, connector)?),
            Scheme::Azure => Arc::new(azure(storage, bucket, connector)?),
            Scheme::Google | Scheme::File => Arc::new(google(storage, bucket, connector)?),
        };
        Ok(Some(Self { store, prefix, directory: None, tells_absence: scheme != Scheme::S3 }))
    }

    /// Where a blob is in the store.
    pub(super) fn path(&self, object: &str) -> object_store::path::Path {
        self.prefix.parts().chain(path(object).parts()).collect()
    }

    /// Makes sure that a blob outlives a power cut, where the store is a directory: it does not flush by itself.
    pub(super) async fn flush(&self, object: &str) -> std::io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let file = directory.join(object);
        let flushed = tokio::task::spawn_blocking(move || {
            std::fs::File::open(&file)?.sync_all()?;
            file.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
        });
        flushed.await.map_err(std::io::Error::other)?
    }
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
}

/// An endpoint without TLS is one that the operator runs: it is told by its address alone.
fn is_plain(storage: &Storage) -> bool {
    storage.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
}

fn s3(storage: &Storage, bucket: &str, connector: Connector) -> Result<impl ObjectStore, String> {
    let builder =
        AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(connector).with_retry(retry());
    // Not all that speak S3 know how to delete many at once; here it is one at a time anyway.
    let mut builder = builder.with_allow_http(is_plain(storage)).with_disable_bulk_delete(true);
    if let Some(region) = &storage.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &storage.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(id) = &storage.key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(key) = &storage.key {
        builder = builder.with_secret_access_key(key.reveal());
    }
    builder.build().map_err(|error| error.to_string())
}

fn azure(storage: &Storage, container: &str, connector: Connector) -> Result<impl ObjectStore, String> {
    let builder = MicrosoftAzureBuilder::from_env().with_container_name(container).with_http_connector(connector);
    let mut builder = builder.with_retry(retry()).with_allow_http(is_plain(storage));
    if let Some(endpoint) = &storage.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(account) = &storage.key_id {
        builder = builder.with_account(account);
    }
    if let Some(key) = &storage.key {
        builder = builder.with_access_key(key.reveal());
    }
    builder.build().map_err(|error| error.to_string())
}

fn google(storage: &Storage, bucket: &str, connector: Connector) -> Result<impl ObjectStore, String> {
    let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_http_connector(connector);
    let mut builder = builder.with_retry(retry());
    if let Some(key) = &storage.key {
        builder = builder.with_service_account_key(key.reveal());
    }
    builder.build().map_err(|error| error.to_string())
}

/// Connections as the gateway makes them.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_s_url_is_checked() {
        let good = [
            ("s3://bucket", Scheme::S3),
            ("s3://bucket/a/b", Scheme::S3),
            ("gs://bucket/a", Scheme::Google),
            ("az://container/a", Scheme::Azure),
            ("file:///var/lib/recordings", Scheme::File),
        ];
        for (text, scheme) in good {
            assert_eq!(parse_url(text).map(|(found, _)| found), Ok(scheme), "{text}");
        }
        let bad = [
            ("recordings", "is no object store"),
            ("s3://", "is no object store"),
            ("file://host/x", "is no object store"),
            ("file:///", "is no object store"),
            ("https://bucket.example", "is no object store"),
            ("s3://id:secret@bucket", "has credentials"),
            ("s3://bucket?key=secret", "has credentials"),
        ];
        for (text, said) in bad {
            let error = parse_url(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn stores_of_all_kinds_can_be_opened_without_reaching_them() {
        let with = |url: &str, region: Option<&str>, key_id: Option<&str>, key: Option<&str>| Storage {
            url: Some(url.into()),
            region: region.map(str::to_owned),
            key_id: key_id.map(str::to_owned),
            key: key.map(crate::config::Secret::new),
            ..Storage::default()
        };
        let s3 = with("s3://bucket/a/b", Some("eu-central-1"), Some("id"), Some("key"));
        let target = Target::open(&s3).unwrap().unwrap();
        assert_eq!(target.path("acme/1/0.ogg").as_ref(), "a/b/acme/1/0.ogg");
        let azure = with("az://container", None, Some("account"), Some("a2V5"));
        assert!(Target::open(&azure).unwrap().is_some());
        let google = with("gs://bucket", None, None, Some("no JSON"));
        assert!(Target::open(&google).is_err(), "a key that is none is told at the start");
        assert!(Target::open(&Storage::default()).unwrap().is_none());
    }

    #[test]
    fn names_of_blobs_are_the_same_here_and_there() {
        let name = "acme.io_1-2+3@x/0123456789abcdefghjkmnpqrs/12.ogg";
        assert_eq!(path(name).as_ref(), name);
    }
}
