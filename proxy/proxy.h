/* The proxy's driver: Services and EndpointSlices in, nftables transactions out.
 *
 * Changes of a few milliseconds go into one transaction; while one is under way those that come
 * after it are gathered for the next. A transaction that the kernel refuses is followed by one that
 * replaces the whole table.
 */
#pragma once

#include "../lib/client/informer.h"
#include "host.h"
#include "rules.h"

struct proxy;

struct proxy_options {
        const char *node; /* this machine's name: what is local */
        struct rules_options rules;
        struct host_options host;
        struct informer *services, *slices; /* all namespaces, not yet started */
};

/* The strings and informers must outlive it. */
struct proxy *proxy_new(struct loop *loop, const struct proxy_options *o);
/* Either informer has its first list: the table is written once both have. */
void proxy_synced(struct proxy *p);
