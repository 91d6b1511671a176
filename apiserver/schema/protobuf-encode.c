/* JSON text to Kubernetes' protobuf (protobuf.h); the mirror of protobuf.c.
 *
 * Objects are kept as text, so a message is made in one pass over it, without a tree: each key is looked up among
 * the fields of its type, and its value is written as that field asks. A nested message is written where it belongs,
 * and moved up when its length is known: most lengths take the one byte that was left for them. Like Go's encoder,
 * what the text does not hold is not written; readers take absent and zero as the same, and fields in any order.
 *
 * Values that do not fit their field are left out: what is stored was decoded by the same tables.
 */
#include <stdlib.h>

#include "../../lib/base/base.h"
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../../lib/json/skim.h"
#include "protobuf.h"

struct coder {
        struct json_skim in;
        struct strbuf *out;
        struct arena *odd; /* what strings with escapes mean; made when there is one */
        struct protobuf_memory *memory; /* NULL: none */
        unsigned depth;
};

/* --- writing --- */

static inline char *room(struct strbuf *out, size_t n)
{
        if (out->cap - out->len <= n)
                strbuf_reserve(out, n);
        return out->data + out->len;
}

static inline char *varint(char *p, uint64_t v)
{
        for (; v >= 0x80; v >>= 7)
                *p++ = (char)(v | 0x80);
        *p++ = (char)v;
        return p;
}

#define VARINT_MAX 10
#define WIRE_VARINT 0
#define WIRE_64 1
#define WIRE_BYTES 2

static inline void put_tag(struct strbuf *out, unsigned field, unsigned type)
{
        out->len = (size_t)(varint(room(out, VARINT_MAX), (uint64_t)field << 3 | type) - out->data);
}

static void put_number(struct strbuf *out, unsigned field, uint64_t v)
{
        char *p = varint(room(out, 2 * VARINT_MAX), (uint64_t)field << 3 | WIRE_VARINT);

        out->len = (size_t)(varint(p, v) - out->data);
}

static void put_bytes(struct strbuf *out, unsigned field, const void *data, size_t len)
{
        char *p = varint(room(out, 2 * VARINT_MAX + len), (uint64_t)field << 3 | WIRE_BYTES);

        p = varint(p, len);
        memcpy(p, data, len);
        out->len = (size_t)(p - out->data) + len;
}

/* A message begins; returns where, for its end. */
static size_t nested_begin(struct strbuf *out, unsigned field)
{
        char *p = varint(room(out, VARINT_MAX + 1), (uint64_t)field << 3 | WIRE_BYTES);

        *p++ = 0;
        return out->len = (size_t)(p - out->data);
}

static void nested_end(struct strbuf *out, size_t begin)
{
        size_t len = out->len - begin, more = 0;

        for (size_t v = len; v >>= 7;)
                more++;
        if (more) {
                room(out, more);
                memmove(out->data + begin + more, out->data + begin, len);
                out->len += more;
        }
        varint(out->data + begin - 1, len);
}

/* --- strings --- */

static bool unescape(struct coder *c, struct json_skimmed *s)
{
        const struct json *j;

        if (!c->odd)
                c->odd = arena_new(0);
        j = json_skim_unescape(c->odd, s);
        if (j)
                *s = (struct json_skimmed){ .p = j->str, .len = j->len };
        return j;
}

/* The string at hand, without escapes; it lives as long as the coder. */
static bool take_string(struct coder *c, struct json_skimmed *ret)
{
        return json_skim_string(&c->in, ret) && (!ret->escaped || unescape(c, ret));
}

static bool at(const struct coder *c, char first)
{
        return c->in.p < c->in.end && *c->in.p == first;
}

static bool put_string_here(struct coder *c, unsigned field)
{
        enum { SHORT = 16 };
        struct json_skimmed s;
        char *p;

        if (!json_skim_string(&c->in, &s))
                return false;
        if (s.len <= SHORT && !s.escaped && c->in.end - s.p >= SHORT) {
                p = varint(room(c->out, VARINT_MAX + 1 + SHORT), (uint64_t)field << 3 | WIRE_BYTES);
                *p++ = (char)s.len;
                memcpy(p, s.p, SHORT); /* so many are copied without a call; what is too much is written over */
                c->out->len = (size_t)(p - c->out->data) + s.len;
                return true;
        }
        if (s.escaped && !unescape(c, &s))
                return false;
        put_bytes(c->out, field, s.p, s.len);
        return true;
}

/* --- values; each goes over exactly one --- */

