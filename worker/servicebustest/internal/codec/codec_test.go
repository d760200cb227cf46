package codec

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// samples holds every type, at the edges of its short and long forms.
var samples = []any{
	nil, true, false, uint8(255), int8(-128), uint16(65535), int16(-32768),
	uint32(0), uint32(255), uint32(256), uint32(math.MaxUint32),
	uint64(0), uint64(255), uint64(256), uint64(math.MaxUint64),
	int32(127), int32(128), int32(-128), int32(-129), int32(math.MinInt32),
	int64(127), int64(128), int64(-129), int64(math.MinInt64),
	float32(1.5), 2.5, Char('ü'), Decimal32{1}, Decimal64{2}, Decimal128{3},
	time.UnixMilli(-1).UTC(), time.UnixMilli(1_700_000_000_123).UTC(), UUID{1, 15: 2},
	[]byte{}, bytes.Repeat([]byte{7}, 255), bytes.Repeat([]byte{7}, 256),
	"", strings.Repeat("s", 255), strings.Repeat("s", 256), Symbol("sym"),
	[]any{}, []any{nil, "x", []any{int32(1)}}, []any{strings.Repeat("s", 252)}, []any{strings.Repeat("s", 253)},
	Map{}, Map{{Symbol("b"), int64(1)}, {"a", nil}, {int32(3), Map{{"in", true}}}},
	Described{uint64(0x70), []any{true}}, Described{Symbol("x:y"), Described{uint64(1), "v"}},
	[]bool{true, false}, Ubytes{1, 2}, []int8{-1}, []uint16{1}, []int16{-1}, []uint32{1, math.MaxUint32}, []int32{-1},
	[]uint64{1}, []int64{-1, math.MaxInt64}, []float32{1}, []float64{2}, []time.Time{time.UnixMilli(5).UTC()},
	[]UUID{{1}, {2}}, []UUID{}, [][]byte{{1}, {}}, []string{"a", strings.Repeat("b", 300)}, []Symbol{"s"}, make([]int64, 300),
	Array{codeList32, []any{[]any{}, []any{int32(1)}}}, Array{codeMap32, []any{Map{{"k", int64(1)}}}},
	Array{codeChar, []any{Char('a')}}, Array{codeArray32, []any{[]int64{1}, []int64{}}},
	Array{codeDescribed, []any{Described{uint64(5), "a"}, Described{uint64(5), "b"}}},
}

func TestEveryTypeSurvivesARoundTrip(t *testing.T) {
	t.Parallel()
	for _, v := range samples {
		b, err := Append([]byte("before"), v)
		if err != nil {
			t.Errorf("Append(%T %v): %v", v, v, err)
			continue
		}
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Errorf("%T: Append overwrote what was there", v)
		}
		b = b[len("before"):]
		got, rest, err := Decode(b)
		if err != nil || len(rest) > 0 {
			t.Errorf("%T % x: %d bytes left, %v", v, b[:min(len(b), 16)], len(rest), err)
			continue
		}
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", v, diff)
		}
		if rest, err := Skip(b); err != nil || len(rest) > 0 {
			t.Errorf("%T: Skip leaves %d bytes, %v", v, len(rest), err)
		}
		for cut := range min(len(b), 40) {
			if _, _, err := Decode(b[:cut]); err == nil {
				t.Errorf("%T: decodes when cut to %d of %d bytes", v, cut, len(b))
			}
		}
	}
}

func TestTypesWithoutAFormAreRefused(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		1, uint(1), struct{}{}, []any{1}, Map{{"k", 1}}, Map{{1, "v"}}, Described{1, nil}, Described{uint64(1), 1},
		Array{Elems: []any{Char('a'), "b"}}, Array{Elems: []any{1}}, Array{Elems: []any{nil}},
	} {
		b, err := Append([]byte("kept"), v)
		if err == nil || string(b) != "kept" {
			t.Errorf("Append(%T %v) = %q, %v", v, v, b, err)
		}
	}
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	deep := func(n int) []byte {
		v := any(int32(1))
		for range n {
			v = []any{v}
		}
		b, err := Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, _, err := Decode(deep(maxDepth)); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if _, _, err := Decode(deep(maxDepth + 1)); err == nil {
		t.Errorf("%d levels decode", maxDepth+1)
	}
	descriptors := bytes.Repeat([]byte{codeDescribed}, 1<<20)
	if _, _, err := Decode(descriptors); err == nil {
		t.Error("endless descriptors decode")
	}
	if _, err := Skip(descriptors); err == nil {
		t.Error("endless descriptors are skipped")
	}
}

