/* Control groups by plain files: version 1, hybrid, and 2.
 *
 * A group is named by its path from the top of the hierarchies: "/colibri/burstable/podUID". In
 * version 1 (and hybrid) it exists once in each hierarchy that is mounted; here that is hidden. No call parks: these
 * are writes to kernel memory.
 */
#pragma once

#include "runtime.h"

enum cgroup_controller {
        CGROUP_CPU,
        CGROUP_CPUACCT,
        CGROUP_MEMORY,
        CGROUP_PIDS,
        CGROUP_CPUSET,
        CGROUP_OTHER, /* devices, freezer, blkio, ...: only made and removed */
};
#define CGROUP_MAX_HIERARCHIES 20

struct cgroup_system {
        bool v2; /* one unified hierarchy that has the controllers */
        size_t n;
        struct {
                char path[64];        /* "/sys/fs/cgroup/memory" */
                uint8_t controllers;  /* bits of enum cgroup_controller */
        } hierarchies[CGROUP_MAX_HIERARCHIES];
};

/* Reads /proc/self/mountinfo. -ENOENT: no cgroups. */
int cgroup_detect(struct cgroup_system *ret, struct error *reterr);
/* The same from a text: for tests. */
int cgroup_detect_from(const char *mountinfo, struct cgroup_system *ret, struct error *reterr);

int cgroup_make(const struct cgroup_system *s, const char *group, struct error *reterr);
/* Children first. Missing is fine; -EBUSY when processes are left. */
int cgroup_remove(const struct cgroup_system *s, const char *group, struct error *reterr);
bool cgroup_exists(const struct cgroup_system *s, const char *group);
/* 0 in RES: leaves what is there. */
int cgroup_set(const struct cgroup_system *s, const char *group, const struct runtime_resources *res,
               struct error *reterr);
int cgroup_get(const struct cgroup_system *s, const char *group, struct runtime_resources *ret, struct error *reterr);
int cgroup_stats(const struct cgroup_system *s, const char *group, struct runtime_stats *ret, struct error *reterr);
/* SIGKILL to every process in GROUP and below, until none is left (bounded tries). Returns how many there were last. */
size_t cgroup_kill(const struct cgroup_system *s, const char *group);
/* The number of processes the OOM killer took in GROUP so far; -1: unknown. */
int64_t cgroup_oom_kills(const struct cgroup_system *s, const char *group);

/* Pure: version 1 shares to version 2 weight, as the OCI runtimes map them. */
int64_t cgroup_weight_from_shares(int64_t shares);
