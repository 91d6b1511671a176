/* Kubernetes' protobuf, table-driven, both ways (protobuf.h).
 *
 * The wire format is protobuf's (proto2 without groups): a tag of field number and wire type, then a
 * varint, 8 bytes, 4 bytes, or a length and so many bytes. What Kubernetes adds: Go writes all value
 * fields, zero or not, so zero values of fields that keep no presence mean nothing; some messages are
 * flattened in JSON (proto_outer); some scalars are messages (Quantity, Time, IntOrString, raw JSON).
 *
 * Decoding trusts nothing: every length is checked against what is left, and nesting is bounded.
 */
#include "protobuf.h"

#include <errno.h>
#include <limits.h>

#include "../../lib/base/base.h"
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../../lib/meta/quantity.h"
#include "decode.h"

#define MAX_DEPTH 100 /* messages in messages; the deepest built-in type that is not recursive has 20 */

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* --- reading the wire --- */

struct reader {
        const uint8_t *p, *end;
};

/* What is wrong with the message that was read last, in the words of Go's generated code; NULL: nothing was said. */
static const char *wrong;

static int fail(const char *why)
{
        if (!wrong)
                wrong = why;
        return -EINVAL;
}

static const char eof[] = "unexpected EOF", overflow[] = "proto: integer overflow",
                  negative[] = "proto: negative length found during unmarshaling";

/* One field: its number, and either a varint (also of fixed sizes) or bytes. */
struct record {
        uint64_t number;
        enum wire_type type;
        uint64_t value;
        struct reader bytes;
};

static bool read_varint(struct reader *r, uint64_t *ret)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t byte;

                if (r->p == r->end)
                        return fail(eof) == 0;
                byte = *r->p++;

                v |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = v;
                        return true;
                }
        }
        return fail(overflow) == 0;
}

static bool read_fixed(struct reader *r, unsigned size, uint64_t *ret)
{
        uint64_t v = 0;

        if ((size_t)(r->end - r->p) < size)
                return fail(eof) == 0;
        for (unsigned i = 0; i < size; i++)
                v |= (uint64_t)*r->p++ << (8 * i);
        *ret = v;
        return true;
}

/* 1: a record; 0: the end; -EINVAL: malformed. ret->number is 0 then, but where only the type or what follows is wrong. */
static int read_record(struct reader *r, struct record *ret)
{
        uint64_t tag, len;

        ret->number = 0;
        if (r->p == r->end)
                return 0;
        if (!read_varint(r, &tag))
                return -EINVAL;
        ret->value = tag;
        ret->type = tag & 7;
        if ((int32_t)(tag >> 3) <= 0)
                return -EINVAL;
        ret->number = tag >> 3;
        ret->type = tag & 7;
        switch (ret->type) {
        case WIRE_VARINT:
                return read_varint(r, &ret->value) ? 1 : -EINVAL;
        case WIRE_64:
                return read_fixed(r, 8, &ret->value) ? 1 : -EINVAL;
        case WIRE_32:
                return read_fixed(r, 4, &ret->value) ? 1 : -EINVAL;
        case WIRE_BYTES:
                if (!read_varint(r, &len))
                        return -EINVAL;
                if (len > (size_t)(r->end - r->p))
                        return fail((int64_t)len < 0 ? negative : eof);
                ret->bytes = (struct reader){ r->p, r->p + len };
                r->p += len;
                return 1;
        default:
                return -EINVAL;
        }
}

static size_t bytes_len(const struct record *rec)
{
        return rec->bytes.end - rec->bytes.p;
}

static const char *bytes_text(const struct record *rec)
{
        return (const char *)rec->bytes.p;
}

/* --- decoding --- */

static const char *last_of(const char *name)
{
        const char *dot = name ? strrchr(name, '.') : NULL;

        return dot ? dot + 1 : name ? name : "";
}

/* As Go spells the field. */
static const char *go_field(struct arena *a, const char *name)
{
        char *out = arena_strdup(a, streq(name, "metadata") ? "objectMeta" : name);

        out[0] -= out[0] >= 'a' && out[0] <= 'z' ? 'a' - 'A' : 0;
        return out;
}

