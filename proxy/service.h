/* What the proxy has to know of one Service: read from the API's objects once, checked, and never
 * looked at as JSON again.
 *
 * Addresses, names and ranges end up in the text of an nftables transaction, so nothing passes here
 * that is not what it says it is: an object with a bad address loses that address, not the whole Service.
 */
#pragma once

#include "../lib/json/json.h"

enum service_protocol { SERVICE_TCP, SERVICE_UDP, SERVICE_SCTP };
extern const char *const service_protocol_names[]; /* nftables' names: "tcp", ... */

struct service_endpoint {
        const char *ip; /* dotted IPv4 */
        uint16_t port;
        bool local; /* on this node */
        bool ready;
        bool fallback; /* serves while it terminates: used where no endpoint is ready */
};

struct service_port {
        enum service_protocol protocol;
        uint16_t port, node_port; /* node_port 0: none */
        const struct service_endpoint *endpoints; /* without doubles, sorted by address and port */
        size_t n_endpoints;
};

struct service {
        const char *namespace, *name;
        const char *cluster_ip;
        const char **external_ips, **balancer_ips;
        size_t n_external_ips, n_balancer_ips;
        const char **source_ranges; /* CIDRs that may use balancer_ips; none: all */
        size_t n_source_ranges;
        bool internal_local, external_local; /* the traffic policies */
        unsigned affinity_s;                 /* ClientIP: seconds; 0: none */
        uint16_t health_port;                /* healthCheckNodePort; 0: none */
        const struct service_port *ports;
        size_t n_ports;
};

/* OBJECT: a Service; SLICES: the EndpointSlices that bear its name. The result lives in A and borrows
 * from the trees. NULL: not for the proxy (headless, ExternalName, another proxy's, not IPv4). */
struct service *service_parse(struct arena *a, const struct json *object, const struct json *const *slices,
                              size_t n_slices, const char *node);

/* "a.b.c.d" */
bool service_is_ipv4(const char *s);
/* "a.b.c.d/n" */
bool service_is_cidr(const char *s);
