#!/usr/bin/env python3
"""agent.py BIN FOLDER [WORD]: goals given to `crannog run`, worked on in real jails by a model that answers from a script.

A case is a function with a Case: its own crannog, work folder and server. Each prints `ok NAME` or `not ok NAME`. With WORD only
those whose name has it.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = []
LIMIT_S = 60  # of a run


def case(name):
    def keep(function):
        CASES.append((name, function))
        return function
    return keep


def call(tool, **arguments):
    return {'name': tool, 'arguments': arguments}


def calls(*list_of, **more):
    return {'calls': list(list_of), **more}


class Case:
    def __init__(self, bin_folder, folder, index):
        self.crannog = os.path.join(bin_folder, 'crannog')
        self.folder = os.path.join(folder, f'case{index}')
        self.work = os.path.join(self.folder, 'work')
        os.makedirs(self.work)
        os.makedirs(os.path.join(self.folder, 'home'))
        os.makedirs(os.path.join(self.folder, 'c'))
        self.env = {'PATH': os.environ['PATH'], 'HOME': os.path.join(self.folder, 'home'), 'CRANNOG': os.path.join(self.folder, 'c'),
                    'LANG': 'C.UTF-8'}
        self.server, self.out, self.err, self.code = None, '', '', None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def serve(self, script, place='box'):
        with open(self.path('script'), 'w', encoding='utf-8') as f:
            json.dump(script, f)
        self.server = subprocess.Popen([sys.executable, os.path.join(HERE, 'scripted.py'), '--script', self.path('script'), '--ready',
                                        self.path('ready'), '--log', self.path('log'), '--max-seconds', '120'])
        until = time.monotonic() + 20
        while not os.path.exists(self.path('ready')):
            assert time.monotonic() < until, 'no server'
            time.sleep(0.02)
        port = read(self.path('ready'))
        self.tell('init')
        with open(self.path('c', 'crannog.yaml'), 'w', encoding='utf-8') as f:
            f.write(f'servers: {{{place}: "http://127.0.0.1:{port}{"" if place == "anthropic" else "/v1"}"}}\n')
        if place == 'anthropic':  # a key of its own, for this address only
            code, out, err = self.tell('login', place, stdin='sk-canary-1\n')
            holds(code == 0, out + err)

    def tell(self, *words, stdin=None):
        done = subprocess.run([self.crannog, *words], cwd=self.work, env=self.env, input=stdin, capture_output=True, text=True,
                              errors='surrogateescape', timeout=LIMIT_S, check=False)
        return done.returncode, done.stdout, done.stderr

    def run(self, script, *options, goal='do the work', land='end', model='box/m', place='box'):
        self.serve(script, place)
        self.code, self.out, self.err = self.tell('run', goal, '--yes', '--model', model, '--land', land, *options)
        return self

    def show(self):
        return self.tell('show', '--history', '--json')[1]

    def requests(self):
        """Bodies of what the model was asked, in order."""
        rows = [json.loads(line) for line in read(self.path('log')).splitlines()]
        return [row['body'] for row in rows if row.get('method') == 'POST']

    def told(self, index=-1):
        """Text of the last message of a request."""
        return json.dumps(self.requests()[index]['messages'][-1], ensure_ascii=False)

    def file(self, name):
        return read(os.path.join(self.work, name))

    def there(self, name):
        return os.path.exists(os.path.join(self.work, name))

    def ended(self, code, words=''):
        assert self.code == code, f'exit {self.code} instead of {code}\n{self.out}\n{self.err}'
        assert '\\x0a' not in self.err, self.err
        assert re.search(words, self.out + self.err), f'no {words!r} in\n{self.out}\n{self.err}'

    def close(self):
        if self.server:
            self.server.kill()
            self.server.wait()


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def holds(cond, text=''):
    if not cond:
        raise AssertionError(text)


DONE = {'text': 'It is done.'}

# ---- rounds ----


@case('every tool, in the order of the answer, and the files are as it says')
def every_tool(c):
    with open(os.path.join(c.work, 'old.txt'), 'w', encoding='utf-8') as f:
        f.write('one\ntwo\nthree\n')
    c.run([calls(call('read', path='old.txt'), call('write', path='src/new.txt', content='new\n')),
           calls(call('edit', path='old.txt', edits=[{'old': 'two', 'new': 'TWO'}]), call('bash', command='cat src/new.txt old.txt; pwd')), DONE])
    c.ended(0, 'It is done')
    holds(c.file('old.txt') == 'one\nTWO\nthree\n' and c.file('src/new.txt') == 'new\n')
    bodies = [json.dumps(b, ensure_ascii=False) for b in c.requests()]
    holds(len(bodies) == 3 and 'three' in bodies[1] and 'created' in bodies[1], bodies)
    holds('new\\\\none\\\\nTWO' in json.dumps(bodies[2]) or 'new\\none\\nTWO' in bodies[2], bodies[2])
    roles = [m['role'] for m in c.requests()[2]['messages']]
    holds(roles == ['system', 'user', 'assistant', 'tool', 'tool', 'assistant', 'tool', 'tool'], roles)


@case('the same in the other format')
def every_tool_anthropic(c):
    c.run([calls(call('write', path='a', content='1\n'), call('bash', command='cat a')), DONE], place='anthropic',
          model='anthropic/claude-sonnet-5-5', land='step')
    c.ended(0, 'It is done')
    holds(c.file('a') == '1\n' and '"tool_result"' in c.told() and 'canary' not in c.show())


@case('arguments that are cut, or no object, or wrong, are told to the model')
def malformed(c):
    c.run([calls(call('write', path='a', content='b'), fault='malformed_arguments'), calls({'name': 'write', 'arguments': '[1,2]'}),
           calls(call('read', path=7)), calls(call('write', path='../../x', content='')), calls(call('edit', path='none', edits=[])), DONE])
    c.ended(0)
    told = [json.dumps(b['messages'][-1]) for b in c.requests()]
    holds('no JSON object' in told[1] and not c.there('a'), told[1])
    holds(len(told) == 6 and not os.path.exists(c.path('x')), told)


@case('a tool that is none is told to the model')
def unknown_tool(c):
    c.run([calls(call('dance', steps=3)), DONE])
    c.ended(0)
    holds('dance' in c.told() and ('no tool' in c.told() or 'unknown' in c.told() or 'bash' in c.told()), c.told())


@case('a question with nobody there ends with 4, and takes an answer in words')
def asks(c):
    c.run([calls(call('write', path='a', content='1'), call('ask', question='Which colour, red or blue?')), DONE])
    c.ended(4, 'Which colour')
    code, out, err = c.tell('answer', 'r1', 'a "light" blue')
    holds(code == 0, out + err)
    holds('light' in c.show() and 'a \\"light\\" blue' in c.told() and 'It is done' in out, c.told() + out)
    holds(c.tell('answer', 'r1', 'again')[0] != 0)


@case('an answer with nothing is asked about three times, then a person')
def nothing(c):
    c.run([{'text': ''}, {'loop': True}])
    c.ended(4, 'answers with nothing')
    holds(len(c.requests()) == 3 and 'You answered with nothing' in c.told(), c.told())


@case('an answer that was cut by its length goes on')
def length(c):
    c.run([{'text': 'I begin', 'stop': 'length'}, {'text': ' and end.'}])
    c.ended(0)
    holds('cut by its length' in c.told())


# ---- servers that fail ----


@case('429, 500, 529 and a cut stream are tried again, no earlier than they say')
def passing(c):
    step = [calls(call('bash', command=f'echo {i} >>log')) for i in range(3)]
    c.run([{'status': 429, 'error': 'slow down', 'retry_after': 2}, step[0], {'status': 500, 'error': 'oh'}, step[1],
           {'status': 529, 'error': 'too many'}, step[2], {'text': 'half of it', 'fault': 'cut'}, DONE])
    c.ended(0, 'tried again')
    holds(c.file('log') == '0\n1\n2\n')
    rows = [json.loads(line) for line in read(c.path('log')).splitlines()]
    begun = [r['time_ns'] for r in rows if r.get('method') == 'POST']
    sent = {r['n']: r['sent_ns'] for r in rows if 'sent_ns' in r}
    holds(begun[1] - sent[min(sent)] >= 2_000_000_000, 'before Retry-After')
    holds(len(begun) == 8)


FAULTS = ['garbage', 'html', 'other_format', 'empty', 'wrong_type', 'huge', 'no_done', 'no_usage', 'redirect', 'headers_huge']


def one_fault(fault):
    @case(f'a server that is wrong ({fault}): it goes on, or stops with words')
    def wrong(c):
        reply = {'text': 'It is done.', 'fault': fault}
        c.run([reply, DONE, DONE])
        holds(c.code in (0, 1, 4), f'exit {c.code}\n{c.err}')
        holds(c.code == 0 or len(c.err.strip().splitlines()[-1]) > 20, c.err)
        holds(not re.search(r'assert|corrupt|signal|sanitizer', c.err, re.I), c.err)
        holds(len(c.requests()) <= 3)
        holds('every chain, blob and list agrees' in c.tell('doctor', '--audit')[1])


for _fault in FAULTS:
    one_fault(_fault)


@case('a key that is refused stops it at once, with words')
def refused(c):
    c.run([{'status': 401, 'error': 'invalid key'}, {'loop': True}])
    c.ended(4, 'invalid key|refuse')
    holds(len(c.requests()) == 1)


# ---- what is bounded ----


@case('overflow again and again is bounded')
def overflow(c):
    too_long = {'status': 400, 'error': 'maximum context length is 100 tokens', 'type': 'context_length_exceeded'}
    c.run([calls(call('bash', command='echo 1; seq 300')), calls(call('bash', command='echo 2; seq 300')), calls(call('bash', command='echo 3; seq 300')), too_long, {'loop': True}])
    c.ended(4)
    holds(len(c.requests()) <= 12, len(c.requests()))
    holds('compact' in c.show())


@case('a summary that is longer than what it replaces is not taken')
def long_summary(c):
    too_long = {'status': 400, 'error': 'maximum context length is 100 tokens', 'type': 'context_length_exceeded'}
    c.run([calls(call('bash', command='seq 2000')), calls(call('bash', command='echo 2; seq 2000')), too_long,
           {'when': 'about to be cut short', 'text': 'very long ' * 20000, 'chunk': 5000}, {'expect': {'lacks': 'very long'}, 'text': 'It is done.'}],
          goal='the goal that is never forgotten')
    c.ended(0, 'It is done')
    last = json.dumps(c.requests()[-1])
    holds('the goal that is never forgotten' in last and len(last) < 60000, len(last))


@case('calls for ever are stopped by the budget, exactly')
def for_ever(c):
    c.run([calls(call('bash', command=f'echo {i}')) for i in range(30)], '--budget', '5calls')
    c.ended(3, 'budget')
    holds(len(c.requests()) == 5, len(c.requests()))


@case('the same call again and again is asked about')
def circles(c):
    c.run([calls(call('bash', command='make')), {'loop': True}])
    c.ended(4, 'same call again and again')
    holds(len(c.requests()) == 8, len(c.requests()))


@case('done when it is not: the check says so until it is')
def not_done(c):
    c.run([DONE, calls(call('write', path='proof', content='x')), DONE], '--verify', 'test -f proof || { echo no proof here; false; }')
    c.ended(0, 'its check passed')
    holds('no proof here' in json.dumps(c.requests()[1]) and c.there('proof'))


@case('never done: after its tries a person is asked')
def never_done(c):
    c.run([DONE, {'loop': True}], '--verify', 'false', '--tries', '3')
    c.ended(4, 'its check failed')
    holds(len(c.requests()) == 3)


@case('what a check writes is not kept')
def check_writes(c):
    c.run([DONE], '--verify', 'echo x >by-check')
    c.ended(0)
    holds(not c.there('by-check'))


def spent(c, unit):
    """What `spend` says that all of it came to."""
    rows = json.loads(c.tell('spend', '--json')[1])['accounts']
    return sum(row['exact'] + row['assumed'] + row['held'] for row in rows if row['account'] == 'crannog' and row['unit'] == unit)


@case('a cap in dollars is never passed')
def dollar_cap(c):
    script = [calls(call('bash', command=f'echo {i}'), usage={'input': 3000, 'output': 200}) for i in range(60)]
    c.run(script, '--budget', '0.10', place='anthropic', model='anthropic/claude-sonnet-5-5')
    c.ended(3, 'budget')
    n = len(c.requests())
    holds(3 <= n < 60, n)
    # $2 in and $10 out a million: what really was used
    used = n * (3000 * 2000 + 200 * 10000)
    holds(used == spent(c, 'nusd') <= 100_000_000, (used, spent(c, 'nusd')))
    holds(all(b['max_tokens'] >= 1 for b in c.requests()))


@case('a model without a price has no budget in dollars')
def no_price(c):
    c.run([DONE], '--budget', '1')
    c.ended(2, 'nobody knows what')
    holds(not os.path.exists(c.path('log')) or not c.requests())


# ---- outputs ----


@case('a long output is cut, and read step:N gives the rest')
def long_output(c):
    c.run([calls(call('bash', command='seq 1 150000')), {'when': 'left out', 'calls': [call('read', path='step:STEP', offset=90000, limit=3)]}, DONE])
    told = c.told(1)
    holds('left out' in told and len(told) < 70000, len(told))
    step = re.search(r'read step:(\d+)', told)
    holds(step, told[:400])
    c.close()
    os.unlink(c.path('ready'))
    os.unlink(c.path('log'))
    c.run([calls(call('bash', command='seq 1 150000')), calls(call('read', path=f'step:{step[1]}', offset=90000, limit=3)), DONE], goal='the same')
    c.ended(0)
    holds('90000\\n90001\\n90002' in c.told().replace('\\\\n', '\\n'), c.told())


def jails_of(c, script, goal):
    """How many crannog-jails a run starts: programs of their own, with one before each that counts."""
    here, programs = os.path.dirname(c.crannog), c.path('bin')
    if not os.path.exists(programs):
        os.mkdir(programs)
        for name in ('crannog', 'crannog-door', 'crannog-infer', 'crannog-jail'):
            shutil.copy(os.path.join(here, name), os.path.join(programs, name))
        os.rename(os.path.join(programs, 'crannog-jail'), os.path.join(programs, 'jail'))
        with open(os.path.join(programs, 'crannog-jail'), 'w', encoding='utf-8') as f:
            f.write(f'#!/bin/sh\necho >>{c.path("starts")}\nexec {programs}/jail\n')
        os.chmod(os.path.join(programs, 'crannog-jail'), 0o755)
    c.crannog = os.path.join(programs, 'crannog')
    c.run(script, goal=goal)
    c.ended(0)
    starts = read(c.path('starts')).count('\n')
    for name in ('starts', 'ready', 'log'):
        os.unlink(c.path(name))
    return starts


@case('files that are read one after the other are read in one jail')
def one_jail(c):
    for name in 'abcdef':
        with open(c.path('work', name), 'w', encoding='utf-8') as f:
            f.write(name)
    one = jails_of(c, [calls(call('read', path='a')), DONE], 'one')
    c.close()
    many = jails_of(c, [calls(call('read', path='a'), call('read', path='b'), call('read', path='gone'))] +
                    [calls(call('read', path=name)) for name in 'cdef'] + [DONE], 'many')
    holds(many <= one + 1, f'{one} jails for one file, {many} for seven')


@case('processes that a command leaves are ended, and the model is told')
def leftovers(c):
    c.run([calls(call('bash', command='sleep 987 & sleep 986 & echo started')), DONE])
    c.ended(0)
    holds('left running' in c.told(), c.told())
    holds(subprocess.run(['pgrep', '-f', 'sleep 98[67]'], capture_output=True, check=False).returncode == 1)


@case('a command that takes too long: its changes are dropped, the model is told')
def timeout(c):
    c.run([calls(call('bash', command='echo x >half; sleep 30', timeout=1), call('bash', command='ls')), DONE])
    c.ended(0)
    text = json.dumps(c.requests()[1])
    holds('longer than its timeout' in text and 'dropped' in text and not c.there('half'), text[-600:])
    holds('"half' not in text.split('longer than')[1])


@case('what a command with an error changed stays, and its status is told')
def failing_command(c):
    c.run([calls(call('bash', command='echo x >kept; exit 7')), DONE])
    c.ended(0)
    holds('exit status 7' in c.told() and c.there('kept'))


@case('escape sequences move nobody\'s cursor')
def escapes(c):
    c.run([calls(call('bash', command="printf 'x' > \"$(printf 'a\\033[2Jb')\"; printf '\\033]0;owned\\007\\n'"), call('read', path='\u001b[31mred')),
           {'text': 'done \u001b[2J\u009b31m'}])
    c.ended(0)
    holds('\x1b' not in c.err and '\x9b' not in c.err, repr(c.err))
    code, out, err = c.tell('show')
    holds(code == 0 and '\x1b' not in out + err, repr(out + err))
    code, out, err = c.tell('show', '--history')
    holds('\x1b' not in out + err, repr(out + err)[:1500])


@case('bytes that are no text become text')
def no_text(c):
    c.run([calls(call('bash', command="printf '\\377\\376\\000x\\n'"), call('bash', command='head -c 3000 /dev/urandom')), DONE])
    c.ended(0)


@case('no network in the jail, and nothing outside the folder')
def walls(c):
    os.makedirs(c.path('home', '.ssh'))
    with open(c.path('home', '.ssh', 'id'), 'w', encoding='utf-8') as f:
        f.write('canary of home\n')
    c.run([calls(call('bash', command='cat < /dev/tcp/127.0.0.1/1; ls /root /home; cat ~/.ssh/id; echo x > /usr/x; echo over')), DONE])
    c.ended(0)
    holds('over' in c.told() and 'canary of home' not in c.told() and '.ssh/id: No such file' in c.told())


# ---- landing ----


@case('without --land the changes wait for a word')
def waits(c):
    c.serve([calls(call('write', path='a', content='1\n')), DONE])
    c.code, c.out, c.err = c.tell('run', 'do it', '--yes', '--model', 'box/m')
    c.ended(4)
    holds(not c.there('a'))
    code, out, err = c.tell('apply', 'r1')
    holds(code == 0 and c.there('a'), out + err)


def repository(c, **files):
    """A repository with these files committed; its git."""
    def git(*words):
        return subprocess.run(['git', '-C', c.work, '-c', 'user.name=x', '-c', 'user.email=x@y', *words], capture_output=True, text=True,
                              env=c.env, check=True).stdout
    git('init', '-q', '-b', 'main')
    for name, text in files.items():
        with open(os.path.join(c.work, name), 'w', encoding='utf-8') as f:
            f.write(text)
        git('add', name)
    git('commit', '-q', '-m', 'one')
    return git


@case('in a repository the result is a branch')
def branch(c):
    git = repository(c, f='1\n')
    c.serve([calls(call('write', path='f', content='2\n')), DONE])
    c.code, c.out, c.err = c.tell('run', 'do it', '--yes', '--model', 'box/m')
    c.ended(0, 'crannog/r1')
    holds(c.file('f') == '1\n' and git('show', 'crannog/r1:f') == '2\n' and git('status', '--porcelain') == '')


@case('of very many files the commit has those that the run changed, and none of the person\'s')
def many_files(c):
    git = repository(c, f='1\n', gone='1\n', mine='1\n')
    for name in ('mine', 'secret'):
        with open(os.path.join(c.work, name), 'w', encoding='utf-8') as f:
            f.write('2\n')
    c.serve([calls(call('bash', command='rm gone; mkdir "a b"; for i in $(seq 1500); do echo $i >"a b/file $i"; done')), DONE])
    c.code, c.out, c.err = c.tell('run', 'do it', '--yes', '--model', 'box/m')
    c.ended(0, 'crannog/r1')
    names = git('ls-tree', '-r', '--name-only', 'crannog/r1').splitlines()
    holds(len(names) == 1502 and 'a b/file 1500' in names and 'secret' not in names and 'gone' not in names, names[:9])
    holds(git('show', 'crannog/r1:mine') == '1\n')


@case('a commit that git refuses is a question with its words')
def refused_commit(c):
    git = repository(c, f='1\n')
    git('branch', 'crannog')  # in the way of crannog/r1
    c.serve([calls(call('write', path='f', content='2\n')), DONE])
    c.code, c.out, c.err = c.tell('run', 'do it', '--yes', '--model', 'box/m')
    c.ended(4, 'git could not make a commit of it .*there is a branch crannog already')
    git('branch', '-D', 'crannog')
    code, out, err = c.tell('answer', 'r1', 'retry')
    holds(code == 0 and git('show', 'crannog/r1:f') == '2\n', out + err)


@case('a file that a person changed meanwhile is not overwritten')
def conflict(c):
    with open(os.path.join(c.work, 'f'), 'w', encoding='utf-8') as f:
        f.write('1\n')

    def edit():
        until = time.monotonic() + 30
        while time.monotonic() < until and not os.path.exists(c.path('log')):
            time.sleep(0.02)
        while time.monotonic() < until and read(c.path('log')).count('"body"') < 2:
            time.sleep(0.02)
        with open(os.path.join(c.work, 'f'), 'w', encoding='utf-8') as f:
            f.write('mine\n')
    person = threading.Thread(target=edit)
    person.start()
    c.run([calls(call('write', path='f', content='2\n')), {'text': 'It is done.', 'delay_ms': 1000}])
    person.join()
    c.ended(4)
    holds(c.file('f') == 'mine\n')


# ---- ----


def main():
    bin_folder, folder = sys.argv[1], sys.argv[2]
    word = sys.argv[3] if len(sys.argv) > 3 else ''
    chosen = [row for row in enumerate(CASES) if word in row[1][0]]
    lock, failed = threading.Lock(), []

    def play(row):
        index, (name, function) = row
        c, began, why = Case(bin_folder, folder, index), time.monotonic(), None
        try:
            function(c)
        except Exception:  # whatever it is, it is this case's failure
            why = traceback.format_exc()
        finally:
            c.close()
        with lock:
            if why:
                failed.append(name)
                print('  ' + why.replace('\n', '\n  '))
            print(f'{"not ok" if why else "ok"} {name}', flush=True)
            if os.environ.get('TIMES'):
                print(f'  {time.monotonic() - began:.1f} s')

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(play, chosen))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
