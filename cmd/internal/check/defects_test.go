package check

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// names are the checks of one endpoint, in their order: scripts may go by them.
var names = []string{
	"settings", "grace", "listen",
	"servicebus-token", "servicebus-network", "servicebus-receive", "servicebus-send", "scaler", "entity",
	"lock-duration", "max-delivery-count", "time-to-live", "duplicate-detection",
	"batch-token", "batch-network", "batch-read", "batch-terminate", "clock",
}

type statuses map[string]Status

func skips(names ...string) statuses {
	s := statuses{}
	for _, n := range names {
		s[n] = Skip
	}
	return s
}

func (s statuses) and(name string, status Status) statuses {
	s[name] = status
	return s
}

// defect is one thing that is wrong, and every check that does not pass because of it.
type defect struct {
	before, after func(*rig)
	want          statuses
	// says is in the line of the first check that did not pass.
	says string
}

var everySetting = []string{"entity", "lock-duration", "max-delivery-count", "time-to-live", "duplicate-detection"}

func rights(rights ...servicebustest.Right) func(*rig) {
	return func(r *rig) {
		r.key = "rule"
		r.options = append(r.options, servicebustest.WithSharedAccessRule("rule", "c2VjcmV0a2V5", rights...))
	}
}

func batchAnswers(f batchtest.Fault, options ...batchtest.FaultOption) func(*rig) {
	return func(r *rig) { r.account.OnNext(f, append(options, batchtest.Keep())...) }
}

// dated has every answer of Batch tell a time that is off.
func dated(off time.Duration) func(*rig) {
	return func(r *rig) {
		send := r.send
		r.send = func(req *http.Request) (*http.Response, error) {
			resp, err := send(req)
			if err == nil {
				resp.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			}
			return resp, err
		}
	}
}

// afterReach has a fault strike all that is asked after the first look at the account.
func afterReach(f batchtest.Fault) func(*rig) {
	return func(r *rig) {
		r.account.OnNext(batchtest.Delay(0))
		r.account.OnNext(f, batchtest.Keep())
	}
}

