//! The OpenAPI document as clients depend on it, kept as a golden file.

use std::path::PathBuf;

use serde_json::Value;

use super::Api;

#[test]
fn the_control_api_is_unchanged() {
    let now = tandem::control::api::document();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    if std::env::var_os("TANDEM_RENEW_GOLDEN").is_some_and(|renew| renew == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).expect("the directory can be made");
        std::fs::write(&path, &now).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now).unwrap_or(0) + 1;
    assert!(
        kept == now,
        "the control API differs from tests/golden/openapi.json, first at line {first_difference}. When the change is meant and older \
         clients can live with it, renew the file: TANDEM_RENEW_GOLDEN=1 cargo test --workspace --test shell the_control_api_is_unchanged"
    );
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let api = Api::start().await;
    let answer = api.send("GET", "/v1/openapi.json", None, "", b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let kept: Value = serde_json::from_str(&tandem::control::api::document()).unwrap();
    assert_eq!(answer.json(), kept);
    assert_eq!(api.send("GET", "/healthz", None, "", b"").await.body, "ok\n");
    api.stop().await;
}
