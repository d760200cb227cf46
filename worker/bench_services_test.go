package worker_test

// The services of the benchmarks, in a process of their own so that what they cost is not taken for the worker's: an
// embedded Service Bus, the way to it that takes five milliseconds, and a Batch account that answers at once.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"batchterminator/worker/servicebustest"
)

// addresses are where the services listen, told to the parent on the first line of the output.
type addresses struct {
	Near  string // connection string of Service Bus
	Far   string // the same, roundTrip away
	Plain string // its address
	Batch string // endpoint of the account
}

// services obey commands: one a line, a word and its arguments, each answered by one line of JSON.
type services struct {
	bus *servicebustest.Server
	at  addresses
}

// The queues: one for each side of a comparison, so that both can stand ready all the time.
var benchQueues = []string{"worker", "sdk", "amqp"}

func serveServices() error {
	options := []servicebustest.Option{servicebustest.WithoutHistory()}
	for _, name := range benchQueues {
		options = append(options, servicebustest.WithQueue(name, servicebustest.QueueConfig{LockDuration: 5 * time.Minute}))
	}
	bus, err := servicebustest.Start(options...)
	if err != nil {
		return err
	}
	s := &services{bus: bus}
	if err := s.listen(); err != nil {
		return err
	}
	return serveLines(os.Stdin, os.Stdout, s.at, s.obey)
}

func (s *services) listen() error {
	plain, err := s.bus.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	far, err := delayed(plain.String(), roundTrip/2)
	if err != nil {
		return err
	}
	batch, err := instantBatch()
	if err != nil {
		return err
	}
	s.at = addresses{
		Near: s.bus.ConnectionString(), Plain: plain.String(), Batch: "http://" + batch,
		Far: "Endpoint=sb://" + far + ";SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true",
	}
	return nil
}

func (s *services) obey(words []string) (any, error) {
	if len(words) != 3 {
		return nil, fmt.Errorf("%q: want a command, a queue and a number", words)
	}
	q := s.bus.Queue(words[1])
	n, err := strconv.Atoi(words[2])
	if err != nil {
		return nil, err
	}
	switch words[0] {
	case "stock":
		return nil, stock(q, n)
	case "consume":
		return consumed(q, n)
	case "until":
		return nil, untilCompleted(q, n)
	case "alone":
		return alone(q, n)
	}
	return nil, fmt.Errorf("%q: no such command", words)
}

// request is a message as it comes in production.
func request(i int) servicebustest.Message {
	id := strconv.Itoa(i)
	return servicebustest.Message{ID: id, Body: []byte(`{"jobId":"nightly","taskId":"frame-` + id + `"}`)}
}

// stock fills the queue in portions, since a message that waits to be sent takes more room than one in the queue.
func stock(q *servicebustest.Queue, n int) error {
	for sent := 0; sent < n; {
		portion := make([]servicebustest.Message, min(10_000, n-sent))
		for i := range portion {
			portion[i] = request(sent + i)
		}
		if _, err := q.Send(portion...); err != nil {
			return err
		}
		sent += len(portion)
	}
	return nil
}

// consumed returns how long it takes until n messages that all enter the queue at once are completed.
func consumed(q *servicebustest.Queue, n int) (took time.Duration, err error) {
	messages := make([]servicebustest.Message, n)
	for i := range messages {
		messages[i] = request(i)
	}
	entered, sent, before := q.Changed(), make(chan error, 1), q.Counts().Completed
	go func() {
		_, err := q.Send(messages...)
		sent <- err
	}()
	<-entered
	begun := time.Now()
	if err := <-sent; err != nil {
		return 0, err
	}
	err = untilCompleted(q, before+n)
	return time.Since(begun), err
}

// untilCompleted looks a thousand times a second: to be woken by each of the messages would slow the broker down.
func untilCompleted(q *servicebustest.Queue, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); q.Counts().Completed < n; <-tick.C {
		if time.Now().After(end) {
			return fmt.Errorf("%s: %+v after a minute, want %d completed", q.Name(), q.Counts(), n)
		}
	}
	return nil
}

// alone returns how long each of n messages takes that comes to an idle queue.
func alone(q *servicebustest.Queue, n int) (took []time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rest := time.NewTicker(3 * time.Millisecond)
	defer rest.Stop()
	for i := range n {
		<-rest.C // the receiver asks for more meanwhile
		want := q.Counts().Completed + 1
		begun := time.Now()
		if _, err := q.Send(request(i)); err != nil {
			return nil, err
		}
		if err := q.Wait(ctx, func(c servicebustest.Counts) bool { return c.Completed == want }); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

// terminated is Batch's answer to a terminate that it accepts.
const terminated = "HTTP/1.1 204 No Content\r\n" +
	"Server: Microsoft-HTTPAPI/2.0\r\n" +
	"Date: Sat, 06 Sep 2025 07:12:45 GMT\r\n" +
	"Request-Id: 7b0e5f3c-1d2a-4c6b-8e00-000000000001\r\n" +
	"DataServiceId: https://contoso.westeurope.batch.azure.com/jobs/job/tasks/task/terminate\r\n" +
	"ETag: 0x8DD000000000001\r\n" +
	"Last-Modified: Sat, 06 Sep 2025 07:12:45 GMT\r\n\r\n"

// instantBatch listens for requests and gives each the same answer: an account that thinks would hide the caller's cost.
func instantBatch() (address string, err error) {
	return accept(func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			for line := []byte(nil); len(line) != len("\r\n"); { // requests have no body, so an empty line is the end of one
				var err error
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
			if _, err := io.WriteString(conn, terminated); err != nil {
				return
			}
		}
	})
}

// accept serves each connection until it ends; the listener ends with the process.
func accept(serve func(net.Conn)) (address string, err error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String(), nil
}

// serveLines tells where the process is and then answers each line until the input ends.
func serveLines(in io.Reader, out io.Writer, hello any, obey func(words []string) (any, error)) error {
	answers := json.NewEncoder(out)
	if err := answers.Encode(hello); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := obey(strings.Fields(lines.Text()))
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}
