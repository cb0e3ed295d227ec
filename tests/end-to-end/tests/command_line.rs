//! `tandem call`: the telephone for the command line, by its output, its files and its exit code.

use std::path::Path;
use std::process::Output;

use anyhow::Context;
use tandem_client::TransportChoice::WebTransport;
use tandem_client::voice::Frame;
use tandem_end_to_end::{Gateway, PATIENCE, Phone, Settings, sound, token};
use tandem_switch::cause::Cause;
use tandem_switch::signal::{ClientMessage, Happening};
use tokio::process::Command;
use tokio::time::timeout;

fn call(gateway: &Gateway, user: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(gateway.binary());
    command.arg("call").args(arguments).env("TANDEM_TOKEN", token::good(user)).kill_on_drop(true);
    command.args(["--gateway", &format!("https://{}", gateway.media_address())]);
    command.args(["--certificate-hash", gateway.certificate_hash()]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

async fn outcome(mut command: Command) -> anyhow::Result<Output> {
    timeout(PATIENCE, command.output()).await.context("tandem call does not end")?.context("tandem call")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// How long a tone of `hz` is to be heard in a WAV file, in frames of 20 ms.
fn tone_frames(path: &Path, hz: f64) -> anyhow::Result<usize> {
    let samples = hound::WavReader::open(path)?.into_samples::<i16>().collect::<Result<Vec<_>, _>>()?;
    let frames = samples.as_chunks::<{ tandem_client::voice::FRAME_SAMPLES }>().0;
    Ok(frames.iter().filter(|frame: &&Frame| sound::is_tone(frame, hz)).count())
}

#[tokio::test]
async fn two_command_lines_talk_and_record_each_other() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let heard_by_bob = gateway.folder().join("bob.wav");
    let heard_by_alice = gateway.folder().join("alice.opus");
    let (bob_file, alice_file) = (heard_by_bob.display().to_string(), heard_by_alice.display().to_string());
    let answering = call(&gateway, "bob", &["--wait", "--answer", "auto", "--tone", "800", "--record", &bob_file]);
    let answering = tokio::spawn(outcome(answering));
    gateway.await_metric("tandem_media_links", 1.0).await?;
    let alice = ["--to", "bob", "--tone", "500", "--record", &alice_file, "--duration", "2s", "--json"];
    let called = outcome(call(&gateway, "alice", &alice)).await?;
    assert_eq!(called.status.code(), Some(0), "{}", text(&called));
    let answered = answering.await??;
    assert_eq!(answered.status.code(), Some(0), "{}", text(&answered));
    assert!(text(&answered).contains("Connected with alice."), "{}", text(&answered));
    assert!(tone_frames(&heard_by_bob, 500.0)? > 50, "most of two seconds");
    let events: Vec<serde_json::Value> =
        String::from_utf8(called.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["signed-in", "calling", "ringing", "connected", "ended", "figures"]);
    assert!(events[5]["heard"]["packets"].as_u64().is_some_and(|packets| packets > 50), "{}", events[5]);
    // What was recorded as it came can be said again, without transcoding.
    let mut dave = Phone::sign_in(&gateway, "dave", WebTransport).await?;
    let playing = tokio::spawn(outcome(call(&gateway, "carol", &["--to", "dave", "--play", &alice_file])));
    let ringing = dave.rings().await?;
    dave.client.answer(ringing).await?;
    dave.connected(ringing, 500.0).await?;
    dave.hears(800.0).await?;
    dave.hang_up(ringing).await?;
    assert_eq!(playing.await??.status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn the_exit_code_says_how_the_call_went() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings { ring_seconds: 1, ..Settings::default() }).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    for (cause, code) in [(Some(Cause::Busy), 10), (None, 12)] {
        let calling = tokio::spawn(outcome(call(&gateway, "alice", &["--to", "bob"])));
        let ringing = bob.rings().await?;
        bob.client.send(ClientMessage::Decline { call: ringing, cause }).await?;
        let output = calling.await??;
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    }
    for (to, code) in [("bob", 11), ("nobody", 13), ("alice", 16)] {
        let output = outcome(call(&gateway, "alice", &["--to", to])).await?;
        assert_eq!(output.status.code(), Some(code), "{to}: {}", text(&output));
    }
    let output = outcome(call(&gateway, "alice", &["--to", "bob", "--play", "/nowhere.wav"])).await?;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("/nowhere.wav"), "{}", text(&output));
    Ok(())
}

#[tokio::test]
async fn an_interrupt_hangs_up() -> anyhow::Result<()> {
    let gateway = Gateway::start(Settings::default()).await?;
    let mut bob = Phone::sign_in(&gateway, "bob", WebTransport).await?;
    let calling = call(&gateway, "alice", &["--to", "bob", "--dtmf", "42"]).spawn()?;
    let ringing = bob.rings().await?;
    bob.client.answer(ringing).await?;
    bob.told(ringing, Happening::Dtmf { digits: "42".to_owned() }).await?;
    let pid = calling.id().context("tandem call has ended")?.to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().await?.success());
    assert_eq!(bob.ended(ringing).await?, Cause::Normal);
    let output = timeout(PATIENCE, calling.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    Ok(())
}
