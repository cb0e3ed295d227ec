#!/bin/sh
# Builds the front desk in JavaScript and in Python as components: `sh functions/languages/build.sh [FOLDER]`, where the components are
# put (default: target/languages). Installs the tools beside the sources; does nothing that is done already.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
out=${1:-$root/target/languages}
mkdir -p "$out"

# Whether $1 is missing or older than any of the other files.
stale() {
  made=$1
  shift
  [ ! -e "$made" ] || [ -n "$(find "$@" -newer "$made" -type f | head -n 1)" ]
}

cd javascript
if stale node_modules/.package-lock.json package.json; then
  echo "javascript: installing componentize-qjs"
  # No lock file: the one package has an exact version and needs nothing but its own binaries of that version, some of which, for other
  # systems, are not published, so that `npm ci` refuses its lock.
  npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
fi
if stale "$out/front-desk.js.wasm" front-desk.js package.json "$root/wit"; then
  echo "javascript: building"
  npm run --silent build
  mv front-desk.wasm "$out/front-desk.js.wasm"
fi

cd ../python
if stale .venv/ready requirements.txt; then
  echo "python: installing componentize-py"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  touch .venv/ready
fi
if stale "$out/front_desk.py.wasm" front_desk.py requirements.txt "$root/wit"; then
  echo "python: building"
  # --stub-wasi: Python's own library imports the network, which a routing function may not use; a stub traps when it is called.
  .venv/bin/componentize-py --quiet --wit-path "$root/wit" --world blocking-router \
    componentize --stub-wasi --output front_desk.wasm front_desk
  mv front_desk.wasm "$out/front_desk.py.wasm"
fi