/* Why reading REC, a field of MESSAGE, failed; FIELD: what it is called there, NULL: not known. */
static int explain(struct arena *a, const struct record *rec, const char *message, const char *field)
{
        if (wrong)
                return -EINVAL;
        if (rec->type == 4)
                return fail(arena_printf(a, "proto: %s: wiretype end group for non-group", message));
        if (!rec->number)
                return fail(arena_printf(a, "proto: %s: illegal tag %d (wire type %d)", message, (int32_t)(rec->value >> 3), (int)rec->value));
        if (field)
                return fail(arena_printf(a, "proto: wrong wireType = %d for field %s", rec->type, go_field(a, field)));
        return fail(arena_printf(a, "proto: illegal wireType %d", rec->type));
}

static const char *field_numbered(const struct schema *s, uint64_t number)
{
        for (unsigned i = 0; i < s->n_fields; i++)
                if (s->fields[i].proto == number && !s->fields[i].proto_outer[0])
                        return s->fields[i].name;
        return NULL;
}

static int decode_message(struct arena *a, const struct schema *s, struct reader r, struct json *obj, unsigned depth);

static int decode_raw(struct arena *a, struct reader r, struct json **ret)
{
        struct record rec;
        int n;

        *ret = json_new_null(a);
        while ((n = read_record(&r, &rec)) > 0)
                if (rec.number == 1 && rec.type == WIRE_BYTES && bytes_len(&rec) &&
                    json_parse(a, bytes_text(&rec), bytes_len(&rec), NULL, ret, NULL) < 0)
                        return -EINVAL;
        return n;
}

static int decode_time(struct arena *a, struct reader r, bool micro, struct json **ret)
{
        struct record rec;
        int64_t seconds = 0, nanos = 0;
        bool any = false;
        char buf[TIME_BUF];
        int n;

        while ((n = read_record(&r, &rec)) > 0) {
                if (rec.type != WIRE_VARINT)
                        continue;
                any = true;
                if (rec.number == 1)
                        seconds = rec.value;
                else if (rec.number == 2)
                        nanos = (int32_t)rec.value;
        }
        if (n < 0 || seconds > INT64_MAX / NS_PER_SEC - 1)
                return -EINVAL;
        /* An empty message is Go's zero time, which is also written as year 1. */
        if (!any || seconds < INT64_MIN / NS_PER_SEC + 1)
                *ret = json_new_null(a);
        else
                *ret = json_new_string(a, micro ? time_format_micro(seconds * NS_PER_SEC + nanos, buf)
                                                : time_format(seconds * NS_PER_SEC, buf));
        return 0;
}

static int decode_quantity(struct arena *a, struct reader r, struct json **ret)
{
        struct record rec;
        char buf[QUANTITY_BUF];
        int n;

        *ret = json_new_string(a, "0");
        while ((n = read_record(&r, &rec)) > 0) {
                const char *text;

                if (rec.number != 1 || rec.type != WIRE_BYTES)
                        continue;
                text = arena_strndup(a, bytes_text(&rec), bytes_len(&rec));
                if (quantity_keep_text(text, buf) < 0)
                        return fail("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
                *ret = json_new_string(a, buf);
        }
        return n;
}

static int decode_int_or_string(struct arena *a, struct reader r, struct json **ret)
{
        struct record rec;
        int64_t number = 0, kind = 0;
        struct json *text = json_new_string(a, "");
        int n;

        while ((n = read_record(&r, &rec)) > 0) {
                if (rec.number == 1 && rec.type == WIRE_VARINT)
                        kind = rec.value;
                else if (rec.number == 2 && rec.type == WIRE_VARINT)
                        number = (int32_t)rec.value;
                else if (rec.number == 3 && rec.type == WIRE_BYTES)
                        text = json_new_stringn(a, bytes_text(&rec), bytes_len(&rec));
        }
        *ret = kind ? text : json_new_int(a, number);
        return n;
}

/* JSONSchemaPropsOrArray {schema=1, jSONSchemas=2}, ...OrBool {allows=1, schema=2},
 * ...OrStringArray {schema=1, property=2} */
static int decode_either(struct arena *a, const struct schema *s, struct reader r, struct json **ret, unsigned depth)
{
        unsigned schema_field_number = s->wire == SCHEMA_WIRE_OR_BOOL ? 2 : 1;
        struct record rec;
        struct json *schema = NULL, *list = NULL;
        bool allows = false;
        int n, r2;

        while ((n = read_record(&r, &rec)) > 0) {
                if (rec.number == 1 && rec.type == WIRE_VARINT) {
                        allows = rec.value;
                } else if (rec.type == WIRE_BYTES && rec.number == schema_field_number) {
                        schema = json_new_object(a);
                        r2 = decode_message(a, s->elem, rec.bytes, schema, depth);
                        if (r2 < 0)
                                return r2;
                } else if (rec.type == WIRE_BYTES && rec.number == 2) {
                        struct json *item;

                        if (!list)
                                list = json_new_array(a);
                        if (s->wire == SCHEMA_WIRE_OR_STRINGS) {
                                item = json_new_stringn(a, bytes_text(&rec), bytes_len(&rec));
                        } else {
                                item = json_new_object(a);
                                r2 = decode_message(a, s->elem, rec.bytes, item, depth);
                                if (r2 < 0)
                                        return r2;
                        }
                        json_append(a, list, item);
                }
        }
        *ret = schema ? schema : list ? list : s->wire == SCHEMA_WIRE_OR_BOOL ? json_new_bool(a, allows) : json_new_null(a);
        return n;
}

static int decode_varint(struct arena *a, const struct schema *s, uint64_t v, struct json **ret)
{
        switch (s->type) {
        case SCHEMA_BOOLEAN:
                *ret = json_new_bool(a, v != 0);
                return 0;
        case SCHEMA_INT32:
                *ret = json_new_int(a, (int32_t)v);
                return 0;
        case SCHEMA_INT64:
                *ret = json_new_int(a, (int64_t)v);
                return 0;
        default:
                return -EINVAL;
        }
}

static struct json *decode_bytes(struct arena *a, const struct record *rec)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        base64_encode(&b, rec->bytes.p, bytes_len(rec));
        return json_new_stringn(a, strbuf_str(&b), b.len);
}

