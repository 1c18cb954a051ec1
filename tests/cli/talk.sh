# talk.sh: what the tests of a talk at a terminal begin with (`. "$(dirname "$0")/talk.sh"`, behind lib.sh): a home, a work folder
# $T/w, a model server that answers from a script, and terminals in tmux.
PATH=$BIN:$PATH
export HOME="$T/home"
mkdir "$HOME" "$T/w" "$CRANNOG"
socket=$T/tmux0 terminals=0
tm() { tmux -S "$socket" -f /dev/null "$@"; }
server=
end() {
  tm kill-server 2>/dev/null
  [ -z "$server" ] || kill "$server" 2>/dev/null
  finish
}
trap end EXIT

# model: the model server answers from the script on standard input from now on.
model() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
  rm -f "$T/ready" "$T/log"
  cat >"$T/script"
  python3 "$ROOT/tests/model/scripted.py" --script "$T/script" --ready "$T/ready" --log "$T/log" --max-seconds 300 &
  server=$!
  wait_for test -s "$T/ready" || exit 1
  echo "servers: {mock: \"http://127.0.0.1:$(cat "$T/ready")/v1\"}" >"$CRANNOG/crannog.yaml"
}

# start WIDTH HEIGHT ARGUMENT...: the talk on a terminal of its own, after the one before.
LOCALE='LANG=C.UTF-8'
start() {
  size="-x $1 -y $2"
  shift 2
  tm kill-server 2>/dev/null
  terminals=$((terminals + 1)) socket=$T/tmux$terminals # the old server may still be at its end
  # shellcheck disable=SC2086
  tm new-session -d $size "cd '$T/w'; $LOCALE exec '$BIN/crannog' -C '$CRANNOG' $*" \; set-option -g remain-on-exit on
  wait_for shows 'ctx\|mock\|›' || { screen | sed 's/^/  /'; echo "  no screen"; }
}
screen() { tm capture-pane -p -S -200; }
shows() { screen | grep -q -e "$1"; }
keys() { tm send-keys "$@"; }

# sees NAME PATTERN: waits until the screen shows it.
sees() {
  if wait_for shows "$2"; then
    ok "$1"
  else
    screen | sed 's/^/  /'
    not_ok "$1"
  fi
}

# idle: nothing is under way and the box is there.
idle() { ! shows 'Esc stops' && shows '@ file'; }
# asked: lines of the server's log, two a request.
asked() { wc -l <"$T/log" 2>/dev/null || echo 0; }
