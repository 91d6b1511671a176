/* The Node object of this kubelet: registered, and kept true. See kubelet.h for node_new() and node_start(). */
#pragma once

#include "kubelet.h"

/* Fake nodes share one watch of all nodes: one each would be too dear with a thousand. Zeroed at first. */
struct node_watch {
        struct informer *informer;
        struct map nodes; /* name to struct node * */
};

/* The Node as the API server last had it; NULL: not yet registered. */
const struct json *node_object(const struct node *n);
/* Measures what the machine has: fills k->capacity, k->allocatable, k->memory. */
void node_measure(struct kubelet *k);
