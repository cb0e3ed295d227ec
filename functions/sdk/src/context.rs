//! Reading the context.

use crate::{Context, LocalTime};

impl Context {
    /// What the clock on the wall shows `utc_offset_minutes` east of Greenwich when the event happens.
    pub fn local_time(&self, utc_offset_minutes: i32) -> LocalTime {
        LocalTime::at(self.now, utc_offset_minutes)
    }

    /// The value of the caller's header of this name, if it was sent; upper and lower case are the same.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The state as text; `None` when it is empty or no UTF-8.
    pub fn state_text(&self) -> Option<&str> {
        str::from_utf8(&self.state).ok().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Header, testing};

    #[test]
    fn headers_are_found_in_any_case() {
        let mut context = testing::call("alice", "bob");
        context.headers.push(Header { name: "x-ticket".into(), value: "42".into() });
        assert_eq!(context.header("X-Ticket"), Some("42"));
        assert_eq!(context.header("x-other"), None);
    }

    #[test]
    fn state_is_text_or_nothing() {
        let mut context = testing::call("alice", "bob");
        assert_eq!(context.state_text(), None);
        context.state = b"second try".to_vec();
        assert_eq!(context.state_text(), Some("second try"));
        context.state = vec![0xff];
        assert_eq!(context.state_text(), None);
    }
}
