package worker_test

import (
	"net"
	"sync"
	"time"
)

// roundTrip is how far away the far broker is.
const roundTrip = 5 * time.Millisecond

// delayed listens, and connects each client to the target with a delay in each direction that does not limit how much
// may be under way.
func delayed(target string, delay time.Duration) (address string, err error) {
	return accept(func(client net.Conn) {
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		var ways sync.WaitGroup
		ways.Go(func() { forward(server, client, delay) })
		ways.Go(func() { forward(client, server, delay) })
		ways.Wait()
	})
}

// piece is what has been read and is on its way.
type piece struct {
	bytes []byte
	due   time.Time
}

// forward moves bytes from one connection to the other and closes both when either ends.
func forward(to, from net.Conn, delay time.Duration) {
	pieces := make(chan piece, 1<<12)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer func() { _ = to.Close() }()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				_ = from.Close() // ends the reading
			}
		}
	})
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			pieces <- piece{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}
		}
		if err != nil {
			close(pieces)
			writer.Wait()
			return
		}
	}
}
