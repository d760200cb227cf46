package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"batchterminator/worker/servicebustest/internal/frames"
)

// lastConn numbers the connections of the process.
var lastConn atomic.Uint64

// phase is how far a connection has come.
type phase uint8

const (
	phaseStart   phase = iota // nothing seen
	phaseSASL                 // SASL header exchanged, init expected
	phaseHeader               // SASL done, AMQP header expected
	phaseOpen                 // AMQP header exchanged, open expected
	phaseOpening              // the answer to open is held back by a delay
	phaseUp                   // open exchanged
	phaseClosed               // our close is out, only the client's close counts
)

// Conn is one client connection.
type Conn struct {
	id  uint64
	nc  net.Conn
	cfg Config

	running sync.WaitGroup // reader and writer
	dead    chan struct{}  // closed when the loop has ended
	batches chan batch     // reader to loop
	free    chan []byte    // loop to reader
	toWrite chan []byte    // loop to writer
	wrote   chan written   // writer to loop
	news    chan struct{}  // something was posted

	mu     sync.Mutex
	posted []func() // appended by any goroutine, taken by the loop, under mu
	ended  bool     // set by the loop when it will take no more, under mu

	// All below belongs to the loop.
	phase     phase
	batch     batch  // what is being consumed, while the rest of it has to wait
	rest      []byte // of the units of batch
	over      bool   // leave the loop
	err       error
	deaf      bool   // what the client sends is swallowed
	dumb      bool   // what there is to write is
	out       []byte // frames not yet given to the writer
	spare     []byte // the buffer the writer has given back
	writing   bool   // the writer has a buffer
	lastWrite time.Time
	lastRead  time.Time
	clock     *time.Timer
	timers    []timer
	taken     []func() // what takePosted is running, reused

	frameLimit   uint32              // the smaller of both sides' maximum
	channelLimit uint16              // the largest channel that the client takes
	unfit        bool                // a frame was larger than frameLimit
	links        int                 // over all sessions, those that wait for their detach included
	assembled    int                 // bytes of messages that have begun and not ended
	sessions     map[uint16]*session // by the client's channel
	channels     []*session          // by our channel, nil where free
	names        map[linkName]*link  // links attached, for stealing
	cbs          map[bool]*link      // the connection's links to $cbs, by whether the client sends
	idle         idleWatch
	ready        []*link // links that may have something to send, in turn
}

// NewConn prepares a connection; Serve runs it.
func NewConn(nc net.Conn, cfg Config) *Conn {
	if cfg.ContainerID == "" {
		cfg.ContainerID = "servicebustest"
	}
	if cfg.MaxFrameSize == 0 {
		cfg.MaxFrameSize = 256 << 10
	}
	cfg.MaxFrameSize = max(cfg.MaxFrameSize, frames.MinMaxFrameSize)
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 2 * time.Minute
	}
	if cfg.Socket == nil {
		cfg.Socket = nc
	}
	return &Conn{
		id: lastConn.Add(1), nc: nc, cfg: cfg,
		dead:     make(chan struct{}),
		batches:  make(chan batch),
		free:     make(chan []byte, 2),
		toWrite:  make(chan []byte, 1),
		wrote:    make(chan written, 1),
		news:     make(chan struct{}, 1),
		sessions: map[uint16]*session{},
		names:    map[linkName]*link{},
		cbs:      map[bool]*link{},
	}
}

// ID is the number that Link.Conn carries.
func (c *Conn) ID() uint64 { return c.id }

// Serve runs the connection until it is over; see the function Serve.
func (c *Conn) Serve(ctx context.Context) error {
	c.clock = time.NewTimer(time.Hour)
	c.clock.Stop()
	c.lastRead, c.lastWrite = time.Now(), time.Now()
	c.free <- make([]byte, readBuffer)
	c.running.Add(2)
	go c.read()
	go c.write()
	c.watchSilence()
	c.watchHandshake()

	c.loop(ctx)

	c.lastWords()
	close(c.dead)
	close(c.toWrite)
	_ = c.nc.Close() // the connection is over whether or not this succeeds
	c.running.Wait()
	c.clock.Stop()
	for _, s := range c.sessions {
		s.closeLinks()
	}
	c.mu.Lock()
	c.ended, c.posted = true, nil
	c.mu.Unlock()
	return c.err
}

// loop is the one place where anything happens to the connection.
func (c *Conn) loop(ctx context.Context) {
	stopping := ctx.Done()
	for !c.over {
		c.checkFit() // after a timer or a command; consume looks after each frame
		c.pump()
		c.flush()
		batches := c.batches
		switch {
		case c.stalled():
			batches = nil
		case c.batch.buf != nil:
			c.consume()
			continue
		}
		select {
		case c.batch = <-batches:
			c.lastRead = time.Now()
			c.rest = c.batch.buf[:c.batch.units]
			c.consume()
		case w := <-c.wrote:
			c.receipt(w)
		case <-c.news:
			c.takePosted()
		case <-c.clock.C:
			c.tick()
		case <-stopping:
			stopping = nil
			c.closeWith(refusef(condConnForced, "the server is shutting down"))
		}
	}
}

// consume handles the frames of a batch. It stops between any two of them: what a client
// sends at once may call for more of an answer than it is willing to read.
func (c *Conn) consume() {
	for len(c.rest) > 0 && !c.over {
		if c.stalled() {
			return
		}
		var u unit
		u, c.rest = nextUnit(c.rest)
		if c.deaf {
			continue
		}
		if u.protocol == nil && c.cfg.Tracer != nil {
			c.cfg.Tracer(c.id, false, u.header.Channel, u.body)
		}
		if err := c.handle(u); err != nil {
			c.closeWith(asError(err))
		}
		c.checkFit()
	}
	b := c.batch
	c.batch, c.rest = batch{}, nil
	c.free <- b.buf // capacity 2, and there are two buffers
	var refused *Error
	switch {
	case b.err == nil || c.over:
	case errors.As(b.err, &refused):
		c.closeWith(refused)
	default:
		c.stop(b.err)
	}
}

// stop ends the loop. An end of stream after a close is the usual way to go.
func (c *Conn) stop(err error) {
	if c.over {
		return
	}
	c.over = true
	if farewell := c.phase == phaseClosed && (errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)); c.err == nil && !farewell {
		c.err = err
	}
}

// closeWith sends a close and gives the client a moment to answer it.
func (c *Conn) closeWith(why *Error) {
	if c.phase == phaseClosed || c.over {
		return
	}
	c.err = why
	switch {
	case c.phase == phaseOpen || c.phase == phaseOpening:
		c.answerOpen(frames.Open{}) // a close that says why follows an open (part 2 §2.4.3)
	case c.phase != phaseUp:
		c.over = true // there is no close before the AMQP header
		return
	}
	for _, s := range c.sessions {
		s.closeLinks()
	}
	send(c, 0, frames.Close{Error: why.wire()})
	c.phase = phaseClosed
	c.after(lingering, func() { c.stop(why) })
}

// post has the loop call f soon. It may be called from any goroutine and does not
// wait; after the end of the connection it does nothing.
func (c *Conn) post(f func()) {
	c.mu.Lock()
	if !c.ended {
		c.posted = append(c.posted, f)
	}
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// takePosted runs what was posted.
func (c *Conn) takePosted() {
	c.mu.Lock()
	c.taken, c.posted = c.posted, c.taken[:0]
	c.mu.Unlock()
	for i, f := range c.taken {
		f()
		c.taken[i] = nil
	}
}
