use std::time::Duration;

use super::*;
use crate::id::UserId;

struct Scene {
    room: Room,
    now: Instant,
}

fn limits_of(members_max: usize) -> RoomLimits {
    RoomLimits { members_max, speakers: 3 }
}

const TALKS: Entry =
    Entry { speaks: true, muted: false, moderator: false, starts: true, ends: false, waits: false, announced: false };
const MODERATES: Entry = Entry { moderator: true, ..TALKS };

impl Scene {
    fn new(kind: RoomKind, members_max: usize) -> Self {
        let room = Room::new(RoomName::new("meeting").unwrap(), kind, limits_of(members_max));
        Self { room, now: Instant::from_micros(1_000_000) }
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.room.poll()).collect()
    }

    fn join(&mut self, flow: u32, entry: Entry) -> Vec<Output> {
        let user = UserId::new(&format!("u{flow}")).unwrap();
        let newcomer = Newcomer { user, name: None, entry };
        self.room.handle(self.now, Input::Join(FlowId(flow), Box::new(newcomer))).unwrap();
        self.drain()
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.room.handle(self.now, input).unwrap();
        self.drain()
    }

    fn act(&mut self, by: u32, action: RoomAction) -> Vec<Output> {
        self.input(Input::Act(FlowId(by), action))
    }

    fn refused(&mut self, by: u32, action: RoomAction) -> ErrorCode {
        self.room.handle(self.now, Input::Act(FlowId(by), action)).unwrap_err().code
    }

    /// Lets time pass until all that was gathered is told.
    fn wait(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(due) = self.room.poll_timeout() {
            self.now = due;
            self.room.handle_timeout(due);
            outputs.extend(self.drain());
        }
        outputs
    }
}

/// Changes of voices: flow, talks, hears.
fn voices(outputs: &[Output]) -> Vec<(u32, bool, bool)> {
    let voice = |output: &Output| match output {
        Output::Voice { member, talks, hears } => Some((member.0, *talks, *hears)),
        _ => None,
    };
    outputs.iter().filter_map(voice).collect()
}

fn exits(outputs: &[Output]) -> Vec<(u32, RoomCause)> {
    let exit = |output: &Output| match output {
        Output::Out(flow, exit) => Some((flow.0, exit.cause)),
        _ => None,
    };
    outputs.iter().filter_map(exit).collect()
}

/// What `flow` is told.
fn told(outputs: &[Output], flow: u32) -> Vec<&RoomNews> {
    let news = outputs.iter().filter_map(|output| match output {
        Output::Tell(to, news) if to.contains(&FlowId(flow)) => Some(&**news),
        _ => None,
    });
    news.collect()
}

#[test]
fn a_conference_waits_for_whoever_starts_it() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    assert_eq!(voices(&scene.join(1, Entry { starts: false, ..TALKS })), []);
    assert_eq!(voices(&scene.join(2, TALKS)), [(1, true, true), (2, true, true)]);
    assert!(scene.room.state().started);
}

#[test]
fn a_conference_ends_with_whoever_ends_it() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, TALKS);
    scene.join(2, Entry { ends: true, ..TALKS });
    scene.join(3, TALKS);
    let outputs = scene.input(Input::Gone(FlowId(2)));
    assert_eq!(exits(&outputs), [(1, RoomCause::Ended), (3, RoomCause::Ended)]);
    assert_eq!(outputs.last(), Some(&Output::Over));
    assert!(scene.room.is_over());
    assert_eq!(exits(&scene.join(4, TALKS)), [(4, RoomCause::Ended)], "it does not begin anew");
}

#[test]
fn muting_is_ones_own_and_silencing_a_moderators() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, MODERATES);
    scene.join(2, Entry { muted: true, ..TALKS });
    assert_eq!(voices(&scene.input(Input::Mute(FlowId(2), false))), [(2, true, true)]);
    let silence = RoomAction::Silence { member: Some(FlowId(2)) };
    assert_eq!(voices(&scene.act(1, silence)), [(2, false, true)]);
    scene.input(Input::Mute(FlowId(2), true));
    let lifted = scene.act(1, RoomAction::Unsilence { member: None });
    assert_eq!(voices(&lifted), [], "nobody is unmuted by another");
    assert_eq!(voices(&scene.input(Input::Mute(FlowId(2), false))), [(2, true, true)]);
    assert_eq!(scene.refused(2, silence), ErrorCode::NotGranted);
    assert_eq!(voices(&scene.act(1, RoomAction::Silence { member: None })), [(2, false, true)], "not the moderator");
}

