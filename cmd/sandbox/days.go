package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"

	"batchterminator/cmd/internal/console"
	"batchterminator/cmd/sandbox/simulate"
)

type daysCommand struct {
	Seeds     int    `default:"2000" help:"How many seeds to simulate, each in a process of its own. Default 2000."`
	From      uint64 `default:"1" help:"The first of them. Default 1."`
	Hours     int    `default:"24" help:"Hours of production of each, 1 to 1000. Default 24."`
	Parallel  int    `default:"2" help:"Processes at one time, 1 to 64. Default 2."`
	Directory string `required:"" placeholder:"DIRECTORY" help:"Where results are kept; seeds that have one are not simulated again."`
	Again     string `placeholder:"BINARY" help:"Another build of this program, for seeds in which virtual time stands still in this one."`
	Output    string `short:"o" default:"table" enum:"table,json" help:"Form of the summary: table or json."`
}

// The builds that a seed may have run in: this program, and the one that is named for those that stand still in it.
const (
	asItIs = "as it is"
	other  = "other"
)

func (c daysCommand) check() error {
	switch {
	case c.Seeds < 1:
		return fmt.Errorf("--seeds: %d; want 1 or more", c.Seeds)
	case c.Hours < 1 || c.Hours > 1000:
		return fmt.Errorf("--hours: %d; want 1 to 1000", c.Hours)
	case c.Parallel < 1 || c.Parallel > 64:
		return fmt.Errorf("--parallel: %d; want 1 to 64", c.Parallel)
	}
	return nil
}

func (c daysCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("days: %w", err)
	}
	if err := c.claim(self); err != nil {
		return err
	}
	if err := c.simulate(ctx, self, stderr); err != nil {
		return err
	}
	total, err := c.total()
	if err != nil {
		return err
	}
	if err := total.write(stdout, c.Output); err != nil {
		return err
	}
	if !total.holds() {
		return errBroken
	}
	return nil
}

// claim makes the directory this build's: results of two builds are not one result.
func (c daysCommand) claim(self string) error {
	program, err := os.ReadFile(self) //nolint:gosec // G304: this program itself
	if err != nil {
		return fmt.Errorf("days: %w", err)
	}
	sum := sha256.Sum256(program)
	build := hex.EncodeToString(sum[:])
	if err := os.MkdirAll(c.Directory, 0o750); err != nil {
		return fmt.Errorf("--directory: %w", err)
	}
	name := filepath.Join(c.Directory, "build")
	before, err := os.ReadFile(name) //nolint:gosec // G304: the operator names the directory
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.WriteFile(name, []byte(build), 0o600) //nolint:gosec // G703: likewise
	case err == nil && string(before) != build:
		return fmt.Errorf("--directory: %s holds results of another build; give another one", c.Directory)
	}
	if err != nil {
		return fmt.Errorf("--directory: %w", err)
	}
	return nil
}

// simulate runs the seeds that have no result yet. A signal ends it after those under way.
func (c daysCommand) simulate(ctx context.Context, self string, stderr io.Writer) error {
	progress := console.NewProgress(stderr, "simulating days", c.Seeds)
	defer progress.End()
	seeds, ended := make(chan uint64), make(chan error)
	var runners sync.WaitGroup
	for range c.Parallel {
		runners.Go(func() {
			for seed := range seeds {
				ended <- c.day(self, seed)
			}
		})
	}
	go func() {
		defer close(seeds)
		for seed := c.From; seed < c.From+uint64(c.Seeds); seed++ {
			select {
			case seeds <- seed:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		runners.Wait()
		close(ended)
	}()
	var errs []error
	for err := range ended {
		errs = append(errs, err)
		progress.Add(1)
	}
	return errors.Join(errs...)
}

func (c daysCommand) result(seed uint64) string {
	return filepath.Join(c.Directory, fmt.Sprintf("%d.json", seed))
}

// day simulates one seed and keeps its result, and the log of one that breaks a promise.
func (c daysCommand) day(self string, seed uint64) error {
	if _, err := os.Stat(c.result(seed)); err == nil {
		return nil
	}
	kept, err := c.attempt(self, seed, asItIs)
	if err == nil && kept.Standstill && c.Again != "" {
		kept, err = c.attempt(c.Again, seed, other)
	}
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	text, err := json.Marshal(kept)
	if err == nil {
		err = os.WriteFile(c.result(seed), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	return nil
}

// dayResult is what a seed came to.
type dayResult struct {
	simulate.Result
	// Build is which one it was.
	Build string `json:"build"`
}

// attempt runs one process. Its log is kept if the day went wrong: a replay may take another course.
func (c daysCommand) attempt(program string, seed uint64, build string) (r dayResult, err error) {
	name := filepath.Join(c.Directory, fmt.Sprintf("%d.log", seed))
	log, err := os.Create(name) //nolint:gosec // G304: the operator names the directory
	if err != nil {
		return r, err
	}
	defer func() {
		_ = log.Close()
		if err == nil && (r.Holds() || r.Standstill) {
			_ = os.Remove(name)
		}
	}()
	var stdout bytes.Buffer
	cmd := exec.Command(program, "simulate", "--seed", strconv.FormatUint(seed, 10), "--hours", strconv.Itoa(c.Hours), "--output", "json", "--verbose", "--log-level", "info") //nolint:gosec // G204: as the operator says
	cmd.Args[0] = "sandbox"
	cmd.Stdout, cmd.Stderr = &stdout, log
	ran := cmd.Run() // fails also when a promise does not hold, which the result says
	r.Build = build
	if err := json.Unmarshal(stdout.Bytes(), &r.Result, json.RejectUnknownMembers(true)); err != nil {
		return r, fmt.Errorf("no result: %w; its log is %s", cmp.Or(ran, err), name)
	}
	return r, nil
}
