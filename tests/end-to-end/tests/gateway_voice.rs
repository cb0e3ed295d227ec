//! The gateway speaks, listens and records: menus, messages, recordings, and what is left of them after `kill -9`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tandem_audio::ogg_opus::{Reader, Sound};
use tandem_client::TransportChoice::WebTransport;
use tandem_end_to_end::{CALLEE_HZ, CALLER_HZ, Gateway, Phone, sound};
use tandem_switch::cause::Cause;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// ITU-T E.180's dial tone.
const DIAL_TONE_HZ: f64 = 425.0;

/// Messages that are being left when the gateway is killed.
const RECORDINGS: usize = 20;

/// How long they are by then.
const SPOKEN: Duration = Duration::from_secs(4);

/// What a killed gateway may lose of each, milliseconds.
const LOST_MS_MAX: u128 = 1_000;

/// What a developer's server answers to a call's event.
type Decide = fn(&Value) -> Value;

/// A gateway of these users whose calls are routed by `decide`.
async fn routed_by(decide: Decide, users: &[String]) -> anyhow::Result<Gateway> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let route = async move |Json(question): Json<Value>| Json(decide(&question["event"]));
    // Ends with the test's runtime.
    tokio::spawn(axum::serve(listener, Router::new().route("/", post(route))).into_future());
    let users = users.iter().flat_map(|user| ["--user", user]);
    Gateway::dev(&["--router", &url].into_iter().chain(users).collect::<Vec<_>>()).await
}

fn names(users: &[&str]) -> Vec<String> {
    users.iter().map(|user| (*user).to_owned()).collect()
}

async fn sign_in(gateway: &Gateway, user: &str) -> anyhow::Result<Phone> {
    Phone::with_token(gateway, user, &gateway.demo_token(user)?, WebTransport).await
}

fn ring_alice() -> Value {
    let targets = [json!({ "address": { "user": "alice" } })];
    json!({ "dial": { "targets": targets, "strategy": "at-once", "ring-timeout": 20000 } })
}

fn take_message(_event: &Value) -> Value {
    json!({ "steps": [
        { "play": { "source": { "tone": "dial" }, "times": 3 } },
        { "voicemail": { "mailbox": "alice", "max-duration": 60000 } },
    ] })
}

/// All recordings in a folder.
fn recordings(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(recordings(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "ogg") {
            found.push(path);
        }
    }
    Ok(found)
}

/// A file's sound; a torn last page is left out.
fn heard(path: &Path) -> anyhow::Result<Vec<i16>> {
    let mut sound = Sound::new(Reader::open(File::open(path)?)?)?;
    let mut samples = Vec::new();
    while sound.read(&mut samples)? {}
    Ok(samples.into_iter().map(tandem_audio::pcm::to_i16).collect())
}

/// The share of frames of 20 ms that are a tone of `hz`.
fn share_of_tone(samples: &[i16], hz: f64) -> f64 {
    let frames: Vec<_> = samples.chunks_exact(960).collect();
    let tones = frames.iter().filter(|frame| sound::share_at(frame, hz) > 0.8).count();
    tones as f64 / frames.len().max(1) as f64
}

#[tokio::test]
async fn a_menu_is_heard_a_key_cuts_it_off_and_routes_the_call() -> anyhow::Result<()> {
    let menu = |event: &Value| match &event["consulted"]["outcome"]["gathered"]["digits"] {
        Value::String(digits) if digits == "1" => json!({ "steps": [ring_alice()] }),
        Value::String(_) => json!({ "steps": [{ "hangup": "normal" }] }),
        _ => json!({ "steps": [
            { "gather": {
                "min-digits": 1, "max-digits": 1, "first-digit-timeout": 20000, "inter-digit-timeout": 5000,
                "prompt": { "tone": "dial" }, "barge-in": true,
            } },
            { "consult": "menu" },
        ] }),
    };
    let gateway = routed_by(menu, &names(&["alice", "carol"])).await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let mut carol = sign_in(&gateway, "carol").await?;
    let call = carol.dial("menu").await?;
    carol.answered(call, CALLER_HZ).await?;
    carol.hears(DIAL_TONE_HZ).await?;
    carol.presses(call, "1").await?;
    ensure!(alice.rings().await? == call, "another call rings");
    carol.hears_nothing().await?;
    alice.client.answer(call).await?;
    carol.connected(call, CALLER_HZ).await?;
    alice.connected(call, CALLEE_HZ).await?;
    carol.hears(CALLEE_HZ).await?;
    alice.hears(CALLER_HZ).await?;
    carol.hang_up(call).await?;
    assert_eq!(alice.ended(call).await?, Cause::Normal);
    Ok(())
}

