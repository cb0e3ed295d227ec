//! Symmetric RTP: the far end is where its packets come from (RFC 4961, RFC 7362 §4), learned once and then kept.
//!
//! The address that signalling names is right unless there is a NAT before it. So packets from it always settle the matter. Others may be the
//! far end behind its NAT, or a stranger who guessed a port: one of them is believed only if it is at the host that signalling names or comes
//! from, only within a short window after an answer, and only after several packets that follow each other as a talker's do. Once the window
//! has closed, nobody else is believed until signalling says that something has changed.

use std::net::{IpAddr, SocketAddr};

use tandem_switch::media::rtp::Header;
use tandem_switch::time::Instant;

use crate::limits;

/// Which addresses may be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// Within the window, other ports of the host that signalling names, and this host: where signalling comes from, which is the NAT's
    /// outside.
    From(IpAddr),
    /// None: what signalling says holds. For trunks with addresses of their own.
    Never,
}

/// Whose a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The far end's.
    FarEnd,
    /// The far end's, and from now on voice goes where it came from.
    Moved(SocketAddr),
    /// It may be the far end's; not taken yet.
    Candidate,
    /// A stranger's.
    Stranger,
}

/// Who may become the far end: an address and the packet that would follow its last one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    next: u16,
    packets: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Latch {
    learning: Learning,
    /// Where signalling says that the far end is.
    signalled: Option<SocketAddr>,
    /// Where voice goes.
    current: Option<SocketAddr>,
    /// Until when another address may be learned.
    until: Option<Instant>,
    candidates: [Option<Candidate>; limits::LATCH_CANDIDATES_MAX],
}

impl Latch {
    /// Nothing is known yet: every packet is a stranger's.
    pub fn new(learning: Learning) -> Self {
        Self { learning, signalled: None, current: None, until: None, candidates: Default::default() }
    }

    /// Signalling says at `now` where the far end is. The same as before changes nothing; another address opens the window anew.
    pub fn signalled(&mut self, now: Instant, address: SocketAddr) {
        if self.signalled == Some(address) {
            return;
        }
        self.signalled = Some(address);
        // A hold says 0.0.0.0; voice that was learned stays.
        if !address.ip().is_unspecified() {
            self.current = Some(address);
        }
        self.until = match self.learning {
            Learning::From(_) => Some(now + limits::LATCH_WINDOW),
            Learning::Never => None,
        };
        self.candidates = Default::default();
    }

    /// Where voice goes, once that is known.
    pub fn address(&self) -> Option<SocketAddr> {
        self.current
    }

    /// Whether an address would be taken for the far end's now, of packets that are no RTP (RTCP comes from the same host, maybe another
    /// port).
    pub fn is_far_host(&self, address: SocketAddr) -> bool {
        self.current.is_some_and(|current| current.ip() == address.ip())
    }

