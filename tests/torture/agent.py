#!/usr/bin/env python3
"""Kills an agent at work with SIGKILL at random moments (all of its programs, crannog-door alone, a jail alone), goes on each time
with the same words, and looks at what it made in the end.

    agent.py BUILD [--kills 24] [--seed N] [--land end|step]

The work: a C program in twenty parts, each written, added and logged by two calls of one answer; in between it is built and
tested. The model answers from a script by what it was told last, so it says the same after every death.

A1  The files are exactly those of a run that nobody killed: no part is missing, none is there twice.
A2  Each call of each answer has exactly one finish that went well, and each result in the talk is of one call.
A3  Nothing acknowledged is lost: each journal is a prefix of the next one.
A4  The money adds up: the books are the sums of the journal, and at least what the server really answered.
A5  At its end no layer, no process of it and no half of a file is left.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from processes import children

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(os.path.dirname(HERE), 'model', 'scripted.py')
PARTS = 20
GOAL = 'write the program, build it, test it'
CHECK = 'cc -o /tmp/p main.c && test "$(/tmp/p)" = 210 && test $(wc -l <log) = 20'
USAGE = {'input': 1000, 'output': 100}


class Failed(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failed(text)


def bash(command):
    return {'name': 'bash', 'arguments': {'command': command}}


def step(i):
    """Two calls; the last one's output says which step it was."""
    write = {'name': 'write', 'arguments': {'path': f'parts/p{i:02}.h', 'content': f'static int part{i:02}(void) {{ return {i}; }}\n'}}
    more = ''
    if i % 5 == 0:  # built in a copy of what there is by then
        more = f'cc -fsyntax-only main.c && test $(ls parts | wc -l) = {i} && '
    begin = "printf 'int printf(const char *, ...);\\n' >main.c; " if i == 1 else ''
    add = begin + f'echo \'#include "parts/p{i:02}.h"\' >>main.c; '
    if i == PARTS:
        add += ('printf \'int main(void) { printf("%%d", ' + ' + '.join(f'part{k:02}()' for k in range(1, PARTS + 1)) +
                '); return 0; }\\n\' >>main.c; cc -o prog main.c && ./prog >result; rm prog; ')
    return [write, bash(f'{add}{more}echo {i} >>log; echo step-{i:02}-is-done')]


def script():
    replies = [{'when': GOAL, 'again': True, 'usage': USAGE, 'text': 'I begin.', 'calls': step(1), 'chunk': 40, 'chunk_delay_ms': 2}]
    for i in range(1, PARTS):
        replies.append({'when': f'step-{i:02}-is-done', 'again': True, 'usage': USAGE, 'calls': step(i + 1), 'chunk': 40, 'chunk_delay_ms': 2})
    replies.append({'when': f'step-{PARTS:02}-is-done', 'again': True, 'usage': USAGE, 'text': 'All parts are there.'})
    return replies


