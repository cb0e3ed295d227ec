//! Call records: written once, read by filter.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use tandem_switch::id::{TenantId, UserId};
use tandem_switch::record::CallRecord;
use tandem_switch::time::UnixMillis;

use super::StoreError;

/// Most records of one page. A larger limit is cut down to it.
pub const PAGE_MAX: usize = 1000;

/// Which records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// That this user made, was dialled in, or answered.
    pub user: Option<UserId>,
    /// Started at or after this.
    pub since: Option<UnixMillis>,
    /// Started before this.
    pub until: Option<UnixMillis>,
    /// At most this many; none: [`PAGE_MAX`].
    pub limit: Option<usize>,
    /// What [`Page::next`] of the page before said.
    pub after: Option<i64>,
}

/// Some records, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<CallRecord>,
    /// Where the next page starts, when there may be more.
    pub next: Option<i64>,
}

pub(super) fn insert(connection: &Connection, record: &CallRecord) -> Result<(), rusqlite::Error> {
    let body = serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO record (call, tenant, caller, dialled, answered_by, started_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (call) DO NOTHING",
    )?;
    statement.execute(params![
        record.call.to_string(),
        record.tenant.as_str(),
        record.from.as_str(),
        record.to,
        record.answered_by.as_ref().map(UserId::as_str),
        millis(record.started_at),
        body,
    ])?;
    Ok(())
}

pub(super) fn select(connection: &Connection, filter: &Filter) -> Result<Page, StoreError> {
    let limit = filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let (sql, values) = query(filter, limit);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let body: String = row.get(2)?;
        let record = match serde_json::from_str(&body) {
            Ok(record) => record,
            Err(error) => return Err(StoreError::BadRecord { call: row.get(1)?, error }),
        };
        page.records.push(record);
        last = Some(row.get(0)?);
    }
    page.next = last.filter(|_| page.records.len() == limit);
    Ok(page)
}

fn query(filter: &Filter, limit: usize) -> (String, Vec<Value>) {
    let conditions = [
        filter.tenant.as_ref().map(|tenant| ("tenant = ?", Value::Text(tenant.to_string()))),
        filter.user.as_ref().map(|user| ("? IN (caller, dialled, answered_by)", Value::Text(user.to_string()))),
        filter.since.map(|since| ("started_at >= ?", Value::Integer(millis(since)))),
        filter.until.map(|until| ("started_at < ?", Value::Integer(millis(until)))),
        filter.after.map(|after| ("seq < ?", Value::Integer(after))),
    ];
    let (conditions, values): (Vec<_>, Vec<_>) = conditions.into_iter().flatten().unzip();
    let wanted = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    (format!("SELECT seq, call, body FROM record WHERE {wanted} ORDER BY seq DESC LIMIT {limit}"), values)
}

fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}
