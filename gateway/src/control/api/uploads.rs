//! Bodies of bytes: read up to a limit, and only so many at once, because each is held in memory until it is whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tandem_switch::id::TenantId;

use super::problem::{Kind, Problem};

/// Most uploads at once. Components of 24 MiB hold 384 MiB, prompts of 64 MiB 1 GiB. A further one is told to come again.
const UPLOADS_MAX: usize = 16;

/// Most uploads at once of one tenant, so that no tenant's slow line keeps the others out.
const UPLOADS_PER_TENANT_MAX: usize = 4;

/// Uploads under way, by tenant.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<BTreeMap<TenantId, usize>>);

impl Uploads {
    /// Makes room for an upload until what it gives is dropped.
    ///
    /// # Errors
    /// When too many are under way.
    pub(super) fn begin(&self, tenant: &TenantId) -> Result<Upload<'_>, Problem> {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = uploads.get(tenant).copied().unwrap_or(0);
        if own >= UPLOADS_PER_TENANT_MAX || uploads.values().sum::<usize>() >= UPLOADS_MAX {
            return Err(Problem::new(Kind::Busy, "too many uploads are under way; try again when one has ended"));
        }
        uploads.insert(tenant.clone(), own + 1);
        Ok(Upload { uploads: self, tenant: tenant.clone() })
    }
}

/// Room for one upload.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    uploads: &'a Uploads,
    tenant: TenantId,
}

impl Upload<'_> {
    /// Reads the body: refuses at once what announces to be too large, and later what turns out to be.
    ///
    /// # Errors
    /// When it has more than `bytes_max` bytes, or ends early.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let Some(announced) = announced.filter(|length| *length > bytes_max as u64) {
            return Err(too_large(&format!("has {announced} bytes"), bytes_max));
        }
        to_bytes(body, bytes_max).await.map_err(|error| {
            let cause = std::error::Error::source(&error);
            if cause.is_some_and(|cause| cause.to_string().contains("length limit")) {
                return too_large("is longer", bytes_max);
            }
            Problem::new(Kind::BadRequest, "the upload was interrupted; send it again")
        })
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let mut uploads = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uploads.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                uploads.remove(&self.tenant);
            }
        }
    }
}

fn too_large(how: &str, bytes_max: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body {how}; the limit is {bytes_max} bytes"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn a_tenant_has_a_share_of_the_uploads_at_once() {
        let uploads = Uploads::default();
        let own: Vec<_> = (0..UPLOADS_PER_TENANT_MAX).map(|_| uploads.begin(&tenant("a")).unwrap()).collect();
        assert_eq!(uploads.begin(&tenant("a")).unwrap_err().status, 503);
        let others: Vec<_> = (UPLOADS_PER_TENANT_MAX..UPLOADS_MAX)
            .map(|number| uploads.begin(&tenant(&format!("b{}", number / 4))).unwrap())
            .collect();
        assert_eq!(uploads.begin(&tenant("c")).unwrap_err().status, 503);
        drop(own);
        assert!(uploads.begin(&tenant("a")).is_ok() && uploads.begin(&tenant("c")).is_ok());
        drop(others);
        assert!(uploads.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let uploads = Uploads::default();
        let upload = uploads.begin(&tenant("a")).unwrap();
        let none = HeaderMap::new();
        assert_eq!(upload.read(&none, Body::from("four"), 4).await.unwrap(), "four");
        assert_eq!(upload.read(&none, Body::from("five5"), 4).await.unwrap_err().status, 413);
        let announced = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("500000000"))]);
        let refused = upload.read(&announced, Body::empty(), 4).await.unwrap_err();
        assert_eq!((refused.status, refused.detail.contains("500000000")), (413, true));
    }
}
