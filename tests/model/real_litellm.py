#!/usr/bin/env python3
"""real_litellm.py DOOR FOLDER LITELLM: crannog-door against LiteLLM's proxy, which nobody here wrote. One line a test.

The proxy is asked in both formats. Its models: `mock`, its own; `scripted` and `scripted-claude`, which are tests/model/scripted.py behind
it, so that what the door wrote is read by a stranger, translated, and comes back translated.
"""
import json
import os
import subprocess
import sys
import time
import urllib.request

from rig import Door, Scripted, transcript

PROGRAM, FOLDER, LITELLM = sys.argv[1:4]
KEY = 'sk-master-0123456789'
REPLY = {'text': 'Listing.', 'calls': [{'name': 'bash', 'arguments': {'command': 'ls -l'}}, {'name': 'bash', 'arguments': {'command': 'pwd'}}],
         'usage': {'input': 50, 'output': 9}}
HISTORY = json.dumps({'v': 1, 'system': [{'text': 'Be brief.', 'cache': True}], 'tools': [
    {'name': 'bash', 'description': 'runs a command', 'schema': '{"type":"object","properties":{"command":{"type":"string"}}}'}],
    'turns': [{'role': 'user', 'parts': [{'text': 'list'}]},
              {'role': 'assistant', 'parts': [{'text': 'I will.'}, {'call': 'call_1', 'name': 'bash', 'arguments': '{"command":"ls"}'},
                                              {'call': 'call_2', 'name': 'bash', 'arguments': '{"command":"pwd"}'}]},
              {'role': 'user', 'parts': [{'result': 'call_1', 'text': 'a.txt'}, {'result': 'call_2', 'text': '/work', 'error': True}]}],
    'options': {'model': 'MODEL', 'max_output': 1000, 'stops': [], 'choice': 'auto'}})
failed = 0


def check(name, good, what=''):
    global failed
    failed += not good
    print(f'{"ok" if good else "not ok"} litellm: {name}' + ('' if good else f'\n  {what}'), flush=True)


def start(port, openai, anthropic):
    config = {'model_list': [
        {'model_name': 'mock', 'litellm_params': {'model': 'openai/gpt-4o', 'api_key': 'x', 'mock_response': 'what a mock says'}},
        {'model_name': 'scripted', 'litellm_params': {'model': 'hosted_vllm/scripted', 'api_key': 'x', 'api_base': openai}},
        {'model_name': 'scripted-claude', 'litellm_params': {'model': 'anthropic/claude-3-5-haiku', 'api_key': 'x', 'api_base': anthropic}}],
        'general_settings': {'master_key': KEY}, 'litellm_settings': {'num_retries': 0}}
    with open(FOLDER + '/litellm.json', 'w') as file:
        json.dump(config, file)
    log = open(FOLDER + '/litellm.log', 'w')
    env = dict(os.environ, LITELLM_LOCAL_MODEL_COST_MAP='True', LITELLM_TELEMETRY='False', no_proxy='127.0.0.1')
    child = subprocess.Popen([LITELLM, '--config', FOLDER + '/litellm.json', '--host', '127.0.0.1', '--port', str(port)], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, env=env)
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}/health/liveliness', timeout=2).close()
            return child
        except OSError:
            time.sleep(.5)
    child.kill()
    raise RuntimeError('LiteLLM did not start: ' + FOLDER + '/litellm.log')


def ask(d, root, provider, model, document=None, **fields):
    base = root + '/v1' if provider == 'litellm' else root
    return d.answer(d.ask(base, provider=provider, secret='K', document=document or transcript(model=model), **fields), 60)


def play(root, servers):
    d = Door(PROGRAM, [('K', KEY, root), ('WRONG', 'sk-wrong-0123456789', root)])
    for provider in ('litellm', 'anthropic-compatible'):
        for how, quirks in (('streamed', 0), ('in one piece', 1 << 1)):
            a = ask(d, root, provider, 'mock', QUIRKS=quirks)
            check(f'a mock, {provider}, {how}', a['fault'] == 'none' and a['parts'] == [{'text': 'what a mock says'}] and a['KNOWN'] == 1, a)
            for model in ('scripted', 'scripted-claude'):
                a = ask(d, root, provider, model, HISTORY.replace('MODEL', model), QUIRKS=quirks)
                calls = [json.loads(p['arguments']) for p in a['parts'] if 'call' in p]
                check(f'calls and results there and back, {provider} before {model}, {how}', a['fault'] == 'none' and a['stop'] == 'calls' and
                      calls == [{'command': 'ls -l'}, {'command': 'pwd'}] and a['parts'][0].get('text') == 'Listing.', a)
        a = ask(d, root, provider, 'no-such-model')
        check(f'a model that it does not have, {provider}', a['fault'] in ('no_model', 'request') and 'no-such-model' in a['TEXT'], a)
    a = d.answer(d.ask(root + '/v1', provider='litellm', secret='WRONG', document=transcript(model='mock')), 60)
    check('a wrong key', a['fault'] != 'none' and 'sk-wrong-0123456789' not in str(a), a)
    d.send('LOOK', 999, PROVIDER='litellm', BASE=root + '/v1', SECRET_NAME='K', TOTAL_MS=5000)
    f = d.receive()
    check('its list of models', f['type'] == 'MODELS' and sorted(f['NAMES']) == ['mock', 'scripted', 'scripted-claude'], f)
    said = json.dumps([row['body'] for s in servers for row in s.log()])
    check('the results reached the server behind it', all(word in said for word in ('a.txt', '/work', 'Be brief.')), said[:2000])
    d.close()


def main():
    with Scripted(FOLDER, [REPLY, {'loop': True}]) as openai, Scripted(FOLDER, [REPLY, {'loop': True}]) as anthropic:
        port = 41000 + os.getpid() % 1000
        child = start(port, openai.base, anthropic.root)
        try:
            play(f'http://127.0.0.1:{port}', (openai, anthropic))
        finally:
            child.terminate()
            child.wait()
    sys.exit(failed > 0)


main()
