package worker

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processorTime returns what the process has used, in user mode and in the kernel.
func processorTime() (time.Duration, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}

// processorShare returns the processor time that the process may use in a second, at most a second: a container with half
// a core spins at half a core (cgroup-v2, cpu.max: quota and period in microseconds, or "max").
func processorShare() time.Duration {
	limit, err := os.ReadFile("/sys/fs/cgroup/cpu.max")
	if err != nil {
		return time.Second
	}
	return shareOf(string(limit))
}

func shareOf(limit string) time.Duration {
	fields := strings.Fields(limit)
	if len(fields) != 2 {
		return time.Second
	}
	quota, err := strconv.ParseFloat(fields[0], 64)
	period, periodErr := strconv.ParseFloat(fields[1], 64)
	if err != nil || periodErr != nil || quota <= 0 || period <= 0 {
		return time.Second
	}
	return min(time.Duration(quota/period*float64(time.Second)), time.Second)
}
