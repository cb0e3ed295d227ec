#!/bin/sh
# Makes `tandem` the voice trigger of the Spin CLI: `sh functions/spin-trigger.sh [PATH OF tandem]`. Writes a link and a manifest below Spin's
# data folder; removing `plugins/trigger-voice` and `plugins/manifests/trigger-voice.json` there undoes it.
set -eu
tandem=${1:-$(command -v tandem)} || { echo "which tandem? sh functions/spin-trigger.sh PATH" >&2; exit 2; }
[ -x "$tandem" ] || { echo "$tandem is no program" >&2; exit 2; }
tandem=$(cd "$(dirname "$tandem")" && pwd)/$(basename "$tandem")
plugins=${SPIN_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/spin}/plugins
mkdir -p "$plugins/trigger-voice" "$plugins/manifests"
ln -sf "$tandem" "$plugins/trigger-voice/trigger-voice"
cat > "$plugins/manifests/trigger-voice.json" << 'MANIFEST'
{
  "name": "trigger-voice",
  "description": "Starts a Tandem gateway whose calls the application routes",
  "version": "0.1.0",
  "spinCompatibility": ">=2.0",
  "license": "Apache-2.0",
  "packages": []
}
MANIFEST
echo "spin up serves [[trigger.voice]] with $tandem"
