# lib.sh: a check speaks TAP, for tests/liveable/run to compare.
n=0
check() {
  name=$1
  shift
  n=$((n + 1))
  if "$@" >check.log 2>&1; then
    echo "ok $n - $name"
  else
    echo "not ok $n - $name"
    sed 's/^/# /' check.log
  fi
}
