#!/usr/bin/env bash
# Kamailio, a registrar that nobody here wrote, judges our client over TLS with Digest: SHA-256, and MD5 only where it is
# listed; old nonces, wrong passwords; and what it then holds in its list of bindings. Installs what it needs (Debian).
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
client=$CARGO_TARGET_DIR/debug/examples/judge_sign_in
here=$PWD/tests/judges/kamailio

not_checked() {
    echo "NOT CHECKED: our client against Kamailio ($*)"
    exit 0
}

fail() {
    echo "WRONG: $*" >&2
    for file in said log; do sed "s/^/$file: /" "$folder/$file" >&2; done
    exit 1
}

modules() {
    compgen -G '/usr/lib/*/kamailio/modules/tls.so' | head -1
}

PATH=$PATH:/usr/sbin
if [[ -z $(modules) ]] || ! command -v kamailio kamcmd openssl ss >/dev/null; then
    apt-get update -qq || true
    # Without a server of the system's own.
    RUNLEVEL=1 apt-get install -qq -y --no-install-recommends kamailio kamailio-tls-modules openssl iproute2 \
        >/dev/null || not_checked "its packages cannot be installed"
fi
cargo build --quiet --example judge_sign_in

folder=$(mktemp -d)
registrar=
# Kamailio ends all of its processes when its first one is told to end.
down() {
    [[ -z $registrar ]] || { kill "$registrar" && wait "$registrar"; } 2>/dev/null || true
    registrar=
}
trap 'down; rm -rf "$folder"' EXIT

cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=Lab -addext basicConstraints=critical,CA:TRUE \
    -keyout root.key -out root.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=pool01.contoso.test -keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=DNS:pool01.contoso.test\nextendedKeyUsage=serverAuth\n' >extensions
openssl x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 -extfile extensions \
    -out server.pem 2>/dev/null

# up [WORD]…: a fresh registrar, with these words of its configuration, on a port that nobody has.
up() {
    local words=() word attempt
    for word in "$@"; do words+=(-A "$word"); done
    down
    : >said
    for attempt in 1 2 3 4 5; do
        port=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 20000))
        sed "s|@PORT@|$port|; s|@MODULES@|$(dirname "$(modules)")/|" "$here/kamailio.cfg" >kamailio.cfg
        kamailio -DD -E -f "$folder/kamailio.cfg" -w "$folder" -P "$folder/pid" -Y "$folder" -m 64 -M 8 "${words[@]}" \
            >log 2>&1 &
        registrar=$!
        for _ in {1..200}; do
            kill -0 "$registrar" 2>/dev/null || break
            if ss -Hlnt "sport = :$port" | grep -q .; then
                setting=$*
                return
            fi
            sleep 0.02
        done
        down
    done
    fail "Kamailio does not start"
}

# ours LINE [ARGUMENT]…: signs our client in; one line of what it says is LINE.
ours() {
    "$client" "srv=$port" root=root.pem account=jeremy "${@:2}" </dev/null >said 2>&1 || fail "with [$setting] our client broke down"
    said "$1"
}

said() {
    grep -qF -e "$1" said || fail "with [$setting] our client does not say: $1"
}

# judged VERDICT…: what Kamailio made of each REGISTER: 1 is right, -2 a wrong password, -4 an old nonce, -5 no proof.
judged() {
    local verdicts
    verdicts=$(sed -n 's/.*judged REGISTER: //p' log | tr '\n' ' ')
    [[ $verdicts == "$* " ]] || fail "with [$setting] Kamailio judged: $verdicts"
}

# bound: the binding that Kamailio holds is the one that our client believes in.
bound() {
    kamcmd -s "unix:$folder/control" ul.dump >dump
    sed -n 's/^contact /Address: /p; s/^instance /Instance: /p; s/^expires /Expires: /p' said >ours
    (($(wc -l <ours) == 3)) || fail "with [$setting] our client does not know its binding"
    while read -r line; do
        # Of the time, some may have gone by.
        [[ $line == Expires:* ]] && grep -qE 'Expires: (600|59[0-9])$' dump && continue
        grep -qF -e "$line" dump || fail "with [$setting] Kamailio does not hold: $line"
    done <ours
}

nothing_bound() {
    kamcmd -s "unix:$folder/control" ul.dump >dump
    grep -q 'Records: 0' dump || fail "with [$setting] Kamailio holds a binding"
}

up SHA256 QOP
coproc user { exec "$client" "srv=$port" root=root.pem account=jeremy; }
heard() {
    while read -r -t 20 line <&"${user[0]}"; do
        echo "$line" >>said
        [[ $line != "$1"* ]] || return 0
    done
    fail "with [$setting] our client does not say: $1"
}
heard asked
said 'signed in at tls pool01.contoso.test'
judged -5 1
bound
echo "signed in with Digest and SHA-256: ul.dump has our Contact, instance and time"
echo refresh >&"${user[1]}"
heard refreshed
judged -5 1 1
bound
grep -q 'CSeq: 3$' dump || fail "with [$setting] the binding is not the refreshed one"
echo "refreshed: the same binding, of the next request"
echo 'sign out' >&"${user[1]}"
heard 'signed out'
judged -5 1 1 1
nothing_bound
echo "signed out: ul.dump is empty"

for words in '' QOP; do
    qop=${words:+with}
    # shellcheck disable=SC2086 # none or one
    up $words
    ours "none of the server's schemes can be answered"
    said 'asked 0'
    judged -5
    nothing_bound
    # shellcheck disable=SC2086
    up $words
    ours 'signed in at tls pool01.contoso.test' mechanisms=ntlm,sha-256,md5
    judged -5 1
    bound
    echo "MD5 ${qop:-without} qop: refused by default, signed in where it is listed"
done

up SHA256
ours 'Digest: the server sent no qop'
judged -5
nothing_bound
echo "SHA-256 without qop: refused by name, as RFC 7616 knows no such thing"

up SHA256 QOP SHORT
ours 'signed in at tls pool01.contoso.test' seconds=4
said 'asked 1'
judged -5 -4 1
bound
echo "a nonce that grew old while the user looked for the password: a second answer, and no second question"

up SHA256 QOP
ours 'the credentials were rejected (Digest)' 'password=passw0rd!'
judged -5 -2
nothing_bound
echo "a wrong password: rejected, after one attempt"

up SHA256 QOP FORBID
ours 'refused: 403 Forbidden' 'password=passw0rd!'
judged -5 -2
nothing_bound
echo "a wrong password that is answered with 403: refused, after one attempt"
