// controller-runtime: an operator with a kind of its own, as people write them: a cache, an owner, a finalizer,
// a status, leader election.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"
)

const websiteCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: websites.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: websites, singular: website, kind: Website, listKind: WebsiteList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, default: {}, properties: {replicas: {type: integer, default: 1, minimum: 0}}}
          status: {type: object, properties: {ready: {type: integer}}}
`

const hold = "example.com/website"

// A website without a Go type: what an operator for many kinds has.
func website(ns, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Website"})
	u.SetNamespace(ns)
	u.SetName(name)
	return u
}

type websites struct {
	client.Client
	closed chan string
}

// Reconcile gives a website its Deployment, and says in its status how many pods are ready.
func (w *websites) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	site := website("", "")
	if err := w.Get(ctx, request.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if site.GetDeletionTimestamp() != nil {
		if controllerutil.RemoveFinalizer(site, hold) {
			w.closed <- site.GetName()
			return ctrl.Result{}, w.Update(ctx, site)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(site, hold) {
		return ctrl.Result{}, w.Update(ctx, site)
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: site.GetNamespace(), Name: site.GetName()}}
	_, err := controllerutil.CreateOrUpdate(ctx, w.Client, deployment, func() error {
		replicas, _, _ := unstructured.NestedInt64(site.Object, "spec", "replicas")
		labels := map[string]string{"site": site.GetName()}
		n := int32(replicas)
		deployment.Spec.Replicas = &n
		deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		deployment.Spec.Template.Labels = labels
		if len(deployment.Spec.Template.Spec.Containers) == 0 {
			deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "busybox:1", Command: []string{"sleep", "1000"}}}
			deployment.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64)
		}
		return controllerutil.SetControllerReference(site, deployment, scheme.Scheme)
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	before := client.MergeFrom(site.DeepCopy())
	if err := unstructured.SetNestedField(site.Object, int64(deployment.Status.ReadyReplicas), "status", "ready"); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, w.Status().Patch(ctx, site, before)
}

func controllerRuntime(config *rest.Config) {
	const ns = "controller-runtime"
	var direct client.Client
	reconciler := &websites{closed: make(chan string, 10)}
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)

	check("controller-runtime: a definition, applied and served", func(ctx context.Context) (err error) {
		if direct, err = client.New(config, client.Options{FieldOwner: "test"}); err != nil {
			return err
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(websiteCRD), &crd.Object); err != nil {
			return err
		}
		if err := direct.Apply(ctx, client.ApplyConfigurationFromUnstructured(crd)); err != nil {
			return err
		}
		if err := direct.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
			return err
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "WebsiteList"})
		return until(ctx, func() error { return direct.List(ctx, list) })
	})
	check("controller-runtime: a manager leads", func(ctx context.Context) error {
		manager, err := ctrl.NewManager(config, ctrl.Options{
			LeaderElection: true, LeaderElectionID: "websites", LeaderElectionNamespace: ns, LeaderElectionReleaseOnCancel: true,
			Metrics: metricsserver.Options{BindAddress: "0"},
		})
		if err != nil {
			return err
		}
		reconciler.Client = manager.GetClient()
		err = ctrl.NewControllerManagedBy(manager).For(website("", "")).Owns(&appsv1.Deployment{}).
			Owns(&corev1.Secret{}, builder.OnlyMetadata).Complete(reconciler)
		if err != nil {
			return err
		}
		go func() { stopped <- manager.Start(running) }()
		select {
		case <-manager.Elected():
			return nil
		case err := <-stopped:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	ready := func(ctx context.Context, want int64) error {
		return until(ctx, func() error {
			site := website("", "")
			if err := direct.Get(ctx, client.ObjectKey{Namespace: ns, Name: "home"}, site); err != nil {
				return err
			}
			if n, _, _ := unstructured.NestedInt64(site.Object, "status", "ready"); n != want {
				return fmt.Errorf("%d of %d pods are ready", n, want)
			}
			return nil
		})
	}
	check("controller-runtime: a website gets its Deployment, and a status", func(ctx context.Context) error {
		if err := direct.Create(ctx, website(ns, "home")); err != nil {
			return err
		}
		return ready(ctx, 1) // the schema's default
	})
	check("controller-runtime: two replicas", func(ctx context.Context) error {
		site := website(ns, "home")
		if err := direct.Patch(ctx, site, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":2}}`))); err != nil {
			return err
		}
		return ready(ctx, 2)
	})
	check("controller-runtime: what it owns is made again", func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		key := client.ObjectKey{Namespace: ns, Name: "home"}
		if err := direct.Get(ctx, key, deployment); err != nil {
			return err
		}
		uid := deployment.UID
		if err := direct.Delete(ctx, deployment, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
			return err
		}
		return until(ctx, func() error {
			err := direct.Get(ctx, key, deployment)
			if err == nil && deployment.UID == uid {
				err = errors.New("the old one is there")
			}
			return err
		})
	})
	check("controller-runtime: its finalizer runs, and what it owned goes", func(ctx context.Context) error {
		if err := direct.Delete(ctx, website(ns, "home")); err != nil {
			return err
		}
		select {
		case <-reconciler.closed:
		case <-ctx.Done():
			return errors.New("the finalizer did not run")
		}
		return until(ctx, func() error {
			err := direct.Get(ctx, client.ObjectKey{Namespace: ns, Name: "home"}, &appsv1.Deployment{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("its Deployment is there: %v", err)
		})
	})
	check("controller-runtime: it stops, and gives up its lease", func(ctx context.Context) error {
		stop()
		select {
		case err := <-stopped:
			return err
		case <-time.After(15 * time.Second):
			return errors.New("it does not stop")
		}
	})
}
