/* The Node object of this kubelet: registered, and kept true. See kubelet.h for node_new() and node_start(). */
#pragma once

#include "kubelet.h"

/* The Node as the API server last had it; NULL: not yet registered. */
const struct json *node_object(const struct node *n);
/* Measures what the machine has: fills k->capacity, k->allocatable, k->memory. */
void node_measure(struct kubelet *k);
