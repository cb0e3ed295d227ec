//! Ogg Opus files: true in time, readable by others, playable when cut off at any byte, repaired.

use std::cell::RefCell;
use std::io::Cursor;
use std::rc::Rc;

use bytes::Bytes;
use proptest::prelude::*;
use tandem_audio::ogg_opus::{OggError, Reader, Sound, TimedPacket, Writer, WriterOptions, repair};
use tandem_audio::opus::{Encoder, EncoderOptions, PACKET_BYTES_MAX};
use tandem_audio::pcm::{FRAME_SAMPLES, MediaTime};

/// What a recording that is cut off may lose: a page and what waits for packets that are out of order.
const LOST_MAX: u64 = 48_000;

/// A tone of 500 Hz as packets of `samples`.
fn packets(count: usize, samples: usize) -> Vec<Bytes> {
    let mut encoder = Encoder::new(EncoderOptions::default()).unwrap();
    let mut packet = [0; PACKET_BYTES_MAX];
    let tone = |n: usize| ((n as f64 * std::f64::consts::TAU / 96.0).sin() * 9_000.0) as i16;
    let encode = |index: usize| {
        let frame: Vec<i16> = (index * samples..(index + 1) * samples).map(tone).collect();
        let bytes = encoder.encode(&frame, &mut packet).unwrap();
        Bytes::copy_from_slice(&packet[..bytes])
    };
    (0..count).map(encode).collect()
}

fn frame(index: usize) -> MediaTime {
    MediaTime((index * FRAME_SAMPLES) as u64)
}

