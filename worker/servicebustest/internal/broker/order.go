package broker

import (
	"slices"
	"sort"
)

// chunkSize bounds the entries moved by one insertion or removal; 256 pointers are one short memmove.
const chunkSize = 256

// order is a set of entries sorted by sequence number. New messages have the highest number, so insertion is an
// append and the oldest is the first of the first chunk; a message that comes back, or one that is dead-lettered out
// of turn, finds its place by two binary searches. A plain slice would move a million pointers for it, a tree would
// cost an allocation per message.
type order struct {
	chunks [][]*entry // none is empty
	n      int
}

func (o *order) len() int { return o.n }

// first returns the entry with the lowest number, or nil.
func (o *order) first() *entry {
	if o.n == 0 {
		return nil
	}
	return o.chunks[0][0]
}

// seek returns the position of the first entry numbered sequence or higher. c is len(o.chunks) when there is none.
func (o *order) seek(sequence int64) (c, i int) {
	c = sort.Search(len(o.chunks), func(c int) bool {
		chunk := o.chunks[c]
		return chunk[len(chunk)-1].SequenceNumber >= sequence
	})
	if c == len(o.chunks) {
		return c, 0
	}
	chunk := o.chunks[c]
	return c, sort.Search(len(chunk), func(i int) bool { return chunk[i].SequenceNumber >= sequence })
}

func (o *order) get(sequence int64) *entry {
	c, i := o.seek(sequence)
	if c == len(o.chunks) || o.chunks[c][i].SequenceNumber != sequence {
		return nil
	}
	return o.chunks[c][i]
}

func (o *order) insert(m *entry) {
	o.n++
	c, i := o.seek(m.SequenceNumber)
	if c == len(o.chunks) {
		if c == 0 || len(o.chunks[c-1]) == chunkSize {
			o.chunks = append(o.chunks, []*entry{m})
			return
		}
		o.chunks[c-1] = append(o.chunks[c-1], m)
		return
	}
	if chunk := o.chunks[c]; len(chunk) == chunkSize {
		half := slices.Clone(chunk[chunkSize/2:])
		clear(chunk[chunkSize/2:])
		o.chunks[c] = chunk[:chunkSize/2]
		o.chunks = slices.Insert(o.chunks, c+1, half)
		if i > chunkSize/2 {
			c, i = c+1, i-chunkSize/2
		}
	}
	o.chunks[c] = slices.Insert(o.chunks[c], i, m)
}

// remove takes m out; it must be in.
func (o *order) remove(m *entry) {
	c, i := o.seek(m.SequenceNumber)
	o.n--
	if len(o.chunks[c]) == 1 {
		o.chunks = slices.Delete(o.chunks, c, c+1)
		return
	}
	o.chunks[c] = slices.Delete(o.chunks[c], i, i+1)
}

// ascend calls visit for each entry numbered from or higher until it returns false. The set must not change meanwhile.
func (o *order) ascend(from int64, visit func(*entry) bool) {
	c, i := o.seek(from)
	for ; c < len(o.chunks); c, i = c+1, 0 {
		for _, m := range o.chunks[c][i:] {
			if !visit(m) {
				return
			}
		}
	}
}

// all returns the entries in order, safe to keep while the set changes.
func (o *order) all() []*entry { return slices.Concat(o.chunks...) }
