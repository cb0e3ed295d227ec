//! Rooms on their way through the shards: one packet in, the very bytes to everybody else in the room.
//!
//! Each room is owned by one shard. A talker's packet goes to the owner, which says whether its talker is among the loudest
//! ([`Selection`]); then once to each shard that has listeners of the room, and from there over each listener's own egress, but not to
//! the talker. Between shards packets travel through one bounded queue for each shard, without a lock; when it is full, a packet is lost and
//! counted. Nobody waits for a slow listener: its egress drops.
//!
//! On the packet path nothing is allocated or logged; a copy of a datagram is a reference to the same bytes. Who talks and who listens comes by
//! commands from the driver ([`Audiences`] keeps, beside the packet path, which shard each listener is on). Deliberately absent: members,
//! names and rights, which are `tandem_switch::room`'s business. A listener is an [`Egress`]: a link, or a thread that mixes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use futures_util::task::AtomicWaker;
use tandem_switch::id::{FlowId, LinkId, RoomId};
use tandem_switch::media::speakers::{Loudness, Selection};
use tandem_switch::media::{datagram, rtp};

use super::egress::{Departure, Egress};
use super::limits;
use super::link::LinkEvent;
use super::shard::Shard;

/// What travels between shards.
#[derive(Debug)]
enum Hop {
    /// A talker's packet, to the owner of the room.
    Said { room: RoomId, datagram: Bytes },
    /// A packet that was chosen, to a shard that has listeners.
    Chosen { room: RoomId, flow: FlowId, datagram: Bytes },
}

/// A shard's queue of packets of rooms.
#[derive(Debug)]
struct Inlet {
    queue: ArrayQueue<Hop>,
    waker: AtomicWaker,
}

/// All shards' queues.
#[derive(Clone, Debug)]
pub(crate) struct Inlets(Arc<[Inlet]>);

impl Inlets {
    /// One for each of `shards` shards; at least one.
    pub(crate) fn new(shards: usize) -> Self {
        let inlet = |_| Inlet { queue: ArrayQueue::new(limits::ROOM_HOPS_MAX), waker: AtomicWaker::new() };
        Self((0..shards.max(1)).map(inlet).collect())
    }

    /// The shard that owns a room.
    pub(crate) fn owner(&self, room: RoomId) -> usize {
        (room.0 % self.0.len() as u64) as usize
    }

    /// A talker's way into a room.
    pub(crate) fn entrance(&self, room: RoomId) -> Entrance {
        Entrance { inlets: self.clone(), room }
    }

    /// Says whether there was a place.
    fn push(&self, shard: usize, hop: Hop) -> bool {
        let Some(inlet) = self.0.get(shard) else { return false };
        let pushed = inlet.queue.push(hop).is_ok();
        inlet.waker.wake();
        pushed
    }
}

/// A talker's way into a room, from any shard.
#[derive(Clone, Debug)]
pub struct Entrance {
    inlets: Inlets,
    room: RoomId,
}

impl Entrance {
    /// Hands a packet to the room's owner, or drops it.
    pub(crate) fn send(&self, datagram: Bytes) -> Departure {
        let said = Hop::Said { room: self.room, datagram };
        if self.inlets.push(self.inlets.owner(self.room), said) { Departure::Entered } else { Departure::Refused }
    }
}

/// What the driver changes about a room on one shard.
#[derive(Debug)]
pub(crate) enum RoomCommand {
    /// On its owner: it begins; so many talkers are heard at once.
    Open { speakers: usize },
    /// On its owner: this flow may be heard, or not any more.
    Talks { flow: FlowId, talks: bool },
    /// On its owner: the shards that have listeners.
    Shards(Vec<usize>),
    /// On a listener's shard: the member whose voice is `flow` hears the others there; `None`: it hears nothing any more.
    Hears { flow: FlowId, over: Option<Egress> },
    /// On its owner: it is over.
    Close,
}

/// A room, on the shard that owns it.
struct Owned {
    selection: Selection,
    shards: Vec<usize>,
    /// Who speaks, as the driver was last told.
    told: Vec<FlowId>,
}

struct Listener {
    /// The listener's own voice, which it does not hear.
    own: FlowId,
    egress: Egress,
}