#[test]
fn a_locked_room_lets_in_moderators_only() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, MODERATES);
    scene.act(1, RoomAction::Lock);
    assert_eq!(exits(&scene.join(2, TALKS)), [(2, RoomCause::Locked)]);
    assert_eq!(exits(&scene.join(3, MODERATES)), []);
    scene.act(3, RoomAction::Unlock);
    assert_eq!(exits(&scene.join(2, TALKS)), []);
}

#[test]
fn who_waits_in_the_lobby_hears_and_sees_nobody() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, MODERATES);
    scene.act(1, RoomAction::Lobby);
    scene.wait();
    let outputs = scene.join(2, TALKS);
    assert_eq!(voices(&outputs), []);
    let [news] = told(&outputs, 2)[..] else { panic!("{outputs:?}") };
    assert!(news.you.as_ref().unwrap().waiting && news.members.is_empty() && news.state.is_none(), "{news:?}");
    let outputs = scene.wait();
    let sees_who_waits = |news: &&RoomNews| news.members.iter().any(|member| member.waiting);
    assert!(told(&outputs, 1).iter().any(sees_who_waits), "the moderator knows: {outputs:?}");
    assert_eq!(scene.refused(2, RoomAction::RaiseHand), ErrorCode::WrongState);
    let outputs = scene.act(1, RoomAction::Admit { member: Some(FlowId(2)) });
    assert_eq!(voices(&outputs), [(2, true, true)]);
    assert!(told(&outputs, 2).iter().any(|news| news.whole && !news.members.is_empty()), "{outputs:?}");
    scene.join(3, TALKS);
    assert_eq!(exits(&scene.act(1, RoomAction::Kick { member: FlowId(3) })), [(3, RoomCause::Refused)]);
    assert_eq!(exits(&scene.act(1, RoomAction::Kick { member: FlowId(2) })), [(2, RoomCause::Kicked)]);
}

#[test]
fn a_listener_asks_and_may_speak() {
    let mut scene = Scene::new(RoomKind::Channel, 10);
    scene.join(1, Entry { speaks: true, moderator: true, ..Entry::default() });
    assert_eq!(voices(&scene.join(2, Entry::default())), [(2, false, true)]);
    scene.join(3, Entry::default());
    scene.wait();
    scene.act(2, RoomAction::RaiseHand);
    let news = scene.wait();
    let hand = |flow| told(&news, flow).iter().any(|news| news.members.iter().any(|member| member.hand));
    assert!(hand(1), "the broadcaster sees the hand: {news:?}");
    assert!(!hand(3), "another listener does not: {news:?}");
    assert_eq!(voices(&scene.act(1, RoomAction::LetSpeak { member: FlowId(2) })), [(2, true, true)]);
    let news = scene.wait();
    assert!(told(&news, 3).iter().any(|news| news.members.iter().any(|member| member.speaks && !member.hand)));
    assert_eq!(voices(&scene.act(1, RoomAction::StopSpeaking { member: FlowId(2) })), [(2, false, true)]);
    assert_eq!(scene.refused(3, RoomAction::LetSpeak { member: FlowId(3) }), ErrorCode::NotGranted);
    assert_eq!(scene.refused(1, RoomAction::Kick { member: FlowId(99) }), ErrorCode::BadMessage);
}

#[test]
fn one_too_many_is_told_so() {
    let mut scene = Scene::new(RoomKind::Conference, 2);
    scene.join(1, TALKS);
    scene.join(2, TALKS);
    let outputs = scene.join(3, MODERATES);
    let full = Exit::full("the room is full: it has its 2 members".to_owned());
    assert!(outputs.contains(&Output::Out(FlowId(3), full)), "{outputs:?}");
}

#[test]
fn the_10_001st_member_is_not_let_in_and_news_stay_few() {
    let mut scene = Scene::new(RoomKind::Channel, limits::ROOM_MEMBERS_MAX);
    scene.join(1, MODERATES);
    let mut messages = 0;
    let mut count = |outputs: &[Output]| {
        for output in outputs {
            if let Output::Tell(to, _) = output {
                messages += to.len();
            }
        }
    };
    for flow in 2..=10_000 {
        // All of them within a second.
        scene.now = scene.now + Duration::from_micros(100);
        let outputs = scene.join(flow, Entry::default());
        assert!(exits(&outputs).is_empty());
        count(&outputs);
        if scene.room.poll_timeout().is_some_and(|due| due <= scene.now) {
            scene.room.handle_timeout(scene.now);
            count(&scene.drain());
        }
    }
    assert_eq!(exits(&scene.join(10_001, Entry::default())), [(10_001, RoomCause::Full)]);
    assert_eq!(scene.room.state().present, 10_000);
    // One for each newcomer, and what a room may make in a second; a joining one may be told its own state apart.
    assert!(messages <= 10_000 + 10_000 + 2 * 2_000, "{messages} messages");
    let news = scene.wait();
    let last = told(&news, 5_000);
    assert_eq!(last.last().and_then(|news| news.state).map(|state| state.present), Some(10_000));
    assert!(
        last.iter().all(|news| news.members.is_empty() || news.members.len() == 1),
        "listeners see broadcasters only"
    );
}

