#!/usr/bin/env python3
"""agent.py: crannog's agent beside others, all against the same scripted model (model.py), in turns.

    agent.py BUILD WORK [ROUNDS] [NAME...]    BUILD has src/crannog; WORK is an empty folder; names choose from those below

In each round each of them does a task of twenty calls of the shell, `echo step-N`: once to be timed with a model that answers at
once, once with one that takes 50 ms, as all models take some time in which things can be done, and once to be weighed (its
processes' memory is added up every few ms, which slows it). What is printed:

    gap      from the last byte of an answer to the first byte of the next request, ms: median and 95th percentile of all turns;
             the same with the model that takes 50 ms
    task     start to exit, s, with the model that answers at once; first: start to the first byte of the first request, ms
    memory   the most that all its processes had at once, PSS and RSS, MiB
    bytes    of the first request's body

With REALTIME=1 all of it, the model too, goes before other work on the machine, as root: for a machine that is not quiet.
"files" does `echo step-N >> log.txt` instead, so that each turn changes a file. Others are taken from PEERS, a folder with
`npm install --prefix PEERS/NAME PACKAGE` of each and node 24 (see `install` below); where one is missing it is told and left out.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get('PEERS', Path.home() / 'crannog-peers'))
NODE = PEERS / 'node/node_modules/node/bin'
STEPS, GOAL = 20, 'Run the scripted task.'
PACKAGES = {'pi': '@mariozechner/pi-coding-agent', 'codex': '@openai/codex', 'claude': '@anthropic-ai/claude-code'}


class Server:
    """The scripted model, for one run."""

    def __init__(self, folder, command, delay):
        self.log, ready = folder / 'model.jsonl', folder / 'ready'
        self.process = subprocess.Popen([sys.executable, HERE / 'model.py', '--ready', ready, '--log', self.log, '--steps', str(STEPS),
                                         '--command', command, '--delay', delay])
        while not ready.exists():
            if self.process.poll() is not None:
                raise RuntimeError('the scripted model did not start')
            time.sleep(0.01)
        self.port = int(ready.read_text())

    def end(self):
        """Its rows that offered a shell, in order."""
        self.process.kill()
        self.process.wait()
        rows = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return sorted((row for row in rows if row['shell']), key=lambda row: row['came_ns'])


# --- who is measured: (command line, variables) for a folder and a server's port ----------------------------------------------

def crannog(build, land):
    def line(folder, port):
        home = folder / 'home'
        home.mkdir()
        (folder / 'crannog').mkdir()
        (folder / 'crannog/crannog.yaml').write_text(f'servers: {{box: "http://127.0.0.1:{port}/v1"}}\n')
        return [str(build / 'src/crannog'), '-C', str(folder / 'crannog'), 'run', GOAL, '--yes', '--land', land, '--model', 'box/mock',
                '--budget', '10000000tok'], {'HOME': str(home)}
    return line


def pi(folder, port):
    home = folder / 'home'
    (home / '.pi/agent').mkdir(parents=True)
    model = {'id': 'mock', 'name': 'mock', 'reasoning': False, 'input': ['text'], 'contextWindow': 200000, 'maxTokens': 8000,
             'cost': {'input': 1, 'output': 2, 'cacheRead': 0, 'cacheWrite': 0}}
    (home / '.pi/agent/models.json').write_text(json.dumps({'providers': {'mock': {
        'baseUrl': f'http://127.0.0.1:{port}/v1', 'api': 'openai-completions', 'apiKey': 'MOCK_KEY', 'models': [model]}}}))
    return [str(PEERS / 'pi/node_modules/.bin/pi'), '-p', '--provider', 'mock', '--model', 'mock', GOAL], {'HOME': str(home), 'MOCK_KEY': 'k'}


def codex(folder, port):
    home = folder / 'home'
    (home / '.codex').mkdir(parents=True)
    (home / '.codex/config.toml').write_text('model = "mock"\nmodel_provider = "mock"\n[model_providers.mock]\nname = "mock"\n'
                                             f'base_url = "http://127.0.0.1:{port}/v1"\nenv_key = "MOCK_KEY"\nwire_api = "responses"\n')
    return [str(PEERS / 'codex/node_modules/.bin/codex'), 'exec', '--skip-git-repo-check', '-s', 'workspace-write', GOAL], \
        {'HOME': str(home), 'MOCK_KEY': 'k'}


def claude(folder, port):
    home = folder / 'home'
    home.mkdir()
    return [str(PEERS / 'claude/node_modules/.bin/claude'), '-p', GOAL, '--allowedTools', 'Bash'], \
        {'HOME': str(home), 'ANTHROPIC_API_KEY': 'k', 'ANTHROPIC_BASE_URL': f'http://127.0.0.1:{port}',
         'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC': '1'}


def floor(folder, port):
    (folder / 'home').mkdir()
    return [sys.executable, str(Path(__file__).resolve()), '--floor', str(port)], {'HOME': str(folder / 'home')}


def play_floor(port):
    """The least that a client does: one connection, no stream, `bash -c` for each call."""
    import http.client  # pylint: disable=import-outside-toplevel
    to = http.client.HTTPConnection('127.0.0.1', port)
    tools = [{'type': 'function', 'function': {'name': 'bash', 'parameters': {
        'type': 'object', 'properties': {'command': {'type': 'string'}}, 'required': ['command']}}}]
    said = [{'role': 'user', 'content': GOAL}]
    while True:
        to.request('POST', '/v1/chat/completions', json.dumps({'model': 'mock', 'messages': said, 'tools': tools}))
        said.append(json.loads(to.getresponse().read())['choices'][0]['message'])
        if not said[-1].get('tool_calls'):
            return
        for call in said[-1]['tool_calls']:
            ran = subprocess.run(['bash', '-c', json.loads(call['function']['arguments'])['command']], capture_output=True, text=True, check=False)
            said.append({'role': 'tool', 'tool_call_id': call['id'], 'content': ran.stdout + ran.stderr})


# --- one run -----------------------------------------------------------------------------------------------------------------

def family(pid):
    """A process and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in os.listdir(f'/proc/{pid}/task'):
                todo += map(int, Path(f'/proc/{pid}/task/{task}/children').read_text().split())
        except OSError:
            pass
    return found


