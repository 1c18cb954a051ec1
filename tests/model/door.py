#!/usr/bin/env python3
"""door.py PROGRAM FOLDER: crannog-door beside the scripted server. One line of `ok` or `not ok` a test.

Proves what door/protocol.h says: each ASK has one answer whatever a server does; a secret reaches its origin only, and is never
seen in an answer, an environment, an argument or a core; a stopped, slow or dead side is noticed; many calls at once work.
"""
import contextlib
import email.utils
import os
import resource
import socket
import sys
import threading
import time
import traceback

from rig import KINDS, Door, Gone, Scripted, transcript

PROGRAM, FOLDER = sys.argv[1], sys.argv[2]
ONLY = sys.argv[3:]
SECRET = 'sk-test-9f8e7d6c5b4a39281706'
BOTH = ('openai-compatible', 'v1'), ('anthropic-compatible', '')
tests = []


def test(f):
    tests.append(f)
    return f


def eq(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what} {got!r} instead of {wanted!r}')


def base_of(server, provider):
    return server.base if provider == 'openai-compatible' else server.root


@contextlib.contextmanager
def door(*secrets):
    d = Door(PROGRAM, secrets)
    try:
        yield d
        assert d.alive(), 'the door has ended'
    finally:
        d.close()


def one(reply, provider='openai-compatible', secret=False, **fields):
    """What a door says to one reply; and that it lives on and answers the next."""
    with Scripted(FOLDER, [reply, {'text': 'still here'}]) as s:
        base = base_of(s, provider)
        with door(*([('K', SECRET, base)] if secret else [])) as d:
            answer = d.answer(d.ask(base, provider=provider, secret='K' if secret else '', **fields))
            after = d.answer(d.ask(base, provider=provider))
            eq((after['fault'], after['parts']), ('none', [{'text': 'still here'}]), 'the next answer is')
            answer['log'] = s.log()
            return answer


def joined(answer, kind):
    by_part = {}
    for d in answer['deltas']:
        if KINDS[d['KIND']] == kind:
            by_part[d['PART']] = by_part.get(d['PART'], '') + d['TEXT']
    return by_part


# --- answers ---------------------------------------------------------------------------------------------------------

RICH = {'text': 'Two things, then: größe und Maß.', 'reasoning': 'hm, let me think about it',
        'calls': [{'name': 'bash', 'arguments': {'command': 'ls -l'}}, {'name': 'bash', 'arguments': {'command': 'pwd'}}],
        'usage': {'input': 100, 'output': 20, 'cache_read': 30}}


@test
def answers_whole():
    """text, reasoning and parallel calls, streamed in pieces of any size and in one piece, in both formats"""
    for provider, _ in BOTH:
        for more, quirks in (({}, 0), ({'split': 1}, 0), ({'split': 7, 'chunk': 1, 'side_by_side': True}, 0), ({}, 1 << 1)):
            a = one(dict(RICH, **more), provider, secret=True, QUIRKS=quirks)
            eq((a['fault'], a['stop'], a['STATUS'], a['SENT'], a['KNOWN']), ('none', 'calls', 200, 1, 1))
            eq((a['IN'], a['CACHE_READ'], a['OUT'], a['MODEL']), (70, 30, 20, 'scripted'), 'usage')
            kinds = [next(k for k in ('reasoning', 'call', 'text') if k in p) for p in a['parts']]
            eq(kinds, ['reasoning', 'text', 'call', 'call'])
            eq([p['arguments'] for p in a['parts'][2:]] if quirks == 0 else 0, ['{"command": "ls -l"}', '{"command": "pwd"}'] if quirks == 0 else 0)
            eq(joined(a, 'text'), {1: RICH['text']})
            eq(joined(a, 'reasoning'), {0: RICH['reasoning']})
            eq(joined(a, 'arguments'), {2: a['parts'][2]['arguments'], 3: a['parts'][3]['arguments']})
            assert 0 < a['FIRST_NS'] <= a['WALL_NS'] < 20e9
            sent = a['log'][0]['headers']
            eq(sent.get('x-api-key' if provider[0] == 'a' else 'authorization'), ('' if provider[0] == 'a' else 'Bearer ') + SECRET)
            eq(a['log'][0]['path'], '/v1/messages' if provider[0] == 'a' else '/v1/chat/completions')