class Torture:
    def __init__(self, build, seed, land):
        self.rand, self.land = random.Random(seed), land
        self.dir = tempfile.mkdtemp(prefix='crannog-agent-')
        self.crannog = os.path.join(os.path.abspath(build), 'src', 'crannog')
        self.work = os.path.join(self.dir, 'work')
        self.env = {'PATH': os.environ['PATH'], 'HOME': self.dir, 'CRANNOG': os.path.join(self.dir, 'c'), 'LANG': 'C.UTF-8'}
        os.mkdir(self.work)
        self.events, self.kills, self.poisoned = [], {}, 0
        with open(os.path.join(self.dir, 'script'), 'w', encoding='utf-8') as f:
            json.dump(script(), f)
        self.server = subprocess.Popen([sys.executable, MODEL, '--script', os.path.join(self.dir, 'script'), '--ready',
                                        os.path.join(self.dir, 'ready'), '--log', os.path.join(self.dir, 'log'), '--max-seconds', '400'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.dir, 'ready')):
            check(time.monotonic() < until, 'no server')
            time.sleep(0.02)
        self.tell('init')
        with open(os.path.join(self.dir, 'ready'), encoding='utf-8') as f:
            port = f.read()
        with open(os.path.join(self.dir, 'c', 'crannog.yaml'), 'w', encoding='utf-8') as f:
            f.write(f'servers: {{box: "http://127.0.0.1:{port}/v1"}}\n')

    def close(self):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def tell(self, *words, ok=(0,)):
        p = subprocess.run([self.crannog, *words], env=self.env, cwd=self.work, capture_output=True, text=True, timeout=120, check=False)
        check(p.returncode in ok, f'crannog {" ".join(words)}: status {p.returncode}: {(p.stdout + p.stderr).strip()[-500:]}')
        return p.stdout

    def start(self):
        return subprocess.Popen([self.crannog, 'run', GOAL, '--yes', '--model', 'box/m', '--land', self.land, '--verify', CHECK],
                                env=self.env, cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, start_new_session=True)

    def kill(self, run, target):
        victim = children(run.pid).get(f'crannog-{target}')
        if victim is None:
            target = 'all'
        try:
            if target == 'all':
                os.killpg(run.pid, signal.SIGKILL)
            else:
                os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[target] = self.kills.get(target, 0) + 1

    # ---- what must hold ----

    def look(self):
        """A3"""
        events = json.loads(self.tell('show', 'r1', '--history', '--json'))['events']
        check(events[:len(self.events)] == self.events, 'A3: the journal is not the continuation of what it was')
        self.events = events

    def check_calls(self):
        """A2"""
        answers, done, calls = {}, {}, 0
        intents = {}
        for e in self.events:
            key = (e.get('step'), e.get('attempt'))
            if e['type'] == 'step.intended':
                intents[key] = e['payload']
            if e['type'] != 'step.finished' or e['payload']['outcome'] != 'ok':
                continue
            intent, result = intents[key], e['payload']['result']
            if intent['stage'] == 'think':
                answers[result.get('turn')] = len(result['calls'])
                calls += len(result['calls'])
            if intent['stage'] == 'call':
                which = (intent['args']['turn'], intent['args']['call'])
                check(which not in done, f'A2: call {which} was carried out by step {done.get(which)} and step {e["step"]}')
                check(which[1] < answers.get(which[0], 0), f'A2: step {e["step"]} is of no call')
                done[which] = e['step']
        check(len(done) == calls == 2 * PARTS, f'A2: {len(done)} calls carried out of {calls}')

    def check_money(self):
        """A4"""
        settled = {}
        for e in self.events:
            if e['type'] == 'step.finished':
                for unit, n in e['payload']['used'].items():
                    settled[unit] = settled.get(unit, 0) + n
        rows = {row['unit']: row for row in json.loads(self.tell('spend', '--json'))['accounts'] if row['account'] == 'crannog/main/r1'}
        for unit, row in rows.items():
            check(row['held'] == 0 and row['exact'] + row['assumed'] == settled.get(unit, 0), f'A4: {unit}: {row}, the journal {settled.get(unit)}')
        with open(os.path.join(self.dir, 'log'), encoding='utf-8') as f:
            lines = [json.loads(line) for line in f]
        asked = {row['n'] for row in lines if row.get('method') == 'POST'}
        whole = sum(row['n'] in asked for row in lines if row.get('whole'))
        check(rows['calls']['exact'] + rows['calls']['assumed'] >= PARTS + 1, 'A4: fewer calls than the work needs')
        check(whole * 1100 <= settled['tokens'] + 1100 * sum(self.kills.values()), f'A4: {whole} answers, {settled["tokens"]} tokens in the books')

    def check_files(self):
        """A1"""
        def text(name):
            with open(os.path.join(self.work, name), encoding='utf-8') as f:
                return f.read()
        check(text('log') == ''.join(f'{i}\n' for i in range(1, PARTS + 1)), f'A1: the log is {text("log")!r}')
        check(text('result') == '210', f'A1: the program says {text("result")!r}')
        check(text('main.c').count('#include') == PARTS, 'A1: parts of main.c')
        check(sorted(os.listdir(self.work)) == ['log', 'main.c', 'parts', 'result'], f'A1: {os.listdir(self.work)}')
        check(len(os.listdir(os.path.join(self.work, 'parts'))) == PARTS, 'A1: parts')

    def check_rest(self):
        """A5"""
        self.tell('exec', '--', 'true')  # whoever comes next sweeps
        layers = os.path.join(self.dir, 'c', '.crannog', 'layers')
        left = [name for name in os.listdir(layers) if not name.endswith('-undo')] if os.path.isdir(layers) else []
        check(not left, f'A5: layers are left: {left}')
        check('every chain, blob and list agrees' in self.tell('doctor', '--audit', ok=(0, 1)), 'A5: the audit')

    # ---- the play ----

    def play(self, kills):
        until = time.monotonic() + 240
        begun, left = False, kills
        while True:
            check(time.monotonic() < until, f'it does not come to an end; kills {self.kills}')
            run = self.start()
            while left > 0 and run.poll() is None:
                time.sleep(self.rand.uniform(0.02, 0.9))
                target = self.rand.choice(['all', 'all', 'all', 'door', 'jail'])
                before = sum(self.kills.values())
                if run.poll() is None:
                    self.kill(run, target)
                    left -= sum(self.kills.values()) - before
                if target == 'all':
                    break
            try:
                _, err = run.communicate(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                said = run.communicate()[1]
                with open(os.path.join(self.dir, 'log'), encoding='utf-8') as f:
                    last = [json.loads(line) for line in f if '"body"' in line][-1]['body']['messages'][-2:]
                raise Failed(f'it goes on and on; kills {self.kills}: {said[-800:]}\n{json.dumps(last)[-2000:]}') from None
            begun |= self.tell('ls', '--json').find('"r1"') >= 0 or '"id":1' in self.tell('ls', '--json')
            if begun:
                self.look()
            if run.returncode == 0 or (self.events and self.events[-1]['type'] == 'run.ended'):  # killed behind its end
                break
            if run.returncode == 4 and 'died three times' in err:
                self.poisoned += 1
                self.tell('answer', 'r1', 'retry', ok=(0, 1, 4))  # goes on with it, perhaps to its end: then the goal's words would begin it anew
                self.look()
                if self.events[-1]['type'] == 'run.ended':
                    break
            else:
                check(run.returncode == -signal.SIGKILL, f'it ends with {run.returncode}: {err[-600:]}')
        self.look()
        self.check_files()
        self.check_calls()
        self.check_money()
        self.check_rest()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('build')
    p.add_argument('--kills', type=int, default=24)
    p.add_argument('--seed', type=int, default=int(time.time()))
    p.add_argument('--land')
    args = p.parse_args()
    status = 0
    for land in [args.land] if args.land else ['end', 'step']:
        name = f'an agent of twenty steps that lands at each {land}, killed {args.kills} times (seed {args.seed})'
        t, began = Torture(args.build, args.seed, land), time.monotonic()
        try:
            t.play(args.kills)
            print(f'ok {name}: {t.kills}, {len(t.events)} events, {time.monotonic() - began:.0f} s', flush=True)
        except (Failed, subprocess.TimeoutExpired, KeyError) as e:
            print(f'  {e!r}\nnot ok {name}', flush=True)
            status = 1
        finally:
            t.close()
    return status


if __name__ == '__main__':
    sys.exit(main())
