#!/usr/bin/env python3
"""real_llama.py DOOR MODEL PYTHON: crannog-door against llama.cpp's own server (as xllamacpp brings it) with a small model.

It speaks both formats. What the model says is its business; that it is whole, streamed, counted and bounded is ours.
"""
import os
import subprocess
import sys
import time
import urllib.request

from rig import Door, transcript

PROGRAM, MODEL, PYTHON = sys.argv[1:4]
SERVER = '''
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, p.n_ctx, p.n_parallel, p.use_jinja, p.cpuparams.n_threads = sys.argv[1], int(sys.argv[2]), 2048, 2, True, 2
server = xllamacpp.Server(p)
threading.Event().wait(600)
'''
failed = 0


def check(name, good, what=''):
    global failed
    failed += not good
    print(f'{"ok" if good else "not ok"} llama.cpp: {name}' + ('' if good else f'\n  {what}'), flush=True)


def wait_for(port, child):
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=2).close()
            return
        except OSError:
            time.sleep(.2)
    raise RuntimeError('the server did not start')


def play(root):
    d = Door(PROGRAM)
    for provider, base in (('llama.cpp', root + '/v1'), ('anthropic-compatible', root)):
        for how, quirks in (('streamed', 0), ('in one piece', 1 << 1)):
            a = d.answer(d.ask(base, provider=provider, document=transcript('Say hello.', max_output=24, seed=1), QUIRKS=quirks), 100)
            text = ''.join(x['TEXT'] for x in a['deltas'])
            check(f'an answer, {provider}, {how}', a['fault'] == 'none' and a['stop'] in ('end', 'length') and a['KNOWN'] == 1 and 0 < a['OUT'] <= 24 and
                  text == ''.join(p.get('text', '') for p in a['parts']) and (quirks or len(a['deltas']) > 1), a)
        a = d.answer(d.ask(base, provider=provider, document=transcript('word ' * 6000, max_output=24)), 100)
        check(f'a prompt that is too long, {provider}', a['fault'] == 'context', a)
        i = d.ask(base, provider=provider, document=transcript('Tell a long story.', max_output=1000, seed=2))
        while d.receive(60)['type'] != 'DELTA':
            pass
        d.send('CANCEL', i)
        a = d.answer(i)
        check(f'stopped in mid-answer, {provider}', a['fault'] == 'cut' and a['parts'], a)
    d.send('LOOK', 999, PROVIDER='llama.cpp', BASE=root + '/v1', TOTAL_MS=5000)
    f = d.receive(30)
    check('its list of models', f['type'] == 'MODELS' and len(f['NAMES']) == 1, f)
    d.close()


def main():
    port = 42000 + os.getpid() % 1000
    child = subprocess.Popen([PYTHON, '-c', SERVER, MODEL, str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, child)
        play(f'http://127.0.0.1:{port}')
    finally:
        child.kill()
        child.wait()
    sys.exit(failed > 0)


main()
