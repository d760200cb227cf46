package admin

import (
	"errors"

	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
)

// store is the entities of one kind under one parent. It implements [atom.Store].
type store[D any] struct {
	*Namespace
	kind       broker.Kind
	prefix     string // of their paths
	toConfig   func(D) broker.Config
	fromConfig func(broker.Config) D
	list       func() ([]broker.Description, error)
	create     func(name string, cfg broker.Config, d D) error
}

func (s *store[D]) Get(name string) (atom.Entity[D], error) {
	d, err := s.broker.Describe(s.kind, s.prefix+name)
	if err != nil {
		return atom.Entity[D]{}, refusal(err)
	}
	return s.entity(d), nil
}

func (s *store[D]) List() ([]atom.Entity[D], error) {
	described, err := s.list()
	if err != nil {
		return nil, refusal(err)
	}
	entities := make([]atom.Entity[D], len(described))
	for i, d := range described {
		entities[i] = s.entity(d)
	}
	return entities, nil
}

func (s *store[D]) Create(name string, d D) (atom.Entity[D], error) {
	cfg, err := s.tier.create(s.toConfig(d))
	if err == nil {
		err = missingTarget(s.create(name, cfg, d))
	}
	if err != nil {
		return atom.Entity[D]{}, refusal(err)
	}
	return s.Get(name)
}

func (s *store[D]) Update(name string, d D) (atom.Entity[D], error) {
	if _, err := s.Get(name); err != nil {
		return atom.Entity[D]{}, err
	}
	cfg, err := s.tier.limit(s.toConfig(d))
	if err == nil {
		_, err = s.broker.Update(s.kind, s.prefix+name, cfg)
		err = missingTarget(err)
	}
	if err != nil {
		return atom.Entity[D]{}, refusal(err)
	}
	return s.Get(name)
}

func (s *store[D]) Delete(name string) error { return refusal(s.broker.Delete(s.kind, s.prefix+name)) }

// missingTarget keeps an entity that is forwarded to and not there from passing for the one in the URL.
func missingTarget(err error) error {
	if errors.Is(err, broker.ErrEntityNotFound) {
		return errors.New(err.Error())
	}
	return err
}

func (s *store[D]) entity(d broker.Description) atom.Entity[D] {
	name := d.Path
	if s.prefix != "" {
		name = lastSegment(name)
	}
	e := atom.Entity[D]{
		Name: name, Description: s.fromConfig(d.Config),
		Runtime: atom.Runtime{
			CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, AccessedAt: d.AccessedAt, SizeInBytes: d.SizeInBytes,
			Active: d.Active, DeadLettered: d.DeadLettered, Scheduled: d.Scheduled,
			Transfer: d.Transfer, TransferDeadLetters: d.TransferDeadLettered, Subscriptions: d.Subscriptions,
		},
	}
	if s.kind == broker.KindTopic {
		s.countFilters(d.Path, &e.Runtime)
	}
	return e
}
