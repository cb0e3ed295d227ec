//! The signalling codec: every message survives being written and read; nothing that is read can do harm.

use proptest::prelude::*;
use tandem_switch::cause::Cause;
use tandem_switch::event::Header;
use tandem_switch::id::{CallId, FlowId, RoomName, SessionId, TenantId, UserId};
use tandem_switch::limits;
use tandem_switch::media::stats::Reception;
use tandem_switch::room::{RoomAction, RoomCause, RoomKind, RoomMember, RoomNews, RoomState, RoomTone, Speaker};
use tandem_switch::signal::{
    CallEvent, ClientMessage, DecodeError, ErrorCode, GoodbyeReason, Happening, Hello, Presence, PresenceState,
    ResumeSession, Seen, ServerMessage,
};
use tandem_switch::time::UnixMillis;

fn call() -> impl Strategy<Value = CallId> {
    any::<u128>().prop_map(CallId)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<u128>().prop_map(SessionId)
}

fn user() -> impl Strategy<Value = UserId> {
    "[a-z0-9_+@-][a-z0-9._+@-]{0,63}".prop_map(|name| UserId::new(&name).expect("a name"))
}

fn tenant() -> impl Strategy<Value = TenantId> {
    "[a-z0-9_+@-][a-z0-9._+@-]{0,63}".prop_map(|name| TenantId::new(&name).expect("a name"))
}

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

fn maybe_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(text())
}

fn moment() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis)
}

fn cause() -> impl Strategy<Value = Cause> {
    prop::sample::select(&Cause::ALL[..])
}

fn reception() -> impl Strategy<Value = Reception> {
    (any::<[u64; 4]>(), 0.0..1e6f32, 0.0..5f32).prop_map(|([packets, bytes, lost, late], jitter_ms, mos)| Reception {
        packets,
        bytes,
        lost,
        late,
        jitter_ms,
        mos,
    })
}

fn resume() -> impl Strategy<Value = ResumeSession> {
    let seen = (call(), any::<u32>()).prop_map(|(call, n)| Seen { call, n });
    (session(), text(), prop::collection::vec(seen, 0..5)).prop_map(|(session, secret, seen)| ResumeSession {
        session,
        secret,
        seen,
    })
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let header = (text(), text()).prop_map(|(name, value)| Header { name, value });
    let hello = (any::<u32>(), text(), text(), prop::option::of(resume()));
    prop_oneof![
        hello.prop_map(|(version, token, client, resume)| ClientMessage::Hello(Hello {
            version,
            token,
            client,
            resume
        })),
        text().prop_map(|token| ClientMessage::Renew { token }),
        (text(), text(), prop::collection::vec(header, 0..4))
            .prop_map(|(reference, to, headers)| ClientMessage::Invite { reference, to, headers }),
        call().prop_map(|call| ClientMessage::Answer { call }),
        (call(), prop::option::of(cause())).prop_map(|(call, cause)| ClientMessage::Decline { call, cause }),
        call().prop_map(|call| ClientMessage::Hangup { call }),
        call().prop_map(|call| ClientMessage::Hold { call }),
        call().prop_map(|call| ClientMessage::Resume { call }),
        call().prop_map(|call| ClientMessage::Mute { call }),
        call().prop_map(|call| ClientMessage::Unmute { call }),
        (call(), room_action()).prop_map(|(call, action)| ClientMessage::Room { call, action }),
        (call(), text()).prop_map(|(call, digits)| ClientMessage::Dtmf { call, digits }),
        (call(), reception()).prop_map(|(call, reception)| ClientMessage::Report { call, reception }),
        prop::collection::vec(user(), 0..5).prop_map(|users| ClientMessage::Watch { users }),
        any::<u64>().prop_map(|data| ClientMessage::Ping { data }),
        Just(ClientMessage::Bye),
    ]
}

fn flow() -> impl Strategy<Value = FlowId> {
    any::<u32>().prop_map(FlowId)
}

fn room() -> impl Strategy<Value = RoomName> {
    "[a-z0-9_+@-][a-z0-9._+@-]{0,63}".prop_map(|name| RoomName::new(&name).expect("a name"))
}

fn room_kind() -> impl Strategy<Value = RoomKind> {
    prop::sample::select(&RoomKind::ALL[..])
}

fn room_cause() -> impl Strategy<Value = RoomCause> {
    prop::sample::select(&RoomCause::ALL[..])
}

