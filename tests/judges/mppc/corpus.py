#!/usr/bin/env python3
"""Writes 100 SIP messages in the style of an Office Communicator session, each behind its length (32 bits, little
endian): `corpus.py FILE`. Seeded, so that everybody measures the same bytes."""
import hashlib
import random
import struct
import sys

r = random.Random(20081)
USERS = ['jeremy', 'vadim', 'kim.akers', 'toni', 'oleg', 'ann.beebe', 'david', 'sara']
BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
REALM = 'realm="SIP Communications Service"'
POOL = 'targetname="pool01.contoso.com"'
AGENT = 'User-Agent: UCCP/2.0.6362.67 OC/2.0.6362.67 (Microsoft Office Communicator)'
SELF = 'Content-Type: application/vnd-microsoft-roaming-self+xml'
SCHEMA = 'http://schemas.microsoft.com/2006/09/sip'
messages = []


def hx(n):
    return ''.join(r.choice('0123456789abcdef') for _ in range(n))


def b64(n):
    return ''.join(r.choice(BASE64) for _ in range(n))


def via():
    return 'Via: SIP/2.0/TLS 192.168.%d.%d:%d;branch=z9hG4bK%s;ms-received-port=%d;ms-received-cid=%s' % (
        r.randint(0, 9), r.randint(1, 250), r.randint(1024, 60000), hx(16), r.randint(1024, 60000), hx(5))


def add(lines, body=''):
    head = '\r\n'.join(lines + [f'Content-Length: {len(body)}', '', ''])
    messages.append((head + body).encode())


def auth(n):
    return (f'Proxy-Authorization: NTLM qop="auth", {REALM}, opaque="{hx(8).upper()}", {POOL}, crand="{hx(8)}", '
            f'cnum="{n}", response="{hx(32)}"')


def info(name, n):
    return (f'{name}: NTLM rspauth="{hx(32)}", srand="{hx(8).upper()}", snum="{n}", opaque="{hx(8).upper()}", '
            f'qop="auth", {POOL}, {REALM}')


def notify(user):
    contents = [
        ('state',
         f'<state xsi:type="aggregateState" lastActive="2009-03-12T17:2{r.randint(0, 9)}:41" '
         f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="{SCHEMA}/state">'
         f'<availability>{r.choice([3500, 6500, 12500, 15500])}</availability></state>'),
        ('note',
         f'<note xmlns="{SCHEMA}/note"><body type="personal" uri="" >'
         f'Working from building {r.randint(1, 60)}</body></note>'),
        ('contactCard',
         f'<contactCard xmlns="{SCHEMA}/contactcard"><identity><name><displayName>{user}</displayName></name>'
         f'<email>{user}@contoso.com</email></identity></contactCard>'),
    ]
    categories = ''.join(
        f'<category name="{name}" instance="{r.randint(0, 4)}" '
        f'publishTime="2009-0{r.randint(1, 9)}-1{r.randint(0, 9)}T1{r.randint(0, 9)}:22:41.{r.randint(100, 999)}" '
        f'container="{r.choice([0, 2, 100, 200, 300, 400])}" version="{r.randint(1, 40)}" '
        f'expireType="{r.choice(["static", "user", "endpoint"])}">{content}</category>'
        for name, content in contents)
    return f'<categories xmlns="{SCHEMA}/categories" uri="sip:{user}@contoso.com">{categories}</categories>'


