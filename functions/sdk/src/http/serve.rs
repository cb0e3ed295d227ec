//! Between `wasi:http` 0.2 and [`super::answer`]: reads a bounded body, asks, writes the answer.

use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

use super::{Answer, QUESTION_BYTES_MAX, answer};
use crate::Router;

/// Most bytes that `blocking-write-and-flush` takes at once (wasi:io/streams).
const WRITE_BYTES_MAX: usize = 4096;

/// Most bytes asked for in one read.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// Answers one request.
pub fn serve<R: Router + 'static>(request: IncomingRequest, response: ResponseOutparam) {
    let answer = match (request.method(), read(&request)) {
        (Method::Post, Ok(body)) => wit_bindgen::block_on(async move { answer::<R>(&body).await }),
        (Method::Post, Err(message)) => Answer::failed(400, message),
        _ => Answer::failed(405, "POST an event as JSON, such as sample-event.json"),
    };
    write(response, &answer);
}

fn read(request: &IncomingRequest) -> Result<Vec<u8>, String> {
    let body = request.consume().map_err(|()| "the request has no body")?;
    let stream = body.stream().map_err(|()| "the request's body cannot be read")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES_MAX) {
            Ok(part) => bytes.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
        if bytes.len() > QUESTION_BYTES_MAX {
            return Err(format!("the body is larger than {QUESTION_BYTES_MAX} bytes"));
        }
    }
}

/// Writes the answer. Whoever asked may have gone: nobody is left to tell, so a failure to write is passed over.
fn write(out: ResponseOutparam, answer: &Answer) {
    let content_type = ("content-type".to_owned(), b"application/json".to_vec());
    let headers = Fields::from_list(&[content_type]).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(headers);
    // Of a response that was just made, neither can fail: the codes are constants, and the body is taken once.
    let _ = response.set_status_code(answer.status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        for part in answer.body.chunks(WRITE_BYTES_MAX) {
            if stream.blocking_write_and_flush(part).is_err() {
                break;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
