//! A locked Spin application, as far as a routing function needs it. What it asks for and does not get here is refused, by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::tenants::model::{Manifest, Variable};

/// The trigger type that is ours.
const TRIGGER: &str = "voice";

/// The versions of the format that are known.
const LOCK_VERSIONS: [u64; 2] = [0, 1];

/// A locked application.
#[derive(Debug, Deserialize)]
pub(super) struct Application {
    spin_lock_version: u64,
    /// What whoever runs it must know, or refuse it.
    #[serde(default)]
    must_understand: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
    #[serde(default)]
    variables: BTreeMap<String, Declared>,
    #[serde(default)]
    triggers: Vec<Trigger>,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
struct Declared {
    default: Option<String>,
    #[serde(default)]
    secret: bool,
}

#[derive(Debug, Deserialize)]
struct Trigger {
    id: String,
    trigger_type: String,
    #[serde(default)]
    trigger_config: Value,
}

#[derive(Debug, Deserialize)]
struct Component {
    id: String,
    #[serde(default)]
    metadata: Metadata,
    source: Source,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<Value>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    allowed_outbound_hosts: Vec<String>,
    key_value_stores: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Source {
    source: Option<String>,
}

/// The one component that routes calls, with what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name in the application.
    pub(super) component: String,
    /// The component file.
    pub(super) source: PathBuf,
    /// What it may reach.
    pub(super) manifest: Manifest,
    /// What it reads as configuration.
    pub(super) variables: Vec<Variable>,
}

impl Application {
    /// Reads and checks it.
    ///
    /// # Errors
    /// When it is none, or of a kind that is not known here.
    pub(super) fn parse(json: &[u8]) -> anyhow::Result<Self> {
        let application: Self = serde_json::from_slice(json).context("this is no locked Spin application")?;
        let version = application.spin_lock_version;
        anyhow::ensure!(LOCK_VERSIONS.contains(&version), "spin_lock_version {version} is not known here; 0 and 1 are");
        anyhow::ensure!(
            application.must_understand.is_empty(),
            "the application needs what the voice trigger does not have: {}",
            application.must_understand.join(", ")
        );
        Ok(application)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.metadata.get("name").and_then(Value::as_str).unwrap_or("the application")
    }

    /// The component that its one voice trigger names. `environment` may set variables, as for Spin itself: `SPIN_VARIABLE_<NAME>`.
    ///
    /// # Errors
    /// When there is none or more than one, or it needs what a routing function does not get.
    pub(super) fn function(&self, environment: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Function> {
        let component = self.triggered()?;
        let id = &component.id;
        let needs = |what: &str| anyhow::anyhow!("component {id} has {what}, which a routing function does not get");
        anyhow::ensure!(component.files.is_empty(), needs("`files`"));
        anyhow::ensure!(component.env.is_empty(), needs("`environment`; use variables"));
        anyhow::ensure!(component.dependencies.is_empty(), needs("`dependencies`; compose them into the component"));
        let source =
            component.source.source.as_deref().with_context(|| format!("component {id} has no local source"))?;
        let values = Values { declared: &self.variables, environment };
        let hosts = component.metadata.allowed_outbound_hosts.iter().map(|host| Ok(values.fill(host)?.text));
        let variable = |(name, template): (&String, &String)| {
            let Filled { text, secret } = values.fill(template).with_context(|| format!("variable {name} of {id}"))?;
            Ok(Variable { name: name.clone(), value: Some(text), secret })
        };
        Ok(Function {
            component: id.clone(),
            source: super::file(source).with_context(|| format!("component {id}"))?,
            manifest: Manifest {
                allowed_outbound_hosts: hosts.collect::<anyhow::Result<_>>()?,
                key_value_stores: component.metadata.key_value_stores.clone(),
                note: None,
            },
            variables: component.config.iter().map(variable).collect::<anyhow::Result<_>>()?,
        })
    }

    fn triggered(&self) -> anyhow::Result<&Component> {
        let ours: Vec<_> = self.triggers.iter().filter(|trigger| trigger.trigger_type == TRIGGER).collect();
        let trigger = match ours.as_slice() {
            [] => anyhow::bail!("the application has no [[trigger.voice]]"),
            [trigger] => trigger,
            many => {
                anyhow::bail!("one component routes all calls, but there are {} voice triggers; leave one", many.len())
            }
        };
        let component = trigger.trigger_config.get("component").and_then(Value::as_str);
        let component = component.with_context(|| format!("trigger {} names no component", trigger.id))?;
        let found = self.components.iter().find(|candidate| candidate.id == component);
        found.with_context(|| format!("trigger {} names component {component:?}, which there is none of", trigger.id))
    }
}

/// What templates are filled with.
struct Values<'a, Environment> {
    declared: &'a BTreeMap<String, Declared>,
    environment: &'a Environment,
}

/// A template, filled.
struct Filled {
    text: String,
    /// Whether a secret went into it.
    secret: bool,
}

impl<Environment: Fn(&str) -> Option<String>> Values<'_, Environment> {
    /// Replaces every `{{ name }}` by the variable's value.
    fn fill(&self, template: &str) -> anyhow::Result<Filled> {
        let mut filled = Filled { text: String::new(), secret: false };
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").with_context(|| format!("{template:?}: `{{{{` without `}}}}`"))?;
            let name = name.trim();
            let declared = self.declared.get(name).with_context(|| format!("there is no variable {name:?}"))?;
            let set = format!("SPIN_VARIABLE_{}", name.to_uppercase());
            let value = (self.environment)(&set).or_else(|| declared.default.clone());
            filled.text += before;
            filled.text += &value.with_context(|| format!("variable {name} has no value; set {set}"))?;
            filled.secret |= declared.secret;
            rest = after;
        }
        filled.text += rest;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application() -> Value {
        json!({
            "spin_lock_version": 1,
            "metadata": { "name": "desk", "triggers": { "voice": {} } },
            "variables": { "domain": { "default": "example.com" }, "key": { "default": null, "secret": true } },
            "triggers": [
                { "id": "t1", "trigger_type": "http", "trigger_config": { "component": "web" } },
                { "id": "t2", "trigger_type": "voice", "trigger_config": { "component": "router", "more": 1 } },
            ],
            "components": [{
                "id": "router",
                "metadata": { "allowed_outbound_hosts": ["https://crm.{{ domain }}"], "key_value_stores": ["default"] },
                "source": { "content_type": "application/wasm", "source": "file:///my%20app/r.wasm" },
                "config": { "crm": "https://crm.{{domain}}/x", "crm_key": "{{ key }}" },
            }],
        })
    }

