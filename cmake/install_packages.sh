#!/usr/bin/env bash
# install_packages.sh [tests]: installs from Debian what moeplan is built from (and tested with) and what is missing here. Asks apt nothing when
# nothing is missing.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache
  libboost-dev libboost-graph-dev libboost-program-options-dev libboost-mpi-dev libopenmpi-dev openmpi-bin
  nlohmann-json3-dev libvalijson-dev libfmt-dev libtbb-dev libeigen3-dev librandom123-dev libmd-dev
  doctest-dev libbenchmark-dev libdnnl-dev
)
# Another Node.js than Debian's brings its own npm.
{ command -v node && command -v npm; } >/dev/null || packages+=(nodejs npm)
[[ ${1-} != tests ]] || packages+=(chromium)

if ! command -v dpkg-query >/dev/null; then
  echo "moeplan: not a Debian system; install yourself what these packages hold: ${packages[*]}" >&2
  exit 0
fi

installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "moeplan: missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  # Without a terminal sudo must not wait for a password.
  if [[ -t 0 ]]; then as_root=(sudo); else as_root=(sudo -n); fi
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >&2; }
install() { apt install -y --no-remove --no-install-recommends "${missing[@]}"; }

echo "moeplan: installing ${missing[*]}" >&2
# A fresh system knows no packages yet, an old one may know versions that are gone.
if ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then apt update; fi
install || { apt update && install; } || {
  echo "moeplan: could not install: ${missing[*]}" >&2
  exit 1
}
