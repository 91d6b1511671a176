/* A string builder with a hard maximum.
 *
 * What would pass the maximum is dropped and `overflow` is set: check it once at the end. The
 * data is always NUL-terminated; `len` does not count the NUL.
 */
#pragma once

#include "base.h"

struct strbuf {
        char *data; /* owned; NULL while empty */
        size_t len, cap;
        size_t max; /* bytes; 0: no maximum but memory's */
        bool overflow;
};

#define STRBUF_INIT                                                                                \
        {                                                                                          \
                0                                                                                  \
        }
#define STRBUF_INIT_MAX(m)                                                                         \
        {                                                                                          \
                .max = (m)                                                                         \
        }
#define _cleanup_strbuf_ _cleanup_(strbuf_deinit)

void strbuf_deinit(struct strbuf *b);
void strbuf_reset(struct strbuf *b); /* keeps the memory */
void strbuf_reserve(struct strbuf *b, size_t more);
void strbuf_append(struct strbuf *b, const void *data, size_t len);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) printf_like(2, 3);
void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap);
void strbuf_grow_by_slow(struct strbuf *b, char c);
char *strbuf_steal(struct strbuf *b); /* the caller frees; never NULL */

static inline void strbuf_putc(struct strbuf *b, char c)
{
        if (b->len + 1 < b->cap && (!b->max || b->len < b->max)) {
                b->data[b->len++] = c;
                b->data[b->len] = '\0';
        } else {
                strbuf_grow_by_slow(b, c);
        }
}
static inline const char *strbuf_str(const struct strbuf *b)
{
        return b->data ? b->data : "";
}