def weight(pid):
    """(PSS, RSS) of a family, KiB."""
    pss = rss = 0
    for one in family(pid):
        try:
            for line in Path(f'/proc/{one}/smaps_rollup').read_text().splitlines():
                if line.startswith('Pss:'):
                    pss += int(line.split()[1])
                elif line.startswith('Rss:'):
                    rss += int(line.split()[1])
        except OSError:
            pass
    return pss, rss


class Weigher(threading.Thread):
    def __init__(self, pid):
        super().__init__()
        self.pid, self.pss, self.rss, self.over = pid, 0, 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            pss, rss = weight(self.pid)
            self.pss, self.rss = max(self.pss, pss), max(self.rss, rss)
            self.over.wait(0.002)


def play(who, folder, command, delay='0', weigh=False):
    """One task: its figures, or a RuntimeError."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / 'work'
    work.mkdir(parents=True)
    server = Server(folder, command, delay)
    words, variables = who(folder, server.port)
    env = {'PATH': f'{NODE}:{os.environ["PATH"]}', 'LANG': 'C.UTF-8', **variables}
    began = time.monotonic_ns()
    with subprocess.Popen(words, cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as process:
        weigher = Weigher(process.pid) if weigh else None
        if weigher:
            weigher.start()
        try:
            said = process.communicate(timeout=300)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            ended = time.monotonic_ns()
            if weigher:
                weigher.over.set()
                weigher.join()
            rows = server.end()
    if process.returncode or len(rows) != STEPS + 1:
        raise RuntimeError(f'{words[0]}: {len(rows)} requests, status {process.returncode}: {said[-500:].decode(errors="replace")}')
    return {'gaps': [(b['came_ns'] - a['sent_ns']) / 1e6 for a, b in zip(rows, rows[1:])], 'task': (ended - began) / 1e9,
            'first': (rows[0]['came_ns'] - began) / 1e6, 'bytes': rows[0]['bytes'], 'all': sum(row['bytes'] for row in rows),
            'pss': weigher.pss / 1024 if weigh else 0, 'rss': weigher.rss / 1024 if weigh else 0}


def per_cent(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def show(name, timed, patient, weighed):
    gaps, slow = ([gap for one in runs for gap in one['gaps']] for runs in (timed, patient))

    def median(key, of):
        return statistics.median(one[key] for one in of)
    print(f'{name:22} {statistics.median(gaps):8.2f} {per_cent(gaps, 0.95):8.2f} '
          f'{statistics.median(slow):8.2f} {per_cent(slow, 0.95):8.2f} {median("task", timed):8.3f} {median("first", timed):8.1f} '
          f'{median("pss", weighed):8.1f} {median("rss", weighed):8.1f} {timed[0]["bytes"]:8} {timed[0]["all"]:9}', flush=True)


def install(names):
    """What the peers come from; once, and not a part of any measurement."""
    for name, package in [('node', 'node@24')] + [(name, PACKAGES[name]) for name in names if name in PACKAGES]:
        folder = PEERS / name
        if not (folder / 'node_modules/.bin').exists() and not (folder / 'node_modules/node/bin').exists():
            print(f'installing {package} into {folder}', flush=True)
            env = {**os.environ, 'PATH': f'{NODE}:{os.environ["PATH"]}'}
            subprocess.run(['npm', 'install', '--prefix', folder, package], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main():
    if sys.argv[1] == '--floor':
        return play_floor(int(sys.argv[2]))
    if os.environ.get('REALTIME'):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    build, work, rounds = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5
    echo, files = 'echo step-{k}', 'echo step-{k} >> log.txt'
    rows = {'crannog': (crannog(build, 'end'), echo), 'crannog, land: step': (crannog(build, 'step'), echo), 'pi': (pi, echo), 'codex': (codex, echo),
            'claude': (claude, echo), 'floor': (floor, echo), 'crannog, files': (crannog(build, 'end'), files),
            'crannog step, files': (crannog(build, 'step'), files), 'pi, files': (pi, files)}
    if sys.argv[4:]:
        rows = {name: row for name, row in rows.items() if name in sys.argv[4:]}
    install({name.split(',')[0] for name in rows})
    timed, patient, weighed = {}, {}, {}
    for _ in range(rounds):
        for name, (who, command) in list(rows.items()):
            try:
                timed.setdefault(name, []).append(play(who, work / 'run', command))
                patient.setdefault(name, []).append(play(who, work / 'run', command, '0.05'))
                weighed.setdefault(name, []).append(play(who, work / 'run', command, weigh=True))
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                print(f'{name} is left out: {error}')
                del rows[name]
    print(f'{"":22} {"gap ms":>8} {"p95 ms":>8} {"50: gap":>8} {"p95 ms":>8} {"task s":>8} {"first ms":>8} {"PSS MiB":>8} {"RSS MiB":>8} {"bytes":>8} {"all bytes":>9}')
    for name in rows:
        show(name, timed[name], patient[name], weighed[name])
    return 0


if __name__ == '__main__':
    sys.exit(main())
