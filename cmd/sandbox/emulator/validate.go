package emulator

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The emulator's limits.
const (
	maxEntities           = 50
	maxSubscriptions      = 50
	maxCorrelationFilters = 1000
	maxSQLFilters         = 20
	maxDeliveryCount      = 10
	maxTTL                = time.Hour
	maxLock               = 5 * time.Minute
	maxEntityName         = 260
	maxPartName           = 50 // of a subscription or rule
)

// The values of FilterType, in lower case.
const (
	correlationType = "correlation"
	sqlType         = "sql"
)

// wellFormed is the emulator's rule for names.
var wellFormed = regexp.MustCompile(`^[A-Za-z0-9]$|^[A-Za-z0-9][\w./-]*[A-Za-z0-9]$`)

// problems collects what is wrong, each with its place.
type problems struct{ found []error }

func (p *problems) add(where, format string, args ...any) {
	p.found = append(p.found, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// validate returns all that is wrong, one line each.
func (f *file) validate() error {
	var p problems
	const namespaces = "UserConfig.Namespaces"
	if n := len(f.UserConfig.Namespaces); n != 1 {
		p.add(namespaces, "%d namespaces; the emulator has exactly one", n)
		return errors.Join(p.found...)
	}
	f.UserConfig.Namespaces[0].validate(&p, namespaces+"[0]")
	for kind := range strings.SplitSeq(f.UserConfig.Logging.Type, ",") {
		if kind = strings.TrimSpace(kind); kind != "" && !strings.EqualFold(kind, "File") && !strings.EqualFold(kind, "Console") {
			p.add("UserConfig.Logging.Type", "%q; want File, Console or File,Console", kind)
		}
	}
	return errors.Join(p.found...)
}

func (n *namespace) validate(p *problems, where string) {
	if count := len(n.Queues) + len(n.Topics); count > maxEntities {
		p.add(where, "%d queues and topics; the emulator has at most %d", count, maxEntities)
	}
	taken := map[string]string{} // place by name
	for i, q := range n.Queues {
		at := fmt.Sprintf("%s.Queues[%d]", where, i)
		p.name(at, q.Name, maxEntityName, taken)
		q.Properties.validate(p, at+".Properties")
		p.window(at+".Properties", q.Properties.DuplicateDetectionHistoryTimeWindow)
	}
	for i, t := range n.Topics {
		at := fmt.Sprintf("%s.Topics[%d]", where, i)
		p.name(at, t.Name, maxEntityName, taken)
		p.ttl(at+".Properties", t.Properties.DefaultMessageTimeToLive)
		p.window(at+".Properties", t.Properties.DuplicateDetectionHistoryTimeWindow)
		t.validate(p, at)
	}
	n.validateForwarding(p, where)
}

func (t *topic) validate(p *problems, where string) {
	if count := len(t.Subscriptions); count > maxSubscriptions {
		p.add(where, "%d subscriptions; a topic has at most %d", count, maxSubscriptions)
	}
	taken := map[string]string{}
	for i, s := range t.Subscriptions {
		at := fmt.Sprintf("%s.Subscriptions[%d]", where, i)
		p.name(at, s.Name, maxPartName, taken)
		s.Properties.validate(p, at+".Properties")
		s.validateRules(p, at)
	}
}

func (e *entityProperties) validate(p *problems, where string) {
	p.ttl(where, e.DefaultMessageTimeToLive)
	if d := e.LockDuration; d != nil && (*d <= 0 || time.Duration(*d) > maxLock) {
		p.add(where+".LockDuration", "%v; want at most %v", time.Duration(*d), maxLock)
	}
	if n := e.MaxDeliveryCount; n != nil && (*n < 1 || *n > maxDeliveryCount) {
		p.add(where+".MaxDeliveryCount", "%d; want 1 to %d", *n, maxDeliveryCount)
	}
}

func (s *subscription) validateRules(p *problems, where string) {
	taken := map[string]string{}
	count := map[string]int{}
	for i, r := range s.Rules {
		at := fmt.Sprintf("%s.Rules[%d]", where, i)
		p.name(at, r.Name, maxPartName, taken)
		kind := strings.ToLower(r.Properties.FilterType)
		count[kind]++
		at += ".Properties"
		switch {
		case kind == correlationType && r.Properties.CorrelationFilter == nil:
			p.add(at, "FilterType is Correlation, and there is no CorrelationFilter")
		case kind == sqlType && r.Properties.SqlFilter == nil:
			p.add(at, "FilterType is Sql, and there is no SqlFilter")
		case kind != correlationType && kind != sqlType:
			p.add(at+".FilterType", "%q; want Correlation or Sql", r.Properties.FilterType)
		}
		if c := r.Properties.CorrelationFilter; c != nil {
			c.validate(p, at+".CorrelationFilter.Properties")
		}
	}
	if n := count[correlationType]; n > maxCorrelationFilters {
		p.add(where+".Rules", "%d correlation filters; a topic has at most %d", n, maxCorrelationFilters)
	}
	if n := count[sqlType]; n > maxSQLFilters {
		p.add(where+".Rules", "%d SQL filters; a topic has at most %d", n, maxSQLFilters)
	}
}

func (c *correlation) validate(p *problems, where string) {
	for key, value := range c.Properties {
		switch value.(type) {
		case string, float64, bool:
		default:
			p.add(where+"."+key, "want a string, a number or a truth value")
		}
	}
}

func (p *problems) ttl(where string, d *duration) {
	if d != nil && (*d <= 0 || time.Duration(*d) > maxTTL) {
		p.add(where+".DefaultMessageTimeToLive", "%v; want at most %v", time.Duration(*d), maxTTL)
	}
}

// window asks for what Service Bus does; the emulator's documentation has no limits of its own.
func (p *problems) window(where string, d *duration) {
	if d != nil && (time.Duration(*d) < 20*time.Second || time.Duration(*d) > 7*24*time.Hour) {
		p.add(where+".DuplicateDetectionHistoryTimeWindow", "%v; want 20s to 168h", time.Duration(*d))
	}
}

// name checks a name, and that no other one at its level is the same.
func (p *problems) name(where, name string, longest int, taken map[string]string) {
	where += ".Name"
	key := strings.ToLower(name)
	switch other, again := taken[key]; {
	case name == "":
		p.add(where, "missing")
		return
	case len(name) > longest:
		p.add(where, "%d characters; want at most %d", len(name), longest)
	case !wellFormed.MatchString(name) || longest == maxPartName && strings.Contains(name, "/"):
		p.add(where, "%q; want letters and digits, and inside also . _ -", name)
	case again:
		p.add(where, "%q is the name of %s too", name, other)
	}
	taken[key] = strings.TrimSuffix(where, ".Name")
}
