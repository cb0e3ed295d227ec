//! Rooms and channels, by the real binary and native clients: who hears whom, and what a moderator can do.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::routing::post;
use axum::{Json, Router};
use bytes::BytesMut;
use serde_json::{Value, json};
use tandem_client::Event;
use tandem_client::TransportChoice::{self, WebSocket, WebTransport};
use tandem_client::voice::{Frame, SenderOptions, Sink, Source, VoiceReceiver, VoiceSender};
use tandem_end_to_end::{Gateway, PATIENCE, Phone, sound};
use tandem_switch::cause::Cause;
use tandem_switch::id::{CallId, FlowId};
use tandem_switch::media::rtp;
use tandem_switch::room::{RoomAction, RoomCause, RoomMember};
use tandem_switch::signal::{ClientMessage, Happening, ServerMessage};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Frames of what is heard that wait for the test: 10 s.
const FRAMES_MAX: usize = 500;

/// How many frames in a row a tone or silence must last: 200 ms.
const STEADY_FRAMES: usize = 10;

/// Most frames that are listened to while waiting: 15 s.
const LISTEN_FRAMES_MAX: usize = 750;

/// Alice moderates `all-hands` and broadcasts on `news`; everybody else is a member and a listener.
async fn route(Json(question): Json<Value>) -> Json<Value> {
    let is_alice = question["context"]["from"]["address"] == "alice";
    let to = question["context"]["to"].as_str().unwrap_or_default().to_owned();
    let step = match (to.as_str(), is_alice) {
        ("news", true) => json!({ "broadcast": "news" }),
        ("news", false) => json!({ "listen": "news" }),
        (room, moderator) => json!({
            "conference": { "room": room, "muted": false, "moderator": moderator, "starts": true, "ends": false }
        }),
    };
    Json(json!({ "steps": [step] }))
}

/// A gateway whose calls all go into rooms.
async fn gateway_of_rooms() -> anyhow::Result<Gateway> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // It lives as long as the test's runtime.
    drop(tokio::spawn(axum::serve(listener, Router::new().route("/", post(route))).into_future()));
    let users = ["--user", "alice", "--user", "bob", "--user", "carol", "--user", "dora"];
    Gateway::dev(&[&["--router", &url][..], &users].concat()).await
}

/// Somebody in a room.
struct Member {
    phone: Phone,
    call: CallId,
    flow: FlowId,
    hz: f64,
    _speaking: Option<VoiceSender>,
}

/// One voice as it is heard.
struct Ear {
    hearing: VoiceReceiver,
    frames: mpsc::Receiver<Box<Frame>>,
}

