#!/usr/bin/env bash
# Two judges of our NTLM that nobody here wrote. gss-ntlmssp, a connectionless acceptor, takes our AUTHENTICATE with its
# MIC, and signatures verify both ways; pyspnego then recomputes what was sent. Installs what it needs (Debian).
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
folder=$CARGO_TARGET_DIR/judges/ntlm
mkdir -p "$folder"

plugin() {
    find /etc/gss/mech.d /usr/etc/gss/mech.d -name '*ntlmssp*.conf' -exec cat {} + 2>/dev/null |
        awk '!/^#/ && NF > 2 { path = $3 } END { print path }' || true
}
if [[ -z $(plugin) || ! -f /usr/include/gssapi/gssapi_ext.h ]]; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends gss-ntlmssp libkrb5-dev gcc libc6-dev >/dev/null
fi
NTLMD_PLUGIN=$(plugin)
[[ $NTLMD_PLUGIN == /* ]] || NTLMD_PLUGIN=$(find /usr/lib -path "*/$NTLMD_PLUGIN")

gcc -O1 -o "$folder/ntlmd" tests/judges/ntlm/ntlmd.c -ldl
cat >"$folder/users" <<'USERS'
CONTOSO:jeremy:Passw0rd!
:jeremy@contoso.test:Passw0rd!
CONTOSO:toni:0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
CONTOSO:zoe:pässwörd €
CONTOSO:jérémie:Passw0rd!
CONTOSO:Владимир:пароль
:jérémie@contoso.test:Passw0rd!
USERS

# The flags make the acceptor offer what a Communications Server does, IDENTIFY among it.
export NTLMD_PLUGIN NTLMD_FLAGS=E21082B7 NTLM_USER_FILE=$folder/users LM_COMPAT_LEVEL=5
export NETBIOS_COMPUTER_NAME=POOL01 NETBIOS_DOMAIN_NAME=CONTOSO LC_ALL=C.UTF-8
cargo run --quiet --example judge_ntlm -- "$folder/ntlmd" "$folder/exchanged"

if [[ ! -x $folder/venv/bin/python ]]; then
    python3 -m venv "$folder/venv" 2>/dev/null || {
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
        python3 -m venv "$folder/venv"
    }
fi
"$folder/venv/bin/python" -c 'import spnego' 2>/dev/null || "$folder/venv/bin/pip" install --quiet pyspnego==0.12.4
"$folder/venv/bin/python" tests/judges/ntlm/oracle.py "$folder/exchanged"
