/* Small things that every file uses: sizes, cleanup attributes, allocation that cannot fail.
 *
 * Memory: x-functions never return NULL. A daemon that runs out of memory ends, and its
 * supervisor starts it again: all state that matters is in etcd or on disk.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define unused(x) ((void)(x))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/* A local that is released when it leaves its scope: _cleanup_(strbuf_deinit) struct strbuf b = ... */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Hands a pointer over: returns it and leaves NULL behind, so that a cleanup attribute does nothing. */
#define steal_ptr(p)                                                                               \
        ({                                                                                         \
                __typeof__(p) _stolen = (p);                                                       \
                (p) = NULL;                                                                        \
                _stolen;                                                                           \
        })

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size); /* zeroed */
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) printf_like(1, 2);
char *xvasprintf(const char *fmt, va_list ap);

#define new0(type) ((type *)xcalloc(1, sizeof(type)))

/* Cleanup functions: each takes the address of the local. */
static inline void free_p(void *p)
{
        free(*(void **)p);
}
static inline void close_p(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}
#define _cleanup_free_ _cleanup_(free_p)
#define _cleanup_close_ _cleanup_(close_p)

/* Strings. NULL equals only NULL. */
static inline bool streq(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}
static inline bool str_empty(const char *s)
{
        return !s || !*s;
}
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);

/* Grows the array ARR (a pointer variable, CAP its capacity variable) so that N elements fit. */
#define array_reserve(arr, cap, n)                                                                 \
        do {                                                                                       \
                if ((size_t)(n) > (cap)) {                                                         \
                        (cap) = MAX((size_t)(n), MAX((size_t)(cap)*2, (size_t)8));                  \
                        (arr) = xrealloc((arr), (cap) * sizeof(*(arr)));                           \
                }                                                                                  \
        } while (0)
