package app

import (
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/worker"
)

// repeating names the loggers whose lines say the same over and over while something is out of reach. Of these, and of no
// other, a part is left out. What becomes of a message is never among them.
var repeating = []string{worker.ConnectionLog}

// In each period the first lines of a text are written, and then each of so many.
const (
	samplePeriod = time.Minute
	sampleFirst  = 10
	sampleEach   = 100
)

// sampleRepeats returns core, with a sampler beside it for the loggers that may repeat themselves.
func sampleRepeats(core zapcore.Core) zapcore.Core {
	left := new(atomic.Int64)
	sampler := zapcore.NewSamplerWithOptions(counted{core, left}, samplePeriod, sampleFirst, sampleEach,
		zapcore.SamplerHook(func(_ zapcore.Entry, d zapcore.SamplingDecision) {
			if d&zapcore.LogDropped != 0 {
				left.Add(1)
			}
		}))
	return sampling{core, sampler}
}

// sampling sends each entry to the core that is for its logger. zap's own sampler judges by a hash of the text alone: every
// entry that went through it could be left out for another's sake.
type sampling struct {
	zapcore.Core
	sampler zapcore.Core
}

// With implements [zapcore.Core].
func (s sampling) With(fields []zapcore.Field) zapcore.Core {
	return sampling{s.Core.With(fields), s.sampler.With(fields)}
}

// Check implements [zapcore.Core].
func (s sampling) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if slices.Contains(repeating, entry.LoggerName) {
		return s.sampler.Check(entry, checked)
	}
	return s.Core.Check(entry, checked)
}

// counted says how many lines were left out, on the next one that was not.
type counted struct {
	zapcore.Core
	left *atomic.Int64
}

// With implements [zapcore.Core].
func (c counted) With(fields []zapcore.Field) zapcore.Core {
	return counted{c.Core.With(fields), c.left}
}

// Check implements [zapcore.Core]: it has Write called, and not the one of the core within.
func (c counted) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements [zapcore.Core].
func (c counted) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if n := c.left.Swap(0); n > 0 {
		fields = append(slices.Clip(fields), zap.Int64("lines_left_out", n))
	}
	return c.Core.Write(entry, fields)
}
