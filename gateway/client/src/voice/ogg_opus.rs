//! Ogg Opus files (RFC 7845): packets in and out as they are, without transcoding.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};

use super::{FRAME_SAMPLES, SAMPLE_HZ, VoiceError, file_error};
use crate::limits;

/// Samples at the start that a player leaves out: the encoder's delay at 48 kHz (libopus: 312).
const PRE_SKIP: u16 = 312;

/// Packets on a page: one second, so that a recording that is cut off loses little (RFC 7845 section 3 asks for no more).
const PAGE_PACKETS: u64 = 50;

/// Reads every packet of a file. Each sounds for one frame of 20 ms, which is all that receivers play of a packet.
pub(super) fn read(path: &Path) -> Result<Vec<Bytes>, VoiceError> {
    let file = File::open(path).map_err(|error| file_error(path, error))?;
    let mut reader = PacketReader::new(BufReader::new(file));
    let mut next = || reader.read_packet().map_err(|error| file_error(path, error));
    let head = next()?.ok_or_else(|| file_error(path, "the file is empty"))?;
    if !head.data.starts_with(b"OpusHead") || head.data.get(9).is_none_or(|&channels| channels == 0 || channels > 2) {
        return Err(file_error(path, "not Ogg Opus of one or two channels"));
    }
    let tags = next()?.ok_or_else(|| file_error(path, "the file ends after its first packet"))?;
    if !tags.data.starts_with(b"OpusTags") {
        return Err(file_error(path, "the second packet must be OpusTags"));
    }
    let mut packets = Vec::new();
    let mut total = 0;
    while let Some(packet) = next()? {
        let samples = duration(&packet.data).ok_or_else(|| file_error(path, "a packet that is not Opus"))? as usize;
        if samples != FRAME_SAMPLES {
            let millis = samples as f64 * 1000.0 / f64::from(SAMPLE_HZ);
            let message = format!("packets of {millis} ms; make it with `opusenc --framesize 20`");
            return Err(file_error(path, message));
        }
        if packet.data.len() > limits::OPUS_PACKET_BYTES_MAX {
            let message = format!("a packet of {} bytes does not fit a datagram", packet.data.len());
            return Err(file_error(path, message));
        }
        total += samples;
        if total > limits::SOUND_SAMPLES_MAX {
            return Err(VoiceError::TooLong(path.display().to_string()));
        }
        packets.push(packet.data.into());
    }
    Ok(packets)
}

/// How long a packet sounds, samples at 48 kHz. `None` when it is no Opus packet.
pub(super) fn duration(packet: &[u8]) -> Option<u32> {
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_HZ).ok()?;
    u32::try_from(samples).ok().filter(|&samples| samples > 0)
}

/// Writes packets as they are heard.
pub(super) struct Recording {
    writer: PacketWriter<'static, BufWriter<File>>,
    path: PathBuf,
    serial: u32,
    /// Samples up to and with the packet that waits.
    granule: u64,
    on_page: u64,
    /// The last packet waits, since its page must say whether it is the last of all.
    waiting: Option<Bytes>,
    /// The first byte of the last packet: what a lost one is stood in for by.
    toc: u8,
}

impl Recording {
    pub(super) fn create(path: &Path) -> Result<Self, VoiceError> {
        let file = File::create(path).map_err(|error| file_error(path, error))?;
        let mut writer = PacketWriter::new(BufWriter::new(file));
        let serial = rand::random();
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend_from_slice(&PRE_SKIP.to_le_bytes());
        head.extend_from_slice(&SAMPLE_HZ.to_le_bytes());
        head.extend_from_slice(&[0, 0, 0]);
        let vendor = concat!("tandem ", env!("CARGO_PKG_VERSION"));
        let mut tags = b"OpusTags".to_vec();
        tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
        tags.extend_from_slice(vendor.as_bytes());
        tags.extend_from_slice(&0u32.to_le_bytes());
        for packet in [head, tags] {
            let written = writer.write_packet(packet, serial, PacketWriteEndInfo::EndPage, 0);
            written.map_err(|error| file_error(path, error))?;
        }
        // A wide-band SILK frame of 20 ms, mono: stands in for what is lost before anything was heard.
        let toc = 9 << 3;
        Ok(Self { writer, path: path.to_owned(), serial, granule: 0, on_page: 0, waiting: None, toc })
    }

