#!/usr/bin/env python3
"""model.py: the model server that bench/agent.py measures agents against. On the loopback; nothing but Python's library.

    model.py --ready FILE --log FILE.jsonl [--steps 20] [--command 'echo step-{k}'] [--delay SECONDS] [--max-seconds 900]

It speaks Chat Completions, Responses and Messages, streamed and in one piece. While a request carries fewer than `steps` results
of tools, the answer is one call of the shell tool that the request offers; then it is a text. One thread: what it takes itself is
a part of no gap, which is from behind the last byte of an answer (`sent_ns`) to the first byte of the next request (`came_ns`).

A line of the log is a request: came_ns, sent_ns (CLOCK_MONOTONIC), bytes of its body, step, whether it offered a shell tool.
"""
import argparse
import asyncio
import json
import os
import re
import time

SHELLS = ('bash', 'shell', 'shell_command', 'exec_command', 'exec', 'local_shell', 'run_command', 'terminal')
WORDS = ('command', 'cmd', 'script')


def offered(body):
    """(name, schema, kind) of each tool that a request offers, in any of the formats."""
    for tool in body.get('tools') or []:
        for t in tool.get('tools') or [tool]:
            f = t.get('function') if isinstance(t.get('function'), dict) else t
            yield f.get('name') or t.get('type', ''), f.get('parameters') or f.get('input_schema') or {}, t.get('type', 'function')


def shell_of(body):
    tools = {name.lower(): (name, schema, kind) for name, schema, kind in offered(body)}
    return next((tools[name] for name in SHELLS if name in tools), None)


