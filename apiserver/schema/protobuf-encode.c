/* JSON trees to Kubernetes' protobuf (protobuf.h); the mirror of protobuf.c.
 *
 * A nested message is written where it belongs, and moved up when its length is known: most lengths take
 * the one byte that was left for them. Like Go's encoder, what the tree does not hold is not written;
 * readers take absent and zero as the same, and fields in any order.
 */
#include <errno.h>

#include "../../lib/base/base.h"
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "protobuf.h"

static void put_varint(struct strbuf *out, uint64_t v)
{
        while (v >= 0x80) {
                strbuf_putc(out, (char)(v | 0x80));
                v >>= 7;
        }
        strbuf_putc(out, (char)v);
}

static void put_number(struct strbuf *out, unsigned field, uint64_t v)
{
        put_varint(out, (uint64_t)field << 3);
        put_varint(out, v);
}

static void put_bytes(struct strbuf *out, unsigned field, const void *data, size_t len)
{
        put_varint(out, (uint64_t)field << 3 | 2);
        put_varint(out, len);
        strbuf_append(out, data, len);
}

static void put_string(struct strbuf *out, unsigned field, const char *s)
{
        put_bytes(out, field, s, strlen(s));
}

static void put_buffer(struct strbuf *out, unsigned field, struct strbuf *message)
{
        put_bytes(out, field, strbuf_str(message), message->len);
        strbuf_deinit(message);
}

/* A message begins; returns where, for its end. */
static size_t nested_begin(struct strbuf *out, unsigned field)
{
        put_varint(out, (uint64_t)field << 3 | 2);
        strbuf_putc(out, 0);
        return out->len;
}

static void nested_end(struct strbuf *out, size_t begin)
{
        size_t len = out->len - begin, more = 0, v = len;

        while (v >>= 7)
                more++;
        if (more) {
                strbuf_reserve(out, more);
                memmove(out->data + begin + more, out->data + begin, len);
                out->len += more;
        }
        v = len;
        for (char *p = out->data + begin - 1; p < out->data + begin + more; p++, v >>= 7)
                *p = (char)((v & 0x7f) | (v >= 0x80 ? 0x80 : 0));
}

static void encode_message(struct strbuf *out, const struct schema *s, const struct json *obj);

static void encode_time(struct strbuf *out, const struct json *v)
{
        int64_t t, seconds;

        if (!json_string(v) || time_parse(json_string(v), &t) < 0)
                return;
        seconds = t / NS_PER_SEC - (t % NS_PER_SEC < 0);
        put_number(out, 1, seconds);
        put_number(out, 2, t - seconds * NS_PER_SEC);
}

static void encode_either(struct strbuf *out, const struct schema *s, const struct json *v)
{
        unsigned field = s->wire == SCHEMA_WIRE_OR_BOOL ? 2 : 1;
        struct strbuf b = STRBUF_INIT;

        if (s->wire == SCHEMA_WIRE_OR_BOOL)
                put_number(out, 1, json_is_bool(v) ? v->boolean : 1);
        if (json_is_object(v)) {
                encode_message(&b, s->elem, v);
                put_buffer(out, field, &b);
        }
        json_foreach_item(v, item) {
                if (json_is_string(item)) {
                        put_bytes(out, 2, item->str, item->len);
                } else {
                        struct strbuf one = STRBUF_INIT;

                        encode_message(&one, s->elem, item);
                        put_buffer(out, 2, &one);
                }
        }
}

static void encode_raw(struct strbuf *out, const struct json *v)
{
        struct strbuf text = STRBUF_INIT;

        json_write(&text, v);
        put_buffer(out, 1, &text);
}

static void encode_int_or_string(struct strbuf *out, const struct json *v)
{
        int64_t i = 0;

        put_number(out, 1, json_is_string(v));
        if (json_is_number(v) && json_to_int(v, &i) == 0)
                put_number(out, 2, i);
        else
                put_number(out, 2, 0);
        put_string(out, 3, json_is_string(v) ? v->str : "");
}

/* The message that V is, for all types that travel as one. False: a scalar. */
static bool encode_as_message(struct strbuf *out, const struct schema *s, const struct json *v)
{
        switch (s->type) {
        case SCHEMA_STRUCT:
                encode_message(out, s, v);
                return true;
        case SCHEMA_TIME:
        case SCHEMA_MICRO_TIME:
                encode_time(out, v);
                return true;
        case SCHEMA_QUANTITY:
                put_string(out, 1, json_string(v) ? json_string(v) : "0");
                return true;
        case SCHEMA_INT_OR_STRING:
                encode_int_or_string(out, v);
                return true;
        case SCHEMA_ANY:
                s->elem ? encode_either(out, s, v) : encode_raw(out, v);
                return true;
        case SCHEMA_ARRAY: /* SCHEMA_WIRE_ITEMS */
                json_foreach_item(v, item)
                        if (json_string(item))
                                put_bytes(out, 1, item->str, item->len);
                return true;
        default:
                return false;
        }
}

