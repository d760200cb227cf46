//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hurried is rules.yml with every time divided by sixty, so that a minute of it lasts a second: the ranges and waits, the
// interval of evaluation, the minute that a request may take, and the ages that are written as minutes * 60. Shares, counts
// and labels stay.
func hurried(t *testing.T) string {
	t.Helper()
	seconds := func(text, before, after string) string {
		duration := regexp.MustCompile(regexp.QuoteMeta(before) + `([0-9]+)([mhd])` + regexp.QuoteMeta(after))
		return duration.ReplaceAllStringFunc(text, func(found string) string {
			part := duration.FindStringSubmatch(found)
			n, err := strconv.Atoi(part[1])
			if err != nil {
				t.Fatal(err)
			}
			return before + strconv.Itoa(n*map[string]int{"m": 1, "h": 60, "d": 24 * 60}[part[2]]) + "s" + after
		})
	}
	text := string(readFile(t, rulesFile))
	text = seconds(seconds(seconds(text, "[", "]"), "for: ", "\n"), "interval: ", "\n")
	text = strings.NewReplacer(`le=~"60(.0)?"`, `le=~"1(.0)?"`, " * 60", " * 1").Replace(text)
	return text
}

func TestHurriedRulesLeaveNoTimeAsItWas(t *testing.T) {
	t.Parallel()
	text := hurried(t)
	for _, left := range regexp.MustCompile(`(\[|for: |interval: )[0-9]+[mhd]|60\(|\* 60\b`).FindAllString(text, -1) {
		t.Errorf("%q is as it was", left)
	}
	for _, want := range []string{"[5s]", "[60s]", "[1440s]", "for: 60s", "interval: 1s", "> 15 * 1\n", `le=~"1(.0)?"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// prometheusServer is one that scrapes and evaluates once a second.
type prometheusServer struct {
	url    string
	client *http.Client
}

// startPrometheus serves the hurried rules over workers, given as environment: address. It takes remote writes too.
func startPrometheus(t *testing.T, program string, workers map[string]string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs:\n  - job_name: batch-terminator\n    static_configs:\n")
	for name, address := range workers {
		fmt.Fprintf(&config, "      - {targets: [%q], labels: {environment: %q}}\n", address, name)
	}
	for name, content := range map[string]string{"rules.yml": hurried(t), "prometheus.yml": config.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	p := &prometheusServer{url: "http://" + address, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}}
	runProgram(t, program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver")
	p.await(t, "Prometheus", func() bool {
		_, err := p.ask(t.Context(), "/-/ready")
		return err == nil
	})
	return p
}

// runProgram runs it until the test ends, whose log it shows if that has failed.
func runProgram(t *testing.T, program string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stderr, cmd.Env = &log, append(os.Environ(), "CONTAINER_APP_REPLICA_NAME=replica-1") // which tells the agent's series from the server's
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", program, log.String())
		}
	})
}

// await looks once in a while, for longer than the slowest alert takes.
func (p *prometheusServer) await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	look := time.NewTicker(400 * time.Millisecond)
	defer look.Stop()
	for !reached() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

func (p *prometheusServer) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return body.Bytes(), err
}

// query returns the values of an instant query. A server that is too busy to answer is asked again by who waits.
func (p *prometheusServer) query(ctx context.Context, expr string) (values []string) {
	body, err := p.ask(ctx, "/api/v1/query?query="+url.QueryEscape(expr))
	if err != nil {
		return nil
	}
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values
}

// firing tells whether an alert fires in an environment, by Prometheus's own record of it.
func (p *prometheusServer) firing(ctx context.Context, alert, environment string) bool {
	return len(p.query(ctx, fmt.Sprintf(`ALERTS{alertname=%q, environment=%q, alertstate="firing"}`, alert, environment))) > 0
}

// flaky passes writes on to a Prometheus, and while it is told to refuses every second one.
type flaky struct {
	http.Handler
	broken atomic.Bool
	writes atomic.Int64
}

func newFlaky(t *testing.T, to string) *flaky {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	return &flaky{Handler: proxy}
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.writes.Add(1)%2 == 0 && f.broken.Load() {
		http.Error(w, "by the test", http.StatusServiceUnavailable)
		return
	}
	f.Handler.ServeHTTP(w, r)
}
