#!/usr/bin/env bash
# pidgin-sipe, a client that nobody here wrote and that has worked with real servers for many years, judges the lab: it
# finds a Director and follows it home, signs in with each version of NTLM and Kerberos, verifies every signature, and
# refuses a damaged one. Our client then does the same at the same registrars. All of it happens in a network namespace,
# with DNS on port 53, TLS on port 5061 and a KDC, so it needs root; it installs what it needs (Debian).
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
folder=$CARGO_TARGET_DIR/judges/pidgin-sipe
programs=$CARGO_TARGET_DIR/debug/examples

not_checked() {
    echo "NOT CHECKED: the lab against pidgin-sipe ($*)"
    exit 0
}

PATH=$PATH:/usr/sbin
there() {
    [[ -f /usr/lib/purple-2/libsipe.so && -f /usr/include/gssapi/gssapi_ext.h ]] &&
        pkg-config --exists purple 2>/dev/null && compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null &&
        compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null &&
        command -v gcc ip kinit kadmin.local krb5kdc >/dev/null
}

if [[ ${1:-} != inside ]]; then
    isolated=(unshare --net --mount --uts --pid --fork --kill-child --mount-proc)
    "${isolated[@]}" true 2>/dev/null || not_checked "no right to make a network namespace"
    if ! there; then
        apt-get update -qq || true
        # Without a question about realms, and without servers of the system's own.
        DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends pidgin-sipe \
            libpurple-dev gcc libc6-dev pkg-config iproute2 krb5-kdc krb5-admin-server krb5-user libkrb5-dev \
            libclang-dev >/dev/null || not_checked "its packages cannot be installed"
    fi
    rm -rf "$folder"
    mkdir -p "$folder"
    # shellcheck disable=SC2046 # several words are what it prints
    gcc -O1 -w -D_GNU_SOURCE -o "$folder/sipenull" tests/judges/sipe/sipenull.c $(pkg-config --cflags --libs purple)
    cargo build --quiet --features kerberos --example judge_lab --example judge_sign_in
    # Whatever was started there ends with the namespace of processes.
    exec "${isolated[@]}" bash "$0" inside
fi

fail() {
    echo "WRONG: $*" >&2
    exit 1
}

ip link set lo up
for last in 1 2 3 4 5 12 13 14 53; do ip address add "10.77.0.$last/32" dev lo; done
mkdir "$folder/roots"
echo 'nameserver 10.77.0.53' >"$folder/resolv.conf"
echo '127.0.0.1 localhost client' >"$folder/hosts"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$folder/nsswitch.conf"
for file in resolv.conf hosts nsswitch.conf; do mount --bind "$folder/$file" "/etc/$file"; done
mount --bind "$folder/roots" /etc/ssl/certs
hostname client

# shellcheck source=tests/judges/kerberos/realm.sh
source tests/judges/kerberos/realm.sh

# A KDC of the realm CONTOSO.TEST, a keytab for the lab, and a ticket for the user.
use_realm "$folder"
write_realm "$folder" 88
{
    kdb5_util create -s -r CONTOSO.TEST -P master
    kadmin.local addprinc -pw 'Passw0rd!' jeremy
    for version in 2 3 4; do
        kadmin.local addprinc -randkey "sip/ticket0$version.contoso.test"
        kadmin.local ktadd -k "$KRB5_KTNAME" "sip/ticket0$version.contoso.test"
    done
} >"$folder/realm.log" 2>&1 || fail "there is no realm (all of it: $folder/realm.log)"
krb5kdc -n >"$folder/kdc.out" 2>&1 &
for _ in {1..100}; do
    kinit jeremy <<<'Passw0rd!' >"$folder/kinit.log" 2>&1 && break
    sleep 0.05
done
klist -s || fail "there is no ticket (all of it: $folder/kinit.log)"

# The lab, until this script ends.
coproc lab { exec "$programs/judge_lab" "$folder/roots/lab.pem"; }
read -r -t 20 ready <&"${lab[0]}" && [[ $ready == ready ]] || fail "the lab does not start"

