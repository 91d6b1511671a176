// client-go: informers of all makes and encodings, leader election, apply, finalizers, conflicts, events.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

const protobuf = "application/vnd.kubernetes.protobuf"

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// encoded is the config with another encoding: Go's clients speak JSON unless told.
func encoded(config *rest.Config, contentType string) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType = contentType
	c.AcceptContentTypes = contentType + ",application/json"
	return c
}

func clientGo(config *rest.Config) {
	const ns = "client-go"
	client := kubernetes.NewForConfigOrDie(encoded(config, protobuf))
	check("client-go: a namespace", func(ctx context.Context) error {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
		return err
	})
	for _, contentType := range []string{"application/json", protobuf} {
		typed := kubernetes.NewForConfigOrDie(encoded(config, contentType))
		factory := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(ns))
		check("client-go: typed informer, "+contentType, func(ctx context.Context) error {
			return follows(ctx, client, ns, factory.Core().V1().ConfigMaps().Informer(), "b")
		})
		partial := metadatainformer.NewFilteredSharedInformerFactory(metadata.NewForConfigOrDie(encoded(config, contentType)), 0, ns, nil)
		check("client-go: metadata informer, "+contentType, func(ctx context.Context) error {
			return follows(ctx, client, ns, partial.ForResource(configMaps).Informer(), "")
		})
	}
	check("client-go: unstructured informer", func(ctx context.Context) error {
		factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0, ns, nil)
		return follows(ctx, client, ns, factory.ForResource(configMaps).Informer(), "b")
	})
	check("client-go: an informer for every kind at once", func(ctx context.Context) error { return everyKind(ctx, config) })
	check("client-go: pages of a list", func(ctx context.Context) error { return pages(ctx, client, ns) })
	check("client-go: apply, its conflicts and what it owns", func(ctx context.Context) error { return applies(ctx, client, ns) })
	check("client-go: ten writers to one object", func(ctx context.Context) error { return conflicts(ctx, client, ns) })
	check("client-go: a finalizer holds an object", func(ctx context.Context) error { return finalizers(ctx, client, ns) })
	check("client-go: events are counted", func(ctx context.Context) error { return events(ctx, client, ns) })
	check("client-go: leader election", func(ctx context.Context) error { return elections(ctx, client, ns) })
	check("client-go: the namespace goes", func(ctx context.Context) error {
		if err := client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			return err
		}
		return until(ctx, func() error {
			_, err := client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("it is there: %v", err)
		})
	})
}

