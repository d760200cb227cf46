package handler

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Scorecard: M3.
func TestABodyOf64KiBIsReadAndOneByteMoreIsNot(t *testing.T) {
	t.Parallel()
	request := `{"jobId": "nightly", "taskId": "t-1"}`
	for size, want := range map[int]string{MaxBody: "", MaxBody + 1: "body: 65537 bytes; at most 65536 are read"} {
		body := request + strings.Repeat(" ", size-len(request))
		_, err := DecodeRequest([]byte(body))
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
		event := `{"specversion":"1.0","id":"e","source":"s","type":"t","data":` + request + `}`
		event += strings.Repeat(" ", size-len(event))
		_, err = unwrap(Message{ContentType: cloudEventsMedia, Body: []byte(event)})
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("CloudEvent of %d bytes: %v, want %q", size, err, want)
		}
	}
}

// Each byte that a segment of a path could be changed with is refused, wherever it stands in an id.
func TestIDsHoldOnlyTheirGrammarsCharacters(t *testing.T) {
	t.Parallel()
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for c := range rune(0x250) {
		for _, id := range []string{string(c), "a" + string(c), string(c) + "a", "a" + string(c) + "a"} {
			_, err := DecodeRequest(fmt.Appendf(nil, `{"jobId": %s, "taskId": %s}`, jsonString(id), jsonString(id)))
			if ok := strings.ContainsRune(allowed, c); (err == nil) != ok {
				t.Errorf("id %q: %v", id, err)
			}
		}
	}
}

