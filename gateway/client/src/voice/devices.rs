//! This machine's microphone and loudspeaker. The streams are not `Send` on every platform, so each lives on a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, StreamConfig};

use super::{FRAME_SAMPLES, Frame, SAMPLE_HZ, VoiceError};

/// Frames between the sound card and the call: 200 ms. When it is full the newest is dropped.
const FRAMES_MAX: usize = 10;

fn device_error(error: impl ToString) -> VoiceError {
    VoiceError::Device(error.to_string())
}

/// A thread that holds a stream until `stop` is dropped.
struct Card {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card")
    }
}

impl Card {
    fn open(build: impl FnOnce() -> Result<cpal::Stream, VoiceError> + Send + 'static) -> Result<Self, VoiceError> {
        let (stop, stopped) = sync_channel::<()>(0);
        let (ready, outcome) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let stream = build().and_then(|stream| stream.play().map_err(device_error).map(|()| stream));
            let (kept, told) = match stream {
                Ok(stream) => (Some(stream), Ok(())),
                Err(error) => (None, Err(error)),
            };
            if ready.send(told).is_ok() && kept.is_some() {
                // Nothing is ever sent: the wait ends when the other end is dropped.
                let _dropped = stopped.recv();
            }
        });
        outcome.recv().map_err(device_error)??;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn config(channels: u16) -> StreamConfig {
    StreamConfig { channels, sample_rate: SAMPLE_HZ, buffer_size: BufferSize::Default }
}

/// The default microphone.
#[derive(Debug)]
pub(super) struct Microphone {
    samples: Receiver<Vec<i16>>,
    waiting: VecDeque<i16>,
    _card: Card,
}

impl Microphone {
    pub(super) fn open() -> Result<Self, VoiceError> {
        let (sender, samples) = sync_channel(FRAMES_MAX);
        let card = Card::open(move || {
            let device = cpal::default_host().default_input_device().ok_or_else(|| device_error("no microphone"))?;
            let heard = move |data: &[i16], _: &cpal::InputCallbackInfo| {
                if sender.try_send(data.to_vec()).is_err() {
                    tracing::trace!("the call does not keep up with the microphone");
                }
            };
            let failed = |error| tracing::warn!(%error, "microphone");
            device.build_input_stream(config(1), heard, failed, None).map_err(device_error)
        })?;
        Ok(Self { samples, waiting: VecDeque::new(), _card: card })
    }

    /// The next frame; silence where the sound card has not brought enough.
    pub(super) fn read(&mut self, frame: &mut Frame) {
        while self.waiting.len() < FRAME_SAMPLES {
            match self.samples.try_recv() {
                Ok(more) => self.waiting.extend(more),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
        for (sample, heard) in frame.iter_mut().zip(self.waiting.drain(..FRAME_SAMPLES)) {
            *sample = heard;
        }
    }
}

/// The default loudspeaker.
#[derive(Debug)]
pub(super) struct Loudspeaker {
    frames: SyncSender<Frame>,
    _card: Card,
}

impl Loudspeaker {
    pub(super) fn open() -> Result<Self, VoiceError> {
        let (frames, incoming) = sync_channel::<Frame>(FRAMES_MAX);
        let card = Card::open(move || {
            let device = cpal::default_host().default_output_device().ok_or_else(|| device_error("no loudspeaker"))?;
            let mut waiting = VecDeque::new();
            let wanted = move |data: &mut [i16], _: &cpal::OutputCallbackInfo| {
                while waiting.len() < data.len() {
                    match incoming.try_recv() {
                        Ok(frame) => waiting.extend(frame),
                        Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                    }
                }
                data.fill_with(|| waiting.pop_front().unwrap_or(0));
            };
            let failed = |error| tracing::warn!(%error, "loudspeaker");
            device.build_output_stream(config(1), wanted, failed, None).map_err(device_error)
        })?;
        Ok(Self { frames, _card: card })
    }

    pub(super) fn write(&self, frame: &Frame) {
        if self.frames.try_send(*frame).is_err() {
            tracing::trace!("the loudspeaker does not keep up with the call");
        }
    }
}
