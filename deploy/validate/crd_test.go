package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	apimachinery "k8s.io/apimachinery/pkg/util/yaml"
)

// keda carries its custom resource definitions and the parameters of its scalers. It is not imported: its types would
// bring in every cloud's SDK.
const keda = "github.com/kedacore/keda/v2@v2.21.0"

// schemas of KEDA's resources by "group/version/kind", and the parameters of its scalers.
type schemas struct {
	kinds      map[string]*jsonschema.Schema
	parameters map[string]map[string]bool
}

func customResources(t *testing.T) schemas {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", keda).Output()
	var module struct{ Dir, Error string }
	if err := errors.Join(json.Unmarshal(out, &module), err); err != nil {
		t.Fatalf("%s: %v %s", keda, err, module.Error)
	}
	s := schemas{kinds: map[string]*jsonschema.Schema{}, parameters: scalers(t, module.Dir)}
	files, err := filepath.Glob(filepath.Join(module.Dir, "config/crd/bases/keda.sh_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no resource definitions in %s: %v", module.Dir, err)
	}
	for _, file := range files {
		s.add(t, file)
	}
	return s
}

func scalers(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "schema/generated/scalers-schema.json"))
	var file struct {
		Scalers []struct {
			Type       string
			Parameters []struct{ Name string }
		}
	}
	if err := errors.Join(err, json.Unmarshal(text, &file)); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for _, scaler := range file.Scalers {
		all[scaler.Type] = map[string]bool{}
		for _, p := range scaler.Parameters {
			all[scaler.Type][p.Name] = true
		}
	}
	return all
}

func (s schemas) add(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		text, err = apimachinery.ToJSON(text)
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := errors.Join(err, json.Unmarshal(text, &crd)); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, v := range crd.Spec.Versions {
		closed(v.Schema.OpenAPIV3Schema)
		v.Schema.OpenAPIV3Schema["properties"].(map[string]any)["metadata"] = map[string]any{} // the API server knows it
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(jsonschema.Draft4)
		if err := compiler.AddResource(file, v.Schema.OpenAPIV3Schema); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.kinds[crd.Spec.Group+"/"+v.Name+"/"+crd.Spec.Names.Kind] = schema
	}
}

// closed turns the schema of a resource definition into one that refuses what the API server would drop in silence.
func closed(schema map[string]any) {
	if schema["x-kubernetes-int-or-string"] == true {
		delete(schema, "anyOf")
		schema["type"] = []any{"integer", "string"}
	}
	delete(schema, "format")
	if properties, ok := schema["properties"].(map[string]any); ok {
		if schema["x-kubernetes-preserve-unknown-fields"] != true {
			schema["additionalProperties"] = false
		}
		for _, p := range properties {
			closed(p.(map[string]any))
		}
	}
	for _, below := range []string{"items", "additionalProperties"} {
		if s, ok := schema[below].(map[string]any); ok {
			closed(s)
		}
	}
}

func (s schemas) validate(m manifest) error {
	schema, known := s.kinds[m.kind]
	if !known {
		return fmt.Errorf("%s %s: no schema for this kind", m.kind, m.name)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.json))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", m.kind, m.name, err)
	}
	var object struct {
		Spec struct {
			Triggers []struct {
				Type     string
				Metadata map[string]string
			}
		}
	}
	if err := json.Unmarshal(m.json, &object); err != nil {
		return err
	}
	for _, trigger := range object.Spec.Triggers {
		for name := range trigger.Metadata {
			if !s.parameters[trigger.Type][name] {
				return fmt.Errorf("%s %s: a trigger of type %s has no %s", m.kind, m.name, trigger.Type, name)
			}
		}
	}
	return nil
}
