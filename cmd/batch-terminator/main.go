package main

import (
	"os"

	"batchterminator/cmd/internal/console"
)

func main() {
	ctx, stop := console.UntilSignal()
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