    /// A packet came from `from`.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, header: &Header) -> Source {
        if self.current == Some(from) {
            if self.signalled == Some(from) {
                // It is where it should be: there is nothing to learn.
                self.until = None;
            }
            return Source::FarEnd;
        }
        let Some(until) = self.until else { return Source::Stranger };
        if now >= until {
            self.until = None;
            return Source::Stranger;
        }
        if !self.may_be(from) {
            return Source::Stranger;
        }
        let is_known = self.candidate(from, header);
        if !is_known {
            return Source::Candidate;
        }
        self.current = Some(from);
        // Learned once: only the address that signalling names may still take it back, while the window is open.
        self.candidates = Default::default();
        if self.signalled == Some(from) {
            self.until = None;
        }
        Source::Moved(from)
    }

    /// Whether an address may be the far end's.
    fn may_be(&self, from: SocketAddr) -> bool {
        match self.learning {
            Learning::From(host) => from.ip() == host || self.signalled.is_some_and(|said| said.ip() == from.ip()),
            Learning::Never => false,
        }
    }

    /// Whether enough packets of one talker came from `from`, this one included. The signalled address needs one.
    fn candidate(&mut self, from: SocketAddr, header: &Header) -> bool {
        if self.signalled == Some(from) {
            return true;
        }
        if self.current.is_some() && self.current != self.signalled {
            // Somebody was learned already.
            return false;
        }
        let next = header.sequence.wrapping_add(1);
        let fresh = Candidate { address: from, ssrc: header.ssrc, next, packets: 1 };
        let known = self.candidates.iter_mut().flatten().find(|known| known.address == from);
        let packets = match known {
            Some(known) => {
                // A lost packet or two do not make it another talker.
                let ahead = header.sequence.wrapping_sub(known.next);
                let follows = known.ssrc == header.ssrc && ahead <= limits::LATCH_GAP_MAX;
                *known = if follows { Candidate { packets: known.packets + 1, next, ..*known } } else { fresh };
                known.packets
            }
            None => {
                let free = self.candidates.iter_mut().find(|place| place.is_none());
                if let Some(place) = free {
                    *place = Some(fresh);
                }
                1
            }
        };
        packets >= limits::LATCH_PACKETS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn packet(ssrc: u32, sequence: u16) -> Header {
        Header { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc }
    }

    const FAR: &str = "198.51.100.7:4000";
    const NAT: &str = "203.0.113.1:61000";
    const STRANGER: &str = "192.0.2.66:5";

    /// Another one behind the same NAT.
    const NEIGHBOUR: &str = "203.0.113.1:5";

    fn behind_a_nat() -> Learning {
        Learning::From(address(NAT).ip())
    }

    #[test]
    fn who_is_where_signalling_says_needs_no_window_and_nobody_takes_over() {
        let mut latch = Latch::new(behind_a_nat());
        assert_eq!(latch.receive(at(0), address(FAR), &packet(1, 1)), Source::Stranger, "nothing is signalled");
        latch.signalled(at(0), address(FAR));
        assert_eq!(latch.receive(at(20), address(FAR), &packet(1, 1)), Source::FarEnd);
        for sequence in 0..50 {
            let source = latch.receive(at(40 + u64::from(sequence)), address(STRANGER), &packet(9, sequence));
            assert_eq!(source, Source::Stranger);
        }
        assert_eq!(latch.address(), Some(address(FAR)));
    }

    #[test]
    fn behind_a_nat_it_is_learned_from_packets_that_follow_each_other() {
        let mut latch = Latch::new(behind_a_nat());
        latch.signalled(at(0), address(FAR));
        let mut said = Vec::new();
        for sequence in 0..limits::LATCH_PACKETS as u16 + 2 {
            said.push(latch.receive(at(100), address(NAT), &packet(1, sequence)));
            // A stranger with packets that do not follow each other, and another one with one packet.
            assert_ne!(
                latch.receive(at(100), address(STRANGER), &packet(9, sequence.wrapping_mul(1_000))),
                Source::FarEnd
            );
        }
        let learned = limits::LATCH_PACKETS as usize - 1;
        assert!(said[..learned].iter().all(|source| *source == Source::Candidate));
        assert_eq!(said[learned..], [Source::Moved(address(NAT)), Source::FarEnd, Source::FarEnd]);
        // Locked, also within the window: but the signalled address may still speak up.
        for sequence in 100..120 {
            assert_eq!(latch.receive(at(200), address(NEIGHBOUR), &packet(9, sequence)), Source::Candidate);
        }
        assert_eq!(latch.address(), Some(address(NAT)));
        assert_eq!(latch.receive(at(300), address(FAR), &packet(1, 7)), Source::Moved(address(FAR)));
        assert_eq!(latch.receive(at(300), address(NAT), &packet(1, 8)), Source::Stranger);
    }

    #[test]
    fn after_the_window_nobody_is_learned_until_signalling_changes() {
        let window = limits::LATCH_WINDOW.as_millis() as u64;
        let mut latch = Latch::new(behind_a_nat());
        latch.signalled(at(0), address(FAR));
        for sequence in 0..20 {
            assert_eq!(latch.receive(at(window), address(NAT), &packet(1, sequence)), Source::Stranger);
        }
        latch.signalled(at(window), address(FAR));
        assert_eq!(
            latch.receive(at(window), address(NAT), &packet(1, 30)),
            Source::Stranger,
            "a refresh opens nothing"
        );
        latch.signalled(at(window), address("198.51.100.7:4002"));
        let said: Vec<_> =
            (40..46).map(|sequence| latch.receive(at(window + 1), address(NAT), &packet(1, sequence))).collect();
        assert!(said.contains(&Source::Moved(address(NAT))), "{said:?}");
        assert!(limits::LATCH_WINDOW > Duration::ZERO);
    }

    #[test]
    fn where_nothing_is_to_be_learned_only_the_signalled_address_counts() {
        let mut latch = Latch::new(Learning::Never);
        latch.signalled(at(0), address(FAR));
        for sequence in 0..20 {
            assert_eq!(latch.receive(at(1), address(NAT), &packet(1, sequence)), Source::Stranger);
        }
        assert_eq!(latch.receive(at(1), address(FAR), &packet(1, 0)), Source::FarEnd);
    }

    #[test]
    fn a_hold_does_not_forget_where_the_far_end_is() {
        let mut latch = Latch::new(behind_a_nat());
        latch.signalled(at(0), address(FAR));
        latch.receive(at(0), address(FAR), &packet(1, 0));
        latch.signalled(at(9), address("0.0.0.0:4000"));
        assert_eq!(latch.receive(at(10), address(FAR), &packet(1, 1)), Source::FarEnd);
        for sequence in 0..20 {
            assert_eq!(latch.receive(at(11), address(NEIGHBOUR), &packet(9, sequence)), Source::Candidate);
        }
        let mut latch = Latch::new(behind_a_nat());
        latch.signalled(at(0), address("0.0.0.0:4000"));
        assert_eq!(latch.receive(at(1), address(STRANGER), &packet(9, 0)), Source::Stranger);
        assert_eq!((latch.receive(at(1), address(NAT), &packet(1, 0)), latch.address()), (Source::Candidate, None));
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_anything() {
        let mut latch = Latch::new(behind_a_nat());
        latch.signalled(at(0), address(FAR));
        for port in 1..2_000 {
            let source = SocketAddr::new(address(NAT).ip(), port);
            assert_eq!(latch.receive(at(1), source, &packet(9, 1)), Source::Candidate);
        }
        assert_eq!(latch.receive(at(2), address(FAR), &packet(1, 0)), Source::FarEnd);
    }
}