var defects = map[string]defect{
	"nothing": {want: statuses{}},

	"an address that is not ours":       {before: func(r *rig) { r.settings.Operation.Listen = "192.0.2.1:9090" }, want: statuses{"listen": Fail}},
	"no address":                        {before: func(r *rig) { r.settings.Operation.Listen = "" }, want: statuses{"listen": Warn}},
	"probes that cannot get in":         {before: func(r *rig) { r.deployed = true }, want: statuses{"listen": Fail}, says: "do not reach 127.0.0.1"},
	"more grace than there is":          {before: func(r *rig) { r.settings.Worker.Grace = time.Hour }, want: statuses{"grace": Warn}},
	"locks given up before the work is": {before: func(r *rig) { r.settings.Worker.MaxLock = 50 * time.Second }, want: statuses{"lock-duration": Fail}, says: "1m35s"},

	"no identity": {
		before: func(r *rig) { r.credential.err = errors.New("DefaultAzureCredential:\n\tno \x1b[31mluck") },
		want:   skips(append(everySetting, "servicebus-receive", "servicebus-send", "scaler", "batch-read", "batch-terminate")...).and("servicebus-token", Fail).and("batch-token", Fail),
		says:   "DefaultAzureCredential: no ?[31mluck",
	},
	"an identity service that is silent": {
		before: func(r *rig) { r.credential.hangs = true },
		want:   skips(append(everySetting, "servicebus-receive", "servicebus-send", "scaler", "batch-read", "batch-terminate")...).and("servicebus-token", Fail).and("batch-token", Fail),
	},
	"tokens of the past": {
		before: func(r *rig) { r.credential.valid = -time.Minute },
		want:   skips(append(everySetting, "servicebus-receive", "servicebus-send", "scaler", "batch-read", "batch-terminate")...).and("servicebus-token", Fail).and("batch-token", Fail),
	},

	"a namespace that does not exist": {
		after: func(r *rig) {
			r.target.Dial = func(context.Context) (net.Conn, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "acme.servicebus.windows.net", IsNotFound: true}
			}
		},
		want: skips(append(everySetting, "servicebus-receive", "servicebus-send", "scaler")...).and("servicebus-network", Fail),
		says: "no such host",
	},
	"a network that lets nothing out": {
		after: func(r *rig) {
			r.target.Dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		want: skips(append(everySetting, "servicebus-receive", "servicebus-send", "scaler")...).and("servicebus-network", Fail),
	},
	"no right to receive": {before: rights(servicebustest.RightSend, servicebustest.RightManage), want: statuses{"servicebus-receive": Fail}, says: "Data Receiver"},
	"no right to send":    {before: rights(servicebustest.RightListen, servicebustest.RightManage), want: statuses{"servicebus-send": Warn}, says: "Data Sender"},
	"no right to manage": {
		before: rights(servicebustest.RightListen, servicebustest.RightSend),
		want:   skips(everySetting...).and("scaler", Warn), says: "KEDA",
	},
	"a key that is wrong": {
		before: func(r *rig) { r.key = "stranger"; rights()(r); r.key = "stranger" },
		want:   skips(everySetting...).and("servicebus-receive", Fail).and("servicebus-send", Warn).and("scaler", Warn),
	},
	"no such queue": {
		after: func(r *rig) { r.target.Queue = "typo" },
		want:  skips(append(everySetting, "servicebus-send", "scaler")...).and("servicebus-receive", Fail), says: "--queue (SERVICEBUS_QUEUE)",
	},
	"a queue that is disabled": {
		after: func(r *rig) { _ = r.bus.SetStatus(r.target.Queue, servicebustest.StatusDisabled) },
		want:  statuses{"servicebus-receive": Fail, "servicebus-send": Warn, "entity": Fail}, says: "Active",
	},
	"a queue that gives nothing": {
		after: func(r *rig) { _ = r.bus.SetStatus(r.target.Queue, servicebustest.StatusReceiveDisabled) },
		want:  statuses{"servicebus-receive": Fail, "entity": Fail},
	},
	"a queue that takes nothing": {
		after: func(r *rig) { _ = r.bus.SetStatus(r.target.Queue, servicebustest.StatusSendDisabled) },
		want:  statuses{"servicebus-send": Warn, "entity": Warn},
	},
	"sessions": {before: func(r *rig) { r.queue.RequiresSession = true }, want: statuses{"servicebus-receive": Fail, "entity": Fail}, says: "sessions"},
	"forwarding": {
		before: func(r *rig) {
			r.options = []servicebustest.Option{
				servicebustest.WithQueue("other", servicebustest.QueueConfig{}),
				servicebustest.WithQueue("forwards", servicebustest.QueueConfig{ForwardTo: "other", DeadLetterOnExpiration: true, RequiresDuplicateDetection: true}),
			}
		},
		after: func(r *rig) { r.target.Queue = "forwards" },
		want:  statuses{"servicebus-receive": Fail, "entity": Fail},
	},
	"a broker that is busy": {
		after: func(r *rig) { r.bus.OnNext(servicebustest.Attach, servicebustest.ServerBusy(), servicebustest.Keep()) },
		want:  statuses{"servicebus-receive": Warn, "servicebus-send": Warn},
	},
	"a broker that answers nothing": {
		after: func(r *rig) { r.bus.OnNext(servicebustest.CBS, servicebustest.Swallow(), servicebustest.Keep()) },
		want:  statuses{"servicebus-receive": Fail, "servicebus-send": Fail},
	},

	"a short lock":                     {before: func(r *rig) { r.queue.LockDuration = 20 * time.Second }, want: statuses{"lock-duration": Warn}, says: "22s"},
	"one delivery":                     {before: func(r *rig) { r.queue.MaxDeliveryCount = 1 }, want: statuses{"max-delivery-count": Fail}},
	"another delivery count":           {before: func(r *rig) { r.queue.MaxDeliveryCount = 12 }, want: statuses{"max-delivery-count": Warn}, says: "the queue has 12 and the worker goes by 10"},
	"too few deliveries":               {before: func(r *rig) { r.queue.MaxDeliveryCount, r.settings.Worker.MaxDeliveryCount = 5, 5 }, want: statuses{"max-delivery-count": Warn}},
	"a life shorter than the retries":  {before: func(r *rig) { r.queue.DefaultTTL = time.Hour }, want: statuses{"time-to-live": Warn}, says: "1h"},
	"expiry without a dead letter":     {before: func(r *rig) { r.queue.DeadLetterOnExpiration = false }, want: statuses{"time-to-live": Warn}},
	"the queue's own expiry without":   {before: func(r *rig) { r.queue.DeadLetterOnExpiration, r.queue.DefaultTTL = false, 48*time.Hour }, want: statuses{"time-to-live": Fail}},
	"no duplicate detection":           {before: func(r *rig) { r.queue.RequiresDuplicateDetection = false }, want: statuses{"duplicate-detection": Warn}},
	"duplicate detection over no time": {before: func(r *rig) { r.queue.DuplicateDetectionWindow = 20 * time.Second }, want: statuses{"duplicate-detection": Warn}},

	"tokens that Batch refuses": {
		before: func(r *rig) { r.account.AcceptTokens(func(string) bool { return false }) },
		want:   skips("batch-terminate").and("batch-read", Fail), says: "Job Submitter",
	},
	"no right to terminate": {
		before: batchAnswers(batchtest.Status(403, "InsufficientAccountPermissions", -1), batchtest.ForOperation(batchtest.TerminateTask)),
		want:   statuses{"batch-terminate": Fail}, says: "Job Submitter",
	},
	"a network rule of the account":   {before: batchAnswers(batchtest.Status(403, "AuthorizationFailure", -1)), want: skips("batch-terminate").and("batch-read", Fail)},
	"an account that is disabled":     {before: afterReach(batchtest.Status(403, "AccountIsDisabled", -1)), want: skips("batch-terminate").and("batch-read", Fail), says: "enable the account"},
	"a version that Batch has not":    {before: afterReach(batchtest.Status(400, "UnsupportedRequestVersion", -1)), want: skips("batch-terminate").and("batch-read", Fail), says: "BATCH_API_VERSION"},
	"a portal in place of Batch":      {before: batchAnswers(batchtest.HTML(200)), want: skips("batch-read", "batch-terminate").and("batch-network", Fail), says: "something other than Batch"},
	"a proxy that knows no such page": {before: batchAnswers(batchtest.HTML(404)), want: skips("batch-read", "batch-terminate").and("batch-network", Fail)},
	"a redirect":                      {before: batchAnswers(batchtest.Redirect("https://example.org/")), want: skips("batch-read", "batch-terminate").and("batch-network", Fail)},
	"Batch in an outage":              {before: batchAnswers(batchtest.Status(503, "ServerBusy", time.Second)), want: statuses{"batch-read": Warn, "batch-terminate": Warn}, says: "nothing about rights"},
	"Batch that answers nothing":      {before: batchAnswers(batchtest.Hang()), want: skips("batch-read", "batch-terminate").and("batch-network", Fail)},
	"something that says yes": {
		before: func(r *rig) { r.account = batchtest.New(batchtest.AutoCreate()) },
		want:   skips("batch-terminate").and("batch-read", Fail), says: "this is not Batch",
	},
	"an account that does not exist": {
		after: func(r *rig) {
			r.send = func(*http.Request) (*http.Response, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "contoso.westeurope.batch.azure.com", IsNotFound: true}
			}
		},
		want: skips("batch-read", "batch-terminate").and("batch-network", Fail), says: "DNS zone",
	},
	"an account behind a closed port": {
		after: func(r *rig) {
			r.send = func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			}
		},
		want: skips("batch-read", "batch-terminate").and("batch-network", Fail), says: "port 443",
	},

	"a clock that is a little ahead": {after: dated(-30 * time.Second), want: statuses{"clock": Warn}, says: "ahead"},
	"a clock that is far ahead":      {after: dated(-20 * time.Minute), want: statuses{"clock": Fail}},
	"a clock behind half the lock":   {after: dated(40 * time.Second), want: statuses{"clock": Fail}, says: "behind"},
	"a clock that is a second off":   {after: dated(time.Second), want: statuses{}},
}

