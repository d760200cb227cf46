package claims

import (
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test with a book that writes down what has expired.
func inBubble(t *testing.T, test func(t *testing.T, b *Book, ended <-chan uint64)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan uint64, 10)
		b := NewBook(func(conn uint64, _ error) { ended <- conn })
		defer b.Close()
		test(t, b, ended)
	})
}

func wantEnded(t *testing.T, ended <-chan uint64, want int) {
	t.Helper()
	synctest.Wait()
	if len(ended) != want {
		t.Fatalf("%d claims have ended, want %d", len(ended), want)
	}
}

// wantClosedAtOnce closes the book: Close waits for timers, so that one which was left behind shows.
func wantClosedAtOnce(t *testing.T, b *Book) {
	t.Helper()
	before := time.Now()
	b.Close()
	if took := time.Since(before); took != 0 {
		t.Errorf("close took %v", took)
	}
}

func TestClaimSpeaksForItsEntityAndWhatIsBelow(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Book, _ <-chan uint64) {
		b.Grant(1, "amqp://host/orders", Claim{Rights: Listen})
		b.Grant(1, "sb://host/other/$management", Claim{Rights: Send})
		b.Grant(2, "sb://host/", Claim{Rights: Send})
		for _, test := range []struct {
			conn    uint64
			address string
			oneOf   Rights
			allowed bool
		}{
			{1, "orders", Listen, true},
			{1, "/ORDERS", Listen | Manage, true},
			{1, "Orders/$DeadLetterQueue", Listen, true},
			{1, "orders/$Management", All, true},
			{1, "other", Send, true}, // granted for its management node
			{1, "orders", Send, false},
			{1, "orders2", Listen, false},
			{1, "", Listen, false},
			{2, "orders", Send, true},
			{2, "orders", Listen, false},
			{3, "orders", All, false},
		} {
			err := b.Allows(test.conn, test.address, test.oneOf)
			if (err == nil) != test.allowed {
				t.Errorf("%d %q %v: %v, want allowed %v", test.conn, test.address, test.oneOf, err, test.allowed)
			}
		}
		const want = "Unauthorized access. 'Manage,Listen' claim(s) are required to perform this operation. Resource: 'q'."
		if err := b.Allows(3, "q", Manage|Listen); err == nil || err.Error() != want {
			t.Errorf("refused with %q, want %q", err, want)
		}
	})
}

func TestExpiryEndsAClaimOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Book, ended <-chan uint64) {
		b.Grant(1, "orders", Claim{All, time.Now().Add(time.Minute)})
		time.Sleep(time.Minute - time.Nanosecond)
		wantEnded(t, ended, 0)
		if err := b.Allows(1, "orders", Send); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		wantEnded(t, ended, 1)
		if b.Allows(1, "orders", Send) == nil {
			t.Error("allowed at its end")
		}
		time.Sleep(time.Hour)
		wantEnded(t, ended, 1)
	})
}

func TestRenewalTakesTheOldClaimsPlace(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Book, ended <-chan uint64) {
		b.Grant(1, "orders", Claim{All, time.Now().Add(time.Minute)})
		b.Grant(1, "ORDERS", Claim{Listen, time.Now().Add(time.Hour)})
		time.Sleep(2 * time.Minute)
		wantEnded(t, ended, 0)
		b.Grant(1, "orders", Claim{Listen, time.Now().Add(time.Hour)})
		if b.Allows(1, "orders", Listen) != nil || b.Allows(1, "orders", Send) == nil {
			t.Error("the rights are not those of the renewal")
		}
		wantClosedAtOnce(t, b)
	})
}

func TestForgottenAndClosedBooksAreSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Book, ended <-chan uint64) {
		soon := Claim{All, time.Now().Add(time.Minute)}
		b.Grant(1, "orders", soon)
		b.Grant(2, "orders", soon)
		b.Forget(1)
		wantClosedAtOnce(t, b)
		b.Grant(3, "orders", soon)
		time.Sleep(time.Hour)
		wantEnded(t, ended, 0)
		if b.Allows(1, "orders", Send) == nil || b.Allows(2, "orders", Send) == nil || b.Allows(3, "orders", Send) == nil {
			t.Error("a claim is left")
		}
	})
}
