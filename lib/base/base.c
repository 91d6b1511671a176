/* Allocation that ends the process instead of failing: see base.h. */
#include "base.h"

#include <stdio.h>

static void *check(void *p)
{
        if (!p) {
                static const char text[] = "out of memory\n";
                ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

                unused(n);
                abort();
        }
        return p;
}

void *xmalloc(size_t size)
{
        return check(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
        return check(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
        return check(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
        return s ? check(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
        return check(strndup(s, n));
}

void *xmemdup(const void *p, size_t n)
{
        void *copy = xmalloc(n);

        if (n)
                memcpy(copy, p, n);
        return copy;
}

char *xvasprintf(const char *fmt, va_list ap)
{
        char *s;

        return vasprintf(&s, fmt, ap) < 0 ? check(NULL) : s;
}

char *xasprintf(const char *fmt, ...)
{
        va_list ap;
        char *s;

        va_start(ap, fmt);
        s = xvasprintf(fmt, ap);
        va_end(ap);
        return s;
}

bool str_has_prefix(const char *s, const char *prefix)
{
        return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
        size_t n = s ? strlen(s) : 0, m = strlen(suffix);

        return s && n >= m && memcmp(s + n - m, suffix, m) == 0;
}
