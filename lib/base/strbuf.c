/* The string builder: see strbuf.h. */
#include "strbuf.h"

#include <stdio.h>

void strbuf_deinit(struct strbuf *b)
{
        free(b->data);
        *b = (struct strbuf){ .max = b->max };
}

void strbuf_reset(struct strbuf *b)
{
        b->len = 0;
        b->overflow = false;
        if (b->data)
                b->data[0] = '\0';
}

void strbuf_reserve(struct strbuf *b, size_t more)
{
        size_t need = b->len + more + 1;

        if (need <= b->cap)
                return;
        b->cap = MAX(need, MAX(b->cap * 2, (size_t)64));
        b->data = xrealloc(b->data, b->cap);
        b->data[b->len] = '\0'; /* also while nothing follows */
}

void strbuf_append(struct strbuf *b, const void *data, size_t len)
{
        if (b->max && len > b->max - MIN(b->len, b->max)) {
                b->overflow = true;
                len = b->max - MIN(b->len, b->max);
        }
        strbuf_reserve(b, len);
        if (len)
                memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
}

void strbuf_grow_by_slow(struct strbuf *b, char c)
{
        strbuf_append(b, &c, 1);
}

void strbuf_puts(struct strbuf *b, const char *s)
{
        strbuf_append(b, s, strlen(s));
}

void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list ap)
{
        va_list again;
        char small[256];
        int n;

        va_copy(again, ap);
        n = vsnprintf(small, sizeof(small), fmt, ap);
        if (n < (int)sizeof(small)) {
                strbuf_append(b, small, n);
        } else {
                _cleanup_free_ char *s = xvasprintf(fmt, again);

                strbuf_append(b, s, n);
        }
        va_end(again);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        strbuf_vprintf(b, fmt, ap);
        va_end(ap);
}

char *strbuf_steal(struct strbuf *b)
{
        char *s = b->data ? b->data : xstrdup("");

        *b = (struct strbuf){ .max = b->max };
        return s;
}
