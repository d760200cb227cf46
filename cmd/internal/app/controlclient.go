package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// ControlSettings say which worker to talk to, and who does.
type ControlSettings struct {
	Address string `name:"control" env:"CONTROL" default:"127.0.0.1:9092" placeholder:"ADDRESS" help:"The worker's control address, on this machine. Default 127.0.0.1:9092."`
	By      string `env:"USER" placeholder:"NAME" help:"Who makes a change, for the worker's log; 1 to 64 characters."`
}

// Validate is called by the parser.
func (s ControlSettings) Validate() error {
	var p Problems
	p.check(loopbackAddress(s.Address), "control", "CONTROL", "want a port of this machine alone, such as 127.0.0.1:9092, got %s", brief(s.Address))
	return p.err()
}

// Status asks how the worker stands.
func (s ControlSettings) Status(ctx context.Context) (status ControlStatus, err error) {
	err = s.call(ctx, http.MethodGet, "/control", nil, &status)
	return status, err
}

// Change makes one change: pause, resume, concurrency, log-level or reset-gates. Without a name nothing is asked of the worker,
// and the error is [Problems].
func (s ControlSettings) Change(ctx context.Context, action string, r ControlRequest) (a ControlAnswer, err error) {
	r.By = printable(s.By)
	var p Problems
	p.check(r.By != "", "by", "USER", "say who makes the change, for the worker's log")
	n := utf8.RuneCountInString(r.By)
	p.check(n <= longestBy, "by", "USER", "%d characters; want at most %d", n, longestBy)
	if err := p.err(); err != nil {
		return a, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return a, fmt.Errorf("control: %w", err)
	}
	err = s.call(ctx, http.MethodPost, "/control/"+action, body, &a)
	return a, err
}

// call reads a bounded answer within a bounded time.
func (s ControlSettings) call(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Address+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("control: no worker answers on %s: %w; is one running on this machine, with this --control (CONTROL)?", s.Address, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostControlBody))
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	var refused refusal
	if resp.StatusCode != http.StatusOK {
		if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
			return fmt.Errorf("control: %s answers %d: it is no worker", s.Address, resp.StatusCode)
		}
		return fmt.Errorf("control: the worker refused: %s", inOneLine(refused.Error))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("control: what %s answers is not of a worker: %w", s.Address, err)
	}
	return nil
}
