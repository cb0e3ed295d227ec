//! Outgoing HTTP, `wasi:http` 0.2 and 0.3 alike: a request is gathered whole, becomes a [`Question::Http`], and its reply becomes the
//! response. Whether the host may be reached, and how, is for the [`crate::outside::Outside`] to say.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::capabilities::door::Door;
use crate::limits;
use crate::outside::{Bytes, HttpRequest, HttpResponse, Question, Refusal};

/// What `wasi:http` does with an outgoing request.
pub(crate) struct Outgoing(pub(crate) Door);

/// What drives a response's connection, beside the response itself. Ours has come whole, so nothing is left to do.
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outgoing {
    /// The URL says the host; a second place that says it could only contradict.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_was_processed: Driver,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Driver), Error>> + Send> {
        let door = self.0.clone();
        Box::new(async move {
            let question = Question::Http(gathered(request, options.unwrap_or_default()).await?);
            let response = scattered(door.ask(question).await.response().map_err(error)?)?;
            Ok((response, Box::new(std::future::ready(Ok(()))) as Driver))
        })
    }
}

async fn gathered(request: http::Request<WasiBody>, options: RequestOptions) -> Result<HttpRequest, Error> {
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
            Ok(value) => Ok((name.as_str().to_owned(), value.to_owned())),
            Err(_) => Err(Error::HttpProtocolError),
        })
        .collect::<Result<_, _>>()?;
    let body = Limited::new(body, limits::HOST_CALL_BYTES_MAX).collect().await.map_err(body_error)?.to_bytes();
    Ok(HttpRequest {
        method: head.method.as_str().to_owned(),
        url: head.uri.to_string(),
        headers,
        body: Bytes(body),
        timeout_ms: wait_max(options).map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    })
}

/// The response comes whole, so the wait for its first byte, after connecting, is all there is.
fn wait_max(options: RequestOptions) -> Option<Duration> {
    let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout: _ } = options;
    first_byte_timeout.map(|wait| wait.saturating_add(connect_timeout.unwrap_or_default()))
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    if error.is::<LengthLimitError>() {
        return Error::HttpRequestBodySize(Some(limits::HOST_CALL_BYTES_MAX as u64));
    }
    error.downcast::<Error>().map_or(Error::HttpProtocolError, |error| *error)
}

fn scattered(response: HttpResponse) -> Result<http::Response<WasiBody>, Error> {
    let mut builder = http::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(response.body.0).map_err(Error::from).boxed_unsync();
    builder.body(body).map_err(|_| Error::HttpProtocolError)
}

/// The nearest of `wasi:http`'s error codes.
fn error(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Denied(_) => Error::HttpRequestDenied,
        Refusal::NoSuch(_) => Error::DestinationNotFound,
        Refusal::OverLimit(_) => Error::ConnectionLimitReached,
        Refusal::TooLarge(_) => Error::HttpResponseBodySize(Some(limits::HOST_CALL_BYTES_MAX as u64)),
        Refusal::Invalid(_) => Error::HttpRequestUriInvalid,
        Refusal::TimedOut(_) => Error::ConnectionTimeout,
        Refusal::Failed(_) | Refusal::NotRecorded => Error::InternalError(Some(refusal.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_that_for_the_first_byte_and_the_connection() {
        let second = Some(Duration::from_secs(1));
        let table = [
            ((None, None), None),
            ((second, None), None),
            ((None, second), Some(1000)),
            ((second, second), Some(2000)),
        ];
        for ((connect_timeout, first_byte_timeout), expected) in table {
            let options = RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout: second };
            assert_eq!(wait_max(options).map(|wait| wait.as_millis()), expected, "{options:?}");
        }
    }

    #[test]
    fn a_response_that_breaks_http_is_an_error() {
        let response = |status, name: &str| HttpResponse {
            status,
            headers: vec![(name.into(), "v".into())],
            body: Bytes::default(),
        };
        assert!(scattered(response(200, "x-name")).is_ok());
        assert!(scattered(response(20, "x-name")).is_err());
        assert!(scattered(response(200, "x name")).is_err());
    }
}
