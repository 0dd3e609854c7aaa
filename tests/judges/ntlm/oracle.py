"""Second judge: pyspnego recomputes, from the bytes alone, what the client sent to the first one.

Each line of the file: challenge, authenticate, password, signature, signed text."""
import base64, struct, sys
from spnego._ntlm_raw import crypto as C
from spnego._ntlm_raw.messages import Authenticate, AvFlags, AvId, Challenge, NTClientChallengeV2
from spnego._ntlm_raw.security import sign

WANTED = 0x62988255
count = 0
for line in open(sys.argv[1], encoding="utf-8"):
    challenge, authenticate, password, signature, text = line.rstrip("\n").split("\t")
    challenge, authenticate = base64.b64decode(challenge), base64.b64decode(authenticate)
    server, client = Challenge.unpack(challenge), Authenticate.unpack(authenticate)
    assert int(client.flags) == WANTED, hex(client.flags)
    nt = client.nt_challenge_response
    blob = NTClientChallengeV2.unpack(nt[16:])
    owf = C.ntowfv2(client.user_name, C.ntowfv1(password), client.domain_name)
    proof = C.hmac_md5(owf, server.server_challenge + nt[16:])
    assert proof == nt[:16], "the proof is wrong"
    theirs, ours = server.target_info, blob.av_pairs
    for pair, value in theirs.items():
        if pair not in (AvId.flags, AvId.target_name, AvId.eol):
            assert ours[pair] == value, "a pair of the server is changed: %s" % pair
    assert blob.time_stamp == theirs[AvId.timestamp], "the time is not the server's"
    assert ours[AvId.flags] & AvFlags.mic, "no mic is promised"
    assert client.lm_challenge_response == bytes(24), "there is an lm response beside a time stamp"
    key = C.rc4k(C.hmac_md5(owf, proof), client.encrypted_random_session_key)
    blank = authenticate[:72] + bytes(16) + authenticate[88:]
    assert C.hmac_md5(key, challenge + blank) == authenticate[72:88], "the mic is wrong"
    seal = C.md5(C.sealkey(client.flags, key, "initiate") + struct.pack("<I", 100))
    mac = sign(client.flags, C.rc4init(seal), C.signkey(client.flags, key, "initiate"), 100, text.encode())
    assert mac.hex() == signature, "the signature is wrong"
    count += 1
assert count >= 36, count
print("pyspnego agrees: %d messages" % count)
