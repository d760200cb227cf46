//go:build unix

package main

import (
	"os"
	"syscall"
)

var freeze, thaw os.Signal = syscall.SIGSTOP, syscall.SIGCONT
