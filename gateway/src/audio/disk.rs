//! The threads that write recordings: one writes pages as they come, one makes what was written stay. A disk that is slow, full, read-only
//! or gone ends recordings, never calls.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use tandem_audio::ogg_opus::{OggError, Writer, WriterOptions, repair};
use tandem_audio::pcm::MediaTime;
use tandem_switch::audio::RecordingId;
use tokio::sync::{mpsc, oneshot};

use super::limits;
use super::metrics::AudioMetrics;

/// What the thread that writes is to do.
pub(super) enum Order {
    /// Packets may come from now on, for these files. What goes wrong is told to `failed`, once.
    Begin { recording: RecordingId, files: Vec<PathBuf>, failed: Failed },
    /// A packet of a track, by its place among the files.
    Packet { recording: RecordingId, track: usize, at: MediaTime, packet: Bytes },
    /// So long is the recording by now, whether anybody speaks or not.
    Advance { recording: RecordingId, now: MediaTime },
    /// The recording ends here. Answered with whether all of it is there.
    Finish { recording: RecordingId, end: MediaTime, done: oneshot::Sender<bool> },
}

/// Is told why a recording broke off.
pub(super) type Failed = Box<dyn FnOnce(String) + Send + Sync>;

/// The orders' way in.
pub(super) type Orders = mpsc::Sender<Order>;

/// The two threads.
#[derive(Debug)]
pub(super) struct Disk {
    threads: Vec<thread::JoinHandle<()>>,
}

impl Disk {
    /// Starts them. They end when nobody can give orders any more.
    pub(super) fn start(metrics: &AudioMetrics) -> std::io::Result<(Orders, Self)> {
        let (orders, mut queue) = mpsc::channel(limits::DISK_ORDERS_MAX);
        let (written, to_sync) = std::sync::mpsc::channel();
        let failures = metrics.sync_failures.clone();
        let sync =
            thread::Builder::new().name("recording-sync".into()).spawn(move || Syncer::new(failures).run(&to_sync))?;
        let write = thread::Builder::new().name("recording-write".into()).spawn(move || {
            let mut disk = Writing { open: HashMap::new(), written };
            while let Some(order) = queue.blocking_recv() {
                disk.carry_out(order);
            }
        })?;
        Ok((orders, Self { threads: vec![write, sync] }))
    }

    /// Waits for the threads' end.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that writes recordings panicked");
            }
        }
    }
}

/// A file that is written, and whether there is something in it to sync.
#[derive(Debug)]
struct Page {
    file: File,
    is_dirty: AtomicBool,
}

/// Writes straight to the file.
#[derive(Debug)]
struct Pages(Arc<Page>);

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = (&self.0.file).write(bytes);
        self.0.is_dirty.store(true, Ordering::Release);
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Track {
    path: PathBuf,
    /// Made with the first packet: of a leg that never says anything there is no file.
    writer: Option<Writer<Pages>>,
}

struct Recording {
    tracks: Vec<Track>,
    /// Until it breaks off.
    failed: Option<Failed>,
}

struct Writing {
    open: HashMap<RecordingId, Recording>,
    written: std::sync::mpsc::Sender<Weak<Page>>,
}

impl Writing {
    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Begin { recording, files, failed } => {
                let tracks = files.into_iter().map(|path| Track { path, writer: None }).collect();
                self.open.insert(recording, Recording { tracks, failed: Some(failed) });
            }
            Order::Packet { recording, track, at, packet } => {
                let written = &self.written;
                with(&mut self.open, recording, |open| {
                    let Some(track) = open.tracks.get_mut(track) else { return Ok(()) };
                    track.writer(at, written)?.append(at, packet)
                });
            }
            Order::Advance { recording, now } => with(&mut self.open, recording, |open| {
                let mut writers = open.tracks.iter_mut().filter_map(|track| track.writer.as_mut());
                writers.try_for_each(|writer| writer.advance(now))
            }),
            Order::Finish { recording, end, done } => {
                // Nobody waits any more: the node stops.
                let _ = done.send(self.open.remove(&recording).is_some_and(|open| open.finish(end)));
            }
        }
    }
}

