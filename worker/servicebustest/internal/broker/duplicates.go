package broker

import "time"

// sightings are the message ids that an entity saw during its duplicate detection window, oldest first.
type sightings struct {
	byID  map[string]*sighting
	order []*sighting
}

type sighting struct {
	id       string
	at       time.Time
	sequence int64
	record   *record // nil when history is off
}

// duplicateKey is what makes two messages the same. Service Bus: the id, on a partitioned entity with the partition
// key; a message without an id is like no other.
func (e *entity) duplicateKey(m *entry) string {
	if !e.cfg.RequiresDuplicateDetection || m.ID == "" {
		return ""
	}
	if e.cfg.Partitioned {
		return m.ID + "\x00" + m.PartitionKey
	}
	return m.ID
}

// sighted returns the message that m repeats, or nil.
func (e *entity) sighted(m *entry, now time.Time) *sighting {
	id := e.duplicateKey(m)
	if id == "" {
		return nil
	}
	e.recent.forget(now.Add(-e.cfg.DuplicateDetectionWindow))
	original := e.recent.byID[id]
	if original != nil && original.record != nil {
		original.record.events = append(original.record.events, Event{Kind: Duplicate, At: now, SequenceNumber: original.sequence})
	}
	return original
}

// remember begins the window of m.
func (e *entity) remember(m *entry, now time.Time) {
	id := e.duplicateKey(m)
	if id == "" {
		return
	}
	s := &sighting{id: id, at: now, sequence: m.SequenceNumber, record: m.record}
	if e.recent.byID == nil {
		e.recent.byID = make(map[string]*sighting)
	}
	e.recent.byID[id] = s
	e.recent.order = append(e.recent.order, s)
}

// forget drops what was seen at or before the time.
func (s *sightings) forget(until time.Time) {
	for len(s.order) > 0 && !s.order[0].at.After(until) {
		delete(s.byID, s.order[0].id)
		s.order[0] = nil
		s.order = s.order[1:]
	}
}
