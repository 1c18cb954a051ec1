#!/bin/sh
# Start to exit of `true` in our jail, without and with a layer, beside bubblewrap (which has no layer) with the same walls
# asked for, in turn, in one run; then 200 of ours at once.
# usage: bench/jail_peer.sh [BUILD-FOLDER [RUNS]]   (run it as the user whose figure is wanted)
set -eu
build=${1:-build} runs=${2:-300}
command -v bwrap >/dev/null || { echo "skipped: bubblewrap is not installed"; exit 77; }
set -- --unshare-all --unshare-user --uid 1000 --gid 1000 --cap-drop ALL --new-session --ro-bind /usr /usr \
    --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev
bwrap "$@" true || { echo "skipped: bwrap does not work for $(id -un) here"; exit 77; }
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/crannog-layers-XXXXXX")
trap 'chmod -R u+rwx "$folder"; rm -rf "$folder"' EXIT
"$build/bench/jail_bench" "$build/src/crannog-jail" "$folder/layers" "$runs" bwrap "$@" true
