/* The scheduler's life: informers feed the snapshot and the queue, decisions become bindings,
 * conditions, events and evictions.
 */
#pragma once

#include "../lib/client/client.h"

struct scheduler;

/* NAME: which pods are ours, by spec.schedulerName ("default-scheduler"). */
struct scheduler *scheduler_new(struct client *c, const char *name);
void scheduler_start(struct scheduler *s);
void scheduler_free(struct scheduler *s);
