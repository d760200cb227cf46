package atom_test

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"batchterminator/worker/servicebustest/internal/atom"
)

// birth is when everything in the fake was created.
var birth = time.Date(2025, 3, 4, 5, 6, 7, 891234500, time.UTC)

// fake is a namespace without rules: it keeps what it is given.
type fake struct {
	info   atom.Info
	queues memory[atom.Queue]
	topics memory[atom.Topic]

	mu            sync.Mutex
	subscriptions map[string]*memory[atom.Subscription] // by topic; any goroutine, under mu
	rules         map[string]*memory[atom.Rule]         // by topic and subscription; any goroutine, under mu
}

func newFake() *fake {
	return &fake{
		info:          atom.Info{Name: "space", SKU: "Standard", CreatedAt: birth, ModifiedAt: birth},
		subscriptions: make(map[string]*memory[atom.Subscription]), rules: make(map[string]*memory[atom.Rule]),
	}
}

func (f *fake) Info() atom.Info                { return f.info }
func (f *fake) Queues() atom.Store[atom.Queue] { return &f.queues }
func (f *fake) Topics() atom.Store[atom.Topic] { return &f.topics }

func (f *fake) Subscriptions(topic string) (atom.Store[atom.Subscription], error) {
	if _, err := f.topics.Get(topic); err != nil {
		return nil, err
	}
	return &bearing{f.subscriptionsOf(topic), f, topic}, nil
}

func (f *fake) subscriptionsOf(topic string) *memory[atom.Subscription] {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.subscriptions[strings.ToLower(topic)]
	if m == nil {
		m = &memory[atom.Subscription]{}
		f.subscriptions[strings.ToLower(topic)] = m
	}
	return m
}

func (f *fake) Rules(topic, subscription string) (atom.Store[atom.Rule], error) {
	if _, err := f.subscriptionsOf(topic).Get(subscription); err != nil {
		return nil, err
	}
	return f.rulesOf(topic, subscription), nil
}

func (f *fake) rulesOf(topic, subscription string) *memory[atom.Rule] {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.ToLower(topic + "\n" + subscription)
	m := f.rules[key]
	if m == nil {
		m = &memory[atom.Rule]{}
		f.rules[key] = m
	}
	return m
}

// bearing is subscriptions that are born with a rule.
type bearing struct {
	*memory[atom.Subscription]
	fake  *fake
	topic string
}

func (b *bearing) Create(name string, s atom.Subscription) (atom.Entity[atom.Subscription], error) {
	rule := atom.NamedRule{Name: atom.DefaultRuleName, Rule: atom.Rule{Filter: atom.TrueFilter{}, Action: atom.EmptyAction{}}}
	if s.DefaultRule != nil {
		rule = *s.DefaultRule
	}
	e, err := b.memory.Create(name, s)
	if err == nil {
		_, err = b.fake.rulesOf(b.topic, name).Create(rule.Name, rule.Rule)
	}
	return e, err
}

// memory is a Store of anything.
type memory[D any] struct {
	mu       sync.Mutex
	entities map[string]atom.Entity[D] // by lower-case name; any goroutine, under mu
	refusal  error                     // what Update says, if anything; set before use
	runtime  atom.Runtime              // of all entities; set before use
}

func (m *memory[D]) Get(name string) (atom.Entity[D], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entities[strings.ToLower(name)]
	if !ok {
		return e, atom.ErrNotFound
	}
	return e, nil
}

func (m *memory[D]) List() ([]atom.Entity[D], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []atom.Entity[D]
	for _, e := range m.entities {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b atom.Entity[D]) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (m *memory[D]) Create(name string, d D) (atom.Entity[D], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.ToLower(name)
	if e, ok := m.entities[key]; ok {
		return e, atom.ErrExists
	}
	if m.entities == nil {
		m.entities = make(map[string]atom.Entity[D])
	}
	r := m.runtime
	r.CreatedAt, r.UpdatedAt = birth, birth
	m.entities[key] = atom.Entity[D]{Name: name, Description: d, Runtime: r}
	return m.entities[key], nil
}

func (m *memory[D]) Update(name string, d D) (atom.Entity[D], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.ToLower(name)
	e, ok := m.entities[key]
	switch {
	case !ok:
		return e, atom.ErrNotFound
	case m.refusal != nil:
		return e, m.refusal
	}
	e.Description = d
	m.entities[key] = e
	return e, nil
}

func (m *memory[D]) Delete(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.ToLower(name)
	if _, ok := m.entities[key]; !ok {
		return atom.ErrNotFound
	}
	delete(m.entities, key)
	return nil
}
