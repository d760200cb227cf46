package message

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Table is a map section. It is kept encoded; Set and Delete move the other
// entries as bytes, so their types and their order survive.
type Table struct {
	raw     []byte // the whole section while it is as it came, nil once edited
	entries []byte // encoded keys and values, laid end to end
	n       int    // number of entries
}

func parseTable(raw, value []byte) (Table, error) {
	entries, n, err := codec.Pairs(value)
	if err != nil {
		return Table{}, err
	}
	// Every entry is cut once here, so that later walks cannot fail.
	rest := entries
	for range n {
		if _, _, rest, err = codec.NextPair(rest); err != nil {
			return Table{}, err
		}
	}
	if len(rest) > 0 {
		return Table{}, fmt.Errorf("map of %d entries holds more", n)
	}
	return Table{raw: raw, entries: entries, n: n}, nil
}

// Len is the number of entries.
func (t Table) Len() int { return t.n }

// find returns where the entry named key starts and ends, and its value.
func (t Table) find(key string) (start, end int, value []byte) {
	rest := t.entries
	for len(rest) > 0 {
		k, v, next, err := codec.NextPair(rest)
		if err != nil {
			break
		}
		if codec.KeyIs(k, key) {
			return len(t.entries) - len(rest), len(t.entries) - len(next), v
		}
		rest = next
	}
	return -1, -1, nil
}

// Get decodes the entry named key, whether its key is a string or a symbol.
func (t Table) Get(key string) (any, bool) {
	start, _, value := t.find(key)
	if start < 0 {
		return nil, false
	}
	v, _, err := codec.Decode(value)
	return v, err == nil
}

// All decodes the table. Entries that do not decode are left out.
func (t Table) All() codec.Map {
	out := make(codec.Map, 0, t.n)
	for rest := t.entries; len(rest) > 0; {
		k, v, next, err := codec.NextPair(rest)
		if err != nil {
			break
		}
		rest = next
		key, _, err := codec.Decode(k)
		if err != nil {
			continue
		}
		if value, _, err := codec.Decode(v); err == nil {
			out = append(out, codec.Pair{Key: key, Value: value})
		}
	}
	return out
}

// Set adds or replaces an entry. key is a codec.Symbol in annotations and a
// string in application properties. A replaced entry moves to the end.
func (t *Table) Set(key, value any) error {
	name, ok := codec.Text(key)
	if !ok {
		return fmt.Errorf("set entry: key of type %T", key)
	}
	entry, err := codec.Append(nil, key)
	if err == nil {
		entry, err = codec.Append(entry, value)
	}
	if err != nil {
		return fmt.Errorf("set entry %s: %w", name, err)
	}
	t.Delete(name)
	t.entries = append(t.entries[:len(t.entries):len(t.entries)], entry...)
	t.n++
	t.raw = nil
	return nil
}

// Delete removes the entry named key, if there is one.
func (t *Table) Delete(key string) {
	start, end, _ := t.find(key)
	if start < 0 {
		return
	}
	kept := make([]byte, 0, len(t.entries)-(end-start))
	kept = append(kept, t.entries[:start]...)
	t.entries = append(kept, t.entries[end:]...)
	t.n--
	t.raw = nil
}

// append writes the section, if there is one.
func (t Table) append(b []byte, section byte) []byte {
	if t.raw != nil {
		return append(b, t.raw...)
	}
	if t.n == 0 {
		return b
	}
	return codec.AppendPairs(codec.AppendDescriptor(b, section), t.n, t.entries)
}

// appendWith writes the section with n more entries behind its own.
func (t Table) appendWith(b []byte, section byte, more []byte, n int) []byte {
	if n == 0 {
		return t.append(b, section)
	}
	return codec.AppendPairs(codec.AppendDescriptor(b, section), t.n+n, t.entries, more)
}