/* A repeated field in a message of its own: {items=1}. */
static int decode_items(struct arena *a, const struct schema *s, struct reader r, struct json **ret)
{
        struct record rec;
        int n;

        *ret = json_new_array(a);
        while ((n = read_record(&r, &rec)) > 0)
                if (rec.number == 1 && rec.type == WIRE_BYTES)
                        json_append(a, *ret, json_new_stringn(a, bytes_text(&rec), bytes_len(&rec)));
        return n;
}

/* One value of S that is no list and no map. */
static int decode_one(struct arena *a, const struct schema *s, const struct record *rec, struct json **ret, unsigned depth)
{
        double d;

        if (rec->type == WIRE_VARINT)
                return decode_varint(a, s, rec->value, ret);
        if (rec->type == WIRE_64 && s->type == SCHEMA_DOUBLE) {
                memcpy(&d, &rec->value, sizeof(d));
                if (d != d || d - d != 0)
                        return -EINVAL; /* no JSON for these */
                *ret = json_new_double(a, d);
                return 0;
        }
        if (rec->type != WIRE_BYTES)
                return -EINVAL;
        switch (s->type) {
        case SCHEMA_STRING:
                *ret = json_new_stringn(a, bytes_text(rec), bytes_len(rec));
                return 0;
        case SCHEMA_BYTES:
                *ret = decode_bytes(a, rec);
                return 0;
        case SCHEMA_TIME:
        case SCHEMA_MICRO_TIME:
                return decode_time(a, rec->bytes, s->type == SCHEMA_MICRO_TIME, ret);
        case SCHEMA_QUANTITY:
                return decode_quantity(a, rec->bytes, ret);
        case SCHEMA_INT_OR_STRING:
                return decode_int_or_string(a, rec->bytes, ret);
        case SCHEMA_ANY:
                return s->elem ? decode_either(a, s, rec->bytes, ret, depth + 1) : decode_raw(a, rec->bytes, ret);
        case SCHEMA_STRUCT:
                *ret = json_new_object(a);
                return decode_message(a, s, rec->bytes, *ret, depth + 1);
        case SCHEMA_ARRAY:
                return s->wire == SCHEMA_WIRE_ITEMS ? decode_items(a, s, rec->bytes, ret) : -EINVAL;
        default:
                return -EINVAL;
        }
}

