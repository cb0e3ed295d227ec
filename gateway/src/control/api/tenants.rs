//! Tenants, their settings and what they use.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_switch::id::TenantId;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag::{Expected, Known, tagged};
use super::paths::{OfTenant, PageQuery};
use super::problem::{Kind, Problem};
use super::{Answer, Api};
use crate::tenants::model::{Actor, Page, Settings, Tenant, Usage};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
        .routes(routes!(replace, change))
        .routes(routes!(usage))
}

/// A tenant to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewTenant {
    /// Its name: the `iss` of its users' tokens.
    #[schema(value_type = String, example = "acme")]
    pub name: TenantId,
    /// Its settings; what is left out has its usual value.
    #[serde(default)]
    pub settings: Settings,
}

/// Lists all tenants, by name.
#[utoipa::path(get, path = "/v1/tenants", operation_id = "listTenants", tag = "tenants",
    responses((status = 200, description = "Tenants", body = Page<Tenant>)))]
async fn list(State(api): State<Api>, Query(page): Query<PageQuery>) -> Answer<Json<Page<Tenant>>> {
    Ok(Json(api.tenants().tenants(page.cursor.as_deref(), page.limit()).await?))
}

/// Makes a tenant; it can be called from the next moment on.
#[utoipa::path(post, path = "/v1/tenants", operation_id = "createTenant", tag = "tenants",
    responses((status = 201, description = "The tenant", body = Tenant)))]
async fn create(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Json(new): Json<NewTenant>,
) -> Answer<Response> {
    let tenant = api.tenants().create_tenant(&actor, new.name, new.settings).await?;
    let location = [(header::LOCATION, format!("/v1/tenants/{}", tenant.name))];
    Ok(tagged(&tenant.revision.to_string(), (StatusCode::CREATED, location, Json(tenant)).into_response()))
}

/// Shows a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", operation_id = "showTenant", tag = "tenants",
    responses((status = 200, description = "The tenant", body = Tenant)))]
async fn show(State(api): State<Api>, Path(of): Path<OfTenant>, known: Known) -> Answer<Response> {
    let tenant = api.tenants().tenant(&of.tenant).await?;
    Ok(known.or_send(tenant.revision, &tenant))
}

/// Forgets a tenant and everything of it. Its sessions end; its call records stay.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", operation_id = "deleteTenant", tag = "tenants",
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfTenant>,
    expected: Expected,
) -> Answer<StatusCode> {
    let revision = expected.against(api.tenants().tenant(&of.tenant).await?.revision)?;
    api.tenants().delete_tenant(&actor, &of.tenant, revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces a tenant's settings; what is left out takes its usual value. Limits are the operator's: others send them unchanged.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/settings", operation_id = "replaceSettings", tag = "tenants",
    responses((status = 200, description = "The tenant", body = Tenant)))]
async fn replace(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfTenant>,
    expected: Expected,
    Json(settings): Json<Settings>,
) -> Answer<Response> {
    let tenant = api.tenants().tenant(&of.tenant).await?;
    expected.against(tenant.revision)?;
    keep(&api, &actor, &tenant, settings).await
}

/// Changes some of a tenant's settings: a JSON merge patch (RFC 7396), in which `null` brings a value's usual one back. Limits are the
/// operator's.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/settings", operation_id = "changeSettings", tag = "tenants",
    request_body(content = Object, example = json!({"limits": {"calls": 200}})),
    responses((status = 200, description = "The tenant", body = Tenant)))]
async fn change(
    State(api): State<Api>,
    Extension(actor): Extension<Actor>,
    Path(of): Path<OfTenant>,
    expected: Expected,
    Json(patch): Json<Value>,
) -> Answer<Response> {
    let tenant = api.tenants().tenant(&of.tenant).await?;
    expected.against(tenant.revision)?;
    let settings = patched(&tenant.settings, patch)?;
    keep(&api, &actor, &tenant, settings).await
}

/// Shows what is used of each budget.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/usage", operation_id = "showUsage", tag = "tenants",
    responses((status = 200, description = "Each budget and its use", body = Vec<Usage>)))]
async fn usage(State(api): State<Api>, Path(of): Path<OfTenant>) -> Answer<Json<Vec<Usage>>> {
    Ok(Json(api.tenants().usage(&of.tenant).await?))
}

/// Keeps settings that were made from what `tenant` was: were it another by now, the change would undo somebody's.
async fn keep(api: &Api, actor: &Actor, tenant: &Tenant, settings: Settings) -> Answer<Response> {
    if *actor != Actor::Operator && settings.limits != tenant.settings.limits {
        let detail = "limits are the operator's; send them as they are, or change the other settings with PATCH";
        return Err(Problem::new(Kind::Forbidden, detail).in_field("limits"));
    }
    let tenant = api.tenants().change_settings(actor, &tenant.name, Some(tenant.revision), settings).await?;
    Ok(tagged(&tenant.revision.to_string(), Json(tenant).into_response()))
}

fn patched(settings: &Settings, patch: Value) -> Answer<Settings> {
    let wrong = |what: String| Problem::new(Kind::Invalid, what);
    let mut merged = serde_json::to_value(settings).map_err(|error| wrong(error.to_string()))?;
    if !patch.is_object() {
        return Err(wrong(
            "a patch is an object with the settings to change, such as {\"limits\": {\"calls\": 200}}".into(),
        ));
    }
    merge(&mut merged, patch);
    serde_json::from_value(merged).map_err(|error| wrong(error.to_string()))
}

/// RFC 7396, but that the plan is replaced as a whole: a merged half of each of two plans would be nobody's. The depth is bounded by the
/// JSON parser's.
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = into else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else if name == "default-plan" {
            fields.insert(name, value);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenants::model::{DefaultPlan, Limits};

    #[test]
    fn a_patch_changes_what_it_names_and_null_brings_the_usual_back() {
        let limits = Limits { calls: 7, sessions: 8, ..Limits::default() };
        let before = Settings { default_plan: DefaultPlan::Refuse, limits, signing_key: Some("k".into()) };
        let after = patched(&before, json!({"limits": {"calls": 9, "sessions": null}, "signing-key": null})).unwrap();
        let limits = Limits { calls: 9, ..Limits::default() };
        assert_eq!(after, Settings { default_plan: DefaultPlan::Refuse, limits, signing_key: None });
        let after = patched(&before, json!({"default-plan": {"ring-dialled": {"ring-seconds": 9}}})).unwrap();
        assert_eq!(after.default_plan, DefaultPlan::RingDialled { ring_seconds: 9 });
    }

    #[test]
    fn a_patch_of_what_is_no_setting_is_refused() {
        for patch in [
            json!({"limit": {}}),
            json!({"limits": {"call": 1}}),
            json!({"limits": {"calls": -1}}),
            json!([]),
            json!(1),
        ] {
            assert_eq!(patched(&Settings::default(), patch.clone()).unwrap_err().status, 422, "{patch}");
        }
    }
}
