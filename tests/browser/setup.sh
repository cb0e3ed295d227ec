#!/bin/sh
# Installs what the browser tests need: Debian packages, npm packages, and a Python environment for speech quality scores.
# Safe to run again; does nothing that is done already.
set -eu
cd "$(dirname "$0")"

missing=""
for tool in chromium:chromium espeak-ng:espeak-ng sox:sox node:nodejs npm:npm python3:python3 cc:build-essential; do
  command -v "${tool%%:*}" > /dev/null || missing="$missing ${tool##*:}"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing:$missing"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
  else
    echo "missing:$missing; install them with: sudo apt-get install$missing" >&2
    exit 1
  fi
fi

if [ ! -d node_modules/playwright-core ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing npm packages"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi

if [ ! -e .venv/ready ] || [ requirements.txt -nt .venv/ready ]; then
  echo "installing the speech quality score"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  touch .venv/ready
fi

sh ./make-speech.sh