func TestTrailingNullsAreNotSent(t *testing.T) {
	t.Parallel()
	w := NewListWriter(nil, 0x13)
	w.Null()
	w.Uint32(Some[uint32](0))
	w.Nulls(3)
	if got, want := w.Close(), []byte{0x00, 0x53, 0x13, 0xc0, 3, 2, 0x40, 0x43}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	empty := NewListWriter(nil, 0x24)
	empty.Null()
	if got, want := empty.Close(), []byte{0x00, 0x53, 0x24, 0x45}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestEmptyTextIsNotAbsentWhereItMatters(t *testing.T) {
	t.Parallel()
	w := NewListWriter(nil, 0x13)
	w.OptionalString(Option[string]{})
	w.OptionalString(Some(""))
	_, list, _ := Descriptor(w.Close())
	f, _, err := NewFields(list)
	if err != nil {
		t.Fatal(err)
	}
	if absent, empty := f.OptionalText(), f.OptionalText(); absent.Set || !empty.Set || f.Err() != nil {
		t.Errorf("read %+v and %+v, %v", absent, empty, f.Err())
	}
}

func TestFieldsReadAbsentAndNullAlike(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]any{"absent": {}, "null": {nil, nil, nil, nil, nil, nil}} {
		b, err := Append(nil, list)
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := NewFields(b)
		if err != nil {
			t.Fatal(err)
		}
		if f.Uint32().Set || f.Bool().Set || f.Text() != "" || f.Binary() != nil || !f.Time().IsZero() || f.Raw() != nil || f.Err() != nil {
			t.Errorf("%s: a field reads as set, or %v", name, f.Err())
		}
	}
}

func TestFieldOfAWrongTypeStopsTheRest(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(f *Fields){
		"uint":   func(f *Fields) { f.Uint32() },
		"bool":   func(f *Fields) { f.Bool() },
		"text":   func(f *Fields) { f.Text() },
		"binary": func(f *Fields) { f.Binary() },
		"time":   func(f *Fields) { f.Time() },
	} {
		b, err := Append(nil, []any{2.5, uint32(1)})
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := NewFields(b)
		if err != nil {
			t.Fatal(err)
		}
		read(&f)
		if f.Err() == nil || f.Uint32().Set {
			t.Errorf("%s: a double was taken", name)
		}
	}
}

func TestUnsignedFieldTakesAnyWidthThatFits(t *testing.T) {
	t.Parallel()
	for _, v := range []any{uint8(9), uint16(9), uint32(9), uint64(9)} {
		b, err := Append(nil, []any{v, uint64(256)})
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := NewFields(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Uint8(); got != Some[uint8](9) {
			t.Errorf("%T reads as %v", v, got)
		}
		if f.Uint8().Set || f.Err() == nil {
			t.Error("256 fits a ubyte")
		}
	}
}

func TestSwapIsTheOrderOfAGuid(t *testing.T) {
	t.Parallel()
	u := UUID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	want := UUID{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}
	if u.Swap() != want || u.Swap().Swap() != u {
		t.Errorf("swapped to %v", u.Swap())
	}
	if got := u.String(); got != "00010203-0405-0607-0809-0a0b0c0d0e0f" {
		t.Errorf("printed as %s", got)
	}
}

// FuzzDecode: nothing a peer sends makes decoding panic or disagree with Skip, and
// what decodes survives encoding.
func FuzzDecode(f *testing.F) {
	for _, b := range vectors(f, "*") {
		f.Add(b)
	}
	for _, v := range samples {
		if b, err := Append(nil, v); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte{codeArray8, 6, 1, codeDescribed, codeSmallUlong, 0x24, codeSmallUint, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := Decode(b)
		if err != nil {
			return
		}
		if skipped, err := Skip(b); err != nil || len(skipped) != len(rest) {
			t.Fatalf("Decode leaves %d bytes, Skip %d, %v", len(rest), len(skipped), err)
		}
		again, err := Append(nil, v)
		if err != nil {
			t.Fatalf("%#v was decoded and cannot be encoded: %v", v, err) // a broker sends on what it was sent
		}
		back, rest, err := Decode(again)
		if err != nil || len(rest) > 0 {
			t.Fatalf("% x does not decode: %v", again, err)
		}
		third, err := Append(nil, back)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("% x becomes % x, %v", again, third, err)
		}
	})
}

func TestArrayOfDescribedNumbersKeepsItsElements(t *testing.T) {
	t.Parallel()
	for _, elem := range []any{uint32(0), uint32(7), uint64(0), uint64(7), int32(-7), int64(-7), true, false} {
		in := Array{Of: codeDescribed, Elems: []any{
			Described{Descriptor: uint64(1), Value: elem}, Described{Descriptor: uint64(1), Value: elem},
		}}
		b, err := Append(nil, in)
		if err != nil {
			t.Errorf("%T: %v", elem, err)
			continue
		}
		if out, _, err := Decode(b); err != nil || !reflect.DeepEqual(out, in) {
			t.Errorf("%#v became %#v, %v", in, out, err)
		}
	}
	if b, err := Append(nil, Array{Elems: []any{nil}}); err == nil {
		t.Errorf("an array of null is encoded: % x", b)
	}
}