fn write(packets: &[(MediaTime, Bytes)]) -> Vec<u8> {
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    for (at, packet) in packets {
        writer.append(*at, packet.clone()).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<(Vec<TimedPacket>, bool, bool), OggError> {
    let mut reader = Reader::open(bytes)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.read()? {
        packets.push(packet);
    }
    Ok((packets, reader.is_torn(), reader.is_ended()))
}

fn listen(bytes: &[u8]) -> Vec<f32> {
    let mut sound = Sound::new(Reader::open(bytes).unwrap()).unwrap();
    let mut out = Vec::new();
    while sound.read(&mut out).unwrap() {}
    out
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

#[test]
fn packets_come_back_as_they_were_written() {
    for samples in [120, 240, 480, 960, 1920, 2880] {
        let written: Vec<_> = packets(300, samples).into_iter().enumerate().collect();
        let written: Vec<_> =
            written.into_iter().map(|(index, packet)| (MediaTime((index * samples) as u64), packet)).collect();
        let (read, torn, ended) = read(&write(&written)).unwrap();
        let got: Vec<_> = read.iter().map(|packet| (packet.at, packet.bytes.clone())).collect();
        assert!(got == written, "{samples} samples: what came back is not what was written");
        assert_eq!((torn, ended), (false, true), "{samples} samples");
    }
}

#[test]
fn others_read_what_is_written() {
    let written: Vec<_> = packets(120, 960).into_iter().enumerate().map(|(at, packet)| (frame(at), packet)).collect();
    let bytes = write(&written);
    let mut reader = ogg::PacketReader::new(Cursor::new(&bytes));
    assert!(reader.read_packet().unwrap().unwrap().data.starts_with(b"OpusHead"));
    assert!(reader.read_packet().unwrap().unwrap().data.starts_with(b"OpusTags"));
    for (index, (_, packet)) in written.iter().enumerate() {
        let got = reader.read_packet().unwrap().unwrap();
        assert_eq!(got.data, packet[..]);
        assert_eq!(got.last_in_stream(), index == 119);
        if got.last_in_page() {
            assert_eq!(got.absgp_page(), frame(index + 1).0);
        }
    }
}

#[test]
fn what_others_write_is_read() {
    use ogg::{PacketWriteEndInfo, PacketWriter};
    let written = packets(60, 960);
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes);
    writer.write_packet(&b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..], 9, PacketWriteEndInfo::EndPage, 0).unwrap();
    // Comments over several pages, as a cover picture makes them.
    let mut tags = b"OpusTags\x03\0\0\0abc\x01\0\0\0".to_vec();
    tags.extend_from_slice(&100_000u32.to_le_bytes());
    tags.resize(tags.len() + 100_000, b'x');
    writer.write_packet(tags, 9, PacketWriteEndInfo::EndPage, 0).unwrap();
    // A stream that was joined late begins at any granule position, and ends within its last packet.
    for (index, packet) in written.iter().enumerate() {
        let (end, trim) = match index {
            29 => (PacketWriteEndInfo::EndPage, 0),
            59 => (PacketWriteEndInfo::EndStream, 500),
            _ => (PacketWriteEndInfo::NormalPacket, 0),
        };
        writer.write_packet(packet.to_vec(), 9, end, 7_000_000 + frame(index + 1).0 - trim).unwrap();
    }
    let reader = Reader::open(&bytes[..]).unwrap();
    assert_eq!((reader.head().channels, reader.head().pre_skip), (2, 312));
    assert_eq!((reader.tags().vendor.as_str(), reader.tags().comments[0].len()), ("abc", 100_000));
    let (read, torn, ended) = read(&bytes).unwrap();
    assert_eq!((read.len(), torn, ended), (60, false, true));
    assert_eq!((read[0].at, read[59].at, read[59].samples), (MediaTime(0), frame(59), 460));
    assert_eq!(listen(&bytes).len(), 60 * 960 - 500 - 312);
}

#[test]
fn a_gap_is_silence_and_what_comes_after_it_is_in_its_place() {
    let sound = packets(200, 960);
    let mut written = Vec::new();
    for (index, packet) in sound.iter().enumerate() {
        // Three frames lost; a pause of 1.005 s; and 3 ms more.
        let gap = match index {
            0..50 => 0,
            50..100 => 3 * 960,
            100..150 => 3 * 960 + 48_240,
            _ => 3 * 960 + 48_240 + 144,
        };
        written.push((frame(index).plus(gap), packet.clone()));
    }
    let bytes = write(&written);
    let (read, _, _) = read(&bytes).unwrap();
    for (at, packet) in &written {
        let there = read.iter().filter(|read| read.bytes == *packet).any(|read| read.at.0.abs_diff(at.0) < 120);
        assert!(there, "the packet of {at:?} is not in its place");
    }
    // Nothing is missing between packets: players that know no granule positions keep the time too.
    assert!(read.windows(2).all(|two| two[0].at.0 + u64::from(two[0].samples) == two[1].at.0));
    let heard = listen(&bytes);
    let pause = 103 * 960 + 6 * 960..103 * 960 + 48_000 - 960;
    assert!(power(&heard[pause.clone()]) < 1e-6, "{}", power(&heard[pause.clone()]));
    assert!(power(&heard[pause.start - 10 * 960..pause.start - 7 * 960]) > 0.01);
    assert!(power(&heard[pause.end + 5 * 960..pause.end + 20 * 960]) > 0.01);
}

#[test]
fn packets_out_of_order_are_put_in_order_and_late_ones_left_out() {
    let sound = packets(100, 960);
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    let order = (0..100).map(|index| {
        if index % 10 == 3 {
            index + 4
        } else if index % 10 == 7 {
            index - 4
        } else {
            index
        }
    });
    for index in order {
        writer.append(frame(index), sound[index].clone()).unwrap();
    }
    writer.append(frame(99), sound[99].clone()).unwrap();
    writer.append(frame(10), sound[10].clone()).unwrap();
    writer.append(frame(100), Bytes::from_static(&[0xff, 0xff])).unwrap();
    let counters = writer.counters();
    assert_eq!((counters.packets, counters.late, counters.refused, counters.filled), (100, 2, 1, 0));
    let (read, _, _) = read(&writer.finish().unwrap()).unwrap();
    assert!(read.into_iter().map(|packet| packet.bytes).eq(sound), "not in the order in which they sound");
}

#[test]
fn time_that_passes_in_silence_is_written_too() {
    let sound = packets(5, 960);
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    for (index, packet) in sound.into_iter().enumerate() {
        writer.append(frame(index), packet).unwrap();
    }
    for second in 1..=10 {
        writer.advance(MediaTime(second * 48_000)).unwrap();
    }
    assert!(writer.position().0 + LOST_MAX > 480_000);
    let bytes = writer.finish_at(MediaTime(500_000)).unwrap();
    let (read, _, ended) = read(&bytes).unwrap();
    let last = read.last().unwrap();
    let end = last.at.0 + u64::from(last.samples);
    assert!(ended && end.abs_diff(500_000) < 120, "{end}");
}

#[test]
fn more_than_an_hour_of_nothing_is_refused() {
    let packet = packets(1, 960).remove(0);
    let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
    let error = writer.append(MediaTime(3601 * 48_000), packet.clone()).unwrap_err().to_string();
    assert_eq!(error, "a packet 3601 s after the one before it; at most 3600 s are filled with silence");
    writer.append(MediaTime(3599 * 48_000), packet).unwrap();
    assert!(writer.finish().unwrap().len() < 1_000_000);
}

/// Takes so many bytes, and no more.
struct Full(Vec<u8>, usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.1.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(&bytes[..room]);
        if room == 0 { Err(std::io::Error::from(std::io::ErrorKind::StorageFull)) } else { Ok(room) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_never_written_over() {
    let mut full = Full(Vec::new(), 5_000);
    let mut writer = Writer::create(&mut full, WriterOptions::default()).unwrap();
    let mut errors = Vec::new();
    for (index, packet) in packets(200, 960).into_iter().enumerate() {
        errors.extend(writer.append(frame(index), packet).err().map(|error| error.to_string()));
    }
    assert!(errors[0].starts_with("the file cannot be read or written: "), "{}", errors[0]);
    assert_eq!(errors[1], "writing to the file has failed before; repair it first");
    drop(writer);
    let mut file = Cursor::new(full.0);
    let repaired = repair(&mut file).unwrap();
    assert!(repaired.cut_bytes > 0 && repaired.duration.as_millis() > 400);
    assert!(read(file.get_ref()).unwrap().2);
}

/// A file that can be looked at while it is written.
#[derive(Clone, Default)]
struct Watched(Rc<RefCell<Vec<u8>>>);

impl std::io::Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A recording of 3.4 s with a gap: its bytes, and for each packet how long the file was when it had been told, and up to when it sounds.
fn history() -> (Vec<u8>, Vec<(usize, u64)>) {
    let file = Watched::default();
    let mut writer = Writer::create(file.clone(), WriterOptions::default()).unwrap();
    let mut told = vec![(file.0.borrow().len(), 0)];
    for (index, packet) in packets(150, 960).into_iter().enumerate() {
        let at = frame(if index < 60 { index } else { index + 20 });
        writer.append(at, packet).unwrap();
        told.push((file.0.borrow().len(), at.0 + 960));
    }
    writer.finish().unwrap();
    let bytes = file.0.borrow().clone();
    (bytes, told)
}

fn end(bytes: &[u8]) -> u64 {
    let (packets, torn, ended) = read(bytes).unwrap();
    assert!(!torn && ended);
    packets.last().map_or(0, |last| last.at.0 + u64::from(last.samples))
}

#[test]
fn cut_at_any_byte_a_recording_is_read_repaired_and_loses_less_than_a_second() {
    let (whole, told) = history();
    let (all, _, _) = read(&whole).unwrap();
    let heads = told[0].0;
    for cut in 0..=whole.len() {
        let bytes = &whole[..cut];
        let mut file = Cursor::new(bytes.to_vec());
        if cut < heads {
            assert!(matches!(repair(&mut file), Err(OggError::NoSound)), "{cut}");
            assert_eq!(file.get_ref(), bytes, "{cut}: what cannot be repaired stays as it is");
            continue;
        }
        let (before, _, _) = read(bytes).unwrap();
        let repaired = repair(&mut file).unwrap();
        let (after, torn, ended) = read(file.get_ref()).unwrap();
        assert!(!torn && ended, "{cut}");
        assert_eq!(repaired.was_whole, cut == whole.len(), "{cut}");
        assert_eq!(before, all[..before.len()], "{cut}");
        assert_eq!(after, before, "{cut}");
        assert_eq!(MediaTime::after(repaired.duration).0.div_ceil(10), end(file.get_ref()).div_ceil(10), "{cut}");
        // The process died when the file was as long: whatever it had been told is there, but for the last second.
        let last = told.iter().rev().find(|&&(length, _)| length <= cut).unwrap();
        assert!(end(file.get_ref()) + LOST_MAX >= last.1, "{cut}: {} of {}", end(file.get_ref()), last.1);
        let again = file.get_ref().clone();
        assert!(repair(&mut file).unwrap().was_whole && *file.get_ref() == again, "{cut}: repaired twice");
    }
}

#[test]
fn a_repaired_recording_sounds_as_it_did() {
    let (whole, _) = history();
    let heard = listen(&whole);
    for cut in (whole.len() / 4..whole.len()).step_by(331) {
        let mut file = Cursor::new(whole[..cut].to_vec());
        repair(&mut file).unwrap();
        let cut_short = listen(file.get_ref());
        assert_eq!(cut_short, heard[..cut_short.len()], "{cut}");
    }
}

#[test]
fn zeros_at_the_end_are_cut_off_and_damage_in_the_midst_is_left_alone() {
    let (whole, _) = history();
    let mut padded = Cursor::new([&whole[..whole.len() * 2 / 3], &[0; 5_000][..]].concat());
    assert!(matches!(read(padded.get_ref()), Err(OggError::Damaged { what: "no Ogg page begins here", .. }) | Err(_)));
    assert!(repair(&mut padded).unwrap().cut_bytes >= 5_000);
    assert!(end(padded.get_ref()) > 48_000);
    let mut damaged = Cursor::new(whole.clone());
    damaged.get_mut()[whole.len() / 2] ^= 1;
    let before = damaged.get_ref().clone();
    let error = repair(&mut damaged).unwrap_err().to_string();
    assert!(error.starts_with("the Ogg file is damaged at byte "), "{error}");
    assert_eq!(*damaged.get_ref(), before);
}

#[test]
fn foreign_files_are_refused_with_words() {
    let (whole, _) = history();
    let rows: [(Vec<u8>, &str); 4] = [
        (Vec::new(), "the Ogg file ends before its sound begins"),
        (b"hello, I am no sound at all".to_vec(), "the Ogg file is damaged at byte 0: no Ogg page begins here"),
        (whole[..30].to_vec(), "the Ogg file ends before its sound begins"),
        ([&whole[..], &whole].concat(), "not Ogg Opus of one stream and one or two channels: it holds several streams"),
    ];
    for (bytes, want) in rows {
        assert_eq!(read(&bytes).unwrap_err().to_string(), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_with_any_byte_changed_is_read_or_refused(at in 0.0..1.0f64, flip in 1u8..) {
        let (mut bytes, _) = history();
        let place = (at * bytes.len() as f64) as usize;
        bytes[place] ^= flip;
        let read = read(&bytes);
        // A checksum that is wrong, a capture pattern that is gone, or a length that makes the file seem cut off.
        prop_assert!(read.is_err() || read.is_ok_and(|(_, torn, _)| torn));
        let mut file = Cursor::new(bytes);
        let _ = repair(&mut file);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&[b"OggS\0\x02", &bytes[..]].concat());
    }

    #[test]
    fn packets_at_any_time_leave_a_file_without_holes(steps in prop::collection::vec((0u64..20_000, any::<bool>()), 1..60)) {
        let sound = packets(4, 960);
        let mut writer = Writer::create(Vec::new(), WriterOptions::default()).unwrap();
        let mut at = 0u64;
        for (index, (step, back)) in steps.into_iter().enumerate() {
            at = if back { at.saturating_sub(step) } else { at + step };
            writer.append(MediaTime(at), sound[index % 4].clone()).unwrap();
        }
        let (read, _, ended) = read(&writer.finish().unwrap()).unwrap();
        prop_assert!(ended);
        prop_assert!(read.windows(2).all(|two| two[0].at.0 + u64::from(two[0].samples) == two[1].at.0));
    }
}