// Each defect fails or warns in the check that is about it, with what to do, and in no other.
//
// Scorecard: R25.
func TestOneDefectShowsInItsOwnCheck(t *testing.T) {
	t.Parallel()
	for name, d := range defects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, d.before, d.after, func(t *testing.T, r *rig, report Report) {
				got, said := statuses{}, ""
				for _, c := range report.Checks {
					if c.Status == Pass {
						continue
					}
					got[c.Name] = c.Status
					if c.Status != Skip && said == "" {
						said = c.Detail + " → " + c.Action
					}
					if (c.Action == "") != (c.Status == Skip) || c.Detail == "" {
						t.Errorf("%s does not say what to do: %+v", c.Name, c)
					}
				}
				if diff := cmp.Diff(d.want, got); diff != "" || !strings.Contains(said, d.says) {
					t.Errorf("(-want +got):\n%s\nfirst: %s; want %q in it\n%+v", diff, said, d.says, report)
				}
				r.leftAlone(t)
			})
		})
	}
}

// leftAlone asks the ledgers of both services: whatever was wrong, nothing was changed.
func (r *rig) leftAlone(t *testing.T) {
	t.Helper()
	if strays := r.account.Strays(); len(strays) > 0 {
		t.Errorf("Batch was asked for %+v", strays)
	}
	for _, c := range r.account.Calls() {
		if c.Operation == batchtest.TerminateTask && (c.Header.Get("If-Match") == "" || !strings.HasPrefix(c.TaskID, "batch-terminator-check-")) {
			t.Errorf("a terminate that could meet a task: %+v", c)
		}
	}
	if q := r.bus.Queue("terminate-requests"); q.MaxLocked() > 0 || len(q.Ledger()) > 0 {
		t.Errorf("%d messages were locked, history %+v", q.MaxLocked(), q.Ledger())
	}
}

func TestEveryCheckIsMadeInItsOrder(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"nothing", "no identity", "no such queue", "no right to manage", "Batch that answers nothing"} {
		inBubble(t, defects[key].before, defects[key].after, func(t *testing.T, _ *rig, report Report) {
			var got []string
			for _, c := range report.Checks {
				got = append(got, c.Name)
			}
			if !slices.Equal(got, names) {
				t.Errorf("%s: %q", key, got)
			}
		})
	}
}

func TestEveryCheckIsBrokenByADefect(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{"settings": true} // wrong ones stop it before it begins
	for _, d := range defects {
		for name, status := range d.want {
			broken[name] = broken[name] || status != Skip
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return broken[n] }); len(missing) > 0 {
		t.Errorf("no defect for %q", missing)
	}
	if len(broken) != len(names) {
		t.Errorf("defects name %q", slices.Sorted(maps.Keys(broken)))
	}
}
