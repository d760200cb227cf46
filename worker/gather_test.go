package worker

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// counted counts the writes to a connection.
type counted struct {
	net.Conn
	writes atomic.Int32
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// gathering returns a gathered connection, what counts its writes, and its peer.
func gathering() (*gatheredConn, *counted, net.Conn) {
	ours, peer := net.Pipe()
	under := &counted{Conn: ours}
	return newGatheredConn(under), under, peer
}

func write(t *testing.T, c net.Conn, p string) {
	t.Helper()
	if n, err := c.Write([]byte(p)); n != len(p) || err != nil {
		t.Errorf("wrote %d of %d bytes: %v", n, len(p), err)
	}
}

// A frame that is alone leaves at once; those that come while a write is under way go out together, in their order.
func TestFramesOfABusyMomentShareOneWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, under, peer := gathering()
		write(t, c, "alone ")
		synctest.Wait()
		equal(t, "writes under way", under.writes.Load(), 1)
		for _, frame := range []string{"a", "b", "c", "d"} {
			write(t, c, frame)
		}
		got := make([]byte, len("alone abcd"))
		if _, err := io.ReadFull(peer, got); err != nil {
			t.Error(err)
		}
		equal(t, "read", string(got), "alone abcd")
		equal(t, "writes", under.writes.Load(), 2)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// P9: what a peer does not read is not piled up for it.
func TestWriteWaitsWhileTooMuchIsPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, peer := gathering()
		frame := make([]byte, gatherLimit/2)
		for range 3 { // one with the network, two waiting for it
			write(t, c, string(frame))
			synctest.Wait()
		}
		begun := time.Now()
		_ = c.SetWriteDeadline(begun.Add(time.Minute))
		if n, err := c.Write(frame); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("wrote %d bytes, %v, after %v; want the deadline's error at the deadline", n, err, time.Since(begun))
		}
		_ = c.SetWriteDeadline(time.Time{})
		var read atomic.Int64
		go func() {
			n, _ := io.Copy(io.Discard, peer)
			read.Store(n)
		}()
		write(t, c, string(frame))
		_ = c.Close()
		synctest.Wait()
		equal(t, "read by the peer", read.Load(), int64(4*len(frame)))
	})
}

// A frame larger than all that may wait is not refused.
func TestFrameAboveTheLimitIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, peer := gathering()
		write(t, c, string(make([]byte, 3*gatherLimit)))
		if _, err := io.ReadFull(peer, make([]byte, 3*gatherLimit)); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
}

// Bytes that are lost must not leave a connection behind that looks alive.
func TestWriteThatFailsEndsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, peer := gathering()
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // and the peer does not read
		write(t, c, "lost")
		if err := <-ended; err == nil {
			t.Error("the reader saw no end")
		}
		if _, err := c.Write([]byte("more")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the next write: %v; want the error of the one before", err)
		}
		_ = c.Close()
		_ = peer.Close()
	})
}

// The last frame of a connection says that it ends; a peer that is deaf does not keep us.
func TestCloseSendsWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	for name, deaf := range map[string]bool{"peer reads": false, "peer is deaf": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _, peer := gathering()
				got := make(chan string, 1)
				if !deaf {
					go func() {
						all, _ := io.ReadAll(peer)
						got <- string(all)
					}()
				}
				write(t, c, "first ")
				write(t, c, "farewell")
				begun := time.Now()
				_ = c.Close()
				if took := time.Since(begun); deaf && took != lastWords || !deaf && took != 0 {
					t.Errorf("closing took %v", took)
				}
				if !deaf {
					equal(t, "read", <-got, "first farewell")
				}
				_ = c.Close() // again does no harm
				if n, err := c.Write([]byte("late")); n != 0 || err == nil {
					t.Errorf("a write after the end: %d bytes, %v", n, err)
				}
			})
		})
	}
}

// Whatever the sizes and the pauses: every byte arrives, once, in order.
func TestGatheredBytesArriveAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, gatherLimit), 1, 20).Draw(r, "sizes")
		synctest.Test(t, func(*testing.T) { arriveAsWritten(r, sizes) }) // a bubble for each draw: rapid itself looks at the real clock
	})
}

func arriveAsWritten(r *rapid.T, sizes []int) {
	c, _, peer := gathering()
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- all
	}()
	var want bytes.Buffer
	for _, n := range sizes {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		want.Write(p)
		if _, err := c.Write(p); err != nil {
			r.Fatal(err)
		}
		clear(p) // the SDK uses its buffer again
	}
	_ = c.Close()
	if all := <-got; !bytes.Equal(all, want.Bytes()) {
		r.Fatalf("%d bytes arrived of %d, or others", len(all), want.Len())
	}
}
