#!/usr/bin/env python3
"""Start to exit of a command, RUNS times, beside another one in turn: median wall milliseconds and peak memory.

usage: start.py RUNS COMMAND [--vs COMMAND]      commands are single words or quoted
"""
import os
import shlex
import statistics
import sys
import time


def once(argv):
    began = time.monotonic()
    pid = os.posix_spawn(argv[0], argv, {'LANG': 'C.UTF-8', 'HOME': '/nonexistent'},
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    return (time.monotonic() - began) * 1000, usage.ru_maxrss / 1024, status


def main():
    runs = int(sys.argv[1])
    words = sys.argv[2:]
    commands = [shlex.split(w) for w in words if w != '--vs']
    rows = {i: [] for i in range(len(commands))}
    for _ in range(runs):
        for i, argv in enumerate(commands):
            rows[i].append(once(argv))
    for i, argv in enumerate(commands):
        wall = statistics.median(r[0] for r in rows[i])
        print(f'{" ".join(argv)}: {wall:.2f} ms, {max(r[1] for r in rows[i]):.1f} MB, median of {runs}')


main()
