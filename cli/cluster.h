/* A cluster on this machine: its settings, its folders, its daemons' process files. */
#pragma once

#include <sys/types.h>

#include "component.h"
#include "../lib/loop/fiber.h"

struct cluster {
        struct settings settings;
        struct loop *loop;
        bool exists;    /* it has a colibri.yaml */
        char *conflict; /* owned: where overrides say something else than an existing file; else NULL */
        char *config_dir, *data_dir, *run_dir, *log_dir, *pki_dir; /* owned */
};

/* Reads the settings of the cluster under ROOT ("" for the machine's own): the file if there is one,
 * then OVERRIDES ("key=value", ..., NULL; may be NULL). */
int cluster_open(struct cluster *c, const char *root, const char *const *overrides, struct error *reterr);
/* Fills in what is empty and only the machine can tell: node name, addresses. */
void cluster_fill_from_machine(struct cluster *c);
void cluster_close(struct cluster *c);
bool cluster_has(const struct cluster *c, const char *component); /* it is in cluster.components */

/* --- process files: "<pid> <start time> <restarts>", so that a number used again is no mistake --- */
struct process_file {
        pid_t pid;
        unsigned long long start_time; /* field 22 of /proc/PID/stat */
        unsigned restarts;
};
int process_file_write(const struct cluster *c, const char *name, pid_t pid, unsigned restarts, struct error *reterr);
/* 0: it runs; -ESRCH: it does not (the file is told in *ret if there is one). */
int process_file_read(const struct cluster *c, const char *name, struct process_file *ret);
void process_file_remove(const struct cluster *c, const char *name);

/* GET PATH of the API server without credentials, on a fiber: its HTTP status, or negative. */
int cluster_probe(struct cluster *c, const char *path, struct error *reterr);
/* "https://127.0.0.1:6443" */
char *cluster_server(const struct cluster *c);
