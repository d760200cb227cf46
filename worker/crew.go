package worker

// crew is goroutines that work on one thing after another. A new one for each would spend more time on growing its stack
// than on the work.
type crew[T any] struct {
	work      func(T)
	next      chan T // taken by who is free
	rested    chan struct{}
	dismissed chan struct{}
}

func newCrew[T any](work func(T)) *crew[T] {
	return &crew[T]{work: work, next: make(chan T), rested: make(chan struct{}), dismissed: make(chan struct{})}
}

// run has a piece of work done, by who is free or by a new goroutine.
func (c *crew[T]) run(piece T) {
	select {
	case c.next <- piece:
	default:
		go c.serve(piece)
	}
}

func (c *crew[T]) serve(piece T) {
	for {
		c.work(piece)
		select {
		case piece = <-c.next:
		case <-c.rested:
			return
		case <-c.dismissed:
			return
		}
	}
}

// rest ends those who are free now, since there is nothing to do.
func (c *crew[T]) rest() {
	for {
		select {
		case c.rested <- struct{}{}:
		default:
			return
		}
	}
}

// dismiss ends who is free, now or later.
func (c *crew[T]) dismiss() { close(c.dismissed) }
