//! Sending a request through `wasi:http` 0.2, and gathering its answer.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, IncomingResponse, Method as HttpMethod, OutgoingBody, OutgoingRequest, RequestOptions, Scheme as HttpScheme,
};
use wasip2::io::streams::StreamError;

use super::{Method, Request, Response, Scheme};
use crate::host::Refused;

/// Most bytes that `blocking-write-and-flush` takes at once (wasi:io/streams).
const WRITE_BYTES_MAX: usize = 4096;

/// Most bytes asked for in one read.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// Nanoseconds in a millisecond: durations of `wasi:clocks` are in nanoseconds.
const NANOS_PER_MS: u64 = 1_000_000;

pub(super) fn send(request: &Request, scheme: Scheme, authority: &str, path: &str) -> Result<Response, Refused> {
    let refused = |what: &str| Refused(format!("{}: {what}", request.url));
    let fields = request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes()));
    let fields = Fields::from_list(&fields.collect::<Vec<_>>()).map_err(|_| refused("a header is not allowed"))?;
    let outgoing = OutgoingRequest::new(fields);
    let (method, body) = match &request.method {
        Method::Get => (HttpMethod::Get, &[][..]),
        Method::Post(body) => (HttpMethod::Post, &body[..]),
    };
    let scheme = match scheme {
        Scheme::Http => HttpScheme::Http,
        Scheme::Https => HttpScheme::Https,
    };
    outgoing.set_method(&method).map_err(|()| refused("the method is not allowed"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("the scheme is not allowed"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| refused("the host is not well-formed"))?;
    outgoing.set_path_with_query(Some(path)).map_err(|()| refused("the path is not well-formed"))?;
    let out = outgoing.body().map_err(|()| refused("the body cannot be sent"))?;
    let answer = handle(outgoing, options(request)).map_err(|code| refused(&code.to_string()))?;
    write(out, body).map_err(refused)?;
    answer.subscribe().block();
    let answer = answer.get().ok_or_else(|| refused("no answer"))?.map_err(|()| refused("the answer was taken"))?;
    read(&answer.map_err(|code| refused(&code.to_string()))?).map_err(refused)
}

fn options(request: &Request) -> Option<RequestOptions> {
    let nanos = u64::from(request.timeout_ms?) * NANOS_PER_MS;
    let options = RequestOptions::new();
    // A host that knows no such time keeps its own.
    let _ = options.set_connect_timeout(Some(nanos));
    let _ = options.set_first_byte_timeout(Some(nanos));
    let _ = options.set_between_bytes_timeout(Some(nanos));
    Some(options)
}

fn write(out: OutgoingBody, body: &[u8]) -> Result<(), &'static str> {
    if !body.is_empty() {
        let stream = out.write().map_err(|()| "the body cannot be sent")?;
        for part in body.chunks(WRITE_BYTES_MAX) {
            stream.blocking_write_and_flush(part).map_err(|_| "the body was not taken")?;
        }
    }
    OutgoingBody::finish(out, None).map_err(|_| "the body was not taken")
}

fn read(answer: &IncomingResponse) -> Result<Response, &'static str> {
    let status = answer.status();
    let incoming = answer.consume().map_err(|()| "the answer has no body")?;
    let stream = incoming.stream().map_err(|()| "the answer's body cannot be read")?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES_MAX) {
            Ok(part) => body.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(Response { status, body }),
            Err(StreamError::LastOperationFailed(_)) => return Err("the answer broke off"),
        }
    }
}
