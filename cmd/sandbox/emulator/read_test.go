package emulator

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

func readGood(t *testing.T, text string) Config {
	t.Helper()
	c, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/config.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileBecomesEntities(t *testing.T) {
	t.Parallel()
	c := readGood(t, "\ufeff"+sample(t))
	want := []string{"orders", "failed", "Sessions/a.b-c_d", "events", "events/Subscriptions/all", "events/Subscriptions/vip"}
	if diff := cmp.Diff(want, c.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	s := servicebustest.New(t, c.Options()...)
	long := 2 * time.Hour
	for queue, ttl := range map[string]time.Duration{"orders": 30 * time.Minute, "failed": time.Hour} {
		q := s.Queue(queue)
		if _, err := q.Send(servicebustest.Message{ID: "1", TTL: long}, servicebustest.Message{ID: "1", TTL: long}); err != nil {
			t.Fatal(err)
		}
		got := q.Messages()
		// orders detects duplicates, failed does not.
		if want := map[string]int{"orders": 1, "failed": 2}[queue]; len(got) != want {
			t.Fatalf("%s has %d messages, want %d", queue, len(got), want)
		}
		if lives := got[0].ExpiresAt.Sub(got[0].EnqueuedAt); lives != ttl {
			t.Errorf("a message in %s lives for %v, want %v", queue, lives, ttl)
		}
	}
	matching := servicebustest.Message{
		ID: "msgid1", ContentType: "application/text", CorrelationID: "id1", Subject: "subject1", ReplyTo: "someQueue", To: "xyz",
		Properties: map[string]any{"tier": "gold", "rank": 1, "paid": true},
	}
	if _, err := s.Topic("events").Send(matching, servicebustest.Message{ID: "2", To: "// no comment, /* neither */"}); err != nil {
		t.Fatal(err)
	}
	if got := len(s.Subscription("events", "all").Messages()); got != 2 {
		t.Errorf("%d messages in a subscription without rules, want 2", got)
	}
	// Of the two, the first lacks a session; the other is let in, changed and forwarded.
	forwarded := s.Queue("failed").Messages()
	if len(forwarded) != 3 || forwarded[2].ID != "2" || forwarded[2].Properties["seen"] != "yes" {
		t.Errorf("forwarded: %+v", forwarded)
	}
}

// namespace wraps what a test is about.
func inNamespace(text string) string {
	return `{"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", ` + text + `}], "Logging": {"Type": "File"}}}`
}

func TestDefaultsAreTheEmulators(t *testing.T) {
	t.Parallel()
	c := readGood(t, inNamespace(`"Queues": [{"Name": "q"}], "Topics": [{"Name": "t", "Subscriptions": [{"Name": "s"}]}]`))
	if got := len(c.Options()); got != 3 {
		t.Fatalf("%d options", got)
	}
	if got := c.namespace.Queues[0].Properties.deliveries(); got != 3 {
		t.Errorf("%d deliveries, want 3", got)
	}
	q := servicebustest.New(t, c.Options()...).Queue("q")
	if _, err := q.Send(servicebustest.Message{}); err != nil {
		t.Fatal(err)
	}
	if m := q.Messages()[0]; m.ExpiresAt.Sub(m.EnqueuedAt) != time.Hour {
		t.Errorf("a message lives until %v, want an hour", m.ExpiresAt)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	t.Parallel()
	queue := func(properties string) string {
		return inNamespace(`"Queues": [{"Name": "a"}, {"Name": "q", "Properties": {` + properties + `}}]`)
	}
	rules := func(properties string) string {
		return inNamespace(`"Topics": [{"Name": "t", "Subscriptions": [{"Name": "s", "Rules": [{"Name": "r", "Properties": {` + properties + `}}]}]}]`)
	}
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`{"Name": "q` + strings.Repeat("x", i) + `"},`)
		}
		return b.String()
	}
	const q1 = "UserConfig.Namespaces[0].Queues[1].Properties."
	const r0 = "UserConfig.Namespaces[0].Topics[0].Subscriptions[0].Rules[0].Properties"
	for name, test := range map[string]struct{ text, want string }{
		"empty":           {``, "EOF"},
		"cut":             {"{\n\n\"UserConfig\": ", "line 3: "},
		"syntax":          {"{\n// c\n\"UserConfig\" 1}", "line 3: "},
		"unknown key":     {queue(`"LockDuratoin": "PT1M"`), q1 + "LockDuratoin: unknown key"},
		"key twice":       {queue(`"LockDuration": "PT1M", "LockDuration": "PT2M"`), q1 + "LockDuration: the key is there twice"},
		"wrong type":      {queue(`"MaxDeliveryCount": "3"`), q1 + "MaxDeliveryCount: "},
		"not a duration":  {queue(`"LockDuration": "1m"`), q1 + `LockDuration: "1m" is not a duration like PT1H30M or P1D`},
		"months":          {queue(`"LockDuration": "P1M"`), "is not a duration"},
		"lock":            {queue(`"LockDuration": "PT5M1S"`), q1 + "LockDuration: 5m1s; want at most 5m0s"},
		"no lock":         {queue(`"LockDuration": "PT0S"`), q1 + "LockDuration: 0s"},
		"deliveries":      {queue(`"MaxDeliveryCount": 11`), q1 + "MaxDeliveryCount: 11; want 1 to 10"},
		"ttl":             {queue(`"DefaultMessageTimeToLive": "PT61M"`), q1 + "DefaultMessageTimeToLive: 1h1m0s; want at most 1h0m0s"},
		"window":          {queue(`"DuplicateDetectionHistoryTimeWindow": "PT1S"`), q1 + "DuplicateDetectionHistoryTimeWindow: 1s; want 20s"},
		"no target":       {queue(`"ForwardTo": "elsewhere"`), q1 + `ForwardTo: no queue or topic has the name "elsewhere"`},
		"itself":          {queue(`"ForwardTo": "Q"`), "the queues forward in a circle"},
		"namespaces":      {`{"UserConfig": {"Namespaces": []}}`, "UserConfig.Namespaces: 0 namespaces; the emulator has exactly one"},
		"logging":         {`{"UserConfig": {"Namespaces": [{"Name": "n"}], "Logging": {"Type": "File,Cloud"}}}`, `UserConfig.Logging.Type: "Cloud"`},
		"no name":         {inNamespace(`"Queues": [{}]`), "UserConfig.Namespaces[0].Queues[0].Name: missing"},
		"bad name":        {inNamespace(`"Queues": [{"Name": "a%sb"}]`), `Queues[0].Name: "a%sb"; want letters and digits`},
		"name ends badly": {inNamespace(`"Queues": [{"Name": "a/"}]`), `Queues[0].Name: "a/"`},
		"taken name":      {inNamespace(`"Queues": [{"Name": "a"}], "Topics": [{"Name": "A"}]`), `Topics[0].Name: "A" is the name of UserConfig.Namespaces[0].Queues[0] too`},
		"slash":           {inNamespace(`"Topics": [{"Name": "t", "Subscriptions": [{"Name": "a/b"}]}]`), `Topics[0].Subscriptions[0].Name: "a/b"`},
		"too many":        {inNamespace(`"Queues": [` + many(51) + `]`), "UserConfig.Namespaces[0]: 51 queues and topics; the emulator has at most 50"},
		"too many below":  {inNamespace(`"Topics": [{"Name": "t", "Subscriptions": [` + many(51) + `]}]`), "Topics[0]: 51 subscriptions"},
		"topic's ttl":     {inNamespace(`"Topics": [{"Name": "t", "Properties": {"DefaultMessageTimeToLive": "P1D"}}]`), "Topics[0].Properties.DefaultMessageTimeToLive: 24h"},
		"filter type":     {rules(`"FilterType": "Regex"`), r0 + `.FilterType: "Regex"; want Correlation or Sql`},
		"no filter":       {rules(`"FilterType": "Sql"`), r0 + ": FilterType is Sql, and there is no SqlFilter"},
		"odd value":       {rules(`"FilterType": "correlation", "CorrelationFilter": {"Properties": {"a": []}}`), r0 + ".CorrelationFilter.Properties.a: want a string"},
	} {
		_, err := Read(strings.NewReader(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Read(strings.NewReader(inNamespace(`"Queues": [{"Name": "a b"}, {"Name": "q", "Properties": {"MaxDeliveryCount": 0, "LockDuration": "PT1H"}}]`)))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v; want three lines", err)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT1M": time.Minute, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "PT0S": 0,
		"": -1, "P": -1, "PT": -1, "P1DT": -1, "1M": -1, "-PT1M": -1, "PT1M ": -1, "P1Y": -1, "PT1.5M": -1, "P10675199DT2H": -1,
	} {
		var got duration
		err := got.UnmarshalText([]byte(text))
		if (err != nil) != (want < 0) || err == nil && time.Duration(got) != want {
			t.Errorf("%q: %v, %v; want %v", text, time.Duration(got), err, want)
		}
	}
}

func TestCommentsAndTrailingCommasAreBlankedInPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a": 1, }`:              `{"a": 1  }`,
		`[1,/*x,*/]`:              `[1       ]`,
		"[1, // c\n 2]":           "[1,     \n 2]",
		"/* a\nb */1":             "    \n    1",
		`"a,]//\" /* b"`:          `"a,]//\" /* b"`,
		`["a",]`:                  `["a" ]`,
		`[1,,]`:                   `[1, ]`, // still wrong
		`/* open`:                 `/* open`,
		`/`:                       `/`,
		`"open`:                   `"open`,
		`"open\`:                  `"open\`,
		`//`:                      `  `,
		`{"a": 1, /* c */ "b":2}`: `{"a": 1,         "b":2}`,
	} {
		if got := string(standard([]byte(text))); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Whatever the file holds, it is read without a panic, and what was found good makes a server or says why not.
func FuzzRead(f *testing.F) {
	text, err := os.ReadFile("testdata/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for _, seed := range []string{"", "{}", "/*", `{"UserConfig":{"Namespaces":[{"Name":"n","Queues":[{"Name":"q"}]}]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(standard([]byte(text))) != len(text) {
			t.Fatal("a byte has moved")
		}
		c, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		s, err := servicebustest.Start(c.Options()...)
		if err != nil {
			return // the text of a rule, say, is the server's to judge
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
