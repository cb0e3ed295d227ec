//! The interfaces of others, as their own tools import them.

use std::fmt::Debug;

use futures_util::future::join;
use tandem_function::Error;
use wasip2::http::types as http_2;
use wasip3::http::types as http_3;

use self::bindings::fermyon::spin::{key_value as spin_2_kv, variables as spin_2_variables};
use self::bindings::spin::{key_value::key_value as spin_3_kv, variables::variables as spin_3_variables};
use self::bindings::wasi::{
    config0_2_0_draft_2024_09_27 as config_draft, config0_2_0_rc_1 as config_candidate, keyvalue0_2_0_draft as draft,
    keyvalue0_2_0_draft2 as draft2,
};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../../../wit", "../../../wit"],
        inline: r"
            package test:capable;

            world imports {
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:keyvalue/batch@0.2.0-draft2;
                import wasi:config/store@0.2.0-rc.1;
                import wasi:config/store@0.2.0-draft-2024-09-27;
                import fermyon:spin/key-value@2.0.0;
                import fermyon:spin/variables@2.0.0;
                import spin:key-value/key-value@3.0.0;
                import spin:variables/variables@3.0.0;
            }
        ",
        world: "test:capable/imports",
        generate_all,
    });
}

/// The body of a request.
const SENT: &[u8] = b"who is it?";

fn failed(error: impl Debug) -> Error {
    Error::new(format!("{error:?}"))
}

