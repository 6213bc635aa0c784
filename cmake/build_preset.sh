#!/usr/bin/env bash
# build_preset.sh PRESET [TARGET...]: installs what is missing, configures and builds; without a target everything, tests too. Says one line; the compiler's words only on failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=$1
shift
if [[ $# -eq 0 ]]; then bash cmake/install_packages.sh tests; else bash cmake/install_packages.sh; fi

folder=build/$preset
mkdir -p "$folder"
# Two builds in one folder would spoil each other.
exec 9>"$folder/.lock"
flock 9

log=$folder/build.log
quietly() {
  "$@" >"$log" 2>&1 9>&- </dev/null || {
    cat "$log" >&2
    echo "moeplan: build of preset $preset failed: $*" >&2
    exit 1
  }
}

[[ -f $folder/build.ninja ]] || quietly cmake --preset "$preset"
target=()
[[ $# -eq 0 ]] || target=(--target "$@")
echo "moeplan: building preset $preset in $folder" >&2
quietly cmake --build --preset "$preset" --parallel "$(nproc)" "${target[@]}"
