// Package console is what the programs share towards the person at the terminal: stop signals and progress.
package console

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// UntilSignal returns a context that ends with the first SIGINT or SIGTERM. The second one ends the process with code 1:
// whoever asks twice does not want to wait for a drain. Call stop when the signals no longer matter.
func UntilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				if ctx.Err() != nil {
					os.Exit(1)
				}
				cancel()
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// IsTerminal tells whether a person is likely to be at the other end of the stream.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Progress shows how far something is: a bar on a terminal, plain lines elsewhere. It is for one goroutine.
type Progress struct {
	w           io.Writer
	what        string
	bar         *progressbar.ProgressBar // nil when w is not a terminal
	done, total int
	shown       int // tenths that have had their line
}

// NewProgress begins to show progress towards total on w; what names the doing, as in "sending".
func NewProgress(w io.Writer, what string, total int) *Progress {
	p := &Progress{w: w, what: what, total: total}
	if IsTerminal(w) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	return p
}

// Set records that n are done. Without a terminal there is one line for each tenth, and none for what is done at one go.
func (p *Progress) Set(n int) {
	p.done = min(n, p.total)
	if p.bar != nil {
		_ = p.bar.Set(p.done) // a bar that cannot be drawn must not stop the work
		return
	}
	if p.shown == 0 && p.done == p.total {
		return // done at one go: the summary that follows says it
	}
	if tenth := 10 * p.done / max(p.total, 1); tenth > p.shown {
		p.shown = tenth
		_, _ = fmt.Fprintf(p.w, "%s: %d of %d\n", p.what, p.done, p.total)
	}
}

// Add records n more.
func (p *Progress) Add(n int) { p.Set(p.done + n) }

// End takes the bar away, so that what follows starts on a line of its own.
func (p *Progress) End() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
