# Proves that databases work within one step: SQLite's locks and log, a PostgreSQL that is made, started, used and stopped.
. ./lib.sh
check "SQLite with a write-ahead log" python3 -c '
import sqlite3, threading
first = sqlite3.connect("one.db", timeout=20)
assert first.execute("pragma journal_mode=wal").fetchone()[0] == "wal"
first.execute("create table t (x)")
def fill():
    mine = sqlite3.connect("one.db", timeout=20)
    for x in range(100):
        with mine:
            mine.execute("insert into t values (?)", (x,))
threads = [threading.Thread(target=fill) for _ in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
assert first.execute("select count(*) from t").fetchone()[0] == 300
assert first.execute("pragma integrity_check").fetchone()[0] == "ok"'
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ -z "$programs" ]; then
  echo "ok 2 - PostgreSQL # SKIP not on this machine"
  exit 0
fi
PATH=$programs:$PATH
check "initdb" initdb -D data -A trust -N
check "it starts" pg_ctl -D data -w -t 60 -l log -o "-p 54329 -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp" start
check "over TCP" psql -h 127.0.0.1 -p 54329 postgres -c 'create table t as select generate_series(1, 1000) x'
check "over its socket" sh -c 'test "$(psql -h /tmp -p 54329 postgres -Atc "select sum(x) from t")" = 500500'
check "four clients at once" sh -c 'for i in 1 2 3 4; do psql -h 127.0.0.1 -p 54329 postgres -qc "insert into t select generate_series(1, 500)" & done; wait
  test "$(psql -h /tmp -p 54329 postgres -Atc "select count(*) from t")" = 3000'
check "it stops" pg_ctl -D data -w -t 60 stop
