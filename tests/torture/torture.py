#!/usr/bin/env python3
"""Kills a real run with SIGKILL at random moments (the engine, crannog-infer, a jail, or all of them), goes on each time,
and proves from outside that nothing was lost and no finished step was done again.

    torture.py BUILD MODEL.gguf [--kills 50] [--seed N]

What is looked at from outside:
  * effects.log, written by a process between crannog and crannog-infer: every question asked, every answer given;
  * inotify on the folder of notes: every file that appeared there, and how often;
  * the journal after each kill (`crannog show --history --json`).

T1  Nothing acknowledged is lost: each journal is a prefix of the next one.
T2  No finished step is done again: once the journal says that a step ended well, effects.log has no later question of it,
    and no (item, piece, stage, part) ends well twice.
T3  Each file lands exactly once; none is ever half written.
T4  A note that a person edited stays as the person left it.
T5  The spend counter is the sum of what finished, and no finished attempt is booked below what was really answered to it.
T6  At the end everything is there: every note, the briefing, and the plan's own check passes.
"""
import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from processes import children

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TEXTS = {
    'apples': 'An orchard keeps apples apart from pears. The apples ripen in September and are stored in a cool cellar.',
    'bridges': 'A bridge carries a road over a river. Stone bridges last for centuries; wooden ones are rebuilt every few decades.',
    'clocks': 'A clock divides the day into hours. Before clocks, people used sundials, which are of no use at night.',
    'dykes': 'Dykes keep the sea out of low land. They are built of clay and covered with grass so that waves do not wash them away.',
    'engines': 'A steam engine turns heat into motion. Water is boiled, and the steam pushes a piston.',
}


