//! What stands in for the gateway in a native unit test: tables that answer what a function asks.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::fetch::{Request, Response, Scheme};
use crate::host::Refused;

thread_local! {
    /// A function runs on its test's thread; without [`Surroundings::during`] nothing is there.
    static AROUND: RefCell<Surroundings> = RefCell::default();
}

/// What a function finds when it asks, in a native test.
///
/// ```
/// use tandem_function::testing::Surroundings;
/// use tandem_function::{config, key_value};
///
/// let around = Surroundings::new().variable("greeting", "hello").value("seen", "41");
/// let (seen, around) = around.during(|| key_value::increment("seen", 1));
/// assert_eq!(seen, Ok(42));
/// assert_eq!(around.value_of("seen"), Some("42".as_bytes()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    values: BTreeMap<String, Vec<u8>>,
    variables: BTreeMap<String, String>,
    users: BTreeMap<String, u32>,
    queues: BTreeMap<String, u32>,
    rooms: BTreeMap<String, u32>,
    pages: BTreeMap<String, Response>,
    log: Vec<String>,
}

impl Surroundings {
    /// Nothing at all: an empty store, no variables, nobody to reach.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a value in the default store.
    #[must_use]
    pub fn value(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.values.insert(key.into(), value.as_ref().into());
        self
    }

    /// With a variable or secret.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// With a user who can be reached on so many devices.
    #[must_use]
    pub fn reachable(mut self, user: &str, devices: u32) -> Self {
        self.users.insert(user.into(), devices);
        self
    }

    /// With a queue in which so many callers wait.
    #[must_use]
    pub fn queue(mut self, queue: &str, callers: u32) -> Self {
        self.queues.insert(queue.into(), callers);
        self
    }

    /// With a room in which so many parties are.
    #[must_use]
    pub fn room(mut self, room: &str, parties: u32) -> Self {
        self.rooms.insert(room.into(), parties);
        self
    }

    /// With a server that answers so at an address.
    #[must_use]
    pub fn page(mut self, url: &str, status: u16, body: impl AsRef<[u8]>) -> Self {
        self.pages.insert(url.into(), Response { status, body: body.as_ref().into() });
        self
    }

    /// Does something with these surroundings, and says what they are afterwards.
    pub fn during<T>(self, deed: impl FnOnce() -> T) -> (T, Self) {
        let before = AROUND.replace(self);
        let outcome = deed();
        (outcome, AROUND.replace(before))
    }

    /// What the default store holds under a key.
    pub fn value_of(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// What the function logged, line by line: `LEVEL context: message`.
    pub fn logged(&self) -> &[String] {
        &self.log
    }
}

/// Stands in for `tandem:voice/directory`.
pub(crate) mod asked {
    use super::{AROUND, BTreeMap, Refused};

    fn count(counts: &BTreeMap<String, u32>, kind: &str, name: &str) -> Result<u32, Refused> {
        counts.get(name).copied().ok_or_else(|| Refused(format!("there is no {kind} {name}")))
    }

    pub(crate) async fn reachable(user: String) -> Result<u32, Refused> {
        AROUND.with_borrow(|around| count(&around.users, "user", &user))
    }

    pub(crate) async fn queue_length(queue: String) -> Result<u32, Refused> {
        AROUND.with_borrow(|around| count(&around.queues, "queue", &queue))
    }

    pub(crate) async fn room_occupancy(room: String) -> Result<u32, Refused> {
        AROUND.with_borrow(|around| count(&around.rooms, "room", &room))
    }
}

/// Stands in for `wasi:keyvalue/store`.
pub(crate) mod store {
    use super::{AROUND, Refused};

    pub(crate) struct Bucket;

    pub(crate) fn open(_label: &str) -> Result<Bucket, Refused> {
        Ok(Bucket)
    }

    impl Bucket {
        pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
            Ok(AROUND.with_borrow(|around| around.values.get(key).cloned()))
        }

        pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Refused> {
            AROUND.with_borrow_mut(|around| around.values.insert(key.into(), value.into()));
            Ok(())
        }

        pub(crate) fn delete(&self, key: &str) -> Result<(), Refused> {
            AROUND.with_borrow_mut(|around| around.values.remove(key));
            Ok(())
        }
    }
}

/// Stands in for `wasi:keyvalue/atomics`.
pub(crate) mod atomics {
    use super::Refused;
    use super::store::Bucket;

    pub(crate) fn increment(bucket: &Bucket, key: &str, by: i64) -> Result<i64, Refused> {
        let text = bucket.get(key)?.unwrap_or_else(|| b"0".to_vec());
        let number = str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
        let sum = number.and_then(|number| number.checked_add(by));
        let sum = sum.ok_or_else(|| Refused(format!("the value under {key} is no number that can be added to")))?;
        bucket.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }
}

/// Stands in for `wasi:config/store`.
pub(crate) mod config {
    use super::{AROUND, Refused};

    pub(crate) fn get(name: &str) -> Result<Option<String>, Refused> {
        Ok(AROUND.with_borrow(|around| around.variables.get(name).cloned()))
    }
}

/// Stands in for `wasi:http`.
pub(crate) fn send(request: &Request, _: Scheme, _: &str, _: &str) -> Result<Response, Refused> {
    let page = AROUND.with_borrow(|around| around.pages.get(&request.url).cloned());
    page.ok_or_else(|| Refused(format!("nobody answers at {}", request.url)))
}

/// Stands in for `wasi:logging`'s level.
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Stands in for `wasi:logging`.
pub(crate) fn log(level: Level, context: &str, message: &str) {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let line = if context.is_empty() { format!("{level} {message}") } else { format!("{level} {context}: {message}") };
    AROUND.with_borrow_mut(|around| around.log.push(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, directory, key_value, log};

    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("a native answer is there at once"),
        }
    }

    #[test]
    fn a_function_finds_what_the_test_put_there() {
        let around = Surroundings::new().reachable("alice", 2).queue("sales", 3).room("lobby", 4).variable("key", "v");
        let (found, after) = around.clone().during(|| {
            (
                now(directory::reachable("alice")),
                now(directory::queue_length("sales")),
                now(directory::room_occupancy("lobby")),
                config::get("key"),
                config::get("other"),
            )
        });
        assert_eq!(found, (Ok(2), Ok(3), Ok(4), Ok(Some("v".into())), Ok(None)));
        assert_eq!(after, around);
        assert!(now(directory::reachable("alice")).is_err(), "surroundings end with `during`");
    }

    #[test]
    fn writes_and_log_lines_can_be_looked_at() {
        let (outcome, after) = Surroundings::new().value("word", "no number").value("gone", "x").during(|| {
            log::warn("crm", "slow");
            log::info("", "hello");
            key_value::delete("gone").and(key_value::set("kept", "1")).unwrap();
            (key_value::increment("word", 1).is_err(), key_value::increment("new", -2))
        });
        assert_eq!(outcome, (true, Ok(-2)));
        assert_eq!(after.logged(), ["WARN crm: slow", "INFO hello"]);
        assert_eq!((after.value_of("gone"), after.value_of("kept")), (None, Some(&b"1"[..])));
    }
}
