/* An arena: memory that is given back all at once. One per request, one per cached object.
 *
 * With ASan each allocation is a malloc of its own, so that overruns are seen.
 */
#pragma once

#include "base.h"

struct arena {
        char *at, *end; /* what is free of the newest chunk */
        struct arena_chunk *chunks; /* the newest first */
        size_t next_size, used;
};

struct arena *arena_new(size_t first_chunk); /* bytes; 0: 4 KiB */
void arena_free(struct arena *arena);        /* NULL allowed */
void *arena_alloc(struct arena *arena, size_t size);    /* aligned to 16 bytes, not zeroed */
/* The same in place of a call, for loops that allocate much. */
static inline void *arena_take(struct arena *arena, size_t size)
{
        size_t need = (size + 15) & ~(size_t)15;
        void *p = arena->at;

        if ((size_t)(arena->end - arena->at) < need)
                return arena_alloc(arena, size); /* always, under ASan */
        arena->at += need;
        return p;
}
void *arena_calloc(struct arena *arena, size_t size);   /* zeroed */
char *arena_strdup(struct arena *arena, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *arena, const char *s, size_t n);
void *arena_memdup(struct arena *arena, const void *p, size_t n);
/* Strings end to end, up to a NULL: a printf of %s costs several times as much. */
char *arena_join(struct arena *arena, const char *first, ...) __attribute__((sentinel));
char *arena_printf(struct arena *arena, const char *fmt, ...) printf_like(2, 3);
char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap);
size_t arena_used(const struct arena *arena); /* bytes taken from the system */

static inline void arena_free_p(struct arena **arena)
{
        arena_free(*arena);
}
#define _cleanup_arena_ _cleanup_(arena_free_p)
