# Proves that a browser renders a page of a server on the loopback.
. ./lib.sh
browser=$(command -v chromium || command -v google-chrome)
if [ -z "$browser" ]; then
  echo "ok 1 - a browser # SKIP not on this machine"
  exit 0
fi
mkdir -p page
echo '<body><p id=said></p><script>document.getElementById("said").textContent = "six times seven is " + 6 * 7</script>' >page/index.html
python3 -m http.server 8123 --bind 127.0.0.1 --directory page >server.log 2>&1 &
server=$!
python3 -c '
import socket, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", 8123)).close()
        break
    except OSError:
        time.sleep(0.1)'
check "a page's script runs" sh -c "timeout 100 '$browser' --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --user-data-dir='$PWD/profile' --virtual-time-budget=3000 --dump-dom http://127.0.0.1:8123/ | grep 'seven is 42'"
kill $server
