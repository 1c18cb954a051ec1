#!/usr/bin/env python3
"""door_machine.py PROGRAM FOLDER: crannog-door where certificates and names are ours: in a mount namespace with a CA and an /etc/hosts of the test.

Proves that a good certificate is taken and the secret sent, and that a strange CA, another name, and an old one are refused before a
byte of the request leaves; that names are asked for by a few threads however many calls there are, and a name that leads to an
address that is never dialled is not dialled, nor one in clear with a secret that leads elsewhere than here.
"""
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rig import Door

PROGRAM, FOLDER = sys.argv[1], sys.argv[2]
CA_FILE = '/etc/ssl/certs/ca-certificates.crt'
SECRET = 'sk-test-9f8e7d6c5b4a39281706'
heard = []


def openssl(*args):
    subprocess.run(['openssl', *args], cwd=FOLDER, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def make_ca(name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', name + '.key', '-out', name + '.pem',
            '-subj', '/CN=' + name, '-days', '2')


def make_server(name, ca, alt, *more):
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', name + '.key', '-out', name + '.csr', '-subj', '/CN=x')
    with open(f'{FOLDER}/{name}.ext', 'w') as file:
        file.write('subjectAltName=' + alt)
    openssl('x509', '-req', '-in', name + '.csr', '-CA', ca + '.pem', '-CAkey', ca + '.key', '-CAcreateserial', '-out', name + '.pem', '-extfile',
            name + '.ext', *(more or ('-days', '2')))


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        heard.append(self.headers.get('authorization'))
        body = b'{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Quiet(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 1024

    def handle_error(self, *_):
        pass


def serve(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{FOLDER}/{name}.pem', f'{FOLDER}/{name}.key')
    server = Quiet(('127.0.0.1', 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'https://127.0.0.1:{server.server_port}/v1'


def check(name, base, kind):
    d = Door(PROGRAM, [('K', SECRET, base)])
    heard.clear()
    a = d.answer(d.ask(base, secret='K'))
    d.close()
    good = a['fault'] == kind and heard == (['Bearer ' + SECRET] if kind == 'none' else []) and a['SENT'] == (kind == 'none')
    print(f'{"ok" if good else "not ok"} tls: {name}' + ('' if good else f'\n  {a} {heard}'), flush=True)
    return good


def names():
    d = Door(PROGRAM, [('K', SECRET, 'http://far.test')])
    base = plain().replace('127.0.0.1', 'near.test')
    ids = {d.ask(base) for _ in range(100)}
    answers = []
    while len(answers) < 100:
        f = d.receive()
        answers += [f] if f['type'] == 'ANSWERED' else []
    with open(f'/proc/{d.child.pid}/status') as file:
        threads = int(file.read().split('Threads:')[1].split()[0])
    good = all(f['FAULT'] == 0 for f in answers) and {f['id'] for f in answers} == ids and threads <= 5
    print(f'{"ok" if good else "not ok"} names: 100 calls to one name, {threads} threads' + ('' if good else f'\n  {answers[0]}'), flush=True)
    for host, secret, kind, words in (('meta.test', '', 'no_model', 'never dialled'), ('far.test', 'K', 'auth', 'https'),
                                      ('nowhere.test', '', 'no_model server timeout', 'nowhere.test')):
        a = d.answer(d.ask(f'http://{host}', secret=secret, CONNECT_MS=5000))
        fine = a['fault'] in kind.split() and a['SENT'] == 0 and words in a['TEXT']
        print(f'{"ok" if fine else "not ok"} names: {host}' + ('' if fine else f'\n  {a}'), flush=True)
        good = good and fine
    d.close()
    return good


def inside():
    with open(FOLDER + '/hosts', 'w') as file:
        file.write('127.0.0.1 localhost near.test\n169.254.169.254 meta.test\n192.0.2.1 far.test\n')
    subprocess.run(['mount', '--bind', f'{FOLDER}/ours.pem', CA_FILE], check=True)
    subprocess.run(['mount', '--bind', FOLDER + '/hosts', '/etc/hosts'], check=True)
    good = [check('a good certificate', serve('good'), 'none'), check('of a strange CA', serve('strange'), 'no_model'),
            check('for another name', serve('other'), 'no_model'), check('that is over', serve('old'), 'no_model'),
            check('plain http where TLS is meant', 'https' + plain()[4:], 'server'), names()]
    sys.exit(not all(good))


def plain():
    server = Quiet(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}/v1'


def main():
    if len(sys.argv) > 3:
        inside()
    for ca in ('ours', 'strange-ca'):
        make_ca(ca)
    make_server('good', 'ours', 'IP:127.0.0.1')
    make_server('strange', 'strange-ca', 'IP:127.0.0.1')
    make_server('other', 'ours', 'DNS:other.example')
    make_server('old', 'ours', 'IP:127.0.0.1', '-days', '-1')
    walls = ['unshare', *([] if os.getuid() == 0 else ['-Ur']), '-m']
    if subprocess.run([*walls, 'true'], check=False, stderr=subprocess.DEVNULL).returncode:
        print('skip tls (no mount namespace can be made here)')
        return
    sys.exit(subprocess.run([*walls, sys.executable, '-B', __file__, PROGRAM, FOLDER, 'inside'], check=False).returncode)


main()