    /// Writes a packet; one that is not Opus is left out.
    pub(super) fn write(&mut self, packet: Bytes) -> Result<(), VoiceError> {
        let Some(samples) = duration(&packet) else { return Ok(()) };
        self.put_waiting(PacketWriteEndInfo::NormalPacket)?;
        // Whatever the number of frames was, one frame of the same kind stands in for a lost one.
        self.toc = packet[0] & !0b11;
        self.granule += u64::from(samples);
        self.waiting = Some(packet);
        Ok(())
    }

    /// Writes that 20 ms were lost: packets of a frame length of zero ask the decoder to conceal (RFC 7845 section 4.1).
    pub(super) fn lost(&mut self) -> Result<(), VoiceError> {
        let frame = opus::packet::get_samples_per_frame(&[self.toc], SAMPLE_HZ)?.max(1);
        for _ in 0..(FRAME_SAMPLES / frame).max(1) {
            self.write(Bytes::copy_from_slice(&[self.toc]))?;
        }
        Ok(())
    }

    /// Writes the last packet and closes the file.
    pub(super) fn finish(mut self) -> Result<(), VoiceError> {
        self.put_waiting(PacketWriteEndInfo::EndStream)?;
        let mut file = self.writer.into_inner();
        std::io::Write::flush(&mut file).map_err(|error| file_error(&self.path, error))
    }

    fn put_waiting(&mut self, end: PacketWriteEndInfo) -> Result<(), VoiceError> {
        let Some(packet) = self.waiting.take() else { return Ok(()) };
        self.on_page += 1;
        let end = match end {
            PacketWriteEndInfo::NormalPacket if self.on_page >= PAGE_PACKETS => PacketWriteEndInfo::EndPage,
            end => end,
        };
        if end != PacketWriteEndInfo::NormalPacket {
            self.on_page = 0;
        }
        let written = self.writer.write_packet(packet.to_vec(), self.serial, end, self.granule);
        written.map_err(|error| file_error(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: usize) -> Vec<Bytes> {
        let mut encoder = opus::Encoder::new(SAMPLE_HZ, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let silence = [0i16; FRAME_SAMPLES];
        (0..count).map(|_| encoder.encode_vec(&silence, 400).unwrap().into()).collect()
    }

    #[test]
    fn packets_come_back_as_they_were_written() {
        let path = std::env::temp_dir().join(format!("tandem-ogg-{}.opus", std::process::id()));
        let written = packets(120);
        let mut recording = Recording::create(&path).unwrap();
        for (index, packet) in written.iter().enumerate() {
            recording.write(packet.clone()).unwrap();
            if index == 59 {
                recording.lost().unwrap();
            }
        }
        recording.finish().unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read.len(), 121);
        let kept: Vec<_> = read.iter().filter(|packet| packet.len() > 1).collect();
        let sent: Vec<_> = written.iter().filter(|packet| packet.len() > 1).collect();
        assert_eq!(kept, sent);
        let last = last_granule(&path);
        assert_eq!(last, 121 * 960);
        std::fs::remove_file(path).unwrap();
    }

    fn last_granule(path: &Path) -> u64 {
        let mut reader = PacketReader::new(BufReader::new(File::open(path).unwrap()));
        let mut last = 0;
        while let Some(packet) = reader.read_packet().unwrap() {
            last = packet.absgp_page();
        }
        last
    }

    #[test]
    fn packets_of_another_length_than_a_frame_are_refused() {
        for (samples, millis) in [(120, "2.5"), (480, "10"), (1920, "40"), (2880, "60")] {
            let path = std::env::temp_dir().join(format!("tandem-ogg-{samples}-{}.opus", std::process::id()));
            let mut encoder = opus::Encoder::new(SAMPLE_HZ, opus::Channels::Mono, opus::Application::Voip).unwrap();
            let mut recording = Recording::create(&path).unwrap();
            recording.write(packets(1).remove(0)).unwrap();
            recording.write(encoder.encode_vec(&vec![0; samples], 400).unwrap().into()).unwrap();
            recording.finish().unwrap();
            let error = read(&path).unwrap_err().to_string();
            let words = format!("packets of {millis} ms; make it with `opusenc --framesize 20`");
            assert!(error.ends_with(&words), "{error}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_ogg_opus_is_refused() {
        let path = std::env::temp_dir().join(format!("tandem-not-ogg-{}.opus", std::process::id()));
        std::fs::write(&path, b"hello, I am no sound").unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
