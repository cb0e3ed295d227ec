use super::*;
use crate::event::{Outcome, RoomOutcome};
use crate::id::{RoomId, RoomName};
use crate::plan::ConferenceStep;
use crate::room::{RoomAction, RoomCause, RoomNews};

fn meeting(moderator: bool) -> Step {
    Step::Conference(ConferenceStep {
        room: "meeting".into(),
        muted: false,
        moderator,
        starts: true,
        ends: false,
        waits: false,
        announced: false,
    })
}

impl Harness {
    /// A link of a new session calls, and the plan lets it into a room.
    fn enters(&mut self, link: u64, user: &str, steps: Vec<Step>) -> (CallId, FlowId) {
        self.attach(link, "acme", user);
        let call = self.invite(link, "meeting");
        self.plan(steps);
        match self.last_event(link) {
            Happening::Entered { send, .. } => (call, send),
            other => panic!("not entered: {other:?}"),
        }
    }

    /// What a link was told of its room since the last call of this.
    fn news(&mut self, link: u64) -> Vec<RoomNews> {
        let mut news = Vec::new();
        self.said.retain(|(to, message)| match message {
            ServerMessage::RoomNews { news: new, .. } if *to == LinkId(link) => {
                news.push((**new).clone());
                false
            }
            _ => true,
        });
        news
    }

    /// Where each voice is routed to, if its gate is open.
    fn heard_in_room(&self, flow: FlowId) -> bool {
        let (to, gate) = self.routes.iter().find(|((_, of), _)| *of == flow).expect("a route").1;
        to.contains(&Destination::Room(RoomId(1))) && *gate == Gate::Open
    }

    fn room(&mut self, link: u64, call: CallId, action: RoomAction) {
        self.says(link, ClientMessage::Room { call, action });
    }
}

#[test]
fn whoever_enters_talks_to_the_room_and_hears_it() {
    let mut harness = Harness::new();
    let (_, alice) = harness.enters(1, "alice", vec![meeting(false)]);
    let (_, bob) = harness.enters(2, "bob", vec![meeting(false)]);
    assert!(harness.heard_in_room(alice) && harness.heard_in_room(bob));
    let expected = [
        RoomVoice::Open { speakers: limits::ROOM_SPEAKERS },
        RoomVoice::Talks { flow: alice, talks: true },
        RoomVoice::Hears { flow: alice, over: Some(Destination::Link(LinkId(1))) },
        RoomVoice::Talks { flow: bob, talks: true },
        RoomVoice::Hears { flow: bob, over: Some(Destination::Link(LinkId(2))) },
    ];
    assert_eq!(harness.rooms, expected);
    harness.wait(Duration::from_secs(1));
    let users = |news: Vec<RoomNews>| {
        let members = news.into_iter().flat_map(|news| news.members);
        members.map(|member| member.user.to_string()).collect::<BTreeSet<_>>()
    };
    for link in [1, 2] {
        let news = harness.news(link);
        assert_eq!(users(news).into_iter().collect::<Vec<_>>(), ["alice", "bob"], "link {link}");
    }
    let tenant = TenantId::new("acme").unwrap();
    assert_eq!(harness.exchange.room_occupancy(&tenant, &RoomName::new("meeting").unwrap()), Some(2));
    assert_eq!(harness.exchange.room_occupancy(&tenant, &RoomName::new("other").unwrap()), None);
}

#[test]
fn a_kicked_member_is_silent_and_the_plan_goes_on() {
    let mut harness = Harness::new();
    let (chair, _) = harness.enters(1, "alice", vec![meeting(true)]);
    let (call, bob) = harness.enters(2, "bob", vec![meeting(false), Step::Consult("after".into())]);
    harness.now = harness.now + Duration::from_secs(7);
    harness.room(1, chair, RoomAction::Kick { member: bob });
    assert!(matches!(harness.last_event(2), Happening::Exited { cause: RoomCause::Kicked, .. }));
    assert!(
        harness
            .rooms
            .ends_with(&[RoomVoice::Hears { flow: bob, over: None }, RoomVoice::Talks { flow: bob, talks: false },])
    );
    assert!(!harness.routes.contains_key(&(LinkId(2), bob)), "nothing of his is routed");
    let stay = RoomOutcome { room: "meeting".into(), cause: RoomCause::Kicked, stayed: 7_000 };
    let outcome = |consult: &Consult| match &consult.event {
        Event::Consulted(consultation) => Some(consultation.outcome.clone()),
        _ => None,
    };
    assert_eq!(harness.asked.last().and_then(outcome), Some(Outcome::Conferenced(stay)));
    harness.room(2, call, RoomAction::RaiseHand);
    assert_eq!(harness.last_error(2), ErrorCode::WrongState);
}