#[test]
fn a_large_conference_shows_some_and_counts_all() {
    let mut scene = Scene::new(RoomKind::Conference, 1_000);
    for flow in 1..=500 {
        scene.join(flow, TALKS);
    }
    scene.wait();
    let outputs = scene.join(501, TALKS);
    let pages = told(&outputs, 501);
    let shown: usize = pages.iter().map(|news| news.members.len()).sum();
    assert_eq!(shown, limits::ROOM_VISIBLE_MAX);
    assert!(pages.iter().all(|page| page.members.len() <= limits::ROOM_PAGE_MEMBERS));
    scene.wait();
    let mut news = scene.input(Input::Gone(FlowId(1)));
    news.extend(scene.wait());
    let mut seen: Vec<_> = told(&news, 400).into_iter().cloned().collect();
    seen.retain(|news| !news.gone.is_empty() || !news.members.is_empty());
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0].gone[..], seen[0].members.len()), (&[FlowId(1)][..], 1), "another takes the free place");
}

#[test]
fn a_page_of_the_longest_members_fits_a_line() {
    use crate::limits::{LINE_BYTES_MAX, NAME_BYTES_MAX, ROOM_NAME_SHOWN_CHARS_MAX, ROOM_PAGE_GONE, ROOM_PAGE_MEMBERS};
    let member = RoomMember {
        flow: FlowId((1 << 30) - 1),
        user: UserId::new(&"u".repeat(NAME_BYTES_MAX)).unwrap(),
        // Six bytes of JSON for one character.
        name: Some("\u{1}".repeat(ROOM_NAME_SHOWN_CHARS_MAX)),
        speaks: true,
        muted: true,
        silenced: true,
        hand: true,
        moderator: true,
        waiting: true,
        away: true,
    };
    let speaker = Speaker { flow: member.flow, user: member.user.clone(), name: member.name.clone() };
    let news = RoomNews {
        room: RoomName::new(&"r".repeat(NAME_BYTES_MAX)).unwrap(),
        kind: RoomKind::Conference,
        whole: true,
        you: Some(member.clone()),
        members: vec![member.clone(); ROOM_PAGE_MEMBERS],
        gone: vec![member.flow; ROOM_PAGE_GONE],
        state: Some(RoomState::default()),
        speakers: Some(vec![speaker; limits::ROOM_SPEAKERS_MAX]),
        tone: Some(RoomTone::Joined),
    };
    let bytes = serde_json::to_vec(&news).unwrap().len();
    assert!(bytes + 1_000 < LINE_BYTES_MAX, "{bytes} bytes");
}

#[test]
fn speakers_are_told_when_they_change() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, TALKS);
    scene.join(2, TALKS);
    scene.wait();
    scene.now = scene.now + Duration::from_secs(1);
    let news = scene.input(Input::Speaking(vec![FlowId(2), FlowId(7)]));
    let speakers = told(&news, 1)[0].speakers.clone().unwrap();
    assert_eq!(speakers.iter().map(|speaker| speaker.user.as_str()).collect::<Vec<_>>(), ["u2"], "7 is no member");
    assert!(told(&scene.input(Input::Speaking(vec![FlowId(2)])), 1).is_empty(), "nothing new");
    scene.input(Input::Mute(FlowId(2), true));
    let news = scene.wait();
    assert_eq!(told(&news, 1)[0].speakers, Some(vec![]), "who is muted does not speak");
}

#[test]
fn tones_announce_those_who_want_it() {
    let mut scene = Scene::new(RoomKind::Conference, 10);
    scene.join(1, TALKS);
    scene.wait();
    scene.now = scene.now + Duration::from_secs(1);
    let news = scene.join(2, Entry { announced: true, ..TALKS });
    assert!(told(&news, 1).iter().any(|news| news.tone == Some(RoomTone::Joined)), "{news:?}");
    scene.now = scene.now + Duration::from_secs(1);
    let news = scene.input(Input::Gone(FlowId(2)));
    assert!(told(&news, 1).iter().any(|news| news.tone == Some(RoomTone::Left)), "{news:?}");
}