static bool message(struct coder *c, const struct schema *s);

/* The number at hand as an integer. *RET_FITS: there is one. */
static bool take_int(struct coder *c, int64_t *ret, bool *ret_fits)
{
        const char *from = c->in.p;
        char text[40];
        int64_t v = 0;
        size_t len;

        *ret_fits = false;
        if (!json_skim_value(&c->in))
                return false;
        len = (size_t)(c->in.p - from);
        for (size_t i = 0; i < len && len < 18; i++) {
                if (from[i] < '0' || from[i] > '9')
                        goto odd;
                v = v * 10 + (from[i] - '0');
        }
        *ret = v;
        *ret_fits = len < 18;
odd:
        if (!*ret_fits && len < sizeof(text) && (*from == '-' || (*from >= '0' && *from <= '9'))) {
                memcpy(text, from, len);
                text[len] = '\0';
                *ret_fits = json_to_int(&(struct json){ .type = JSON_NUMBER, .str = text, .len = (uint32_t)len }, ret) == 0;
        }
        return true;
}

static bool put_time(struct coder *c)
{
        struct json_skimmed s;
        int64_t t, seconds;
        char text[64];

        if (!at(c, '"'))
                return json_skim_value(&c->in);
        if (!take_string(c, &s))
                return false;
        if (s.len >= sizeof(text))
                return true;
        memcpy(text, s.p, s.len);
        text[s.len] = '\0';
        if (time_parse(text, &t) < 0)
                return true;
        seconds = t / NS_PER_SEC - (t % NS_PER_SEC < 0);
        put_number(c->out, 1, (uint64_t)seconds);
        put_number(c->out, 2, (uint64_t)(t - seconds * NS_PER_SEC));
        return true;
}

static bool put_quantity(struct coder *c)
{
        if (at(c, '"'))
                return put_string_here(c, 1);
        put_bytes(c->out, 1, "0", 1);
        return json_skim_value(&c->in);
}

static bool put_int_or_string(struct coder *c)
{
        int64_t i = 0;
        bool string = at(c, '"'), fits;

        put_number(c->out, 1, string);
        if (string) {
                put_number(c->out, 2, 0);
                return put_string_here(c, 3);
        }
        if (!take_int(c, &i, &fits))
                return false;
        put_number(c->out, 2, fits ? (uint64_t)i : 0);
        put_bytes(c->out, 3, "", 0);
        return true;
}

static bool put_nested(struct coder *c, unsigned field, const struct schema *s)
{
        size_t begin = nested_begin(c->out, field);

        if (!message(c, s))
                return false;
        nested_end(c->out, begin);
        return true;
}

/* JSONSchemaPropsOrArray and its like. */
static bool put_either(struct coder *c, const struct schema *s)
{
        int r;

        if (s->wire == SCHEMA_WIRE_OR_BOOL)
                put_number(c->out, 1, !at(c, 'f'));
        if (at(c, '{'))
                return put_nested(c, s->wire == SCHEMA_WIRE_OR_BOOL ? 2 : 1, s->elem);
        if (!at(c, '['))
                return json_skim_value(&c->in);
        for (r = json_skim_begin(&c->in, ']'); r > 0; r = json_skim_next(&c->in, ']'))
                if (!(at(c, '"') ? put_string_here(c, 2) : put_nested(c, 2, s->elem)))
                        return false;
        return r == 0;
}

static bool put_raw(struct coder *c)
{
        const char *from = c->in.p;

        if (!json_skim_value(&c->in))
                return false;
        put_bytes(c->out, 1, from, (size_t)(c->in.p - from));
        return true;
}

/* A list of strings that is a message by itself (SCHEMA_WIRE_ITEMS). */
static bool put_items(struct coder *c)
{
        int r;

        if (!at(c, '['))
                return json_skim_value(&c->in);
        for (r = json_skim_begin(&c->in, ']'); r > 0; r = json_skim_next(&c->in, ']'))
                if (!(at(c, '"') ? put_string_here(c, 1) : json_skim_value(&c->in)))
                        return false;
        return r == 0;
}

/* What is inside, for all types that travel as messages. */
static bool inside(struct coder *c, const struct schema *s)
{
        switch (s->type) {
        case SCHEMA_STRUCT:
                return message(c, s);
        case SCHEMA_TIME:
        case SCHEMA_MICRO_TIME:
                return put_time(c);
        case SCHEMA_QUANTITY:
                return put_quantity(c);
        case SCHEMA_INT_OR_STRING:
                return put_int_or_string(c);
        case SCHEMA_ANY:
                return s->elem ? put_either(c, s) : put_raw(c);
        default:
                return put_items(c);
        }
}

