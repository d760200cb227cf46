package broker

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAddressesOfAllSDKsNameTheSameQueue(t *testing.T) {
	t.Parallel()
	n := NewNamespace(false)
	q, err := n.CreateQueue("Team/Orders", Config{})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]*Queue{
		"team/orders":                               q,
		"/Team/Orders":                              q,
		"amqps://host:5671/team/orders":             q,
		"sb://host/team%2Forders/":                  q,
		"team/orders/$deadletterqueue":              q.DeadLetter(),
		"amqps://host/Team/Orders/$DeadLetterQueue": q.DeadLetter(),
	} {
		if got, err := n.Resolve(address); err != nil || got != want {
			t.Errorf("resolve %q: %v, %v", address, got, err)
		}
	}
	for address, want := range map[string]error{
		"other":     ErrEntityNotFound,
		"team":      ErrEntityNotFound,
		"":          ErrEntityNotFound,
		"sb://host": ErrEntityNotFound,
		"team/orders/$deadletterqueue/$deadletterqueue": ErrEntityNotFound,
		"team/orders/$Transfer":                         ErrEntityNotFound,
	} {
		if _, err := n.Resolve(address); !errors.Is(err, want) {
			t.Errorf("resolve %q returned %v, want %v", address, err, want)
		}
	}
}

func TestCreateQueueRefusesWhatItDoesNotEmulate(t *testing.T) {
	t.Parallel()
	n := NewNamespace(false)
	if _, err := n.CreateQueue("taken", Config{}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		queue string
		cfg   Config
		want  error // nil: any
	}{
		"taken name":          {queue: "TAKEN", want: ErrEntityExists},
		"empty name":          {queue: ""},
		"reserved segment":    {queue: "q/$DeadLetterQueue"},
		"outer slash":         {queue: "/q"},
		"long name":           {queue: strings.Repeat("q", 261)},
		"long lock":           {queue: "q", cfg: Config{LockDuration: 5*time.Minute + 1}},
		"negative lock":       {queue: "q", cfg: Config{LockDuration: -1}},
		"negative deliveries": {queue: "q", cfg: Config{MaxDeliveryCount: -1}},
		"negative ttl":        {queue: "q", cfg: Config{DefaultTTL: -1}},
		"negative size":       {queue: "q", cfg: Config{MaxMessageSize: -1}},
	} {
		_, err := n.CreateQueue(test.queue, test.cfg)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: create queue returned %v, want %v", name, err, test.want)
		}
	}
	if _, err := n.CreateQueue(strings.Repeat("q", 260), Config{LockDuration: 5 * time.Minute}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	n.Close()
	if _, err := n.CreateQueue("late", Config{}); !errors.Is(err, ErrClosed) {
		t.Errorf("create queue after close returned %v", err)
	}
}
