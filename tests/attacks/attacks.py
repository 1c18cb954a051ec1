#!/usr/bin/env python3
"""attacks.py [WORD...]: attacks by a program in the jail on what lies outside, each really tried; as root, and as an ordinary
user where we may become one. Prints `ok` or `not ok` a test, as tests/run reads it; with words only attacks whose name holds one.

Each attack (list.py) is a program that `crannog exec` runs in a person's folder. It says BREACH where it was let do what it must
not. Whatever it says, it is looked at from outside: no secret in what it printed; files outside byte for byte as they were; no
listener reached; no process, mount or control group left; whoever lives outside still lives. Where an attack can do no harm
it is run without the jail first, and must succeed there: an attack that cannot succeed proves nothing.
"""
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from list import ATTACKS  # noqa: E402

ROOT = os.environ.get('ROOT', os.path.dirname(os.path.dirname(HERE)))
BIN = os.environ.get('BIN', os.path.join(ROOT, 'build', 'src'))
with open(os.path.join(HERE, 'inside.py'), encoding='utf-8') as f:
    PRELUDE = f.read()
SECRET = 'canary-' + secrets.token_hex(16)
CREDENTIALS = ['.ssh/id_ed25519', '.ssh/config', '.aws/credentials', '.netrc', '.npmrc', '.pypirc', '.git-credentials', '.gitconfig',
               '.cargo/credentials.toml', '.cargo/credentials', '.config/gh/hosts.yml', '.docker/config.json', '.kube/config', '.m2/settings.xml',
               '.gradle/gradle.properties', '.claude/.credentials.json', '.codex/auth.json', '.config/gcloud/credentials.db', '.bash_history',
               '.gnupg/private-keys-v1.d/x', '.password-store/x', '.config/google-chrome/Cookies', '.local/share/keyrings/login.keyring']


