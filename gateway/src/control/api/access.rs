//! Who may do what: one table of every operation and what it needs, and the check of each request against it. The OpenAPI document says
//! the same, because it is written from this table. An operation that the table does not name is answered to nobody.

use std::net::SocketAddr;
use std::time::Instant;

use axum::RequestExt as _;
use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::problem::{Kind, Problem};
use crate::tenants::model::{Actor, Scope};

/// Longest token that is looked at, bytes. Ours have less than 100. Longer: refused unread.
const TOKEN_BYTES_MAX: usize = 256;

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: anybody may.
    Nothing,
    /// Any good token.
    Token,
    /// The operator's token.
    Operator,
    /// The operator's token, or one of the tenant in the path with this scope.
    Scope(Scope),
}

impl Need {
    /// As the OpenAPI document says it (`x-scope`).
    pub(super) fn word(self) -> String {
        match self {
            Self::Nothing => "none".into(),
            Self::Token => "any".into(),
            Self::Operator => "operator".into(),
            Self::Scope(scope) => word(scope),
        }
    }
}

/// A scope as it is written.
pub(super) fn word(scope: Scope) -> String {
    serde_json::to_value(scope).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

use Need::{Nothing, Operator, Scope as Scoped, Token};
use Scope::{
    CallsRead, CallsWrite, FunctionsRead, FunctionsWrite, InvocationsRead, KeysWrite, KvRead, KvWrite, MailboxesRead,
    MailboxesWrite, PromptsRead, PromptsWrite, RecordingsRead, RecordingsWrite, RecordsRead, SettingsRead,
    SettingsWrite, VariablesWrite,
};

/// Every operation and what it needs. `HEAD` is as `GET`.
#[rustfmt::skip]
pub(super) const ACCESS: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", Nothing),
    ("GET", "/v1/openapi.json", Nothing),
    ("GET", "/v1/me", Token),
    ("GET", "/v1/audit", Operator),
    ("GET", "/v1/tenants", Operator),
    ("POST", "/v1/tenants", Operator),
    ("GET", "/v1/tenants/{tenant}", Scoped(SettingsRead)),
    ("DELETE", "/v1/tenants/{tenant}", Operator),
    ("PUT", "/v1/tenants/{tenant}/settings", Scoped(SettingsWrite)),
    ("PATCH", "/v1/tenants/{tenant}/settings", Scoped(SettingsWrite)),
    ("GET", "/v1/tenants/{tenant}/usage", Scoped(SettingsRead)),
    ("GET", "/v1/tenants/{tenant}/audit", Scoped(SettingsRead)),
    ("GET", "/v1/tenants/{tenant}/keys", Scoped(KeysWrite)),
    ("POST", "/v1/tenants/{tenant}/keys", Scoped(KeysWrite)),
    ("DELETE", "/v1/tenants/{tenant}/keys/{key}", Scoped(KeysWrite)),
    ("GET", "/v1/tenants/{tenant}/tokens", Scoped(KeysWrite)),
    ("POST", "/v1/tenants/{tenant}/tokens", Scoped(KeysWrite)),
    ("DELETE", "/v1/tenants/{tenant}/tokens/{token}", Scoped(KeysWrite)),
    ("GET", "/v1/tenants/{tenant}/users", Scoped(SettingsRead)),
    ("PUT", "/v1/tenants/{tenant}/users/{user}", Scoped(SettingsWrite)),
    ("DELETE", "/v1/tenants/{tenant}/users/{user}", Scoped(SettingsWrite)),
    ("GET", "/v1/tenants/{tenant}/components/{digest}", Scoped(FunctionsRead)),
    ("PUT", "/v1/tenants/{tenant}/components/{digest}", Scoped(FunctionsWrite)),
    ("GET", "/v1/tenants/{tenant}/functions", Scoped(FunctionsRead)),
    ("GET", "/v1/tenants/{tenant}/functions/{function}", Scoped(FunctionsRead)),
    ("DELETE", "/v1/tenants/{tenant}/functions/{function}", Scoped(FunctionsWrite)),
    ("GET", "/v1/tenants/{tenant}/functions/{function}/versions", Scoped(FunctionsRead)),
    ("POST", "/v1/tenants/{tenant}/functions/{function}/versions", Scoped(FunctionsWrite)),
    ("GET", "/v1/tenants/{tenant}/functions/{function}/versions/{version}", Scoped(FunctionsRead)),
    ("GET", "/v1/tenants/{tenant}/functions/{function}/diff", Scoped(FunctionsRead)),
    ("GET", "/v1/tenants/{tenant}/functions/{function}/deployments", Scoped(FunctionsRead)),
    ("POST", "/v1/tenants/{tenant}/functions/{function}/deployments", Scoped(FunctionsWrite)),
    ("POST", "/v1/tenants/{tenant}/functions/{function}/promote", Scoped(FunctionsWrite)),
    ("POST", "/v1/tenants/{tenant}/functions/{function}/rollback", Scoped(FunctionsWrite)),
    ("GET", "/v1/tenants/{tenant}/deployments", Scoped(FunctionsRead)),
    ("GET", "/v1/tenants/{tenant}/bindings", Scoped(SettingsRead)),
    ("PUT", "/v1/tenants/{tenant}/bindings/{pattern}", Scoped(SettingsWrite)),
    ("DELETE", "/v1/tenants/{tenant}/bindings/{pattern}", Scoped(SettingsWrite)),
    ("GET", "/v1/tenants/{tenant}/queues", Scoped(SettingsRead)),
    ("GET", "/v1/tenants/{tenant}/queues/{queue}", Scoped(SettingsRead)),
    ("GET", "/v1/tenants/{tenant}/queues/{queue}/state", Scoped(CallsRead)),
    ("GET", "/v1/tenants/{tenant}/calls", Scoped(CallsRead)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/hangup", Scoped(CallsWrite)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/redirect", Scoped(CallsWrite)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/mute", Scoped(CallsWrite)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/unmute", Scoped(CallsWrite)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/transfer", Scoped(CallsWrite)),
    ("POST", "/v1/tenants/{tenant}/calls/{call}/play", Scoped(CallsWrite)),
    ("PUT", "/v1/tenants/{tenant}/queues/{queue}", Scoped(SettingsWrite)),
    ("DELETE", "/v1/tenants/{tenant}/queues/{queue}", Scoped(SettingsWrite)),
    ("GET", "/v1/tenants/{tenant}/variables", Scoped(SettingsRead)),
    ("PUT", "/v1/tenants/{tenant}/variables/{variable}", Scoped(VariablesWrite)),
    ("DELETE", "/v1/tenants/{tenant}/variables/{variable}", Scoped(VariablesWrite)),
    ("GET", "/v1/tenants/{tenant}/kv/{store}", Scoped(KvRead)),
    ("GET", "/v1/tenants/{tenant}/kv/{store}/{key}", Scoped(KvRead)),
    ("PUT", "/v1/tenants/{tenant}/kv/{store}/{key}", Scoped(KvWrite)),
    ("DELETE", "/v1/tenants/{tenant}/kv/{store}/{key}", Scoped(KvWrite)),
    ("GET", "/v1/tenants/{tenant}/records", Scoped(RecordsRead)),
    ("GET", "/v1/tenants/{tenant}/invocations", Scoped(InvocationsRead)),
    ("GET", "/v1/tenants/{tenant}/invocations/{invocation}", Scoped(InvocationsRead)),
    ("GET", "/v1/tenants/{tenant}/prompts", Scoped(PromptsRead)),
    ("GET", "/v1/tenants/{tenant}/prompts/{prompt}", Scoped(PromptsRead)),
    ("PUT", "/v1/tenants/{tenant}/prompts/{prompt}", Scoped(PromptsWrite)),
    ("DELETE", "/v1/tenants/{tenant}/prompts/{prompt}", Scoped(PromptsWrite)),
    ("GET", "/v1/tenants/{tenant}/recordings", Scoped(RecordingsRead)),
    ("GET", "/v1/tenants/{tenant}/recordings/{recording}", Scoped(RecordingsRead)),
    ("DELETE", "/v1/tenants/{tenant}/recordings/{recording}", Scoped(RecordingsWrite)),
    ("GET", "/v1/tenants/{tenant}/recordings/{recording}/tracks/{track}", Scoped(RecordingsRead)),
    ("GET", "/v1/tenants/{tenant}/recordings/{recording}/audio", Scoped(RecordingsRead)),
    ("GET", "/v1/tenants/{tenant}/recordings/{recording}/bookmarks", Scoped(RecordingsRead)),
    ("POST", "/v1/tenants/{tenant}/recordings/{recording}/bookmarks", Scoped(RecordingsWrite)),
    ("GET", "/v1/tenants/{tenant}/mailboxes", Scoped(MailboxesRead)),
    ("GET", "/v1/tenants/{tenant}/mailboxes/{mailbox}", Scoped(MailboxesRead)),
    ("PUT", "/v1/tenants/{tenant}/mailboxes/{mailbox}", Scoped(MailboxesWrite)),
    ("DELETE", "/v1/tenants/{tenant}/mailboxes/{mailbox}", Scoped(MailboxesWrite)),
    ("GET", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages", Scoped(MailboxesRead)),
    ("GET", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", Scoped(MailboxesRead)),
    ("PATCH", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", Scoped(MailboxesWrite)),
    ("DELETE", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}", Scoped(MailboxesWrite)),
    ("GET", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/audio", Scoped(MailboxesRead)),
    ("GET", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/waveform", Scoped(MailboxesRead)),
    ("POST", "/v1/tenants/{tenant}/mailboxes/{mailbox}/messages/{message}/share", Scoped(MailboxesWrite)),
];

/// What an operation needs; `None`: there is no such operation.
pub(super) fn need(method: &str, template: &str) -> Option<Need> {
    let method = if method == "HEAD" { "GET" } else { method };
    ACCESS.iter().find(|(verb, path, _)| *verb == method && *path == template).map(|(_, _, need)| *need)
}

/// The methods of a path, as the `Allow` header lists them.
fn allowed(template: &str) -> String {
    let methods: Vec<_> = ACCESS.iter().filter(|(_, path, _)| *path == template).map(|(verb, ..)| *verb).collect();
    methods.join(", ")
}

/// Lets a request through when its token allows the operation, and tells the handler who asks.
pub(super) async fn authorise(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // A path that is not routed is answered by the fallback, with or without a token.
    let Some(template) = request.extensions().get::<MatchedPath>().cloned() else { return Ok(next.run(request).await) };
    let need = match need(request.method().as_str(), template.as_str()) {
        Some(Nothing) => return Ok(next.run(request).await),
        Some(need) => need,
        None => return Ok(no_such_method(request.method(), template.as_str())),
    };
    let shown = request.headers().get(header::AUTHORIZATION).cloned();
    let actor = authenticate(&api, peer, shown).await?;
    let params = request.extract_parts::<RawPathParams>().await;
    let params = params.map_err(|_| Problem::new(Kind::BadRequest, "the path is not UTF-8 once percent-decoded"))?;
    let tenant = params.iter().find(|(name, _)| *name == "tenant").map(|(_, tenant)| tenant);
    check(&actor, need, tenant)?;
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

fn no_such_method(method: &Method, template: &str) -> Response {
    let allowed = allowed(template);
    let mut response =
        Problem::new(Kind::MethodNotAllowed, format!("{method} is not for this path; {allowed} are")).into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

async fn authenticate(api: &Api, peer: SocketAddr, shown: Option<HeaderValue>) -> Result<Actor, Problem> {
    let right = "send `Authorization: Bearer <token>` with the operator's token or a control token of the tenant";
    let Some(header) = shown else {
        return Err(Problem::new(Kind::Unauthenticated, right));
    };
    let actor = match bearer(&header) {
        Some(token) => api.tenants().authenticate(token).await,
        None => None,
    };
    if let Some(actor) = actor {
        return Ok(actor);
    }
    api.metrics().bad_tokens.inc();
    if api.attempts().is_too_many(Instant::now(), peer.ip()) {
        return Err(Problem::new(
            Kind::TooManyFailures,
            "this address has shown too many bad tokens; wait, then use a good one",
        ));
    }
    tracing::debug!(%peer, "a bad control token");
    Err(Problem::new(Kind::Unauthenticated, format!("the token is wrong, has ended or was deleted; {right}")))
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX).then_some(token)
}

/// Whether `actor` may do what needs `need`, with the tenant of the path. What another tenant has is not told, not even whether it is.
fn check(actor: &Actor, need: Need, tenant: Option<&str>) -> Result<(), Problem> {
    let (own, scopes) = match actor {
        Actor::Operator | Actor::Gateway => return Ok(()),
        Actor::Token { tenant, scopes, .. } => (tenant, scopes),
        Actor::User(_) => return Err(Problem::new(Kind::Forbidden, "users have no part in the control API")),
    };
    match need {
        Nothing | Token => Ok(()),
        Operator => Err(Problem::new(Kind::Forbidden, "this is for the operator's token")),
        Scoped(_) if tenant != Some(own.as_str()) => {
            Err(Problem::new(Kind::Forbidden, format!("the token is tenant {own}'s, and the path is not")))
        }
        Scoped(scope) if scopes.contains(&scope) || scopes.contains(&Scope::All) => Ok(()),
        Scoped(scope) => {
            let detail = format!("the token has not the scope {:?}; make one that has", word(scope));
            Err(Problem::new(Kind::Forbidden, detail).needs(Some(scope)))
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_switch::id::TenantId;

    use super::*;

    fn token(tenant: &str, scopes: &[Scope]) -> Actor {
        Actor::Token { tenant: TenantId::new(tenant).unwrap(), id: "1".into(), scopes: scopes.to_vec() }
    }

    #[test]
    fn a_token_does_what_its_scopes_allow_in_its_tenant() {
        let cases = [
            (Actor::Operator, Operator, Some("acme"), true),
            (Actor::Operator, Scoped(KvRead), Some("acme"), true),
            (token("acme", &[Scope::All]), Scoped(KvRead), Some("acme"), true),
            (token("acme", &[KvRead]), Scoped(KvRead), Some("acme"), true),
            (token("acme", &[KvWrite]), Scoped(KvRead), Some("acme"), false),
            (token("acme", &[]), Scoped(KvRead), Some("acme"), false),
            (token("acme", &[]), Token, None, true),
            (token("acme", &[Scope::All]), Scoped(KvRead), Some("other"), false),
            (token("acme", &[Scope::All]), Scoped(KvRead), None, false),
            (token("acme", &[Scope::All]), Operator, Some("acme"), false),
        ];
        for (actor, need, tenant, allowed) in cases {
            assert_eq!(check(&actor, need, tenant).is_ok(), allowed, "{actor:?} {need:?} {tenant:?}");
        }
    }

    #[test]
    fn a_missing_scope_is_named_but_not_to_strangers() {
        let own = check(&token("acme", &[]), Scoped(KvRead), Some("acme")).unwrap_err();
        assert_eq!((own.status, own.scope), (403, Some(KvRead)));
        let stranger = check(&token("acme", &[]), Scoped(KvRead), Some("other")).unwrap_err();
        assert_eq!((stranger.status, stranger.scope), (403, None));
    }

    #[test]
    fn a_bearer_token_is_read_and_nothing_else() {
        let cases = [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("Bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("", None),
        ];
        for (header, token) in cases {
            assert_eq!(bearer(&HeaderValue::from_static(header)), token, "{header:?}");
        }
        let long = HeaderValue::from_str(&format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1))).unwrap();
        assert_eq!(bearer(&long), None);
    }

    #[test]
    fn every_operation_stands_in_the_table_once_and_below_a_tenant_needs_a_scope() {
        for (number, (method, path, need)) in ACCESS.iter().enumerate() {
            assert!(
                !ACCESS[..number].iter().any(|(verb, other, _)| verb == method && other == path),
                "{method} {path}"
            );
            let of_tenant = path.contains("{tenant}");
            assert_eq!(of_tenant, matches!(need, Scoped(_)) || (*need == Operator && of_tenant), "{method} {path}");
        }
    }
}
