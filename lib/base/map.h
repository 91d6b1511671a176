/* A hash map from strings to pointers.
 *
 * Keys are copied; values are the caller's. Iteration order is not defined. While iterating, the
 * entry at hand may be deleted, nothing may be put.
 */
#pragma once

#include "base.h"

struct map_entry {
        char *key; /* NULL: free slot */
        void *value;
        uint32_t hash;
};

struct map {
        struct map_entry *slots;
        size_t cap, n, used; /* used counts deleted slots too */
};

#define MAP_INIT                                                                                   \
        {                                                                                          \
                0                                                                                  \
        }

void map_init(struct map *m);
void map_deinit(struct map *m); /* frees keys, not values */
void map_clear(struct map *m);
void *map_get(const struct map *m, const char *key); /* NULL when absent */
bool map_has(const struct map *m, const char *key);
void *map_put(struct map *m, const char *key, void *value); /* returns the value it replaced */
void *map_del(struct map *m, const char *key);              /* returns the value it removed */
/* *pos starts at 0; returns NULL after the last entry. */
struct map_entry *map_next(const struct map *m, size_t *pos);

#define map_foreach(m, e) for (size_t _pos_##e = 0; (e = map_next((m), &_pos_##e));)

uint32_t hash_bytes(const void *data, size_t len); /* FNV-1a, 32 bits */
