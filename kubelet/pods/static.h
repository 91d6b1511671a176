/* Static pods: manifests in a folder of the node, run without the API server, shown there as mirror pods. */
#pragma once

#include "../kubelet.h"

void static_pods_start(struct kubelet *k); /* does nothing without config.manifest_path */
/* O came from the API. True: it is a mirror pod, and has been dealt with. */
bool static_pods_mirror(struct kubelet *k, struct object *o, bool gone);
/* manager.c: a static pod appeared, changed, or is gone. */
void pods_static(struct kubelet *k, struct object *o, bool gone);
