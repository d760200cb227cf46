package check

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// The promise of the whole command: it looks, and touches nothing.
func TestChecksTouchNoMessageAndNoTask(t *testing.T) {
	t.Parallel()
	arrange := func(r *rig) {
		r.account.AddTask("nightly", "frame-1", batchtest.TaskRunning)
		if _, err := r.bus.Queue(app.DefaultQueue).Send(servicebustest.Message{ID: "m", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	inBubble(t, nil, arrange, func(t *testing.T, r *rig, report Report) {
		if report.Status != Pass {
			t.Fatalf("%+v", report)
		}
		if s := find(t, report, "servicebus-receive").Detail + find(t, report, "scaler").Detail; !strings.Contains(s, "messages wait") || !strings.Contains(s, "1 active") {
			t.Errorf("the message was not seen: %s", s)
		}
		q := r.bus.Queue(app.DefaultQueue)
		if m := q.Messages(); len(m) != 1 || m[0].DeliveryCount != 0 || q.MaxLocked() != 0 {
			t.Errorf("%+v, %d were locked", m, q.MaxLocked())
		}
		if task, _ := r.account.Task("nightly", "frame-1"); task.State != batchtest.TaskRunning {
			t.Errorf("task %+v", task)
		}
		var withToken, without int
		ids := map[string]bool{}
		for _, c := range r.account.Calls() {
			ids[c.JobID] = true
			if c.Bearer {
				withToken++
			} else {
				without++
			}
		}
		if withToken != 2 || without != 1 || len(ids) != 1 || ids["nightly"] {
			t.Errorf("%d calls with a token, %d without, for jobs %v", withToken, without, ids)
		}
	})
}

func find(t *testing.T, r Report, name string) Result {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s", name)
	return Result{}
}

// Random ids of one run must say nothing about those of the next.
func TestNoTwoRunsAskForTheSameTask(t *testing.T) {
	t.Parallel()
	a, b := newNowhere(), newNowhere()
	if a.job == b.job || a.task == b.task || a.etag == b.etag || len(a.job) < 32 || len(a.job) > 64 {
		t.Errorf("%+v and %+v", a, b)
	}
}

// Whatever hangs, the report is there when the time is up.
func TestEverythingIsSilentAndTheReportComesInTime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var peers []net.Conn // that read nothing and say nothing
	after := func(r *rig) {
		r.target.Dial = func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			mu.Lock()
			defer mu.Unlock()
			peers = append(peers, server)
			return client, nil
		}
		r.account.OnNext(batchtest.Hang(), batchtest.Keep())
		r.timeout = 12 * time.Second
	}
	begun := time.Time{}
	inBubble(t, nil, func(r *rig) { after(r); begun = time.Now() }, func(t *testing.T, _ *rig, report Report) {
		if took := time.Since(begun); report.Status != Fail || len(report.Checks) != len(names) || took > 20*time.Second {
			t.Errorf("after %v, and it was given 12s: %+v", took, report)
		}
		time.Sleep(2 * time.Minute) // for calls that the SDK ends late
		for _, p := range peers {
			_ = p.Close()
		}
	})
}

func TestASimulatorThatMakesTasksUpIsGoodEnough(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) { r.account, r.simulated = batchtest.New(batchtest.AutoCreate()), true }, nil, func(t *testing.T, r *rig, report Report) {
		if report.Status != Pass {
			t.Errorf("%+v", report)
		}
	})
}

