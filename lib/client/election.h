/* Leader election by a coordination.k8s.io/v1 Lease, with client-go's timings (15 s, 10 s, 2 s). */
#pragma once

#include "client.h"

struct election;
struct election_options {
        const char *namespace, *name; /* "kube-system", "colibri-scheduler" */
        const char *identity;         /* host name and a UUID */
        void (*started)(void *userdata); /* we lead */
        void (*stopped)(void *userdata); /* we no longer do: end the process */
        void *userdata;
};
struct election *election_new(struct client *c, const struct election_options *o);
/* Gives the lease back, so that another takes over at once; on a fiber. */
void election_release(struct election *e);
/* Takes effect within a few seconds, in the background: a fiber of its own has to see it. */
void election_free(struct election *e);
