// Flux's server-side apply: manifests in stages, drift, reconciliation without it, pruning.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func fluxSSA(config *rest.Config) {
	const ns = "flux"
	kube, err := client.New(config, client.Options{})
	if err != nil {
		check("ssa: a client", func(context.Context) error { return err })
		return
	}
	manager := ssa.NewResourceManager(kube, polling.NewStatusPoller(kube, kube.RESTMapper(), polling.Options{}),
		ssa.Owner{Field: "flux", Group: "flux.example.com"})
	var objects []*unstructured.Unstructured
	options := ssa.DefaultApplyOptions()
	options.WaitInterval = 200 * time.Millisecond
	wait := ssa.WaitOptions{Interval: 200 * time.Millisecond, Timeout: 40 * time.Second, FailFast: true}

	// actions says what an apply did, leaving out what it left alone
	actions := func(changes *ssa.ChangeSet) string {
		var s []string
		for _, e := range changes.Entries {
			if e.Action != ssa.UnchangedAction {
				s = append(s, e.String())
			}
		}
		return strings.Join(s, ", ")
	}
	check("ssa: manifests with a definition and its kind, in stages", func(ctx context.Context) (err error) {
		if objects, err = manifests(os.Getenv("MANIFESTS") + "/flux"); err != nil {
			return err
		}
		if err := normalize.UnstructuredList(objects); err != nil {
			return err
		}
		manager.SetOwnerLabels(objects, "test", ns)
		changes, err := manager.ApplyAllStaged(ctx, objects, options)
		if err == nil && strings.Count(actions(changes), string(ssa.CreatedAction)) != len(objects) {
			err = fmt.Errorf("not all are new: %s", changes)
		}
		return err
	})
	check("ssa: all become ready", func(ctx context.Context) error { return manager.Wait(objects, wait) })
	check("ssa: ten reconciliations without drift", func(ctx context.Context) error {
		for i := range 10 {
			changes, err := manager.ApplyAllStaged(ctx, objects, options)
			if err != nil {
				return err
			}
			if done := actions(changes); done != "" {
				return fmt.Errorf("the %d. time changes: %s", i+1, done)
			}
		}
		return nil
	})
	check("ssa: drift is seen and taken back", func(ctx context.Context) error {
		var web *unstructured.Unstructured
		for _, o := range objects {
			if o.GetKind() == "Deployment" {
				web = o
			}
		}
		patch := client.RawPatch("application/strategic-merge-patch+json",
			[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"busybox:2"}]}}}}`))
		live := web.DeepCopy()
		if err := kube.Patch(ctx, live, patch, client.FieldOwner("mallory")); err != nil {
			return err
		}
		entry, _, merged, err := manager.Diff(ctx, web, ssa.DefaultDiffOptions())
		if err != nil {
			return err
		}
		if entry.Action != ssa.ConfiguredAction || merged == nil {
			return fmt.Errorf("it sees no drift: %s", entry)
		}
		changes, err := manager.ApplyAllStaged(ctx, objects, options)
		if err != nil {
			return err
		}
		if done := actions(changes); strings.Count(done, "configured") != 1 {
			return fmt.Errorf("not one is put right: %s", done)
		}
		return nil
	})
	check("ssa: an immutable field, by force", func(ctx context.Context) error {
		for _, o := range objects {
			if o.GetKind() != "ConfigMap" {
				continue
			}
			changed := o.DeepCopy()
			if err := unstructured.SetNestedField(changed.Object, "other", "data", "a"); err != nil {
				return err
			}
			if _, err := manager.Apply(ctx, changed, options); err == nil {
				return fmt.Errorf("an immutable config map was changed")
			}
			force := options
			force.Force = true
			entry, err := manager.Apply(ctx, changed, force)
			if err == nil && entry.Action != ssa.CreatedAction {
				err = fmt.Errorf("it was not made anew: %s", entry)
			}
			return err
		}
		return fmt.Errorf("there is none")
	})
	check("ssa: all goes", func(ctx context.Context) error {
		if _, err := manager.DeleteAll(ctx, objects, ssa.DefaultDeleteOptions()); err != nil {
			return err
		}
		return manager.WaitForTermination(objects, wait)
	})
}
