#!/bin/sh
# Makes the speech that the tests talk with: two voices, 48 kHz mono, about 16 seconds each.
set -eu
cd "$(dirname "$0")"
mkdir -p speech

# speak NAME VOICE SPEED PITCH TEXT
speak() {
  [ -e "speech/$1.wav" ] && return
  espeak-ng -v "$2" -s "$3" -p "$4" -w "speech/$1.raw.wav" "$5"
  # The band of wide-band speech, an even loudness, and a pause before the loop begins anew.
  sox "speech/$1.raw.wav" -r 48000 -c 1 -b 16 "speech/$1.tmp.wav" gain -4 highpass 80 lowpass 7500 gain -n -6 pad 0.4 0.6
  mv "speech/$1.tmp.wav" "speech/$1.wav"
  rm "speech/$1.raw.wav"
}

speak alice en-gb+f3 150 55 "Good morning, this is Alice speaking. The boat sailed along the river while children played on the sunny bank. \
A large garden grew behind the yellow house on the hill. Please bring nine fresh apples and the small blue bag. She opened the window and heard the rain."
speak bob en-us+m3 145 40 "Hello Alice, here is Bob on the other line. The old farmer walked slowly through the quiet village street. \
Rice is often served in round bowls in that region. Two brown dogs ran after the ball near the wooden bridge. We shall meet again tomorrow at half past seven."
