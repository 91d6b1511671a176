/* A cluster in memory for tests: an API server, watches that lag and break, a clock, and something that plays
 * scheduler and kubelet. The controllers are the real ones.
 *
 * Every step is drawn from one random number generator, so a seed is an order of events, and can be played again.
 */
#pragma once

#include "controllers.h"

struct sim;
struct sim_options {
        uint64_t seed;
        const struct controller *const *controllers;
        size_t n_controllers;
        struct settings settings;
        unsigned break_watch; /* one delivery in so many breaks the watch, and the kind is listed anew; 0: none */
};
struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *s);

/* What a user does. TEXT is JSON with ' for ". Each takes effect in the API server at once. */
void sim_create(struct sim *s, unsigned resource, const char *text);
void sim_merge(struct sim *s, unsigned resource, const char *key, const char *text); /* a merge patch */
void sim_delete(struct sim *s, unsigned resource, const char *key, const char *propagation); /* NULL: Background */
/* Deletes one pod of those whose name begins so, if there is one. */
void sim_delete_some_pod(struct sim *s, const char *prefix);
/* Random steps: this many, or (0) until nothing is left to do within an hour of the sim's time. False: it never ends. */
bool sim_run(struct sim *s, unsigned steps);
size_t sim_count(const struct sim *s, unsigned resource);
const struct json *sim_get(const struct sim *s, unsigned resource, const char *key); /* NULL */
/* All that is there, without what chance or time decided: names made up, uids, times, versions, nodes. */
char *sim_print(const struct sim *s); /* the caller frees */
uint64_t sim_random(struct sim *s, uint64_t below);
