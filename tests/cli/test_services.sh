#!/bin/sh
# Proves services: a program beside the steps is reached by them and by nobody else, sees what lands, is started again when it
# has gone, ends with its run, and is opened to a person's machine on their word; kill -9 of the engine leaves nothing of it.
# Redis and PostgreSQL as Debian has them, where they are.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
PATH=$BIN:$PATH
cd "$T" || exit 1

# settings TEXT: the crannog's settings, after `servers:` if there is one.
settings() {
  mkdir -p "$CRANNOG" && chmod 700 "$CRANNOG"
  { grep '^servers' "$CRANNOG/crannog.yaml" 2>/dev/null; echo "services:"; cat; } >"$CRANNOG/.new" && mv "$CRANNOG/.new" "$CRANNOG/crannog.yaml"
}
# in_jail FOLDER COMMAND: a step of a run there.
in_jail() { folder=$1; shift; crannog exec --in "$folder" -- sh -c "$*"; }
# fetch PORT PATH: over http, in a jail or here.
cat >fetch.py <<'PY'
import sys, urllib.request
print(urllib.request.urlopen(f'http://localhost:{sys.argv[1]}/{sys.argv[2]}', timeout=20).read().decode(), end='')
PY
# none_left WORD: no process has this word in its command.
none_left() { ! pgrep -f "$1" >/dev/null; }
# answers PORT: whether something listens there on this machine.
answers() { python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 2)" 2>/dev/null; }

mkdir site && cp fetch.py site/ && echo "first" >site/page

# ---- by settings ----

settings <<'YAML'
  web: {run: "exec python3 -u -m http.server 8131 --bind 127.0.0.1", ports: [8131]}
YAML
refuses "a step reaches a service on its localhost" 0 '^first$' in_jail site python3 fetch.py 8131 page
check "this machine does not" sh -c '! python3 -c "import socket; socket.create_connection((\"127.0.0.1\", 8131), 1)" 2>/dev/null'
check "it ended with its run" wait_for none_left 'http.server 813[1]'
check "what it printed is kept" sh -c 'crannog serve log web | grep -q "GET /page"'
refuses "and listed" 0 '^web *8131 .*was stopped with its run' crannog serve ls
check "its end stands in the journal, before the run's" events r1 \
  "[e['type'] for e in v][-2:] == ['service.ended', 'run.ended'] and v[-2]['payload']['by'] == 'run'"
check "its CPU time is counted" events r1 "v[-2]['payload']['cpu_ms'] > 0"

settings <<'YAML'
  web: {run: "echo no such module; exit 7", ports: [8131]}
YAML
refuses "a service that does not come up stops nobody" 0 '^went on$' in_jail site echo went on
refuses "why is told" 0 'ended with status 7' crannog serve ls
refuses "with its words" 0 'no such module' crannog serve log web
settings <<'YAML'
  web: {run: "python3 -m http.server 8131", port: 8131}
YAML
refuses "settings that are wrong" 2 "knows no 'port'" in_jail site true
settings <<'YAML'
  a: {run: x, ports: [80]}
  b: {run: x, ports: [80]}
YAML
refuses "two at one port" 2 'port 80 is that of the service a' in_jail site true

settings <<'YAML'
  low:    {run: "exec python3 -u -m http.server 8132 --bind 127.0.0.1", ports: [8132], in: sub}
  writer: {run: "echo made >made && echo changed >page && cat page && test ! -e ../secret && sleep 100", writes: true}
  reader: {run: "touch page; echo touched $?; cat page; sleep 100"}
YAML
mkdir site/sub && echo below >site/sub/page
refuses "a service in a folder of it" 0 '^below$' in_jail site python3 fetch.py 8132 page
check "one that writes has a copy of its own" sh -c 'test "$(crannog serve log writer)" = changed'
check "that never lands" sh -c 'test "$(cat site/page)" = first && test ! -e site/made'
check "another cannot write" sh -c 'crannog serve log reader | grep -q "^touched 1$"'
check "nor is a layer left" wait_for sh -c 'test -z "$(ls "$CRANNOG/.crannog/layers")"'

settings <<'YAML'
YAML
printf '' >"$CRANNOG/crannog.yaml"

# ---- by an agent ----

serve <<'JSON'
[{"calls": [{"name": "serve", "arguments": {"name": "web", "command": "exec python3 -u -m http.server 8133 --bind 127.0.0.1", "ports": [8133]}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "python3 fetch.py 8133 page >got"}},
            {"name": "serve", "arguments": {"name": "web"}},
            {"name": "serve", "arguments": {"name": "other", "command": "exit 3", "ports": [8134]}},
            {"name": "serve", "arguments": {"name": "web", "stop": true}},
            {"name": "bash", "arguments": {"command": "python3 fetch.py 8133 page || echo refused >gone"}}]},
 {"text": "Done."}]
