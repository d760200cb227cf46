package worker

import "container/list"

// rememberAtMost bounds each memory: what goes over it is the oldest, and costs a repeated call at worst.
const rememberAtMost = 16 << 10

// memory is a bounded map that forgets what was put first. It is not safe for concurrent use; its owners lock.
type memory[K comparable, V any] struct {
	at    map[K]*list.Element // of remembered
	order *list.List          // oldest first
}

type remembered[K comparable, V any] struct {
	key   K
	value V
}

func newMemory[K comparable, V any]() memory[K, V] {
	return memory[K, V]{at: map[K]*list.Element{}, order: list.New()}
}

func (m *memory[K, V]) put(key K, value V) {
	if e, ok := m.at[key]; ok {
		e.Value = remembered[K, V]{key, value}
		return
	}
	m.at[key] = m.order.PushBack(remembered[K, V]{key, value})
	if m.order.Len() > rememberAtMost {
		m.drop(m.order.Front())
	}
}

func (m *memory[K, V]) get(key K) (value V, ok bool) {
	e, ok := m.at[key]
	if ok {
		value = e.Value.(remembered[K, V]).value
	}
	return value, ok
}

func (m *memory[K, V]) remove(key K) {
	if e, ok := m.at[key]; ok {
		m.drop(e)
	}
}

func (m *memory[K, V]) drop(e *list.Element) {
	delete(m.at, m.order.Remove(e).(remembered[K, V]).key)
}
