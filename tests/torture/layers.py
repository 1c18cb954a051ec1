#!/usr/bin/env python3
"""Kills `crannog exec`, `apply` and `undo` with SIGKILL at random moments and compares the folder each time.

    layers.py BUILD [--kills 60] [--seed N] [--files 40]

The command changes many files at once: it writes, appends, removes, makes folders and links, and removes a folder.

K1  A killed command has changed nothing, or all of it: after the next crannog command the folder is exactly as before or
    exactly as the command leaves it. Never something between.
K2  The same for a killed `apply`, and for a killed `undo`, after the next crannog command.
K3  A person who saves one of the files all the while loses no version: what was saved last is in the folder.
K4  No layer of a killed attempt stays behind, no process, no mount.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

COMMAND = '''
for i in $(seq 1 {n}); do echo new $i >new$i; echo more >>old/f$i; done
rm -rf gone; mkdir -p made/deep; echo x >made/deep/x; ln -s old link; rm old/f1; mkdir old/f1; echo y >old/f1/y; chmod 600 old/f2
'''


class Failed(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failed(text)


def tree(folder, leave_out=()):
    """Everything that a person would miss, as text: types, modes, times of files, links, contents."""
    found = []
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            rel = os.path.relpath(path, folder)
            st = os.lstat(path)
            if rel in leave_out:
                continue
            if os.path.islink(path):
                found.append(f'{rel} -> {os.readlink(path)}')
            elif os.path.isdir(path):
                found.append(f'{rel}/ {st.st_mode:o}')
            else:
                with open(path, 'rb') as f:
                    found.append(f'{rel} {st.st_mode:o} {hashlib.sha256(f.read()).hexdigest()}')
    return '\n'.join(sorted(found))


class Torture:
    def __init__(self, build, seed, files):
        self.rand = random.Random(seed)
        self.dir = tempfile.mkdtemp(prefix='crannog-layers-')
        self.work = os.path.join(self.dir, 'work')
        self.bin = os.path.join(build, 'src', 'crannog')
        self.env = {'PATH': os.environ['PATH'], 'HOME': self.dir, 'CRANNOG': os.path.join(self.dir, 'crannog')}
        self.command = COMMAND.format(n=files)
        self.kills = {}
        os.makedirs(os.path.join(self.work, 'old'))
        os.makedirs(os.path.join(self.work, 'gone', 'deep'))
        for i in range(1, files + 1):
            self.put(f'old/f{i}', f'old {i}\n')
            self.put(f'gone/deep/g{i}', f'gone {i}\n')
        self.run('init')
        self.before = tree(self.work)
        copy = os.path.join(self.dir, 'copy')
        shutil.copytree(self.work, copy, symlinks=True)
        subprocess.run(['sh', '-c', self.command], cwd=copy, check=True)
        self.after = tree(copy)
        shutil.rmtree(copy)

    def put(self, name, text):
        with open(os.path.join(self.work, name), 'w', encoding='ascii') as f:
            f.write(text)

    def run(self, *words, ok=(0,)):
        p = subprocess.run([self.bin, *words], env=self.env, cwd=self.work, capture_output=True, text=True, timeout=120, check=False)
        check(p.returncode in ok, f'crannog {" ".join(words)}: status {p.returncode}: {p.stderr.strip()[-400:]}')
        return p

    def killed(self, kind, *words, longest):
        """Starts a command and kills it, or its jail, after a random time. True if it had ended by itself."""
        p = subprocess.Popen([self.bin, *words], env=self.env, cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(self.rand.choice((self.rand.uniform(0, longest), self.rand.uniform(0, longest / 3))))
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
            self.kills[kind] = self.kills.get(kind, 0) + 1
        p.wait()

    def settle(self):
        """Any command that works finishes what the dead one was landing."""
        self.run('exec', '--', 'true', ok=(0, 4))
        now = tree(self.work)
        check(now in (self.before, self.after), 'K1/K2: the folder is neither as before nor as after:\n' + '\n'.join(
            sorted(set(now.split('\n')) ^ set((self.before if len(now) < len(self.after) else self.after).split('\n')))[:12]))
        layers = os.path.join(self.env['CRANNOG'], '.crannog', 'layers')
        names = {n for n in os.listdir(layers)} if os.path.isdir(layers) else set()
        check(not any(n.startswith('.trash') for n in names), f'K4: trash stays behind: {names}')
        return now == self.after

    def latest(self, what):
        """The run to take back: the last one that landed the command's changes."""
        for line in self.run('ls').stdout.split('\n')[1:]:
            if what in line:
                return line.split()[0]
        raise Failed(f'no run of {what}')

    def round(self):
        self.killed('exec', 'exec', '--', 'sh', '-c', self.command, longest=self.took)
        if not self.settle():
            return
        run = self.latest('exec sh')
        for _ in range(20):
            self.killed('undo', 'undo', run, longest=self.took / 2)
            if not self.settle():
                return
        self.run('undo', run)
        check(tree(self.work) == self.before, 'an undo that was let be does not give back the start')

    def round_of_apply(self):
        self.run('exec', '--ask', '--', 'sh', '-c', self.command, ok=(0, 4))
        run = self.latest('exec sh')
        for _ in range(20):
            self.killed('apply', 'apply', run, longest=self.took / 2)
            if self.settle():
                break
        else:
            self.run('apply', run)
        self.run('undo', run)
        check(tree(self.work) == self.before, 'taking back what was applied does not give back the start')

    def measure(self):
        began = time.time()
        self.run('exec', '--', 'sh', '-c', self.command)
        self.took = time.time() - began
        check(tree(self.work) == self.after, 'the command does something else inside')
        self.run('undo')
        check(tree(self.work) == self.before, 'its undo is not exact')

    def person(self):
        """K3: an editor saves the same file again and again while commands that change it land and are taken back."""
        path, last, ends = os.path.join(self.work, 'old', 'f3'), None, time.time() + 6
        commands = 0
        while time.time() < ends:
            p = subprocess.Popen([self.bin, 'exec', '--', 'sh', '-c', 'echo theirs >>old/f3; echo n >n; rm -f old/f4'], env=self.env, cwd=self.work,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while p.poll() is None:
                last = f'a person wrote this, {self.rand.random()}\n'
                if self.rand.random() < 0.5:
                    with open(path + '~', 'w', encoding='ascii') as f:
                        f.write(last)
                    os.rename(path + '~', path)
                else:
                    with open(path, 'w', encoding='ascii') as f:
                        f.write(last)
                time.sleep(self.rand.uniform(0, 0.01))
            commands += 1
            texts = []
            for name in os.listdir(os.path.join(self.work, 'old')):
                full = os.path.join(self.work, 'old', name)
                if os.path.isfile(full):
                    with open(full, encoding='ascii') as f:
                        texts.append(f.read())
            check(any(last in text for text in texts), f'K3: what a person saved last is nowhere in the folder: {last}')
        return commands


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('--kills', type=int, default=60)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--files', type=int, default=40)
    o = parser.parse_args()
    began = time.time()
    t = Torture(o.build, o.seed, o.files)
    try:
        t.measure()
        while sum(t.kills.values()) < o.kills:
            t.round_of_apply() if t.rand.random() < 0.3 else t.round()
        audit = t.run('doctor', '--audit', ok=(0, 1)).stdout  # 1: there is no model here
        check('every chain, blob and list agrees' in audit, f'the audit: {audit}')
        commands = t.person()
    except (Failed, subprocess.TimeoutExpired) as problem:
        print(f'not ok layers: {problem} (seed {o.seed}; left in {t.dir})')
        return 1
    print(f'ok layers: {sum(t.kills.values())} kills ({", ".join(f"{k} {v}" for k, v in sorted(t.kills.items()))}), {commands} commands beside '
          f'an editor, {time.time() - began:.0f} s, seed {o.seed}')
    shutil.rmtree(t.dir)
    return 0


sys.exit(main())