// follows has an informer see a config map come, change and go; data is what its key "a" holds in the end.
func follows(ctx context.Context, client kubernetes.Interface, ns string, informer cache.SharedIndexInformer, data string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen := make(chan string, 100)
	note := func(what string, object any) {
		if o, err := meta.Accessor(object); err == nil && o.GetName() == "followed" {
			seen <- what + " " + o.GetLabels()["step"]
		}
	}
	informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { note("added", o) },
		UpdateFunc: func(_, o any) { note("updated", o) },
		DeleteFunc: func(o any) { note("deleted", o) },
	})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return errors.New("it never synced")
	}
	expect := func(want string) error {
		select {
		case got := <-seen:
			if got != want {
				return fmt.Errorf("it saw %q instead of %q", got, want)
			}
			return nil
		case <-time.After(10 * time.Second):
			return fmt.Errorf("it did not see %q", want)
		}
	}
	maps := client.CoreV1().ConfigMaps(ns)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "followed", Labels: map[string]string{"step": "1"}}, Data: map[string]string{"a": "a"}}
	created, err := maps.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := expect("added 1"); err != nil {
		return err
	}
	created.Labels["step"], created.Data["a"] = "2", "b"
	if _, err := maps.Update(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := expect("updated 2"); err != nil {
		return err
	}
	cached, exists, err := informer.GetStore().GetByKey(ns + "/followed")
	if err != nil || !exists {
		return fmt.Errorf("the store has it not: %v", err)
	}
	if got := dataOf(cached); got != data {
		return fmt.Errorf("the store's object holds %q instead of %q", got, data)
	}
	if err := maps.Delete(ctx, "followed", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return expect("deleted 2")
}

// dataOf is data.a of a config map, typed or not; of metadata alone it is "".
func dataOf(object any) string {
	switch o := object.(type) {
	case *corev1.ConfigMap:
		return o.Data["a"]
	case *metav1.PartialObjectMetadata:
		return ""
	case runtime.Unstructured:
		data, _ := o.UnstructuredContent()["data"].(map[string]any)
		s, _ := data["a"].(string)
		return s
	}
	return fmt.Sprintf("%T", object)
}

// everyKind: one informer for all that can be listed and watched, each with a connection of its own.
func everyKind(ctx context.Context, config *rest.Config) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		return err
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "watch"}}, lists)
	resources, err := discovery.GroupVersionResources(lists)
	if err != nil {
		return err
	}
	if len(resources) < 50 {
		return fmt.Errorf("only %d kinds", len(resources))
	}
	whole := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0)
	partial := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(encoded(config, protobuf)), 0)
	for resource := range resources {
		whole.ForResource(resource)
		partial.ForResource(resource)
	}
	whole.Start(ctx.Done())
	partial.Start(ctx.Done())
	for _, synced := range []map[schema.GroupVersionResource]bool{whole.WaitForCacheSync(ctx.Done()), partial.WaitForCacheSync(ctx.Done())} {
		for resource, ok := range synced {
			if !ok {
				return fmt.Errorf("%v did not sync", resource)
			}
		}
	}
	return nil
}

func pages(ctx context.Context, client kubernetes.Interface, ns string) error {
	secrets := client.CoreV1().Secrets(ns)
	for i := range 25 {
		name := fmt.Sprintf("page-%02d", i)
		if _, err := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	p := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) { return secrets.List(ctx, o) }))
	p.PageSize = 10
	n := 0
	if err := p.EachListItem(ctx, metav1.ListOptions{}, func(runtime.Object) error { n++; return nil }); err != nil || n != 25 {
		return fmt.Errorf("%d of 25: %v", n, err)
	}
	return secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: fields.Everything().String()})
}

func applies(ctx context.Context, client kubernetes.Interface, ns string) error {
	deployments := client.AppsV1().Deployments(ns)
	desired := func(replicas int32) *appsapply.DeploymentApplyConfiguration {
		labels := map[string]string{"app": "applied"}
		return appsapply.Deployment("applied", ns).WithLabels(labels).WithSpec(appsapply.DeploymentSpec().WithReplicas(replicas).
			WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(coreapply.PodSpec().
				WithContainers(coreapply.Container().WithName("c").WithImage("busybox:1").
					WithPorts(coreapply.ContainerPort().WithContainerPort(80))))))
	}
	if _, err := deployments.Apply(ctx, desired(0), metav1.ApplyOptions{FieldManager: "a"}); err != nil {
		return err
	}
	// its controller writes a status first: from then on nobody does
	if err := until(ctx, func() error {
		d, err := deployments.Get(ctx, "applied", metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration == 0 {
			err = errors.New("no status yet")
		}
		return err
	}); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	before, err := deployments.Get(ctx, "applied", metav1.GetOptions{})
	if err != nil {
		return err
	}
	after, err := deployments.Apply(ctx, desired(0), metav1.ApplyOptions{FieldManager: "a"})
	if err != nil {
		return err
	}
	if before.ResourceVersion != after.ResourceVersion {
		return fmt.Errorf("the same, applied again, is a change: %v, then %v", before, after)
	}
	if _, err = deployments.Apply(ctx, desired(2), metav1.ApplyOptions{FieldManager: "b"}); !apierrors.IsConflict(err) {
		return fmt.Errorf("another's field was taken without a conflict: %v", err)
	}
	taken, err := deployments.Apply(ctx, desired(2), metav1.ApplyOptions{FieldManager: "b", Force: true})
	if err != nil {
		return err
	}
	of, err := appsapply.ExtractDeployment(taken, "a")
	if err != nil {
		return err
	}
	if of.Spec.Replicas != nil || of.Spec.Template == nil {
		return fmt.Errorf("what a still owns is not all but the replicas: %+v", of.Spec)
	}
	return deployments.Delete(ctx, "applied", metav1.DeleteOptions{})
}

