package check

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// credential answers with a token whose claims say who it is for.
type credential struct {
	err   error
	hangs bool
	valid time.Duration
}

// Its payload is {"oid":"8c0e3d1e-6a5b-4f5e-9c37-1d2f3a4b5c6d","tid":"evil\nid"}.
const jwt = "eyJhbGciOiJub25lIn0.eyJvaWQiOiI4YzBlM2QxZS02YTViLTRmNWUtOWMzNy0xZDJmM2E0YjVjNmQiLCJ0aWQiOiJldmlsXG5pZCJ9.c2VjcmV0"

func (c *credential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if c.hangs {
		<-ctx.Done()
		return azcore.AccessToken{}, ctx.Err()
	}
	return azcore.AccessToken{Token: jwt, ExpiresOn: time.Now().Add(c.valid)}, c.err
}

// rig is what a worker needs, all of it as it should be.
type rig struct {
	bus        *servicebustest.Server
	queue      servicebustest.QueueConfig
	options    []servicebustest.Option
	key        string // of which shared access rule, "" to sign in
	account    *batchtest.Account
	simulated  bool // endpoint: plain http on this machine
	send       func(*http.Request) (*http.Response, error)
	credential *credential
	settings   app.Settings
	target     worker.ServiceBus
	deployed   bool
	timeout    time.Duration
}

func newRig() *rig {
	r := &rig{
		queue:      servicebustest.QueueConfig{DeadLetterOnExpiration: true, RequiresDuplicateDetection: true},
		account:    batchtest.New(),
		credential: &credential{valid: time.Hour},
		settings:   app.Defaults(),
		timeout:    30 * time.Second,
	}
	r.settings.Operation.Listen = "127.0.0.1:0"
	return r
}

// Do is the transport to the account.
func (r *rig) Do(req *http.Request) (*http.Response, error) { return r.send(req) }

// inBubble arranges a rig, checks it in virtual time, and hands the report over while the services still run.
func inBubble(t *testing.T, before, after func(*rig), judge func(t *testing.T, r *rig, report Report)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		if before != nil {
			before(r)
		}
		bus, err := servicebustest.Start(append([]servicebustest.Option{servicebustest.WithQueue(app.DefaultQueue, r.queue)}, r.options...)...)
		if err != nil {
			t.Fatal(err)
		}
		r.bus = bus
		r.target = worker.ServiceBus{Namespace: "acme.servicebus.windows.net", Credential: r.credential, Queue: app.DefaultQueue, Dial: bus.Dial}
		if r.key != "" {
			r.target.Namespace, r.target.Credential = "", nil
			r.target.ConnectionString = "Endpoint=sb://localhost;SharedAccessKeyName=" + r.key + ";SharedAccessKey=c2VjcmV0a2V5;UseDevelopmentEmulator=true"
		}
		web := r.account.Client()
		r.send = web.Transport.RoundTrip
		if after != nil {
			after(r)
		}
		judge(t, r, r.run(t))
		web.CloseIdleConnections()
		r.account.Close()
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) run(t *testing.T) Report {
	t.Helper()
	endpoint, options := r.account.Endpoint(), &batchapi.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: r}}
	if r.simulated {
		endpoint, options.AllowLoopbackHTTP = "http://localhost", true
	}
	client, err := batchapi.NewClient(endpoint, r.credential, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), r.timeout)
	defer cancel()
	r.settings.ServiceBus.ConnectionString = app.Secret(r.target.ConnectionString)
	return Run(ctx, r.settings, app.Services{ServiceBus: r.target, Credential: r.credential, Batch: []*batchapi.Client{client}}, Options{Deployed: r.deployed})
}