func TestCertificatesThatNobodyVouchesForAreToldFromTheNetwork(t *testing.T) {
	t.Parallel()
	bus := servicebustest.New(t, servicebustest.WithQueue(app.DefaultQueue, servicebustest.QueueConfig{}))
	if _, err := bus.ListenTLS("127.0.0.1:0", nil); err != nil {
		t.Fatal(err)
	}
	account := batchtest.New()
	t.Cleanup(account.Close)
	secure, err := account.StartTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := batchapi.NewClient(secure.Endpoint(), &credential{valid: time.Hour}, &batchapi.ClientOptions{Scope: "https://batch.example/.default"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	s := app.Defaults()
	s.Operation.Listen = "127.0.0.1:0"
	s.ServiceBus.ConnectionString = app.Secret(bus.SecureConnectionString())
	report := Run(t.Context(), s, app.Services{
		ServiceBus: worker.ServiceBus{ConnectionString: bus.SecureConnectionString(), Queue: app.DefaultQueue},
		Credential: &credential{valid: time.Hour}, Batch: []*batchapi.Client{client},
	}, Options{})
	for _, name := range []string{"servicebus-network", "batch-network"} {
		if c := find(t, report, name); c.Status != Fail || !strings.Contains(c.Detail, "certificate") || strings.Contains(c.Action, "port 443") {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range account.Calls() {
		t.Errorf("a call got through: %+v", c)
	}
}

func TestASubscriptionIsCheckedToo(t *testing.T) {
	t.Parallel()
	before := func(r *rig) {
		r.options = []servicebustest.Option{servicebustest.WithTopic("batch", servicebustest.TopicConfig{}),
			servicebustest.WithSubscription("batch", "terminate", servicebustest.SubscriptionConfig{DeadLetterOnExpiration: true, MaxDeliveryCount: 12})}
		r.settings.ServiceBus.Topic, r.settings.Subscription = "batch", "terminate"
	}
	after := func(r *rig) { r.target.Queue, r.target.Topic, r.target.Subscription = "", "batch", "terminate" }
	inBubble(t, before, after, func(t *testing.T, _ *rig, report Report) {
		want := map[string]Status{"servicebus-send": Warn, "max-delivery-count": Warn, "duplicate-detection": Skip}
		for _, c := range report.Checks {
			if expected, ok := want[c.Name]; c.Status != expected && (ok || c.Status != Pass) {
				t.Errorf("%+v", c)
			}
		}
		if s := find(t, report, "scaler"); s.Target != "batch/subscriptions/terminate" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnEntityThatDeletesItselfIsWarnedOf(t *testing.T) {
	t.Parallel()
	v := judgeEntity(worker.EntitySettings{Status: "Active", AutoDeleteOnIdle: time.Hour})
	if v.status != Warn || !strings.Contains(v.detail, "1h") {
		t.Errorf("%+v", v)
	}
}

func TestNoSecretIsInAReport(t *testing.T) {
	t.Parallel()
	const key = "c2VjcmV0a2V5"
	before := func(r *rig) { rights(servicebustest.RightListen)(r); r.credential.err = errors.New("x") }
	after := func(r *rig) {
		r.target.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("dial with SharedAccessKey=" + key) }
	}
	inBubble(t, before, after, func(t *testing.T, _ *rig, report Report) {
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(text); strings.Contains(s, key) || strings.Contains(s, jwt) || !strings.Contains(s, "REDACTED") {
			t.Error(s)
		}
	})
}

func TestIdentityNamesOnlyWhatIsAnId(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		jwt:        "signed in as object id 8c0e3d1e-6a5b-4f5e-9c37-1d2f3a4b5c6d",
		"opaque":   "a token was issued",
		"a.e30.b":  "a token was issued",
		"a.%%%%.b": "a token was issued",
	} {
		if got := identity(token); got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}

func TestAReportIsAlignedAndSumsUp(t *testing.T) {
	t.Parallel()
	r := newReport([]Result{
		{Name: "grace", Status: Pass, Detail: "enough"},
		{Name: "servicebus-send", Target: "q", Status: Warn, Detail: "may not", Action: "grant it"},
		{Name: "clock", Status: Skip, Detail: "skipped"},
	})
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `PASS  grace            enough
WARN  servicebus-send  q: may not
                       → grant it
SKIP  clock            skipped

1 passed, 1 warned, 0 failed, 1 skipped
`
	if r.Status != Warn || b.String() != want {
		t.Errorf("%s\n%s", r.Status, b.String())
	}
}
