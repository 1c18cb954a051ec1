#!/usr/bin/env python3
"""scripted.py: a model server that answers from a script. For tests; on the loopback only; nothing but Python's library.

    scripted.py --script FILE.json --ready FILE [--log FILE.jsonl] [--port 0] [--max-seconds 600] [--models A,B] [--key KEY]

It speaks both formats, streamed and in one piece, as the request says: POST …/chat/completions and POST …/messages (with or
without /v1), and GET …/models. The port is written to --ready once it listens. It runs until it is killed, or --max-seconds.
With --key, GET …/models without that key is answered by 401.

The script is a list of replies, given in the order of the requests. Beyond it, the answer is an error 500, "script is over".
{"loop": true} as the last one repeats the one before for ever. A reply:

    text, reasoning    what the model says
    calls              [{"name": "bash", "arguments": {…} or "raw text", "id": optional}]
    side_by_side       true: arguments of parallel calls are told a piece of each in turn (Chat Completions)
    stop               "end" | "calls" | "length" | "refused", or the format's own word; by default what the calls say
    usage              {"input": N, "output": N, "cache_read": N, "cache_write": N, "reasoning": N}; input is the whole prompt
    model              the name that the server gives itself
    chunk              bytes (characters) of each delta; by default 16
    delay_ms           before the first byte of the answer; chunk_delay_ms between deltas; split: bytes of each write
    status, error      an error answer: status, words; "type" its type; retry_after, retry_after_ms: the headers
    headers            {"name": "value"} more of them
    raw                these bytes are the whole body, as they are ("content_type" beside it)
    echo               "authorization" | "x-api-key": the request's header is said in the text (or the error) in place of {}
    fault              one of FAULTS below
    when               taken out of order, and never otherwise: if the last user or tool text has this in it (first match wins);
                       used once, unless "again": true
    expect             {"contains": "…"} or {"lacks": "…"}: checked against the request's JSON; not met: error 500 saying so

Each request is one line of the log: n, time_ns (CLOCK_REALTIME), path, method, headers (lower case), bytes, body, reply (its index),
connection; and one line when its answer is over: n, sent_ns, whole. `time_ns` of the next minus `sent_ns` is a gap.
"""
import argparse
import itertools
import json
import os
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = {
    'cut': 'the connection closes in the middle of the stream',
    'garbage': 'bytes that are no JSON',
    'html': 'a page with status 200',
    'other_format': 'the answer is in the other format',
    'stall': 'half of the answer, then nothing for stall_ms (by default 60,000)',
    'malformed_arguments': 'the arguments of calls are cut JSON, the answer is whole',
    'slow_header': 'the header comes a byte at a time, header_ms apart',
    'huge': 'huge_bytes of text (by default 4 MiB)',
    'no_usage': 'usage is not said',
    'wrong_type': 'fields have other types than the format says',
    'empty': 'status 200 and no body',
    'redirect': 'status 302 to "location"',
    'headers_huge': 'a megabyte of headers',
    'no_done': 'the stream ends without its last event',
}


ERROR_TYPES = {400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error',
               413: 'request_too_large', 429: 'rate_limit_error', 529: 'overloaded_error'}


class Script:
    """The replies, and which are left. One lock: requests come from many threads."""

    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            replies = json.load(file)
        self.loop = bool(replies) and replies[-1].get('loop') is True and len(replies[-1]) == 1
        if self.loop:
            replies.pop()
        self.replies = list(enumerate(replies))
        self.ordered = [row for row in self.replies if 'when' not in row[1]]
        self.matched = [row for row in self.replies if 'when' in row[1]]
        self.lock = threading.Lock()

    def take(self, body):
        """(index, reply) for a request's JSON; index -1: the script is over."""
        last = last_text(body)
        with self.lock:
            for row in self.matched:
                if row[1]['when'] in last:
                    if not row[1].get('again'):
                        self.matched.remove(row)
                    return row
            if not self.ordered:
                return -1, {'status': 500, 'error': 'script is over'}
            if self.loop and len(self.ordered) == 1:
                return self.ordered[0]
            return self.ordered.pop(0)


