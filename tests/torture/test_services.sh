#!/bin/sh
# Kills an agent with services by SIGKILL at moments around their start, their stop and their death, goes on each time with
# the same words, and looks after each: no process of them is left, no listener of this machine, and in the end no layer of theirs, each
# call has one finish that went well, and the journal holds. KILLS says how often (5).
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/../cli/agent.sh"
PATH=$BIN:$PATH
export PATH
cd "$T" || exit 1
mark="service-of-$$"
mkdir site && echo page >site/page

serve <<JSON
[{"calls": [{"name": "serve", "arguments": {"name": "web", "command": "exec python3 -u -m http.server 8141 --bind 127.0.0.1 -d . # $mark", "ports": [8141], "writes": true}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "echo 1 >>log; sleep 0.4"}}]},
 {"calls": [{"name": "serve", "arguments": {"name": "side", "command": "while :; do sleep 0.1; done # $mark"}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "echo 2 >>log; sleep 0.4"}}]},
 {"calls": [{"name": "serve", "arguments": {"name": "web", "stop": true}}]},
 {"calls": [{"name": "bash", "arguments": {"command": "echo 3 >>log; sleep 0.2"}}]},
 {"text": "Done."}]
JSON
work() { exec crannog run --in site --model box/scripted --yes --land step "serve and be killed"; }
gone() { ! pgrep -f "$mark" >/dev/null && ! pgrep -f 'http.server 814[1]' >/dev/null; }

ended=0
for i in $(seq "${KILLS-5}"); do
  work >"out$i" 2>&1 &
  engine=$!
  sleep "$(python3 -c "import random; print(random.Random($i).uniform(0.2, 2.0))")"
  [ "$i" != 3 ] || crannog serve open web >/dev/null 2>&1
  kill -9 "$engine" 2>/dev/null
  wait "$engine" 2>/dev/null && ended=1
  check "nothing runs after death $i" wait_for gone
  [ "$ended" = 0 ] || break
done
# Three deaths in one step are a question.
to_the_end() { (work) || { crannog answer r1 retry && (work); }; }
[ "$ended" = 1 ] || check "it goes on to its end" to_the_end
check "each command counted once" sh -c 'test "$(tr -d "\n" <site/log)" = 123'
check "each call has one good finish" events r1 \
  "len([1 for e in v if e['type'] == 'step.finished' and e['payload']['outcome'] == 'ok' and 'turn' in e['payload']['result'] and 'ok' in e['payload']['result']]) == 6"
check "nothing runs at the end" wait_for gone
# What an undo needs stays; their own are named as attempts past a million.
check "no layer of theirs is left" wait_for sh -c '! ls "$CRANNOG/.crannog/layers" | grep -q -e "-10[0-9]\{5\}$"'
check "the journal holds" sh -c 'crannog doctor --audit | grep -q "ok  *audit"'
