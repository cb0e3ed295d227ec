//! The effective configuration as TOML, with what each key is for and who set it; secrets masked.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::Loaded;
use super::schema::{self, Key, Kind};
use super::secret::MASK;

impl Loaded {
    /// The effective configuration as a TOML file that could be used in its place, once the secrets are filled in again.
    pub fn to_toml(&self) -> String {
        let root = Table::try_from(&self.config).expect("a configuration has text keys only");
        let mut out = String::from("# The effective configuration. What was not set is a default.\n");
        for section in schema::SECTIONS {
            let _ = write!(out, "\n[{}]\n", section.name);
            let table = root.get(section.name).and_then(Value::as_table).cloned().unwrap_or_default();
            self.print_keys(&mut out, section.name, section.keys, &table);
        }
        self.print_tables(&mut out, schema::TENANT, schema::TENANT, schema::TENANT_KEYS, root.get(schema::TENANT));
        out
    }

    fn print_keys(&self, out: &mut String, at: &str, keys: &'static [Key], table: &Table) {
        for key in keys.iter().filter(|key| !matches!(key.kind, Kind::Table(_) | Kind::Tables(_))) {
            let origin = self.origins.get(&format!("{at}.{}", key.name)).map(|origin| format!(" ({origin})"));
            let comment = format!("# {}{}", key.about, origin.unwrap_or_default());
            let line = match table.get(key.name) {
                Some(_) if key.kind == Kind::Secret => format!("{} = \"{MASK}\"", key.name),
                Some(value) => format!("{} = {value}", key.name),
                None => format!("# {} = (not set)", key.name),
            };
            let _ = writeln!(out, "{comment}\n{line}");
        }
    }

    fn print_tables(&self, out: &mut String, at: &str, header: &str, keys: &'static [Key], list: Option<&Value>) {
        let entries = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
        for (number, entry) in entries.enumerate() {
            let at = format!("{at}.{number}");
            let _ = write!(out, "\n[[{header}]]\n");
            self.print_keys(out, &at, keys, entry);
            for key in keys {
                let (at, header) = (format!("{at}.{}", key.name), format!("{header}.{}", key.name));
                match key.kind {
                    Kind::Tables(inner) => self.print_tables(out, &at, &header, inner, entry.get(key.name)),
                    Kind::Table(inner) => {
                        let table = entry.get(key.name).and_then(Value::as_table).cloned().unwrap_or_default();
                        let _ = write!(out, "\n[{header}]\n");
                        self.print_keys(out, &at, inner, &table);
                    }
                    _ => {}
                }
            }
        }
    }
}
