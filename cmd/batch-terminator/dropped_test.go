package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/cmd/internal/app"
)

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// The metric is all that is left to say that the log cannot be written.
func TestALogThatCannotBeWrittenIsAMetric(t *testing.T) {
	t.Parallel()
	_, env := broker(t)
	address := freeAddress(t) // the log, which would name one, is what fails here
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan int, 1)
	go func() {
		ended <- runWith(ctx, []string{"run"}, append(env, "BATCH_ENDPOINT=http://localhost:5681", "LISTEN="+address, "CONTROL=off", "LINGER=0s"), streams{strings.NewReader(""), io.Discard, full{}},
			app.Deps{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }})
	}()
	dropped := 0.0
	for dropped == 0 && ctx.Err() == nil {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			continue // it does not listen yet
		}
		page, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for line := range strings.Lines(string(page)) {
			_, _ = fmt.Sscanf(line, "batch_terminator_log_lines_dropped_total %g", &dropped)
		}
	}
	if dropped == 0 {
		t.Error("no line was counted as dropped")
	}
	stop()
	<-ended
}
