#!/bin/sh
# Proves that files with credentials in the work folder are hidden from what runs there, unless they are named; that an agent is
# told so; and that whatever is done with their names inside, the person's files stay as they were.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/agent.sh"
user_first
PATH=$BIN:$PATH
cd "$T" || exit 1
crannog init >/dev/null
mkdir -p w/apps/web w/test w/.crannog-not
cd w || exit 1
echo CANARY=1 >.env
echo CANARY=2 >apps/web/.env.local
echo '//x/:_authToken=CANARY3' >apps/.npmrc
echo 'fund=false' >.npmrc
printf -- '-----BEGIN PRIVATE KEY-----\nCANARY4\n' >id_ed25519
cp id_ed25519 test/server.pem
echo EXAMPLE= >.env.example
ln -s .env link
cp -a . "$T/before"
inside() { crannog exec -- sh -c "$1"; }

check "they are not read by any name" inside '! grep -rs CANARY . --exclude-dir=test && ! grep CANARY link'
check "what tests and examples keep is" inside 'grep -q CANARY4 test/server.pem && grep -q EXAMPLE .env.example && grep -q fund .npmrc'
refuses "a person is told which" 0 'hidden, as they hold credentials: .*\.env.*--show PATH' crannog exec -- true
inside 'rm -f .env; echo x >.env; mv apps elsewhere; rm -rf id_ed25519; ln -sf /etc/passwd .env; chmod 777 .env; true' >/dev/null 2>&1
crannog undo >/dev/null 2>&1
check "they are as they were, whatever was done" sh -c 'for f in .env apps/web/.env.local apps/.npmrc id_ed25519; do cmp "$f" "$0/$f" || exit 1; done' "$T/before"
check "one that is named is shown, and no other" crannog exec --show .env -- sh -c 'grep -q CANARY=1 .env && ! grep CANARY apps/web/.env.local'
check "one below a folder that is named too" crannog exec --show apps -- sh -c 'grep -q CANARY=2 apps/web/.env.local && grep -q CANARY3 apps/.npmrc && test ! -s .env'
refuses "a name that leads out of the folder is none" 2 'one in the work folder like .env' crannog exec --show ../x -- true
printf 'show: [.env]\n' >>"$CRANNOG/crannog.yaml"
check "also where crannog.yaml names it" inside 'grep -q CANARY=1 .env && test ! -s id_ed25519'
check "--show-plan tells it" sh -c 'crannog exec --show-plan -- true | sed -n "/does not see/,/^\$/p" | grep apps/.npmrc && ! crannog exec --show-plan -- true | grep "w/.env\$"'

cat >"$T/script" <<'JSON'
[{"calls": [{"name": "read", "arguments": {"path": "./.env"}}, {"name": "write", "arguments": {"path": ".env", "content": "x"}},
            {"name": "bash", "arguments": {"command": "cat .env id_ed25519; echo end >made"}}]}, {"text": "Done."}]
JSON
cd "$T" || exit 1
serve <"$T/script"
refuses "an agent's goal is worked on" 4 'waiting for you' goal w "look around" --verify "test -e made && test ! -s .env"
check "it is told that a file is hidden" entries r9 "sum('holds credentials and is hidden' in json.dumps(x) for x in v) >= 2"
check "and no model saw what stands in it" sh -c '! grep CANARY "$0"' "$T/log1"
check "nor is the person's file another" sh -c 'cmp w/.env before/.env'