def results(value):
    """The results of tools that a request carries: their calls' ids, or one more for one without."""
    if isinstance(value, list):
        return set().union(*map(results, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    kind = value.get('role') if value.get('role') == 'tool' else value.get('type')
    if kind in ('tool', 'tool_result', 'function_call_output', 'custom_tool_call_output', 'local_shell_call_output'):
        return {value.get('tool_call_id') or value.get('tool_use_id') or value.get('call_id') or id(value)}
    return results(value.get('content')) if isinstance(value.get('content'), list) else set()


def filled(schema, command):
    """Arguments with the command in the field that takes it, and something in each other one that is required."""
    known = schema.get('properties') or {}
    field = next((word for word in WORDS if word in known), 'command')
    args = {field: ['bash', '-lc', command] if known.get(field, {}).get('type') == 'array' else command}
    for name in schema.get('required') or []:
        kind = known.get(name, {}).get('type')
        args.setdefault(name, False if kind == 'boolean' else 1 if kind in ('integer', 'number') else 'a step')
    return args


# --- answers: a list of (event or None, data) and the whole ------------------------------------------------------------------

def chat(model, call, text, used):
    usage = {'prompt_tokens': used, 'completion_tokens': 30, 'total_tokens': used + 30}
    head = {'id': 'c1', 'created': 1, 'model': model}
    calls = call and [{'id': call['id'], 'type': 'function', 'function': {'name': call['name'], 'arguments': json.dumps(call['args'])}}]
    message = {'role': 'assistant', 'content': text, **({'tool_calls': calls} if call else {})}
    delta = {**message, **({'tool_calls': [{'index': 0, **calls[0]}]} if call else {})}
    stop = 'tool_calls' if call else 'stop'
    chunk = {**head, 'object': 'chat.completion.chunk'}
    whole = {**head, 'object': 'chat.completion', 'usage': usage, 'choices': [{'index': 0, 'message': message, 'finish_reason': stop}]}
    return [(None, {**chunk, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': None}]}),
            (None, {**chunk, 'choices': [{'index': 0, 'delta': {}, 'finish_reason': stop}]}),
            (None, {**chunk, 'choices': [], 'usage': usage}), (None, '[DONE]')], whole


def responses(model, call, text, used):
    usage = {'input_tokens': used, 'input_tokens_details': {'cached_tokens': 0}, 'output_tokens': 30,
             'output_tokens_details': {'reasoning_tokens': 0}, 'total_tokens': used + 30}
    part = {'type': 'output_text', 'text': text, 'annotations': []}
    if not call:
        item = {'type': 'message', 'id': 'm1', 'role': 'assistant', 'status': 'completed', 'content': [part]}
    elif call['kind'] == 'local_shell':
        item = {'type': 'local_shell_call', 'id': 'f1', 'call_id': call['id'], 'status': 'completed',
                'action': {'type': 'exec', 'command': ['bash', '-lc', call['command']], 'env': {}}}
    elif call['kind'] == 'custom':
        item = {'type': 'custom_tool_call', 'id': 'f1', 'call_id': call['id'], 'name': call['name'], 'input': call['command'],
                'status': 'completed'}
    else:
        item = {'type': 'function_call', 'id': 'f1', 'call_id': call['id'], 'name': call['name'], 'arguments': json.dumps(call['args']),
                'status': 'completed'}
    whole = {'id': 'r1', 'object': 'response', 'created_at': 1, 'model': model, 'status': 'completed', 'output': [item], 'usage': usage,
             'parallel_tool_calls': False, 'tools': [], 'error': None, 'incomplete_details': None}
    events = [{'type': 'response.created', 'response': {**whole, 'status': 'in_progress', 'output': [], 'usage': None}},
              {'type': 'response.output_item.added', 'output_index': 0, 'item': {**item, 'status': 'in_progress'}}]
    if not call:
        events.append({'type': 'response.output_text.delta', 'item_id': 'm1', 'output_index': 0, 'content_index': 0, 'delta': text})
    events += [{'type': 'response.output_item.done', 'output_index': 0, 'item': item}, {'type': 'response.completed', 'response': whole}]
    return [(e['type'], {**e, 'sequence_number': i}) for i, e in enumerate(events)], whole


def messages(model, call, text, used):
    usage = {'input_tokens': used, 'output_tokens': 30, 'cache_creation_input_tokens': 0, 'cache_read_input_tokens': 0}
    block = {'type': 'tool_use', 'id': call['id'], 'name': call['name'], 'input': call['args']} if call else {'type': 'text', 'text': text}
    empty = {**block, 'input': {}} if call else {**block, 'text': ''}
    delta = {'type': 'input_json_delta', 'partial_json': json.dumps(call['args'])} if call else {'type': 'text_delta', 'text': text}
    stop = 'tool_use' if call else 'end_turn'
    whole = {'id': 'msg_1', 'type': 'message', 'role': 'assistant', 'model': model, 'content': [block], 'stop_reason': stop,
             'stop_sequence': None, 'usage': usage}
    start = {**whole, 'content': [], 'stop_reason': None, 'usage': {**usage, 'output_tokens': 1}}
    events = [{'type': 'message_start', 'message': start}, {'type': 'content_block_start', 'index': 0, 'content_block': empty},
              {'type': 'content_block_delta', 'index': 0, 'delta': delta}, {'type': 'content_block_stop', 'index': 0},
              {'type': 'message_delta', 'delta': {'stop_reason': stop, 'stop_sequence': None}, 'usage': usage}, {'type': 'message_stop'}]
    return [(e['type'], e) for e in events], whole


FORMATS = {'/chat/completions': chat, '/responses': responses, '/messages': messages}


class Connection(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self, options, log):
        self.options, self.log, self.got, self.came = options, log, b'', 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.got:
            self.came = time.monotonic_ns()
        self.got += data
        head, found, rest = self.got.partition(b'\r\n\r\n')
        if not found:
            return
        if b'expect: 100-continue' in head.lower() and not rest:
            self.transport.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        body = self.body(head, rest)
        if body is None:
            return
        self.got = b''
        method, path = head.split(b' ', 2)[:2]
        self.answer(method.decode(), path.decode().split('?')[0].rstrip('/'), body)

    @staticmethod
    def body(head, rest):
        """The whole body of a request, or None while it has not all come."""
        length = re.search(rb'(?i)\r\ncontent-length: *(\d+)', head)
        if length:
            return rest if len(rest) >= int(length[1]) else None
        if b'chunked' not in head.lower():
            return rest
        whole = b''
        while b'\r\n' in rest:
            size, _, rest = rest.partition(b'\r\n')
            size = int(size.split(b';')[0], 16)
            if size == 0:
                return whole
            if len(rest) < size + 2:
                return None
            whole, rest = whole + rest[:size], rest[size + 2:]
        return None

    def send(self, status, kind, body):
        self.transport.write(b'HTTP/1.1 %d -\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n' % (status, kind, len(body)) + body)

    def answer(self, method, path, raw):
        form = next((f for end, f in FORMATS.items() if path.endswith(end)), None) if method == 'POST' else None
        if path.endswith('/models') and method == 'GET':
            return self.send(200, b'application/json', b'{"object": "list", "data": [{"id": "mock", "object": "model"}]}')
        if path.endswith('/count_tokens'):
            return self.send(200, b'application/json', b'{"input_tokens": %d}' % (len(raw) // 4))
        if not form:
            return self.send(404, b'application/json', b'{"error": {"message": "not here", "type": "not_found"}}')
        body = json.loads(raw)
        shell = shell_of(body)
        step = len(results(body.get('messages') or body.get('input') or []))
        call = text = None
        if shell and step < self.options.steps:
            command = self.options.command.replace('{k}', str(step + 1))
            call = {'id': f'call_{step + 1}_{time.monotonic_ns() % 1000000}', 'name': shell[0], 'kind': shell[2], 'command': command,
                    'args': filled(shell[1], command)}
        else:
            text = f'All {step} steps are done.'
        events, whole = form(body.get('model', 'mock'), call, text, len(raw) // 4)
        row = {'came_ns': self.came, 'bytes': len(raw), 'step': step, 'shell': bool(shell), 'called': bool(call)}
        if self.options.delay and shell:
            asyncio.get_running_loop().call_later(self.options.delay, self.say, body, events, whole, row)
        else:
            self.say(body, events, whole, row)
        return None

    def say(self, body, events, whole, row):
        if body.get('stream'):
            lines = [(f'event: {name}\n' if name else '') + f'data: {data if isinstance(data, str) else json.dumps(data)}\n\n'
                     for name, data in events]
            chunks = b''.join(b'%x\r\n%s\r\n' % (len(line), line) for line in map(str.encode, lines))
            self.transport.write(b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n'
                                 b'transfer-encoding: chunked\r\n\r\n' + chunks + b'0\r\n\r\n')
        else:
            self.send(200, b'application/json', json.dumps(whole).encode())
        row['sent_ns'] = time.monotonic_ns()
        self.log.write(json.dumps(row) + '\n')


async def serve(options):
    with open(options.log, 'a', encoding='utf-8', buffering=1) as log:
        server = await asyncio.get_running_loop().create_server(lambda: Connection(options, log), '127.0.0.1', 0, backlog=4096)
        with open(options.ready + '.new', 'w', encoding='utf-8') as file:
            file.write(str(server.sockets[0].getsockname()[1]))
        os.rename(options.ready + '.new', options.ready)
        await asyncio.sleep(options.max_seconds)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--ready', required=True)
    p.add_argument('--log', required=True)
    p.add_argument('--steps', type=int, default=20)
    p.add_argument('--command', default='echo step-{k}')
    p.add_argument('--delay', type=float, default=0)
    p.add_argument('--max-seconds', type=float, default=900)
    asyncio.run(serve(p.parse_args()))


if __name__ == '__main__':
    main()
