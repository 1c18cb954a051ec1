#!/usr/bin/python3
"""Stands between crannog and crannog-infer and writes down, outside of both, every question that is asked and answered.

It is copied beside `crannog` under the name crannog-infer; the real program lies there as crannog-infer.real. Each line of
effects.log is one appended write: "ask RUN STEP ATTEMPT", "answer RUN STEP ATTEMPT TOKENS". Killed like the real one.
"""
import array
import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
GENERATE, GENERATED = 5, 7            # infer/protocol.h
TAG_METER_KEY, TAG_IN, TAG_OUT = 30, 23, 24
FRAME_MAX = 64 * 1024


def note(text):
    fd = os.open(os.path.join(HERE, 'effects.log'), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, text.encode() + b'\n')
    os.close(fd)


def fields(message):
    at = 0
    while at + 6 <= len(message):
        tag, size = struct.unpack_from('<HI', message, at)
        yield tag, message[at + 6:at + 6 + size]
        at += 6 + size


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main():
    outer = socket.socket(fileno=3)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    meter = 4 if os.path.exists('/proc/self/fd/4') else None

    def place():
        die_with_parent()
        os.dup2(theirs.fileno(), 3)
        if meter is not None:
            os.set_inheritable(4, True)
        os.set_inheritable(3, True)

    child = subprocess.Popen([os.path.join(HERE, 'crannog-infer.real')], executable=os.path.join(HERE, 'crannog-infer.real'),
                             preexec_fn=place, close_fds=False, env={'LANG': 'C.UTF-8'})
    theirs.close()
    keys = {}
    while True:
        ready, _, _ = select.select([outer, ours], [], [])
        for source in ready:
            target = ours if source is outer else outer
            data, ancillary, _, _ = source.recvmsg(FRAME_MAX, 1024)
            if not data:
                child.kill()
                return
            fds = array.array('i')
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
            _, _, kind, ident = struct.unpack_from('<IHHQ', data)
            if source is outer and kind == GENERATE:
                key = next(v for t, v in fields(data[16:]) if t == TAG_METER_KEY)
                run, _, step, attempt = struct.unpack_from('<QIII', key)
                keys[ident] = f'{run} {step} {attempt}'
                note('ask ' + keys[ident])
            if source is ours and kind == GENERATED:
                numbers = {t: struct.unpack('<Q', v)[0] for t, v in fields(data[16:]) if t in (TAG_IN, TAG_OUT)}
                note(f'answer {keys[ident]} {numbers[TAG_IN] + numbers[TAG_OUT]}')
            target.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
            for fd in fds:
                os.close(fd)


main()