#[tokio::test]
async fn a_message_is_what_was_said_after_the_beep() -> anyhow::Result<()> {
    let gateway = routed_by(take_message, &names(&["alice", "carol"])).await?;
    let mut carol = sign_in(&gateway, "carol").await?;
    let call = carol.dial("alice").await?;
    carol.answered(call, CALLER_HZ).await?;
    carol.hears(DIAL_TONE_HZ).await?;
    gateway.await_metric("tandem_audio_recordings", 1.0).await?;
    carol.hears_nothing().await?;
    let begun = Instant::now();
    tokio::time::sleep(SPOKEN).await;
    let spoken = begun.elapsed();
    carol.hang_up(call).await?;
    carol.ended(call).await?;
    gateway.await_metric("tandem_audio_recordings_ended_total", 1.0).await?;
    let files = recordings(gateway.folder())?;
    let [file] = &files[..] else { anyhow::bail!("one file: {files:?}") };
    let samples = heard(file)?;
    let length = Duration::from_millis(samples.len() as u64 / 48);
    ensure!(length + Duration::from_millis(200) > spoken, "{length:?} of {spoken:?}");
    let share = share_of_tone(&samples, CALLER_HZ);
    ensure!(share > 0.9, "{share} of it is what was said");
    ensure!(gateway.metrics().await?.contains(r#"recordings_ended_total{outcome="kept"} 1"#), "it is kept");
    Ok(())
}

#[tokio::test]
async fn both_voices_of_a_recorded_call_are_in_its_files() -> anyhow::Result<()> {
    let recorded = |_: &Value| json!({ "steps": [{ "record": { "action": "start", "legs": "both" } }, ring_alice()] });
    let gateway = routed_by(recorded, &names(&["alice", "carol"])).await?;
    let mut alice = sign_in(&gateway, "alice").await?;
    let mut carol = sign_in(&gateway, "carol").await?;
    let call = carol.talk_with(&mut alice).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    carol.hang_up(call).await?;
    carol.ended(call).await?;
    gateway.await_metric("tandem_audio_recordings_ended_total", 1.0).await?;
    let mut files = recordings(gateway.folder())?;
    files.sort();
    let sounds = files.iter().map(|file| heard(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let [caller, callee] = &sounds[..] else { anyhow::bail!("two files: {files:?}") };
    ensure!(caller.len().abs_diff(callee.len()) <= 960, "{} and {} samples", caller.len(), callee.len());
    for (samples, hz) in [(caller, CALLER_HZ), (callee, CALLEE_HZ)] {
        let share = share_of_tone(samples, hz);
        ensure!(share > 0.8 && samples.len() > 2 * 48_000, "{share} of {} samples is {hz} Hz", samples.len());
    }
    Ok(())
}

/// Leaves a message for as long as the gateway lives.
async fn leave_message(gateway: &Gateway, user: &str) -> anyhow::Result<Phone> {
    let mut phone = sign_in(gateway, user).await?;
    let call = phone.dial("alice").await?;
    phone.answered(call, CALLER_HZ).await?;
    Ok(phone)
}

#[tokio::test]
async fn a_kill_costs_recordings_a_second_at_most() -> anyhow::Result<()> {
    let mut users = names(&["alice"]);
    users.extend((0..RECORDINGS).map(|number| format!("caller-{number}")));
    let mut gateway = routed_by(take_message, &users).await?;
    let mut phones = JoinSet::new();
    let shared = std::sync::Arc::new(gateway);
    for user in users.split_off(1) {
        let gateway = std::sync::Arc::clone(&shared);
        phones.spawn(async move { leave_message(&gateway, &user).await });
    }
    let _phones = phones.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    gateway = std::sync::Arc::into_inner(shared).context("nobody else holds it")?;
    gateway.await_metric("tandem_audio_recordings", RECORDINGS as f64).await?;
    let begun = Instant::now();
    tokio::time::sleep(SPOKEN).await;
    let spoken = begun.elapsed().as_millis();
    gateway.signal("KILL").await?;
    gateway.ended().await?;
    let mut lengths = Vec::new();
    for file in recordings(gateway.folder())? {
        let samples = heard(&file).with_context(|| format!("{} does not open", file.display()))?;
        let share = share_of_tone(&samples, CALLER_HZ);
        ensure!(share > 0.8, "{}: {share} of it is what was said", file.display());
        lengths.push(samples.len() as u128 / 48);
    }
    ensure!(lengths.len() == RECORDINGS, "{} files of {RECORDINGS}", lengths.len());
    ensure!(lengths.iter().all(|length| length + LOST_MS_MAX >= spoken), "of {spoken} ms: {lengths:?}");
    Ok(())
}