fn room_action() -> impl Strategy<Value = RoomAction> {
    let one_or_all = || prop::option::of(flow());
    prop_oneof![
        prop::sample::select(vec![
            RoomAction::Leave,
            RoomAction::RaiseHand,
            RoomAction::Lock,
            RoomAction::Unlock,
            RoomAction::Lobby,
            RoomAction::NoLobby,
            RoomAction::End,
        ]),
        one_or_all().prop_map(|member| RoomAction::LowerHand { member }),
        one_or_all().prop_map(|member| RoomAction::Silence { member }),
        one_or_all().prop_map(|member| RoomAction::Unsilence { member }),
        one_or_all().prop_map(|member| RoomAction::Admit { member }),
        flow().prop_map(|member| RoomAction::LetSpeak { member }),
        flow().prop_map(|member| RoomAction::StopSpeaking { member }),
        flow().prop_map(|member| RoomAction::Kick { member }),
    ]
}

fn room_member() -> impl Strategy<Value = RoomMember> {
    (flow(), user(), maybe_text(), any::<[bool; 7]>()).prop_map(
        |(flow, user, name, [speaks, muted, silenced, hand, moderator, waiting, away])| RoomMember {
            flow,
            user,
            name,
            speaks,
            muted,
            silenced,
            hand,
            moderator,
            waiting,
            away,
        },
    )
}

fn room_news() -> impl Strategy<Value = RoomNews> {
    let state = (any::<[bool; 3]>(), any::<[u32; 2]>()).prop_map(|([started, locked, lobby], [present, speakers])| {
        RoomState { started, locked, lobby, present, speakers }
    });
    let speaker = (flow(), user(), maybe_text()).prop_map(|(flow, user, name)| Speaker { flow, user, name });
    let members = prop::collection::vec(room_member(), 0..4);
    let gone = prop::collection::vec(flow(), 0..4);
    let lists = (members, gone, prop::option::of(prop::collection::vec(speaker, 0..4)));
    let tone = prop::option::of(prop::sample::select(vec![RoomTone::Joined, RoomTone::Left]));
    let you = prop::option::of(room_member());
    (room(), room_kind(), any::<bool>(), you, lists, prop::option::of(state), tone).prop_map(
        |(room, kind, whole, you, (members, gone, speakers), state, tone)| RoomNews {
            room,
            kind,
            whole,
            you,
            members,
            gone,
            state,
            speakers,
            tone,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (text(), maybe_text(), text(), prop::option::of(call()))
            .prop_map(|(from, name, to, continues)| Happening::Incoming { from, name, to, continues }),
        (text(), any::<[u32; 2]>()).prop_map(|(peer, [send, receive])| Happening::Connected {
            peer,
            send: FlowId(send),
            receive: FlowId(receive)
        }),
        text().prop_map(|digits| Happening::Dtmf { digits }),
        (room(), room_kind(), flow()).prop_map(|(room, kind, send)| Happening::Entered { room, kind, send }),
        (room(), room_cause(), maybe_text()).prop_map(|(room, cause, reason)| Happening::Exited {
            room,
            cause,
            reason
        }),
        (cause(), maybe_text()).prop_map(|(cause, reason)| Happening::Ended { cause, reason }),
        prop::sample::select(vec![
            Happening::Ringing,
            Happening::Disconnected,
            Happening::Held,
            Happening::Unheld,
            Happening::Muted,
            Happening::Unmuted,
            Happening::PeerLost,
            Happening::PeerBack,
        ]),
    ]
}

fn presence() -> impl Strategy<Value = Presence> {
    let state = prop::sample::select(vec![PresenceState::Offline, PresenceState::Available, PresenceState::Talking]);
    (user(), maybe_text(), state).prop_map(|(user, name, state)| Presence { user, name, state })
}

fn welcome() -> impl Strategy<Value = ServerMessage> {
    let who = (session(), text(), tenant(), user());
    (any::<u32>(), who, any::<bool>(), any::<u64>(), moment()).prop_map(
        |(version, (session, secret, tenant, user), resumed, grace_ms, expires_at)| ServerMessage::Welcome {
            version,
            session,
            secret,
            tenant,
            user,
            resumed,
            grace_ms,
            expires_at,
        },
    )
}

fn error() -> impl Strategy<Value = ServerMessage> {
    use ErrorCode::{
        BadMessage, BadToken, BadVersion, NoSuchCall, NotGranted, Overloaded, ShuttingDown, TooLong, TooManyMessages,
        WrongState,
    };
    let codes = [BadMessage, TooLong, WrongState, NoSuchCall, BadToken, NotGranted, BadVersion, Overloaded];
    let codes = [&codes[..], &[TooManyMessages, ShuttingDown]].concat();
    (prop::sample::select(codes), text(), maybe_text(), prop::option::of(call()))
        .prop_map(|(code, message, reference, call)| ServerMessage::Error { code, message, reference, call })
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    use GoodbyeReason::{Bye, NotWelcome, ProtocolViolation, Replaced, Shutdown, TokenExpired, TooSlow};
    let event = (call(), any::<u32>(), happening());
    let goodbye =
        prop::sample::select(vec![Bye, TokenExpired, Replaced, NotWelcome, ProtocolViolation, TooSlow, Shutdown]);
    prop_oneof![
        welcome(),
        (text(), call()).prop_map(|(reference, call)| ServerMessage::Calling { reference, call }),
        event.prop_map(|(call, n, what)| ServerMessage::Event(CallEvent { call, n, what })),
        prop::collection::vec(presence(), 0..5).prop_map(|users| ServerMessage::Presence { users }),
        (call(), prop::option::of(reception()), prop::option::of(reception()))
            .prop_map(|(call, uplink, peer)| ServerMessage::Quality { call, uplink, peer }),
        any::<u64>().prop_map(|data| ServerMessage::Pong { data }),
        moment().prop_map(|expires_at| ServerMessage::Renewed { expires_at }),
        error(),
        (call(), room_news()).prop_map(|(call, news)| ServerMessage::RoomNews { call, news: Box::new(news) }),
        goodbye.prop_map(|reason| ServerMessage::Goodbye { reason }),
    ]
}

proptest! {
    #[test]
    fn what_a_client_says_is_what_is_read(message in client_message()) {
        let line = message.encode();
        prop_assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1), "one line");
        prop_assert_eq!(ClientMessage::decode(&line), Ok(message));
    }

    #[test]
    fn what_the_gateway_says_is_what_is_read(message in server_message()) {
        let line = message.encode();
        prop_assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1), "one line");
        prop_assert_eq!(ServerMessage::decode(&line), Ok(message));
    }

    #[test]
    fn bytes_that_are_no_message_are_refused_with_a_reason(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let refused = |error| matches!(error, DecodeError::NotAMessage(reason) if !reason.is_empty());
        prop_assert!(ClientMessage::decode(&line).is_err_and(refused));
        prop_assert!(ServerMessage::decode(&line).is_err_and(refused));
    }

    #[test]
    fn a_message_with_a_byte_changed_does_no_harm(message in client_message(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut line = message.encode();
        let at = at.index(line.len());
        line[at] = byte;
        if let Ok(message) = ClientMessage::decode(&line) {
            prop_assert_eq!(ClientMessage::decode(&message.encode()), Ok(message));
        }
    }
}