func jsonString(s string) string {
	var b strings.Builder
	for _, c := range s {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return `"` + b.String() + `"`
}

func TestETagsOf256BytesPass(t *testing.T) {
	t.Parallel()
	for n, ok := range map[int]bool{1: true, 256: true, 257: false} {
		_, err := DecodeRequest(message(`"ifMatch": "` + strings.Repeat("~", n) + `"`).Body)
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// All sixteen subsets of the conditions: Batch allows each alone and two pairs.
func TestConditionsCombineOnlyAsBatchAllows(t *testing.T) {
	t.Parallel()
	members := []string{`"ifMatch": "0x1"`, `"ifNoneMatch": "0x2"`, `"ifModifiedSince": "2026-01-31T17:00:00Z"`, `"ifUnmodifiedSince": "2026-01-31T17:00:00Z"`}
	legal := map[int]bool{0: true, 1: true, 2: true, 4: true, 8: true, 2 | 4: true, 1 | 8: true}
	for set := range 1 << len(members) {
		var chosen []string
		for i, member := range members {
			if set&(1<<i) != 0 {
				chosen = append(chosen, member)
			}
		}
		r, err := DecodeRequest(message(strings.Join(chosen, ", ")).Body)
		if (err == nil) != legal[set] {
			t.Errorf("%v: %v", chosen, err)
		}
		got := boolBit(r.IfMatch != "", 1) | boolBit(r.IfNoneMatch != "", 2) | boolBit(!r.IfModifiedSince.IsZero(), 4) | boolBit(!r.IfUnmodifiedSince.IsZero(), 8)
		if got != set {
			t.Errorf("%v: decoded %04b", chosen, got)
		}
	}
}

func boolBit(b bool, bit int) int {
	if b {
		return bit
	}
	return 0
}

func TestAMisspeltMemberIsAnsweredWithTheRightOne(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"timeout":     `"timeout": unknown member; did you mean timeOut?`,
		"IFMATCH":     `"IFMATCH": unknown member; did you mean ifMatch?`,
		"":            `"": unknown member`,
		"taskId ":     `"taskId ": unknown member`,
		"if\\nMatch":  `"if\nMatch": unknown member`,
		"zzz":         `"zzz": unknown member`,
		"ta\u017fkId": `"ta\u017fkId": unknown member; did you mean taskId?`,
	} {
		_, err := DecodeRequest(message(`"` + name + `": "x"`).Body)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

// The error does not depend on the order in which a map is walked.
func TestTheFirstUnknownMemberIsNamed(t *testing.T) {
	t.Parallel()
	for range 50 {
		_, err := DecodeRequest(message(`"z": 1, "b": 2, "a": 3, "y": 4`).Body)
		if err == nil || err.Error() != `"a": unknown member` {
			t.Fatalf("%v", err)
		}
	}
}

func TestALongHostileValueIsShownShort(t *testing.T) {
	t.Parallel()
	_, err := DecodeRequest([]byte(`{"jobId": "nightly", "taskId": "` + strings.Repeat("../", 20_000) + `"}`))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("%v", err)
	}
}

// envelope returns the attributes that CloudEvents 1.0 §3.1 requires.
func envelope(prefix string) map[string]any {
	return map[string]any{prefix + "specversion": "1.0", prefix + "id": "1", prefix + "source": "/scheduler", prefix + "type": "task.terminate"}
}

func TestCloudEventsInBinaryMode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		properties map[string]any
		want       string
	}{
		{"no envelope", nil, ""},
		{"colon", envelope("cloudEvents:"), ""},
		{"underscore", envelope("cloudEvents_"), ""},
		{"no id", map[string]any{"cloudEvents:specversion": "1.0", "cloudEvents_id": "1"}, "cloudEvents:id: required string"},
		{"empty source", map[string]any{"cloudEvents_specversion": "1.0", "cloudEvents_id": "1", "cloudEvents_source": ""}, "cloudEvents_source: required string"},
		{"number as type", map[string]any{"cloudEvents_specversion": "1.0", "cloudEvents_id": "1", "cloudEvents_source": "/s", "cloudEvents_type": 7}, "cloudEvents_type: required string"},
		{"someone else's property", map[string]any{"specversion": "0.3"}, ""},
		{"old", map[string]any{"cloudEvents:specversion": "0.3"}, `cloudEvents:specversion: want "1.0", got "0.3"`},
		{"old, underscore", map[string]any{"cloudEvents_specversion": "0.3"}, `cloudEvents_specversion: want "1.0", got "0.3"`},
		{"number", map[string]any{"cloudEvents:specversion": 1.0}, `cloudEvents:specversion: want "1.0", got "1"`},
		{"null", map[string]any{"cloudEvents_specversion": nil}, `cloudEvents_specversion: want "1.0", got "<nil>"`},
	}
	for _, tt := range tests {
		m := message("")
		m.ContentType, m.Properties = "application/json", tt.properties
		a := &account{t: t}
		if tt.want == "" {
			a.script = []answer{{call: terminate}}
		}
		r := newHandler(t, a).Handle(t.Context(), m)
		if want := map[bool]Outcome{true: Terminated, false: InvalidMessage}[tt.want == ""]; r.Outcome != want || r.Detail != tt.want {
			t.Errorf("%s: %v, %q; want %q", tt.name, r.Outcome, r.Detail, tt.want)
		}
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]Outcome{
		"": Terminated, "application/json": Terminated, "text/plain; charset=utf-8": Terminated, "application/vnd.contoso+json": Terminated,
		"Application/CloudEvents+JSON": InvalidMessage, // an envelope was promised, and there is none
		"application/cloudevents+json": InvalidMessage,
		"no media type; =":             InvalidMessage,
	} {
		m := message("")
		m.ContentType = contentType
		r := newHandler(t, &account{t: t, script: []answer{{call: terminate}}}).Handle(t.Context(), m)
		if r.Outcome != want || (want == Terminated) != (r.Detail == "") {
			t.Errorf("%q: %v, %q", contentType, r.Outcome, r.Detail)
		}
	}
}

func TestAConfigurationWithoutItsDefaultAccountIsRefused(t *testing.T) {
	t.Parallel()
	a := &account{t: t}
	_, err := New(Config{Accounts: map[string]Account{contoso: a}, Default: fabrikam, Retry: DefaultRetry})
	checkNames(t, err, "handler: ", fabrikam)
	_, err = New(Config{Accounts: map[string]Account{contoso: a}, Default: contoso, Retry: Retry{Attempts: 1, Initial: 1, Max: 1, Budget: time.Nanosecond}})
	if err != nil {
		t.Errorf("the least settings: %v", err)
	}
}