/// Does something with a recording that has not broken off; it does when that fails.
fn with(
    all: &mut HashMap<RecordingId, Recording>,
    recording: RecordingId,
    work: impl FnOnce(&mut Recording) -> Result<(), OggError>,
) {
    let Some(open) = all.get_mut(&recording).filter(|open| open.failed.is_some()) else { return };
    if let Err(error) = work(open)
        && let Some(failed) = open.failed.take()
    {
        tracing::warn!(%recording, %error, "a recording broke off; the call goes on");
        open.tracks.iter_mut().for_each(Track::break_off);
        failed(format!("the recording cannot be written: {error}"));
    }
}

impl Recording {
    /// Closes all files. Whether all is there.
    fn finish(self, end: MediaTime) -> bool {
        let mut is_whole = self.failed.is_some();
        for track in self.tracks {
            let Some(writer) = track.writer else { continue };
            match writer.finish_at(end) {
                Ok(Pages(page)) => is_whole &= page.file.sync_data().is_ok(),
                Err(error) => {
                    tracing::warn!(%error, "a recording's end could not be written");
                    is_whole = false;
                    mend(&track.path);
                }
            }
        }
        is_whole
    }
}

impl Track {
    /// The writer; with the first packet the file is made.
    fn writer(
        &mut self,
        at: MediaTime,
        written: &std::sync::mpsc::Sender<Weak<Page>>,
    ) -> Result<&mut Writer<Pages>, OggError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
                let page = Arc::new(Page { file, is_dirty: AtomicBool::new(false) });
                let pages = Pages(Arc::clone(&page));
                let options = WriterOptions { serial: rand::random(), ..WriterOptions::default() };
                let mut writer = Writer::create(pages, options)?;
                // A voice that comes late in a long recording begins with silence.
                let mut from = MediaTime(0);
                while at.0.saturating_sub(from.0) > SILENCE_PIECE {
                    from = from.plus(SILENCE_PIECE);
                    writer.advance(from)?;
                }
                // An error means that the other thread is gone, and the node about to stop.
                let _ = written.send(Arc::downgrade(&page));
                writer
            }
        };
        Ok(self.writer.insert(writer))
    }

    /// Nothing comes any more: what was written until now is made a whole file, if the disk lets us.
    fn break_off(&mut self) {
        if self.writer.take().is_some() {
            mend(&self.path);
        }
    }
}

/// The silence that is filled in at once, samples: half an hour, less than the writer allows.
const SILENCE_PIECE: u64 = 30 * 60 * 48_000;

/// Takes a torn page from the end. When that fails too, readers do it.
fn mend(path: &PathBuf) {
    let mended = OpenOptions::new().read(true).write(true).open(path).map_err(OggError::from);
    if let Err(error) = mended.and_then(|mut file| repair(&mut file)) {
        tracing::debug!(%error, "a recording that broke off could not be ended properly");
    }
}

/// Makes what was written stay, in turn, each file at most once in [`limits::SYNC_INTERVAL`].
struct Syncer {
    files: Vec<Weak<Page>>,
    failures: prometheus_client::metrics::counter::Counter,
}

impl Syncer {
    fn new(failures: prometheus_client::metrics::counter::Counter) -> Self {
        Self { files: Vec::new(), failures }
    }

    fn run(mut self, news: &std::sync::mpsc::Receiver<Weak<Page>>) {
        let mut due = Instant::now() + limits::SYNC_INTERVAL;
        loop {
            let wait = if self.files.is_empty() {
                news.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                news.recv_timeout(due.saturating_duration_since(Instant::now()))
            };
            match wait {
                Ok(page) => self.files.push(page),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= due {
                self.sync();
                due = Instant::now() + limits::SYNC_INTERVAL;
            }
        }
    }

    fn sync(&mut self) {
        self.files.retain(|page| page.strong_count() > 0);
        for page in self.files.iter().filter_map(Weak::upgrade) {
            if page.is_dirty.swap(false, Ordering::AcqRel)
                && let Err(error) = page.file.sync_data()
            {
                self.failures.inc();
                tracing::warn!(%error, "what was recorded may not survive a loss of power");
            }
        }
    }
}
