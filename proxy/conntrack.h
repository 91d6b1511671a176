/* UDP has no end of a connection that the kernel could see: as long as a client goes on sending, the
 * kernel remembers the endpoint it once picked, also when that is gone. What leads to an endpoint
 * that a Service no longer has is forgotten here, so that the next packet passes the rules anew.
 */
#pragma once

#include "../lib/base/error.h"
#include "service.h"

/* Where clients send to, and the only endpoints that this may lead to now. */
struct conntrack_flow {
        uint32_t ip;   /* 0: any, of a node port */
        uint16_t port;
        uint64_t *endpoints; /* conntrack_endpoint(), sorted; owned */
        size_t n;
};
struct conntrack_flows {
        struct conntrack_flow *items;
        size_t n, cap;
};
void conntrack_flows_deinit(struct conntrack_flows *f);

/* What S has on UDP; nothing when it is NULL. */
void conntrack_flows_of(const struct service *s, struct conntrack_flows *ret);
bool conntrack_flows_equal(const struct conntrack_flows *x, const struct conntrack_flows *y);
/* Adds to BATCH what has to be looked at when OLD becomes NEW: all of NEW, and that of OLD which leads
 * nowhere now. Both stay as they are. */
void conntrack_flows_changed(const struct conntrack_flows *old, const struct conntrack_flows *new,
                             struct conntrack_flows *batch);
/* Whether an entry, sent to IP:PORT and answered from ENDPOINT, is to be forgotten. */
bool conntrack_is_stale(const struct conntrack_flows *f, uint32_t ip, uint16_t port, uint64_t endpoint);
static inline uint64_t conntrack_endpoint(uint32_t ip, uint16_t port)
{
        return (uint64_t)ip << 16 | port;
}

/* Walks through the kernel's entries; blocks. *ret_n: forgotten. All IPs above are in host order. */
int conntrack_flush(const struct conntrack_flows *f, size_t *ret_n, struct error *reterr);
