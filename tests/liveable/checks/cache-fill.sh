# Outside: fills the caches that cache.sh wants to find.
echo 'int unit(void) { return 1; }' >unit.c
ccache gcc -c -O2 unit.c -o unit.o
mkdir -p gomod && cd gomod
cat >go.mod <<'END'
module example.org/liveable

go 1.19

require github.com/google/uuid v1.6.0
END
cat >one.go <<'END'
package liveable

import "github.com/google/uuid"

// Name is a new name each time.
func Name() string { return uuid.NewString() }
END
cat >one_test.go <<'END'
package liveable

import "testing"

func TestName(t *testing.T) {
	if Name() == Name() {
		t.Fatal("twice the same")
	}
}
END
if command -v go >/dev/null; then
  go mod tidy
  go test ./...
fi
