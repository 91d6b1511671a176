/* A sorted set of entries by key: an array of blocks of pointers, so that 50,000 pods are searched in
 * two short binary searches, inserted with one short memmove, and walked from any key for paging.
 */
#pragma once

#include "store.h"

#define INDEX_BLOCK 256

struct index_block {
        uint32_t n, cap;
        struct entry *items[];
};
struct index {
        struct index_block **blocks; /* none is empty */
        size_t n_blocks, cap;
        size_t n;
};
struct index_cursor {
        const struct index *index;
        size_t block, at;
};

void index_deinit(struct index *ix); /* drops the references */
struct entry *index_get(const struct index *ix, const char *key); /* NULL: none */
/* Takes E's reference over. The entry that it replaces comes back, its reference with it; NULL: none. */
struct entry *index_put(struct index *ix, struct entry *e);
struct entry *index_del(struct index *ix, const char *key); /* with its reference; NULL: none */
/* The first entry at or behind KEY. Changing the index ends all cursors. */
struct index_cursor index_from(const struct index *ix, const char *key);
struct entry *index_next(struct index_cursor *c); /* NULL at the end */
size_t index_rank(const struct index *ix, const char *key); /* how many keys are smaller */