class Watch:
    """Names moved or created in a folder, by inotify."""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK)
        self.libc.inotify_add_watch(self.fd, folder.encode(), 0x80 | 0x100)  # IN_MOVED_TO, IN_CREATE
        self.names = []

    def read(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return self.names
            at = 0
            while at < len(data):
                _, _, _, size = struct.unpack_from('iIII', data, at)
                self.names.append(data[at + 16:at + 16 + size].rstrip(b'\0').decode())
                at += 16 + size


class Failed(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failed(text)


class Torture:
    def __init__(self, build, model, seed):
        self.rand = random.Random(seed)
        self.dir = tempfile.mkdtemp(prefix='crannog-torture-')
        self.bin = os.path.join(self.dir, 'bin')
        self.work = os.path.join(self.dir, 'work')
        self.env = {'PATH': os.environ['PATH'], 'HOME': self.dir, 'CRANNOG': os.path.join(self.dir, 'crannog')}
        os.mkdir(self.bin)
        for name, to in (('crannog', 'crannog'), ('crannog-jail', 'crannog-jail'), ('crannog-infer', 'crannog-infer.real')):
            shutil.copy(os.path.join(build, 'src', name), os.path.join(self.bin, to))
        shutil.copy(os.path.join(HERE, 'infer_proxy.py'), os.path.join(self.bin, 'crannog-infer'))
        os.chmod(os.path.join(self.bin, 'crannog-infer'), 0o755)
        os.makedirs(os.path.join(self.work, 'sources'))
        os.mkdir(os.path.join(self.work, 'notes'))
        for name, text in TEXTS.items():
            with open(os.path.join(self.work, 'sources', name + '.txt'), 'w', encoding='utf-8') as f:
                f.write(text + '\n')
        shutil.copy(os.path.join(ROOT, 'examples', 'review', 'check.sh'), self.work)
        with open(os.path.join(self.work, 'PLAN.md'), 'w', encoding='utf-8') as f:
            f.write('---\ngoal: what these texts say\nverify: sh check.sh\n---\n'
                    '- [ ] note: for each `sources/*.txt` as SRC, say in at most 30 words what it is about\n'
                    '      writes: notes/{SRC.stem}.md\n      verify: test -s notes/{SRC.stem}.md\n'
                    '- [ ] briefing: for each `notes/*.md` as NOTE, its main point in one sentence\n'
                    '      needs: note\n      writes: briefing.md\n')
        self.watch = Watch(os.path.join(self.work, 'notes'))
        self.watch_top = Watch(self.work)
        self.events, self.spent, self.kills, self.retries = [], 0, {}, 0
        self.edited = None
        self.run_crannog('model', 'get', self.keep_model(model))

    def keep_model(self, model):
        path = os.path.join(self.dir, 'small.gguf')
        os.symlink(os.path.abspath(model), path)
        return path

    def run_crannog(self, *words, ok=(0,)):
        p = subprocess.run([os.path.join(self.bin, 'crannog'), *words], env=self.env, capture_output=True, text=True, timeout=120,
                           check=False)
        check(p.returncode in ok, f'crannog {" ".join(words)}: status {p.returncode}: {p.stderr.strip()[-400:]}')
        return p.stdout

    def start(self):
        return subprocess.Popen([os.path.join(self.bin, 'crannog'), 'run', os.path.join(self.work, 'PLAN.md')], env=self.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)

    def kill(self, engine, target):
        kids = children(engine.pid)
        victim = {'engine': engine.pid, 'infer': kids.get('crannog-infer'), 'jail': kids.get('crannog-jail')}.get(target)
        if target == 'all' or victim is None:
            target = 'all'
            os.killpg(engine.pid, signal.SIGKILL)
        else:
            os.kill(victim, signal.SIGKILL)
        self.kills[target] = self.kills.get(target, 0) + 1
        return target

    # ---- what must hold ----

    def look(self):
        history = json.loads(self.run_crannog('show', '--history', '--json'))['events']
        check(history[:len(self.events)] == self.events, 'T1: the journal lost or changed an event')
        for event in history[len(self.events):]:
            if event['type'] == 'step.finished':
                self.spent += event['payload']['used'].get('tokens', 0)
        self.events = history
        view = json.loads(self.run_crannog('show', '--json'))
        check(view['used'].get('tokens', 0) == self.spent, 'T5: the counter and the events disagree')
        return view

    def check_effects(self):
        finished, booked, where, kinds = {}, {}, {}, {}
        for event in self.events:
            key = (event.get('step'), event.get('attempt'))
            if event['type'] == 'step.intended':
                p = event['payload']
                where[event['step']] = (p['item'], p['piece'], p['stage'])
                kinds[event['step']] = p['act']
            elif event['type'] == 'step.finished':
                booked[key] = event['payload']['used'].get('tokens', 0)
                if event['payload']['outcome'] == 'ok':
                    finished[event['step']] = key
        places = [where[s] for s in finished]  # one part a text and no failing check here, so each place ends well once
        check(len(places) == len(set(places)), 'T2: the same place of the plan ended well twice')
        answered, asked_after = {}, []
        with open(os.path.join(self.bin, 'effects.log'), encoding='ascii') as f:
            for line in f:
                words = line.split()
                step, attempt = int(words[2]), int(words[3])
                if words[0] == 'answer':
                    answered[(step, attempt)] = int(words[4])
                elif step in finished and attempt > finished[step][1]:
                    asked_after.append(step)
        check(not asked_after, f'T2: finished steps were asked again: {asked_after}')
        for step, key in finished.items():
            check(kinds[step] != 'model' or key in answered, f'T2: step {step} ended well but was never answered')
        for key in booked.keys() & answered.keys():  # an attempt that a kill left open is booked when it is taken up again
            check(booked[key] >= answered[key], f'T5: step {key[0]}.{key[1]} is booked at {booked[key]} and was answered {answered[key]}')
        return set(answered) - set(booked)

    def check_files(self):
        for name in set(self.watch.read()):
            times = self.watch.names.count(name)
            if name.endswith('.md') and not name.startswith('.'):
                allowed = 2 if name == self.edited else 1  # ours, and the person's editor
                check(times <= allowed, f'T3: notes/{name} appeared {times} times')
        for name in os.listdir(os.path.join(self.work, 'notes')):
            with open(os.path.join(self.work, 'notes', name), encoding='utf-8') as f:
                text = f.read()
            if name.endswith('.md') and name != self.edited:
                check('## Source' in text and text.endswith('.txt\n'), f'T3: notes/{name} is not whole')

    def briefing_begun(self):
        """Whether a step of the plan's second item was intended: from then on notes are read, and check.sh compares."""
        return any(e['type'] == 'step.intended' and e['payload']['item'] == 1 for e in self.events)

    def edit_a_note(self):
        notes = [n for n in sorted(os.listdir(os.path.join(self.work, 'notes'))) if n.endswith('.md')]
        if self.edited or not notes or self.briefing_begun():
            return
        path = os.path.join(self.work, 'notes', notes[0])
        with open(path, encoding='utf-8') as f:
            text = f.read()
        with open(path + '~', 'w', encoding='utf-8') as f:  # as editors do: a new file, moved over the old one
            f.write('A person wrote this line.\n' + text)
        self.edited = notes[0]
        os.rename(path + '~', path)

    def answer_questions(self, view):
        for item in view['items']:
            for line in [item['head']] + item['pieces']:
                if 'question' in line:
                    check(line['kind'] == 'poison' or 'died' in line['why'] or line['kind'] == 'failed', f'a question: {line}')
                    self.run_crannog('answer', line['question'], 'retry')
                    self.retries += 1

    # ---- the torture ----

    def round(self):
        engine = self.start()
        target = self.rand.choice(('engine', 'infer', 'jail', 'all'))
        time.sleep(self.rand.choice((self.rand.uniform(0, 0.3), self.rand.uniform(0, 1.5), self.rand.uniform(0.5, 4))))
        patience = time.time() + 2
        while target == 'jail' and time.time() < patience and 'crannog-jail' not in children(engine.pid):
            pass  # a jail lives for milliseconds
        if engine.poll() is None:
            hit = self.kill(engine, target)
            if hit in ('infer', 'jail'):  # the engine must live with that; then it goes too
                time.sleep(self.rand.uniform(0, 1.5))
                check(engine.poll() in (None, 0, 4), f'the engine did not survive the death of {hit}')
                if engine.poll() is None:
                    os.killpg(engine.pid, signal.SIGKILL)
        engine.stderr.close()
        status = engine.wait()
        view = self.look()
        self.check_effects() if os.path.exists(os.path.join(self.bin, 'effects.log')) else None
        self.check_files()
        if status == 4 or view['status'] == 'waiting':
            self.answer_questions(view)
        return view['status'] == 'done'

    def again(self):
        """The run is done before the kills are: another one over the same folder, with other texts."""
        for name in os.listdir(os.path.join(self.work, 'notes')):
            os.unlink(os.path.join(self.work, 'notes', name))
        os.unlink(os.path.join(self.work, 'briefing.md'))
        self.watch.read()
        self.watch.names.clear()
        self.events, self.spent, self.edited = [], 0, None
        with open(os.path.join(self.work, 'PLAN.md'), 'a', encoding='utf-8') as f:
            f.write('\n')
        os.rename(os.path.join(self.work, 'PLAN.md'), os.path.join(self.work, f'PLAN{self.rand.randrange(10**9)}.md'))
        plan = next(n for n in os.listdir(self.work) if n.startswith('PLAN'))
        shutil.copy(os.path.join(self.work, plan), os.path.join(self.work, 'PLAN.md'))
        os.unlink(os.path.join(self.work, plan))
        shutil.move(self.env['CRANNOG'], self.env['CRANNOG'] + str(self.rand.randrange(10**9)))
        os.unlink(os.path.join(self.bin, 'effects.log'))
        self.run_crannog('model', 'get', os.path.join(self.dir, 'small.gguf'))

    def finish(self):
        for _ in range(20):
            engine = self.start()
            _, errors = engine.communicate(timeout=300)
            view = self.look()
            if view['status'] == 'done':
                break
            check(engine.returncode == 4, f'the run ended with status {engine.returncode}: {errors[-400:]}')
            self.answer_questions(view)
        check(view['status'] == 'done', 'T6: the run never ended')
        unbooked = self.check_effects()
        check(not unbooked, f'T5: answers that nobody booked: {unbooked}')
        self.check_files()
        for name in TEXTS:
            check(os.path.exists(os.path.join(self.work, 'notes', name + '.md')), f'T6: notes/{name}.md is missing')
        p = subprocess.run(['sh', 'check.sh'], cwd=self.work, capture_output=True, text=True, check=False)
        check(p.returncode == 0, f'T6: check.sh: {p.stdout}{p.stderr}')
        if self.edited:
            with open(os.path.join(self.work, 'notes', self.edited), encoding='utf-8') as f:
                check(f.readline() == 'A person wrote this line.\n', "T4: the person's edit is gone")
        self.run_crannog('doctor', '--audit')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build')
    parser.add_argument('model')
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    o = parser.parse_args()
    t = Torture(o.build, o.model, o.seed)
    began, runs = time.time(), 1
    try:
        while sum(t.kills.values()) < o.kills:
            if t.round():
                t.finish()
                runs += 1
                t.again()
            t.edit_a_note()
        t.finish()
    except (Failed, subprocess.TimeoutExpired) as problem:
        print(f'not ok torture: {problem} (seed {o.seed}; left in {t.dir})')
        return 1
    print(f'ok torture: {sum(t.kills.values())} kills ({", ".join(f"{k} {v}" for k, v in sorted(t.kills.items()))}), {runs} runs, '
          f'{t.retries} parked steps tried again, {time.time() - began:.0f} s, seed {o.seed}')
    shutil.rmtree(t.dir)
    return 0


sys.exit(main())
