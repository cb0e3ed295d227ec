//! Requests to other servers while deciding: only to the hosts that the function was deployed with, within the gateway's limits of size and
//! time. The caller waits meanwhile: give up early, and have a plan without the answer.
//!
//! ```
//! use tandem_function::fetch::Request;
//! use tandem_function::testing::Surroundings;
//!
//! let around = Surroundings::new().page("https://crm.example.com/carol", 200, "bob");
//! let (answer, _) = around.during(|| Request::get("https://crm.example.com/carol").wait_at_most_ms(200).send());
//! assert_eq!(answer.unwrap().body, b"bob");
//! ```

use crate::host::Refused;
#[cfg(not(target_family = "wasm"))]
use crate::surroundings::send;

#[cfg(target_family = "wasm")]
mod send;
#[cfg(target_family = "wasm")]
use send::send;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout_ms: Option<u32>,
}

/// What a request does, and what it carries along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post(Vec<u8>),
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Request {
    /// Asks for what is at this address: `http://…` or `https://…`.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::Get, url: url.into(), headers: Vec::new(), timeout_ms: None }
    }

    /// Sends a body to this address.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: Method::Post(body.into()), url: url.into(), headers: Vec::new(), timeout_ms: None }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Gives up when there is no answer in this time, milliseconds; without it the gateway's own limit holds, which also holds with it.
    #[must_use]
    pub fn wait_at_most_ms(self, timeout_ms: u32) -> Self {
        Self { timeout_ms: Some(timeout_ms), ..self }
    }

    /// Sends the request and waits for the whole answer. A status such as 404 is an answer, too.
    ///
    /// # Errors
    /// When the function may not reach that host, nobody answers there in time, or the answer is too large.
    pub fn send(&self) -> Result<Response, Refused> {
        let (scheme, authority, path) = parts(&self.url)?;
        send(self, scheme, authority, path)
    }
}

/// The scheme of an address that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Scheme, host with port, and path with query.
fn parts(url: &str) -> Result<(Scheme, &str, &str), Refused> {
    let wrong = || Refused(format!("`{url}` is no address that can be asked; one begins with http:// or https://"));
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(wrong()),
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if authority.is_empty() { Err(wrong()) } else { Ok((scheme, authority, path)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Surroundings;

    #[test]
    fn an_address_comes_apart() {
        let table = [
            ("https://a.example", (Scheme::Https, "a.example", "/")),
            ("http://a.example:8080/b?c=d", (Scheme::Http, "a.example:8080", "/b?c=d")),
            ("https://a.example?c", (Scheme::Https, "a.example", "?c")),
        ];
        for (url, expected) in table {
            assert_eq!(parts(url), Ok(expected), "{url}");
        }
        for wrong in ["a.example", "ftp://a.example", "https://", "https:///path", ""] {
            assert!(parts(wrong).unwrap_err().0.contains("http://"), "{wrong}");
        }
    }

    #[test]
    fn a_page_that_the_test_put_there_is_found_and_no_other() {
        let around = Surroundings::new().page("http://a.example/", 404, "no");
        let (answers, _) = around.during(|| {
            (Request::get("http://a.example/").send(), Request::post("http://b.example/", "x").header("a", "b").send())
        });
        assert_eq!(answers.0, Ok(Response { status: 404, body: b"no".to_vec() }));
        assert!(answers.1.unwrap_err().0.contains("nobody answers"));
    }
}
