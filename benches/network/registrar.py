"""A TLS registrar that challenges every REGISTER and says when it came.

registrar.py CERTIFICATE KEY ADDRESS:PORT...

For each request it prints a line: the time in seconds, the method, and the address it came to.
"""

import asyncio
import ssl
import sys
import time

COPIED = {"via", "v", "from", "f", "call-id", "i", "cseq"}
CHALLENGES = [
    'WWW-Authenticate: NTLM realm="SIP Communications Service", targetname="pool01.contoso.test", version=4',
    'WWW-Authenticate: Digest realm="contoso.test", nonce="n1", qop="auth", algorithm=SHA-256',
]


def answer(method, fields):
    """The head of the answer; pidgin-sipe asks with NEGOTIATE before it registers."""
    status = "501 Not Implemented" if method == "NEGOTIATE" else "401 Unauthorized"
    lines = [f"SIP/2.0 {status}"]
    for name, value in fields:
        if name.lower() in COPIED:
            lines.append(f"{name}:{value}")
        elif name.lower() in ("to", "t"):
            lines.append(f"{name}:{value};tag=lab")
    if status.startswith("401"):
        lines += CHALLENGES
    return "\r\n".join(lines + ["Content-Length: 0", "", ""]).encode()


async def serve(reader, writer, here):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n").decode("utf-8", "replace")
            first, *rest = head.split("\r\n")
            fields = [tuple(part.strip() for part in line.split(":", 1)) for line in rest if ":" in line]
            size = next((int(v) for k, v in fields if k.lower() in ("content-length", "l")), 0)
            await reader.readexactly(size)
            method = first.split(" ")[0]
            print(f"{time.time():.6f} {method} {here}", flush=True)
            writer.write(answer(method, fields))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def main(certificate, key, *places):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    for place in places:
        host, port = place.rsplit(":", 1)
        handler = lambda reader, writer, place=place: serve(reader, writer, place)
        await asyncio.start_server(handler, host, int(port), ssl=context)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
