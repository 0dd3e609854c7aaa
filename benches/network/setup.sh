#!/usr/bin/env bash
# Installs and builds what the lab needs (root, Debian). Everything that comes about is in target/.
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin

if ! type named tcpdump ip openssl baresip gcc &>/dev/null || ! pkg-config --exists sofia-sip-ua purple ||
    [[ ! -f /usr/lib/purple-2/libsipe.so ]]; then
    apt-get update -qq || true
    # Without servers of the system's own.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends bind9 tcpdump \
        iproute2 openssl baresip-core libsofia-sip-ua-dev pidgin-sipe libpurple-dev pkg-config gcc libc6-dev >/dev/null
fi

mkdir -p target/run
cargo build --quiet --release --manifest-path link/Cargo.toml --target-dir target
cargo build --quiet --release --manifest-path ../../Cargo.toml --target-dir target --example network_client
# shellcheck disable=SC2046 # several words are what pkg-config prints
gcc -O1 -w -D_GNU_SOURCE -o target/sipe ../../tests/judges/sipe/sipenull.c $(pkg-config --cflags --libs purple)
# shellcheck disable=SC2046
gcc -O1 -w -o target/sofia peers/sofia.c $(pkg-config --cflags --libs sofia-sip-ua)

cd target/run
[[ -s server.pem ]] && exit
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 \
    -subj '/CN=latency lab' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign 2>/dev/null
names=DNS:contoso.test
for host in sip sipinternal sipexternal pool01 pool02 pool03; do names+=,DNS:$host.contoso.test; done
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=sip.contoso.test 2>/dev/null
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 3650 -out server.pem -extfile <(
    printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$names"
) 2>/dev/null
mkdir -p roots sofia
cp ca.pem roots/ca-certificates.crt
cp ca.pem roots/ca.pem
cp ca.pem sofia/cafile.pem
cat server.pem server.key >sofia/agent.pem