/// The rooms that a shard owns, and those that it has listeners of.
#[derive(Default)]
pub(crate) struct Rooms {
    owned: HashMap<RoomId, Owned>,
    listeners: HashMap<RoomId, Vec<Listener>>,
}

impl Rooms {
    pub(crate) fn obey(&mut self, room: RoomId, command: RoomCommand) {
        match command {
            RoomCommand::Open { speakers } => {
                let owned = Owned { selection: Selection::new(speakers), shards: Vec::new(), told: Vec::new() };
                self.owned.insert(room, owned);
            }
            RoomCommand::Talks { flow, talks } => {
                if let Some(owned) = self.owned.get_mut(&room) {
                    if talks { owned.selection.add(flow) } else { owned.selection.remove(flow) }
                }
            }
            RoomCommand::Shards(shards) => {
                if let Some(owned) = self.owned.get_mut(&room) {
                    owned.shards = shards;
                }
            }
            RoomCommand::Hears { flow, over } => self.hears(room, flow, over),
            RoomCommand::Close => drop(self.owned.remove(&room)),
        }
    }

    fn hears(&mut self, room: RoomId, own: FlowId, over: Option<Egress>) {
        let listeners = self.listeners.entry(room).or_default();
        // A member hears once, however often it is said.
        listeners.retain(|listener| listener.own != own);
        listeners.extend(over.map(|egress| Listener { own, egress }));
        if listeners.is_empty() {
            self.listeners.remove(&room);
        }
    }

    /// A talker's packet reaches the owner.
    fn said(&mut self, shard: &Shard, room: RoomId, datagram: Bytes) {
        let Some((flow, loudness)) = read(&datagram) else { return };
        let Some(owned) = self.owned.get_mut(&room) else { return shard.counters.room_gone() };
        if !owned.selection.heard(shard.now(), flow, loudness) {
            return shard.counters.not_selected();
        }
        let mut is_heard_here = false;
        for &other in &owned.shards {
            if other == shard.index {
                is_heard_here = true;
            } else if !shard.inlets.push(other, Hop::Chosen { room, flow, datagram: datagram.clone() }) {
                shard.counters.room_queue_full();
            }
        }
        if is_heard_here {
            self.chosen(shard, room, flow, &datagram);
        }
    }

    /// A packet goes to all listeners on this shard but its talker.
    fn chosen(&self, shard: &Shard, room: RoomId, flow: FlowId, datagram: &Bytes) {
        let Some(listeners) = self.listeners.get(&room) else { return };
        for listener in listeners.iter().filter(|listener| listener.own != flow) {
            shard.counters.departed(listener.egress.send(datagram.clone()), datagram.len());
        }
    }

    fn take(&mut self, shard: &Shard, hop: Hop) {
        match hop {
            Hop::Said { room, datagram } => self.said(shard, room, datagram),
            Hop::Chosen { room, flow, datagram } => self.chosen(shard, room, flow, &datagram),
        }
    }

    /// Tells the driver who speaks, where that has changed. What does not fit its queue is told the next time.
    fn tell_speaking(&mut self, shard: &Shard) {
        let now = shard.now();
        for (&room, owned) in &mut self.owned {
            let speaking = owned.selection.speaking(now);
            if speaking != owned.told
                && shard.events.try_send(LinkEvent::Speaking { room, flows: speaking.clone() }).is_ok()
            {
                owned.told = speaking;
            }
        }
    }
}

/// What the selection has to know of a packet. It was parsed once on its talker's shard: what is no packet does not come here.
fn read(bytes: &[u8]) -> Option<(FlowId, Loudness)> {
    let head = datagram::parse(bytes).ok()?;
    let packet = rtp::Packet::parse(&bytes[head.rtp_at..]).ok()?;
    Some((head.flow, Loudness::of(&packet)))
}

/// A shard's task for rooms: takes packets from its queue, and tells who speaks. Never ends by itself.
pub(crate) async fn carry(shard: Rc<Shard>) {
    let mut telling = tokio::time::interval(limits::ROOM_SPEAKERS_INTERVAL);
    loop {
        tokio::select! {
            biased;
            _ = telling.tick() => shard.rooms.borrow_mut().tell_speaking(&shard),
            is_empty = take_some(&shard) => if !is_empty {
                // Others of the shard have their turn before the rest.
                tokio::task::yield_now().await;
            },
        }
    }
}

