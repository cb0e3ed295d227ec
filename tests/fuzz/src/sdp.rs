//! Session descriptions: whatever is offered is answered or refused, and the answer is one.

use tandem_sip::limits;
use tandem_sip::sdp::{Codec, Description, Direction, Local, Negotiator};

/// What is answered can be read, uses numbers of the offer, and fits us; what is refused has a status of its own.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let local = Local {
        address: ([192, 0, 2, 1], 30_000).into(),
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        session: 1,
    };
    let mut negotiator = Negotiator::new(local);
    match negotiator.answer(text, Direction::SendReceive) {
        Ok((answer, agreed)) => {
            let offer = Description::parse(text).expect("what is answered can be read");
            assert!(offer.codecs.iter().any(|mapped| mapped.payload_type == agreed.send_payload_type));
            assert!((limits::PTIME_MS..=limits::PTIME_MS_MAX).contains(&agreed.ptime_ms));
            let read = Description::parse(&answer).expect("an answer can be read");
            assert!(
                read.codecs.len() == 1 && read.codecs[0].codec == agreed.codec && read.direction == agreed.direction
            );
            let again = negotiator.offer(Direction::SendReceive);
            assert!(Description::parse(&again).is_ok_and(|offer| offer.codecs[0].codec == agreed.codec));
        }
        Err(refusal) => assert!([400, 413, 488].contains(&refusal.status()) && !refusal.to_string().is_empty()),
    }
    let _ = negotiator.accept(text, Direction::SendReceive);
}
