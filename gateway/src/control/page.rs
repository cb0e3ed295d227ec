//! The pages: the softphone and the SDK (`gateway/web`), and what operators see (`gateway/ops-page`), embedded in the binary. (A development
//! build reads them from the source tree, so that a change shows at the next reload.)

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "web/"]
#[exclude = "node_modules/*"]
#[exclude = "*.json"]
#[exclude = "*.d.ts"]
struct Softphone;

#[derive(RustEmbed)]
#[folder = "ops-page/"]
struct Operators;

/// What the operators' page takes from the softphone: both look alike.
const SHARED: [&str; 2] = ["style.css", "favicon.svg"];

/// What a page is made of. Everything else in that directory (types, tests, packages for checking) is not for visitors.
const SERVED: [&str; 11] = ["html", "css", "js", "svg", "png", "ico", "wasm", "woff2", "webmanifest", "wav", "ogg"];

/// Serves one file of the softphone or the SDK; `/` is `index.html`.
pub(super) async fn softphone(uri: Uri, headers: HeaderMap) -> Response {
    let file = served_path(&uri).and_then(Softphone::get);
    file.map_or_else(|| not_found("no such page; the softphone is at /\n"), |file| answer(file, &headers))
}

/// Serves one file of the operators' page; `/` is `index.html`.
pub(super) async fn operators(uri: Uri, headers: HeaderMap) -> Response {
    let file = served_path(&uri)
        .and_then(|path| if SHARED.contains(&path) { Softphone::get(path) } else { Operators::get(path) });
    let hint = "here are / (the live page), /healthz, /readyz, /metrics and /status.json\n";
    file.map_or_else(|| not_found(hint), |file| answer(file, &headers))
}

fn served_path(uri: &Uri) -> Option<&str> {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    Some(path).filter(|path| is_served(path))
}

fn not_found(hint: &'static str) -> Response {
    (StatusCode::NOT_FOUND, hint).into_response()
}

fn answer(file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()));
    // A browser may keep a file but asks each time whether it is still the same.
    let mut response = if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())], file.data).into_response()
    };
    let kept = response.headers_mut();
    kept.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        kept.insert(header::ETAG, tag);
    }
    response
}

fn is_served(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let foreign = |part: &str| part == "node_modules" || part.starts_with('.') || part.is_empty();
    SERVED.contains(&extension) && !path.ends_with(".test.js") && !path.split('/').any(foreign)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_page_needs_is_served() {
        for path in ["index.html", "tandem.js", "softphone/app.js", "favicon.svg"] {
            assert!(is_served(path), "{path}");
        }
        for path in [
            "package.json",
            "jitter.test.js",
            "worklet.d.ts",
            "node_modules/x/index.js",
            "../src/token.rs",
            "a/../b.js",
            ".env",
            "",
        ] {
            assert!(!is_served(path), "{path}");
        }
    }
}