# sipe NAME PASSWORD RESULT [OPTION=VALUE]…: signs in and must end so; what it did is in NAME.sipe.
sipe() {
    local result log=$folder/$1.sipe
    HOME=$folder timeout 30 "$folder/sipenull" "$folder/$1.purple" 'jeremy@contoso.test,CONTOSO\jeremy' "$2" 20 \
        transport=tls authentication=ntlm "${@:4}" >"$log" 2>&1 || true
    result=$(sed -n 's/^[0-9.]* CLIENT result *//p' "$log" | head -1)
    [[ $result == "$3" ]] || fail "pidgin-sipe at $1: $result (all of it: $log)"
}

# sipe_saw NAME NUMBER TEXT: what it did has this text so many times.
sipe_saw() {
    local number
    number=$(grep -cF -e "$3" "$folder/$1.sipe" || true)
    ((number == $2)) || fail "pidgin-sipe at $1: $number times, not $2: $3 (all of it: $folder/$1.sipe)"
}

# ours NAME LINE [ARGUMENT]…: signs our client in; one line of what it says is LINE.
ours() {
    local said
    said=$("$programs/judge_sign_in" root="$folder/roots/lab.pem" "${@:3}" </dev/null 2>&1) || fail "our client: $said"
    printf '%s\n' "$said" >"$folder/$1.ours"
    ours_said "$1" "$2"
}

ours_said() {
    grep -qF -e "$2" "$folder/$1.ours" || { cat "$folder/$1.ours" >&2; fail "our client does not say: $2"; }
}

valid='signature of incoming message validated'
unsigned='message without authentication data'

for version in 2 3 4; do
    pool=pool0$version.contoso.test:5061
    sipe "$version" 'Passw0rd!' SIGNED-IN "server=$pool"
    # The 200, and the answers to its four subscriptions: the lab verified those, or it had said 401 a third time.
    sipe_saw "$version" 5 "$valid"
    sipe_saw "$version" 0 "$unsigned"
    sipe_saw "$version" 4 'SIP/2.0 405'
    sipe_saw "$version" 2 'SIP/2.0 401'
    ours "$version" "signed in at tls $pool" "server=$pool"
    ours_said "$version" "version $version"
    ours_said "$version" 'the server is Verified'
    echo "signed in to the lab with NTLM in version $version, every signature verified: pidgin-sipe, then our client"
done

for version in 2 3 4; do
    pool=ticket0$version.contoso.test:5061
    sipe "ticket$version" '' SIGNED-IN "server=$pool" authentication=krb5 sso=1
    sipe_saw "ticket$version" 5 "$valid"
    sipe_saw "ticket$version" 0 "$unsigned"
    sipe_saw "ticket$version" 4 'SIP/2.0 405'
    sipe_saw "ticket$version" 1 'SIP/2.0 401'
    ours "ticket$version" "signed in at tls $pool" "server=$pool" mechanisms=kerberos
    ours_said "ticket$version" "version $version"
    ours_said "ticket$version" 'scheme Kerberos'
    ours_said "ticket$version" 'the server is Verified'
    ours_said "ticket$version" 'asked 0'
    echo "signed in to the lab with Kerberos in version $version, every signature verified: pidgin-sipe, then our client"
done

sipe director 'Passw0rd!' SIGNED-IN transport=auto
sipe_saw director 1 'sipe_core_dns_resolved - SRV hostname: director.contoso.test port: 5061'
sipe_saw director 1 'redirected to host pool04.contoso.test port 5061'
sipe_saw director 6 "$valid"
ours director 'signed in at tls pool04.contoso.test:5061'
echo 'found the Director by DNS and followed it home: pidgin-sipe, then our client'

# In version 4 the last token is signed, so that a registrar which takes any password finds the signature wrong and
# says no all the same; in versions 2 and 3 nothing but the proof of the password can turn anybody away.
for version in 2 3 4; do
    pool=pool0$version.contoso.test:5061
    sipe "password$version" 'passw0rd!' 'FAILED AUTHENTICATION_FAILED: Authentication failed' "server=$pool"
    ours "password$version" 'rejected' "server=$pool" 'password=passw0rd!'
done
echo 'turned away with a wrong password in each version: pidgin-sipe, then our client'

sipe damaged 'Passw0rd!' 'FAILED NETWORK_ERROR: Invalid message signature received' server=damaged.contoso.test:5061
ours damaged 'signature' server=damaged.contoso.test:5061
echo 'refused the damaged signature of a server: pidgin-sipe, then our client'