    fn function(json: &Value) -> anyhow::Result<Function> {
        let environment = |name: &str| (name == "SPIN_VARIABLE_KEY").then(|| "hush".to_owned());
        Application::parse(json.to_string().as_bytes())?.function(&environment)
    }

    #[test]
    fn a_voice_triggers_component_is_found_with_what_it_gets() {
        let found = function(&application()).unwrap();
        assert_eq!((found.component.as_str(), found.source), ("router", PathBuf::from("/my app/r.wasm")));
        assert_eq!(found.manifest.allowed_outbound_hosts, ["https://crm.example.com"]);
        assert_eq!(found.manifest.key_value_stores, ["default"]);
        let variables: Vec<_> = found.variables.iter().map(|one| (one.value.as_deref().unwrap(), one.secret)).collect();
        assert_eq!(variables, [("https://crm.example.com/x", false), ("hush", true)]);
    }

    #[test]
    fn what_is_not_known_here_is_refused_by_name() {
        let with = |pointer: &str, value: Value| {
            let mut application = application();
            *application.pointer_mut(pointer).unwrap() = value;
            application
        };
        let adding = |pointer: &str, name: &str, value: Value| {
            let mut application = application();
            application.pointer_mut(pointer).unwrap()[name] = value;
            application
        };
        let table = [
            (with("/spin_lock_version", json!(2)), "spin_lock_version 2 is not known"),
            (adding("", "must_understand", json!(["host_requirements"])), "does not have: host_requirements"),
            (with("/triggers/1/trigger_type", json!("redis")), "no [[trigger.voice]]"),
            (with("/triggers/0/trigger_type", json!("voice")), "there are 2 voice triggers"),
            (with("/triggers/1/trigger_config", json!({})), "trigger t2 names no component"),
            (with("/components", json!([])), "names component \"router\", which there is none of"),
            (adding("/components/0", "files", json!([{}])), "has `files`"),
            (adding("/components/0", "env", json!({"A": "b"})), "has `environment`"),
            (adding("/components/0", "dependencies", json!({"a:b": {}})), "has `dependencies`"),
            (with("/components/0/source/source", json!("https://a/r.wasm")), "is no file: URL"),
            (with("/components/0/config/crm", json!("{{ nobody }}")), "there is no variable \"nobody\""),
            (with("/variables/domain/default", json!(null)), "variable domain has no value; set SPIN_VARIABLE_DOMAIN"),
            (json!([]), "no locked Spin application"),
        ];
        for (application, said) in table {
            let error = format!("{:#}", function(&application).unwrap_err());
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
