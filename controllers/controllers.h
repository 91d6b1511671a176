/* What all controllers share: the resources they watch, the daemon's settings, the list of them. */
#pragma once

#include "../lib/base/time.h"
#include "../lib/client/controller.h"
#include "../lib/meta/object.h"
#include "../lib/meta/pod.h"
#include "../lib/meta/selector.h"
#include "../lib/tls/jwt.h"
#include "../lib/tls/pki.h"

/* Number, group, version, resource, kind, namespaced, index of its own. */
#define RESOURCES(X)                                                                                           \
        X(PODS, "", "v1", "pods", "Pod", true, index_pod_node)                                                 \
        X(NODES, "", "v1", "nodes", "Node", false, NULL)                                                       \
        X(NAMESPACES, "", "v1", "namespaces", "Namespace", false, NULL)                                        \
        X(SERVICES, "", "v1", "services", "Service", true, NULL)                                               \
        X(ENDPOINTS, "", "v1", "endpoints", "Endpoints", true, NULL)                                           \
        X(SERVICEACCOUNTS, "", "v1", "serviceaccounts", "ServiceAccount", true, NULL)                          \
        X(SECRETS, "", "v1", "secrets", "Secret", true, NULL)                                                  \
        X(CONFIGMAPS, "", "v1", "configmaps", "ConfigMap", true, NULL)                                         \
        X(RESOURCEQUOTAS, "", "v1", "resourcequotas", "ResourceQuota", true, NULL)                             \
        X(PVCS, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true, NULL)                       \
        X(PVS, "", "v1", "persistentvolumes", "PersistentVolume", false, NULL)                                 \
        X(RCS, "", "v1", "replicationcontrollers", "ReplicationController", true, NULL)                        \
        X(REPLICASETS, "apps", "v1", "replicasets", "ReplicaSet", true, NULL)                                  \
        X(DEPLOYMENTS, "apps", "v1", "deployments", "Deployment", true, NULL)                                  \
        X(STATEFULSETS, "apps", "v1", "statefulsets", "StatefulSet", true, NULL)                               \
        X(DAEMONSETS, "apps", "v1", "daemonsets", "DaemonSet", true, NULL)                                     \
        X(REVISIONS, "apps", "v1", "controllerrevisions", "ControllerRevision", true, NULL)                    \
        X(JOBS, "batch", "v1", "jobs", "Job", true, NULL)                                                      \
        X(CRONJOBS, "batch", "v1", "cronjobs", "CronJob", true, NULL)                                          \
        X(SLICES, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, index_slice_service)      \
        X(STORAGECLASSES, "storage.k8s.io", "v1", "storageclasses", "StorageClass", false, NULL)               \
        X(LEASES, "coordination.k8s.io", "v1", "leases", "Lease", true, NULL)                                  \
        X(CLUSTERROLES, "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false, NULL)         \
        X(PDBS, "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true, NULL)                     \
        X(CSRS, "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", false, \
          NULL)                                                                                                \
        X(CRDS, "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false, NULL) \
        X(POLICIES, "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false, NULL) \
        X(SERVICECIDRS, "networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", false, NULL)                  \
        X(IPADDRESSES, "networking.k8s.io", "v1", "ipaddresses", "IPAddress", false, NULL)                      \
        X(ATTRIBUTES, "storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", false, NULL)  \
        X(CLAIMS, "resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", true, NULL)                       \
        X(CLAIMTEMPLATES, "resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", true, NULL) \
        X(HPAS, "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true, NULL)

enum resource {
#define X(id, group, version, resource, kind, namespaced, index) R_##id,
        RESOURCES(X)
#undef X
                R_COUNT
};
extern const struct controller_resource controller_resources[R_COUNT];

struct settings {
        int64_t node_monitor_grace_ns, node_monitor_period_ns;
        int64_t pv_sync_ns;
        int64_t terminated_pod_gc_threshold;
        const char *root_ca;            /* PEM text; NULL: no kube-root-ca.crt, no ca.crt in token Secrets */
        const struct jwt_keys *sa_keys; /* sign token Secrets; NULL: none are filled */
        const struct pki_pair *signer;  /* of CSRs; NULL: none are signed */
        int64_t signing_duration_ns;
};
static inline const struct settings *settings_of(const struct snapshot *s)
{
        return s->settings;
}

/* "ns/name" apart, in the arena; namespace "" of a cluster-scoped key. */
void key_split(struct arena *a, const char *key, const char **ret_namespace, const char **ret_name);

/* Members that upstream leaves out when they are zero or empty. */
void set_count(struct arena *a, struct json *object, const char *key, int64_t n);

/* FNV-1a, 128 bits: upstream sorts ports by it. */
unsigned __int128 fnv128a(const char *text);

/* Those of the store that are not being deleted and sorted by name: what most controllers start from. */
struct object_list {
        const struct object **items;
        size_t n, cap;
};
void list_add(struct arena *a, struct object_list *l, const struct object *o);
void list_sort(struct object_list *l, int (*cmp)(const void *, const void *)); /* of const struct object ** */
int compare_by_name(const void *x, const void *y);
int compare_by_creation(const void *x, const void *y); /* then by name */

/* --- claiming (claim.c) --- */
/* What OWNER controls or may adopt among the objects of its namespace, as upstream's controller
 * reference manager: adopts orphans that SELECTOR matches, releases its own that it does not match
 * any more, and writes both. Claimed objects go to *ret, also those just adopted. */
struct claim {
        unsigned resource;
        const struct object *owner;
        const char *api_version, *kind; /* of the owner */
        const struct selector *selector;
};
void claim_objects(const struct snapshot *s, const struct claim *c, struct writes *w, struct object_list *ret);
/* Keys of the owners (all in RESOURCE with a LabelSelector at SELECTOR_PATH) that an orphan concerns. */
void map_orphan(const struct snapshot *s, unsigned resource, const char *selector_path, const struct object *orphan,
                const struct keys *k);

/* --- pods of controllers (pods.c) --- */
/* The pod that OWNER makes of TEMPLATE: generateName, owner reference, copies. */
struct json *pod_from_template(struct arena *a, const struct json *template, const char *api_version, const char *kind,
                               const struct json *owner);
/* A write that creates POD, with the events SuccessfulCreate and FailedCreate about OWNER. */
struct write *write_create_pod(struct writes *w, const struct json *owner, const struct json *pod);
/* A write that deletes POD, with the events SuccessfulDelete and FailedDelete about OWNER. */
struct write *write_delete_pod(struct writes *w, const struct json *owner, const struct object *pod);
/* Says in POD's status that it is about to be disrupted (unless REASON is NULL), and sets its phase unless NULL. Whoever
 * is faster wins. */
void write_disruption(struct writes *w, const struct object *pod, const char *phase, const char *reason, const char *message,
                      int64_t now);
/* Sorts PODS so that those to be deleted first come first. RELATED: all whose owner has the same owner. */
void pods_rank_for_deletion(struct arena *a, struct object_list *pods, const struct object_list *related, int64_t now);

void index_pod_node(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx);
void index_slice_service(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx);

/* --- EndpointSlices (slices.c) --- */
struct slice_owner {
        const struct object *object;
        const char *api_version, *kind;
        const char *managed_by;
        /* Labels and annotations of a slice; HAVE NULL: it is new. The labels of every slice are set afterwards. */
        void (*decorate)(const struct slice_owner *owner, struct arena *a, struct json *slice, const struct json *have);
        /* Called with each slice that is written; may be NULL. */
        void (*touch)(const struct slice_owner *owner, struct arena *a, struct json *slice, const struct json *have);
        const void *userdata;
};
/* Makes the slices of OWNER be WANTED: {addressType, endpoints, ports} each. One that has the same ports is changed rather
 * than made anew. KEY is the Service's. */
void slices_write(const struct snapshot *s, struct writes *w, const struct slice_owner *owner, const char *key,
                  struct json *wanted);
/* Those of MANAGED_BY: for their controller's watch. */
void slices_map(const struct object *old, const struct object *new, const char *managed_by, const struct keys *k);

/* --- volumes that are emptied (recycler.c) --- */
#define RECYCLER_PREFIX "recycler-for-" /* the volume's name follows: the pod in namespace default that empties it */
/* The next step of emptying VOLUME, whose claim is gone. Returns why it cannot be done, or NULL. */
const char *recycle_volume(const struct snapshot *s, const struct object *volume, struct writes *w);

#define CONTROLLERS(X)                                                                                         \
        X(replicaset_controller)                                                                               \
        X(replication_controller)                                                                              \
        X(deployment_controller)                                                                               \
        X(serviceaccount_controller)                                                                           \
        X(root_ca_controller)                                                                                  \
        X(endpoints_controller)                                                                                \
        X(slices_controller)                                                                                   \
        X(ephemeral_controller)                                                                                \
        X(claim_protection_controller)                                                                         \
        X(volume_protection_controller)                                                                        \
        X(token_controller)                                                                                    \
        X(disruption_controller)                                                                               \
        X(csr_approver)                                                                                        \
        X(csr_signer)                                                                                          \
        X(csr_cleaner)                                                                                         \
        X(aggregation_controller)                                                                              \
        X(cronjob_controller)                                                                                  \
        X(statefulset_controller)                                                                              \
        X(daemonset_controller)                                                                                \
        X(mirroring_controller)                                                                                \
        X(garbage_collector)                                                                                   \
        X(job_controller)                                                                                      \
        X(quota_controller)                                                                                    \
        X(claim_binder)                                                                                        \
        X(volume_phases)                                                                                       \
        X(node_controller)                                                                                     \
        X(taint_eviction_controller)                                                                           \
        X(pod_gc_controller)                                                                                   \
        X(service_cidr_controller)                                                                             \
        X(attributes_protection_controller)                                                                    \
        X(resource_claim_controller)                                                                           \
        X(volume_expander)                                                                                     \
        X(bootstrap_signer)                                                                                    \
        X(token_cleaner)

#define X(name) extern const struct controller name;
CONTROLLERS(X)
#undef X

/* Empties namespaces that are being deleted: talks to the server itself, because what kinds there are
 * only discovery knows. */
void namespace_controller_start(struct controllers *c, unsigned workers); /* 0: 10 */
/* Has the garbage collector watch all kinds that discovery names and nobody else watches. */
void garbage_kinds_start(struct controllers *c);
extern const struct controller_watch garbage_watch, quota_watch; /* what they want to hear of any kind */
/* Scales by what pods use: talks to the server itself, because metrics are no objects that can be watched. */
void hpa_controller_start(struct controllers *c, int64_t period_ns);
/* Says in the status of admission policies what is wrong with the types in their expressions. */
void policy_status_start(struct controllers *c);
/* What is left in a namespace that is being emptied, and the conditions that say so. */
struct namespace_remains {
        struct json *counts;     /* "pods." (resource.group): how many */
        struct json *finalizers; /* "example.com/hold": in how many */
        const char *discovery_error, *deletion_error; /* NULL: none */
        bool pods_first; /* there are pods, and nothing else was looked at */
};
/* True: CONDITIONS changed. */
bool namespace_conditions(struct arena *a, const struct namespace_remains *remains, struct json *conditions, int64_t now);
