/* A pod as the scheduler sees it: what it asks for, compiled once from the object. */
#pragma once

#include "../lib/json/json.h"
#include "../lib/meta/selector.h"

/* Resources that every node has come first; the others are numbered as they are met. */
enum { RES_CPU, RES_MEMORY, RES_EPHEMERAL, RES_FIXED };

struct resource_amount {
        unsigned resource; /* RES_CPU in millicores, others in their unit; see resource_id() */
        int64_t amount;
};
/* The number of a resource name ("cpu", "example.com/gpu"); names are never forgotten. */
unsigned resource_id(const char *name);
const char *resource_name(unsigned id);

struct host_port {
        const char *protocol, *ip; /* ip "0.0.0.0": all */
        int port;
};

struct toleration {
        const char *key, *op, *value, *effect; /* NULL: not given */
};

/* One nodeSelectorTerm: label requirements and field requirements (metadata.name only). */
struct node_term {
        struct selector labels, fields;
        bool nothing; /* an empty term matches no node */
        int64_t weight; /* of a preferred term */
};

struct affinity_term {
        struct selector selector;
        const char **namespaces;
        size_t n_namespaces;
        bool all_namespaces;          /* namespaceSelector: {} */
        struct selector namespace_selector;
        bool has_namespace_selector;
        const char *topology_key;
        int64_t weight;
};

struct spread_constraint {
        const char *topology_key;
        int64_t max_skew, min_domains;
        bool hard;                    /* DoNotSchedule */
        bool honor_affinity, honor_taints;
        struct selector selector;
};

struct sched_pod {
        const struct json *json;
        const char *key, *namespace, *name, *uid, *node; /* node NULL: not bound */
        const struct json *labels;
        const char *owner_uid;        /* of its controller; NULL */
        struct resource_amount *requests;
        size_t n_requests;
        int64_t score_cpu, score_memory; /* with upstream's 100m and 200 MB where nothing is asked */
        struct host_port *ports;
        size_t n_ports;
        struct toleration *tolerations;
        size_t n_tolerations;
        const struct json *node_selector;
        struct node_term *required, *preferred;
        size_t n_required, n_preferred;
        bool has_required;
        struct affinity_term *affinity, *anti, *soft_affinity, *soft_anti;
        size_t n_affinity, n_anti, n_soft_affinity, n_soft_anti;
        struct spread_constraint *spread;
        size_t n_spread;
        const char **claims;          /* PersistentVolumeClaim names, generic ephemeral ones too */
        size_t n_claims;
        const char **images;
        size_t n_images;
        int64_t priority;
        int64_t start_ns;             /* real time; for preemption: the youngest goes first */
        bool never_preempts, deleting, gated, terminal;
};

/* Compiles POD (an object that lives as long) into the arena. */
struct sched_pod *sched_pod_new(struct arena *a, const struct json *pod);
/* What it asks of RESOURCE. */
int64_t sched_pod_request(const struct sched_pod *p, unsigned resource);
