package worker

// rememberAtMost bounds each memory: what goes over it is the oldest, and costs a repeated call at worst.
const rememberAtMost = 16 << 10

// memory is a bounded map that forgets what was put first. It is not safe for concurrent use; its owners lock.
type memory[K comparable, V any] struct {
	at  map[K]*remembered[K, V]
	all *remembered[K, V] // the ring's own link: the oldest is next, the newest before
}

type remembered[K comparable, V any] struct {
	key          K
	value        V
	next, before *remembered[K, V]
}

func newMemory[K comparable, V any]() memory[K, V] {
	all := &remembered[K, V]{}
	all.next, all.before = all, all
	return memory[K, V]{at: map[K]*remembered[K, V]{}, all: all}
}

func (m *memory[K, V]) empty() bool { return len(m.at) == 0 }

func (m *memory[K, V]) put(key K, value V) {
	if r, ok := m.at[key]; ok {
		r.value = value
		return
	}
	r := &remembered[K, V]{key: key, value: value, next: m.all, before: m.all.before}
	r.before.next, r.next.before = r, r
	m.at[key] = r
	if len(m.at) > rememberAtMost {
		m.remove(m.all.next.key)
	}
}

func (m *memory[K, V]) get(key K) (value V, ok bool) {
	r, ok := m.at[key]
	if ok {
		value = r.value
	}
	return value, ok
}

func (m *memory[K, V]) remove(key K) {
	if r, ok := m.at[key]; ok {
		r.before.next, r.next.before = r.next, r.before
		delete(m.at, key)
	}
}
