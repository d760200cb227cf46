package broker

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestOrderBehavesLikeASortedSlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var o order
		var model []int64
		// Runs of neighbours, so that chunks fill, split and empty.
		for range rapid.IntRange(1, 8).Draw(t, "runs") {
			start := rapid.Int64Range(0, 2000).Draw(t, "start")
			length := rapid.Int64Range(1, 3*chunkSize).Draw(t, "length")
			add := rapid.Bool().Draw(t, "add")
			for sequence := start; sequence < start+length; sequence++ {
				i, found := slices.BinarySearch(model, sequence)
				switch {
				case add && !found:
					model = slices.Insert(model, i, sequence)
					o.insert(&entry{Stored: Stored{SequenceNumber: sequence}})
				case !add && found:
					model = slices.Delete(model, i, i+1)
					o.remove(o.get(sequence))
				}
			}
			checkOrder(t, &o, model, rapid.Int64Range(0, 3000).Draw(t, "from"))
		}
	})
}

func checkOrder(t *rapid.T, o *order, model []int64, from int64) {
	if o.len() != len(model) {
		t.Fatalf("length is %d, want %d", o.len(), len(model))
	}
	var got []int64
	o.ascend(from, func(m *entry) bool { got = append(got, m.SequenceNumber); return true })
	i, _ := slices.BinarySearch(model, from)
	if !slices.Equal(got, model[i:]) {
		t.Fatalf("ascending from %d gives %v, want %v", from, got, model[i:])
	}
	if first := o.first(); len(model) > 0 && (first == nil || first.SequenceNumber != model[0]) {
		t.Fatalf("first is %v, want %d", first, model[0])
	}
	for _, chunk := range o.chunks {
		if len(chunk) == 0 || len(chunk) > chunkSize {
			t.Fatalf("a chunk holds %d entries", len(chunk))
		}
	}
}
