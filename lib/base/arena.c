/* Arenas: a chain of chunks, each twice the one before up to 256 KiB.
 *
 * A request that needs little gets by with its first chunk; one that parses a large object does not
 * ask the system a hundred times. Chunks that come back are kept for the next request, a few of each
 * size: left to malloc, the larger ones would go back to the kernel and cost page faults anew for every
 * request. Under ASan every allocation has a chunk of its own, so that an overrun is found where it
 * happens.
 */
#include "arena.h"

#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#define ALIGN 16
#define CHUNK_MAX ((size_t)256 * 1024)
#define KEPT_MIN ((size_t)4096)
#define KEPT_SIZES 5 /* 4 to 64 KiB */
#define KEPT_EACH 8  /* of the smallest; half as many of each larger size, but one */

struct arena_chunk {
        struct arena_chunk *next;
        size_t size;
        _Alignas(ALIGN) char data[];
};

#ifndef ARENA_ASAN
/* Workers use arenas, too, but what they would keep is lost when they end: only the thread that was
 * there first keeps chunks. */
static __thread bool keeping;
static __thread struct {
        struct arena_chunk *list;
        unsigned n;
} kept[KEPT_SIZES];

__attribute__((constructor)) static void first_thread(void)
{
        keeping = true;
}

/* Which list a chunk of SIZE belongs to; KEPT_SIZES: none. */
static unsigned kept_class(size_t size)
{
        unsigned i = 0;

        while (i < KEPT_SIZES && size != KEPT_MIN << i)
                i++;
        return i;
}

static bool keeps(unsigned class)
{
        return class < KEPT_SIZES && kept[class].n < MAX(KEPT_EACH >> class, 1) && keeping;
}
#endif

static struct arena_chunk *chunk_take(size_t size)
{
#ifndef ARENA_ASAN
        unsigned class = kept_class(size);

        if (class < KEPT_SIZES && kept[class].list) {
                struct arena_chunk *chunk = kept[class].list;

                kept[class].list = chunk->next;
                kept[class].n--;
                return chunk;
        }
#endif
        return xmalloc(sizeof(struct arena_chunk) + size);
}

static void chunk_give(struct arena_chunk *chunk)
{
#ifndef ARENA_ASAN
        unsigned class = kept_class(chunk->size);

        if (keeps(class)) {
                chunk->next = kept[class].list;
                kept[class].list = chunk;
                kept[class].n++;
                return;
        }
#endif
        free(chunk);
}

static void add_chunk(struct arena *arena, size_t size)
{
        struct arena_chunk *chunk = chunk_take(size);

        chunk->next = arena->chunks;
        chunk->size = size;
        arena->chunks = chunk;
        arena->at = chunk->data;
        arena->end = chunk->data + size;
        arena->used += sizeof(*chunk) + size;
}

struct arena *arena_new(size_t first_chunk)
{
        struct arena *arena = new0(struct arena);

        arena->next_size = first_chunk ? first_chunk : 4096;
        arena->used = sizeof(*arena);
        return arena;
}

void arena_free(struct arena *arena)
{
        if (!arena)
                return;
        for (struct arena_chunk *c = arena->chunks, *next; c; c = next) {
                next = c->next;
                chunk_give(c);
        }
        free(arena);
}

/* A large allocation goes into a chunk of its own behind the current one, whose rest stays usable. */
static void *alloc_apart(struct arena *arena, size_t size)
{
        char *at = arena->at, *end = arena->end;
        struct arena_chunk *current = arena->chunks, *own;

        add_chunk(arena, size);
        own = arena->chunks;
        if (current) {
                own->next = current->next;
                current->next = own;
                arena->chunks = current;
                arena->at = at;
                arena->end = end;
        } else {
                arena->at = arena->end;
        }
        return own->data;
}

static inline void *take(struct arena *arena, size_t size)
{
#ifdef ARENA_ASAN
        return alloc_apart(arena, size);
#else
        size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);

        if ((size_t)(arena->end - arena->at) < need) {
                if (need > arena->next_size / 2 && arena->chunks)
                        return alloc_apart(arena, need);
                add_chunk(arena, MAX(arena->next_size, need));
                arena->next_size = MIN(arena->next_size * 2, CHUNK_MAX);
        }
        void *p = arena->at;
        arena->at += need;
        return p;
#endif
}

void *arena_alloc(struct arena *arena, size_t size)
{
        return take(arena, size);
}

void *arena_calloc(struct arena *arena, size_t size)
{
        return memset(take(arena, size), 0, size);
}

char *arena_strndup(struct arena *arena, const char *s, size_t n)
{
        char *copy = take(arena, n + 1);

        if (n)
                memcpy(copy, s, n);
        copy[n] = '\0';
        return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
        return s ? arena_strndup(arena, s, strlen(s)) : NULL;
}

void *arena_memdup(struct arena *arena, const void *p, size_t n)
{
        void *copy = arena_alloc(arena, n);

        if (n)
                memcpy(copy, p, n);
        return copy;
}

char *arena_join(struct arena *arena, const char *first, ...)
{
        size_t len = 0;
        va_list ap, again;
        char *joined, *at;

        va_start(ap, first);
        va_copy(again, ap);
        for (const char *s = first; s; s = va_arg(ap, const char *))
                len += strlen(s);
        va_end(ap);
        at = joined = arena_alloc(arena, len + 1);
        for (const char *s = first; s; s = va_arg(again, const char *))
                at = stpcpy(at, s);
        va_end(again);
        *at = '\0';
        return joined;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
{
        va_list again;
        char small[256];
        char *s;
        int n;

        va_copy(again, ap);
        n = vsnprintf(small, sizeof(small), fmt, ap);
        if (n < (int)sizeof(small)) {
                s = arena_strndup(arena, small, n);
        } else {
                s = arena_alloc(arena, (size_t)n + 1);
                vsnprintf(s, (size_t)n + 1, fmt, again);
        }
        va_end(again);
        return s;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
        va_list ap;
        char *s;

        va_start(ap, fmt);
        s = arena_vprintf(arena, fmt, ap);
        va_end(ap);
        return s;
}

size_t arena_used(const struct arena *arena)
{
        return arena->used;
}
