# agent.sh: what tests of agents share, after lib.sh: a model server that answers from a script.

servers=
end_servers() {
  # shellcheck disable=SC2086
  [ -z "$servers" ] || kill $servers 2>/dev/null
  finish
}
trap end_servers EXIT

# serve: a model server with the script of standard input; the crannog knows it as box/scripted from then on.
serve() {
  n=$((${n-0} + 1))
  cat >"$T/script$n"
  python3 "$ROOT/tests/model/scripted.py" --script "$T/script$n" --ready "$T/ready$n" --log "$T/log$n" --max-seconds 300 &
  servers="$servers $!"
  wait_for test -s "$T/ready$n" || { echo "  no server"; exit 1; }
  mkdir -p "$CRANNOG" && chmod 700 "$CRANNOG"
  echo "servers: {box: \"http://127.0.0.1:$(cat "$T/ready$n")/v1\"}" >"$CRANNOG/crannog.yaml"
}

# goal FOLDER ARGUMENT...: a goal that is worked on there.
goal() {
  folder=$1
  shift
  mkdir -p "$folder"
  crannog run --in "$folder" --model box/scripted --yes "$@"
}

# events RUN PYTHON: whether an expression over its events `v` holds; each is {type, step, attempt, payload}.
events() {
  crannog show "$1" --history --json | python3 -c "import json, sys; v = json.load(sys.stdin)['events']; sys.exit(not ($2))"
}

# entries RUN PYTHON: the same over its story.
entries() {
  crannog show "$1" --json | python3 -c "import json, sys; v = json.load(sys.stdin)['entries']; sys.exit(not ($2))"
}