pub(crate) fn draft() -> Result<String, Error> {
    let bucket = draft::store::open("default").map_err(failed)?;
    draft::batch::set_many(&bucket, &[("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())]).map_err(failed)?;
    let sum = draft::atomics::increment(&bucket, "a", 2).map_err(failed)?;
    draft::batch::delete_many(&bucket, &["b".into()]).map_err(failed)?;
    let many = draft::batch::get_many(&bucket, &["a".into(), "b".into()]).map_err(failed)?;
    let keys = bucket.list_keys(None).map_err(failed)?.keys;
    let exists = bucket.exists("b").map_err(failed)?;
    let closed = draft::store::open("closed").err();
    let missing = draft::store::open("missing").err();
    Ok(format!("{sum} {many:?} {keys:?} {exists} {closed:?} {missing:?}"))
}

pub(crate) fn draft2() -> Result<String, Error> {
    let bucket = draft2::store::open("default").map_err(failed)?;
    draft2::batch::set_many(&bucket, &[("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())]).map_err(failed)?;
    let sum = draft2::atomics::increment(&bucket, "a", -2).map_err(failed)?;
    draft2::batch::delete_many(&bucket, &["b".into()]).map_err(failed)?;
    let many = draft2::batch::get_many(&bucket, &["a".into(), "b".into()]).map_err(failed)?;
    let keys = bucket.list_keys(None).map_err(failed)?.keys;
    let cas = draft2::atomics::Cas::new(&bucket, "a").err();
    Ok(format!("{sum} {many:?} {keys:?} {cas:?}"))
}

pub(crate) fn spin_2() -> Result<String, Error> {
    let store = spin_2_kv::Store::open("default").map_err(failed)?;
    store.set("a", b"1").map_err(failed)?;
    let value = store.get("a").map_err(failed)?;
    let keys = store.get_keys().map_err(failed)?;
    store.delete("a").map_err(failed)?;
    let exists = store.exists("a").map_err(failed)?;
    let (secret, missing) = (spin_2_variables::get("secret"), spin_2_variables::get("missing"));
    Ok(format!("{value:?} {keys:?} {exists} {secret:?} {missing:?}"))
}

pub(crate) async fn spin_3() -> Result<String, Error> {
    let store = spin_3_kv::Store::open("default".into()).await.map_err(failed)?;
    store.set("a".into(), b"1".to_vec()).await.map_err(failed)?;
    let value = store.get("a".into()).await.map_err(failed)?;
    let (keys, outcome) = store.get_keys().await;
    let keys = keys.collect().await;
    outcome.await.map_err(failed)?;
    store.delete("a".into()).await.map_err(failed)?;
    let exists = store.exists("a".into()).await.map_err(failed)?;
    let secret = spin_3_variables::get("secret".into()).await;
    let missing = spin_3_variables::get("missing".into()).await;
    Ok(format!("{value:?} {keys:?} {exists} {secret:?} {missing:?}"))
}

pub(crate) fn config() -> Result<String, Error> {
    let all = config_candidate::store::get_all().map_err(failed)?;
    let secret = config_candidate::store::get("secret").map_err(failed)?;
    let missing = config_draft::store::get("missing").map_err(failed)?;
    Ok(format!("{all:?} {secret:?} {missing:?}"))
}

pub(crate) fn clocks() -> String {
    let began = wasip3::clocks::monotonic_clock::now();
    let now = wasip3::clocks::system_clock::now();
    format!("{began} {}.{:09}", now.seconds, now.nanoseconds)
}

/// Waits a millisecond of both WASIs.
pub(crate) async fn wait() -> String {
    let began = wasip3::clocks::monotonic_clock::now();
    wasip3::clocks::monotonic_clock::wait_for(1_000_000).await;
    std::thread::sleep(std::time::Duration::from_millis(1));
    let waited = wasip3::clocks::monotonic_clock::now() - began;
    (waited >= 2_000_000).to_string()
}

pub(crate) fn random() -> String {
    let (two, three) =
        (wasip2::random::insecure_seed::insecure_seed(), wasip3::random::insecure_seed::get_insecure_seed());
    let secure = (wasip2::random::random::get_random_u64(), wasip3::random::random::get_random_u64());
    let insecure =
        (wasip2::random::insecure::get_insecure_random_u64(), wasip3::random::insecure::get_insecure_random_u64());
    format!("{secure:x?} {insecure:x?} {} {}", two == three, wasip2::random::random::get_random_bytes(3).len())
}

/// Host and path of an `https` URL.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.trim_start_matches("https://");
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// A POST by `wasi:http` 0.2.
pub(crate) fn fetch(url: &str) -> String {
    let (authority, path) = parts(url);
    let headers = http_2::Fields::from_list(&[("x-asked-by".into(), b"capable".to_vec())]).expect("well-formed");
    let request = http_2::OutgoingRequest::new(headers);
    request.set_method(&http_2::Method::Post).expect("known");
    request.set_scheme(Some(&http_2::Scheme::Https)).expect("known");
    request.set_authority(Some(authority)).expect("well-formed");
    request.set_path_with_query(Some(path)).expect("well-formed");
    let body = request.body().expect("taken once");
    let options = http_2::RequestOptions::new();
    options.set_first_byte_timeout(Some(2_000_000_000)).expect("possible");
    let pending = wasip2::http::outgoing_handler::handle(request, Some(options)).expect("well-formed");
    let stream = body.write().expect("taken once");
    stream.blocking_write_and_flush(SENT).expect("somebody reads");
    drop(stream);
    http_2::OutgoingBody::finish(body, None).expect("whole");
    pending.subscribe().block();
    match pending.get().expect("it is there").expect("taken once") {
        Ok(response) => {
            let (status, body) = (response.status(), response.consume().expect("taken once"));
            let stream = body.stream().expect("taken once");
            let mut bytes = Vec::new();
            while let Ok(part) = stream.blocking_read(64 * 1024) {
                bytes.extend(part);
            }
            format!("{status} {}", String::from_utf8_lossy(&bytes))
        }
        Err(code) => format!("{code:?}"),
    }
}

/// The same by `wasi:http` 0.3.
pub(crate) async fn fetch_beside(url: &str) -> String {
    let (authority, path) = parts(url);
    let headers = http_3::Fields::from_list(&[("x-asked-by".into(), b"capable".to_vec())]).expect("well-formed");
    let (mut body, contents) = wasip3::wit_stream::new();
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let options = http_3::RequestOptions::new();
    options.set_first_byte_timeout(Some(2_000_000_000)).expect("possible");
    let (request, _sent) = http_3::Request::new(headers, Some(contents), trailers, Some(options));
    request.set_method(&http_3::Method::Post).expect("known");
    request.set_scheme(Some(&http_3::Scheme::Https)).expect("known");
    request.set_authority(Some(authority)).expect("well-formed");
    request.set_path_with_query(Some(path)).expect("well-formed");
    let writing = async move {
        body.write_all(SENT.to_vec()).await;
        drop(body);
    };
    match join(wasip3::http::client::send(request), writing).await.0 {
        Ok(response) => {
            let status = response.get_status_code();
            let (_, read) = wasip3::wit_future::new(|| Ok(()));
            let (body, _trailers) = http_3::Response::consume_body(response, read);
            format!("{status} {}", String::from_utf8_lossy(&body.collect().await))
        }
        Err(code) => format!("{code:?}"),
    }
}
