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

/* Most strings need no escape, and most builders have no maximum: one look, one copy. */
static bool write_plain(struct strbuf *out, const char *s, size_t len)
{
        char *to;

        for (size_t i = 0; i < len; i++)
                if (needs[(unsigned char)s[i]])
                        return false;
        if (out->max)
                return false;
        if (out->len + len + 3 > out->cap)
                strbuf_reserve(out, len + 2);
        to = out->data + out->len;
        *to++ = '"';
        memcpy(to, s, len);
        to[len] = '"';
        to[len + 1] = '\0';
        out->len += len + 2;
        return true;
}

void json_write_string(struct strbuf *out, const char *s, size_t len)
{
        const unsigned char *p = (const unsigned char *)s;
        size_t from = 0;

        if (len && write_plain(out, s, len))
                return;
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
        write_node(out, j, 0, 0);
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
