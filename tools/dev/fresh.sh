#!/usr/bin/env bash
#===- fresh.sh - the README's two commands, from nothing -------------------------------------------------------===#
#
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# usage: fresh.sh [--host] [--report FILE.json] [COMMAND]...          (default commands: demo test)
#
# Clones the committed state of this tree. As root, with debootstrap installed, the commands run in a minimal Debian 12
# root of their own, made with this machine's package sources and removed afterwards; with --host, or without
# debootstrap, they run in the clone on this machine, without any cache, and the output says so. Nothing is reused: not
# the build folder, not ccache's objects, not ONNX's built library. Each command's seconds are printed; --report keeps
# what the tests found. Exit status: that of the first command that fails.
#===----------------------------------------------------------------------===#
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mode=debian
report=
while :; do
  case ${1:-} in
    --host) mode=host ;;
    --report) report=$(realpath -m "$2"); shift ;;
    *) break ;;
  esac
  shift
done
commands=("$@")
[ ${#commands[@]} -eq 0 ] && commands=(demo test)
{ [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; } || mode=host

remove() { # FOLDER
  # All of them: `ip netns` makes one of its own.
  umount --recursive "$1/root" 2>/dev/null || true
  mountpoint -q "$1/root" || rm -rf --one-file-system "$1"
}

# What runs that were killed have left: tens of gigabytes each.
for old in "${TMPDIR:-/tmp}"/penstock-fresh-*; do
  [ -f "$old/pid" ] && ! [ -d "/proc/$(cat "$old/pid")" ] && echo "fresh: removing $old, whose run was killed" && remove "$old"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/penstock-fresh-XXXXXX")
trap 'remove "$work"' EXIT
echo $$ >"$work/pid"

# Runs `RUNNER... COMMAND [FLAG]...` for each command; RUNNER enters the clone, which lies in FOLDER for this script.
run_commands() { # FOLDER RUNNER...
  local folder=$1 status begin flags
  shift
  for command in "${commands[@]}"; do
    echo "fresh: ./dev $command"
    flags=()
    [ "$command" = test ] && [ -n "$report" ] && flags=(--report build/report.json)
    begin=$SECONDS
    status=0
    "$@" "$command" "${flags[@]}" || status=$?
    echo "fresh: ./dev $command took $((SECONDS - begin)) s"
    [ -f "$folder/build/report.json" ] && cp "$folder/build/report.json" "$report"
    [ "$status" = 0 ] || exit "$status"
  done
}

in_clone() { (cd "$work/penstock" && CCACHE_DIR=$work/ccache PENSTOCK_CACHE=$work/cache ./dev "$@"); }

in_root() {
  chroot "$work/root" /usr/bin/env HOME=/penstock-home PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    bash -c 'cd /penstock && exec ./dev "$@"' dev "$@"
}

on_host() {
  echo "fresh: in a new clone on this machine, with empty caches (its Debian packages are already there)"
  git clone --quiet "$root" "$work/penstock"
  run_commands "$work/penstock" in_clone
}

# The new root gets this machine's package sources, certificates and pip settings, so that it works behind a mirror too.
make_root() {
  local mirror
  mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' /etc/apt/sources.list.d/debian.sources \
    /etc/apt/sources.list 2>/dev/null | head -1) || true # one of the two files is enough
  [ -n "$mirror" ] || { echo "error: no package source in /etc/apt/sources.list or sources.list.d/debian.sources" >&2; exit 1; }
  # A mount of its own, as the root of a machine is one: tests make mount namespaces.
  mkdir "$work/root" && mount --bind "$work/root" "$work/root"
  debootstrap --variant=minbase --include=ca-certificates,git bookworm "$work/root" "$mirror" >"$work/debootstrap.log" ||
    { tail -20 "$work/debootstrap.log" >&2; echo "error: debootstrap failed" >&2; exit 1; }
  for path in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/apt.conf.d /etc/apt/auth.conf.d \
    /etc/pip.conf /etc/ssl/certs /usr/local/share/ca-certificates /etc/hosts /etc/resolv.conf; do
    [ -e "$path" ] && mkdir -p "$work/root$(dirname "$path")" && cp -rL --remove-destination "$path" "$work/root$(dirname "$path")/"
  done
  sed -i '/^ *find-links/d' "$work/root/etc/pip.conf" 2>/dev/null || true # folders of this machine
  [ -f "$work/root/etc/apt/sources.list.d/debian.sources" ] && : >"$work/root/etc/apt/sources.list"
  mount -t proc proc "$work/root/proc"
  mount -t sysfs sysfs "$work/root/sys"
  mkdir -p "$work/root/dev/shm" && mount -t tmpfs tmpfs "$work/root/dev/shm"
}

in_debian() {
  echo "fresh: in a minimal Debian 12 root"
  make_root
  git clone --quiet "$root" "$work/root/penstock"
  run_commands "$work/root/penstock" in_root
}

# What the caller's machine or build says of itself is not true of the clone.
unset PENSTOCK_BUILD PENSTOCK_CACHE PENSTOCK_CUDA PIP_FIND_LINKS
case $mode in
  debian) in_debian ;;
  host) on_host ;;
esac
echo "fresh: ${commands[*]} succeeded"
