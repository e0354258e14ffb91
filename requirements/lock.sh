#!/usr/bin/env bash
# Pins anew what pyproject.toml asks for: dev.txt (tests and checks), bench.txt (and peers) and run.txt (the image).
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3.11 -m venv "$scratch"
pip=("$scratch/bin/pip" --disable-pip-version-check)
"${pip[@]}" install --quiet --upgrade "pip>=25.1" # the first that knows dependency groups

pin() {
  {
    echo "# $1"
    echo "# Made by requirements/lock.sh (make lock) with Python 3.11; valid for 3.11 to 3.13. Not to be edited by hand."
    "${pip[@]}" freeze --exclude choreo
  } >"requirements/$2"
}

"${pip[@]}" install --quiet ".[all]" --group dev
pin "Everything needed to test and check choreo." dev.txt
"${pip[@]}" install --quiet ".[all]" --group dev --group bench --constraint requirements/dev.txt
pin "Everything needed to test choreo and to measure it beside its peers." bench.txt
"${pip[@]}" freeze --exclude choreo | xargs "${pip[@]}" uninstall --quiet --yes
"${pip[@]}" install --quiet ".[all]" --constraint requirements/dev.txt
pin "Everything needed to run choreo with all its extras, at the versions it is tested with." run.txt