static void encode_scalar(struct strbuf *out, unsigned field, const struct schema *s, const struct json *v)
{
        struct strbuf b = STRBUF_INIT;
        int64_t i;
        double d;

        switch (s->type) {
        case SCHEMA_BOOLEAN:
                put_number(out, field, json_is_true(v));
                break;
        case SCHEMA_INT32:
        case SCHEMA_INT64:
                if (json_is_number(v) && json_to_int(v, &i) == 0)
                        put_number(out, field, i);
                break;
        case SCHEMA_DOUBLE:
                d = json_to_double(v, 0);
                put_varint(out, (uint64_t)field << 3 | 1);
                strbuf_append(out, &d, sizeof(d));
                break;
        case SCHEMA_BYTES:
                if (json_is_string(v) && base64_decode(&b, v->str, v->len, NULL) == 0)
                        put_bytes(out, field, strbuf_str(&b), b.len);
                strbuf_deinit(&b);
                break;
        default:
                if (json_is_string(v))
                        put_bytes(out, field, v->str, v->len);
        }
}

static void encode_one(struct strbuf *out, unsigned field, const struct schema *s, const struct json *v)
{
        size_t before = out->len, begin = nested_begin(out, field);

        if (encode_as_message(out, s, v)) {
                nested_end(out, begin);
        } else {
                out->len = before;
                encode_scalar(out, field, s, v);
        }
}

static void encode_field(struct strbuf *out, const struct schema_field *f, const struct json *v)
{
        const struct schema *s = f->type;

        if (s->type == SCHEMA_ARRAY) {
                json_foreach_item(v, item)
                        encode_one(out, f->proto, s->elem, item);
        } else if (s->type == SCHEMA_MAP) {
                json_foreach_member(v, m) {
                        size_t begin = nested_begin(out, f->proto);

                        put_bytes(out, 1, m->key, m->key_len);
                        encode_one(out, 2, s->elem, m->value);
                        nested_end(out, begin);
                }
        } else if (!json_is_null(v)) {
                encode_one(out, f->proto, s, v);
        }
}

/* The fields that lie in the nested messages OUTER; those deeper are gathered into messages first. */
static void encode_level(struct strbuf *out, const struct schema *s, const struct json *obj, const unsigned char outer[2],
                         unsigned n_outer)
{
        uint64_t done = 0; /* numbers of the nested messages that are written, as bits */

        for (unsigned i = 0; i < s->n_fields; i++) {
                const struct schema_field *f = &s->fields[i];
                unsigned levels = f->proto_outer[1] ? 2 : f->proto_outer[0] ? 1 : 0;
                const struct json *v;

                if (levels < n_outer || (n_outer >= 1 && f->proto_outer[0] != outer[0]) || !f->proto)
                        continue;
                v = json_get(obj, f->name);
                if (!v)
                        continue;
                if (levels == n_outer) {
                        encode_field(out, f, v);
                } else if (!(done & UINT64_C(1) << f->proto_outer[n_outer])) {
                        unsigned char path[2] = { f->proto_outer[0], n_outer ? f->proto_outer[1] : 0 };
                        struct strbuf nested = STRBUF_INIT;

                        done |= UINT64_C(1) << f->proto_outer[n_outer];
                        encode_level(&nested, s, obj, path, n_outer + 1);
                        put_buffer(out, f->proto_outer[n_outer], &nested);
                }
        }
}

/* Member by member, as most objects have few of their type's fields. */
static void encode_message(struct strbuf *out, const struct schema *s, const struct json *obj)
{
        static const unsigned char none[2] = { 0 };
        size_t before = out->len;

        json_foreach_member(obj, m) {
                const struct schema_field *f = schema_field(s, m->key);

                if (f && f->proto_outer[0]) {
                        out->len = before;
                        encode_level(out, s, obj, none, 0);
                        return;
                }
                if (f && f->proto)
                        encode_field(out, f, m->value);
        }
}

void protobuf_encode_message(struct strbuf *out, const struct schema *s, const struct json *obj)
{
        encode_message(out, s, obj);
}

void protobuf_encode_nested(struct strbuf *out, unsigned field, const struct schema *s, const struct json *obj)
{
        size_t begin = nested_begin(out, field);

        encode_message(out, s, obj);
        nested_end(out, begin);
}

void protobuf_envelope(struct strbuf *out, const char *group_version, const char *kind, const struct strbuf *raw)
{
        struct strbuf type = STRBUF_INIT;

        strbuf_append(out, "k8s", 4); /* with its NUL */
        put_string(&type, 1, group_version);
        put_string(&type, 2, kind);
        put_buffer(out, 1, &type);
        put_bytes(out, 2, strbuf_str(raw), raw->len);
        put_string(out, 3, "");
        put_string(out, 4, "");
}

void protobuf_encode(struct strbuf *out, const struct schema *s, const struct json *obj)
{
        const char *version = json_get_string(obj, "apiVersion"), *kind = json_get_string(obj, "kind");
        _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;

        encode_message(&raw, s, obj);
        protobuf_envelope(out, version ? version : "", kind ? kind : "", &raw);
}

void protobuf_frame(struct strbuf *out, const char *type, const struct strbuf *body)
{
        struct strbuf event = STRBUF_INIT, object = STRBUF_INIT;
        uint32_t length;

        put_bytes(&object, 1, strbuf_str(body), body->len);
        put_string(&event, 1, type);
        put_buffer(&event, 2, &object);
        length = __builtin_bswap32((uint32_t)event.len);
        strbuf_append(out, &length, sizeof(length));
        strbuf_append(out, event.data, event.len);
        strbuf_deinit(&event);
}