class World:
    """What a person has: a home with secrets, a folder to work in, things beside it, programs that listen and live."""

    def __init__(self, top, uid):
        self.top, self.uid, self.mark = top, uid, f'86{secrets.randbelow(10**7):07d}'
        self.home, self.outside, self.work = (os.path.join(top, n) for n in ('home', 'outside', 'work'))
        self.crannog = os.path.join(top, 'crannog')
        for folder in (self.home, self.outside, self.work):
            os.makedirs(folder)
        self.canary = os.path.join(self.outside, 'canary')
        self.put(self.canary)
        for name in CREDENTIALS:
            self.put(os.path.join(self.home, name))
        self.reached, self.sockets, self.holds, self.fifos = [], [], [], []
        self.listen(socket.AF_INET, ('127.0.0.1', 0))
        self.port = self.holds[0][0].getsockname()[1]
        self.listen(socket.AF_INET6, ('::1', self.port))
        self.abstract = 'crannog-attack-' + secrets.token_hex(8)
        self.listen(socket.AF_UNIX, '\0' + self.abstract)
        for folder in ('shown', 'home/.cargo/bin'):  # what jails are shown: by --show, and as a toolchain
            os.makedirs(os.path.join(top, folder))
            with open(os.path.join(top, folder, 'file'), 'w', encoding='utf-8') as out:
                out.write('shown\n')
            os.mkfifo(os.path.join(top, folder, 'fifo'))
            os.chmod(os.path.join(top, folder, 'fifo'), 0o666)
            self.fifos.append(os.open(os.path.join(top, folder, 'fifo'), os.O_RDWR | os.O_NONBLOCK))
            os.write(self.fifos[-1], SECRET.encode())
        self.shown = [os.path.join(top, 'shown'), os.path.join(self.home, '.cargo/bin')]
        for path in (os.path.join(self.outside, 'sock'), os.path.join(self.home, 'agent.sock'), *(f + '/sock' for f in self.shown)):
            self.listen(socket.AF_UNIX, path)
            self.sockets.append(path)
        self.own()

    def put(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as out:
            out.write(f'# {SECRET}\n')
        os.chmod(path, 0o600)

    def own(self):
        if self.uid:
            subprocess.run(['chown', '-hR', f'{self.uid}:{self.uid}', self.home, self.outside, self.work], check=True)

    def listen(self, family, address):
        s = socket.socket(family)
        s.bind(address)
        s.listen()
        if family == socket.AF_UNIX and address[0] != '\0':
            os.chmod(address, 0o666)
        self.holds.append((s, address))
        threading.Thread(target=self.accept, args=(s, address), daemon=True).start()

    def fifos_are_whole(self):
        """What lies in the shown FIFOs is what was put there, and is put there again."""
        for n, fd in enumerate(self.fifos):
            try:
                got = os.read(fd, 65536)
            except BlockingIOError:
                got = b''
            os.write(fd, SECRET.encode())
            if got != SECRET.encode():
                yield f'the FIFO in {self.shown[n]} held {got!r}'

    def accept(self, s, address):
        while True:
            try:
                peer, _ = s.accept()
            except OSError:
                return
            self.reached.append(address)
            peer.close()

    def settle(self, *more):
        """Waits until everybody who knocked was let in: queues are first come, first served, so we knock last and are let in last."""
        for s, address in [*self.holds, *more]:
            with socket.socket(s.family) as last:
                last.settimeout(20)
                try:
                    last.connect(s.getsockname())
                except (FileNotFoundError, ConnectionRefusedError):  # its name in the folder is gone, or another's
                    continue
                last.recv(1)
            self.reached.remove(address)

    def env(self):
        """What a person's shell has; all of it is theirs alone."""
        return {'PATH': os.environ['PATH'], 'HOME': self.home, 'CRANNOG': self.crannog, 'LANG': 'C.UTF-8', 'TMPDIR': self.top,
                'OPENAI_API_KEY': SECRET, 'ANTHROPIC_API_KEY': SECRET, 'GITHUB_TOKEN': SECRET, 'AWS_SECRET_ACCESS_KEY': SECRET,
                'SSH_AUTH_SOCK': self.sockets[1], 'DBUS_SESSION_BUS_ADDRESS': 'unix:path=' + self.sockets[1],
                'XDG_RUNTIME_DIR': self.home, 'DISPLAY': ':0', 'LD_PRELOAD_X': SECRET}

    def facts(self, pids):
        """What the attacker knows; not the secret."""
        return json.dumps({'canary': self.canary, 'home': self.home, 'outside': self.outside, 'crannog': self.crannog, 'port': self.port,
                           'credentials': [os.path.join(self.home, n) for n in CREDENTIALS], 'sockets': self.sockets, 'shown': self.shown, 'pids': pids,
                           'abstract': self.abstract, 'mark': self.mark, 'free_port': free_port(), 'addresses': addresses()})

    def fresh_work(self):
        subprocess.run(['chmod', '-R', 'u+rwX', self.work], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(['rm', '-rf', self.work], check=False)
        os.makedirs(self.work)
        if self.uid:
            os.chown(self.work, self.uid, self.uid)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def addresses():
    """Those of this machine, as far as it says."""
    got = subprocess.run(['hostname', '-I'], capture_output=True, text=True, check=False).stdout.split()
    return [a for a in got if ':' not in a][:4]


# --- what a person's folder holds before ---------------------------------------------------------------------------

def plant_link_out(w):
    os.symlink(w.canary, os.path.join(w.work, 'theirs'))


def plant_folder(w):
    os.makedirs(os.path.join(w.work, 'folder'))
    with open(os.path.join(w.work, 'folder', 'canary'), 'w', encoding='utf-8') as out:
        out.write('old\n')


def plant_hard_out(w):
    path = os.path.join(w.outside, 'shared')
    if not os.path.exists(path):
        with open(path, 'w', encoding='utf-8') as out:
            out.write('theirs\n')
        os.chown(path, w.uid, w.uid)
    os.link(path, os.path.join(w.work, 'shared'))


def plant_repository(w):
    subprocess.run(['sh', '-c', 'git init -q -b main && git config user.email a@b.c && git config user.name A && echo x >f && git add f && git commit -qm 1'],
                   cwd=w.work, check=True, env={**w.env(), 'HOME': w.top}, **become(w.uid))


PLANTS = {'link_out': plant_link_out, 'folder': plant_folder, 'hard_out': plant_hard_out, 'repository': plant_repository}


# --- looked at outside when it has ended; each yields what is wrong -------------------------------------------------

def after_no_links_followed(w, _):
    if os.path.exists(os.path.join(w.outside, 'new')):
        yield 'a file was made through a link'


def after_swapped_folder(w, run):
    """The next step writes below the folder; before it lands a link to somewhere else takes the folder's place."""
    shutil.rmtree(os.path.join(w.work, 'aside'), ignore_errors=True)
    shutil.rmtree(os.path.join(w.work, 'folder'), ignore_errors=True)
    plant_folder(w)
    subprocess.run(['chown', '-R', f'{w.uid}:{w.uid}', w.work], check=True)
    run(['exec', '--in', w.work, '--ask', '--', 'sh', '-c', 'echo pwned >folder/canary; echo pwned >folder/new'])
    shutil.rmtree(os.path.join(w.work, 'folder'))
    os.symlink(w.outside, os.path.join(w.work, 'folder'))
    run(['apply'])
    if os.path.exists(os.path.join(w.outside, 'new')):
        yield 'a file was made through a link'


def after_no_setid(w, _):
    for folder, _dirs, files in os.walk(w.work):
        for name in files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if st.st_mode & 0o6000:
                yield f'{name} has a set-id bit'
            if not name.startswith('theirs') and not stat.S_ISREG(st.st_mode) and not stat.S_ISLNK(st.st_mode):
                yield f'{name} is no ordinary file'
            try:
                os.getxattr(path, 'security.capability', follow_symlinks=False)
                yield f'{name} has a capability'
            except OSError:
                pass


def git_as_person(w, run):
    """A person looks at the repository with crannog and works in it with git; the exit codes of the latter."""
    run(['diff'])
    env = {**w.env(), 'HOME': w.top, 'GIT_PAGER': 'cat'}
    codes = []
    if os.path.isdir(os.path.join(w.work, 'docs')):
        subprocess.run(['git', 'status'], cwd=os.path.join(w.work, 'docs'), env=env, capture_output=True, timeout=30, check=False, **become(w.uid))
    for words in (['status'], ['diff'], ['log', '-1'], ['checkout', '-q', '-b', 'b'], ['add', '.'], ['commit', '-qm', '2', '--allow-empty'], ['stash']):
        codes.append(subprocess.run(['git', *words], cwd=w.work, env=env, capture_output=True, timeout=30, check=False, **become(w.uid)).returncode)
    return codes


def after_git_runs_nothing(w, run):
    git_as_person(w, run)
    if os.path.exists(os.path.join(w.outside, 'ran')) or os.path.exists(os.path.join(w.work, 'ran')):
        yield 'git ran what the attacker wrote'


def after_git_writes_nothing(w, run):
    """Git outside does what writes; what it wrote through would be seen as a change outside (look)."""
    git_as_person(w, run)
    for folder, dirs, files in os.walk(os.path.join(w.work, '.git')):
        yield from (f'{name} is a link' for name in dirs + files if os.path.islink(os.path.join(folder, name)))


def after_git_works(w, run):
    if any(code for code in git_as_person(w, run)):
        yield 'git does not work any more'


def after_guarded_waits(w, run):
    out = run(['diff']).stdout.decode(errors='replace')
    for name in ('.envrc', '.vscode/tasks.json', '.claude/settings.json', '.mcp.json'):
        if os.path.exists(os.path.join(w.work, name)):
            yield f'{name} took effect without a word'
        if name not in out:
            yield f'{name} is not shown'


def after_readers_live(w, run):
    for words in (['diff'], ['show'], ['ls', '--plain'], ['apply'], ['exec', '--in', w.work, '--', 'true'], ['undo']):
        if run(words).returncode not in (0, 1, 3, 4):
            yield f'crannog {words[0]} did not live'


def after_no_escapes(w, run):
    for words in (['diff'], ['diff', '--stat'], ['show'], ['apply'], ['undo']):
        got = run(words)
        for n in (got.stdout + got.stderr).decode(errors='replace'):
            if n == '\x1b' or (n < ' ' and n not in '\n\t') or '\x80' <= n <= '\x9f' or n == '\u202e':
                yield f'crannog {words} printed {n!r}'
                break


def after_still_works(w, run):
    if run(['exec', '--in', w.work, '--', 'true']).returncode != 0:
        yield 'the next command does not run'


def after_port_is_shut(_w, _run):
    return ()


def after_output_is_bounded(w, _run):
    size = sum(os.path.getsize(os.path.join(d, n)) for d, _, names in os.walk(w.crannog) for n in names)
    if size > 256 << 20:
        yield f'the crannog grew to {size} bytes'


# --- playing ---------------------------------------------------------------------------------------------------------

def become(uid):
    return {'user': uid, 'group': uid, 'extra_groups': []} if uid else {}


def snapshot(*folders):
    """Everything below some folders, by what it is."""
    seen = {}
    for top in folders:
        for folder, dirs, files in os.walk(top):
            for name in dirs + files + ['.']:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                text = b''
                if stat.S_ISREG(st.st_mode):
                    with open(path, 'rb') as got:
                        text = hashlib.sha256(got.read()).digest()
                elif stat.S_ISLNK(st.st_mode):
                    text = os.readlink(path).encode()
                seen[path] = (st.st_mode, st.st_uid, st.st_ino, st.st_size, text)
    return seen


def mounts(top):
    with open('/proc/self/mountinfo', encoding='utf-8', errors='replace') as got:
        return [line for line in got if top in line]


def groups():
    """Control groups of jails whose crannog-jail, that they are named after, is dead."""
    found = []
    for top, dirs, _ in os.walk('/sys/fs/cgroup'):
        if os.path.basename(top) == 'crannog':
            found += [os.path.join(top, d) for d in dirs if d.isdigit() and not os.path.exists(f'/proc/{d}')]
            dirs.clear()
    return found


def marked(mark):
    """Processes that carry the mark in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as got:
                words = got.read().split(b'\0')
        except OSError:
            continue
        if words and words[0] == b'sleep' and mark.encode() in words:
            found.append(int(pid))
    return found


class Player:
    def __init__(self, world, program):
        self.world, self.program, self.failed = world, program, 0
        self.bystander = subprocess.Popen(['sleep', '100000'], env={'SECRET': SECRET}, **become(world.uid))
        self.run(['init'])

    def run(self, words, seconds=60, argv=None):
        """Runs crannog, or argv, as the person would, with a descriptor to the canary left open."""
        secret = os.open(self.world.canary, os.O_RDONLY)
        os.set_inheritable(secret, True)
        try:
            child = subprocess.Popen(argv or [self.program, *words], cwd=self.world.work, env=self.world.env(), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[secret], start_new_session=True, **become(self.world.uid))
            try:
                out, err = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                out, err = child.communicate()
                err += b'\nended: it took too long\n'
                return subprocess.CompletedProcess(words, -1, out, err)
            return subprocess.CompletedProcess(words, child.returncode, out, err)
        finally:
            os.close(secret)

    def told(self, a, ok, name, why=()):
        self.failed += not ok
        for line in why:
            print('  ', str(line)[:1500])
        print('ok' if ok else 'not ok', name, flush=True)

    def argv(self, a):
        facts = self.world.facts([self.bystander.pid, os.getpid(), 1])
        return ['/usr/bin/python3', '-c', PRELUDE + a['program'] + '\nprint("TRIED")\n', facts]

    def control(self, a, listener):
        """The same without a jail: it must succeed."""
        got = self.run([], argv=self.argv(a))
        said = (got.stdout + got.stderr).decode(errors='replace')
        self.told(a, 'BREACH' in said or SECRET in said, f'{a["name"]}: would succeed without a jail', [] if 'BREACH' in said or SECRET in said else [said[-800:]])
        self.world.settle((listener, 'theirs.sock'))
        self.world.reached.clear()

    def play(self, a):
        w = self.world
        w.fresh_work()
        if a['plant']:
            PLANTS[a['plant']](w)
            if w.uid:
                subprocess.run(['chown', '-hR', f'{w.uid}:{w.uid}', w.work], check=True)
        fifo, listener = self.things_of_the_person()
        if a['control']:
            self.control(a, listener)
            list(w.fifos_are_whole())
            w.fresh_work()
            listener.close()
            os.close(fifo)
            fifo, listener = self.things_of_the_person()
        time.sleep(0.03)  # what was written just before a step counts as written meanwhile
        before, grouped = snapshot(w.home, w.outside), groups()
        began = time.monotonic()
        got = self.run(['exec', '--in', w.work, *(o.format(shown=w.shown[0]) for o in a['options']), '--', *self.argv(a)], a['seconds'])
        took = time.monotonic() - began
        said = (got.stdout + got.stderr).decode(errors='replace')
        wrong = [line for line in said.splitlines() if line.startswith('BREACH')]
        if a['ends'] is not None and ('TRIED' not in said or got.returncode != a['ends']):
            wrong.append(f'it ended with {got.returncode} and not {a["ends"]}: {said[-1200:]}')
        if got.returncode == -1:
            wrong.append(f'it did not end in {a["seconds"]} s')
        if 'crannog-jail:' in said or 'cannot make the jail' in said:
            wrong.append('the jail was not made: ' + said[-500:])
        if SECRET in said:
            wrong.append('a secret was read: ' + said[max(0, said.find(SECRET) - 200):][:300])
        if a['after']:
            wrong += list(globals()['after_' + a['after']](w, self.run))
        w.settle((listener, 'theirs.sock'))
        wrong += self.look(before, grouped)
        try:
            if os.read(fifo, 16):
                wrong.append('something came through the FIFO')
        except BlockingIOError:
            pass
        wrong += list(w.fifos_are_whole())
        os.close(fifo)
        listener.close()
        self.told(a, not wrong, f'{a["name"]} ({took:.1f} s)', wrong)

    def things_of_the_person(self):
        """A FIFO and a socket in the folder, with somebody behind each."""
        path = os.path.join(self.world.work, 'theirs.fifo')
        os.mkfifo(path, 0o666)
        os.chmod(path, 0o666)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(self.world.work, 'theirs.sock'))
        os.chmod(os.path.join(self.world.work, 'theirs.sock'), 0o666)
        listener.listen()
        threading.Thread(target=self.world.accept, args=(listener, 'theirs.sock'), daemon=True).start()
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK), listener

    def look(self, before, grouped):
        """From outside: what is there that was not, and the other way round."""
        w = self.world
        now = snapshot(w.home, w.outside)
        for path in sorted(before.keys() | now.keys()):
            if before.get(path) != now.get(path):
                yield f'{path} is not as it was: {before.get(path)} {now.get(path)}'
        if w.reached:
            yield f'reached: {w.reached}'
            w.reached.clear()
        patience = time.monotonic() + 3
        while time.monotonic() < patience and (marked(w.mark) or mounts(w.top) or set(groups()) - set(grouped)):
            time.sleep(0.02)
        if marked(w.mark):
            yield f'it lives on: {marked(w.mark)}'
        if mounts(w.top):
            yield f'mounts are left: {mounts(w.top)}'
        if set(groups()) - set(grouped):
            yield f'control groups are left: {set(groups()) - set(grouped)}'
        if self.bystander.poll() is not None:
            yield 'a process outside was ended'

    def close(self):
        self.bystander.kill()
        self.bystander.wait()


def play_as(uid, words):
    top = tempfile.mkdtemp(prefix='crannog-attack-', dir=os.environ.get('TMPDIR', '/var/tmp'))
    os.chmod(top, 0o755)
    # Programs that an ordinary user can reach; a clone may lie in a home of mode 0700.
    shutil.copytree(BIN, os.path.join(top, 'bin'), ignore=lambda d, names: [n for n in names if not n.startswith('crannog') or os.path.isdir(os.path.join(d, n))])
    os.makedirs(os.path.join(top, 'crannog'))
    os.chown(os.path.join(top, 'crannog'), uid, uid)
    if uid: # a place for the programs' own temporary files
        os.chown(top, uid, uid)
    world = World(top, uid)
    player = Player(world, os.path.join(top, 'bin', 'crannog'))
    print(f'# as {"an ordinary user" if uid else "root"}')
    try:
        for a in ATTACKS:
            if not words or any(word in a['name'] for word in words):
                player.play(a)
    finally:
        player.close()
        subprocess.run(['chmod', '-R', 'u+rwX', top], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(top, ignore_errors=True)
    return player.failed


def main():
    who = [int(w) for w in os.environ.get('ATTACK_AS', '0 54321').split()] if os.geteuid() == 0 else [os.getuid()]
    failed = sum(play_as(uid, sys.argv[1:]) for uid in who)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
