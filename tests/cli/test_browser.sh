#!/bin/sh
# Proves that a real Chromium runs inside, on a person's word, with its own sandbox: it shows a page of a server of the same jail, its
# renderers lie in namespaces of their own behind its own filter, one that crashes takes nothing with it, and nothing stays behind.
. "$(dirname "$0")/lib.sh"
command -v chromium >/dev/null || { echo "skip a browser: no chromium"; exit 77; }
command -v python3 >/dev/null || { echo "skip a browser: no python3"; exit 77; }
as=
if [ "$(id -u)" = 0 ]; then # Chromium refuses root; a folder of somebody else's makes root's jails theirs
  BIN=$(reachable)
  as='chown -R 1234:1234'
fi
PATH=$BIN:$PATH
mkdir "$T/w" && cd "$T/w" || exit 1
echo '<title>a</title><p id=p></p><script>p.textContent = "sum " + (40 + 2)</script>' >page.html
cat >look.py <<'PY'
"""What a running browser's renderers look like from the jail: (namespaces of pids, filters) of each."""
import os, sys
seen = []
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            renders = b'--type=renderer' in f.read()
        with open(f'/proc/{pid}/status', encoding='utf-8') as f:
            status = dict(line.split(':', 1) for line in f)
    except OSError:
        continue
    if renders:
        seen.append((len(status['NSpid'].split()), int(status['Seccomp_filters'])))
print(seen)
sys.exit(not (seen and all(namespaces > 1 and filters > 1 for namespaces, filters in seen)))
PY
cat >browse.sh <<'SH'
python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9; do python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8000))' 2>/dev/null && break; sleep 0.2; done
chromium --headless --disable-gpu --user-data-dir=/tmp/one --dump-dom http://127.0.0.1:8000/page.html >dom 2>err || { tail -3 err; exit 1; }
chromium --headless --disable-gpu --user-data-dir=/tmp/two --screenshot=shot.png --window-size=300,200 http://127.0.0.1:8000/page.html 2>/dev/null
chromium --headless --disable-gpu --user-data-dir=/tmp/three --remote-debugging-port=9222 http://127.0.0.1:8000/page.html 2>/dev/null &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.2; python3 look.py >sandbox 2>&1 && break; done
python3 look.py || exit 1
python3 - <<'PY'
import json, time, urllib.request as u
ask = lambda path, method='GET': json.load(u.urlopen(u.Request('http://127.0.0.1:9222/json' + path, method=method), timeout=5))
for page in ('chrome://crash', 'http://127.0.0.1:8000/page.html?second'): ask('/new?' + page, 'PUT')
time.sleep(0.5)
print([p['title'] for p in ask('/list') if 'second' in p['url']])
PY
SH
${as:-true} "$T/w"
check "it shows a page, and its renderers are in a sandbox of its own" crannog exec --browser -- sh browse.sh
check "the page was worked on" grep -q 'sum 42' dom
check "a picture of it landed" sh -c 'head -c 8 shot.png | od -c | grep -q "P   N   G"'
refuses "without the word it does not" 1 '' crannog exec -- sh -c 'chromium --headless --dump-dom about:blank || exit 1'
check "--show-plan tells of it" sh -c 'crannog exec --browser --show-plan -- true | grep -A3 "^walls" | grep "browser"'
echo 'browser: true' >>"$CRANNOG/crannog.yaml"
check "crannog.yaml says it as well" crannog exec -- sh -c 'chromium --headless --disable-gpu --dump-dom file://$PWD/page.html 2>/dev/null | grep "sum 42"'
wait_for sh -c '! pgrep -f "user-data-dir=/tmp/three" >/dev/null'
check "nothing of it is left" sh -c '! pgrep -f "user-data-dir=/tmp/(one|two|three)"'
