# Proves that git works as a person has it: a repository, commits by name, branches, a clone and a push beside it.
. ./lib.sh
check "init" git init -q one
cd one || exit 1
date >file
check "add" git add file
check "commit, by the person's own name" git commit -qm first
check "it has a name" sh -c 'git log -1 --format=%an | grep -q .'
check "a branch" git switch -qc topic
echo more >>file
check "a second commit" git commit -qam second
check "a merge" sh -c 'git switch -q - && git merge -q --no-ff -m merged topic'
check "a bare repository beside it" git init -q --bare ../remote.git
check "a push" git push -q ../remote.git HEAD:refs/heads/main topic
check "a clone" git clone -q -b main ../remote.git ../two
check "what was pushed is there" cmp file ../two/file
check "a tag, and garbage collected" sh -c 'git tag -m t v1 && git gc -q && git fsck --strict'
check "a stash" sh -c 'echo x >>file && git stash -q && git stash pop -q'
check "a worktree" git worktree add -q ../three topic