def session():
    user = r.choice(USERS)
    call, tag, epid = f'{hx(32)}i{r.randint(0, 99)}b', hx(10), hx(10)
    contact = 'Contact: <sip:192.168.1.%d:%d;transport=tls;ms-opaque=%s>' % (
        r.randint(1, 250), r.randint(1024, 60000), hx(10))

    def dialog(number, method):
        return [f'From: <sip:{user}@contoso.com>;tag={tag};epid={epid}', f'To: <sip:{user}@contoso.com>',
                f'Call-ID: {call}', f'CSeq: {number} {method}']

    def register(number, proof):
        return ['REGISTER sip:contoso.com SIP/2.0', via(), 'Max-Forwards: 70', *dialog(number, 'REGISTER'),
                contact + ';methods="INVITE, MESSAGE, INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY";'
                f'proxy=replace;+sip.instance="<urn:uuid:{hx(8)}-{hx(4)}-{hx(4)}-{hx(4)}-{hx(12)}>"',
                AGENT, 'Supported: gruu-10, adhoclist, msrtc-event-categories', 'Supported: ms-forking',
                'ms-keep-alive: UAC;hop-hop=yes', 'Event: registration', *proof]

    add(register(1, []))
    date = f'Date: Thu, 12 Mar 2009 17:2{r.randint(0, 9)}:{r.randint(10, 59)} GMT'
    add(['SIP/2.0 401 Unauthorized', date, f'WWW-Authenticate: NTLM {REALM}, {POOL}, version=3',
         f'WWW-Authenticate: Kerberos {REALM}, targetname="sip/pool01.contoso.com", version=3',
         *dialog(1, 'REGISTER'), via()])
    add(register(2, [f'Authorization: NTLM qop="auth", {REALM}, {POOL}, gssapi-data="", version=3']))
    add(['SIP/2.0 401 Unauthorized', date,
         f'WWW-Authenticate: NTLM opaque="{hx(8).upper()}", gssapi-data="TlRMTVNTUAACAAAA{b64(220)}", {POOL}, {REALM}, '
         'version=3', *dialog(2, 'REGISTER'), via()])
    # Each draw before the ones that stand behind it in the message.
    proof = (f'Authorization: NTLM qop="auth", opaque="{hx(8).upper()}", {REALM}, {POOL}, version=3, '
             f'gssapi-data="TlRMTVNTUAADAAAA{b64(440)}", crand="{hx(8)}", cnum="1", response="{hx(32)}"')
    add(register(3, [proof]))
    add(['SIP/2.0 200 OK', 'ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300',
         info('Authentication-Info', 1), *dialog(3, 'REGISTER'), via(), contact + ';expires=7200', 'Expires: 7200',
         'presence-state: register-action="added"',
         'Allow-Events: vnd-microsoft-provisioning,vnd-microsoft-roaming-contacts,vnd-microsoft-roaming-ACL,presence,'
         'presence.wpending,vnd-microsoft-roaming-self,vnd-microsoft-provisioning-v2',
         'Supported: adhoclist', 'Server: RTC/3.5', 'Supported: msrtc-event-categories'])
    add([f'SUBSCRIBE sip:{user}@contoso.com SIP/2.0', via(), 'Max-Forwards: 70', *dialog(1, 'SUBSCRIBE'), contact,
         AGENT, 'Event: vnd-microsoft-roaming-self', 'Accept: application/vnd-microsoft-roaming-self+xml',
         'Supported: com.microsoft.autoextend', 'Supported: ms-benotify', 'Proxy-Require: ms-benotify',
         'Supported: ms-piggyback-first-notify', auth(2), SELF],
        f'<roamingList xmlns="{SCHEMA}/roaming-self"><roaming type="categories"/><roaming type="containers"/>'
        '<roaming type="subscribers"/></roamingList>')
    add(['SIP/2.0 200 OK', info('Proxy-Authentication-Info', 2), *dialog(1, 'SUBSCRIBE'), via(),
         'Contact: <sip:pool01.contoso.com:5061;transport=tls>', 'Expires: 55000', 'Event: vnd-microsoft-roaming-self',
         'subscription-state: active;expires=55000', 'ms-piggyback-cseq: 1',
         'Supported: ms-benotify, ms-piggyback-first-notify', SELF], notify(user))
    add(['BENOTIFY sip:192.168.1.5:5061;transport=tls SIP/2.0', via(), info('Proxy-Authentication-Info', 3),
         'Max-Forwards: 69', *dialog(3, 'BENOTIFY'), 'Require: eventlist',
         'Content-Type: application/msrtc-event-categories+xml', 'Event: presence',
         'subscription-state: active;expires=28800'], notify(r.choice(USERS)) + notify(r.choice(USERS)))
    add(['SIP/2.0 301 Redirect request to Home Server', via(), *dialog(3, 'REGISTER'),
         'Contact: <sip:pool02.contoso.com:5061;transport=TLS>;q=0.7',
         'ms-diagnostics: 4007;reason="Redirect request to Home Server";source="pool01.contoso.com"',
         'Server: RTC/3.5'])


while len(messages) < 100:
    session()
with open(sys.argv[1], 'wb') as file:
    file.write(b''.join(struct.pack('<I', len(message)) + message for message in messages))
text = b''.join(messages)
print(len(messages), 'messages,', len(text), 'bytes, SHA-256', hashlib.sha256(text).hexdigest()[:12])
