package codec

import "fmt"

// Pairs opens the map that starts b and returns its entries, still encoded and
// laid end to end, and their number.
func Pairs(b []byte) (entries []byte, n int, err error) {
	if len(b) == 0 {
		return nil, 0, errShort
	}
	body, _, err := take(b[0], b[1:])
	if err != nil {
		return nil, 0, err
	}
	if b[0] != codeMap8 && b[0] != codeMap32 {
		return nil, 0, fmt.Errorf("format code %#02x where a map belongs", b[0])
	}
	count, entries, err := items(b[0], body)
	if err == nil && count%2 != 0 {
		err = errCount
	}
	return entries, count / 2, err
}

// NextPair cuts the first entry of what Pairs returned.
func NextPair(entries []byte) (key, value, rest []byte, err error) {
	afterKey, err := Skip(entries)
	if err != nil {
		return nil, nil, nil, err
	}
	rest, err = Skip(afterKey)
	if err != nil {
		return nil, nil, nil, err
	}
	return entries[:len(entries)-len(afterKey)], afterKey[:len(afterKey)-len(rest)], rest, nil
}

// KeyIs says whether an encoded map key is name, as string or as symbol.
func KeyIs(key []byte, name string) bool {
	if len(key) == 0 {
		return false
	}
	switch key[0] {
	case codeString8, codeString32, codeSymbol8, codeSymbol32:
		body, _, err := take(key[0], key[1:])
		return err == nil && string(body) == name
	}
	return false
}
