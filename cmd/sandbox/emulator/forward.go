package emulator

import (
	"fmt"
	"strings"
)

// targets returns where a queue or subscription forwards to, with the keys that say so.
func (e entityProperties) targets() [][2]string {
	return [][2]string{{"ForwardTo", e.ForwardTo}, {"ForwardDeadLetteredMessagesTo", e.ForwardDeadLetteredMessagesTo}}
}

// validateForwarding finds targets that do not exist, and circles, which no order of creation could make.
func (n *namespace) validateForwarding(p *problems, where string) {
	exists := map[string]bool{}
	for _, q := range n.Queues {
		exists[strings.ToLower(q.Name)] = true
	}
	for _, t := range n.Topics {
		exists[strings.ToLower(t.Name)] = true
	}
	check := func(at string, e entityProperties) {
		for _, to := range e.targets() {
			if to[1] != "" && !exists[strings.ToLower(to[1])] {
				p.add(at+".Properties."+to[0], "no queue or topic has the name %q", to[1])
			}
		}
	}
	for i, q := range n.Queues {
		check(fmt.Sprintf("%s.Queues[%d]", where, i), q.Properties.entityProperties)
	}
	for i, t := range n.Topics {
		for j, s := range t.Subscriptions {
			check(fmt.Sprintf("%s.Topics[%d].Subscriptions[%d]", where, i, j), s.Properties)
		}
	}
	if len(p.found) == 0 && len(n.inOrder()) < len(n.Queues) {
		p.add(where+".Queues", "the queues forward in a circle")
	}
}

// inOrder returns the queues so that each comes behind those it forwards to. Queues of a circle are left out.
func (n *namespace) inOrder() []queue {
	waiting := map[string]bool{}
	for _, q := range n.Queues {
		waiting[strings.ToLower(q.Name)] = true
	}
	var sorted []queue
	for progress := true; progress; {
		progress = false
		for _, q := range n.Queues {
			name := strings.ToLower(q.Name)
			if !waiting[name] || blocked(q, waiting) {
				continue
			}
			delete(waiting, name)
			sorted = append(sorted, q)
			progress = true
		}
	}
	return sorted
}

// blocked says whether a queue forwards to one that is still waiting.
func blocked(q queue, waiting map[string]bool) bool {
	for _, to := range q.Properties.targets() {
		if waiting[strings.ToLower(to[1])] {
			return true
		}
	}
	return false
}
