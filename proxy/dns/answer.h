/* What the cluster's zone says: the Kubernetes DNS-Based Service Discovery specification, version
 * 1.1.0, as a pure function from a question and records to an answer.
 *
 *     SERVICE.NS.svc.ZONE              A, AAAA: its cluster IPs; headless: its endpoints that are ready
 *     _PORT._PROTO.SERVICE.NS.svc.ZONE SRV
 *     HOST.SERVICE.NS.svc.ZONE         A, AAAA: one endpoint, by its hostname or as 10-1-2-3
 *     10-1-2-3.NS.pod.ZONE             A, AAAA: the address in its name
 *     dns-version.ZONE                 TXT "1.1.0"
 *     3.2.1.10.in-addr.arpa            PTR: the Service with this cluster IP, else endpoints
 *
 * An ExternalName is a CNAME. A reverse name that is nobody's here, and every name outside the zone,
 * is the upstream resolvers' to answer.
 */
#pragma once

#include "message.h"

struct dns_port {
        const char *name;     /* "" when it has none */
        const char *protocol; /* lower case: "tcp" */
        uint16_t port;
};

struct dns_endpoint {
        const char *address;  /* as inet_ntop writes it */
        const char *hostname; /* NULL: made from the address */
        bool ready;
        const struct dns_port *ports; /* of its slice */
        size_t n_ports;
};

struct dns_service {
        const char *namespace, *name;
        const char *external_name;    /* NULL, but of type ExternalName */
        bool headless;
        bool publish_not_ready;
        const char *const *addresses; /* cluster IPs */
        size_t n_addresses;
        const struct dns_port *ports;
        size_t n_ports;
        const struct dns_endpoint *endpoints;
        size_t n_endpoints;
};

/* Where records come from. All strings live in the arena, or as long as the source does not change.
 * Names are given in lower case. */
struct dns_source {
        bool (*ready)(void *ctx); /* the records are complete */
        bool (*has_namespace)(void *ctx, const char *name);
        const struct dns_service *(*service)(void *ctx, struct arena *a, const char *namespace, const char *name);
        /* The Services that have ADDRESS as a cluster IP or as an endpoint's. */
        size_t (*by_address)(void *ctx, struct arena *a, const char *address,
                             const struct dns_service *const **ret);
        void *ctx;
};

struct dns_zone {
        const uint8_t *name;   /* "cluster.local" */
        const char *address;   /* of this server */
        uint32_t ttl;          /* s */
        uint32_t serial;       /* of the SOA */
        unsigned turn;         /* which of several addresses comes first */
        struct dns_source source;
};

enum dns_outcome {
        DNS_ANSWERED, /* the reply is complete */
        DNS_FORWARD,  /* not ours: ask the upstream resolvers */
        DNS_CHASE,    /* the reply has a CNAME to *ret_chase, which the upstream resolvers know */
};

/* QUERY was read well, or with DNS_FORMERR: say which. *reply borrows from QUERY, ZONE and A. */
enum dns_outcome dns_answer(const struct dns_zone *zone, struct arena *a, const struct dns_message *query,
                            int read_result, struct dns_message *reply, const uint8_t **ret_chase);
/* Completes a reply after DNS_CHASE; UPSTREAM NULL: there was no answer. */
void dns_answer_chased(struct arena *a, struct dns_message *reply, const struct dns_message *upstream);
