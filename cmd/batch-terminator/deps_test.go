package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	module = "batchterminator"
	root   = "../.."
)

// goPackage is what `go list -json` says of a package, tests left out.
type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// list asks the go tool, which resolves what a reader of the import lines would have to.
func list(t *testing.T, args ...string) (packages []goPackage) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,Imports"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", cmd, exit.Stderr)
		}
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// within tells whether the package is the folder, given from the module's root, or below it.
func within(importPath string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return importPath == module+"/"+folder || strings.HasPrefix(importPath, module+"/"+folder+"/")
	})
}

func ours(importPath string) bool { return strings.HasPrefix(importPath, module+"/") }

// doubles stand for the services in tests.
var doubles = []string{"batchapi/batchtest", "worker/servicebustest"}

// mayImport says which other folders of ours a folder may import; the first that holds a package rules.
var mayImport = []struct {
	folder string
	others []string
}{
	{"batchapi/batchtest", nil},
	{"worker/servicebustest", nil},
	{"batchapi", nil},
	{"handler", []string{"batchapi"}},
	{"metrics", []string{"handler"}},
	{"worker", []string{"handler", "metrics"}},
	{"cmd/internal", []string{"worker", "handler", "batchapi", "metrics"}},
	{"cmd/batch-terminator", []string{"cmd/internal", "worker", "handler", "batchapi", "metrics"}},
	{"cmd/sandbox", []string{"cmd/internal", "worker", "handler", "batchapi", "metrics"}},
}

// onlyIn says where a library may be imported.
var onlyIn = map[string][]string{
	framing: {"worker/servicebustest"},
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus": {"worker"},
	"github.com/Azure/go-amqp":                                     {"worker"},
	"github.com/cenkalti/backoff":                                  {"handler"},
	"github.com/prometheus":                                        {"metrics", "cmd"},
	"github.com/prometheus/prometheus":                             {"cmd/internal/promqltest"},
	"github.com/alecthomas/kong":                                   {"cmd"},
	"go.opentelemetry.io/otel":                                     {"worker", "cmd"}, // its API; what sends spans comes next
	"go.opentelemetry.io/otel/sdk":                                 {"cmd/internal/tracing"},
	"go.opentelemetry.io/otel/exporters":                           {"cmd/internal/tracing"},
	"go.opentelemetry.io/proto":                                    {"cmd/internal/tracing"},
	"testing":                                                      {"cmd/sandbox/simulate"}, // for its virtual time
}

// framing is the one library of a double: no client of Service Bus is built on it, so that it shares no mistake with one.
const framing = "github.com/coder/websocket"

// breaches returns what one import breaks.
func breaches(importer, imported string) (broken []string) {
	double := within(importer, doubles...)
	if ours(imported) {
		for _, rule := range mayImport {
			if !within(importer, rule.folder) {
				continue
			}
			fake := within(imported, doubles...) && !within(importer, "cmd/sandbox")
			if !within(imported, rule.folder) && !within(imported, rule.others...) || fake && !double {
				broken = append(broken, "imports run one way: cmd → worker → handler → batchapi, worker → metrics → handler")
			}
			return broken
		}
		return []string{"the package is in no folder of the design"}
	}
	if first, _, _ := strings.Cut(imported, "/"); double && strings.Contains(first, ".") && imported != framing {
		broken = append(broken, "a double imports the standard library only")
	}
	for library, folders := range onlyIn {
		if (imported == library || strings.HasPrefix(imported, library+"/")) && !within(importer, folders...) {
			broken = append(broken, library+" is for "+strings.Join(folders, ", ")+" only")
		}
	}
	return broken
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	packages := list(t, "./...")
	if len(packages) < 10 {
		t.Fatalf("only %d packages are listed", len(packages))
	}
	for _, p := range packages {
		for _, imported := range p.Imports {
			for _, broken := range breaches(p.ImportPath, imported) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, broken)
			}
		}
	}
}

func TestImportRulesCatchWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		importer, imported string
		broken             bool
	}{
		{"worker", "batchterminator/handler", false},
		{"handler", "batchterminator/worker", true},
		{"handler", "batchterminator/metrics", true},
		{"worker", "batchterminator/batchapi", true},
		{"worker", "batchterminator/worker/servicebustest", true},
		{"cmd/batch-terminator", "batchterminator/batchapi/batchtest", true},
		{"cmd/sandbox", "batchterminator/batchapi/batchtest", false},
		{"cmd/batch-terminator", "batchterminator/cmd/sandbox", true},
		{"batchapi/batchtest", "batchterminator/batchapi", true},
		{"batchapi/batchtest", "github.com/google/uuid", true},
		{"worker/servicebustest", "batchterminator/worker/servicebustest/internal/codec", false},
		{"worker/servicebustest/internal/codec", "batchterminator/worker", true},
		{"worker/servicebustest", "github.com/Azure/go-amqp", true},
		{"worker/servicebustest/internal/front", framing, false},
		{"handler", "github.com/cenkalti/backoff/v4", false},
		{"worker", "github.com/cenkalti/backoff/v4", true},
		{"worker", "github.com/prometheus/client_golang/prometheus", true},
		{"cmd/internal/app", "github.com/prometheus/client_golang/prometheus", false},
		{"cmd/internal/app", "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus", true},
		{"handler", "testing", true},
		{"worker", "go.opentelemetry.io/otel/trace", false},
		{"worker", "go.opentelemetry.io/otel/sdk/trace", true},
		{"handler", "go.opentelemetry.io/otel/trace", true},
		{"batchapi", "go.opentelemetry.io/otel", true},
		{"cmd/internal/app", "go.opentelemetry.io/otel/exporters/otlp/otlptrace", true},
		{"util", "batchterminator/handler", true},
	} {
		if got := breaches(module+"/"+c.importer, c.imported); (len(got) > 0) != c.broken {
			t.Errorf("%s imports %s: %q, want a breach: %v", c.importer, c.imported, got, c.broken)
		}
	}
}

func TestProductionBinaryLinksNoTestCode(t *testing.T) {
	t.Parallel()
	packages := list(t, "-deps", "./cmd/batch-terminator")
	if len(packages) < 100 {
		t.Fatalf("only %d packages are listed", len(packages))
	}
	for _, p := range packages {
		switch {
		case ours(p.ImportPath) && strings.Contains(p.ImportPath+"/", "test/"),
			p.ImportPath == "testing", strings.HasPrefix(p.ImportPath, "testing/"),
			strings.Contains(p.ImportPath, "/testify"), !p.Standard && path.Base(p.ImportPath) == "zaptest",
			within(p.ImportPath, "cmd/sandbox"):
			t.Errorf("the binary links %s", p.ImportPath)
		case strings.HasPrefix(p.ImportPath, "google.golang.org/grpc"):
			t.Errorf("the binary links %s, four megabytes for the one call that cmd/internal/tracing makes by itself", p.ImportPath)
		}
	}
}

func TestTopLevelIsTheDesigns(t *testing.T) {
	t.Parallel()
	want := []string{"go.mod", "go.sum", "cmd", "worker", "handler", "batchapi", "metrics", "deploy", "testdata", "README.md"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(want, e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s does not belong at the top", e.Name())
		}
	}
}
