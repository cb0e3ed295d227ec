//! Asking a function that serves `wasi:http`, in process: the question is a POST, the plan the body of the answer. What the bytes say is
//! [`tandem_switch::http_contract`]'s; no socket is involved.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tandem_switch::event::{Context, Event};
use tandem_switch::exchange::ConsultFailure;
use tandem_switch::http_contract;
use tandem_switch::plan::Plan;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::p3::bindings::http::types as p3;

use crate::capabilities::Sandbox;
use crate::limits;
use crate::outcome::{NoAnswer, shortened};

/// What the function sees as the host of the question's URL.
const AUTHORITY: &str = "tandem.internal";

/// A question, whole.
pub(crate) type Question = http::Request<Full<Bytes>>;

/// The question as a function over HTTP gets it.
pub(crate) fn question(context: &Context, event: &Event) -> Question {
    let body = http_contract::encode(context, event);
    http::Request::post(format!("http://{AUTHORITY}{}", http_contract::PATH))
        .header(http::header::CONTENT_TYPE, http_contract::CONTENT_TYPE)
        .header(http::header::CONTENT_LENGTH, body.len())
        .body(Full::new(body.into()))
        .expect("constants and a number make a request")
}

/// Asks a handler of `wasi:http` 0.2. The answer counts when the function has returned.
pub(crate) async fn ask_02(
    store: &mut Store<Sandbox>,
    pre: &ProxyPre<Sandbox>,
    question: Question,
    bytes_max: usize,
) -> Result<Plan, NoAnswer> {
    let proxy = pre.instantiate_async(&mut *store).await?;
    let mut http = store.data_mut().http();
    let question = http.new_incoming_request(p2::Scheme::Http, question)?;
    let (sender, mut answer) = oneshot::channel();
    let place = http.new_response_outparam(sender)?;
    let mut handled = pin!(proxy.wasi_http_incoming_handler().call_handle(store, question, place));
    // The function may answer first and write its body then, or return without an answer.
    let mut returned = false;
    let head = tokio::select! {
        biased;
        head = &mut answer => head.ok(),
        done = &mut handled => {
            done?;
            returned = true;
            answer.try_recv().ok()
        }
    };
    let rest = async {
        if !returned {
            handled.await?;
        }
        Ok(())
    };
    match head {
        Some(Ok(response)) => Ok(tokio::try_join!(read(response, bytes_max), rest)?.0),
        Some(Err(p2::ErrorCode::InternalError(Some(why)))) => Err(refused(why)),
        Some(Err(code)) => Err(refused(code.to_string())),
        None => {
            rest.await?;
            Err(NoAnswer::Said(ConsultFailure::Trapped("it returned without an answer".into())))
        }
    }
}

/// Asks a handler of `wasi:http` 0.3. The answer counts when its body has come whole.
pub(crate) async fn ask_03(
    store: &mut Store<Sandbox>,
    pre: &ServicePre<Sandbox>,
    question: Question,
    bytes_max: usize,
) -> Result<Plan, NoAnswer> {
    let service = pre.instantiate_async(&mut *store).await?;
    // Whether the function read all of the question is its own business.
    let (question, _processed) = p3::Request::from_http(store.data_mut().http().hooks, question);
    let answer = store.run_concurrent(async |store| {
        let response = match service.handle(store, question).await? {
            Ok(response) => response,
            Err(p3::ErrorCode::InternalError(Some(why))) => return Err(refused(why)),
            Err(code) => return Err(refused(code.to_string())),
        };
        let response = store.with(|store| response.into_http(store, std::future::ready(Ok(()))))?;
        read(response, bytes_max).await
    });
    answer.await?
}

fn refused(why: String) -> NoAnswer {
    NoAnswer::Said(ConsultFailure::Refused(shortened(why, limits::ERROR_BYTES_MAX)))
}

/// Gathers the answer's body and reads the plan in it.
async fn read<B>(response: http::Response<B>, bytes_max: usize) -> Result<Plan, NoAnswer>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), bytes_max).collect().await.map_err(|error| {
        NoAnswer::Said(if error.is::<LengthLimitError>() {
            ConsultFailure::AnswerTooLarge(format!("more than {bytes_max} bytes"))
        } else {
            ConsultFailure::Trapped(format!("the body of its answer broke off: {error}"))
        })
    })?;
    http_contract::decode(status, &body.to_bytes()).map_err(NoAnswer::Said)
}