static bool put_double(struct coder *c, unsigned field)
{
        const char *from = c->in.p;
        char text[64] = "";
        double d;

        if (!json_skim_value(&c->in))
                return false;
        memcpy(text, from, MIN((size_t)(c->in.p - from), sizeof(text) - 1));
        d = *from == '-' || (*from >= '0' && *from <= '9') ? strtod(text, NULL) : 0;
        put_tag(c->out, field, WIRE_64);
        memcpy(room(c->out, sizeof(d)), &d, sizeof(d));
        c->out->len += sizeof(d);
        return true;
}

static bool put_base64(struct coder *c, unsigned field)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json_skimmed s;

        if (!at(c, '"'))
                return json_skim_value(&c->in);
        if (!take_string(c, &s))
                return false;
        if (base64_decode(&b, s.p, s.len, NULL) == 0)
                put_bytes(c->out, field, strbuf_str(&b), b.len);
        return true;
}

static bool one(struct coder *c, unsigned field, const struct schema *s)
{
        size_t begin;
        int64_t i;
        bool fits;

        switch (s->type) {
        case SCHEMA_STRING:
        case SCHEMA_DURATION:
                return at(c, '"') ? put_string_here(c, field) : json_skim_value(&c->in);
        case SCHEMA_BOOLEAN:
                put_number(c->out, field, at(c, 't'));
                return json_skim_value(&c->in);
        case SCHEMA_INT32:
        case SCHEMA_INT64:
                if (!take_int(c, &i, &fits))
                        return false;
                if (fits)
                        put_number(c->out, field, (uint64_t)i);
                return true;
        case SCHEMA_DOUBLE:
                return put_double(c, field);
        case SCHEMA_BYTES:
                return put_base64(c, field);
        case SCHEMA_MAP:
                return json_skim_value(&c->in); /* no type has maps in lists or maps */
        default:
                begin = nested_begin(c->out, field);
                if (!inside(c, s))
                        return false;
                nested_end(c->out, begin);
                return true;
        }
}

/* --- fields --- */

static bool list_field(struct coder *c, const struct schema_field *f)
{
        int r;

        if (!at(c, '['))
                return json_skim_value(&c->in);
        for (r = json_skim_begin(&c->in, ']'); r > 0; r = json_skim_next(&c->in, ']'))
                if (!one(c, f->proto, f->type->elem))
                        return false;
        return r == 0;
}

static bool map_field(struct coder *c, const struct schema_field *f)
{
        struct json_skimmed key;
        int r;

        if (!at(c, '{'))
                return json_skim_value(&c->in);
        for (r = json_skim_begin(&c->in, '}'); r > 0; r = json_skim_next(&c->in, '}')) {
                size_t begin = nested_begin(c->out, f->proto);

                if (!take_string(c, &key))
                        return false;
                put_bytes(c->out, 1, key.p, key.len);
                json_skim_space(&c->in);
                if (!at(c, ':'))
                        return false;
                c->in.p++;
                json_skim_space(&c->in);
                if (!one(c, 2, f->type->elem))
                        return false;
                nested_end(c->out, begin);
        }
        return r == 0;
}

static bool field_anew(struct coder *c, const struct schema_field *f)
{
        if (f->type->type == SCHEMA_ARRAY)
                return list_field(c, f);
        if (f->type->type == SCHEMA_MAP)
                return map_field(c, f);
        return at(c, 'n') ? json_skim_value(&c->in) : one(c, f->proto, f->type);
}

/* --- what was the same the last time --- */

enum { REMEMBERED_MIN = 32, REMEMBERED_MAX = 4096, REMEMBERED_FIELDS = 256 };

/* The last object or list that a field had: its text, and behind it what was written for it. */
struct remembered {
        const struct schema_field *f;
        uint32_t text_len, wire_len, cap;
        unsigned misses; /* since it was the same for the last time */
        char *bytes;
};

struct protobuf_memory {
        struct arena *arena;
        struct remembered fields[REMEMBERED_FIELDS]; /* where its address says; of two at one place the last */
};

struct protobuf_memory *protobuf_memory_new(struct arena *a)
{
        struct protobuf_memory *m = arena_calloc(a, sizeof(*m));

        m->arena = a;
        return m;
}

