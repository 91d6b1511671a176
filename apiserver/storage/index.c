/* A sorted array in blocks: see index.h. */
#include "index.h"

/* The last block whose first key is not behind KEY (block 0 when all are). */
static size_t find_block(const struct index *ix, const char *key)
{
        size_t low = 0, high = ix->n_blocks;

        while (high - low > 1) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(ix->blocks[mid]->items[0]->key, key) <= 0)
                        low = mid;
                else
                        high = mid;
        }
        return low;
}

/* The first place in B whose key is not before KEY; *RET_EQUAL: it is KEY itself. */
static size_t find_in_block(const struct index_block *b, const char *key, bool *ret_equal)
{
        size_t low = 0, high = b->n;

        *ret_equal = false;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int c = strcmp(b->items[mid]->key, key);

                if (c == 0) {
                        *ret_equal = true;
                        return mid;
                }
                if (c < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static struct index_block *block_resize(struct index_block *b, size_t cap)
{
        bool fresh = !b;

        b = xrealloc(b, sizeof(*b) + cap * sizeof(b->items[0]));
        if (fresh)
                b->n = 0;
        b->cap = (uint32_t)cap;
        return b;
}

static void insert_block(struct index *ix, size_t at, struct index_block *b)
{
        array_reserve(ix->blocks, ix->cap, ix->n_blocks + 1);
        memmove(ix->blocks + at + 1, ix->blocks + at, (ix->n_blocks - at) * sizeof(*ix->blocks));
        ix->blocks[at] = b;
        ix->n_blocks++;
}

/* Splits the full block AT. At the end of the index only the last entry moves: keys often come in
 * order, and the blocks they leave are then full instead of half empty. */
static void split_block(struct index *ix, size_t at, bool append)
{
        struct index_block *b = ix->blocks[at], *right;
        uint32_t keep = append ? b->n : b->n / 2, move = b->n - keep;

        right = block_resize(NULL, move < 8 ? 8 : INDEX_BLOCK);
        memcpy(right->items, b->items + keep, move * sizeof(b->items[0]));
        right->n = move;
        b->n = keep;
        insert_block(ix, at + 1, right);
}

void index_deinit(struct index *ix)
{
        for (size_t i = 0; i < ix->n_blocks; i++) {
                for (uint32_t j = 0; j < ix->blocks[i]->n; j++)
                        entry_unref(ix->blocks[i]->items[j]);
                free(ix->blocks[i]);
        }
        free(ix->blocks);
        *ix = (struct index){ 0 };
}

struct entry *index_get(const struct index *ix, const char *key)
{
        const struct index_block *b;
        bool equal;
        size_t i;

        if (ix->n == 0)
                return NULL;
        b = ix->blocks[find_block(ix, key)];
        i = find_in_block(b, key, &equal);
        return equal ? b->items[i] : NULL;
}

struct entry *index_put(struct index *ix, struct entry *e)
{
        struct index_block *b;
        size_t at, i;
        bool equal;

        if (ix->n_blocks == 0)
                insert_block(ix, 0, block_resize(NULL, 4));
        at = find_block(ix, e->key);
        b = ix->blocks[at];
        i = find_in_block(b, e->key, &equal);
        if (equal) {
                struct entry *old = b->items[i];

                b->items[i] = e;
                return old;
        }
        if (b->n == INDEX_BLOCK) {
                split_block(ix, at, at + 1 == ix->n_blocks && i == b->n);
                if (i >= b->n) {
                        i -= b->n;
                        at++;
                }
                b = ix->blocks[at];
        }
        if (b->n == b->cap)
                b = ix->blocks[at] = block_resize(b, MIN(b->cap * 2, INDEX_BLOCK));
        memmove(b->items + i + 1, b->items + i, (b->n - i) * sizeof(b->items[0]));
        b->items[i] = e;
        b->n++;
        ix->n++;
        return NULL;
}

struct entry *index_del(struct index *ix, const char *key)
{
        struct index_block *b;
        struct entry *e;
        size_t at, i;
        bool equal;

        if (ix->n == 0)
                return NULL;
        at = find_block(ix, key);
        b = ix->blocks[at];
        i = find_in_block(b, key, &equal);
        if (!equal)
                return NULL;
        e = b->items[i];
        memmove(b->items + i, b->items + i + 1, (b->n - i - 1) * sizeof(b->items[0]));
        b->n--;
        ix->n--;
        if (b->n == 0) {
                free(b);
                memmove(ix->blocks + at, ix->blocks + at + 1, (ix->n_blocks - at - 1) * sizeof(*ix->blocks));
                ix->n_blocks--;
        }
        return e;
}

struct index_cursor index_from(const struct index *ix, const char *key)
{
        struct index_cursor c = { ix, 0, 0 };
        bool equal;

        if (ix->n == 0)
                return c;
        c.block = find_block(ix, key);
        c.at = find_in_block(ix->blocks[c.block], key, &equal);
        return c;
}

struct entry *index_next(struct index_cursor *c)
{
        while (c->block < c->index->n_blocks && c->at == c->index->blocks[c->block]->n) {
                c->block++;
                c->at = 0;
        }
        if (c->block == c->index->n_blocks)
                return NULL;
        return c->index->blocks[c->block]->items[c->at++];
}

size_t index_rank(const struct index *ix, const char *key)
{
        struct index_cursor c = index_from(ix, key);
        size_t n = c.at;

        for (size_t i = 0; ix->n && i < c.block; i++)
                n += ix->blocks[i]->n;
        return n;
}
