//go:build !unix

package main

import "os"

// Elsewhere processes cannot be frozen, and chaos says so.
var freeze, thaw os.Signal
