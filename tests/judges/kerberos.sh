#!/usr/bin/env bash
# Kerberos against a real MIT KDC, a plain process on loopback with all its files in a folder of its own: an acceptor that
# nobody here wrote (krbd.c) takes our tickets and signatures, and the lab's registrars take them over TLS. What goes
# wrong with tickets is said, and the KDC's log shows which ones were asked for. Installs what it needs (Debian).
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
folder=$CARGO_TARGET_DIR/judges/kerberos
mkdir -p "$folder"

PATH=$PATH:/usr/sbin:/sbin
missing=
for program in krb5kdc kadmin.local kinit kvno gcc pkg-config; do
    command -v "$program" >/dev/null || missing=yes
done
for file in /usr/include/gssapi/gssapi_krb5.h '/usr/lib/llvm-*/lib/libclang.so*' '/usr/lib/llvm-*/lib/clang/*/include/stddef.h'; do
    compgen -G "$file" >/dev/null || missing=yes
done
if [[ $missing ]]; then
    apt-get update -qq
    # Without a question about realms, and without a server of the system's own.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends \
        krb5-kdc krb5-admin-server krb5-user libkrb5-dev libclang-dev pkg-config gcc libc6-dev >/dev/null
fi

gcc -O1 -o "$folder/krbd" tests/judges/kerberos/krbd.c -lgssapi_krb5
gcc -O1 -shared -fPIC -o "$folder/skew.so" tests/judges/kerberos/skew.c
cargo build --quiet --example judge_kerberos --bin sip-signin --features kerberos,cli
# The feature is in no default, so its own tests run here.
cargo test --quiet --features kerberos --lib kerberos:: >"$folder/tests" || { cat "$folder/tests"; exit 1; }
cargo test --quiet --features kerberos --doc kerberos >>"$folder/tests" || { cat "$folder/tests"; exit 1; }
(($(grep -c '^test result: ok. [1-9]' "$folder/tests") == 2)) || { cat "$folder/tests"; exit 1; }
client=$CARGO_TARGET_DIR/debug/examples/judge_kerberos

# shellcheck source=tests/judges/kerberos/realm.sh
source tests/judges/kerberos/realm.sh
# A ticket has expired when it says so, not five minutes later.
skew='clockskew = 1'

scene=$(mktemp -d)
kdc=
finish() {
    stop_kdc
    rm -rf "$scene"
}
trap finish EXIT

fail() {
    printf 'FAILED: %s\n' "$*"
    [[ ! -f $scene/kdc.log ]] || tail -n 20 "$scene/kdc.log"
    exit 1
}

stop_kdc() {
    [[ -z $kdc ]] || { kill "$kdc" 2>/dev/null && wait "$kdc" 2>/dev/null || true; }
    kdc=
}

start_kdc() {
    local attempt port
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        write_realm "$scene" "$port" "$skew"
        krb5kdc -n -r CONTOSO.TEST >"$scene/kdc.out" 2>&1 &
        kdc=$!
        for _ in {1..100}; do
            kill -0 "$kdc" 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
            sleep 0.05
        done
        stop_kdc
    done
    fail "the KDC does not start: $(cat "$scene/kdc.out") (attempt $attempt)"
}

export LC_ALL=C.UTF-8
use_realm "$scene"
write_realm "$scene" 88 "$skew"
kdb5_util create -s -r CONTOSO.TEST -P masterpw >"$scene/create.log" 2>&1 || fail "$(cat "$scene/create.log")"
# Those of the rogues' wishes exist: whether a ticket is asked for is not decided by the KDC.
kadmin.local -r CONTOSO.TEST >"$scene/kadmin.log" 2>&1 <<'ADMIN'
addprinc -pw Passw0rd! jeremy
addprinc -pw Passw0rd! vadim
addprinc -pw Passw0rd! nobody
addprinc -randkey sip/sip.contoso.test
addprinc -randkey sip/pool01.contoso.test
addprinc -randkey sip/pool02.contoso.test
addprinc -randkey sip/pool03.contoso.test
addprinc -randkey sip/pool01.evil.test
addprinc -randkey http/pool01.contoso.test
ADMIN
kadmin.local -r CONTOSO.TEST -q "ktadd -k $scene/sip.keytab sip/sip.contoso.test sip/pool01.contoso.test" >>"$scene/kadmin.log" 2>&1
start_kdc

log_on() { # user, and whatever kinit takes
    kdestroy -q 2>/dev/null || true
    kinit "${@:2}" "$1" <<<'Passw0rd!' >"$scene/kinit.log" 2>&1 || fail "kinit $*: $(cat "$scene/kinit.log")"
}

asked() { # how many tickets for this service the KDC was asked for
    grep -c "TGS_REQ.* for $1@CONTOSO.TEST" "$scene/kdc.log" || true
}

asked_at_all() { grep -c TGS_REQ "$scene/kdc.log" || true; }

expect() { # what, how many, seen
    [[ $2 == "$3" ]] || fail "$1: $3, not $2"
}

see() { timeout 60 "$client" "$@" || fail "$*"; }

log_on jeremy -l 1h
see acceptor "$folder/krbd"
expect "tickets for the pool" 1 "$(asked sip/pool01.contoso.test)"

# Through the Director to the home pool: each has a ticket of its own.
log_on jeremy
see home
expect "tickets for the Director" 1 "$(asked sip/sip.contoso.test)"
expect "tickets for the home pool" 2 "$(asked sip/pool01.contoso.test)"
see default
see tool "$CARGO_TARGET_DIR/debug/sip-signin"
see faults

# What a rogue server wants is not asked for, though the KDC would give it.
log_on jeremy
before=$(asked_at_all)
for target in http/pool01.contoso.test sip/pool01.evil.test krbtgt/CONTOSO.TEST sip/pool01.contoso.test@EVIL.TEST \
    sip/pool01.contoso.test:5061 pool01.contoso.test; do
    see rogue "$target"
done
expect "tickets asked for a rogue" "$before" "$(asked_at_all)"
kvno -q http/pool01.contoso.test sip/pool01.evil.test || fail "the KDC gives no such tickets"
expect "tickets that the KDC would have given" $((before + 2)) "$(asked_at_all)"

# What goes wrong with tickets is said.
see fails pool99.contoso.test "the ticket server knows no such service"
see fails pool02.contoso.test "the credentials were rejected (Kerberos)" # it has no key for that ticket
log_on vadim
see fails pool01.contoso.test "the account may not use this sign-in address"
log_on nobody
see fails pool01.contoso.test "the credentials were rejected (Kerberos)"
log_on jeremy -l 2s
for _ in {1..100}; do klist -s || break; sleep 0.1; done
see fails pool01.contoso.test "Kerberos: the ticket has expired"
kdestroy -q
see fails pool01.contoso.test "Kerberos: there is no ticket"
see fallback
log_on jeremy
LD_PRELOAD=$folder/skew.so see fails pool03.contoso.test "Kerberos: the clocks of this machine and the ticket server differ too much"
stop_kdc
see fails pool03.contoso.test "Kerberos: the ticket server cannot be reached"
