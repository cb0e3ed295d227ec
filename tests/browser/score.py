"""Scores recorded speech against the original: PESQ wide-band (ITU-T P.862.2).

    score.py ORIGINAL.wav HEARD.wav [--seconds 8]

The original is what the microphone repeats for ever; the recording starts anywhere in it. The best place is found by cross-correlation.
Prints one line of JSON.
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


def loudest_window(samples, count):
    """Where the stretch of `count` samples with the most power begins."""
    if len(samples) <= count:
        return 0
    power = numpy.concatenate([[0], numpy.cumsum(samples**2)])
    return int(numpy.argmax(power[count:] - power[:-count]))


def place_in(original, piece):
    """Where in the repeated original `piece` begins, samples, and how alike the two are (0 to 1)."""
    repeats = 2 + len(piece) // len(original)
    repeated = numpy.tile(original, repeats)
    match = fftconvolve(repeated, piece[::-1], mode="valid")[: len(original)]
    at = int(numpy.argmax(match))
    there = repeated[at : at + len(piece)]
    likeness = match[at] / max(1e-9, numpy.linalg.norm(there) * numpy.linalg.norm(piece))
    return there, float(likeness)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("original")
    parser.add_argument("heard")
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    original, heard = load(arguments.original), load(arguments.heard)
    count = int(arguments.seconds * RATE)
    if len(heard) < count:
        print(json.dumps({"error": f"only {len(heard) / RATE:.1f} s were heard"}))
        return 1
    at = loudest_window(heard, count)
    piece = heard[at : at + count]
    if numpy.max(numpy.abs(piece)) < 1e-3:
        print(json.dumps({"error": "nothing but silence was heard"}))
        return 1
    reference, likeness = place_in(original, piece)
    score = pesq(RATE, reference, piece, "wb")
    print(json.dumps({"pesq": round(score, 3), "likeness": round(likeness, 3), "seconds": round(len(heard) / RATE, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
