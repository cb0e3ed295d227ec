"""Scores recorded speech against the original: PESQ wide-band (ITU-T P.862.2).

    score.py ORIGINAL.wav HEARD.wav [--seconds 6] [--settle 4]

The original is what the microphone repeats for ever; the recording starts anywhere in it. The best place is found by cross-correlation.
Overlapping stretches are scored one by one, as the standard wants them: a few seconds each. Their median counts: a machine that stalls
once while it runs two browsers spoils one stretch, a codec or a buffer that is wrong spoils them all. The first seconds are left out:
two browsers that start on one small machine stall each other, and the playout buffer has to find its depth. Prints one line of JSON.
"""

import argparse
import json
import sys

import numpy
from pesq import pesq
from scipy.io import wavfile
from scipy.signal import fftconvolve, resample_poly

RATE = 16_000


def load(path):
    rate, samples = wavfile.read(path)
    if samples.dtype == numpy.int16:
        samples = samples / 32768
    if samples.ndim > 1:
        samples = samples[:, 0]
    return resample_poly(samples.astype(numpy.float64), RATE, rate)


def place_in(original, piece):
    """Where in the repeated original `piece` begins, samples, and how alike the two are (0 to 1)."""
    repeats = 2 + len(piece) // len(original)
    repeated = numpy.tile(original, repeats)
    match = fftconvolve(repeated, piece[::-1], mode="valid")[: len(original)]
    at = int(numpy.argmax(match))
    there = repeated[at : at + len(piece)]
    likeness = match[at] / max(1e-9, numpy.linalg.norm(there) * numpy.linalg.norm(piece))
    return there, float(likeness)


def scores(original, heard, count):
    """The score and the likeness of every stretch of `count` samples, each overlapping the next by half."""
    for at in range(0, len(heard) - count + 1, count // 2):
        piece = heard[at : at + count]
        reference, likeness = place_in(original, piece)
        yield pesq(RATE, reference, piece, "wb"), likeness


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original")
    parser.add_argument("heard")
    parser.add_argument("--seconds", type=float, default=6, help="length of a stretch that is scored")
    parser.add_argument("--settle", type=float, default=4, help="seconds of speech at the beginning that are not scored")
    arguments = parser.parse_args()
    original, heard = load(arguments.original), load(arguments.heard)
    # What came before the first word is no speech to score.
    loud = numpy.flatnonzero(numpy.abs(heard) > 0.02)
    if len(loud) == 0:
        print(json.dumps({"error": "nothing but silence was heard"}))
        return 1
    speech = heard[loud[0] + int(arguments.settle * RATE) : loud[-1] + 1]
    count = int(arguments.seconds * RATE)
    if len(speech) < count:
        print(json.dumps({"error": f"only {len(speech) / RATE:.1f} s to score were heard"}))
        return 1
    figures, likenesses = zip(*scores(original, speech, count))
    median = float(numpy.median(figures))
    summary = {"pesq": round(median, 2), "worst": round(min(figures), 2), "likeness": round(float(numpy.median(likenesses)), 2)}
    print(json.dumps({**summary, "stretches": len(figures), "seconds": round(len(heard) / RATE, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
