//! Signing in without a password, for `tandem dev` only and for browsers on the same machine only.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tandem_switch::id::TenantId;
use tandem_switch::token::{Claims, Grant, LIFETIME_SECONDS_MAX};

use super::public::{Public, authority, host_of};

/// A demo tenant, whose users anybody on this machine may be.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The tenant.
    pub tenant: TenantId,
    /// Its users and the names to show.
    pub users: Vec<(String, Option<String>)>,
}

pub(super) fn router(public: &Public) -> Router<Public> {
    Router::new()
        .route("/demo/users", get(users))
        .route("/demo/token", post(token))
        .layer(middleware::from_fn_with_state(public.clone(), same_machine))
}

/// Lets through what comes from this machine under this machine's own name: a page of a foreign site whose name was made to point here
/// (DNS rebinding) comes from this machine too, but under that site's name.
async fn same_machine(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    let by_own_name = authority(&request).is_some_and(|authority| {
        let host = host_of(&authority).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if peer.ip().to_canonical().is_loopback() && by_own_name {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "the demo is for browsers on the same machine, at http://localhost\n").into_response()
}

#[derive(Serialize)]
struct DemoUser {
    user: String,
    name: String,
}

async fn users(State(public): State<Public>) -> Response {
    let Some(demo) = public.demo() else { return StatusCode::NOT_FOUND.into_response() };
    let user = |(user, name): &(String, Option<String>)| DemoUser {
        user: user.clone(),
        name: name.clone().unwrap_or_else(|| user.clone()),
    };
    let users: Vec<_> = demo.users.iter().map(user).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(users)).into_response()
}

#[derive(Deserialize)]
struct WhichUser {
    user: String,
}

async fn token(State(public): State<Public>, Query(which): Query<WhichUser>) -> Response {
    let Some(demo) = public.demo() else { return StatusCode::NOT_FOUND.into_response() };
    let Some((user, name)) = demo.users.iter().find(|(user, _)| *user == which.user) else {
        let known: Vec<_> = demo.users.iter().map(|(user, _)| user.as_str()).collect();
        return (StatusCode::NOT_FOUND, format!("no such demo user; there are: {}\n", known.join(", ")))
            .into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims {
        iss: demo.tenant.to_string(),
        sub: user.clone(),
        iat: now,
        exp: now + LIFETIME_SECONDS_MAX,
        nbf: None,
        name: name.clone(),
        grants: Grant::ALL.to_vec(),
    };
    match public.keyring().sign(&claims) {
        Ok(token) => {
            ([(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "token": token }))).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