@test
def headers_without_secret():
    """no secret is named, so none is sent, though the door knows one"""
    with Scripted(FOLDER, [{'text': 'a'}]) as s, door(('K', SECRET, s.base)) as d:
        eq(d.answer(d.ask(s.base))['fault'], 'none')
        headers = s.log()[0]['headers']
        assert 'authorization' not in headers and 'x-api-key' not in headers and SECRET not in str(headers)


@test
def large_request_and_answer():
    """a request of megabytes goes out, an answer of a megabyte comes in by a descriptor"""
    with Scripted(FOLDER, [{'fault': 'huge', 'huge_bytes': 1 << 20, 'expect': {'contains': 'zzzzz'}}]) as s, door() as d:
        a = d.answer(d.ask(s.base, document=transcript('z' * (6 << 20))))
        eq((a['fault'], len(a['parts'][0]['text']), len(joined(a, 'text')[0])), ('none', 1 << 20, 1 << 20))


# --- faults ----------------------------------------------------------------------------------------------------------

@test
def faults():
    """each fault of a server is the kind that says what to do, in both formats, and the door goes on"""
    for reply, kinds in (
            ({'fault': 'cut', 'text': 'half of this will be there'}, 'cut'), ({'fault': 'garbage'}, 'broken format'),
            ({'fault': 'html'}, 'format broken'), ({'fault': 'other_format', 'text': 'hello'}, 'format'), ({'fault': 'empty'}, 'broken cut'),
            ({'fault': 'wrong_type', 'text': 'x'}, 'broken'), ({'fault': 'huge', 'huge_bytes': 5 << 20}, 'limit'),
            ({'fault': 'headers_huge'}, 'limit'),
            ({'fault': 'no_usage', 'text': 'fine'}, 'none'), ({'fault': 'slow_header', 'text': 'fine', 'header_ms': 1}, 'none'),
            ({'fault': 'malformed_arguments', 'calls': [{'name': 'bash', 'arguments': {'command': 'ls'}}]}, 'none'),
            ({'status': 401, 'error': 'wrong key'}, 'auth'), ({'status': 403, 'error': 'no'}, 'auth'), ({'status': 402, 'error': 'pay'}, 'billing'),
            ({'status': 429, 'error': 'slow down'}, 'rate_limit'), ({'status': 529, 'error': 'busy'}, 'overloaded'),
            ({'status': 503, 'error': 'busy'}, 'overloaded server'), ({'status': 500, 'error': 'oh'}, 'server'),
            ({'status': 404, 'error': 'no such model', 'type': 'not_found_error'}, 'no_model'),
            ({'status': 413, 'error': 'big', 'type': 'request_too_large'}, 'too_large'),
            ({'status': 400, 'error': 'prompt is too long: 300000 tokens', 'type': 'invalid_request_error'}, 'context'),
            ({'status': 400, 'error': 'unknown field', 'type': 'invalid_request_error'}, 'request')):
        for provider, _ in BOTH:
            a = one(reply, provider)
            if a['fault'] not in kinds.split():
                raise AssertionError(f'{reply} of {provider} is {a["fault"]}: {a.get("TEXT")}')
            assert a['fault'] == 'none' or a['TEXT'] and '\n' not in a['TEXT']
            eq(a['SENT'], 1)
            if 'status' in reply:
                eq(a['STATUS'], reply['status'])
                assert reply['error'] in a['TEXT'], a['TEXT']
            if reply.get('fault') == 'no_usage':
                eq(a['KNOWN'], 0)
            if reply.get('fault') == 'malformed_arguments':
                eq(a['parts'][0].get('malformed'), True)
            if reply.get('fault') == 'cut':
                assert a['parts'] and 'half' in a['parts'][0]['text']


@test
def redirects():
    """a redirect is an answer, never followed"""
    with Scripted(FOLDER, [{'text': 'must not be reached'}]) as other:
        a = one({'fault': 'redirect', 'location': other.base + '/chat/completions'}, secret=True)
        assert a['fault'] == 'no_model' and a['STATUS'] == 302 and 'not followed' in a['TEXT'], a
        eq(other.log(), [])


