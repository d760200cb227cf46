package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const modulePath = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

// sdkModule is a writable copy of the SDK's module: the one in the cache is read-only, and its tests need more
// modules than ours has.
type sdkModule struct {
	dir     string
	version string
}

// copyModule copies the version of the module that this project is built with.
func copyModule(ctx context.Context, work string) (sdkModule, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-json", modulePath)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return sdkModule{}, fmt.Errorf("find the SDK; run this within the project: %w", err)
	}
	var found struct{ Dir, Version string }
	if err := json.Unmarshal(out, &found); err != nil {
		return sdkModule{}, fmt.Errorf("find the SDK: %w", err)
	}
	m := sdkModule{dir: filepath.Join(work, "azservicebus"), version: found.Version}
	if err := os.CopyFS(m.dir, os.DirFS(found.Dir)); err != nil {
		return sdkModule{}, fmt.Errorf("copy the SDK: %w", err)
	}
	// go test writes go.sum when a checksum is missing.
	err = filepath.WalkDir(m.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // G302: a folder is entered
		}
		return os.Chmod(path, 0o600) //nolint:gosec // G122: a folder that we alone write
	})
	if err != nil {
		return sdkModule{}, fmt.Errorf("make the copy writable: %w", err)
	}
	var output bytes.Buffer
	download := exec.CommandContext(ctx, "go", "mod", "download")
	download.Dir, download.Stdout, download.Stderr = m.dir, &output, &output
	if err := download.Run(); err != nil {
		return sdkModule{}, fmt.Errorf("download what the SDK's tests need: %w\n%s", err, &output)
	}
	return m, nil
}
