#!/usr/bin/env python3
"""left.py [ROUNDS]: what a jail leaves behind when one of its processes is killed, at any moment. Prints `ok` or `not ok`.

Each round starts `crannog exec` on a command that has daemons, a layer and files open, and kills, after a delay drawn from a seed
between nothing and the time that a start takes, with SIGKILL: crannog itself, its crannog-jail, the jail's first process, the program,
or crannog with all that it started. Afterwards no process and no mount may be there that was not; the next commands must run, and with
them go the control groups of jails that could not remove theirs.
"""
import contextlib
import ctypes
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get('ROOT', os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN = os.environ.get('BIN', os.path.join(ROOT, 'build', 'src'))
MARK = f'86{secrets.randbelow(10**7):07d}'
PROGRAM = f'echo x >new; mkdir -p d; echo y >d/f; (setsid sleep {MARK} &) ; sleep {MARK} & exec 3>held; rm held; exec sleep {MARK}'
ENDS = f'echo x >new; (setsid sleep {MARK} &) ; exit 0'


def table():
    """Processes as pid: (parent, name, words)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as got:
                head, tail = got.read().rsplit(')', 1)
            with open(f'/proc/{pid}/cmdline', 'rb') as got:
                words = got.read().split(b'\0')
        except OSError:
            continue
        if tail.split()[0] != 'Z':
            found[int(pid)] = (int(tail.split()[1]), head.split('(', 1)[1], words)
    return found


def below(top):
    """All that descends from a process, itself first, parents before children."""
    seen, order, processes = {top}, [top], table()
    for _ in range(8):
        for pid, (parent, _, _) in processes.items():
            if parent in seen and pid not in seen:
                seen.add(pid)
                order.append(pid)
    return [(pid, processes[pid][1]) for pid in order if pid in processes]


def victims(tree, who):
    jails = [pid for pid, name in tree if name == 'crannog-jail']
    return {'crannog': [pid for pid, _ in tree][:1], 'crannog-jail': jails[:1], 'the first process': jails[1:2], 'both of a jail': jails[:2],
            'the program': [pid for pid, name in tree if name in ('sh', 'sleep')][:1], 'all': [pid for pid, _ in tree]}[who]


def left(top):
    """What is there still, in words."""
    words = [f'process {pid} {name} {b" ".join(w)[:80]}' for pid, (_, name, w) in table().items()
             if (w and MARK.encode() in w) or (name.startswith('crannog') and top.encode() in b' '.join(w))]
    with open('/proc/self/mountinfo', encoding='utf-8', errors='replace') as mounts:
        words += [f'mount {line.strip()}' for line in mounts if top in line]
    return words


def groups_of(pids):
    """Control groups that are named after one of these processes."""
    words = []
    for folder, dirs, _ in os.walk('/sys/fs/cgroup'):
        if os.path.basename(folder) == 'crannog':
            words += [f'control group {folder}/{d}' for d in dirs if d in pids]
            dirs.clear()
    return words


def collect():
    """Whoever lost its parent is ours (the subreaper below), so that none is there as a zombie whose pid looks alive."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def settle(top, look=None):
    ends = time.monotonic() + 5
    collect()
    while (found := left(top) + (look() if look else [])) and time.monotonic() < ends:
        time.sleep(0.02)
        collect()
    return found


def play(rounds):
    top = tempfile.mkdtemp(prefix='crannog-left-', dir=os.environ.get('TMPDIR', '/var/tmp'))
    os.chmod(top, 0o755)
    seed = int(os.environ.get('LEFT_SEED', random.randrange(10**6)))
    draw, wrong = random.Random(seed), []
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    work, program = os.path.join(top, 'work'), os.path.join(BIN, 'crannog')
    os.makedirs(work)
    env = {'PATH': os.environ['PATH'], 'HOME': top, 'CRANNOG': os.path.join(top, 'crannog'), 'TMPDIR': top}

    def crannog(*words):
        return subprocess.run([program, *words], cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)

    try:
        crannog('init')
        began = time.monotonic()
        crannog('exec', '--in', work, '--', 'true')
        start_s = time.monotonic() - began
        whos = ['crannog', 'crannog-jail', 'the first process', 'both of a jail', 'the program', 'all']
        hit, pids = dict.fromkeys(whos, 0), set()
        for n in range(rounds):
            who = whos[n % len(whos)]
            child = subprocess.Popen([program, 'exec', '--in', work, '--', 'sh', '-c', PROGRAM], cwd=work, env=env, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(draw.random() * start_s * 1.5)
            ends, chosen = time.monotonic() + 5, []
            while not chosen and time.monotonic() < ends and child.poll() is None:
                tree = below(child.pid)
                pids.update(str(pid) for pid, _ in tree)
                chosen = victims(tree, who)
            for pid in chosen:
                try:
                    os.kill(pid, signal.SIGKILL)
                    hit[who] += 1
                except ProcessLookupError:
                    pass
            time.sleep(draw.random() * 0.1) # a command whose jail died is tried again
            child.kill()
            child.wait()
            wrong += [f'round {n}, {who} killed: {w}' for w in settle(top)]
        print('ok' if all(hit.values()) else 'not ok', 'each was killed:', hit)
        print('ok' if not wrong else 'not ok', f'{rounds} kills leave no process, mount or control group')
        for line in wrong[:10]:
            print('  ', line)
        bad = bool(wrong) or not all(hit.values())
        wrong = [f'it ended with {got.returncode}: {got.stderr[-300:]}' for got in [crannog('exec', '--in', work, '--', 'sh', '-c', ENDS) for _ in range(5)]
                 if got.returncode != 0] + settle(top, lambda: groups_of(pids))
        print('ok' if not wrong else 'not ok', 'the next ones run, and what they leave behind is ended')
        for line in wrong[:10]:
            print('  ', line)
        again = crannog('ls')
        print('ok' if again.returncode == 0 else 'not ok', 'the list reads well')
        if bad or wrong:
            print(f'  again: LEFT_SEED={seed} {sys.argv[0]} {rounds}')
        return bad or bool(wrong) or again.returncode != 0
    finally:
        subprocess.run(['chmod', '-R', 'u+rwX', top], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(top, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(1 if play(int(sys.argv[1]) if len(sys.argv) > 1 else 36) else 0)
