/* The zone's records, read from the stores of the proxy's informers when a question comes: nothing is
 * kept twice, and an answer is never older than the last event. */
#pragma once

#include "../../lib/client/object-store.h"
#include "answer.h"

struct dns_cluster {
        struct object_store *services, *slices, *namespaces;
        size_t services_by_address, slices_by_service, slices_by_address;
        bool (*synced)(void *userdata);
        void *userdata;
};

/* Adds its indexes to the stores, so: before the first object. NAMESPACES NULL: every namespace exists.
 * C must stay where it is. */
void dns_cluster_init(struct dns_cluster *c, struct object_store *services, struct object_store *slices, struct object_store *namespaces);
struct dns_source dns_cluster_source(struct dns_cluster *c);
