package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// TestCheckScripts runs the command as a process of its own, against both services on real sockets: the default queue is
// as it should be, and the queue "open" has no duplicate detection.
func TestCheckScripts(t *testing.T) {
	t.Parallel()
	bus := servicebustest.New(t,
		servicebustest.WithQueue(app.DefaultQueue, servicebustest.QueueConfig{DeadLetterOnExpiration: true, RequiresDuplicateDetection: true}),
		servicebustest.WithQueue("open", servicebustest.QueueConfig{DeadLetterOnExpiration: true}))
	if _, err := bus.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	account := batchtest.New()
	t.Cleanup(account.Close)
	batch, err := account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) { // whose parallel parts end before the services do
		testscript.Run(t, testscript.Params{
			Dir: "testdata/check", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", RequireExplicitExec: true,
			Setup: func(e *testscript.Env) error {
				e.Setenv("SERVICEBUS_CONNECTION_STRING", bus.ConnectionString())
				e.Setenv("BATCH_ENDPOINT", batch.Endpoint())
				e.Setenv("LISTEN", "127.0.0.1:0")
				return nil
			},
		})
	})
}
