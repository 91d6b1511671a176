/* Pod networks by CNI plugins (github.com/containernetworking/cni, SPEC.md 0.3.1 to 1.0.0).
 *
 * A network configuration list is read from a folder; where the folder holds none, one of our own is written: bridge
 * and portmap over host-local addresses from the node's podCIDR. Plugins are run as the specification says: a command, variables,
 * JSON in and out.
 */
#pragma once

#include "../runtime/runtime.h"

struct network;

struct network_options {
        const char *conf_dir, *bin_dirs, *state_dir; /* state_dir: host-local's files, cached results */
        const char *bridge, *pod_cidr, *cluster_cidr;
        int mtu;
};
struct network_pod {
        const char *id;    /* of the sandbox */
        const char *netns; /* path */
        const char *name, *namespace, *uid;
        const struct runtime_port *ports;
        size_t n_ports;
};
struct network_result {
        const char **ips;  /* "10.0.0.5", in the order of the result */
        size_t n_ips;
        const char *gateway; /* of the first; may be NULL */
        const char *host_interface; /* our end of the first veth; may be NULL */
};

int network_new(struct loop *loop, const struct network_options *o, struct network **ret, struct error *reterr);
void network_free(struct network *n);
/* Writes the default configuration anew when the range changed. */
int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *reterr);
int network_ready(struct network *n, struct error *reterr);
/* On a fiber. ADD: what was done is undone when a plugin fails. */
int network_add(struct network *n, const struct network_pod *pod, struct arena *a, struct network_result *ret,
                struct error *reterr);
int network_del(struct network *n, const struct network_pod *pod, struct error *reterr);
int network_check(struct network *n, const struct network_pod *pod, struct error *reterr);

/* What identifies the present configuration, where it is our own: networks made by it depend on nothing that a pod
 * says, and may be made before there is one. 0: somebody else's, whose plugins may look at the pod. */
uint64_t network_own_conf(struct network *n);
/* The sandboxes whose networks were added and not deleted. */
void network_list(struct network *n, struct arena *a, const char ***ret, size_t *ret_n);

/* Pure: a result of any supported version. -EINVAL; reterr says what is wrong with it. */
int network_parse_result(struct arena *a, const char *text, size_t len, struct network_result *ret,
                         struct error *reterr);
