package filter

// truth is a truth value of SQL-92, in an order that makes AND the minimum and OR the maximum.
type truth int8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func (t truth) and(u truth) truth { return min(t, u) }
func (t truth) or(u truth) truth  { return max(t, u) }
func (t truth) not() truth        { return isTrue - t }

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}
