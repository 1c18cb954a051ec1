#!/bin/sh
# Proves that wrong usage is answered with one clear line and exit code 2, that every command explains itself, that the
# crannog is found by -C, then $CRANNOG, then HOME, and that output which is lost is a failure.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
esc=$(printf '\033')

for command in run ls show answer stop serve spend login exec init model doctor; do
  helps() { crannog "$1" --help | { read -r first; echo "$first" | grep -q "^usage: crannog $1" && grep -q '^ *crannog.*'"$1"; }; }
  check "$command --help shows usage and an example" helps $command
  refuses "$command names an unknown option" 2 'no option --nonesuch' crannog $command --nonesuch
  case $command in # these take any word or none
  run | exec | show | answer | stop | serve | spend | login | model) ;;
  *) refuses "$command takes no arguments" 2 'takes no arguments' crannog $command extra ;;
  esac
done
check "help COMMAND" sh -c 'crannog help run | grep -q "^usage: crannog run"'
check "--version" sh -c 'crannog --version | grep -q "^crannog [0-9]"'
refuses "no command" 2 "talk here, now" crannog
refuses "an unknown command" 2 "no command 'nonesuch'; .crannog --help" crannog nonesuch
refuses "a value that is missing" 2 '--in wants a value' crannog run --in
refuses "run without a plan" 2 'which plan' crannog run
refuses "two plans" 2 'one plan at a time' crannog run a b
refuses "a run that is none" 2 'not the name of a run' sh -c 'crannog init; crannog show nonesuch'
refuses "a run that is not there" 1 'no run r9; .crannog ls' crannog show r9
refuses "no runs yet" 1 'no runs yet' crannog show

# Names from outside do not steer the terminal.
hostile=$(printf 'x\033[31m\007y')
for command in "$hostile" "run $hostile" "show $hostile" "answer $hostile keep" "model get $hostile" "login $hostile" "login --use $hostile" "login --base $hostile x" "spend set $hostile 5" "--$hostile"; do
  name="no control characters: crannog $(echo "$command" | tr -d '\033\007')"
  # shellcheck disable=SC2086
  if crannog $command 2>&1 | grep -q "[$esc$(printf '\007')]"; then not_ok "$name"; else ok "$name"; fi
done

# Which crannog.
mkdir "$T/home" "$T/a"
check "-C makes and finds" crannog -C "$T/a/one" init
check "-C may be relative" sh -c 'cd "$1/a" && crannog -C one ls' sh "$T"
check "HOME/.crannog is the default" env -u CRANNOG HOME="$T/home" "$BIN/crannog" init
check "it lies there" test -f "$T/home/.crannog/crannog.yaml"
refuses "no HOME" 2 'no HOME is set; name your crannog with -C' env -i "$BIN/crannog" ls
refuses "none there" 1 'no crannog at .*nowhere yet; .crannog init' crannog -C "$T/nowhere" ls
check "asking made nothing" test ! -e "$T/nowhere"
crannog init >/dev/null
touch "$CRANNOG/agents/main/mine"
check "init a second time leaves all as it is" sh -c 'crannog init && test -f "$CRANNOG/agents/main/mine"'
refuses "a folder of that name cannot be made" 1 'File exists' crannog -C "$CRANNOG/crannog.yaml" init

# Lost output.
if [ -w /dev/full ]; then
  for command in 'ls --json' ls --version 'ls --help' spend 'model --json'; do
    # shellcheck disable=SC2086
    refuses "lost output: $command" 1 'cannot write the output' sh -c 'crannog '"$command"' 3>&1 >/dev/full 2>&3'
  done
else
  skip "lost output" "no /dev/full"
fi
check "a reader that goes early is no error to tell" sh -c 'test -z "$( (crannog run --help | true) 2>&1)"'
