package validate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manifest is one rendered object.
type manifest struct {
	kind, name string
	json       []byte
}

// render does what kubectl kustomize does.
func render(t *testing.T, folder string) (all []manifest) {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, manifest{kind: r.GetApiVersion() + "/" + r.GetKind(), name: r.GetName(), json: text})
	}
	return all
}

const production = "../kubernetes/production"

// kinds are the types that the API server would decode into; the rest are custom resources of KEDA.
var kinds = map[string]func() any{
	"v1/Namespace":                            func() any { return new(core.Namespace) },
	"v1/ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"v1/ConfigMap":                            func() any { return new(core.ConfigMap) },
	"apps/v1/Deployment":                      func() any { return new(apps.Deployment) },
	"policy/v1/PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1/PodMonitor":     func() any { return new(monitoring.PodMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
}

// decode refuses what the type does not have, other spelling included.
func decode(m manifest) (any, error) {
	create, known := kinds[m.kind]
	if !known {
		return nil, fmt.Errorf("%s %s: no schema for this kind", m.kind, m.name)
	}
	into := create()
	strict, err := json.UnmarshalStrict(m.json, into)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("%s %s: %w", m.kind, m.name, err)
	}
	return into, nil
}

func TestManifestsHaveTheFieldsThatKubernetesHas(t *testing.T) {
	all := render(t, production)
	custom := customResources(t)
	for _, m := range all {
		if strings.HasPrefix(m.kind, "keda.sh/") {
			if err := custom.validate(m); err != nil {
				t.Error(err)
			}
		} else if _, err := decode(m); err != nil {
			t.Error(err)
		}
	}
	for kind := range kinds {
		if !slices.ContainsFunc(all, func(m manifest) bool { return m.kind == kind }) {
			t.Errorf("no %s is rendered", kind)
		}
	}
}

func TestMisspelledManifestsAreRefused(t *testing.T) {
	all := render(t, production)
	custom := customResources(t)
	for _, c := range []struct{ kind, is, becomes string }{
		{"apps/v1/Deployment", `"terminationGracePeriodSeconds"`, `"terminationGraceSeconds"`},
		{"apps/v1/Deployment", `"readOnlyRootFilesystem"`, `"readonlyRootFilesystem"`},
		{"apps/v1/Deployment", `"periodSeconds":10`, `"periodSeconds":"10s"`},
		{"apps/v1/Deployment", `"96Mi"`, `"96 MB"`},
		{"policy/v1/PodDisruptionBudget", `"selector"`, `"podSelector"`},
		{"networking.k8s.io/v1/NetworkPolicy", `"cidr"`, `"cidrs"`},
		{"monitoring.coreos.com/v1/PodMonitor", `"podMetricsEndpoints"`, `"endpoints"`},
		{"keda.sh/v1alpha1/ScaledObject", `"maxReplicaCount"`, `"maxReplicas"`},
		{"keda.sh/v1alpha1/ScaledObject", `"256"`, `256`},
		{"keda.sh/v1alpha1/ScaledObject", `"messageCount"`, `"queueLength"`},
		{"keda.sh/v1alpha1/ScaledObject", `"currentReplicasIfHigher"`, `"currentIfHigher"`},
		{"keda.sh/v1alpha1/ScaledObject", `"scaleTargetRef"`, `"scaleTarget"`},
		{"keda.sh/v1alpha1/TriggerAuthentication", `"azure-workload"`, `"azure-workload-identity"`},
		{"keda.sh/v1alpha1/TriggerAuthentication", `"identityId"`, `"clientId"`},
	} {
		i := slices.IndexFunc(all, func(m manifest) bool { return m.kind == c.kind && strings.Contains(string(m.json), c.is) })
		if i < 0 {
			t.Errorf("no %s has %s", c.kind, c.is)
			continue
		}
		m := all[i]
		m.json = []byte(strings.ReplaceAll(string(m.json), c.is, c.becomes))
		err := custom.validate(m)
		if !strings.HasPrefix(c.kind, "keda.sh/") {
			_, err = decode(m)
		}
		if err == nil {
			t.Errorf("%s with %s in place of %s is accepted", c.kind, c.becomes, c.is)
		}
	}
}

// A selector that is empty or fits nothing is accepted by every schema, and protects nothing.
func TestSelectorsFindThePodsOfTheDeployment(t *testing.T) {
	var pods labels.Set
	selectors := map[string]*meta.LabelSelector{}
	for _, m := range render(t, production) {
		if strings.HasPrefix(m.kind, "keda.sh/") {
			continue
		}
		object, err := decode(m)
		if err != nil {
			t.Fatal(err)
		}
		switch o := object.(type) {
		case *apps.Deployment:
			pods = o.Spec.Template.Labels
			selectors["Deployment"] = o.Spec.Selector
			for _, spread := range o.Spec.Template.Spec.TopologySpreadConstraints {
				selectors["spread over "+spread.TopologyKey] = spread.LabelSelector
			}
		case *policy.PodDisruptionBudget:
			selectors["PodDisruptionBudget"] = o.Spec.Selector
		case *networking.NetworkPolicy:
			selectors["NetworkPolicy"] = &o.Spec.PodSelector
		case *monitoring.PodMonitor:
			selectors["PodMonitor"] = &o.Spec.Selector
		}
	}
	if len(selectors) != 6 {
		t.Errorf("%d selectors found", len(selectors))
	}
	for where, s := range selectors {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		} else if selector.Empty() || !selector.Matches(pods) {
			t.Errorf("%s selects %q, the pods have %v", where, selector, pods)
		}
	}
}

// Where a name stands twice, the second place is filled by kustomization.yaml.
func TestValuesReachEveryPlace(t *testing.T) {
	text := ""
	for _, m := range render(t, production) {
		text += string(m.json) + "\n"
		if m.name == "identities" {
			t.Error("the identities of the overlay would be applied")
		}
	}
	if strings.Contains(text, "set-by-the-overlay") {
		t.Error("a value of the base is left")
	}
	for _, want := range []string{
		`"azure.workload.identity/client-id":"00000000-0000-0000-0000-000000000001"`, `"identityId":"00000000-0000-0000-0000-000000000002"`,
		`"namespace":"example","queueName":"terminate-requests"`, `"image":"example.azurecr.io/batch-terminator:`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in what is rendered", want)
		}
	}
}
