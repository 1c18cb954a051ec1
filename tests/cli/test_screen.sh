#!/bin/sh
# Proves of the talking terminal in a real one (tmux), with a made-up agent: at 20, 80 and 200 columns what was said stays
# in the scrollback once and in order, the live area is the last of the screen and as wide as the terminal; typing,
# queueing, stopping, choosing, a change of width; nothing that a model writes is carried out; NO_COLOR, no UTF-8,
# TERM=dumb, pipes; the terminal is as it was at the end, and after a signal.
. "$(dirname "$0")/lib.sh"
DEMO=$(dirname "$BIN")/tests/screen-demo
[ -x "$DEMO" ] || { echo "  no $DEMO"; exit 77; }
command -v tmux >/dev/null || { echo "  no tmux"; exit 77; }
export LC_ALL=C.UTF-8
export TMUX_SOCKET="$T/tmux0"
tm() { tmux -f /dev/null -S "$TMUX_SOCKET" "$@"; }
trap 'tm kill-server 2>/dev/null; finish' EXIT

# begin COLUMNS ROWS [VARIABLE=VALUE...]: a shell in a terminal of that size, and the demo in it.
begin() {
  columns=$1 rows=$2
  shift 2
  tm kill-server 2>/dev/null
  TMUX_SOCKET=${TMUX_SOCKET}0 # a new one: the old server is still about to end
  tm new-session -d -x "$columns" -y "$rows" "env PS1='\$ ' TERM=tmux-256color DEMO_HISTORY=$T/history $* sh"
  tm send-keys "sh -c 'echo \$\$ >$T/pid; exec $DEMO --fast'" Enter
  wait_for sh -c "tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -q 'crannog 0.1'"
}
type() { tm send-keys -l "$1"; }
key() { tm send-keys "$@"; }
screen() { tm capture-pane -p "$@" | sed 's/ *$//'; }
all() { screen -S -2000; }
# shows TEXT: once the screen shows it.
shows() { wait_for sh -c "tmux -S \"\$TMUX_SOCKET\" capture-pane -p -S -2000 | grep -q -- '$1'"; }
shows_not() { wait_for sh -c "! tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -q -- '$1'"; }
once() { [ "$(all | grep -c -e "$1")" = 1 ]; }
in_order() {
  all | awk -v want="$*" 'BEGIN { n = split(want, w, "|"); i = 1 } i <= n && index($0, w[i]) { i++ } END { exit i <= n }'
}
# Each row of the screen, in columns.
no_wider() { [ "$(all | wc -L)" -le "$1" ]; }

for columns in 20 80 200; do
  begin $columns 24
  type 'fix the flaky test'
  key Enter
  check "$columns columns: it ends" shows 'reads first' && wait_for sh -c "! tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -q writing"
  check "$columns columns: in order" in_order 'fix the flaky|thought for|read|bash|1 of 20 failed|The race|I take the|edit|bash|All twenty|size_t n|race found|───|›'
  for text in 'fix the flaky' '1 of 20 failed' 'I take the' 'All twenty' 'race found' '^›'; do
    check "$columns columns: once: $text" once "$text"
  done
  check "$columns columns: no row is wider" no_wider $columns
  check "$columns columns: figures" sh -c "tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -q '[$]0.0'"
  check "$columns columns: one rule" sh -c "[ \$(tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -c '^──') = 1 ]"
done
check "a table stands in columns" sh -c "tmux -S \"\$TMUX_SOCKET\" capture-pane -p -S -2000 | grep -q '^lock first │     2 │ none that I see'"
check "colours" sh -c "tmux -S \"\$TMUX_SOCKET\" capture-pane -p -e | grep -q '\\[3'"

begin 80 24
type 'one'
key M-Enter # nothing runs: it is said at once
type 'first'
key M-Enter
type 'second'
key M-Enter
check "what waits is shown" shows '^↳ first'
key M-Up
check "the last comes back" shows '^› second'
key C-u
key Escape
check "Esc stops" shows '^stopped'
key Escape
check "Esc Esc undoes" shows 'the last turn is undone'
type '/pi'
check "commands are completed" shows 'choose a model'
key Tab Enter
check "a list to choose from" shows '▸ qwen3:8b'
type 'kim'
check "it is filtered" shows '▸ kimi-k2'
key Enter
check "it is chosen" shows '^kimi-k2 '
check "the list is gone" shows_not 'OpenRouter'
type '/ask'
key Enter
check "a question" shows 'Fetch https://example.org?'
key Down Enter
check "its answer" shows '^no$'
type '@REA'
key Tab
check "files are completed" shows '^› @README.md'
key C-u
key C-r
type 'one'
check "history is searched" shows '^search one  one'
key Escape
tm send-keys -l "$(printf 'a\\')"
key Enter
type 'b'
check "a line is added" shows '^  b$'
key C-c
tm set-buffer "$(seq 100)"
tm paste-buffer -p
check "a paste is one character" shows '^› \[pasted 100 lines #1\]'
key C-c
tm resize-window -x 50 -y 20
check "another width" sh -c "sleep 0.3; tmux -S \"\$TMUX_SOCKET\" capture-pane -p | grep -q '^──────────────────────────────────────────────────\$'"
type '/hostile'
key Enter
check "nothing hostile is carried out" shows 'clear␛\[2J title␛\]0;owned␇'
check "nor C1, bidi" shows 'x9b2J bidi'
type '/quit'
key Enter
type 'stty -a | grep -c -e -icanon; echo done'
key Enter
check "the terminal is as it was" shows '^0$'
check "history is kept" grep -q '^/hostile' "$T/history"
check "for its owner only" sh -c "[ \$(stat -c %a '$T/history') = 600 ]"

begin 80 24
kill -TERM "$(cat "$T/pid")"
wait_for sh -c "! kill -0 $(cat "$T/pid")"
type 'stty -a | grep -c -e -icanon; echo done'
key Enter
check "a signal leaves the terminal as it was" shows '^0$'

begin 80 24 NO_COLOR=1
check "NO_COLOR" sh -c "! tmux -S \"\$TMUX_SOCKET\" capture-pane -p -e | grep -q '\\[[0-9;]*m'"
begin 80 24 LC_ALL=C
type 'go'
key Enter
check "no UTF-8: it ends" shows 'It reads'
check "no UTF-8: ASCII only" sh -c "! tmux -S \"\$TMUX_SOCKET\" capture-pane -p -S -2000 | LC_ALL=C grep -q '[^ -~]'"
begin 80 24 TERM=dumb
type 'go'
key Enter
check "TERM=dumb: plain lines" shows 'It reads'
check "TERM=dumb: no live area" shows_not '───'
printf 'go\n' | timeout 20 "$DEMO" --fast >"$T/out" 2>&1
check "pipes: no escapes" sh -c "grep -q '^> go' '$T/out' || grep -q 'go' '$T/out'; ! grep -q \"\$(printf '\\033')\" '$T/out'"