@test
def retry_after():
    """Retry-After as seconds, as a date, in milliseconds, and as nonsense"""
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    for more, low, high in (({'retry_after': '2'}, 2000, 2000), ({'retry_after': date}, 80000, 91000), ({'retry_after_ms': '150'}, 150, 150),
                            ({'retry_after': '30', 'retry_after_ms': '1500.5'}, 1500, 1501), ({'retry_after': '0.5'}, 500, 500),
                            ({'retry_after': 'soon'}, -1, -1), ({'retry_after': '-5'}, -1, -1), ({'retry_after': '99999999999999999999'}, -1, -1),
                            ({'retry_after': '9999999'}, 604800000, 604800000), ({}, -1, -1)):
        a = one({'status': 429, 'error': 'slow', **more})
        eq(a['fault'], 'rate_limit')
        assert low <= a.get('RETRY_MS', -1) <= high, (more, a.get('RETRY_MS'))


@test
def bad_asks():
    """an ASK that makes no sense is answered, and nothing leaves for it"""
    with Scripted(FOLDER, [{'text': 'a'}, {'loop': True}]) as s, door() as d:
        for fields, kind in (({'provider': 'nobody'}, 'no_model'), ({'document': '{}'}, 'request'), ({'document': 'x'}, 'request'), ({'base': ''}, 'no_model'),
                             ({'base': 'ftp://127.0.0.1/'}, 'no_model'), ({'base': 'file:///etc/passwd'}, 'no_model'), ({'base': 'http://'}, 'no_model'),
                             ({'base': 'http://user:pw@127.0.0.1/'}, 'no_model'), ({'base': 'http://127.0.0.1/?x=1'}, 'no_model'),
                             ({'base': 'http://127.0.0.1/#x'}, 'no_model'), ({'base': 'gopher://127.0.0.1:70/'}, 'no_model'),
                             ({'base': 'http://127.0.0.1\\@evil/'}, 'no_model'), ({'base': 'http://a b/'}, 'no_model'), ({'base': 'x' * 3000}, 'no_model'),
                             ({'secret': 'NONE'}, 'auth'), ({'document': transcript(model='m', max_output=0)}, 'request')):
            a = d.answer(d.ask(**{'base': s.base, **fields}))
            eq((a['fault'], a['SENT']), (kind, 0), f'{fields}: {a.get("TEXT")}')
        eq(s.log(), [])
        d.send('ASK', 77)
        eq(d.answer(77)['fault'], 'no_model')
        d.ask(s.base, frame_id=5)
        eq(d.answer(5)['fault'], 'none')


@test
def frames_of_all_kinds():
    """a frame that is not known is answered; one that is no frame ends the door"""
    d = Door(PROGRAM)
    d.send('ANSWERED', 9)
    eq(d.receive()['type'], 'FAILED')
    d.send('CANCEL', 1234)
    d.send('STORE', 10, NAME='N', VALUE='v', BASE='https://a')
    f = d.receive()
    eq((f['type'], f['id']), ('FAILED', 10))
    d.socket.send(b'this is no frame')
    eq(d.child.wait(5), 0)
    d.close()


@test
def unreachable():
    """nobody listens, no such host, a host that is not who it says: told apart, in time"""
    with socket.socket() as nobody, door(('K', SECRET, 'https://127.0.0.1:1')) as d:
        nobody.bind(('127.0.0.1', 0))
        a = d.answer(d.ask(f'http://127.0.0.1:{nobody.getsockname()[1]}/v1'))
        eq((a['fault'], a['SENT'], a['STATUS']), ('server', 0, 0), a.get('TEXT'))
        a = d.answer(d.ask('https://no-such-host.invalid/v1', CONNECT_MS=20000), 40)
        assert a['fault'] in ('no_model', 'server', 'timeout') and a['SENT'] == 0 and 'no-such-host.invalid' in a['TEXT'], a


@test
def forbidden_addresses():
    """link-local and metadata addresses are never dialled, however they are written"""
    with door() as d:
        for host in ('169.254.169.254', '2852039166', '0xa9fea9fe', '[fe80::1]', '[::ffff:169.254.169.254]', '[fd00:ec2::254]', '100.100.100.200',
                     '[64:ff9b::a9fe:a9fe]'):
            began = time.monotonic()
            a = d.answer(d.ask(f'http://{host}/v1', CONNECT_MS=3000))
            eq((a['fault'], a['SENT']), ('no_model', 0), f'{host}: {a.get("TEXT")}')
            assert 'never dialled' in a['TEXT'] and time.monotonic() - began < 2, a['TEXT']


