package broker

import (
	"fmt"
	"net/url"
	"strings"
)

// DeadLetterSuffix is the path segment of a dead-letter sub-queue; segments that start with "$" compare without case.
const DeadLetterSuffix = "$DeadLetterQueue"

// TransferSuffix is the path of the sub-queue for what could not be forwarded.
const TransferSuffix = "$Transfer/" + DeadLetterSuffix

const (
	subscriptionsSegment = "/Subscriptions/"
	maxPathLength        = 260 // Service Bus: entity path
	maxShortNameLength   = 50  // Service Bus: subscription and rule
)

// SubscriptionPath is the path of a subscription.
func SubscriptionPath(topic, name string) string { return topic + subscriptionsSegment + name }

// Resolve returns the store that an address names: queue, topic, subscription, or a sub-queue. Clients write
// addresses in several ways: bare, with a leading slash, or as a URL with any scheme and authority. All of it compares
// without case.
func (n *Namespace) Resolve(address string) (*Queue, error) {
	name := key(address)
	sub := ""
	for _, suffix := range []string{TransferSuffix, DeadLetterSuffix} { // the longer one first
		if entityName, found := strings.CutSuffix(name, "/"+strings.ToLower(suffix)); found {
			name, sub = entityName, suffix
			break
		}
	}
	n.mu.Lock()
	e := n.entities[name]
	n.mu.Unlock()
	if e == nil || e.kind == KindTopic && sub == DeadLetterSuffix {
		return nil, fmt.Errorf("%q: %w", address, ErrEntityNotFound)
	}
	switch sub {
	case DeadLetterSuffix:
		return e.dead, nil
	case TransferSuffix:
		return e.transferDead, nil
	}
	return e.main, nil
}

// key is what an address is compared by.
func key(address string) string { return strings.ToLower(EntityPath(address)) }

// EntityPath strips scheme, authority, surrounding slashes and URL escapes from an address.
func EntityPath(address string) string {
	if _, rest, isURL := strings.Cut(address, "://"); isURL {
		_, address, _ = strings.Cut(rest, "/")
		if unescaped, err := url.PathUnescape(address); err == nil {
			address = unescaped
		}
	}
	return strings.Trim(address, "/")
}

// validateName holds a name to the characters Service Bus allows, which also keeps "$" segments apart from names.
func validateName(name string) error {
	if strings.Trim(name, "/") != name {
		return invalid("name %q has a slash at an end", name)
	}
	return validateCharacters(name, maxPathLength, "/._-")
}

// validateShortName holds the name of a subscription or a rule to the characters Service Bus allows.
func validateShortName(name string) error {
	return validateCharacters(name, maxShortNameLength, "._-")
}

func validateCharacters(name string, limit int, others string) error {
	if name == "" || len(name) > limit {
		return invalid("name %q does not have 1 to %d characters", name, limit)
	}
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(others, r) {
			return invalid("character %q is not allowed in name %q", r, name)
		}
	}
	return nil
}
