// Argo CD's heart: its cache of a whole cluster, and a sync of manifests in waves, with hooks, pruning and self-healing.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// What is ours bears this label.
const managed = "example.com/managed"

// manifests reads a folder, leaving out files of these names.
func manifests(folder string, without ...string) (objects []*unstructured.Unstructured, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	for _, file := range files {
		skip := false
		for _, name := range without {
			skip = skip || filepath.Base(file) == name
		}
		if skip {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more, err := kube.SplitYAML(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	for _, o := range objects {
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[managed] = "yes"
		o.SetLabels(labels)
	}
	return objects, err
}

func gitopsEngine(config *rest.Config) {
	const ns = "gitops"
	folder := os.Getenv("MANIFESTS")
	client := dynamic.NewForConfigOrDie(config)
	resource := func(group, version, plural string) dynamic.ResourceInterface {
		return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: plural}).Namespace(ns)
	}
	clusterCache := cache.NewClusterCache(config, cache.SetLogr(logr.Discard()),
		cache.SetPopulateResourceInfoHandler(func(un *unstructured.Unstructured, _ bool) (any, bool) {
			ours := un.GetLabels()[managed] != ""
			return ours, ours
		}))
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	// step syncs the folder as Argo CD does: what is live is asked anew after each step
	step := func(ctx context.Context, server bool, without ...string) error {
		objects, err := manifests(folder, without...)
		if err != nil {
			return err
		}
		phase, message, started := common.OperationRunning, "", metav1.Now()
		var results []common.ResourceSyncResult
		skipHooks := false
		for first := true; !phase.Completed(); first = false {
			live, err := clusterCache.GetManagedLiveObjs(objects, func(r *cache.Resource) bool { return r.Info.(bool) })
			if err != nil {
				return err
			}
			state := sync.Reconcile(objects, live, ns, clusterCache)
			differences, err := diff.DiffArray(state.Target, state.Live, diff.WithLogr(logr.Discard()))
			if err != nil {
				return err
			}
			if first {
				skipHooks = !differences.Modified
			}
			s, cleanup, err := sync.NewSyncContext("1", state, config, config, kubectl, ns, sync.WithLogr(logr.Discard()), sync.WithPrune(true),
				sync.WithServerSideApply(server), sync.WithServerSideApplyManager("argocd"),
				sync.WithSkipHooks(skipHooks), sync.WithInitialState(phase, message, results, started))
			if err != nil {
				return err
			}
			s.Sync()
			phase, message, results = s.GetState()
			cleanup()
			select {
			case <-ctx.Done():
				return fmt.Errorf("still %s: %v", message, results)
			case <-time.After(200 * time.Millisecond):
			}
		}
		if !phase.Successful() {
			return fmt.Errorf("%s: %v", message, results)
		}
		return nil
	}

	check("gitops-engine: the cache syncs", func(ctx context.Context) error { return clusterCache.EnsureSynced() })
	defer clusterCache.Invalidate()
	check("gitops-engine: hooks and waves in their order", func(ctx context.Context) error {
		if err := step(ctx, false); err != nil {
			return err
		}
		// the hook before, the waves -1, 0 and 1, the hook after
		var last time.Time
		for _, o := range []struct{ group, plural, name string }{
			{"batch", "jobs", "before"}, {"", "configmaps", "first"}, {"apps", "deployments", "web"}, {"", "services", "web"}, {"batch", "jobs", "after"},
		} {
			live, err := resource(o.group, "v1", o.plural).Get(ctx, o.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			created := live.GetCreationTimestamp().Time
			if created.Before(last) {
				return fmt.Errorf("%s came before what it waits for", o.name)
			}
			last = created
		}
		return nil
	})
	check("gitops-engine: all is healthy", func(ctx context.Context) error {
		return until(ctx, func() error {
			live, err := resource("apps", "v1", "deployments").Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err
			}
			status, err := health.GetResourceHealth(live, nil)
			if err == nil && status.Status != health.HealthStatusHealthy {
				err = fmt.Errorf("%s: %s", status.Status, status.Message)
			}
			return err
		})
	})
	check("gitops-engine: the cache knows a pod's ancestors", func(ctx context.Context) error {
		return until(ctx, func() error {
			kinds := map[string]int{}
			key := kube.NewResourceKey("apps", "Deployment", ns, "web")
			clusterCache.IterateHierarchyV2([]kube.ResourceKey{key}, func(r *cache.Resource, _ map[kube.ResourceKey]*cache.Resource) bool {
				kinds[r.Ref.Kind]++
				return true
			})
			if kinds["ReplicaSet"] != 1 || kinds["Pod"] != 2 {
				return fmt.Errorf("it knows %v", kinds)
			}
			return nil
		})
	})
	for _, server := range []bool{false, true} {
		check(fmt.Sprintf("gitops-engine: what was changed is healed (server-side: %v)", server), func(ctx context.Context) error {
			patch := []byte(`{"spec":{"replicas":5,"template":{"spec":{"containers":[{"name":"c","image":"busybox:2","command":["sleep","1"]}]}}}}`)
			if _, err := resource("apps", "v1", "deployments").Patch(ctx, "web", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
				return err
			}
			return until(ctx, func() error {
				if err := step(ctx, server); err != nil {
					return err
				}
				live, err := resource("apps", "v1", "deployments").Get(ctx, "web", metav1.GetOptions{})
				if err != nil {
					return err
				}
				n, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
				containers, _, _ := unstructured.NestedSlice(live.Object, "spec", "template", "spec", "containers")
				if image := containers[0].(map[string]any)["image"]; n != 2 || image != "busybox:1" {
					return fmt.Errorf("%d replicas of %v", n, image)
				}
				return nil
			})
		})
	}
	check("gitops-engine: what is no longer told is pruned", func(ctx context.Context) error {
		return until(ctx, func() error {
			if err := step(ctx, false, "service.yaml"); err != nil {
				return err
			}
			_, err := resource("", "v1", "services").Get(ctx, "web", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("the service is there: %v", err)
		})
	})
}
