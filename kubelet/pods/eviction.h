/* Eviction: pods that use more than they may, or that have to go because the node runs short. */
#pragma once

#include "../kubelet.h"

void eviction_start(struct kubelet *k);
