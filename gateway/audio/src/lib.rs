//! Tandem's media kit: what is done to voice beyond forwarding it.
//!
//! Everything here is given bytes, samples and times, and gives the like back: no clock, no thread, no file that it was not given.
//! Samples are 16 bit, mono, 48 kHz, in frames of 20 ms ([`pcm`]), unless a name says otherwise. What runs once a frame allocates
//! nothing after it was made.
//!
//! - Codecs: [`opus`], [`g711`], [`resample`]; [`fec`] says when error correction is worth its bits.
//! - Files: [`ogg_opus`], [`wav`]; [`prompt`] makes of either what is played into calls, at one [`loudness`].
//! - Made here: [`tone`].
//! - Heard here: [`level`], [`activity`], [`dtmf`], [`amd`], [`beep`].
//! - One leg's receiving side: [`leg`], with comfort [`noise`]. Many voices: [`mix`]; a noisy one: [`denoise`].
#![forbid(unsafe_code)]

pub mod activity;
pub mod amd;
pub mod beep;
pub mod denoise;
pub mod dtmf;
pub mod fec;
pub mod g711;
pub mod leg;
pub mod level;
pub mod loudness;
pub mod mix;
pub mod noise;
pub mod ogg_opus;
pub mod opus;
pub mod pcm;
pub mod prompt;
pub mod resample;
mod telephone;
pub mod tone;
pub mod wav;
