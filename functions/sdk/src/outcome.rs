//! Reading what a step brought, when a plan consults.

use crate::{
    Consultation, DialOutcome, GatherOutcome, MessageOutcome, Outcome, PlayOutcome, RoomOutcome, StartOutcome,
};

impl Consultation {
    /// The digits that the `gather` before it brought, if it brought as many as it asked for.
    ///
    /// ```
    /// use tandem_function::testing::consulted_after_gather;
    /// use tandem_function::{Cause, Event, Plan, ring};
    ///
    /// let Event::Consulted(consultation) = consulted_after_gather("menu", "2") else { unreachable!() };
    /// let plan = match consultation.digits() {
    ///     Some("1") => Plan::new().dial(ring(["sales"])),
    ///     Some("2") => Plan::new().dial(ring(["support"])),
    ///     _ => Plan::new().play("goodbye").hangup(Cause::Normal),
    /// };
    /// assert_eq!(plan, Plan::new().dial(ring(["support"])));
    /// ```
    pub fn digits(&self) -> Option<&str> {
        self.outcome.gathered().filter(|gathered| gathered.complete).map(|gathered| gathered.digits.as_str())
    }
}

impl Outcome {
    /// What a `dial` brought.
    pub fn dialled(&self) -> Option<&DialOutcome> {
        if let Self::Dialled(outcome) = self { Some(outcome) } else { None }
    }

    /// What a `play` brought.
    pub fn played(&self) -> Option<&PlayOutcome> {
        if let Self::Played(outcome) = self { Some(outcome) } else { None }
    }

    /// What a `gather` brought, complete or not.
    pub fn gathered(&self) -> Option<&GatherOutcome> {
        if let Self::Gathered(outcome) = self { Some(outcome) } else { None }
    }

    /// What a `voicemail` brought.
    pub fn left_message(&self) -> Option<&MessageOutcome> {
        if let Self::LeftMessage(outcome) = self { Some(outcome) } else { None }
    }

    /// What a `conference`, `broadcast` or `listen` brought.
    pub fn conferenced(&self) -> Option<&RoomOutcome> {
        if let Self::Conferenced(outcome) = self { Some(outcome) } else { None }
    }

    /// What a `record` or `tap` brought.
    pub fn started(&self) -> Option<&StartOutcome> {
        if let Self::Started(outcome) = self { Some(outcome) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GatherEnd;

    #[test]
    fn an_entry_that_is_too_short_has_no_digits() {
        let entered = |digits: &str, complete| {
            let ended_by = if complete { GatherEnd::MaxDigits } else { GatherEnd::InterDigitTimeout };
            let outcome = Outcome::Gathered(GatherOutcome { digits: digits.into(), complete, ended_by });
            Consultation { tag: "pin".into(), outcome }
        };
        assert_eq!(entered("1234", true).digits(), Some("1234"));
        assert_eq!(entered("12", false).digits(), None);
        assert_eq!(entered("12", false).outcome.gathered().map(|gathered| gathered.digits.as_str()), Some("12"));
        assert_eq!(Consultation { tag: "pin".into(), outcome: Outcome::None }.digits(), None);
    }
}
