#!/bin/sh
# install_node_packages.sh NPM FOLDER: node_modules of FOLDER as its lock file says, once; several builds may share the folder.
set -eu
npm=$1
cd "$2"
exec 9>.install.lock
flock 9
# npm writes this file last.
if [ -f node_modules/.package-lock.json ] && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then exit 0; fi
"$npm" ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch node_modules/.package-lock.json
