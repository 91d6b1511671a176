/* JSON as text, as Go's encoder writes it; and a hash of its meaning. */
#include "json.h"


/* What a byte needs: 0 as it is, 1 an escape; 2 the start of U+2028/9. */
static const unsigned char needs[256] = {
        [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, ['<'] = 1, ['>'] = 1, ['&'] = 1, [0xe2] = 2,
};

static void escape(struct strbuf *out, unsigned char c)
{
        switch (c) {
        case '"':
                strbuf_append(out, "\\\"", 2);
                break;
        case '\\':
                strbuf_append(out, "\\\\", 2);
                break;
        case '\b':
                strbuf_append(out, "\\b", 2);
                break;
        case '\f':
                strbuf_append(out, "\\f", 2);
                break;
        case '\n':
                strbuf_append(out, "\\n", 2);
                break;
        case '\r':
                strbuf_append(out, "\\r", 2);
                break;
        case '\t':
                strbuf_append(out, "\\t", 2);
                break;
        default:
                strbuf_append(out, "\\u00", 4);
                strbuf_putc(out, "0123456789abcdef"[c >> 4]);
                strbuf_putc(out, "0123456789abcdef"[c & 15]);
        }
}

/* --- most builders have no maximum, and most strings need no escape: one look, one copy --- */

/* A builder that is being written to: its length is brought up to date when it is put down. */
struct pen {
        struct strbuf *out;
        char *at, *end;
};

static inline struct pen pen_up(struct strbuf *out)
{
        if (!out->data)
                strbuf_reserve(out, 64);
        return (struct pen){ out, out->data + out->len, out->data + out->cap };
}

static inline void pen_down(struct pen *p)
{
        p->out->len = (size_t)(p->at - p->out->data);
        *p->at = '\0';
}

static __attribute__((noinline)) void more_room(struct pen *p, size_t n)
{
        p->out->len = (size_t)(p->at - p->out->data);
        strbuf_reserve(p->out, n);
        *p = pen_up(p->out);
}

/* For N bytes and a NUL. */
static inline void room(struct pen *p, size_t n)
{
        if ((size_t)(p->end - p->at) <= n)
                more_room(p, n);
}

typedef signed char bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

/* The bytes that may need an escape: below a space, above ASCII (negative here), one of "&<>\. */
static inline bytes16 odd(bytes16 x)
{
        return (x < 0x20) | ((x & ~('"' ^ '&')) == '"') | ((x & ~('<' ^ '>')) == '<') | (x == '\\');
}

static inline bool none(bytes16 x)
{
        words2 w = (words2)x;

        return !(w[0] | w[1]);
}

/* Copies S, eight bytes or more, from both ends, so that nothing beyond it is touched. False: it needs a closer look. */
static inline bool copy_plain(char *to, const char *s, size_t len)
{
        bytes16 x, seen = { 0 };
        uint64_t both[2];

        if (len <= 16) {
                memcpy(&both[0], s, 8);
                memcpy(&both[1], s + len - 8, 8);
                memcpy(&x, both, 16);
                memcpy(to, &both[0], 8);
                memcpy(to + len - 8, &both[1], 8);
                return none(odd(x));
        }
        for (size_t i = 0; i + 16 <= len; i += 16) {
                memcpy(&x, s + i, 16);
                memcpy(to + i, &x, 16);
                seen |= odd(x);
        }
        memcpy(&x, s + len - 16, 16);
        memcpy(to + len - 16, &x, 16);
        return none(seen | odd(x));
}

static inline bool copy_short(char *to, const char *s, size_t len)
{
        unsigned char any = 0;

        for (size_t i = 0; i < len; i++) {
                any |= needs[(unsigned char)s[i]];
                to[i] = s[i];
        }
        return !any;
}

static void write_odd_string(struct strbuf *out, const char *s, size_t len);

/* As write_odd_string(), for what Go writes as a backslash and a letter or as it is: names in managed fields are full of
 * quotes. False: there is more in it; nothing was written. */
static __attribute__((noinline)) bool put_quoted(struct pen *p, const char *s, size_t len)
{
        char *to;

        room(p, 2 * len + 2);
        to = p->at;
        *to++ = '"';
        for (size_t i = 0; i < len; i++) {
                if (s[i] == '"' || s[i] == '\\')
                        *to++ = '\\';
                else if (needs[(unsigned char)s[i]])
                        return false;
                *to++ = s[i];
        }
        *to++ = '"';
        p->at = to;
        return true;
}

static inline void put_string(struct pen *p, const char *s, size_t len)
{
        room(p, len + 2);
        p->at[0] = '"';
        if (len >= 8 ? copy_plain(p->at + 1, s, len) : copy_short(p->at + 1, s, len)) {
                p->at[len + 1] = '"';
                p->at += len + 2;
                return;
        }
        if (len < 512 && put_quoted(p, s, len))
                return;
        pen_down(p);
        write_odd_string(p->out, s, len);
        *p = pen_up(p->out);
}

static inline void put_char(struct pen *p, char c)
{
        room(p, 1);
        *p->at++ = c;
}

static inline void put_text(struct pen *p, const char *s, size_t len)
{
        room(p, len);
        memcpy(p->at, s, len);
        p->at += len;
}

static void put_compact(struct pen *p, const struct json *j)
{
        switch ((enum json_type)j->type) {
        case JSON_NULL:
                put_text(p, "null", 4);
                break;
        case JSON_BOOL:
                put_text(p, j->boolean ? "true" : "false", j->boolean ? 4 : 5);
                break;
        case JSON_NUMBER:
                put_text(p, j->str, j->len);
                break;
        case JSON_STRING:
                put_string(p, j->str, j->len);
                break;
        case JSON_ARRAY:
                put_char(p, '[');
                for (uint32_t i = 0; i < j->len; i++) {
                        if (i)
                                put_char(p, ',');
                        put_compact(p, j->items[i]);
                }
                put_char(p, ']');
                break;
        case JSON_OBJECT:
                put_char(p, '{');
                for (uint32_t i = 0; i < j->len; i++) {
                        if (i)
                                put_char(p, ',');
                        put_string(p, j->members[i].key, j->members[i].key_len);
                        put_char(p, ':');
                        put_compact(p, j->members[i].value);
                }
                put_char(p, '}');
                break;
        }
}

/* --- any string, any builder --- */

static void write_odd_string(struct strbuf *out, const char *s, size_t len)
{
        const unsigned char *p = (const unsigned char *)s;
        size_t from = 0;

        strbuf_putc(out, '"');
        for (size_t i = 0; i < len; i++) {
                unsigned char need = needs[p[i]];

                if (!need)
                        continue;
                if (need == 2) {
                        if (len - i < 3 || p[i + 1] != 0x80 || (p[i + 2] & 0xfe) != 0xa8)
                                continue;
                        strbuf_append(out, s + from, i - from);
                        strbuf_puts(out, p[i + 2] == 0xa8 ? "\\u2028" : "\\u2029");
                        i += 2;
                } else {
                        strbuf_append(out, s + from, i - from);
                        escape(out, p[i]);
                }
                from = i + 1;
        }
        strbuf_append(out, s + from, len - from);
        strbuf_putc(out, '"');
}

void json_write_string(struct strbuf *out, const char *s, size_t len)
{
        struct pen p;

        if (out->max) {
                write_odd_string(out, s, len);
                return;
        }
        p = pen_up(out);
        put_string(&p, s, len);
        pen_down(&p);
}

static void scalar(struct strbuf *out, const struct json *j)
{
        switch ((enum json_type)j->type) {
        case JSON_NULL:
                strbuf_append(out, "null", 4);
                break;
        case JSON_BOOL:
                strbuf_puts(out, j->boolean ? "true" : "false");
                break;
        case JSON_NUMBER:
                strbuf_append(out, j->str, j->len);
                break;
        default:
                json_write_string(out, j->str, j->len);
        }
}

static void line(struct strbuf *out, unsigned indent, unsigned depth)
{
        if (!indent)
                return;
        strbuf_putc(out, '\n');
        for (unsigned i = 0; i < indent * depth; i++)
                strbuf_putc(out, ' ');
}

static void write_node(struct strbuf *out, const struct json *j, unsigned indent, unsigned depth)
{
        bool object = j->type == JSON_OBJECT;

        if (!object && j->type != JSON_ARRAY) {
                scalar(out, j);
                return;
        }
        strbuf_putc(out, object ? '{' : '[');
        for (uint32_t i = 0; i < j->len; i++) {
                if (i)
                        strbuf_putc(out, ',');
                line(out, indent, depth + 1);
                if (object) {
                        json_write_string(out, j->members[i].key, j->members[i].key_len);
                        strbuf_putc(out, ':');
                        if (indent)
                                strbuf_putc(out, ' ');
                }
                write_node(out, object ? j->members[i].value : j->items[i], indent, depth + 1);
        }
        if (j->len)
                line(out, indent, depth);
        strbuf_putc(out, object ? '}' : ']');
}

void json_write(struct strbuf *out, const struct json *j)
{
        struct pen p;

        if (out->max) {
                write_node(out, j, 0, 0);
                return;
        }
        p = pen_up(out);
        put_compact(&p, j);
        pen_down(&p);
}

void json_write_pretty(struct strbuf *out, const struct json *j, unsigned indent)
{
        write_node(out, j, indent, 0);
}

char *json_print(struct arena *a, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

        json_write(&out, j);
        return arena_strndup(a, strbuf_str(&out), out.len);
}

#define FNV64_OFFSET UINT64_C(14695981039346656037)
#define FNV64_PRIME UINT64_C(1099511628211)

static uint64_t hash_more(uint64_t h, const void *data, size_t len)
{
        const unsigned char *p = data;

        for (size_t i = 0; i < len; i++)
                h = (h ^ p[i]) * FNV64_PRIME;
        return h;
}

/* Members are hashed each by itself and added up: the order cannot matter. */
static int by_key(const void *x, const void *y)
{
        return strcmp(((const struct json_member *)x)->key, ((const struct json_member *)y)->key);
}

void json_sort_keys(struct json *j)
{
        json_foreach_item(json_is_array(j) ? j : NULL, item)
                json_sort_keys(item);
        if (!json_is_object(j))
                return;
        if (j->len)
                qsort(j->members, j->len, sizeof(*j->members), by_key);
        j->index = NULL;
        json_foreach_member(j, m)
                json_sort_keys(m->value);
}

uint64_t json_hash(const struct json *j)
{
        uint64_t h = hash_more(FNV64_OFFSET, &j->type, 1);

        switch ((enum json_type)j->type) {
        case JSON_BOOL:
                return hash_more(h, j->boolean ? "t" : "f", 1);
        case JSON_NUMBER:
        case JSON_STRING:
                return hash_more(h, j->str, j->len);
        case JSON_ARRAY:
                for (uint32_t i = 0; i < j->len; i++) {
                        uint64_t item = json_hash(j->items[i]);

                        h = hash_more(h, &item, sizeof(item));
                }
                return h;
        case JSON_OBJECT:
                for (uint32_t i = 0; i < j->len; i++) {
                        uint64_t value = json_hash(j->members[i].value);
                        uint64_t key = hash_more(FNV64_OFFSET, j->members[i].key,
                                                 j->members[i].key_len);

                        h += hash_more(key, &value, sizeof(value));
                }
                return h;
        default:
                return h;
        }
}