# --- secrets ---------------------------------------------------------------------------------------------------------

@test
def secret_of_one_origin():
    """a secret goes to its scheme, host and port, and to no other (D1)"""
    with Scripted(FOLDER, [{'text': 'a'}, {'loop': True}]) as s, Scripted(FOLDER, [{'text': 'b'}, {'loop': True}]) as other, \
            door(('K', SECRET, s.base), ('REAL', SECRET, 'https://api.example.com/v1')) as d:
        eq(d.answer(d.ask(s.root + '/other/path', secret='K'))['fault'], 'none')
        eq(d.answer(d.ask(f'HTTP://127.0.0.1:{s.port}/v1', secret='K'))['fault'], 'none')
        for base, name in ((other.base, 'K'), (f'http://localhost:{s.port}/v1', 'K'), (f'https://127.0.0.1:{s.port}/v1', 'K'), ('http://127.0.0.1/v1', 'K'),
                           ('http://api.example.com/v1', 'REAL'), ('https://api.example.com:444/v1', 'REAL'), ('https://api.example.com.evil.org', 'REAL'),
                           ('https://api.example.com@evil.org', 'REAL'), ('https://evil.org/https://api.example.com', 'REAL')):
            a = d.answer(d.ask(base, secret=name))
            assert a['fault'] in ('auth', 'no_model') and a['SENT'] == 0, (base, a)
            if '@' not in base:
                assert a['fault'] == 'auth' and 'is not sent to' in a['TEXT'], (base, a)
        eq(other.log(), [])