/* A packed list of numbers: Go does not write it, but protobuf allows it. */
static int decode_packed(struct arena *a, const struct schema *elem, struct reader r, struct json *list)
{
        uint64_t v;
        struct json *item;

        while (r.p < r.end) {
                if (!read_varint(&r, &v) || decode_varint(a, elem, v, &item) < 0)
                        return -EINVAL;
                json_append(a, list, item);
        }
        return 0;
}

static int decode_map_entry(struct arena *a, const struct schema *elem, struct reader r, struct json *map, unsigned depth)
{
        struct record rec;
        const char *key = "";
        size_t key_len = 0;
        struct json *value = NULL;
        int n;

        while ((n = read_record(&r, &rec)) > 0) {
                if (rec.number == 1 && rec.type == WIRE_BYTES) {
                        key = bytes_text(&rec);
                        key_len = bytes_len(&rec);
                } else if (rec.number == 2) {
                        int e = decode_one(a, elem, &rec, &value, depth);

                        if (e < 0)
                                return e;
                }
        }
        if (n < 0)
                return n;
        if (!value)
                value = elem->type == SCHEMA_STRUCT      ? json_new_object(a)
                        : elem->wire == SCHEMA_WIRE_ITEMS ? json_new_array(a)
                                                          : json_new_string(a, elem->type == SCHEMA_QUANTITY ? "0" : "");
        json_setn(a, map, key, key_len, value);
        return 0;
}

static int decode_field(struct arena *a, const struct schema_field *f, const struct record *rec, struct json *obj,
                        unsigned depth)
{
        const struct schema *s = f->type;
        struct json *v;
        int r;

        if (s->type == SCHEMA_ARRAY) {
                struct json *list = json_ensure_array(a, obj, f->name);

                if (rec->type == WIRE_BYTES && (s->elem->type == SCHEMA_INT32 || s->elem->type == SCHEMA_INT64 ||
                                                s->elem->type == SCHEMA_BOOLEAN))
                        return decode_packed(a, s->elem, rec->bytes, list);
                r = decode_one(a, s->elem, rec, &v, depth);
                if (r < 0)
                        return r;
                json_append(a, list, v);
                return 0;
        }
        if (s->type == SCHEMA_MAP)
                return rec->type == WIRE_BYTES ? decode_map_entry(a, s->elem, rec->bytes,
                                                                  json_ensure_object(a, obj, f->name), depth)
                                               : -EINVAL;
        r = decode_one(a, s, rec, &v, depth);
        if (r < 0)
                return r;
        if (json_is_null(v) || (!f->presence && schema_is_zero(v)))
                return 0;
        json_set(a, obj, f->name, v);
        return 0;
}

/* Fields of S that lie in the nested messages OUTER (0-terminated numbers, at most two). */
static int decode_nested(struct arena *a, const struct schema *s, struct reader r, const uint64_t outer[2], unsigned n_outer,
                         struct json *obj, unsigned depth)
{
        struct record rec;
        int n, e;

        if (depth > MAX_DEPTH)
                return -EINVAL;
        while ((n = read_record(&r, &rec)) > 0) {
                bool nested = false, done = false;

                for (unsigned i = 0; i < s->n_fields; i++) {
                        const struct schema_field *f = &s->fields[i];
                        unsigned levels = f->proto_outer[1] ? 2 : f->proto_outer[0] ? 1 : 0;

                        if ((n_outer >= 1 && f->proto_outer[0] != outer[0]) ||
                            (n_outer >= 2 && f->proto_outer[1] != outer[1]) || levels < n_outer)
                                continue;
                        if (levels == n_outer && f->proto == rec.number) {
                                e = decode_field(a, f, &rec, obj, depth);
                                if (e < 0)
                                        return explain(a, &rec, last_of(s->name), f->name);
                                done = true;
                                break;
                        }
                        nested |= levels > n_outer && f->proto_outer[n_outer] == rec.number;
                }
                if (nested && !done && rec.type == WIRE_BYTES && n_outer < 2) {
                        uint64_t path[2] = { n_outer ? outer[0] : rec.number, rec.number };

                        e = decode_nested(a, s, rec.bytes, path, n_outer + 1, obj, depth + 1);
                        if (e < 0)
                                return e;
                }
        }
        return n < 0 ? explain(a, &rec, last_of(s->name), field_numbered(s, rec.number)) : n;
}

