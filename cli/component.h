/* The daemons of a cluster: what each is started with. One table (component.c). */
#pragma once

#include "settings.h"

struct component {
        const char *name;      /* "apiserver": of its log and process file, and in --components */
        const char *program;   /* "colibri-apiserver"; one without "colibri-" is looked up in PATH */
        /* Arguments with "{setting}" in them; NULL-terminated. One that is empty when filled in is
         * left out, and one that ends in "=" then too. "*key" is split at its spaces. */
        const char *const *args;
        bool needs_api;        /* started once the API server is ready */
        int stop_s;            /* seconds it gets to end after SIGTERM */
        /* A Unix socket in a folder of its own, where it is started: the folder is made for nobody else to enter, and a
         * socket that one before has left is taken away, since etcd would not start. NULL: it is started in "/". */
        const char *socket;
};
extern const struct component components[];
extern const size_t n_components;

/* Bytes that etcd wants free: the next part of its log is made beforehand. With less it ends. */
#define ETCD_ROOM (64u << 20)

const struct component *component_find(const char *name);
/* The command line; NULL-terminated, each owned, as is the array. */
char **component_argv(const struct component *c, const struct settings *s);
void argv_free(char **argv);
