/* Stops a node's pods without a kubelet: for `colibri down`, and leaves nothing behind: for `colibri reset`. */
#pragma once

#include "../../lib/base/error.h"

struct node_cleanup_options {
        const char *root;   /* as runtime_options */
        const char *run;
        const char *cgroup;
        const char *bridge; /* NULL: none is removed */
        bool keep_data;     /* what is below root stays, as after a reboot: images, volumes, logs' records */
};
/* Blocks. Kills every process in our cgroups (conmon and pause among them), unmounts all below root and run, unpins
 * namespaces, removes the bridge, its ports and what CNI wrote, cgroups, then files below run and what the kubelet keeps
 * below root. Goes on after a failure and returns the first. Again is fine. */
int node_cleanup(const struct node_cleanup_options *o, struct error *reterr);
