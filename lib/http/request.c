/* What a handler may ask of a request, and buffers. */
#include "conn.h"

struct buffer *buffer_new(size_t len)
{
        struct buffer *b = xmalloc(sizeof(*b) + len + 1);

        b->refs = 1;
        b->len = len;
        b->data[len] = '\0';
        return b;
}

struct buffer *buffer_new_copy(const void *data, size_t len)
{
        struct buffer *b = buffer_new(len);

        memcpy(b->data, data, len);
        return b;
}

struct buffer *buffer_ref(struct buffer *b)
{
        b->refs++;
        return b;
}

void buffer_unref(struct buffer *b)
{
        if (b && --b->refs == 0)
                free(b);
}

static const struct request *request_of(const struct http_request *req)
{
        return container_of(req, struct request, pub);
}

const char *http_header(const struct http_request *req, const char *name)
{
        return http_head_field(&request_of(req)->head, name);
}

void http_header_each(const struct http_request *req,
                      void (*fn)(const char *name, const char *value, void *userdata), void *userdata)
{
        const struct http_head *h = &request_of(req)->head;

        for (size_t i = 0; i < h->n_fields; i++)
                fn(h->fields[i].name, h->fields[i].value, userdata);
}

bool http_names_tag(const char *list, const char *tag)
{
        size_t len = strlen(tag);

        while (*list) {
                list += strspn(list, " \t,");
                if (str_has_prefix(list, "W/"))
                        list += 2;
                if (strncmp(list, tag, len) == 0 && (!list[len] || strchr(" \t,", list[len])))
                        return true;
                list += strcspn(list, ",");
        }
        return false;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *http_unescape(struct arena *a, const char *s, size_t len, bool plus_is_space)
{
        char *out = arena_alloc(a, len + 1), *to = out;

        for (size_t i = 0; i < len; i++) {
                if (s[i] == '%') {
                        int high = len - i > 2 ? hex_digit(s[i + 1]) : -1;
                        int low = len - i > 2 ? hex_digit(s[i + 2]) : -1;
                        if (high < 0 || low < 0 || high + low == 0)
                                return NULL; /* cut off, no digits, or NUL */
                        *to++ = high * 16 + low;
                        i += 2;
                } else {
                        *to++ = s[i] == '+' && plus_is_space ? ' ' : s[i];
                }
        }
        *to = '\0';
        return out;
}

void http_escape(struct strbuf *out, const char *s)
{
        for (; *s; s++) {
                unsigned char c = *s;
                if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c))
                        strbuf_putc(out, c);
                else
                        strbuf_printf(out, "%%%02X", c);
        }
}

/* The next "name=value" of a query from *at on; with a semicolon in it, it is none (as by net/url). False: no more. */
static bool next_pair(const char **at, const char **ret_name, size_t *ret_name_len, const char **ret_value,
                      size_t *ret_value_len)
{
        const char *s = *at, *eq;
        size_t len = 0;

        do {
                s += len;
                s += strspn(s, "&");
                len = strcspn(s, "&");
        } while (memchr(s, ';', len));
        if (!len)
                return false;
        eq = memchr(s, '=', len);
        *ret_name = s;
        *ret_name_len = eq ? (size_t)(eq - s) : len;
        *ret_value = eq ? eq + 1 : s + len;
        *ret_value_len = s + len - *ret_value;
        *at = s + len;
        return true;
}

/* Names are compared decoded only where they hold an escape: nearly none does. */
static bool name_is(struct arena *a, const char *name, const char *s, size_t len)
{
        if (!memchr(s, '%', len) && !memchr(s, '+', len))
                return strlen(name) == len && memcmp(name, s, len) == 0;
        return streq(name, http_unescape(a, s, len, true));
}

const char *http_query(const struct http_request *req, const char *name)
{
        const char *at = req->query, *n, *v;
        size_t n_len, v_len;

        while (next_pair(&at, &n, &n_len, &v, &v_len))
                if (name_is(req->arena, name, n, n_len)) {
                        const char *value = http_unescape(req->arena, v, v_len, true);
                        if (value)
                                return value; /* a malformed pair is left out, as by net/url */
                }
        return NULL;
}

size_t http_query_all(const struct http_request *req, const char *name, const char ***ret)
{
        const char *at = req->query, *n, *v, **values = NULL;
        size_t n_len, v_len, count = 0, cap = 0;

        while (next_pair(&at, &n, &n_len, &v, &v_len)) {
                const char *value;
                if (!name_is(req->arena, name, n, n_len))
                        continue;
                value = http_unescape(req->arena, v, v_len, true);
                if (!value)
                        continue;
                if (count == cap) {
                        const char **more = arena_alloc(req->arena, (cap * 2 + 4) * sizeof(*more));
                        if (count)
                                memcpy(more, values, count * sizeof(*more));
                        values = more;
                        cap = cap * 2 + 4;
                }
                values[count++] = value;
        }
        *ret = values;
        return count;
}