static void remember(struct protobuf_memory *m, struct remembered *r, const struct schema_field *f, const char *text,
                     size_t text_len, const char *wire, size_t wire_len)
{
        if (text_len < REMEMBERED_MIN || text_len + wire_len > REMEMBERED_MAX)
                return;
        if (r->f == f && ++r->misses > 4 && r->misses % 16) /* it is another each time: not worth its copy */
                return;
        if (text_len + wire_len > r->cap) {
                r->cap = (uint32_t)(2 * (text_len + wire_len));
                r->bytes = arena_alloc(m->arena, r->cap);
        }
        r->f = f;
        r->text_len = (uint32_t)text_len;
        r->wire_len = (uint32_t)wire_len;
        memcpy(r->bytes, text, text_len);
        memcpy(r->bytes + text_len, wire, wire_len);
}

static bool field(struct coder *c, const struct schema_field *f)
{
        struct remembered *r;
        const char *text = c->in.p;
        size_t before = c->out->len;

        if (!c->memory || !(at(c, '{') || at(c, '[')))
                return field_anew(c, f);
        r = &c->memory->fields[((uintptr_t)f / sizeof(*f)) % REMEMBERED_FIELDS];
        if (r->f == f && (size_t)(c->in.end - text) >= r->text_len && memcmp(r->bytes, text, r->text_len) == 0) {
                strbuf_append(c->out, r->bytes + r->text_len, r->wire_len);
                c->in.p += r->text_len;
                r->misses = 0;
                return true;
        }
        if (!field_anew(c, f))
                return false;
        remember(c->memory, r, f, text, (size_t)(c->in.p - text), c->out->data + before, c->out->len - before);
        return true;
}

/* --- messages --- */

/* A member whose field lies in a message that JSON flattens: it waits until that one is written. */
struct held {
        const struct schema_field *f;
        const char *value;
        bool done;
};
#define HELD_MAX 64 /* no type has so many such fields */

/* The message that is OUTER's number of LEVEL, with all members that lie in it. */
static bool put_outer(struct coder *c, struct held *held, size_t n, const unsigned char *outer, unsigned level)
{
        size_t begin = nested_begin(c->out, outer[level]);

        for (struct held *h = held; h < held + n; h++) {
                if (h->done || memcmp(h->f->proto_outer, outer, level + 1) != 0)
                        continue;
                if (level == 0 && h->f->proto_outer[1]) {
                        if (!put_outer(c, held, n, h->f->proto_outer, 1))
                                return false;
                        continue;
                }
                h->done = true;
                c->in.p = h->value;
                if (!field(c, h->f))
                        return false;
        }
        nested_end(c->out, begin);
        return true;
}

__attribute__((noinline)) static bool look_up_key(struct coder *c, const struct schema *s, const struct schema_field **place,
                                                  const struct schema_field **ret)
{
        struct json_skimmed key;

        if (!json_skim_key(&c->in, &key))
                return false;
        *ret = schema_fieldn(s, key.p, key.len);
        if (*ret)
                *place = *ret;
        return true;
}

/* Over the key at hand and its colon; *RET is its field, NULL: none. BEFORE: the field before it, or S. Objects of a type
 * mostly have the same fields in the same order, so what came after that the last time is tried first. */
static inline bool take_key(struct coder *c, const struct schema *s, const void *before, const struct schema_field **ret)
{
        static const struct schema_field *after[1024];
        const struct schema_field **place = &after[(uint32_t)((uintptr_t)before >> 3) * UINT32_C(0x9e3779b1) >> 22];
        const struct schema_field *f = *place;
        const char *p = c->in.p;

        if ((uintptr_t)f - (uintptr_t)s->fields < s->n_fields * sizeof(*f) && (size_t)(c->in.end - p) > (size_t)f->len + 3 &&
            *p == '"' && p[f->len + 1] == '"' && p[f->len + 2] == ':' && memcmp(p + 1, f->name, f->len) == 0) {
                c->in.p = p + f->len + 3;
                json_skim_space(&c->in);
                *ret = f;
                return true;
        }
        return look_up_key(c, s, place, ret);
}

static bool flattened_message(struct coder *c, const struct schema *s)
{
        struct held held[HELD_MAX];
        const struct schema_field *f = NULL;
        const char *behind;
        size_t n = 0;
        int r;

        for (r = json_skim_begin(&c->in, '}'); r > 0; r = json_skim_next(&c->in, '}')) {
                bool plain;

                if (!take_key(c, s, f ? f : (const void *)s, &f))
                        return false;
                plain = f && f->proto && !f->proto_outer[0];
                if (f && f->proto && !plain && n < HELD_MAX)
                        held[n++] = (struct held){ .f = f, .value = c->in.p };
                if (!(plain ? field(c, f) : json_skim_value(&c->in)))
                        return false;
        }
        behind = c->in.p;
        for (size_t i = 0; r == 0 && i < n; i++)
                if (!held[i].done && !put_outer(c, held, n, held[i].f->proto_outer, 0))
                        return false;
        c->in.p = behind;
        return r == 0;
}

