/* Shared by node.c and node-measure.c. */
#pragma once

#include "node.h"

int64_t node_memory_available(void); /* bytes */
const char *node_architecture(void);
struct json *node_info(struct kubelet *k, struct arena *a);