def own_address():
    """An address of this machine that is not the loopback's, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(('192.0.2.1', 9))
        except OSError:
            return None
        return s.getsockname()[0]


@test
def secret_in_clear():
    """over plain http a secret goes to this machine only; also on a connection that is open already"""
    address = own_address()
    if not address or address.startswith('127.'):
        return 'skip: this machine has no other address'
    heard = []

    def listen(server):
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer):
        body = b'{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
        with contextlib.suppress(OSError):
            while data := peer.recv(65536):
                heard.append(data)
                peer.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n' % len(body) + body)

    with socket.create_server((address, 0)) as server:
        threading.Thread(target=listen, args=(server,), daemon=True).start()
        base = f'http://{address}:{server.getsockname()[1]}/v1'
        with door(('K', SECRET, base)) as d:
            a = d.answer(d.ask(base, secret='K'))
            eq((a['fault'], a['SENT']), ('auth', 0), a.get('TEXT'))
            assert 'https' in a['TEXT']
            eq(d.answer(d.ask(base))['fault'], 'none')
            a = d.answer(d.ask(base, secret='K'))
            eq((a['fault'], a['SENT']), ('auth', 0), a.get('TEXT'))
            assert heard and not any(SECRET.encode() in data for data in heard)


@test
def secret_said_back():
    """what a server says back of a secret is stars before anybody sees it: in text, reasoning, calls, errors, split anywhere"""
    stars = '*' * len(SECRET)
    for provider, _ in BOTH:
        header = 'x-api-key' if provider[0] == 'a' else 'authorization'
        echo = {'echo': header, 'text': 'your key is {}, is it not', 'reasoning': 'they use {}'}
        for more in ({}, {'chunk': 1}, {'chunk': 3}, {'chunk': 1, 'split': 1}, {'chunk': 5, 'split': 11}):
            a = one(dict(echo, **more), provider, secret=True)
            assert SECRET not in str(a['deltas']) + a['TURN'] and stars in a['parts'][1]['text'] and stars in a['parts'][0]['reasoning'], a['TURN']
            eq(joined(a, 'text')[1], a['parts'][1]['text'])
            eq(len(a['parts'][1]['text']), len('your key is , is it not') + len(SECRET) + (7 if provider[0] == 'o' else 0))
        a = one({'echo': header, 'status': 401, 'error': 'Incorrect API key provided: {}'}, provider, secret=True)
        assert a['fault'] == 'auth' and SECRET not in a['TEXT'] and stars in a['TEXT'], a['TEXT']
        a = one({'echo': header, 'status': 401, 'error': 'x' * 280 + ' {} ' + 'y' * 300}, provider, secret=True)
        assert SECRET[:9] not in a['TEXT'], a['TEXT']
        a = one({'text': '', 'calls': [{'name': 'bash', 'arguments': {'command': f'echo {SECRET}'}, 'id': f'id-{SECRET}'}], 'model': SECRET}, provider, secret=True)
        assert SECRET not in str({k: v for k, v in a.items() if k != 'log'}), a
        a = one({'echo': header, 'raw': '{"error": "no, {} is wrong"}', 'status': 500}, provider, secret=True)
        assert SECRET not in a['TEXT'] and stars in a['TEXT']


@test
def secret_unseen():
    """it is in no argument, no environment and no core; what is looked at was looked at while it was in use"""
    env = {'OPENAI_API_KEY': SECRET, 'http_proxy': 'http://127.0.0.1:1', 'https_proxy': 'http://127.0.0.1:1', 'SSLKEYLOGFILE': FOLDER + '/keys'}
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with Scripted(FOLDER, [{'text': 'ab', 'fault': 'stall'}]) as s:
        d = Door(PROGRAM, [('K', SECRET, s.base)], env=env)
        i = d.ask(s.base, secret='K')
        while d.receive()['type'] != 'DELTA':
            pass
        eq(s.log()[0]['headers'].get('authorization'), f'Bearer {SECRET}')
        pid = d.child.pid
        for name in ('cmdline', 'environ'):
            try:
                with open(f'/proc/{pid}/{name}', 'rb') as file:
                    assert SECRET.encode() not in file.read(), name
            except PermissionError:
                pass
        with open(f'/proc/{pid}/limits') as file:
            limits = file.read()
        assert any(line.split()[4:6] == ['0', '0'] for line in limits.splitlines() if line.startswith('Max core file size')), limits
        if os.getuid() == 0:
            eq(os.stat(f'/proc/{pid}/mem').st_uid, 0)
        before = set(os.listdir(FOLDER))
        os.kill(pid, 6)
        d.child.wait(5)
        assert not any('core' in name for name in set(os.listdir(FOLDER)) - before) and not os.path.exists(FOLDER + '/keys')
        d.close()
        assert i


@test
def secret_that_is_none():
    """a value that no header can carry is never sent; a name may be given again; forgetting needs a vault"""
    with Scripted(FOLDER, [{'text': 'a'}, {'loop': True}]) as s, door() as d:
        for value in ('', 'a\r\nx-evil: 1', 'a b', 'é', 'a\0b', 'x' * 20000):
            d.send('SECRET', 0, NAME='K', VALUE=value, BASE=s.base)
            a = d.answer(d.ask(s.base, secret='K'))
            eq((a['fault'], a['SENT']), ('auth', 0), repr(value[:9]))
        for value in (SECRET, 'second-' + SECRET):
            d.send('SECRET', 0, NAME='K', VALUE=value, BASE=s.base)
            eq(d.answer(d.ask(s.base, secret='K'))['fault'], 'none')
            eq(s.log()[-1]['headers']['authorization'], 'Bearer ' + value)


@test
def vault():
    """secrets that are stored are there for the next door, and gone when they are forgotten"""
    place = FOLDER + '/vault'
    files = [os.open(place + name, os.O_RDWR | os.O_CREAT, 0o600) for name in ('', '.key')]
    with Scripted(FOLDER, [{'text': 'a'}, {'loop': True}]) as s:
        for stored in (False, True, None):
            with door() as d:
                d.send('VAULT', 1, fds=files, FD=0)
                f = d.receive()
                eq((f['type'], f['NAMES']), ('OK', ['K'] if stored else []), f.get('TEXT'))
                a = d.answer(d.ask(s.base, secret='K', frame_id=50))
                eq(a['fault'], 'none' if stored else 'auth')
                if stored:
                    eq(s.log()[-1]['headers']['authorization'], 'Bearer ' + SECRET)
                if stored is None:
                    continue
                if stored:
                    d.send('FORGET', 2, NAME='K')
                else:
                    d.send('STORE', 2, NAME='K', VALUE=SECRET, BASE=s.base)
                f = d.receive()
                eq((f['type'], f['NAMES']), ('OK', [] if stored else ['K']), f.get('TEXT'))
                d.send('STORE', 3, NAME='BAD', VALUE='a b', BASE=s.base)
                eq(d.receive()['type'], 'FAILED')
                with open(place, 'rb') as file:
                    assert SECRET.encode() not in file.read()
    for fd in files:
        os.close(fd)


# --- time ------------------------------------------------------------------------------------------------------------

@test
def timeouts():
    """idle, total and connect each end a call in time, with what came until then"""
    with Scripted(FOLDER, [{'text': 'a' * 64, 'fault': 'stall', 'stall_ms': 8000}, {'loop': True}]) as s, door() as d:
        for fields, least, most, words in (({'IDLE_MS': 400}, .4, 2, 'said nothing for 400 ms'), ({'TOTAL_MS': 600}, .6, 2, 'within 600 ms')):
            began = time.monotonic()
            a = d.answer(d.ask(s.base, **fields))
            took = time.monotonic() - began
            eq((a['fault'], a['SENT']), ('timeout', 1))
            assert words in a['TEXT'] and least <= took < most and a['parts'], (took, a)
    with Scripted(FOLDER, [{'text': 'late', 'delay_ms': 3000}, {'text': 'slow', 'chunk': 1, 'chunk_delay_ms': 250}]) as s, door() as d:
        eq(d.answer(d.ask(s.base, IDLE_MS=500))['fault'], 'timeout')
        eq(d.answer(d.ask(s.base, IDLE_MS=1000))['fault'], 'none')
    with socket.socket() as full, door() as d:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        base = f'http://127.0.0.1:{full.getsockname()[1]}/v1'
        holders = []
        for _ in range(4):
            holders.append(socket.socket())
            holders[-1].setblocking(False)
            holders[-1].connect_ex(full.getsockname())
        began = time.monotonic()
        a = d.answer(d.ask(base, CONNECT_MS=700))
        eq((a['fault'], a['SENT']), ('timeout', 0), a.get('TEXT'))
        assert .6 < time.monotonic() - began < 3
        for h in holders:
            h.close()


@test
def cancel():
    """a CANCEL in mid-stream is answered at once, with what came; before the answer, too; twice is nothing"""
    with Scripted(FOLDER, [{'text': 'b' * 64, 'fault': 'stall'}, {'text': 'x', 'delay_ms': 60000}]) as s, door() as d:
        i = d.ask(s.base)
        while d.receive()['type'] != 'DELTA':
            pass
        time.sleep(.2)
        for i, parts in ((i, True), (d.ask(s.base), False)):
            time.sleep(.2)
            began = time.monotonic()
            d.send('CANCEL', i)
            a = d.answer(i)
            eq((a['fault'], a['SENT'], bool(a['parts'])), ('cut', 1, parts), a)
            assert time.monotonic() - began < .5
            d.send('CANCEL', i)
        try:
            f = d.receive(.3)
            raise AssertionError(f)
        except TimeoutError:
            pass


@test
def slow_engine():
    """an engine that does not read holds up its own calls only a while: the door stays small, nothing is lost"""
    with Scripted(FOLDER, [{'fault': 'huge', 'huge_bytes': 2000000}, {'loop': True}]) as s, door() as d:
        ids = [d.ask(s.base, IDLE_MS=2000) for _ in range(20)]
        time.sleep(3)
        small = rss(d.child.pid)
        text, ended = {i: 0 for i in ids}, {}
        while len(ended) < len(ids):
            f = d.receive()
            if f['type'] == 'DELTA':
                text[f['id']] += len(f['TEXT'])
            else:
                ended[f['id']] = f['FAULT']
        eq(set(ended.values()), {0})
        eq(set(text.values()), {2000000})
        assert small < 60 << 20, small


def rss(pid):
    with open(f'/proc/{pid}/statm') as file:
        return int(file.read().split()[1]) * 4096


@test
def many():
    """200 calls at once, each with its own answer, told side by side"""
    with Scripted(FOLDER, [{'echo': 'x', 'text': f'answer to <{i}> ', 'when': f'<{i}>', 'chunk': 3, 'chunk_delay_ms': 20} for i in range(200)]) as s, \
            door(('K', SECRET, s.base)) as d:
        ids = {d.ask(s.base, text=f'question <{i}>', secret='K'): i for i in range(200)}
        ended, order = {}, []
        while len(ended) < 200:
            f = d.receive()
            order.append(f['id'])
            if f['type'] == 'ANSWERED':
                assert f['id'] not in ended
                ended[f['id']] = f
        for frame_id, i in ids.items():
            assert f'answer to <{i}> ' in ended[frame_id]['TURN'] and ended[frame_id]['FAULT'] == 0
        changes = sum(a != b for a, b in zip(order, order[1:]))
        assert changes > 400, changes


@test
def connections_are_kept():
    """calls one after another share a connection"""
    with Scripted(FOLDER, [{'text': 'a'}, {'loop': True}]) as s, door() as d:
        for _ in range(5):
            eq(d.answer(d.ask(s.base))['fault'], 'none')
        eq(len({row['connection'] for row in s.log()}), 1)


@test
def killed():
    """a door that is killed is seen by its engine at once; one whose engine goes ends by itself, in mid-call, too"""
    with Scripted(FOLDER, [{'text': 'a' * 64, 'fault': 'stall'}, {'loop': True}]) as s:
        d = Door(PROGRAM)
        d.ask(s.base)
        while d.receive()['type'] != 'DELTA':
            pass
        d.child.kill()
        try:
            while True:
                d.receive(5)
        except Gone:
            pass
        d.close()
        d = Door(PROGRAM)
        d.ask(s.base)
        d.receive()
        eq(d.close(), 0)


@test
def look():
    """which models servers have, asked side by side; a server that is none says why"""
    with Scripted(FOLDER, [], models='small,large') as s, door(('K', SECRET, s.base)) as d:
        d.send('LOOK', 1, PROVIDER='openai-compatible', BASE=s.base, SECRET_NAME='K', TOTAL_MS=5000)
        d.send('LOOK', 2, PROVIDER='anthropic-compatible', BASE=s.root, SECRET_NAME='', TOTAL_MS=5000)
        d.send('LOOK', 3, PROVIDER='openai-compatible', BASE='http://127.0.0.1:1/v1', SECRET_NAME='', TOTAL_MS=5000)
        d.send('LOOK', 4, PROVIDER='openai-compatible', BASE=s.base + '/none', SECRET_NAME='K', TOTAL_MS=5000)
        d.send('LOOK', 5, PROVIDER='openai-compatible', BASE=s.root + '/models/x', SECRET_NAME='', TOTAL_MS=5000)
        got = {}
        while len(got) < 5:
            f = d.receive()
            got[f['id']] = f
        eq([got[i]['type'] for i in (1, 2, 3, 4, 5)], ['MODELS', 'MODELS', 'FAILED', 'MODELS', 'MODELS'])
        eq(got[1]['NAMES'], ['small', 'large'])
        assert '127.0.0.1:1' in got[3]['TEXT'], got[3]


@test
def look_says_no_secret():
    """a server that says the secret back instead of its models"""
    def talk(server):
        peer, _ = server.accept()
        with peer:
            said = [line for line in peer.recv(65536).split(b'\r\n') if line.lower().startswith(b'authorization')][0]
            body = b'{"error": {"message": "not with ' + said + b'"}}'
            peer.sendall(b'HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n' % len(body) + body)
    with socket.create_server(('127.0.0.1', 0)) as server:
        threading.Thread(target=talk, args=(server,), daemon=True).start()
        base = f'http://127.0.0.1:{server.getsockname()[1]}/v1'
        with door(('K', SECRET, base)) as d:
            d.send('LOOK', 1, PROVIDER='openai-compatible', BASE=base, SECRET_NAME='K', TOTAL_MS=5000)
            f = d.receive()
            assert f['type'] == 'FAILED' and 'Bearer ****' in f['TEXT'] and SECRET not in f['TEXT'], f


@test
def walls():
    """it has no privileges, no programs and no files of its own: what the kernel says of the process"""
    with Scripted(FOLDER, [{'text': 'a', 'delay_ms': 300}]) as s, door() as d:
        i = d.ask(s.base)
        time.sleep(.1)
        with open(f'/proc/{d.child.pid}/status') as file:
            status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        eq((status['NoNewPrivs'], status['Seccomp']), ('1', '2'))
        eq(d.answer(i)['fault'], 'none')


def main():
    failed = 0
    for f in tests:
        if ONLY and f.__name__ not in ONLY:
            continue
        name = f'{f.__name__}: {" ".join(f.__doc__.split())}'
        try:
            why = f()
            print(f'skip {name} ({why})' if why else f'ok {name}', flush=True)
        except Exception:
            failed += 1
            print('  ' + traceback.format_exc().replace('\n', '\n  '))
            print(f'not ok {name}', flush=True)
    sys.exit(failed > 0)


main()