static int decode_message(struct arena *a, const struct schema *s, struct reader r, struct json *obj, unsigned depth)
{
        return decode_nested(a, s, r, NULL, 0, obj, depth);
}

int protobuf_decode_message(struct arena *a, const struct schema *s, const void *data, size_t len, struct json **ret,
                            struct error *reterr)
{
        struct json *obj = json_new_object(a);

        wrong = NULL;
        if (decode_message(a, s, (struct reader){ data, (const uint8_t *)data + len }, obj, 0) < 0)
                return error_set(reterr, -EINVAL, "proto: malformed %s", s->name ? s->name : "message");
        *ret = obj;
        return 0;
}

/* --- the envelope --- */

static const uint8_t magic[4] = { 'k', '8', 's', 0 };

struct envelope {
        const char *api_version, *kind; /* "" for none */
        struct reader raw;
};

static const char *envelope_field(bool type_meta, uint64_t number)
{
        static const char *const names[][5] = { { NULL, "typeMeta", "raw", "contentEncoding", "contentType" },
                                                { NULL, "aPIVersion", "kind" } };

        return number < ARRAY_SIZE(names[0]) ? names[type_meta][number] : NULL;
}

static int read_type_meta(struct arena *a, struct reader r, struct envelope *e)
{
        struct record rec;
        const char *field;
        int n;

        while ((n = read_record(&r, &rec)) > 0) {
                field = envelope_field(true, rec.number);
                if (field && rec.type != WIRE_BYTES)
                        break;
                if (rec.number == 1)
                        e->api_version = arena_strndup(a, bytes_text(&rec), bytes_len(&rec));
                else if (rec.number == 2)
                        e->kind = arena_strndup(a, bytes_text(&rec), bytes_len(&rec));
        }
        return n ? explain(a, &rec, "TypeMeta", envelope_field(true, rec.number)) : 0;
}

/* Has WRONG said when it fails. */
static int read_envelope(struct arena *a, const void *data, size_t len, struct envelope *e)
{
        struct reader r = { data, (const uint8_t *)data + len };
        struct record rec;
        int n = 0;

        *e = (struct envelope){ .api_version = "", .kind = "" };
        if (!len)
                return fail("empty data");
        if (len < sizeof(magic) || memcmp(data, magic, sizeof(magic)) != 0)
                return fail("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
        if (len == sizeof(magic))
                return fail("empty body");
        r.p += sizeof(magic);
        while ((n = read_record(&r, &rec)) > 0) {
                if (envelope_field(false, rec.number) && rec.type != WIRE_BYTES)
                        break;
                if (rec.number == 1 && read_type_meta(a, rec.bytes, e) < 0)
                        return -EINVAL;
                if (rec.number == 2)
                        e->raw = rec.bytes;
        }
        return n ? explain(a, &rec, "Unknown", envelope_field(false, rec.number)) : 0;
}

int protobuf_decode(struct arena *a, const void *data, size_t len, const struct schema *fallback, struct json **ret,
                    struct error *reterr)
{
        const struct schema *s = fallback;
        struct envelope e;
        struct json *obj;
        const char *slash;

        wrong = NULL;
        if (read_envelope(a, data, len, &e) < 0)
                return error_set(reterr, -EINVAL, "%s", wrong);
        slash = strchr(e.api_version, '/');
        if ((slash && strchr(slash + 1, '/')) || (!*e.api_version && fallback && fallback->group_version))
                e.api_version = fallback && fallback->group_version ? fallback->group_version : ""; /* what it says is no version */
        obj = json_new_object(a);
        if (*e.api_version)
                json_set_string(a, obj, "apiVersion", e.api_version);
        if (*e.kind)
                json_set_string(a, obj, "kind", e.kind);
        *ret = obj;
        if (*e.kind) {
                s = builtin_body(e.api_version, e.kind);
                if (!s)
                        return error_set(reterr, -ENOENT, "no kind \"%s\" is registered for version \"%s\" in scheme "
                                         "\"pkg/api/legacyscheme/scheme.go:30\"", e.kind, e.api_version);
        }
        if (!s)
                return error_set(reterr, -EINVAL, "Object 'Kind' is missing in protobuf body");
        if (e.raw.p && decode_message(a, s, e.raw, obj, 0) < 0)
                return error_set(reterr, -EBADMSG, "%s", wrong ?: eof);
        return 0;
}