#[test]
fn a_line_may_be_so_long_and_no_longer() {
    let frame = br#"{"type":"renew","token":""}"#.len();
    for (length, fits) in [(limits::LINE_BYTES_MAX, true), (limits::LINE_BYTES_MAX + 1, false)] {
        let line = format!(r#"{{"type":"renew","token":"{}"}}"#, "x".repeat(length - frame));
        assert_eq!(line.len(), length);
        match ClientMessage::decode(line.as_bytes()) {
            Ok(_) => assert!(fits, "{length}"),
            Err(error) => assert_eq!((error, fits), (DecodeError::TooLong(length), false)),
        }
    }
}

#[test]
fn what_is_wrong_is_said_to_whoever_wrote_it() {
    let report = |jitter: &str| {
        let reception = format!(r#"{{"packets":1,"bytes":1,"lost":0,"late":0,"jitter_ms":{jitter},"mos":4}}"#);
        format!(r#"{{"type":"report","call":"0000000000000000000000001a","reception":{reception}}}"#)
    };
    let table = [
        ("".to_owned(), "EOF while parsing"),
        ("hello".to_owned(), "expected value"),
        ("[]".to_owned(), ""),
        ("{}".to_owned(), "missing field `type`"),
        (r#"{"type":"dance"}"#.to_owned(), "unknown variant `dance`"),
        (r#"{"type":"invite","ref":"1"}"#.to_owned(), "missing field `to`"),
        (r#"{"type":"answer","call":"1"}"#.to_owned(), "an identifier has 26 characters"),
        (r#"{"type":"watch","users":["Bob"]}"#.to_owned(), "`user` must be 1 to 64 characters"),
        (r#"{"type":"ping","data":-1}"#.to_owned(), "-1"),
        (r#"{"type":"bye"} {"type":"bye"}"#.to_owned(), "trailing characters"),
        (report("1e39"), "a measurement is a number of 0 or more"),
        (report("-0.5"), "a measurement is a number of 0 or more"),
        (report("null"), "f32"),
    ];
    for (line, reason) in table {
        let error = ClientMessage::decode(line.as_bytes()).expect_err(&line);
        assert!(matches!(&error, DecodeError::NotAMessage(text) if text.contains(reason)), "{line}: {error}");
        assert_eq!(error.code(), ErrorCode::BadMessage);
    }
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let line = br#"{"type":"bye","mood":"sad"}"#;
    assert_eq!(ClientMessage::decode(line), Ok(ClientMessage::Bye));
}
