//! The two packets before the sound: `OpusHead` and `OpusTags` (RFC 7845 section 5).

use super::OggError;
use crate::pcm::SAMPLE_HZ;

/// What a file says about its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// One or two.
    pub channels: u8,
    /// Samples at 48 kHz that are left out at the beginning.
    pub pre_skip: u16,
    /// Of what was encoded, samples a second; only a note.
    pub input_hz: u32,
    /// By how much the sound is to be made louder, 1/256 dB.
    pub gain: i16,
}

impl Head {
    /// Of mono sound at 48 kHz.
    pub(super) fn mono(pre_skip: u16) -> Self {
        Self { channels: 1, pre_skip, input_hz: SAMPLE_HZ, gain: 0 }
    }

    pub(super) fn write(self) -> Vec<u8> {
        let mut out = b"OpusHead\x01".to_vec();
        out.push(self.channels);
        out.extend_from_slice(&self.pre_skip.to_le_bytes());
        out.extend_from_slice(&self.input_hz.to_le_bytes());
        out.extend_from_slice(&self.gain.to_le_bytes());
        out.push(0);
        out
    }

    pub(super) fn parse(packet: &[u8]) -> Result<Self, OggError> {
        let foreign = |what: String| Err(OggError::Foreign(what));
        let &[version, channels, p0, p1, h0, h1, h2, h3, g0, g1, family, ..] =
            packet.strip_prefix(b"OpusHead").unwrap_or_default()
        else {
            return foreign(format!("the stream holds {}", codec_of(packet)));
        };
        if version >> 4 != 0 {
            return foreign(format!("version {version} of the format"));
        }
        if family != 0 || !(1..=2).contains(&channels) {
            return foreign(format!("{channels} channels in an order of the kind {family}"));
        }
        Ok(Self {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_hz: u32::from_le_bytes([h0, h1, h2, h3]),
            gain: i16::from_le_bytes([g0, g1]),
        })
    }
}

/// What the first packet of a stream that is not Opus looks like.
fn codec_of(packet: &[u8]) -> &'static str {
    let known: [(&[u8], &str); 7] = [
        (b"\x01vorbis", "Vorbis"),
        (b"\x7fFLAC", "FLAC"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "Theora video"),
        (b"fishead\0", "a skeleton"),
        (b"OpusHead", "a head of Opus that breaks off"),
        (b"OpusTags", "comments where its head should be"),
    ];
    known.into_iter().find(|(magic, _)| packet.starts_with(magic)).map_or("something unknown", |(_, name)| name)
}

/// A file's comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The program that wrote the file.
    pub vendor: String,
    /// `NAME=value`, in order.
    pub comments: Vec<String>,
}

impl Tags {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = b"OpusTags".to_vec();
        let mut text = |text: &str| {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        text(&self.vendor);
        // The number of comments stands where a text would have its length.
        out.extend_from_slice(&(self.comments.len() as u32).to_le_bytes());
        for comment in &self.comments {
            out.extend_from_slice(&(comment.len() as u32).to_le_bytes());
            out.extend_from_slice(comment.as_bytes());
        }
        out
    }

    pub(super) fn parse(packet: &[u8]) -> Result<Self, OggError> {
        let Some(mut rest) = packet.strip_prefix(b"OpusTags") else {
            return Err(OggError::Foreign("its second packet is not `OpusTags`".to_owned()));
        };
        let broken = || OggError::Foreign("its comments break off".to_owned());
        let vendor = text(&mut rest).ok_or_else(broken)?;
        let count = number(&mut rest).ok_or_else(broken)?;
        // Each takes four bytes at least, so the packet's length bounds them.
        let comments = (0..count).map_while(|_| text(&mut rest)).collect::<Vec<_>>();
        if comments.len() < count as usize { Err(broken()) } else { Ok(Self { vendor, comments }) }
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*bytes))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = number(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_comments_come_back() {
        let head = Head { channels: 2, pre_skip: 312, input_hz: 44_100, gain: -256 };
        assert_eq!(Head::parse(&head.write()).unwrap(), head);
        let tags = Tags { vendor: "x".into(), comments: vec!["CALL=7".into(), String::new()] };
        assert_eq!(Tags::parse(&tags.write()).unwrap(), tags);
        for cut in 0..tags.write().len() {
            assert!(Tags::parse(&tags.write()[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_is_foreign_is_named() {
        let rows: [(&[u8], &str); 4] = [
            (b"\x01vorbis\0\0\0\0", "the stream holds Vorbis"),
            (b"OpusHead\x01\x06\0\0\0\0\0\0\0\0\x01", "6 channels in an order of the kind 1"),
            (b"OpusHead\x21\x01\0\0\0\0\0\0\0\0\0", "version 33 of the format"),
            (b"", "the stream holds something unknown"),
        ];
        for (packet, want) in rows {
            let error = Head::parse(packet).unwrap_err().to_string();
            assert_eq!(error, format!("not Ogg Opus of one stream and one or two channels: {want}"));
        }
        // A claim of four thousand million comments allocates nothing.
        assert!(Tags::parse(b"OpusTags\0\0\0\0\xff\xff\xff\xff").is_err());
    }
}
