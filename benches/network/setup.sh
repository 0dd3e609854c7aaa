#!/bin/bash
# Installs and builds what the lab needs (root; Debian packages; once per machine).
set -e; cd "$(dirname "$0")"
apt-get install -y -qq bind9 tcpdump iproute2 nftables openssl baresip-core libsofia-sip-ua-dev pidgin-sipe libpurple-dev pkg-config gcc >/dev/null
service named stop 2>/dev/null || true
(cd tundelay && CARGO_TARGET_DIR=target cargo build --release -q)
gcc -O1 -w -D_GNU_SOURCE clients/nullsipe.c -o clients/nullsipe $(pkg-config --cflags --libs purple)
gcc -O1 -w clients/sofiareg.c -o clients/sofiareg $(pkg-config --cflags --libs sofia-sip-ua)
mkdir -p certs clients/cadir clients/sofiacert
if [ ! -s certs/srv.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout certs/ca.key -out certs/ca.pem -days 3650 -subj "/CN=latency lab CA" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign 2>/dev/null
  n=DNS:sip.contoso.test,DNS:contoso.test,DNS:sipinternal.contoso.test,DNS:sipexternal.contoso.test; for i in 1 2 3 4 5 6; do n=$n,DNS:pool0$i.contoso.test; done
  printf '[v3]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$n" > certs/san.cnf
  openssl req -newkey rsa:2048 -nodes -keyout certs/srv.key -out certs/srv.csr -subj "/CN=sip.contoso.test" 2>/dev/null
  openssl x509 -req -in certs/srv.csr -CA certs/ca.pem -CAkey certs/ca.key -CAcreateserial -days 3650 -extfile certs/san.cnf -extensions v3 -out certs/srv.pem 2>/dev/null
fi
cp certs/ca.pem clients/cadir/ca.pem; cp certs/ca.pem clients/cadir/ca-certificates.crt
cp certs/ca.pem clients/sofiacert/cafile.pem; cat certs/srv.pem certs/srv.key > clients/sofiacert/agent.pem
echo ready
