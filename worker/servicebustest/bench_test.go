package servicebustest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// brokerVariable in the environment makes the test binary a broker: see TestMain.
const brokerVariable = "SERVICEBUSTEST_BENCH_BROKER"

// serveBench is the other process of BenchmarkReceiveComplete: a namespace on loopback that obeys its standard input,
// one word a line, and ends with it.
func serveBench(in io.Reader, out io.Writer) error {
	s, err := servicebustest.Start(
		servicebustest.WithQueue(queueName, servicebustest.QueueConfig{LockDuration: 5 * time.Minute}), servicebustest.WithoutHistory())
	if err != nil {
		return err
	}
	if _, err := s.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, s.ConnectionString()); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var answer any = "filled"
		if n, err := strconv.Atoi(lines.Text()); err != nil {
			answer = int64(cpuTime())
		} else if err := fill(s.Queue(queueName), n); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return s.Close()
}

// fill sends n messages of a kilobyte.
func fill(q *servicebustest.Queue, n int) error {
	body := make([]byte, 1024)
	for i := range n {
		if _, err := q.Send(servicebustest.Message{ID: strconv.Itoa(i), Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// benchBroker is serveBench as its parent sees it.
type benchBroker struct {
	b       *testing.B
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func startBroker(b *testing.B) (broker *benchBroker, connectionString string) {
	b.Helper()
	broker = &benchBroker{b: b, process: exec.CommandContext(b.Context(), os.Args[0])}
	broker.process.Env = append(os.Environ(), brokerVariable+"=1")
	broker.process.Stderr = os.Stderr
	in, err := broker.process.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := broker.process.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := broker.process.Start(); err != nil {
		b.Fatal(err)
	}
	broker.in, broker.out = in, bufio.NewScanner(out)
	broker.out.Scan()
	return broker, broker.out.Text()
}

func (p *benchBroker) ask(line string) string {
	p.b.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.b.Fatal(err)
	}
	if !p.out.Scan() {
		p.b.Fatalf("the broker is gone: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *benchBroker) cpuTime() time.Duration {
	p.b.Helper()
	ns, err := strconv.ParseInt(p.ask("usage"), 10, 64)
	if err != nil {
		p.b.Fatal(err)
	}
	return time.Duration(ns)
}

func (p *benchBroker) stop() {
	if err := p.in.Close(); err != nil {
		p.b.Error(err)
	}
	if err := p.process.Wait(); err != nil {
		p.b.Error(err)
	}
}

// BenchmarkReceiveComplete is the floor under every measurement of the worker: one receiver, 250 messages of a kilobyte
// at a time, each completed, over loopback. The broker is a process of its own, so that what it costs can be told from
// what the SDK's client costs: the broker must never be what a benchmark of the worker measures.
func BenchmarkReceiveComplete(b *testing.B) {
	broker, connectionString := startBroker(b)
	client, err := azservicebus.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		b.Fatal(err)
	}
	receiver, err := client.NewReceiverForQueue(queueName, nil)
	if err != nil {
		b.Fatal(err)
	}
	const warm = 250
	broker.ask(strconv.Itoa(b.N + warm))
	drain(b, receiver, warm)
	ours, theirs := cpuTime(), broker.cpuTime()
	b.ResetTimer()
	drain(b, receiver, b.N)
	b.StopTimer()
	ours, theirs = cpuTime()-ours, broker.cpuTime()-theirs
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(ours)/float64(b.N), "client-ns/msg")
	b.ReportMetric(float64(theirs)/float64(b.N), "broker-ns/msg")
	b.ReportMetric(float64(theirs)/float64(ours), "broker/client")
	if err := client.Close(context.Background()); err != nil {
		b.Error(err)
	}
	broker.stop()
}

// drain receives and completes n messages.
func drain(b *testing.B, receiver *azservicebus.Receiver, n int) {
	b.Helper()
	const batch = 250
	for n > 0 {
		got, err := receiver.ReceiveMessages(b.Context(), min(batch, n), nil)
		if err != nil {
			b.Fatal(err)
		}
		var group sync.WaitGroup
		for _, m := range got {
			group.Go(func() {
				if err := receiver.CompleteMessage(b.Context(), m, nil); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		n -= len(got)
	}
}

// BenchmarkQueued measures what a message costs while it waits, beyond its body: run it with -benchtime 1000000x. What
// is left of it after it has ended is a cost too, and should be none.
func BenchmarkQueued(b *testing.B) {
	const body = 1024
	for _, history := range []bool{false, true} {
		b.Run("history="+strconv.FormatBool(history), func(b *testing.B) {
			opts := []servicebustest.Option{servicebustest.WithQueue(queueName, servicebustest.QueueConfig{})}
			if !history {
				opts = append(opts, servicebustest.WithoutHistory())
			}
			s := servicebustest.New(b, opts...)
			before := live()
			if err := fill(s.Queue(queueName), b.N); err != nil {
				b.Fatal(err)
			}
			queued := live()
			b.StopTimer()
			b.ReportMetric(float64(queued-before)/float64(b.N)-body, "B/queued")
			consume(b, s, b.N)
			b.ReportMetric(float64(live()-before)/float64(b.N), "B/left")
		})
	}
}

// consume takes all n messages of the queue by receive-and-delete, with a client that looks at nothing.
func consume(b *testing.B, s *servicebustest.Server, n int) {
	b.Helper()
	nc, err := s.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		const before = 4 // the protocol header, open, begin and attach
		if err := discardFrames(nc, before+n); err != nil {
			b.Error(err)
		}
	})
	a := &adversary{nc: nc}
	a.greet()
	put(a, 0, frames.Attach{
		Name: "all", Role: frames.RoleReceiver, SenderMode: codec.Some(frames.SenderSettled), Source: frames.Source(queueName),
	})
	put(a, 0, frames.Flow{
		NextIncomingID: codec.Some[uint32](0), IncomingWindow: 1<<31 - 1, Handle: codec.Some[uint32](0),
		DeliveryCount: codec.Some[uint32](0), LinkCredit: codec.Some(uint32(n)),
	})
	if a.flush(); a.err != nil {
		b.Fatal(a.err)
	}
	reading.Wait()
	_ = nc.Close() // nothing is left to say
	if c := s.Queue(queueName).Counts(); c.Completed != n {
		b.Fatalf("after %d messages: %+v", n, c)
	}
}

// discardFrames reads n frames.
func discardFrames(from io.Reader, n int) error {
	r := bufio.NewReaderSize(from, 256<<10)
	for range n {
		if _, err := readFrame(r); err != nil {
			return err
		}
	}
	return nil
}

// readFrame returns the body of the next frame, which is valid until the next call; a protocol header has none.
func readFrame(r *bufio.Reader) ([]byte, error) {
	header, err := r.Peek(frames.HeaderSize)
	if err != nil {
		return nil, err
	}
	if string(header[:4]) == "AMQP" {
		_, err := r.Discard(frames.HeaderSize)
		return nil, err
	}
	h, err := frames.ParseHeader(header, uint32(r.Size()))
	if err != nil {
		return nil, err
	}
	frame, err := r.Peek(int(h.Size))
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(int(h.Size)) // never fails: these bytes are buffered
	return frame[h.Offset:], err
}

// live is the size of the heap without garbage.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
