package main

import (
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a send is: a bar on a terminal, a line for each batch elsewhere.
type progress struct {
	w           io.Writer
	bar         *progressbar.ProgressBar // nil when w is not a terminal
	sent, total int
}

func newProgress(w io.Writer, total int) *progress {
	p := &progress{w: w, total: total}
	if isTerminal(w) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("sending"),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	return p
}

// add records a batch that is stored.
func (p *progress) add(n int) {
	p.sent += n
	switch {
	case p.bar != nil:
		_ = p.bar.Add(n) // a bar that cannot be drawn must not stop the sending
	case p.sent < p.total:
		_, _ = fmt.Fprintf(p.w, "%s: sent %d of %d\n", name, p.sent, p.total)
	}
}

// end takes the bar away, so that what follows starts on a line of its own.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
