#!/bin/sh
# Proves that a command finds the person's toolchains and caches around it, at their places, read-only or with writes that go
# with it, in an empty home folder; that nothing else of that folder is there, secrets least of all; and who they are to git.
. "$(dirname "$0")/lib.sh"
user_first
PATH=$BIN:$PATH
H=$T/home
mkdir -p "$H/.nvm/versions/node/v1/bin" "$H/.cache/go-build" "$H/.cargo/bin" "$H/.cargo/registry" "$H/.ssh" "$H/work" "$H/tools/bin" "$H/go1.0/bin" "$H/.config/gh"
printf '#!/bin/sh\necho node here\n' >"$H/.nvm/versions/node/v1/bin/node"
printf '#!/bin/sh\necho tool here\n' >"$H/tools/bin/tool"
printf '#!/bin/sh\necho go here\n' >"$H/go1.0/bin/go"
chmod +x "$H/.nvm/versions/node/v1/bin/node" "$H/tools/bin/tool" "$H/go1.0/bin/go"
echo cached >"$H/.cache/go-build/old"
for secret in .ssh/id_rsa .cargo/credentials.toml .cargo/config.toml .npmrc .netrc .bash_history .config/gh/hosts.yml .git-credentials; do echo canary-secret >"$H/$secret"; done
printf '[user]\n\tname = Seven Of Nine\n\temail = seven@example.org\n[credential]\n\thelper = store --canary-secret\n[url "https://canary-secret@host/"]\n\tinsteadOf = https://host/\n' >"$H/.gitconfig"
export HOME="$H" PATH="$H/.nvm/versions/node/v1/bin:$H/tools/bin:$H/go1.0/bin:$PATH" CANARY_TOKEN=canary-secret TZ=Europe/Berlin LANG=C.UTF-8
cd "$H/work" || exit 1
crannog init >/dev/null
inside() { crannog exec -- sh -c "$1"; }
check "a toolchain in the home folder runs, by its name and by its path" inside "test \"\$(node)\" = 'node here' && $H/.nvm/versions/node/v1/bin/node"
check "so does a release that was unpacked there and is in PATH" sh -c 'test "$(crannog exec -- go)" = "go here"'
check "not any folder that is in PATH" inside '! command -v tool'
check "it cannot be changed" inside "! touch $H/.nvm/x"
check "a cache has what it has outside" inside "grep cached $H/.cache/go-build/old"
check "what is written to it goes with the command" sh -c "crannog exec -- sh -c 'echo new >$H/.cache/go-build/new && rm $H/.cache/go-build/old' && test -e $H/.cache/go-build/old && test ! -e $H/.cache/go-build/new"
check "the home folder is an own one" inside 'test "$HOME" = '"$H"' && cd && touch x && test -w .cargo'
check "and not the person's" test ! -e "$H/x"
check "no secret of it is there" inside "! grep -rsl canary-secret ~ / --include='*' --exclude-dir=proc --exclude-dir=usr --exclude-dir=nix --exclude-dir=sys"
check "nor in the environment" inside '! env | grep -i canary'
check "locale and time zone are the person's" inside 'test "$TZ" = Europe/Berlin && test "$LANG" = C.UTF-8'
if command -v git >/dev/null; then
  check "git knows who commits" inside 'git init -q r && cd r && git commit -q --allow-empty -m x && git log --format="%an %ae" | grep -x "Seven Of Nine seven@example.org" && cd .. && rm -r r'
  check "but not how they log in" inside '! git config --list | grep -i -e canary -e credential'
  check "what it sets for all repositories goes with it" sh -c "crannog exec -- git config --global user.name Other && ! grep Other $H/.gitconfig"
fi
check "a project in the middle of a toolchain is writable" sh -c "mkdir -p $H/.nvm/project && crannog exec --in $H/.nvm/project -- sh -c 'node && touch made' && test -e $H/.nvm/project/made"
check "the home folder itself can be worked in, as itself" sh -c "mkdir $H/.local && crannog -C $T/other exec --in $H -- sh -c 'grep -q canary ~/.bash_history && test ! -s ~/.netrc && touch ~/made' && test -e $H/made"
