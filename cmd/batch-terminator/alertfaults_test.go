//go:build unix

package main

// What breaks a scene, and what mends it again.

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// lateThenMany has a request every two seconds take longer than the second that stands for a minute; after that many good ones
// make the share of the late ones small, in the long windows too.
func lateThenMany(t *testing.T, s *scene) func() {
	slow := s.account.OnNext(batchtest.Delay(1500*time.Millisecond), batchtest.Keep())
	stop := s.load(t, 1)
	t.Cleanup(stop)
	return func() {
		slow.Remove()
		stop()
		t.Cleanup(s.load(t, 60))
	}
}

func disabledJob(_ *testing.T, s *scene) func() {
	s.account.AddJob("j", batchtest.JobDisabled)
	return func() { s.account.AddJob("j", batchtest.JobActive) }
}

// silentLink has every link take credit and deliver nothing, however often it is replaced.
func silentLink(_ *testing.T, s *scene) func() {
	mute := s.keep(servicebustest.Attach, servicebustest.MuteLink(), servicebustest.OnEntity(s.queue.Name()))
	s.bus.MuteLinks(s.queue.Name(), true)
	return func() {
		mute.Remove()
		s.bus.MuteLinks(s.queue.Name(), false)
	}
}

func badMessage(t *testing.T, s *scene) func() {
	if _, err := s.queue.Send(servicebustest.Message{ID: "bad", Body: []byte(`{"jobid":"j"}`)}); err != nil {
		t.Fatal(err)
	}
	return nothing
}

// lostLocks has calls take longer than half of a lock, and no lock renewed.
func lostLocks(_ *testing.T, s *scene) func() {
	slow := s.account.OnNext(batchtest.Delay(4*time.Second), batchtest.Keep())
	refused := s.keep(servicebustest.RenewLock, servicebustest.Fail("com.microsoft:message-lock-lost", "by the test"))
	return func() {
		refused.Remove()
		slow.Remove()
	}
}

func busyBroker(_ *testing.T, s *scene) func() {
	slow := s.account.OnNext(batchtest.Delay(4*time.Second), batchtest.Keep())
	busy := s.keep(servicebustest.RenewLock, servicebustest.ServerBusy())
	return func() {
		busy.Remove()
		slow.Remove()
	}
}

func unreachable(_ *testing.T, s *scene) func() {
	refused := s.keep(servicebustest.Connect, servicebustest.DropConnection())
	s.bus.DropConnections()
	return refused.Remove
}

func detached(_ *testing.T, s *scene) func() {
	fault := s.keep(servicebustest.Flow, servicebustest.DetachLink("amqp:link:detach-forced", "by the test"), servicebustest.OnEntity(s.queue.Name()))
	s.bus.DropConnections()
	return fault.Remove
}

// poison is a message on which the SDK panics; it ends in the dead-letter queue by itself.
func poison(t *testing.T, s *scene) func() {
	if _, err := s.queue.Send(servicebustest.Message{ID: "poison", Body: []byte(`{}`), Properties: map[string]any{"DeadLetterReason": int64(1)}}); err != nil {
		t.Fatal(err)
	}
	return nothing
}

// startUnread starts the worker with a log that goes into a pipe.
func (s *scene) startUnread(t *testing.T) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.log = read
	s.worker = s.startWith(t, write)
	_ = write.Close() // the worker has its own
}

// unreadLog leaves the pipe unread, so that it fills, until it is mended.
func unreadLog(t *testing.T, s *scene) func() {
	var reader sync.WaitGroup
	t.Cleanup(func() {
		_ = s.worker.Process.Kill() // which ends what it writes
		_ = s.log.SetReadDeadline(time.Now())
		reader.Wait()
		_ = s.log.Close()
	})
	return func() { reader.Go(func() { _, _ = io.Copy(io.Discard, s.log) }) }
}

// paused does what a person does.
func paused(t *testing.T, s *scene) func() {
	control := func(action string) {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"control", action}, []string{"CONTROL=" + s.control, "USER=drill"}, strings.NewReader(""), &out, &errs); code != exitOK {
			t.Errorf("control %s: %d %s", action, code, errs.String())
		}
	}
	control("pause")
	return func() { control("resume") }
}

func frozen(t *testing.T, s *scene) func() {
	s.worker.signal(t, syscall.SIGSTOP)
	return func() { s.worker.signal(t, syscall.SIGCONT) }
}

// dying kills the worker each time that Prometheus has seen a new one, until it has had enough of that.
func dying(t *testing.T, s *scene) func() {
	started := fmt.Sprintf(`process_start_time_seconds{environment=%q}`, s.name)
	for last := ""; !s.prometheus.firing(t.Context(), "BatchTerminatorCrashLoop", s.name); {
		s.prometheus.await(t, "the next worker to be scraped", func() bool {
			now := s.prometheus.query(t.Context(), started)
			if len(now) != 1 || now[0] == last {
				return false
			}
			last = now[0]
			return true
		})
		s.worker.kill(t)
		s.worker = s.start(t)
	}
	return nothing
}

// failingWrites runs the agent of agent.yml beside the worker. Its writes go to the same Prometheus, and every second one is
// refused.
func failingWrites(t *testing.T, s *scene) func() {
	proxy := newFlaky(t, s.prometheus.url)
	writes := httptest.NewServer(proxy)
	t.Cleanup(writes.Close)
	address := freeAddress(t)
	config := agentConfig(t, writes.URL+"/api/v1/write")
	for old, now := range map[string]string{
		"127.0.0.1:9090": s.address, "127.0.0.1:9091": address, "scrape_interval: 15s": "scrape_interval: 1s",
		"batch_send_deadline: 5s": "batch_send_deadline: 1s", `environment: "test"`: fmt.Sprintf("environment: %q", s.name),
	} {
		if !strings.Contains(config, old) {
			t.Fatalf("agent.yml has no %s", old)
		}
		config = strings.ReplaceAll(config, old, now)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "agent.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProgram(t, prometheusTool(t, "prometheus"), "--enable-feature=agent,expand-external-labels", "--config.file="+file,
		"--storage.agent.path="+filepath.Join(dir, "wal"), "--web.listen-address="+address)
	s.prometheus.await(t, "what the agent writes", func() bool {
		return len(s.prometheus.query(t.Context(), fmt.Sprintf(`prometheus_remote_storage_samples_retried_total{environment=%q, replica="replica-1"}`, s.name))) > 0
	})
	proxy.broken.Store(true)
	return func() { proxy.broken.Store(false) }
}