func conflicts(ctx context.Context, client kubernetes.Interface, ns string) error {
	maps := client.CoreV1().ConfigMaps(ns)
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shared"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	var group sync.WaitGroup
	failed := make([]error, 10)
	for i := range failed {
		group.Go(func() {
			backoff := retry.DefaultBackoff
			backoff.Steps, backoff.Factor = 100, 1.1
			failed[i] = retry.RetryOnConflict(backoff, func() error {
				object, err := maps.Get(ctx, "shared", metav1.GetOptions{})
				if err != nil {
					return err
				}
				if object.Data == nil {
					object.Data = map[string]string{}
				}
				object.Data[fmt.Sprint(i)] = "was here"
				_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
				return err
			})
		})
	}
	group.Wait()
	object, err := maps.Get(ctx, "shared", metav1.GetOptions{})
	if err == nil && len(object.Data) != 10 {
		err = fmt.Errorf("%d of 10 writes are left", len(object.Data))
	}
	return errors.Join(append(failed, err)...)
}

func finalizers(ctx context.Context, client kubernetes.Interface, ns string) error {
	maps := client.CoreV1().ConfigMaps(ns)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}}
	if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := maps.Delete(ctx, "held", metav1.DeleteOptions{}); err != nil {
		return err
	}
	held, err := maps.Get(ctx, "held", metav1.GetOptions{})
	if err != nil || held.DeletionTimestamp == nil {
		return fmt.Errorf("it is gone, or not being deleted: %v", err)
	}
	if _, err := maps.Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	if _, err = maps.Get(ctx, "held", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Errorf("it is still there: %v", err)
	}
	return nil
}

func events(ctx context.Context, client kubernetes.Interface, ns string) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&eventSink{client, ns})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "test"})
	about, err := client.CoreV1().ConfigMaps(ns).Get(ctx, "shared", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for range 5 {
		recorder.Event(about, corev1.EventTypeWarning, "Tested", "again")
	}
	return until(ctx, func() error {
		list, err := client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=Tested,involvedObject.name=shared"})
		if err == nil && (len(list.Items) != 1 || list.Items[0].Count != 5) {
			err = fmt.Errorf("not one event that came five times: %v", list.Items)
		}
		return err
	})
}

// eventSink writes a recorder's events.
type eventSink struct {
	client kubernetes.Interface
	ns     string
}

func (s *eventSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return s.client.CoreV1().Events(s.ns).CreateWithEventNamespace(e)
}
func (s *eventSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.client.CoreV1().Events(s.ns).UpdateWithEventNamespace(e)
}
func (s *eventSink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	return s.client.CoreV1().Events(s.ns).PatchWithEventNamespace(e, data)
}

// elections: the second candidate leads once the first is gone, and never both.
func elections(ctx context.Context, client kubernetes.Interface, ns string) error {
	led := make(chan string, 2)
	candidate := func(name string) context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Namespace: ns, Name: "leader"}, Client: client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name}}
		go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: true, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { led <- name }, OnStoppedLeading: func() {}},
		})
		return stop
	}
	stopFirst := candidate("first")
	if name := <-led; name != "first" {
		return fmt.Errorf("%s leads", name)
	}
	stopSecond := candidate("second")
	defer stopSecond()
	select {
	case <-led:
		return errors.New("two lead")
	case <-time.After(time.Second):
	}
	stopFirst()
	select {
	case <-led:
		return nil
	case <-ctx.Done():
		return errors.New("nobody leads after the first has left")
	}
}