def texts(content):
    """All text in a message's content, in either format."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return '\n'.join(texts(part) for part in content)
    if isinstance(content, dict):
        return texts(content.get('text', content.get('content', '')))
    return ''


def last_text(body):
    """The text of the last message that a user or a tool said."""
    messages = body.get('messages') if isinstance(body, dict) else None
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get('role') in ('user', 'tool'):
            return texts(message.get('content'))
    return ''


def pieces(text, size):
    return [text[at:at + size] for at in range(0, len(text), size)] or ([''] if text == '' else [])


def arguments_of(call, reply):
    arguments = call.get('arguments', {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return text[:-1] + ', "cut' if reply.get('fault') == 'malformed_arguments' else text


# --- Chat Completions ------------------------------------------------------------------------------------------------

OPENAI_STOP = {'end': 'stop', 'calls': 'tool_calls', 'length': 'length', 'refused': 'content_filter'}


def openai_usage(reply):
    u = reply.get('usage', {})
    prompt, output = u.get('input', 10), u.get('output', 5)
    return {'prompt_tokens': prompt, 'completion_tokens': output, 'total_tokens': prompt + output,
            'prompt_tokens_details': {'cached_tokens': u.get('cache_read', 0)},
            'completion_tokens_details': {'reasoning_tokens': u.get('reasoning', 0)}}


def openai_stop(reply):
    stop = reply.get('stop', 'calls' if reply.get('calls') else 'end')
    return OPENAI_STOP.get(stop, stop)


def openai_calls(reply):
    return [{'id': call.get('id', f'call_{i + 1}'), 'type': 'function',
             'function': {'name': call['name'], 'arguments': arguments_of(call, reply)}}
            for i, call in enumerate(reply.get('calls', []))]


def openai_whole(reply, model):
    message = {'role': 'assistant', 'content': reply.get('text')}
    if reply.get('reasoning'):
        message['reasoning_content'] = reply['reasoning']
    if reply.get('calls'):
        message['tool_calls'] = openai_calls(reply)
    answer = {'id': 'chatcmpl-1', 'object': 'chat.completion', 'created': 1, 'model': model,
              'choices': [{'index': 0, 'message': message, 'finish_reason': openai_stop(reply)}]}
    if reply.get('fault') == 'wrong_type':
        message['content'] = 17
    if reply.get('fault') != 'no_usage':
        answer['usage'] = openai_usage(reply)
    return answer


def openai_events(reply, model):
    """The events of a stream as (name, data)."""
    size = reply.get('chunk', 16)

    def event(delta, finish=None, **more):
        return None, {'id': 'chatcmpl-1', 'object': 'chat.completion.chunk', 'created': 1, 'model': model,
                      'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}], **more}
    yield event({'role': 'assistant', 'content': ''})
    for piece in pieces(reply.get('reasoning') or '', size):
        if piece:
            yield event({'reasoning_content': piece})
    for piece in pieces(reply.get('text') or '', size):
        if piece:
            yield event({'content': 17 if reply.get('fault') == 'wrong_type' else piece})
    calls = openai_calls(reply)
    begin = [event({'tool_calls': [{'index': i, 'id': call['id'], 'type': 'function',
                                    'function': {'name': call['function']['name'], 'arguments': ''}}]}) for i, call in enumerate(calls)]
    told = [[event({'tool_calls': [{'index': i, 'function': {'arguments': piece}}]})
             for piece in pieces(call['function']['arguments'], size)] for i, call in enumerate(calls)]
    if reply.get('side_by_side'):
        yield from begin
        for turn in itertools.zip_longest(*told):
            yield from filter(None, turn)
    else:
        for first, rest in zip(begin, told):
            yield first
            yield from rest
    yield event({}, openai_stop(reply))
    if reply.get('fault') != 'no_usage':
        yield None, {'id': 'chatcmpl-1', 'object': 'chat.completion.chunk', 'created': 1, 'model': model, 'choices': [],
                     'usage': openai_usage(reply)}
    if reply.get('fault') != 'no_done':
        yield None, '[DONE]'


# --- Messages --------------------------------------------------------------------------------------------------------

ANTHROPIC_STOP = {'end': 'end_turn', 'calls': 'tool_use', 'length': 'max_tokens', 'refused': 'refusal'}


def anthropic_usage(reply):
    u = reply.get('usage', {})
    read, write = u.get('cache_read', 0), u.get('cache_write', 0)
    return {'input_tokens': max(0, u.get('input', 10) - read - write), 'cache_read_input_tokens': read,
            'cache_creation_input_tokens': write, 'output_tokens': u.get('output', 5)}


def anthropic_blocks(reply):
    blocks = []
    if reply.get('reasoning'):
        blocks.append({'type': 'thinking', 'thinking': reply['reasoning'], 'signature': 'c2lnbmF0dXJl'})
    if reply.get('text'):
        blocks.append({'type': 'text', 'text': 17 if reply.get('fault') == 'wrong_type' else reply['text']})
    for i, call in enumerate(reply.get('calls', [])):
        arguments = call.get('arguments', {})
        blocks.append({'type': 'tool_use', 'id': call.get('id', f'toolu_{i + 1}'), 'name': call['name'],
                       'input': arguments if isinstance(arguments, dict) else {}, 'raw': arguments_of(call, reply)})
    return blocks


def anthropic_stop(reply):
    stop = reply.get('stop', 'calls' if reply.get('calls') else 'end')
    return ANTHROPIC_STOP.get(stop, stop)


def anthropic_whole(reply, model):
    answer = {'id': 'msg_1', 'type': 'message', 'role': 'assistant', 'model': model,
              'content': [{key: value for key, value in block.items() if key != 'raw'} for block in anthropic_blocks(reply)],
              'stop_reason': anthropic_stop(reply), 'stop_sequence': None}
    if reply.get('fault') != 'no_usage':
        answer['usage'] = anthropic_usage(reply)
    return answer


def anthropic_deltas(block, size):
    kind = block['type']
    if kind == 'tool_use':
        for piece in pieces(block['raw'], size):
            yield {'type': 'input_json_delta', 'partial_json': piece}
    elif kind == 'thinking':
        for piece in pieces(block['thinking'], size):
            yield {'type': 'thinking_delta', 'thinking': piece}
        yield {'type': 'signature_delta', 'signature': block['signature']}
    elif isinstance(block['text'], str):
        for piece in pieces(block['text'], size):
            yield {'type': 'text_delta', 'text': piece}
    else:
        yield {'type': 'text_delta', 'text': block['text']}


def anthropic_events(reply, model):
    usage = {} if reply.get('fault') == 'no_usage' else anthropic_usage(reply)
    start = dict(usage, output_tokens=1) if usage else {}
    yield 'message_start', {'type': 'message_start', 'message': {
        'id': 'msg_1', 'type': 'message', 'role': 'assistant', 'model': model, 'content': [], 'stop_reason': None,
        **({'usage': start} if start else {})}}
    yield 'ping', {'type': 'ping'}
    for i, block in enumerate(anthropic_blocks(reply)):
        empty = {'tool_use': {'type': 'tool_use', 'id': block.get('id'), 'name': block.get('name'), 'input': {}},
                 'thinking': {'type': 'thinking', 'thinking': '', 'signature': ''},
                 'text': {'type': 'text', 'text': ''}}[block['type']]
        yield 'content_block_start', {'type': 'content_block_start', 'index': i, 'content_block': empty}
        for delta in anthropic_deltas(block, reply.get('chunk', 16)):
            yield 'content_block_delta', {'type': 'content_block_delta', 'index': i, 'delta': delta}
        yield 'content_block_stop', {'type': 'content_block_stop', 'index': i}
    last = {'type': 'message_delta', 'delta': {'stop_reason': anthropic_stop(reply), 'stop_sequence': None}}
    if usage:
        last['usage'] = {'output_tokens': usage['output_tokens']}
    yield 'message_delta', last
    if reply.get('fault') != 'no_done':
        yield 'message_stop', {'type': 'message_stop'}


def event_bytes(name, data):
    text = data if isinstance(data, str) else json.dumps(data)
    return ((f'event: {name}\n' if name else '') + f'data: {text}\n\n').encode()


# --- the server ------------------------------------------------------------------------------------------------------

class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server_version = 'scripted'
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        n = self.server.log_request_line(self, b'', None, -1)
        given = (self.headers.get('x-api-key') or '', (self.headers.get('authorization') or '').removeprefix('Bearer '))
        if self.server.key and self.server.key not in given:
            self.whole(401, {'error': {'message': 'invalid key', 'type': 'authentication_error'}})
        elif self.path.split('?')[0].rstrip('/').endswith('/models'):
            self.whole(200, {'object': 'list', 'data': [{'id': name, 'object': 'model'} for name in self.server.models]})
        else:
            self.whole(404, {'error': {'message': 'no such address', 'type': 'not_found_error'}})
        self.server.log_sent(n, True)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get('content-length') or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        path = self.path.split('?')[0].rstrip('/')
        self.anthropic = path.endswith('/messages')
        if not self.anthropic and not path.endswith('/chat/completions'):
            index, reply = -1, {'status': 404, 'error': 'no such address'}
        elif not isinstance(body, dict):
            index, reply = -1, {'status': 400, 'error': 'the request is no JSON object'}
        else:
            index, reply = self.server.script.take(body)
            reply = self.expected(reply, body)
        n = self.server.log_request_line(self, raw, body, index)
        whole = False
        try:
            self.play(self.echoed(reply), body if isinstance(body, dict) else {})
            whole = True
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        self.server.log_sent(n, whole)

    @staticmethod
    def expected(reply, body):
        expect, text = reply.get('expect', {}), json.dumps(body, ensure_ascii=False)
        if expect.get('contains', '') not in text:
            return {'status': 500, 'error': f'the request lacks {expect["contains"]!r}'}
        if 'lacks' in expect and expect['lacks'] in text:
            return {'status': 500, 'error': f'the request has {expect["lacks"]!r}'}
        return reply

    def echoed(self, reply):
        if 'echo' not in reply:
            return reply
        said = self.headers.get(reply['echo']) or 'nothing'
        return {key: value.replace('{}', said) if isinstance(value, str) else value for key, value in reply.items()}

    def play(self, reply, body):
        time.sleep(reply.get('delay_ms', 0) / 1000)
        fault, status = reply.get('fault'), reply.get('status', 200)
        model = reply.get('model', str(body.get('model', 'scripted')))
        if fault == 'other_format':
            self.anthropic = not self.anthropic
        if fault == 'huge':
            reply = dict(reply, text='x' * reply.get('huge_bytes', 4 << 20), chunk=32768)
        if 'raw' in reply:
            self.send(status, reply['raw'].encode(), reply.get('content_type', 'text/event-stream'), reply)
        elif fault == 'garbage':
            self.send(status, b'\x00\x01 this is { no JSON ]\xff\xfe', 'application/json', reply)
        elif fault == 'html':
            self.send(status, b'<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>', 'text/html', reply)
        elif fault == 'empty':
            self.send(status, b'', 'application/json', reply)
        elif fault == 'redirect':
            self.send(302, b'moved', 'text/plain', dict(reply, headers={'location': reply.get('location', 'http://127.0.0.1:1/')}))
        elif fault == 'headers_huge':
            self.send(200, b'{}', 'application/json', dict(reply, headers={f'x-{i}': 'y' * 8000 for i in range(130)}))
        elif status >= 400:
            self.send(status, json.dumps(self.error_of(reply, status)).encode(), 'application/json', reply)
        elif body.get('stream') is True:
            self.stream(reply, model)
        else:
            answer = anthropic_whole(reply, model) if self.anthropic else openai_whole(reply, model)
            self.send(status, json.dumps(answer).encode(), 'application/json', reply)

    def error_of(self, reply, status):
        words = reply.get('error', 'something is wrong')
        kind = reply.get('type', ERROR_TYPES.get(status, 'api_error'))
        return {'type': 'error', 'error': {'type': kind, 'message': words}} if self.anthropic else \
            {'error': {'message': words, 'type': kind, 'code': None}}

    def head(self, status, kind, reply, length):
        self.send_response(status)
        self.send_header('content-type', kind)
        for key in ('retry_after', 'retry_after_ms'):
            if key in reply:
                self.send_header(key.replace('_', '-'), str(reply[key]))
        for name, value in reply.get('headers', {}).items():
            self.send_header(name, value)
        self.send_header(*(('transfer-encoding', 'chunked') if length is None else ('content-length', str(length))))
        if reply.get('fault') == 'slow_header':
            slowly = b''.join(self._headers_buffer) + b'\r\n'
            self._headers_buffer = []
            for at in range(len(slowly)):
                self.wfile.write(slowly[at:at + 1])
                time.sleep(reply.get('header_ms', 5) / 1000)
        else:
            self.end_headers()

    def send(self, status, body, kind, reply):
        self.head(status, kind, reply, len(body))
        self.wfile.write(body)

    def whole(self, status, answer):
        self.send(status, json.dumps(answer).encode(), 'application/json', {})

    def chunk(self, data):
        self.wfile.write(b'%x\r\n%s\r\n' % (len(data), data))

    def say(self, data, split):
        for at in range(0, len(data), split or len(data)):
            self.chunk(data[at:at + (split or len(data))])

    def stream(self, reply, model):
        events = list((anthropic_events if self.anthropic else openai_events)(reply, model))
        fault, split = reply.get('fault'), reply.get('split')
        self.head(200, 'text/event-stream', reply, None)
        for i, (name, data) in enumerate(events):
            if i:
                time.sleep(reply.get('chunk_delay_ms', 0) / 1000)
            if i == len(events) // 2 and fault == 'stall':
                time.sleep(reply.get('stall_ms', 60000) / 1000)
            if i == len(events) // 2 and fault == 'cut':
                self.chunk(event_bytes(name, data)[:-7])
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                raise BrokenPipeError
            self.say(event_bytes(name, data), split)
        self.wfile.write(b'0\r\n\r\n')


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, port, script, log, models, key=None):
        super().__init__(('127.0.0.1', port), Handler)
        self.script, self.models, self.key = script, models, key
        self.file = open(log, 'a', encoding='utf-8', buffering=1) if log else None
        self.lock, self.count = threading.Lock(), 0

    def server_bind(self):
        # As HTTPServer does, but without asking for the name of the address.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = 'localhost', self.server_address[1]

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def write(self, row):
        with self.lock:
            if self.file:
                self.file.write(json.dumps(row) + '\n')

    def log_request_line(self, handler, raw, body, reply):
        with self.lock:
            n = self.count
            self.count += 1
        self.write({'n': n, 'time_ns': time.time_ns(), 'method': handler.command, 'path': handler.path,
                    'headers': {name.lower(): value for name, value in handler.headers.items()}, 'bytes': len(raw), 'body': body,
                    'reply': reply, 'connection': handler.client_address[1]})
        return n

    def log_sent(self, n, whole):
        self.write({'n': n, 'sent_ns': time.time_ns(), 'whole': whole})


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--script', required=True)
    p.add_argument('--log')
    p.add_argument('--ready', required=True)
    p.add_argument('--port', type=int, default=0)
    p.add_argument('--max-seconds', type=float, default=600)
    p.add_argument('--models', default='scripted', help='names for GET /models, with commas')
    p.add_argument('--key', help='the one that GET /models wants')
    args = p.parse_args()
    threading.stack_size(256 * 1024)
    server = Server(args.port, Script(args.script), args.log, [name for name in args.models.split(',') if name],
                    args.key)
    end = threading.Timer(args.max_seconds, lambda: os._exit(0))
    end.daemon = True
    end.start()
    with open(args.ready + '.new', 'w', encoding='utf-8') as file:
        file.write(str(server.server_port))
    os.rename(args.ready + '.new', args.ready)
    server.serve_forever(poll_interval=60)


if __name__ == '__main__':
    main()
