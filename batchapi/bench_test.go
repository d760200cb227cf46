//go:build unix

package batchapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchterminator/batchapi"
)

// The benchmarks make the same call over one kept-alive loopback connection each,
// through this package and through net/http alone, both with a time limit, to a server that does nothing
// but repeat one answer: a real server's work would hide the client's.
//
//	go test -run '^$' -bench 'TerminateTask|BareNetHTTP|Share' ./batchapi

// theAnswer has the headers of the service's 204.
const theAnswer = "HTTP/1.1 204 No Content\r\n" +
	"Server: Microsoft-HTTPAPI/2.0\r\n" +
	"Date: Sat, 06 Sep 2025 07:12:45 GMT\r\n" +
	"Request-Id: 7b0e5f3c-1d2a-4c6b-8e00-000000000001\r\n" +
	"Client-Request-Id: 9c4d50ee-2d56-4cd3-8152-34347dc9f2b0\r\n" +
	"DataServiceId: https://contoso.westeurope.batch.azure.com/jobs/job/tasks/task/terminate\r\n" +
	"ETag: 0x8DD000000000001\r\n" +
	"Last-Modified: Sat, 06 Sep 2025 07:12:45 GMT\r\n\r\n"

const benchEndpoint = "https://contoso.westeurope.batch.azure.com"

// loopbackTransport returns a transport to a listener that gives theAnswer to
// every request. It speaks plain text to an https address: encryption would cost
// both sides of the comparison the same.
func loopbackTransport(b *testing.B) *http.Transport {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var owner sync.WaitGroup
	owner.Go(func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			owner.Go(func() { repeatTheAnswer(conn) })
		}
	})
	var dialer net.Dialer
	transport := &http.Transport{DisableCompression: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", listener.Addr().String())
	}}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = listener.Close()
		owner.Wait()
	})
	return transport
}

// repeatTheAnswer serves conn until the client closes it. Requests have no body,
// so an empty line is the end of one.
func repeatTheAnswer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r, answer := bufio.NewReader(conn), []byte(theAnswer)
	for {
		for line := []byte(nil); len(line) != len("\r\n"); {
			var err error
			if line, err = r.ReadSlice('\n'); err != nil {
				return
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// throughBatchapi returns one call through this package, bare one without it.
func throughBatchapi(b *testing.B) func() error {
	b.Helper()
	options := &batchapi.ClientOptions{}
	options.Transport = &http.Client{Transport: loopbackTransport(b), Timeout: time.Minute}
	client, err := batchapi.NewClient(benchEndpoint, &credential{}, options)
	if err != nil {
		b.Fatal(err)
	}
	call := &batchapi.TerminateTaskOptions{
		TimeOut: 30 * time.Second, ClientRequestID: "9c4d50ee-2d56-4cd3-8152-34347dc9f2b0", ReturnClientRequestID: true,
	}
	return func() error {
		_, err := client.TerminateTask(b.Context(), "job", "task", call)
		return err
	}
}

func bare(b *testing.B) func() error {
	b.Helper()
	client := &http.Client{Transport: loopbackTransport(b), Timeout: time.Minute}
	const url = benchEndpoint + "/jobs/job/tasks/task/terminate?api-version=2025-06-01&timeOut=30"
	return func() error {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer "+secretToken)
		req.Header.Set("Client-Request-Id", "9c4d50ee-2d56-4cd3-8152-34347dc9f2b0")
		req.Header.Set("Return-Client-Request-Id", "true")
		req.Header.Set("Ocp-Date", time.Now().UTC().Format(http.TimeFormat))
		req.Header.Set("User-Agent", "batch-terminator/1.0.0 (go1.26; linux)")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
}

func BenchmarkTerminateTask(b *testing.B) { measure(b, throughBatchapi(b)) }

func BenchmarkBareNetHTTP(b *testing.B) { measure(b, bare(b)) }

func measure(b *testing.B, call func() error) {
	b.Helper()
	if err := call(); err != nil { // dials
		b.Fatal(err)
	}
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-start)/float64(b.N), "cpu-ns/op")
}

// BenchmarkShareOfCPU takes turns between the two, so that whatever else the
// machine does meets both, and reports what this package adds to the bare call's
// CPU time, the server's included.
func BenchmarkShareOfCPU(b *testing.B) {
	const turn = 2000 // calls: several cycles of the garbage collector fall into each
	calls := []func() error{throughBatchapi(b), bare(b)}
	var used [2]time.Duration
	for b.Loop() {
		for i, call := range calls {
			start := processorTime(b)
			for range turn {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			used[i] += processorTime(b) - start
		}
	}
	b.ReportMetric(100*(float64(used[0])/float64(used[1])-1), "%-on-top")
}

// processorTime is what the process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
