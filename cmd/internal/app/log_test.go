package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/worker"
)

// logged returns what a logger of the form writes in log.
func logged(t *testing.T, format string, log func(*zap.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	l, err := NewLogger("debug", format, &out)
	if err != nil {
		t.Fatal(err)
	}
	log(l)
	return out.String()
}

// hostile is what a sender may put into an id or a text to make the log say something else.
var hostile = map[string]string{
	"newline":            "id\n{\"level\":\"info\",\"msg\":\"delivery\",\"outcome\":\"terminated\"}",
	"carriage return":    "id\rWARN",
	"escape":             "\x1b[2J\x1b[31mgone\x1b]0;title\a",
	"eight-bit escape":   "\u009b2J\u0085next",
	"delete, backspaces": "secret\b\b\b\x7f",
	"quotes":             `"},{"outcome":"terminated`,
	"invalid UTF-8":      "\xff\xfe\xc2",
	"other line ends":    "a\u2028b\u2029c\vd\fe",
	"direction":          "\u202egnp.exe\u2066",
	"not one plane":      "\U000e0041\U0001f600",
	"nul":                "a\x00b",
	"long":               strings.Repeat("x", 10<<10),
	"forged columns":     "terminated  job/task outcome=terminated",
}

// harmlessLine fails unless the text is one line that acts on no terminal.
func harmlessLine(t *testing.T, text string) {
	t.Helper()
	body, ended := strings.CutSuffix(text, "\n")
	if !ended || !utf8.ValidString(body) {
		t.Errorf("not one line of UTF-8: %q", text)
	}
	for _, r := range body {
		if r != ' ' && !unicode.IsPrint(r) {
			t.Errorf("%U in %q", r, text)
			return
		}
	}
}

func TestNothingInAFieldBreaksItsLine(t *testing.T) {
	t.Parallel()
	for name, text := range hostile {
		for _, format := range logFormats {
			t.Run(format+" "+name, func(t *testing.T) {
				t.Parallel()
				line := logged(t, format, func(l *zap.Logger) {
					l.With(zap.String("replica", text)).Warn("delivery", zap.String("message_id", text), zap.String("reason", text), zap.String("requested_by", text),
						zap.String("job_id", text), zap.String("task_id", text), zap.String("outcome", text), zap.String("detail", text),
						zap.Strings("list", []string{text}), zap.Any(text, map[string]string{text: text}))
				})
				harmlessLine(t, line)
				harmlessLine(t, logged(t, format, func(l *zap.Logger) { l.Info(text, zap.ByteString("bytes", []byte(text))) }))
				if format != "json" {
					return
				}
				var fields map[string]any
				if err := json.Unmarshal([]byte(line), &fields); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				// Escaped and not cut out: who reads the JSON gets what was sent, but for bytes that are no text.
				if want := strings.ToValidUTF8(strings.ReplaceAll(text, "\xfe\xc2", "\ufffd\ufffd"), "\ufffd"); fields["reason"] != want {
					t.Errorf("reason %q, want %q", fields["reason"], want)
				}
			})
		}
	}
}

// deliver is a delivery's line with the fields that package worker writes.
func deliver(l *zap.Logger, fields ...zap.Field) {
	l.Info("delivery", append([]zap.Field{zap.String("message_id", "m-1"), zap.Int("delivery_count", 1), zap.String("outcome", "terminated"),
		zap.String("settlement", "complete"), zap.String("job_id", "nightly"), zap.String("task_id", "frame-1"), zap.String("code", ""),
		zap.Int("redeliveries", 0), zap.Duration("took", 212345678)}, fields...)...)
}

func TestConsoleFormSaysFirstWhatAPersonLooksFor(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 50, 44, 123456789, time.Local)
	for want, log := range map[string]func(*zap.Logger){
		"12:50:44.123 INFO  terminated         nightly/frame-1                212ms  message_id=m-1 delivery_count=1 settlement=complete\n": func(l *zap.Logger) {
			deliver(l)
		},
		"12:50:44.123 WARN  invalid_message    -                               15µs  \"taskId: required\"  message_id=\"m 1\"\n": func(l *zap.Logger) {
			l.Warn("delivery", zap.String("outcome", "invalid_message"), zap.String("job_id", ""), zap.Duration("took", 15*time.Microsecond),
				zap.String("message_id", "m 1"), zap.String("detail", "taskId: required"))
		},
		"12:50:44.123 ERROR connection failed; trying again  replica=r-1 during=connect in=1.23s retry=false error=\"dial tcp: refused\" n=[1,2] back=13:00:00.000\n": func(l *zap.Logger) {
			l.With(zap.String("replica", "r-1")).Error("connection failed; trying again", zap.String("during", "connect"), zap.Duration("in", 1234567890),
				zap.Bool("retry", false), zap.String("error", "dial tcp: refused"), zap.Ints("n", []int{1, 2}), zap.Time("back", time.Date(2026, 1, 31, 13, 0, 0, 0, time.Local)))
		},
		"12:50:44.123 INFO  starting\n": func(l *zap.Logger) { l.Info("starting") },
	} {
		got := logged(t, "console", func(l *zap.Logger) { log(l.WithOptions(zap.WithClock(stopped(at)))) })
		if got != want {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
	}
}

// stopped is a clock.
type stopped time.Time

func (s stopped) Now() time.Time                       { return time.Time(s) }
func (stopped) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// P10: whatever else is left out. One of the repeated texts is one that zap's sampler takes for a delivery's.
func TestOnlyRepeatedNoiseIsLeftOut(t *testing.T) {
	t.Parallel()
	const n = 5_000
	twin := collision(t, "delivery")
	out := logged(t, "json", func(l *zap.Logger) {
		l = l.WithOptions(zap.WithClock(stopped(time.Now()))).With(zap.String("replica", "r-1"))
		connection := l.Named(worker.ConnectionLog)
		for range n {
			deliver(l)
			l.Warn("lock lost during the work; the next delivery decides")
			connection.Info("connection to Service Bus failed; trying again")
			connection.Info(twin)
		}
		connection.Warn("of another level")
	})
	lines := strings.SplitAfter(out, "\n")
	count := map[string]int{}
	left := 0
	for _, line := range lines[:len(lines)-1] {
		var entry struct {
			Message string `json:"msg"`
			Left    int    `json:"lines_left_out"`
			Replica string `json:"replica"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Replica != "r-1" {
			t.Fatalf("%v: %s", err, line)
		}
		count[entry.Message]++
		left += entry.Left
	}
	if count["delivery"] != n || count["lock lost during the work; the next delivery decides"] != n {
		t.Errorf("%d deliveries and %d lost locks are in the log, want all %d", count["delivery"], count["lock lost during the work; the next delivery decides"], n)
	}
	kept := sampleFirst + (n-sampleFirst)/sampleEach
	if count["connection to Service Bus failed; trying again"] != kept || count[twin] != kept || count["of another level"] != 1 {
		t.Errorf("repeated lines: %v, want %d of each", count, kept)
	}
	if left != 2*(n-kept) {
		t.Errorf("the log says that %d lines were left out, want %d", left, 2*(n-kept))
	}
}

// collision returns another text that zap's sampler counts together with this one: it keeps 4,096 counters by FNV-1a.
func collision(t *testing.T, text string) string {
	hash := func(s string) uint32 {
		h := uint32(2166136261)
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * 16777619
		}
		return h % 4096
	}
	for i := range 1 << 20 {
		if other := fmt.Sprint("receiving ", i); hash(other) == hash(text) {
			return other
		}
	}
	t.Fatal("none found")
	return ""
}

func TestLinesOfTheSDKHoldNoCredentialAndNoBody(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwcyJ9.c2lnbmF0dXJl"
	for _, text := range []string{
		"==> OUTGOING REQUEST (Try=1)\n   POST https://acme/jobs\n   Authorization: Bearer " + jwt,
		"token is " + jwt, "SharedAccessKey=c2VjcmV0;EntityPath=q", "SharedAccessSignature sr=x&sig=c2VjcmV0%3D&se=1", `{"access_token":"c2VjcmV0"}`,
		"client_secret=c2VjcmV0&x=y", "client_assertion=" + jwt, "authorization: bearer c2VjcmV0", `"password": "c2VjcmV0"`,
	} {
		out := logged(t, "json", func(l *zap.Logger) { sdkListener(l)(azlog.EventRequest, text) })
		harmlessLine(t, out)
		if strings.Contains(out, "c2VjcmV0") || strings.Contains(out, "eyJ") || strings.Contains(out, "c2lnbmF0dXJl") || !strings.Contains(out, "REDACTED") {
			t.Errorf("%q became %s", text, out)
		}
	}
	if out := logged(t, "json", func(l *zap.Logger) { sdkListener(l)(azlog.EventResponseError, "with a body") }); out != "" {
		t.Errorf("wrote %s", out)
	}
	if out := logged(t, "json", func(l *zap.Logger) { sdkListener(l)("x", strings.Repeat("long ", 10<<10)) }); len(out) > 3<<10 || !strings.Contains(out, `..."`) {
		t.Errorf("%d bytes of log for a long text", len(out))
	}
	log := zap.New(zapcore.NewCore(newJSONEncoder(), zapcore.AddSync(&bytes.Buffer{}), zap.InfoLevel))
	BridgeSDKLog(log) // above debug the SDK has no listener to render lines for, which would be set under the feet of other tests
}
