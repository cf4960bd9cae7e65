#!/bin/sh
# install.sh WHEEL CONSTRAINTS FOLDER VERSION...
#
# Installs the wheel and all it needs into FOLDER, for each of these versions of Python at once: compiled modules have
# the version in their names, everything else is the same file in all of them.
set -eu
wheel=$1 constraints=$2 folder=$3
shift 3

mkdir -p "$folder"
for version in "$@"; do
  one=$(mktemp -d)
  python -m pip install --no-compile --only-binary=:all: --constraint "$constraints" \
    --python-version "$version" --target "$one" "$wheel"
  cp -r "$one/." "$folder"
  rm -r "$one"
done
