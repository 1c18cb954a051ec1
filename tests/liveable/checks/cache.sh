# Proves that a build finds the caches that were filled outside, and that what it adds is its own. cache-fill.sh ran before.
. ./lib.sh
check "ccache has what was compiled outside" sh -c 'ccache -z >/dev/null; ccache gcc -c -O2 unit.c -o unit.o && ccache --print-stats | grep -Eq "^(direct|preprocessed)_cache_hit	1$"'
check "ccache takes something new" sh -c 'echo "int other(void) { return 2; }" >other.c && ccache gcc -c other.c -o other.o && ccache gcc -c other.c -o other2.o'
if command -v go >/dev/null; then
  cd gomod || exit 1
  check "Go builds a package with the module that was fetched outside" go build ./...
  check "Go's cache has its tests" sh -c 'go test ./... | grep -q "(cached)"'
fi
