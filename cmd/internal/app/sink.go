package app

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// sinkLines is how many log lines may wait to be written: what a second of heavy traffic writes.
	sinkLines = 4096
	// sinkFarewell bounds the writing of what waits in the end. It is part of the time that package worker leaves at the end
	// of the grace.
	sinkFarewell = 500 * time.Millisecond
)

// Sink stands between the log and where it is written. Work goes on whatever becomes of the log: behind a pipe that nobody
// reads any more, or a full disk, lines are dropped and counted, and the count is written once that works again.
type Sink struct {
	w       io.Writer
	lines   chan []byte
	dropped atomic.Int64 // not reported yet
	total   atomic.Int64 // dropped ever
	closing chan struct{}
	done    chan struct{}
}

// NewSink returns a sink that writes to w. Close it.
func NewSink(w io.Writer) *Sink {
	s := &Sink{w: w, lines: make(chan []byte, sinkLines), closing: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

// Write takes one line and never waits. Its error is always nil: a logger has nobody to tell.
func (s *Sink) Write(line []byte) (int, error) {
	select {
	case s.lines <- bytes.Clone(line):
	default:
		s.drop()
	}
	return len(line), nil
}

func (s *Sink) drop() {
	s.dropped.Add(1)
	s.total.Add(1)
}

// Dropped returns how many lines were dropped since the start.
func (s *Sink) Dropped() int64 { return s.total.Load() }

// run is the only one that writes to w.
func (s *Sink) run() {
	defer close(s.done)
	for {
		select {
		case line := <-s.lines:
			s.write(line)
		case <-s.closing:
			for len(s.lines) > 0 {
				s.write(<-s.lines)
			}
			return
		}
	}
}

func (s *Sink) write(line []byte) {
	if _, err := s.w.Write(line); err != nil {
		s.drop()
		return
	}
	if n := s.dropped.Swap(0); n > 0 {
		if _, err := fmt.Fprintf(s.w, "{\"level\":\"error\",\"msg\":\"log lines were dropped, for they could not be written\",\"lines\":%d}\n", n); err != nil {
			s.dropped.Add(n)
		}
	}
}

// Close writes what waits, as far as that goes in half a second. Nothing may be written after it.
func (s *Sink) Close() {
	close(s.closing)
	timer := time.NewTimer(sinkFarewell)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C: // who writes hangs, and ends with the process
	}
}
