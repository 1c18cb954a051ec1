"""What tests of crannog-door share: the door over its socket (src/door/protocol.h, src/wire/frame.h) and the scripted server."""
import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MAGIC, HEADER = 0x4e415243, struct.Struct('<IHHQ')
FRAMES = ['', 'SECRET', 'VAULT', 'STORE', 'FORGET', 'OK', 'FAILED', 'ASK', 'DELTA', 'ANSWERED', 'LOOK', 'MODELS', 'CANCEL']
TAGS = ['', 'NAME', 'VALUE', 'BASE', 'FD', 'CODE', 'TEXT', 'PROVIDER', 'SECRET_NAME', 'QUIRKS', 'TRANSCRIPT', 'CONNECT_MS', 'IDLE_MS',
        'TOTAL_MS', 'KIND', 'PART', 'CALL', 'TURN', 'STOP', 'FAULT', 'STATUS', 'RETRY_MS', 'IN', 'CACHE_READ', 'CACHE_5M', 'CACHE_1H',
        'OUT', 'REASONING', 'NUSD', 'KNOWN', 'MODEL', 'DROPPED', 'SENT', 'FIRST_NS', 'WALL_NS']
LARGE = {'TEXT', 'TRANSCRIPT', 'TURN'}
WORDS = {'NAME', 'VALUE', 'BASE', 'PROVIDER', 'SECRET_NAME', 'CALL', 'MODEL'}
FAULTS = ['none', 'auth', 'billing', 'rate_limit', 'overloaded', 'server', 'timeout', 'context', 'too_large', 'no_model', 'refused',
          'request', 'format', 'broken', 'cut', 'limit']
STOPS = ['none', 'end', 'calls', 'length', 'pause', 'refused']
KINDS = ['', 'text', 'reasoning', 'begin', 'arguments', 'end']


class Gone(Exception):
    """The door has ended."""


def transcript(text='hello', model='scripted', system='', **options):
    return json.dumps({'v': 1, 'system': [{'text': system}] if system else [], 'tools': [
        {'name': 'bash', 'description': 'runs a command', 'schema': '{"type":"object","properties":{"command":{"type":"string"}}}'}],
        'turns': [{'role': 'user', 'parts': [{'text': text}]}],
        'options': {'model': model, 'max_output': 1000, 'stops': [], 'choice': 'auto', **options}})


def memfd(data):
    fd = os.memfd_create('field', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    import fcntl
    fcntl.fcntl(fd, 1033, 1 | 2 | 4 | 8)  # F_ADD_SEALS
    return fd


class Door:
    """The program and its socket. Requests are numbered from 1; frames are dictionaries with 'type' and 'id'."""

    def __init__(self, path, secrets=(), env=None, args=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket, self.next_id = ours, 1
        fd = theirs.fileno()
        # Descriptor 3 may be in use here, so a shell moves ours there.
        self.child = subprocess.Popen(['/bin/sh', '-c', f'exec 3<&{fd} {"" if fd == 3 else f"{fd}<&-"}; exec "$0" "$@"', path, *args],
                                      pass_fds=[fd], env=env or {}, stdin=subprocess.DEVNULL)
        theirs.close()
        for name, value, base in secrets:
            self.send('SECRET', 0, NAME=name, VALUE=value, BASE=base)

    def send(self, kind, frame_id, fds=(), **fields):
        message, passed = b'', list(fds)
        for tag, value in fields.items():
            if tag == 'FD':
                data = b''
                for i in range(len(fds)):
                    message += struct.pack('<HI', TAGS.index('FD'), 1) + bytes([i])
                continue
            data = struct.pack('<Q', value) if isinstance(value, int) else value.encode() if isinstance(value, str) else value
            if tag in LARGE and len(data) > 30000:
                passed.append(memfd(data))
                data = bytes([255, len(passed) - 1])
            elif tag in LARGE:
                data = b'\0' + data
            message += struct.pack('<HI', TAGS.index(tag), len(data)) + data
        frame = HEADER.pack(MAGIC, 1, FRAMES.index(kind), frame_id) + message
        try:
            socket.send_fds(self.socket, [frame], passed)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Gone from e
        for fd in passed[len(fds):]:
            os.close(fd)

    def receive(self, timeout=30):
        if not select.select([self.socket], [], [], timeout)[0]:
            raise TimeoutError('the door says nothing')
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 8)
        if not data:
            raise Gone
        magic, version, kind, frame_id = HEADER.unpack_from(data)
        assert magic == MAGIC and version == 1
        frame, at = {'type': FRAMES[kind], 'id': frame_id, 'NAMES': []}, HEADER.size
        while at < len(data):
            tag, n = struct.unpack_from('<HI', data, at)
            name, value = TAGS[tag], data[at + 6:at + 6 + n]
            at += 6 + n
            if name in LARGE:
                value = os.pread(fds[value[1]], 1 << 27, 0) if value[0] == 255 else value[1:]
                value = value.decode()
            elif name in WORDS:
                value = value.decode()
            else:
                value = struct.unpack('<Q', value)[0]
            if name == 'NAME':
                frame['NAMES'].append(value)
            frame[name] = value
        for fd in fds:
            os.close(fd)
        return frame

    def ask(self, base, text='hello', provider='openai-compatible', secret='', frame_id=None, document=None, **fields):
        if frame_id is None:
            frame_id, self.next_id = self.next_id, self.next_id + 1
        self.send('ASK', frame_id, PROVIDER=provider, BASE=base, SECRET_NAME=secret, TRANSCRIPT=document or transcript(text), **fields)
        return frame_id

    def answer(self, frame_id, timeout=30):
        """Its ANSWERED (deltas of it gathered below 'deltas'); what belongs to others is dropped."""
        deltas = []
        while True:
            f = self.receive(timeout)
            if f['id'] != frame_id:
                continue
            if f['type'] != 'DELTA':
                f['deltas'] = deltas
                f['fault'], f['stop'] = FAULTS[f.get('FAULT', 0)], STOPS[f.get('STOP', 0)]
                f['parts'] = json.loads(f['TURN'])['parts'] if 'TURN' in f else []
                return f
            deltas.append(f)

    def alive(self):
        return self.child.poll() is None

    def close(self):
        self.socket.close()
        try:
            return self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            return 'killed'


class Scripted:
    """scripted.py at work; .port, .base; .log() gives its lines."""

    def __init__(self, folder, replies, models='scripted'):
        self.folder = folder
        name = f'{folder}/scripted-{time.monotonic_ns()}'
        self.log_path, ready = name + '.log', name + '.ready'
        with open(name + '.json', 'w', encoding='utf-8') as file:
            json.dump(replies, file)
        self.child = subprocess.Popen([sys.executable, f'{HERE}/scripted.py', '--script', name + '.json', '--log', self.log_path,
                                       '--ready', ready, '--models', models], stdin=subprocess.DEVNULL)
        while not os.path.exists(ready):
            if self.child.poll() is not None:
                raise RuntimeError('the scripted server did not start')
            time.sleep(0.01)
        with open(ready, encoding='utf-8') as file:
            self.port = int(file.read())
        self.root = f'http://127.0.0.1:{self.port}'
        self.base = self.root + '/v1'

    def log(self, kind='time_ns'):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, encoding='utf-8') as file:
            return [row for row in map(json.loads, file) if kind in row]
        return []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
