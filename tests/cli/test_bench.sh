#!/bin/sh
# Proves that the benches of the journal, of a turn, of the jail, of landings and of agents still do what they measure: they
# feed the store and the engine by hand, so what these come to demand can break them unseen. What they print here is no figure.
. "$(dirname "$0")/lib.sh"
bench=$BIN/../bench
check "a turn" "$bench/bench-turn" "$T/turn" 3
check "the journal" "$bench/bench-journal" "$T" 5
check "the jail" "$bench/jail_bench" "$BIN/crannog-jail" "$T/jail" 3
check "landings" "$bench/bench-landing" "$T/landing" 10
check "a start" "$bench/bench-start" 3 "$BIN/crannog --version" /bin/true
mkdir "$T/beside" && cp "$bench/bench-waiting" "$BIN/crannog-door" "$BIN/crannog-jail" "$BIN/crannog-infer" "$T/beside"
check "agents that wait" "$T/beside/bench-waiting" "$T/waiting" 3