#[test]
fn mute_and_a_lost_link_take_a_voice_out_and_a_resume_brings_it_back() {
    let mut harness = Harness::new();
    let (_, alice) = harness.enters(1, "alice", vec![meeting(false)]);
    let (call, bob) = harness.enters(2, "bob", vec![meeting(false)]);
    harness.says(2, ClientMessage::Mute { call });
    assert!(!harness.heard_in_room(bob));
    harness.says(2, ClientMessage::Unmute { call });
    assert!(harness.heard_in_room(bob));
    harness.rooms.clear();
    harness.lose(2);
    assert_eq!(
        harness.rooms,
        [RoomVoice::Hears { flow: bob, over: None }, RoomVoice::Talks { flow: bob, talks: false },]
    );
    harness.wait(Duration::from_secs(1));
    assert!(harness.news(1).iter().any(|news| news.members.iter().any(|member| member.flow == bob && member.away)));
    harness.rooms.clear();
    harness.resume(3, "bob", 2, Vec::new());
    assert_eq!(
        harness.rooms,
        [
            RoomVoice::Talks { flow: bob, talks: true },
            RoomVoice::Hears { flow: bob, over: Some(Destination::Link(LinkId(3))) },
        ]
    );
    assert!(harness.heard_in_room(bob) && harness.heard_in_room(alice));
    assert!(harness.news(3).iter().any(|news| news.whole), "one who is back is told everything");
    // The link is replaced by another without being lost before.
    harness.rooms.clear();
    harness.resume(4, "bob", 2, Vec::new());
    assert_eq!(harness.rooms, [RoomVoice::Hears { flow: bob, over: Some(Destination::Link(LinkId(4))) }]);
}

#[test]
fn the_last_to_hang_up_closes_the_room() {
    let mut harness = Harness::new();
    let (first, _) = harness.enters(1, "alice", vec![meeting(false)]);
    let (second, _) = harness.enters(2, "bob", vec![meeting(false)]);
    harness.says(1, ClientMessage::Hangup { call: first });
    assert_eq!(harness.ended(1), Cause::Normal);
    harness.says(2, ClientMessage::Hangup { call: second });
    assert_eq!(harness.rooms.last(), Some(&RoomVoice::Close));
    assert!(harness.routes.is_empty());
    assert_eq!(harness.exchange.counts().rooms, 0);
    harness.wait(Duration::from_secs(5));
    for link in [1, 2] {
        harness.says(link, ClientMessage::Bye);
    }
    assert!(harness.exchange.is_idle());
}

#[test]
fn a_full_room_refuses_and_says_so() {
    let mut harness = Harness::new();
    harness.input(configured(TenantSettings { room_members_max: 1, ..TenantSettings::default() }));
    harness.enters(1, "alice", vec![meeting(false)]);
    harness.attach(2, "acme", "bob");
    harness.invite(2, "meeting");
    harness.plan(vec![meeting(false)]);
    assert_eq!(harness.ended(2), Cause::Overloaded);
    let events = harness.events(2);
    let Happening::Exited { cause: RoomCause::Full, reason: Some(reason), .. } = &events[events.len() - 2] else {
        panic!("{events:?}")
    };
    assert_eq!(reason, "the room is full: it has its 1 members");
    assert_eq!(harness.record().answered_at, None, "nobody answered");
}

#[test]
fn in_a_channel_listeners_hear_and_are_not_heard() {
    let mut harness = Harness::new();
    let (radio, host) = harness.enters(1, "alice", vec![Step::Broadcast("news".into())]);
    let (call, listener) = harness.enters(2, "bob", vec![Step::Listen("news".into())]);
    assert!(harness.heard_in_room(host) && !harness.heard_in_room(listener));
    harness.room(2, call, RoomAction::RaiseHand);
    harness.room(1, radio, RoomAction::LetSpeak { member: listener });
    assert!(harness.heard_in_room(listener));
    harness.room(2, call, RoomAction::Leave);
    assert!(matches!(
        harness.events(2)[..],
        [.., Happening::Exited { cause: RoomCause::Left, .. }, Happening::Ended { .. }]
    ));
}

#[test]
fn rooms_of_the_same_name_belong_to_their_tenants() {
    let mut harness = Harness::new();
    harness.enters(1, "alice", vec![meeting(false)]);
    harness.attach(2, "other", "bob");
    harness.invite(2, "meeting");
    harness.plan(vec![meeting(false)]);
    harness.wait(Duration::from_secs(1));
    let seen: Vec<_> = harness.news(2).into_iter().flat_map(|news| news.members).collect();
    assert!(seen.iter().all(|member| member.user.as_str() == "bob"), "{seen:?}");
    assert_eq!(harness.exchange.counts().rooms, 2);
}

#[test]
fn speakers_are_told_by_name() {
    let mut harness = Harness::new();
    let (_, alice) = harness.enters(1, "alice", vec![meeting(false)]);
    harness.wait(Duration::from_secs(1));
    harness.news(1);
    harness.input(Input::Speaking { room: RoomId(1), flows: vec![alice, FlowId(3)] });
    harness.input(Input::Speaking { room: RoomId(9), flows: vec![alice] });
    let news = harness.news(1);
    let [RoomNews { speakers: Some(speakers), .. }] = &news[..] else { panic!("{news:?}") };
    assert_eq!(speakers.iter().map(|speaker| speaker.user.as_str()).collect::<Vec<_>>(), ["alice"]);
}
