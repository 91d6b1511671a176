/* What one API server process consists of, and what its parts may ask of it. */
#pragma once

#include "request.h"
#include "schema/discovery.h"
#include "storage/store.h"
#include "../lib/http/client.h"

struct apiserver_options {
        const char *bind_address;           /* "0.0.0.0" */
        uint16_t secure_port;               /* 6443 */
        const char *advertise_address;      /* NULL: found out */
        const char *tls_cert_file, *tls_private_key_file, *client_ca_file;
        const char *service_cluster_ip_range; /* "10.96.0.0/12[,fd00::/108]" */
        const char *service_node_port_range;  /* "30000-32767" */
        const char *kubelet_client_certificate, *kubelet_client_key, *kubelet_certificate_authority;
        const char *kubelet_preferred_address_types; /* "Hostname,InternalDNS,InternalIP,..." */
        const char *proxy_client_cert_file, *proxy_client_key_file; /* shown to aggregated servers; may be NULL */
        bool aggregator_routing;            /* Services of aggregated servers are their endpoints, not the cluster IP */
};

struct apiserver {
        struct loop *loop;
        struct apiserver_options o;
        struct store *store;
        struct http_server *http;
        struct discovery_extra extra;       /* resources of custom resource definitions */
        bool bootstrapped;                  /* the first objects are there */
        int64_t started;                    /* real time, ns */
        uint64_t requests;                  /* served so far */
        char **flags;                       /* it was started with: NULL-terminated, for /flagz */
};

/* A resource by what a URL says, built in or custom; NULL: none. GROUP "" is core. */
const struct resource *apiserver_resource(const struct apiserver *s, const char *group, const char *version,
                                          const char *name);
/* Whether there is such a group version at all. VERSION NULL: such a group. */
bool apiserver_serves(const struct apiserver *s, const char *group, const char *version);

/* http_handler_fn of the server (http/handler.c); userdata is the struct apiserver. */
void apiserver_handle(struct http_request *http, void *apiserver);
/* The server's own refusal (413) as a Status object; for http_server_options.refuse. */
void apiserver_refuse(unsigned status, const char **ret_content_type, const char **ret_body);
