package codec

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vectors reads the files of testdata/amqp that match pattern, by name.
func vectors(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "testdata", "amqp", pattern+".hex"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, digits, _ := strings.Cut(string(text), "\n") // behind the line of comment
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".hex")] = b
	}
	return out
}

func TestValueVectorsDecode(t *testing.T) {
	t.Parallel()
	want := map[string]any{
		"value-null":               nil,
		"value-boolean-byte":       true,
		"value-uint-small":         uint32(200),
		"value-int-small-negative": int32(-1),
		"value-long":               int64(621355968000000000),
		"value-timestamp":          time.UnixMilli(1500).UTC(),
		"value-uuid":               UUID{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},
		"value-symbol":             Symbol("amqp:accepted:list"),
		"value-list-empty":         []any{},
		"value-map":                Map{{Symbol("k"), int64(1)}},
		"value-array-long":         []int64{1, 2},
		"value-array-uuid-empty":   []UUID{},
		"value-array-symbol":       []Symbol{"A", "BC"},
		"value-described":          Described{uint64(0x24), []any{}},
	}
	for name, b := range vectors(t, "value-*") {
		expected, ok := want[name]
		if !ok {
			t.Errorf("%s: no expectation", name)
			continue
		}
		v, rest, err := Decode(append(b[:len(b):len(b)], 0x40))
		if err != nil || !bytes.Equal(rest, []byte{0x40}) {
			t.Errorf("%s: rest % x, %v", name, rest, err)
			continue
		}
		if diff := cmp.Diff(expected, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if skipped, err := Skip(append(b[:len(b):len(b)], 0x40)); err != nil || len(skipped) != 1 {
			t.Errorf("%s: Skip leaves % x, %v", name, skipped, err)
		}
	}
}

func TestMalformedVectorsAreRefused(t *testing.T) {
	t.Parallel()
	for name, b := range vectors(t, "malformed-*") {
		if v, _, err := Decode(b); err == nil {
			t.Errorf("%s: decoded to %v", name, v)
		}
	}
}