impl Ear {
    async fn listen(&mut self, right: impl Fn(&Frame) -> bool) -> anyhow::Result<bool> {
        while self.frames.try_recv().is_ok() {}
        let mut run = 0;
        for _ in 0..LISTEN_FRAMES_MAX {
            let frame = timeout(PATIENCE, self.frames.recv()).await?.context("the receiver has ended")?;
            run = if right(&frame) { run + 1 } else { 0 };
            if run >= STEADY_FRAMES {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Member {
    async fn enter(gateway: &Gateway, user: &str, room: &str, by: TransportChoice) -> anyhow::Result<Self> {
        let mut phone = Phone::with_token(gateway, user, &gateway.demo_token(user)?, by).await?;
        let call = phone.dial(room).await?;
        let flow = happened(&mut phone, call, "entered", |what| match what {
            Happening::Entered { send, .. } => Some(*send),
            _ => None,
        })
        .await?;
        // The first news come after whoever enters hears the others.
        phone.wait("the first news of the room", |event| whole(event, call)).await?;
        Ok(Self { phone, call, flow, hz: 0.0, _speaking: None })
    }

    fn speak(&mut self, hz: f64) -> anyhow::Result<()> {
        let source = Source::tone(hz);
        self._speaking = Some(VoiceSender::start(&self.phone.client, self.flow, source, SenderOptions::default())?);
        self.hz = hz;
        Ok(())
    }

    fn ear(&self, flow: FlowId) -> anyhow::Result<Ear> {
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let hearing = VoiceReceiver::start(&self.phone.client, Some(self.call), flow, Sink::frames(sender))?;
        Ok(Ear { hearing, frames })
    }

    async fn act(&self, action: RoomAction) -> anyhow::Result<()> {
        Ok(self.phone.client.send(ClientMessage::Room { call: self.call, action }).await?)
    }

    async fn out(&mut self) -> anyhow::Result<RoomCause> {
        exited(&mut self.phone, self.call).await
    }

    /// Waits until a member is shown as `pick` says.
    async fn sees(&mut self, what: &str, pick: impl Fn(&RoomMember) -> bool) -> anyhow::Result<()> {
        let call = self.call;
        self.phone
            .wait(what, |event| match event {
                Event::Message(ServerMessage::RoomNews { call: of, news }) if *of == call => {
                    news.members.iter().any(&pick).then_some(())
                }
                _ => None,
            })
            .await
    }
}

fn whole(event: &Event, call: CallId) -> Option<()> {
    match event {
        Event::Message(ServerMessage::RoomNews { call: of, news }) => (*of == call && news.whole).then_some(()),
        _ => None,
    }
}

async fn happened<T>(
    phone: &mut Phone,
    call: CallId,
    what: &str,
    pick: impl Fn(&Happening) -> Option<T>,
) -> anyhow::Result<T> {
    let of_call = |event: &Event| match event {
        Event::Message(ServerMessage::Event(event)) if event.call == call => pick(&event.what),
        _ => None,
    };
    phone.wait(what, of_call).await
}

async fn exited(phone: &mut Phone, call: CallId) -> anyhow::Result<RoomCause> {
    happened(phone, call, "exited", |what| match what {
        Happening::Exited { cause, .. } => Some(*cause),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn three_in_a_room_hear_each_other_and_a_moderator_keeps_order() -> anyhow::Result<()> {
    let gateway = gateway_of_rooms().await?;
    let mut alice = Member::enter(&gateway, "alice", "all-hands", WebTransport).await?;
    let mut bob = Member::enter(&gateway, "bob", "all-hands", WebSocket).await?;
    let mut carol = Member::enter(&gateway, "carol", "all-hands", WebTransport).await?;
    for (member, hz) in [(&mut alice, 500.0), (&mut bob, 800.0), (&mut carol, 1_100.0)] {
        member.speak(hz)?;
    }
    let members = [&alice, &bob, &carol];
    for listener in members {
        let own = listener.ear(listener.flow)?;
        for talker in members.into_iter().filter(|talker| talker.flow != listener.flow) {
            let mut ear = listener.ear(talker.flow)?;
            let heard = ear.listen(|frame| sound::is_tone(frame, talker.hz)).await?;
            ensure!(heard, "{} does not hear {}", listener.phone.user, talker.phone.user);
        }
        let packets = own.hearing.reception().packets;
        ensure!(packets == 0, "{} gets {packets} packets of their own voice", listener.phone.user);
    }

    // One who mutes is heard no more; one whom the moderator silences neither, and cannot undo it.
    let (mut of_bob, mut of_carol) = (alice.ear(bob.flow)?, alice.ear(carol.flow)?);
    bob.phone.client.send(ClientMessage::Mute { call: bob.call }).await?;
    ensure!(of_bob.listen(sound::is_silent).await?, "bob is muted and still heard");
    alice.act(RoomAction::Silence { member: Some(carol.flow) }).await?;
    ensure!(of_carol.listen(sound::is_silent).await?, "carol is silenced and still heard");
    carol.phone.client.send(ClientMessage::Unmute { call: carol.call }).await?;
    bob.phone.client.send(ClientMessage::Unmute { call: bob.call }).await?;
    ensure!(of_bob.listen(|frame| sound::is_tone(frame, 800.0)).await?, "bob is not heard again");
    ensure!(of_carol.listen(sound::is_silent).await?, "carol undid the moderator's deed");
    let carols = carol.flow;
    bob.sees("carol silenced", |member| member.flow == carols && member.silenced).await?;
    carol.act(RoomAction::Kick { member: bob.flow }).await?;
    ensure!(carol.phone.refused().await? == tandem_switch::signal::ErrorCode::NotGranted);

    // Whoever is removed is out, and hears nothing more; a locked room lets nobody in.
    alice.act(RoomAction::Kick { member: bob.flow }).await?;
    ensure!(bob.out().await? == RoomCause::Kicked);
    ensure!(bob.phone.ended(bob.call).await? == Cause::Normal);
    ensure!(of_bob.listen(sound::is_silent).await?, "bob is out and still heard");
    alice.act(RoomAction::Lock).await?;
    let again = bob.phone.dial("all-hands").await?;
    ensure!(exited(&mut bob.phone, again).await? == RoomCause::Locked);
    ensure!(bob.phone.ended(again).await? == Cause::Closed);

    alice.act(RoomAction::End).await?;
    ensure!(carol.out().await? == RoomCause::Ended);
    ensure!(alice.phone.ended(alice.call).await? == Cause::Normal);
    Ok(())
}

/// 20 ms of silence, as Opus codes it.
fn packet(sequence: u16) -> BytesMut {
    let timestamp = u32::from(sequence) * rtp::FRAME_TICKS;
    let header = rtp::Header { marker: false, payload_type: rtp::OPUS_PAYLOAD_TYPE, sequence, timestamp, ssrc: 9 };
    let mut packet = BytesMut::new();
    header.write(None, &mut packet);
    packet.extend_from_slice(&[0xf8, 0xff, 0xfe]);
    packet
}

#[tokio::test]
async fn a_late_listener_of_a_channel_hears_the_very_next_packet() -> anyhow::Result<()> {
    let gateway = gateway_of_rooms().await?;
    let alice = Member::enter(&gateway, "alice", "news", WebTransport).await?;
    // She has been speaking for a while.
    for sequence in 0..50 {
        ensure!(alice.phone.client.send_rtp(alice.flow, &packet(sequence)), "a packet was not sent");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for (user, sequence, by) in [("bob", 50, WebTransport), ("carol", 51, WebSocket), ("dora", 52, WebTransport)] {
        let mut late = Member::enter(&gateway, user, "news", by).await?;
        let mut ear = late.ear(alice.flow)?;
        ensure!(alice.phone.client.send_rtp(alice.flow, &packet(sequence)), "a packet was not sent");
        match timeout(PATIENCE, ear.hearing.received(1)).await {
            Ok(true) => {}
            _ => bail!("{user} does not hear the first packet after coming in: {:?}", ear.hearing.reception()),
        }
        // What a listener says goes nowhere.
        ensure!(late.phone.client.send_rtp(late.flow, &packet(0)), "a packet was not sent");
        late.act(RoomAction::RaiseHand).await?;
        late.act(RoomAction::Lock).await?;
        ensure!(late.phone.refused().await? == tandem_switch::signal::ErrorCode::NotGranted);
    }
    gateway.await_metric("tandem_calls_room_members", 4.0).await?;
    Ok(())
}
