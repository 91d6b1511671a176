// Clients written in Go, against colibri: client-go, controller-runtime, Argo CD's gitops-engine and Flux's ssa.
//
//	clients NAME...       some of: client-go controller-runtime gitops-engine ssa
//
// Each check prints "ok - ..." or "not ok - ..."; KUBECONFIG says which cluster. The checks of one client build on
// each other and share its namespace.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

var failures int

// check runs one check; what it returns is why it failed.
func check(name string, f func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	begin := time.Now()
	err := f(ctx)
	if err == nil {
		fmt.Printf("ok - %s (%.1f s)\n", name, time.Since(begin).Seconds())
		return
	}
	failures++
	fmt.Printf("not ok - %s\n    %s\n", name, strings.ReplaceAll(err.Error(), "\n", "\n    "))
}

// until tries f until it returns nil, or the check's time is over.
func until(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still after a minute: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// the default of 5 requests a second is for clients that share a server
	config.QPS, config.Burst = 500, 500
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())

	clients := map[string]func(*rest.Config){
		"client-go":          clientGo,
		"controller-runtime": controllerRuntime,
		"gitops-engine":      gitopsEngine,
		"ssa":                fluxSSA,
	}
	for _, name := range os.Args[1:] {
		clients[name](config)
	}
	if failures > 0 {
		os.Exit(1)
	}
}
