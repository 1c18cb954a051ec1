#!/bin/sh
# Proves where a plan is found and what a run makes of a plan that was changed: unstarted items are taken, finished ones
# refused with the difference, a finished plan says so, --again starts anew.
. "$(dirname "$0")/lib.sh"
PATH=$BIN:$PATH
need_model
cd "$T" || exit 1
second='- [ ] brief: for each `notes/*.md` as NOTE, its main point in one sentence\n      needs: note\n      writes: brief.md\n'
work one cat dog
printf -- "$second" >>one/PLAN.md
cp one/PLAN.md original
refuses "it stops in the first item" 3 'calls left' crannog run one/PLAN.md --budget 1calls
sed -i 's/at most 5 words/at most 6 words/' one/PLAN.md
refuses "a started item that changed is refused with the difference" 1 'note.*5 words' crannog run one/PLAN.md --budget 100calls
cp original one/PLAN.md
sed -i 's/its main point/its main claim/' one/PLAN.md
refuses "an unstarted item that changed is taken" 0 'plan was changed; its items that were not started are taken' crannog run one/PLAN.md --budget 100calls
check "as it is now" sh -c 'crannog show --json | grep -q "its main claim"'
check "all was written" test -s one/brief.md
refuses "finished and unchanged says so" 0 'r1 has walked this plan already.*--again' crannog run one/PLAN.md
sed -i 's/main claim/main idea/' one/PLAN.md
refuses "finished and changed is refused" 1 'brief.*main claim\|changed since.*--again' crannog run one/PLAN.md
check "--again starts anew" crannog run one/PLAN.md --again
check "as another run" sh -c 'crannog ls | grep -c one/PLAN.md | grep -q 2'
check "the plan itself is never changed" sh -c 'grep -q "\[ \] note" one/PLAN.md && ! grep -q "\[x\]" one/PLAN.md'
work ticked cat
sed -i 's/\[ \]/[x]/' ticked/PLAN.md
check "an item that a person ticked is not walked" crannog run ticked/PLAN.md
check "nothing was written for it" test ! -e ticked/notes

# Where plans lie.
work 'a b/ü' cat
check "blanks and letters of any language" crannog run 'a b/ü/PLAN.md'
check "the same by another way" sh -c 'cd "a b" && crannog run "./ü/../ü/PLAN.md" 2>&1 | grep -q "walked this plan already"'
check "and through a link" sh -c 'ln -s "a b/ü/PLAN.md" link.md && crannog run link.md 2>&1 | grep -q "walked this plan already"'
mv 'a b' moved
check "a folder that was renamed goes on where it was" sh -c 'crannog run "moved/ü/PLAN.md" 2>&1 | grep -q "walked this plan already"'
work there dog && rm there/PLAN.md
check "--in another folder" crannog run one/../moved/ü/PLAN.md --in there
check "it was written there" test -s there/notes/dog.md
check "that is a run of its own" sh -c 'crannog show | grep -q "in  *.*/there$"'
refuses "--in what is not there" 2 'no folder nowhere' crannog run one/PLAN.md --in nowhere
refuses "--in a file" 2 'not a folder' crannog run one/PLAN.md --in original
refuses "--in the root folder" 2 'root folder' crannog run one/PLAN.md --in /
refuses "a model that is not there" 1 "no model 'other'.*crannog model" crannog run one/PLAN.md --model other --again
check "a model by its name" crannog run one/PLAN.md --model small
ln -s "$MODEL" "$CRANNOG/.crannog/models/second.gguf"
refuses "two models: which?" 2 'there are 2 models; say which' crannog run one/PLAN.md --again
check "one of two" crannog run one/PLAN.md --model second