/// Waits for packets and takes some; says whether that was all.
///
/// Cancellation safety: a packet is taken only by the poll that forwards it.
async fn take_some(shard: &Shard) -> bool {
    let inlet = &shard.inlets.0[shard.index];
    std::future::poll_fn(|context| {
        inlet.waker.register(context.waker());
        let mut rooms = shard.rooms.borrow_mut();
        for taken in 0..limits::ROOM_HOPS_AT_ONCE {
            match inlet.queue.pop() {
                Some(hop) => rooms.take(shard, hop),
                None if taken == 0 => return Poll::Pending,
                None => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    })
    .await
}

/// Where each listener is; for the driver's handle, beside the packet path.
#[derive(Debug, Default)]
pub(crate) struct Audiences(HashMap<RoomId, HashMap<FlowId, Place>>);

/// Where a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    /// Its link, if it has one.
    pub(crate) link: Option<LinkId>,
}

/// What a change of one listener asks of the shards.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Where the listener heard until now, when that is another shard than the one where it hears now.
    pub(crate) from: Option<Place>,
    /// The shards that have listeners, when these have changed.
    pub(crate) shards: Option<Vec<usize>>,
}

impl Audiences {
    /// The member whose own voice is `flow` hears here, or nowhere any more.
    pub(crate) fn hears(&mut self, room: RoomId, flow: FlowId, here: Option<Place>) -> Moves {
        let audience = self.0.entry(room).or_default();
        let before = match here {
            Some(place) => audience.insert(flow, place),
            None => audience.remove(&flow),
        };
        let shard = here.map(|place| place.shard);
        let from = before.filter(|place| Some(place.shard) != shard);
        // Only a shard's first and last listener change which shards there are.
        let mut shards = None;
        if before.map(|place| place.shard) != shard {
            let on = |wanted: usize| audience.values().filter(|place| place.shard == wanted).take(2).count();
            if from.is_some_and(|place| on(place.shard) == 0) || shard.is_some_and(|shard| on(shard) == 1) {
                let mut all: Vec<usize> = audience.values().map(|place| place.shard).collect();
                all.sort_unstable();
                all.dedup();
                shards = Some(all);
            }
        }
        if audience.is_empty() {
            self.0.remove(&room);
        }
        Moves { from, shards }
    }

    /// A room is over: its listeners hear no more, each where it is.
    pub(crate) fn close(&mut self, room: RoomId) -> HashMap<FlowId, Place> {
        self.0.remove(&room).unwrap_or_default()
    }
}

/// The rooms of a shard, for its tasks.
pub(crate) type SharedRooms = RefCell<Rooms>;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(shard: usize) -> Option<Place> {
        Some(Place { shard, link: None })
    }

    #[test]
    fn the_owner_learns_of_a_shards_first_and_last_listener_only() {
        let (room, mut audiences) = (RoomId(1), Audiences::default());
        let mut hears = |flow, here| audiences.hears(room, FlowId(flow), here);
        let stays = |shards: Option<Vec<usize>>| Moves { from: None, shards };
        assert_eq!(hears(1, place(0)), stays(Some(vec![0])));
        assert_eq!(hears(2, place(0)), stays(None));
        assert_eq!(hears(3, place(2)), stays(Some(vec![0, 2])));
        assert_eq!(hears(3, place(2)), stays(None), "said twice");
        assert_eq!(hears(3, place(0)), Moves { from: place(2), shards: Some(vec![0]) }, "resumed on another shard");
        assert_eq!(hears(1, None), Moves { from: place(0), shards: None });
        assert_eq!(hears(2, None), Moves { from: place(0), shards: None });
        assert_eq!(hears(3, None), Moves { from: place(0), shards: Some(vec![]) });
        assert_eq!(hears(3, None), stays(None));
        assert!(audiences.0.is_empty());
    }

    #[test]
    fn a_full_queue_loses_the_newest() {
        let inlets = Inlets::new(1);
        let entrance = inlets.entrance(RoomId(7));
        for _ in 0..limits::ROOM_HOPS_MAX {
            assert_eq!(entrance.send(Bytes::from_static(b"x")), Departure::Entered);
        }
        assert_eq!(entrance.send(Bytes::from_static(b"x")), Departure::Refused);
    }
}
