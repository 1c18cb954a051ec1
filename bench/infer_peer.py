#!/usr/bin/env python3
"""Prefill and decode of crannog-infer beside llama.cpp: same file, same tokens, same threads, run in turn.

usage: bench/infer_peer.py MODEL.gguf [--program build/src/crannog-infer] [--rounds 7] [--prompt 512] [--answer 128]
                           [--threads 1,2] [--scratch FOLDER] [--busy]

llama.cpp is that of the npm package node-llama-cpp, installed by name into a scratch folder (kept: give it again and
nothing is got twice); it picks its fastest library for this processor. Needs node, npm, git and a C compiler. Prints
tokens a second, median and best of all rounds, their ratio, and how much of the processors others took meanwhile:
figures of a loaded machine say little, so compare only within one run. --busy keeps one core busy with a process of
another kind, which is how an engine and a person's tools share a machine.
"""
import argparse
import glob
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = '3.22.1'


def quiet(argv, cwd):
    done = subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f'{" ".join(argv)} failed:\n{done.stdout[-2000:]}')


def set_up(scratch):
    """Returns (the peer's program, its folder of libraries)."""
    os.makedirs(scratch, exist_ok=True)
    package = os.path.join(scratch, 'node_modules', 'node-llama-cpp')
    if not os.path.isdir(package):
        quiet(['npm', 'init', '-y'], scratch)
        quiet(['npm', 'install', '--ignore-scripts', f'node-llama-cpp@{VERSION}'], scratch)
    libraries = glob.glob(os.path.join(scratch, 'node_modules/@node-llama-cpp/linux-*/bins/linux-*'))
    libraries = [f for f in libraries if os.path.basename(f) == {'x86_64': 'linux-x64', 'aarch64': 'linux-arm64'}[os.uname().machine]]
    if not libraries:
        sys.exit('node-llama-cpp has brought no library for this machine')
    headers = os.path.join(scratch, 'headers')
    if not os.path.isdir(os.path.join(headers, 'include')):
        quiet(['git', 'clone', '-q', '-n', os.path.join(package, 'llama', 'gitRelease.bundle'), headers], scratch)
        quiet(['git', 'checkout', '-q', 'HEAD', '--', 'include', 'ggml/include'], headers)
    program, folder = os.path.join(scratch, 'infer_peer'), libraries[0]
    link = [f for name in ('libllama.v*.so', 'libggml.v*.so', 'libggml-base.so') for f in glob.glob(os.path.join(folder, name))]
    quiet(['cc', '-O2', '-I', headers + '/include', '-I', headers + '/ggml/include', '-o', program,
           os.path.join(HERE, 'infer_peer.c'), *link, '-Wl,-rpath,' + folder, '-lm'], scratch)
    return program, folder


def used():
    """Seconds of processor time that the whole machine has spent."""
    with open('/proc/stat') as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / os.sysconf('SC_CLK_TCK')


def run(argv):
    """Returns [prefill, decode] in tokens a second."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    return [float(x) for x in re.search(r'pp\d+=([\d.]+) tg\d+=([\d.]+)', done.stdout).groups()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model')
    p.add_argument('--program', default='build/src/crannog-infer')
    p.add_argument('--rounds', type=int, default=7)
    p.add_argument('--prompt', type=int, default=512)
    p.add_argument('--answer', type=int, default=128)
    p.add_argument('--threads', default='1,2')
    p.add_argument('--scratch', default=os.path.join(tempfile.gettempdir(), 'crannog-infer-peer'))
    p.add_argument('--busy', action='store_true')
    o = p.parse_args()
    peer, libraries = set_up(o.scratch)
    busy = subprocess.Popen([sys.executable, '-c', 'while True: pass']) if o.busy else None
    try:
        for threads in o.threads.split(','):
            ours, theirs = [], []
            before, own, began = used(), os.times(), os.times().elapsed
            for _ in range(o.rounds):
                ours.append(run([o.program, '--bench', o.model, str(o.prompt), str(o.answer), '--threads', threads]))
                theirs.append(run([peer, libraries, o.model, threads, str(o.prompt), str(o.answer)]))
            now = os.times()
            mine = now.children_user + now.children_system - own.children_user - own.children_system
            others = max(0.0, used() - before - mine) / (now.elapsed - began)
            for i, what in enumerate((f'prefill of {o.prompt}', f'decode of {o.answer}')):
                a, b = [r[i] for r in ours], [r[i] for r in theirs]
                m, n = statistics.median(a), statistics.median(b)
                print(f'{what}, {threads} threads: crannog-infer {m:.0f} (best {max(a):.0f}), llama.cpp {n:.0f} (best {max(b):.0f}) '
                      f'tokens/s, ratio {m / n:.2f} (of the best {max(a) / max(b):.2f}); others took {others:.2f} cores', flush=True)
    finally:
        if busy:
            busy.kill()
            busy.wait()


if __name__ == '__main__':
    main()