JSON
check "an agent serves" goal site "serve it" --land step
check "its commands reach it" grep -q '^first$' site/got
check "until it stops it" grep -q '^refused$' site/gone
check "it is told what came of it" entries r4 \
  "(lambda t: 'web is up' in t and 'GET /page' in t and 'other ended with status 3' in t and 'read-only' in t)(json.dumps(v))"

# A watcher sees what lands.
serve <<'JSON'
[{"calls": [{"name": "serve", "arguments": {"name": "watch", "command": "exec python3 -u watch.py"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "sleep 1"}}]},
 {"calls": [{"name": "write", "arguments": {"path": "page", "content": "second\n"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "sleep 1"}}, {"name": "serve", "arguments": {"name": "watch"}}]},
 {"text": "Done."}]
JSON
cat >site/watch.py <<'PY'
import time
last = None
while True:
    text = open('page').read()
    if text != last:
        print('now', text, end='')
        last = text
    time.sleep(0.05)
PY
check "an agent changes what a watcher sees" goal site "watch it" --land step
check "as it landed" sh -c 'crannog serve log watch | tr "\n" " " | grep -q "^\(now first \)*now second $"'
if command -v inotifywait >/dev/null; then
  echo first >site/page
  serve <<'JSON'
[{"calls": [{"name": "serve", "arguments": {"name": "notify", "command": "exec inotifywait -q -m -e moved_to,close_write ."}}]},
 {"calls": [{"name": "write", "arguments": {"path": "page", "content": "third\n"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "sleep 1"}}]},
 {"text": "Done."}]
JSON
  check "inotify too" goal site "notify it" --land step
  check "of the very file" sh -c 'crannog serve log notify | grep -q " page$"'
else
  skip "inotify" "no inotifywait here"
fi

# ---- opened to a person, and killed ----

serve <<'JSON'
[{"calls": [{"name": "serve", "arguments": {"name": "web", "command": "exec python3 -u -m http.server 8135 --bind 127.0.0.1", "ports": [8135]}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "touch begun; sleep 60"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "python3 fetch.py 8135 page >again"}}]},
 {"text": "Done."}]
JSON
crannog run --in site --model box/scripted --yes --land step "open it" >open.out 2>&1 &
engine=$!
is_up() { crannog serve ls | grep -q '^web'; }
wait_for is_up || not_ok "the agent's service is declared"
url=$(crannog serve open web)
port=${url##*:}
check "a person opens it" test -n "$port"
check "and reaches it here" python3 fetch.py "${port:-1}" page
refuses "what is not there cannot be opened" 1 'no service nonesuch' crannog serve open nonesuch
programs=$(pgrep -f 'http.server 813[5]' | wc -l)
check "there it is" test "$programs" -gt 0
kill -9 "$engine"
wait "$engine" 2>/dev/null
check "kill -9 leaves no process of it" wait_for none_left 'http.server 813[5]'
check "and no listener" wait_for sh -c "! python3 -c \"import socket; socket.create_connection(('127.0.0.1', ${port:-1}), 1)\" 2>/dev/null"
refuses "nobody works on it now" 1 'nobody works on' crannog serve open web
serve <<'JSON'
[{"calls": [{"name": "bash", "arguments": {"command": "python3 fetch.py 8135 page >again"}}]},
 {"text": "Done."}]
JSON
check "the run goes on" goal site "open it" --land step
check "with its service, which is started at first use" grep -q . site/again

# ---- databases ----

owner=1000
chmod 755 "$T"
database() { # database NAME: a folder of an ordinary user's, where we are root: postgres refuses that
  mkdir "$1" && if [ "$(id -u)" = 0 ]; then chown $owner:$owner "$1"; fi
}
if command -v redis-server >/dev/null; then
  settings <<'YAML'
  db: {run: "exec redis-server --port 6399 --save '' --dir /tmp", ports: [6399]}
YAML
  database red
  refuses "Redis" 0 'PONG' in_jail red redis-cli -p 6399 ping
else
  skip "Redis" "no redis-server here"
fi
pg=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if [ -n "$pg" ] && command -v psql >/dev/null; then
  settings <<YAML
  db:
    run: "$pg/initdb -D /tmp/data -U me -A trust >/dev/null && exec $pg/postgres -D /tmp/data -k /tmp -p 5499 -c listen_addresses=127.0.0.1"
    ports: [5499]
YAML
  database post
  refuses "PostgreSQL" 0 '^ *42$' in_jail post "psql -h localhost -p 5499 -U me -d postgres -tc 'select 6 * 7'"
else
  skip "PostgreSQL" "none here"
fi
