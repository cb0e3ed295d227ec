//! Variables and secrets that functions read as configuration.

use rusqlite::{Connection, params};
use tandem_switch::id::TenantId;

use super::change::Change;
use super::model::{Actor, Variable, Variables};
use super::publish::Effect;
use super::{Result, TenantError, Tenants, settings};

/// Most variables of a tenant: every change hands all of them to the call driver.
const VARIABLES_MAX: u64 = 256;

/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Longest value, bytes: a certificate chain fits.
const VALUE_BYTES_MAX: usize = 16 * 1024;

impl Tenants {
    /// Its variables; of secrets only the names.
    ///
    /// # Errors
    /// When there is no such tenant, or the store fails.
    pub async fn variables(&self, tenant: &TenantId) -> Result<Vec<Variable>> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            settings::find(connection, &tenant)?;
            let shown = |(name, (value, secret)): (String, (String, bool))| Variable {
                name,
                value: (!secret).then_some(value),
                secret,
            };
            Ok(all(connection, &tenant)?.into_iter().map(shown).collect())
        })
        .await
    }

    /// Sets a variable or secret; functions see it at their next invocation.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn put_variable(&self, actor: &Actor, tenant: &TenantId, variable: Variable) -> Result<Variable> {
        let Variable { name, value, secret } = variable;
        check_name(&name)?;
        let value = value.ok_or_else(|| TenantError::invalid("value", "is missing"))?;
        if value.len() > VALUE_BYTES_MAX {
            let what = format!("must have at most {VALUE_BYTES_MAX} bytes; it has {}", value.len());
            return Err(TenantError::invalid("value", what));
        }
        let change = Change::new(actor, tenant, "variable.put", &name, Effect::Routing);
        let tenant = tenant.clone();
        self.change(change, move |connection, line| {
            settings::find(connection, &tenant)?;
            let count = "SELECT count(*) FROM variable WHERE tenant = ?1 AND name != ?2";
            let others: i64 = connection.query_row(count, [tenant.as_str(), &name], |row| row.get(0))?;
            if others.unsigned_abs() >= VARIABLES_MAX {
                let hint = "; delete one that is no longer used";
                return Err(TenantError::OverLimit { budget: "variables", limit: VARIABLES_MAX, hint });
            }
            let upsert = "INSERT INTO variable (tenant, name, value, secret) VALUES (?1, ?2, ?3, ?4)
                          ON CONFLICT (tenant, name) DO UPDATE SET value = ?3, secret = ?4";
            connection.execute(upsert, params![tenant.as_str(), name, value, secret])?;
            line.detail = if secret { "secret" } else { "variable" }.into();
            Ok(Variable { name, value: (!secret).then_some(value), secret })
        })
        .await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// Says what was wrong; then nothing has changed.
    pub async fn delete_variable(&self, actor: &Actor, tenant: &TenantId, name: &str) -> Result<()> {
        let change = Change::new(actor, tenant, "variable.delete", name, Effect::Routing);
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.change(change, move |connection, _line| {
            match connection
                .execute("DELETE FROM variable WHERE tenant = ?1 AND name = ?2", [tenant.as_str(), &name])?
            {
                0 => Err(TenantError::not_found("variable", name)),
                _ => Ok(()),
            }
        })
        .await
    }
}

fn check_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal) {
        return Ok(());
    }
    let what = format!("must be 1 to {NAME_BYTES_MAX} of a-z, 0-9, `_`, beginning with a letter");
    Err(TenantError::invalid("name", what))
}

/// All variables with their values.
pub(super) fn all(connection: &Connection, tenant: &TenantId) -> Result<Variables> {
    let mut statement = connection.prepare_cached("SELECT name, value, secret FROM variable WHERE tenant = ?1")?;
    let rows = statement.query_map([tenant.as_str()], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_spin_takes() {
        for name in ["a", "api_key", "x2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2x", "_a", "Api", "a-b", "a b", "ä", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
