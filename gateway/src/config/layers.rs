//! Layering: file, environment and command line become one tree, each value checked against the schema where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::schema::{self, Key, Kind, Place};
use super::{Config, ConfigError};

/// What every variable that sets a key starts with.
const PREFIX: &str = "TANDEM_";

/// What parts the levels of a key in a variable's name. Variables without it are none of ours: Kubernetes, for one, gives every
/// pod `TANDEM_SERVICE_HOST` and its like when a service is called `tandem`.
const LEVEL: &str = "__";

/// Most entries of one list of tables: tenants, keys or users. More in a file are a mistake; that many belong into a store.
const TABLES_MAX: usize = 100_000;

/// Where the values come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// The environment: names and values.
    pub env: Vec<(String, String)>,
    /// `key=value` of the command line.
    pub set: Vec<String>,
}

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file.
    File(PathBuf),
    /// A variable.
    Variable(String),
    /// The command line.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// A configuration and who set what in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Who set each `section.key`; what is missing here is a default.
    pub origins: BTreeMap<String, Origin>,
}

impl Sources {
    /// The environment of this process.
    pub fn environment() -> Vec<(String, String)> {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// Layers, checks and parses.
    ///
    /// # Errors
    /// Names the source, the key, what is wrong and what would be right.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let mut tree = Tree::default();
        if let Some(file) = &self.file {
            tree.add_file(file)?;
        }
        let mut variables: Vec<_> =
            self.env.iter().filter_map(|(name, value)| key_path(name).map(|path| (path, name, value))).collect();
        variables.sort_by(|(left, ..), (right, ..)| order(left).cmp(order(right)));
        for (path, name, value) in variables {
            tree.put(&path, value, Origin::Variable(name.clone()))?;
        }
        for assignment in &self.set {
            let (key, value) = assignment.split_once('=').ok_or_else(|| ConfigError::BadValue {
                origin: Origin::Set.to_string(),
                path: assignment.clone(),
                what: "is no assignment; write section.key=value".into(),
            })?;
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            tree.put(&path, value, Origin::Set)?;
        }
        tree.finish()
    }
}

/// `TANDEM_MEDIA__SHARDS` → `media`, `shards`.
fn key_path(variable: &str) -> Option<Vec<String>> {
    let rest = variable.strip_prefix(PREFIX)?;
    rest.contains(LEVEL).then(|| rest.split(LEVEL).map(str::to_ascii_lowercase).collect())
}

/// Entries of a list are made in the order of their numbers, so 10 must come after 9.
fn order(path: &[String]) -> impl Iterator<Item = (usize, &str)> {
    path.iter().map(|part| (part.parse().unwrap_or(0), part.as_str()))
}

#[derive(Default)]
struct Tree {
    root: Table,
    origins: BTreeMap<String, Origin>,
}

impl Tree {
    fn add_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { file: file.to_owned(), error };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let not_toml = |error: toml::de::Error| {
            let line =
                error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
            let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
            ConfigError::NotToml { file: file.to_owned(), place, why: error.message().to_owned() }
        };
        let root: Table = toml::from_str(&text).map_err(not_toml)?;
        let origin = Origin::File(file.to_owned());
        let mut walk = Walk { origin: &origin, directory: file.parent(), origins: &mut self.origins };
        self.root = walk.root(root)?;
        Ok(())
    }

    /// Sets one key, given as text; an empty text unsets it.
    fn put(&mut self, path: &[String], text: &str, origin: Origin) -> Result<(), ConfigError> {
        let written = path.join(".");
        let problem = |what: String| ConfigError::BadValue { origin: origin.to_string(), path: written.clone(), what };
        let (section, rest) = path.split_first().ok_or_else(|| problem("is empty; write section.key".into()))?;
        let place = schema::place(section).ok_or_else(|| unknown(&origin, "", section, &schema::section_names()))?;
        let (mut table, mut keys, mut rest) = match place {
            Place::Section(keys) => (child(&mut self.root, section), keys, rest),
            Place::List(keys) => {
                let (table, rest) = entry(&mut self.root, section, rest).map_err(&problem)?;
                (table, keys, rest)
            }
        };
        loop {
            let Some((name, deeper)) = rest.split_first() else {
                return Err(problem(format!("is a section; name one of its keys: {}", names(keys))));
            };
            let key = find(keys, name)
                .ok_or_else(|| unknown(&origin, written.trim_end_matches(name.as_str()), name, &key_names(keys)))?;
            match key.kind {
                Kind::Tables(inner) => {
                    (table, rest) = entry(table, name, deeper).map_err(&problem)?;
                    keys = inner;
                    continue;
                }
                Kind::Table(inner) => {
                    (table, rest, keys) = (child(table, name), deeper, inner);
                    continue;
                }
                _ => {}
            }
            if !deeper.is_empty() {
                return Err(problem(format!("goes too deep; `{name}` takes {}", describe(key.kind))));
            }
            if text.is_empty() {
                table.remove(name.as_str());
                self.origins.remove(&written);
                return Ok(());
            }
            let value = parse(key.kind, text).map_err(&problem)?;
            table.insert(name.clone(), value);
            self.origins.insert(written, origin);
            return Ok(());
        }
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        let config = Config::deserialize(Value::Table(self.root)).map_err(|error| ConfigError::BadValue {
            origin: "configuration".into(),
            path: "?".into(),
            what: format!("cannot be read: {}", error.message()),
        })?;
        let loaded = Loaded { config, origins: self.origins };
        loaded.check()?;
        Ok(loaded)
    }
}

