package servicebustest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/Azure/go-amqp"

	"batchterminator/worker/servicebustest/internal/claims"
)

// What a connection has shown ends with it; the server would fill up otherwise. No client can see that.
func TestClaimsEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(t, WithClaims())
		nc, err := s.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := amqp.NewConn(context.Background(), nc, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
		if err != nil {
			t.Fatal(err)
		}
		var id uint64
		s.mu.Lock()
		for c := range s.conns {
			id = c.id()
		}
		s.mu.Unlock()
		s.claims.Grant(id, "orders", claims.Claim{Rights: claims.All})
		if err := s.claims.Allows(id, "orders", claims.Send); err != nil {
			t.Fatalf("while it is there: %v", err)
		}
		_ = conn.Close() // an error is about who closed the pipe first
		synctest.Wait()
		if s.claims.Allows(id, "orders", claims.Send) == nil {
			t.Error("the claim has outlived its connection")
		}
	})
}
