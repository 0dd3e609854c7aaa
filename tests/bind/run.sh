#!/bin/sh
# Starts BIND 9 as a plain process on a free port of 127.0.0.1, with the zones of this directory,
# runs tests/net_bind.rs against it and stops it. Needs named (Debian: apt-get install bind9).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
named=$(PATH="$PATH:/usr/sbin" command -v named) || { echo "named is not installed" >&2; exit 1; }
directory=$(mktemp -d)
pid=
stop() {
    test -z "$pid" || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    pid=
}
trap 'stop; rm -rf "$directory"' EXIT
# A copy of the program too: Ubuntu's AppArmor keeps /usr/sbin/named out of other directories.
cp "$named" "$here"/*.zone "$directory"

# A port that nobody has, or else the next guess.
for attempt in 1 2 3 4 5; do
    port=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 20000))
    sed "s|@DIRECTORY@|$directory|; s|@PORT@|$port|" "$here/named.conf" >"$directory/named.conf"
    "$directory/named" -g -c "$directory/named.conf" >"$directory/log" 2>&1 &
    pid=$!
    for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        ! grep -q ' running$' "$directory/log" || break 2
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    stop
done
test -n "$pid" || { cat "$directory/log" >&2; exit 1; }

echo "BIND: $("$named" -v), port $port"
SIGNIN_BIND="127.0.0.1:$port" cargo test --manifest-path "$here/../../Cargo.toml" --test net_bind \
    -- --nocapture || { cat "$directory/log" >&2; exit 1; }
