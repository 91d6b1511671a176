/* One node: what its parts share. A process has one of these, or many with --fake-nodes. */
#pragma once

#include "../lib/client/client.h"
#include "../lib/client/event.h"
#include "../lib/client/informer.h"
#include "images/images.h"
#include "network/dns.h"
#include "probes/prober.h"
#include "runtime/runtime.h"
#include "volumes/volumes.h"

struct pod_worker;

struct kubelet_config {
        const char *node_name;
        const char *node_ips[2];       /* the second may be NULL */
        const char *root;              /* /var/lib/colibri */
        const char *log_dir;           /* of pods; NULL: root/logs */
        const char *manifest_path;     /* folder of static pods; NULL: none */
        const char *kubeconfig;
        const char *const *cluster_dns; /* NULL-ended; may be NULL */
        const char *cluster_domain;
        const char *resolv_conf;       /* the node's file */
        const char *labels;            /* "a=b,c=d"; may be NULL */
        const char *taints;            /* "key=value:Effect,..."; may be NULL */
        int max_pods;
        uint16_t port;                 /* of our own server */
        bool fake, register_node;
        struct node_watch *node_watch; /* of all fake nodes of the process */
        const char *fake_capacity;     /* "cpu=4,memory=8Gi" of a fake node; may be NULL */
        const char *seccomp_root;
        int64_t eviction_memory;       /* bytes that have to stay free */
        int eviction_disk_percent;     /* of the disk that have to stay free */
        int image_gc_high, image_gc_low;
};

struct kubelet {
        struct loop *loop;
        struct kubelet_config config;
        struct client *client;
        struct runtime *runtime;
        struct volumes *volumes;       /* NULL with a fake runtime */
        struct event_recorder *recorder;
        struct prober *prober;
        struct informer *pods, *services;
        struct map workers;            /* uid to struct pod_worker * */
        struct map adopted;            /* uid to struct adopted_pod *: found at start, not yet claimed */
        struct map pull_backoff;       /* reserved: by image */
        struct arena *arena;           /* as long as the node */
        struct json *capacity, *allocatable; /* {"cpu": "2", "memory": "...", ...} */
        int64_t memory;                /* bytes of the machine */
        char *host_resolv_conf;        /* text */
        struct node *node;
        struct kubelet_server *server;
        struct static_pods *statics;
        struct loop_timer *housekeeping;
        bool adopting;                 /* the runtime is still being asked what there is */
        bool under_memory, under_disk; /* pressure */
};

/* pods/manager.c */
void pods_start(struct kubelet *k); /* on a fiber: adopts, then watches */
struct pod_worker *pods_find(struct kubelet *k, const char *namespace, const char *name);
struct pod_worker *pods_find_uid(struct kubelet *k, const char *uid);
void pods_object(struct kubelet *k, struct object *o);      /* new or changed */
void pods_object_gone(struct kubelet *k, struct object *o);

/* node.c */
struct node *node_new(struct kubelet *k);
void node_start(struct node *n); /* registers, then keeps the Lease and the status */
void node_status_changed(struct node *n); /* write it soon */