/// The table of a section, made when it is missing.
fn child<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let value = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut().expect("files are checked before they are merged")
}

/// An entry of a list of tables, made when it is the next one; and what of the path is left.
fn entry<'a, 'p>(
    table: &'a mut Table,
    name: &str,
    path: &'p [String],
) -> Result<(&'a mut Table, &'p [String]), String> {
    let list = table.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    let list = list.as_array_mut().expect("files are checked before they are merged");
    let wrong = || format!("must number an entry of `{name}`, 0 to {}, as in {name}.0.…", list.len());
    let (number, rest) = path.split_first().ok_or_else(wrong)?;
    let at: usize = number.parse().map_err(|_| wrong())?;
    if at > list.len() || at >= TABLES_MAX {
        return Err(wrong());
    }
    if at == list.len() {
        list.push(Value::Table(Table::new()));
    }
    let entry = list[at].as_table_mut().expect("files are checked before they are merged");
    Ok((entry, rest))
}

/// Checks a file's tree against the schema.
struct Walk<'a> {
    origin: &'a Origin,
    directory: Option<&'a Path>,
    origins: &'a mut BTreeMap<String, Origin>,
}

impl Walk<'_> {
    fn root(&mut self, root: Table) -> Result<Table, ConfigError> {
        let mut checked = Table::new();
        for (name, value) in root {
            let place =
                schema::place(&name).ok_or_else(|| unknown(self.origin, "", &name, &schema::section_names()))?;
            let value = match (place, value) {
                (Place::Section(keys), Value::Table(table)) => Value::Table(self.table(&name, keys, table)?),
                (Place::Section(_), other) => {
                    return Err(self.bad(&name, format!("is a section; write [{name}], not {}", found(&other))));
                }
                (Place::List(keys), other) => self.tables(&name, keys, other)?,
            };
            checked.insert(name, value);
        }
        Ok(checked)
    }

    fn table(&mut self, at: &str, keys: &'static [Key], table: Table) -> Result<Table, ConfigError> {
        let mut checked = Table::new();
        for (name, value) in table {
            let key =
                find(keys, &name).ok_or_else(|| unknown(self.origin, &format!("{at}."), &name, &key_names(keys)))?;
            let path = format!("{at}.{name}");
            let value = match key.kind {
                Kind::Tables(inner) => self.tables(&path, inner, value)?,
                Kind::Table(inner) => match value {
                    Value::Table(table) => Value::Table(self.table(&path, inner, table)?),
                    other => {
                        return Err(self.bad(&path, format!("takes {}; got {}", describe(key.kind), found(&other))));
                    }
                },
                kind => check(kind, value).map_err(|what| self.bad(&path, what))?,
            };
            let value = if key.kind == Kind::Path { self.beside_the_file(value) } else { value };
            self.origins.insert(path, self.origin.clone());
            checked.insert(name, value);
        }
        Ok(checked)
    }

    fn tables(&mut self, at: &str, keys: &'static [Key], value: Value) -> Result<Value, ConfigError> {
        let Value::Array(entries) = value else {
            return Err(self.bad(at, format!("is a list of tables; write [[{at}]], not {}", found(&value))));
        };
        if entries.len() > TABLES_MAX {
            return Err(self.bad(at, format!("has {} entries; at most {TABLES_MAX} are read", entries.len())));
        }
        let mut checked = Vec::with_capacity(entries.len());
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("{at}.{number}");
            let Value::Table(table) = entry else {
                return Err(self.bad(&path, format!("takes a table of {}; got {}", names(keys), found(&entry))));
            };
            checked.push(Value::Table(self.table(&path, keys, table)?));
        }
        Ok(Value::Array(checked))
    }

    /// A relative path in a file means one beside that file, wherever the process was started.
    fn beside_the_file(&self, value: Value) -> Value {
        match (self.directory, value) {
            (Some(directory), Value::String(path)) => {
                Value::String(directory.join(path).to_string_lossy().into_owned())
            }
            (_, value) => value,
        }
    }

    fn bad(&self, path: &str, what: String) -> ConfigError {
        ConfigError::BadValue { origin: self.origin.to_string(), path: path.to_owned(), what }
    }
}

fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

fn key_names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

fn names(keys: &[Key]) -> String {
    key_names(keys).join(", ")
}

/// A text becomes a value of the key's kind.
fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    let value = match kind {
        Kind::Number(..) => text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        Kind::Texts => Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()),
        Kind::Text | Kind::Secret | Kind::Path | Kind::Address | Kind::Word(_) | Kind::Table(_) | Kind::Tables(_) => {
            Value::String(text.to_owned())
        }
    };
    check(kind, value)
}

/// Checks that a value fits its key.
fn check(kind: Kind, value: Value) -> Result<Value, String> {
    let fits = match (kind, &value) {
        (Kind::Text | Kind::Secret | Kind::Path, Value::String(_)) => true,
        (Kind::Address, Value::String(text)) => text.parse::<std::net::SocketAddr>().is_ok(),
        (Kind::Number(least, most), Value::Integer(number)) => {
            u64::try_from(*number).is_ok_and(|number| (least..=most).contains(&number))
        }
        (Kind::Word(words), Value::String(word)) => words.contains(&word.as_str()),
        (Kind::Texts, Value::Array(texts)) => texts.iter().all(Value::is_str),
        (_, _) => false,
    };
    let got = if kind == Kind::Secret { "something else".to_owned() } else { found(&value) };
    if fits { Ok(value) } else { Err(format!("takes {}; got {got}", describe(kind))) }
}

/// What a kind takes, in words.
fn describe(kind: Kind) -> String {
    match kind {
        Kind::Text => "text in quotes".into(),
        Kind::Secret => "a secret in quotes".into(),
        Kind::Path => "a path in quotes".into(),
        Kind::Address => "an address with a port such as \"127.0.0.1:4433\" or \"[::]:4433\"".into(),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Word(words) => {
            format!("one of {}", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
        }
        Kind::Texts => "a list of texts such as [\"a\", \"b\"]".into(),
        Kind::Table(keys) => format!("a table of {}", names(keys)),
        Kind::Tables(keys) => format!("a list of tables of {}", names(keys)),
    }
}

/// What was found, in words.
fn found(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        Value::Integer(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(_) => "a date".into(),
        Value::Array(_) => "a list".into(),
        Value::Table(_) => "a table".into(),
    }
}

/// Two names are near when fewer than half of the letters differ.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(name, candidate);
    known.iter().min_by_key(distance).filter(|best| distance(best) * 2 <= name.len().max(best.len())).copied()
}

fn unknown(origin: &Origin, section: &str, name: &str, known: &[&str]) -> ConfigError {
    let suggestion = nearest(name, known).map(|best| format!(", did you mean `{section}{best}`?"));
    let what = section.trim_end_matches('.');
    let known = known.join(", ");
    ConfigError::UnknownKey {
        origin: origin.to_string(),
        path: format!("{section}{name}"),
        suggestion: suggestion.unwrap_or_default(),
        known: if what.is_empty() { format!("the sections are: {known}") } else { format!("[{what}] has: {known}") },
    }
}
