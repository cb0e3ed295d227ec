//! Noise suppression: RNNoise (Valin 2018, "A hybrid DSP/deep learning approach"), for legs that are mixed or transcoded.

use nnnoiseless::DenoiseState;

use crate::pcm::Frame;

/// Samples that RNNoise takes at a time: 10 ms at 48 kHz.
const PIECE: usize = DenoiseState::FRAME_SIZE;

/// Suppresses the noise of one voice. Delays it by 10 ms.
pub struct Denoiser {
    state: Box<DenoiseState<'static>>,
    taken: [f32; PIECE],
    given: [f32; PIECE],
}

impl std::fmt::Debug for Denoiser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Denoiser").finish_non_exhaustive()
    }
}

impl Default for Denoiser {
    fn default() -> Self {
        Self { state: DenoiseState::new(), taken: [0.0; PIECE], given: [0.0; PIECE] }
    }
}

impl Denoiser {
    /// Takes the noise from a frame, in place. Says how likely somebody speaks in it, 0 to 1.
    pub fn clean(&mut self, frame: &mut Frame) -> f32 {
        let mut speech = 0f32;
        for piece in frame.as_chunks_mut::<PIECE>().0 {
            for (taken, &sample) in self.taken.iter_mut().zip(piece.iter()) {
                *taken = f32::from(sample);
            }
            speech = speech.max(self.state.process_frame(&mut self.given, &self.taken));
            for (sample, &given) in piece.iter_mut().zip(&self.given) {
                *sample = given.round() as i16;
            }
        }
        speech
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;
    use crate::noise::ComfortNoise;
    use crate::pcm::FRAME_SAMPLES;

    #[test]
    fn steady_noise_is_taken_away() {
        let mut noise = ComfortNoise::new(5);
        noise.hear(&[300; FRAME_SAMPLES]);
        let mut denoiser = Denoiser::default();
        let (mut before, mut after, mut speech) = (0.0, 0.0, 0f32);
        for index in 0..150 {
            let mut frame = [0; FRAME_SAMPLES];
            noise.fill(&mut frame);
            let noisy = level::decibels(&frame);
            let likely = denoiser.clean(&mut frame);
            if index >= 100 {
                before += noisy / 50.0;
                after += level::decibels(&frame) / 50.0;
                speech = speech.max(likely);
            }
        }
        assert!(after < before - 12.0, "from {before} dB to {after} dB");
        assert!(speech < 0.5, "{speech}");
    }

    #[test]
    fn silence_stays_silent() {
        let mut denoiser = Denoiser::default();
        let mut frame = [0; FRAME_SAMPLES];
        denoiser.clean(&mut frame);
        assert_eq!(frame, [0; FRAME_SAMPLES]);
    }
}
