#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sh tests/edge/edge_links.sh TMILL_EDGE TMILL LIBRARY.a...
# The program of devices holds nothing of our LIBRARYs (encoders, scheduler, sockets) and loads no
# library that belongs to them. Each must be found in TMILL, or the test is blind.
set -eu
export LC_ALL=C
edge=$1 tmill=$2
shift 2
foreign='libczmq|libzmq|libsqlite3|libprotobuf-c|libgomp'

fail() {
    echo "edge_links: $*" >&2
    exit 1
}
defined() { nm -g --defined-only "$1" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
defined "$edge" >"$work/edge"
defined "$tmill" >"$work/tmill"
for library in "$@"; do
    defined "$library" >"$work/library"
    [ -n "$(comm -12 "$work/library" "$work/tmill")" ] || fail "nothing of $library in $tmill"
    found=$(comm -12 "$work/library" "$work/edge")
    [ -z "$found" ] || fail "$edge holds of $library:" $found
done
ldd "$tmill" | grep -qE "$foreign" || fail "$tmill loads none of $foreign"
found=$(ldd "$edge" | grep -E "$foreign" || true)
[ -z "$found" ] || fail "$edge loads $found"
ldd "$edge" | grep -q libcurl || fail "$edge does not fetch with libcurl"
echo "edge_links: ok"
