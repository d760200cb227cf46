//go:build !linux

package worker

import "time"

func processorTime() (time.Duration, bool) { return 0, false }

func processorShare() time.Duration { return time.Second }
