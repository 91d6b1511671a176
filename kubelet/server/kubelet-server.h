/* The kubelet's own HTTPS server: logs, exec, attach, port-forward, and what it says of itself.
 *
 * Clients are known by a certificate of the cluster's CA; the API server's (kube-apiserver-kubelet-client,
 * group system:masters) may do all. Others are asked about at the API server (SubjectAccessReview for
 * nodes/proxy, nodes/log, ...), as upstream's webhook mode does.
 */
#pragma once

#include "../kubelet.h"

struct kubelet_server;

struct kubelet_server_options {
        const char *address;
        uint16_t port; /* 0: any */
        const char *cert_file, *key_file, *client_ca_file;
};
int kubelet_server_new(struct kubelet *k, const struct kubelet_server_options *o, struct kubelet_server **ret,
                       struct error *reterr);
