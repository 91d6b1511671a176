/* The cluster's DNS server: Services and pods by name (answer.h), everything else from the host's
 * resolvers (forward.h). UDP and TCP on one address, and on no other: several clusters may live on
 * one machine.
 *
 * The records are read from the stores of informers that the caller runs. NAMESPACES may be NULL:
 * then names in an unknown namespace exist without records instead of not at all.
 */
#pragma once

#include "../../lib/client/object-store.h"
#include "../../lib/loop/loop.h"

struct dns;

struct dns_options {
        const char *address;     /* "10.96.0.10"; it may appear on an interface later */
        uint16_t port;           /* 0: 53 */
        const char *domain;      /* NULL: "cluster.local" */
        uint32_t ttl;            /* of our own records, s; 0: 30 */
        const char *resolv_conf; /* NULL: /etc/resolv.conf */
        uint16_t upstream_port;  /* 0: 53; for tests */
        struct object_store *services;   /* v1 Service; before their first object, for indexes are added */
        struct object_store *slices;     /* discovery.k8s.io/v1 EndpointSlice */
        struct object_store *namespaces; /* v1 Namespace (metadata is enough); may be NULL */
        /* All stores hold their first list. Until then questions about the cluster are SERVFAIL. */
        bool (*synced)(void *userdata);
        void *userdata;
};

/* Binds and answers from now on. -EADDRINUSE and others with a text. */
int dns_new(struct loop *loop, const struct dns_options *o, struct dns **ret, struct error *reterr);
void dns_free(struct dns *d); /* NULL allowed; before the stores */
