package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and revision are set by the release build, -ldflags "-X main.version=1.2.3 -X main.revision=…". A revision that
// is not set is the go tool's, which knows it where it builds inside the repository; deploy/Dockerfile does not.
var version, revision string

// build says what this binary is.
type build struct{ Version, Revision, Go string }

func readBuild() build {
	b := build{Version: version, Revision: revision, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		b.Version = cmp.Or(b.Version, "unknown")
		return b
	}
	b.Version = cmp.Or(b.Version, info.Main.Version, "(devel)")
	if b.Revision != "" {
		return b
	}
	modified := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				modified = " (modified)"
			}
		}
	}
	if b.Revision != "" {
		b.Revision += modified
	}
	return b
}

type versionCommand struct{}

func (versionCommand) run(std streams) error {
	b := readBuild()
	_, err := fmt.Fprintf(std.out, "%s %s\nrevision %s\n%s\n", name, b.Version, cmp.Or(b.Revision, "unknown"), b.Go)
	return err
}
