//! The deeds of the guest `misbehaving`, and some that only an HTTP service can do, served over `wasi:http` 0.2 and nothing else. For the
//! host's tests.
#![cfg(target_family = "wasm")]

#[path = "../../misbehaving/src/deeds.rs"]
mod deeds;

use tandem_function::http::wasip2::http::types::{ErrorCode, Fields, OutgoingBody, OutgoingResponse};
use tandem_function::http::{Answer, Guest, IncomingRequest, ResponseOutparam, answer, wasip2};

struct Served;

impl Guest for Served {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let body = read(&request);
        let dialled = |deed: &str| String::from_utf8_lossy(&body).contains(&format!(r#""to":"{deed}""#));
        if dialled("silence") {
            return;
        }
        if dialled("error-code") {
            return ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("no database".into()))));
        }
        let answer = if dialled("huge-answer") {
            // As JSON the plan of that deed would not fit into the memory of an instance.
            Answer { status: 200, body: vec![b' '; 8 * 1024 * 1024] }
        } else {
            wit_bindgen::block_on(async { answer::<deeds::Misbehaving>(&body).await })
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(answer.status).expect("a status");
        let body = response.body().expect("it is taken once");
        ResponseOutparam::set(out, Ok(response));
        if dialled("half") {
            // The body is dropped unfinished.
            return;
        }
        let stream = body.write().expect("it is written once");
        for part in answer.body.chunks(4096) {
            if stream.blocking_write_and_flush(part).is_err() {
                return;
            }
        }
        drop(stream);
        OutgoingBody::finish(body, None).expect("it is whole");
        if dialled("afterthought") {
            panic!("after the answer");
        }
    }
}

fn read(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("a body");
    let stream = body.stream().expect("a stream");
    let mut bytes = Vec::new();
    while let Ok(part) = stream.blocking_read(64 * 1024) {
        bytes.extend_from_slice(&part);
    }
    bytes
}

wasip2::http::proxy::export! { Served with_types_in wasip2 }