static bool members(struct coder *c, const struct schema *s)
{
        const struct schema_field *f = NULL;
        const char *start = c->in.p;
        size_t before = c->out->len;
        int r;

        for (r = json_skim_begin(&c->in, '}'); r > 0; r = json_skim_next(&c->in, '}')) {
                if (!take_key(c, s, f ? f : (const void *)s, &f))
                        return false;
                if (f && f->proto_outer[0]) {
                        c->in.p = start;
                        c->out->len = before;
                        return flattened_message(c, s);
                }
                if (!(f && f->proto ? field(c, f) : json_skim_value(&c->in)))
                        return false;
        }
        return r == 0;
}

static bool message(struct coder *c, const struct schema *s)
{
        bool ok;

        if (!at(c, '{'))
                return json_skim_value(&c->in);
        if (++c->depth > JSON_MAX_DEPTH)
                return false;
        ok = members(c, s);
        c->depth--;
        return ok;
}

static bool encode_object(struct strbuf *out, const struct schema *s, const char *text, size_t len,
                          struct protobuf_memory *memory)
{
        struct coder c = { .in = { text, text + len }, .out = out, .memory = memory };
        size_t before = out->len;
        bool ok;

        room(out, len);
        json_skim_space(&c.in);
        ok = at(&c, '{') && message(&c, s);
        if (!ok)
                out->len = before;
        out->data[out->len] = '\0';
        arena_free(c.odd);
        return ok;
}

bool protobuf_encode_message(struct strbuf *out, const struct schema *s, const char *text, size_t len)
{
        return encode_object(out, s, text, len, NULL);
}

bool protobuf_encode_nested(struct strbuf *out, unsigned number, const struct schema *s, const char *text, size_t len,
                            struct protobuf_memory *memory)
{
        size_t before = out->len, begin = nested_begin(out, number);

        if (!encode_object(out, s, text, len, memory)) {
                out->len = before;
                return false;
        }
        nested_end(out, begin);
        out->data[out->len] = '\0';
        return true;
}

/* --- around them --- */

void protobuf_envelope_begin(struct strbuf *out, const char *group_version, const char *kind, size_t len)
{
        size_t begin;

        strbuf_append(out, "k8s", 4); /* with its NUL */
        begin = nested_begin(out, 1);
        put_bytes(out, 1, group_version, strlen(group_version));
        put_bytes(out, 2, kind, strlen(kind));
        nested_end(out, begin);
        put_tag(out, 2, WIRE_BYTES);
        out->len = (size_t)(varint(room(out, VARINT_MAX), len) - out->data);
        out->data[out->len] = '\0';
}

void protobuf_envelope_end(struct strbuf *out)
{
        put_bytes(out, 3, "", 0);
        put_bytes(out, 4, "", 0);
        out->data[out->len] = '\0';
}

bool protobuf_encode_text(struct strbuf *out, const char *group_version, const char *kind, const struct schema *s,
                          const char *text, size_t len)
{
        _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;

        if (!protobuf_encode_message(&raw, s, text, len))
                return false;
        protobuf_envelope_begin(out, group_version, kind, raw.len);
        strbuf_append(out, strbuf_str(&raw), raw.len);
        protobuf_envelope_end(out);
        return true;
}

void protobuf_encode(struct strbuf *out, const struct schema *s, const struct json *obj)
{
        const char *version = json_get_string(obj, "apiVersion"), *kind = json_get_string(obj, "kind");
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

        json_write(&text, obj);
        protobuf_encode_text(out, version ? version : "", kind ? kind : "", s, text.data, text.len);
}

void protobuf_frame(struct strbuf *out, const char *type, const struct strbuf *body)
{
        size_t start = out->len, event, object;
        uint32_t length = 0;

        strbuf_append(out, &length, sizeof(length));
        event = out->len;
        put_bytes(out, 1, type, strlen(type));
        object = nested_begin(out, 2);
        put_bytes(out, 1, strbuf_str(body), body->len);
        nested_end(out, object);
        length = __builtin_bswap32((uint32_t)(out->len - event));
        memcpy(out->data + start, &length, sizeof(length));
        out->data[out->len] = '\0';
}
