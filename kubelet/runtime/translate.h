/* From a Pod's JSON to what runtimes take: pure, no I/O.
 *
 * The caller adds what needs other objects: env, expanded command and args, mounts, image_id, log_path.
 */
#pragma once

#include "runtime.h"

/* "Guaranteed", "Burstable", "BestEffort" (k8s.io/kubernetes/pkg/apis/core/v1/helper/qos). */
const char *translate_qos(const struct json *pod);
/* Names, host namespaces, hostname (cut at 63 characters; setHostnameAsFQDN), ports, sysctls, aliases, resources.
 * Not: attempt, log_directory, resolv_conf, annotations. CLUSTER_DOMAIN: "cluster.local". */
void translate_sandbox(struct arena *a, const struct json *pod, const char *cluster_domain,
                       struct runtime_sandbox_config *ret);
/* Name, image, raw command and args, working directory, tty, resources with oom_score_adj, security of pod and container
 * merged. NODE_MEMORY: bytes, for the oom_score_adj of Burstable pods. SECCOMP_ROOT as in runtime_options (may be NULL). */
void translate_container(struct arena *a, const struct json *pod, const struct json *container, int64_t node_memory,
                         const char *seccomp_root, struct runtime_container_config *ret);
/* CPU shares and quota from milli-CPUs as upstream computes them. */
int64_t translate_cpu_shares(int64_t milli);
int64_t translate_cpu_quota(int64_t milli, int64_t period_us);
void translate_container_resources(const struct json *pod, const struct json *container, int64_t node_memory,
                                   struct runtime_resources *ret);
/* The pod's cgroup: sums of requests and limits, init and sidecar containers and overhead as upstream counts them. */
void translate_pod_resources(const struct json *pod, struct runtime_resources *ret);
/* runAsNonRoot: 0 when it may run; else -EPERM with upstream's text, to be shown as CreateContainerConfigError:
 * `container has runAsNonRoot and image will run as root (pod: "p_ns(uid)", container: c)`. */
int translate_verify_non_root(const struct json *pod, const struct json *container, const struct runtime_image *image,
                              struct error *reterr);
