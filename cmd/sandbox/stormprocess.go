package main

import (
	"time"

	"batchterminator/cmd/sandbox/verdict"
)

// processFaults happen to the worker's processes. At least one is left awake.
func processFaults() []stormFault {
	return []stormFault{
		{"kill", 6, func(s *storm, name string) {
			if c := s.victim(); c != nil {
				s.fleet.kill(c)
				s.struck.tally(name)
				s.replace()
			}
		}},
		{"stop and start", 2, func(s *storm, name string) {
			if c := s.victim(); c != nil {
				s.fleet.stop(c)
				s.struck.tally(name)
				s.replace()
			}
		}},
		{"freeze for a moment", 2, func(s *storm, name string) { s.freezeOne(name, time.Second) }},
		{"freeze beyond the lock", 1, func(s *storm, name string) { s.freezeOne(name, s.lock+2*time.Second) }},
		{"scale out or in", 2, func(s *storm, name string) {
			awake := len(s.fleet.awake())
			switch {
			case len(s.fleet.all()) <= s.replicas:
				s.replace()
			case awake > 1:
				s.fleet.stop(s.victim())
			default:
				return
			}
			s.struck.tally(name)
		}},
	}
}

// victim is a worker that is awake, if another one is left; else nil.
func (s *storm) victim() *child {
	awake := s.fleet.awake()
	if len(awake) < 2 {
		return nil
	}
	return awake[s.random.IntN(len(awake))]
}

// replace starts a worker; the next fault finds out if that fails.
func (s *storm) replace() {
	if err := s.fleet.add(); err != nil {
		s.fleet.trouble(err.Error())
	}
}

func (s *storm) freezeOne(name string, d time.Duration) {
	if c := s.victim(); c != nil {
		s.lasts(verdict.Fault{Kind: verdict.Frozen, Name: name}, d, func() { c.freeze(true) }, func() { c.freeze(false) })
	}
}
