package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// The ports that freeAddress tries. The systems at hand give those from 32768 or 49152 on to whoever asks for any, a listener
// or a connection out: one of those would be free now, and taken when its worker starts.
var (
	firstPort  = 20_000 + rand.Uint32N(10_000)
	portsTried atomic.Uint32
)

// freeAddress returns an address of loopback that nobody listens on, another one each time.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+portsTried.Add(1)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}
