/* etcd's messages: see etcd-wire.h.
 *
 * A protobuf message is a row of fields: a varint (number << 3 | wire type), then the value. The field
 * numbers used are in one table below, as rpc.proto has them.
 */
#include "etcd-wire.h"

#include <errno.h>

enum field {
        /* RangeRequest */
        RANGE_KEY = 1, RANGE_END = 2, RANGE_LIMIT = 3, RANGE_REVISION = 4, RANGE_SERIALIZABLE = 7,
        RANGE_KEYS_ONLY = 8, RANGE_COUNT_ONLY = 9,
        /* PutRequest; DeleteRangeRequest */
        PUT_KEY = 1, PUT_VALUE = 2, PUT_LEASE = 3, DELETE_KEY = 1,
        /* Compare: result EQUAL (0); targets are enum wire_target */
        COMPARE_RESULT = 1, COMPARE_TARGET = 2, COMPARE_KEY = 3, COMPARE_CREATE_REVISION = 5, COMPARE_MOD_REVISION = 6,
        /* TxnRequest, RequestOp */
        TXN_COMPARE = 1, TXN_SUCCESS = 2, TXN_FAILURE = 3, OP_RANGE = 1, OP_PUT = 2, OP_DELETE = 3,
        /* WatchRequest, WatchCreateRequest */
        WATCH_CREATE = 1, WATCH_PROGRESS = 3, CREATE_KEY = 1, CREATE_END = 2, CREATE_START = 3,
        CREATE_PROGRESS_NOTIFY = 4,
        /* CompactionRequest, LeaseGrantRequest, AlarmRequest */
        COMPACT_REVISION = 1, COMPACT_PHYSICAL = 2, LEASE_TTL = 1, ALARM_ACTION = 1, ALARM_MEMBER = 2, ALARM_TYPE = 3,
        ALARM_DEACTIVATE = 2,
        /* every response; ResponseHeader */
        HEADER = 1, HEADER_REVISION = 3,
        /* RangeResponse */
        RANGE_KVS = 2, RANGE_MORE = 3, RANGE_COUNT = 4,
        /* KeyValue */
        KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VALUE = 5,
        /* TxnResponse, ResponseOp */
        TXN_SUCCEEDED = 2, TXN_RESPONSES = 3, RESPONSE_RANGE = 1,
        /* LeaseGrantResponse; AlarmResponse, AlarmMember; StatusResponse */
        GRANT_ID = 2, ALARM_ALARMS = 2, MEMBER_ID = 1, MEMBER_ALARM = 2, ALARM_NOSPACE = 1, STATUS_VERSION = 2,
        STATUS_SIZE = 3, STATUS_USED = 9,
        /* WatchResponse; Event */
        WATCH_CREATED = 3, WATCH_CANCELED = 4, WATCH_COMPACT_REVISION = 5, WATCH_CANCEL_REASON = 6,
        WATCH_EVENTS = 11, EVENT_TYPE = 1, EVENT_KV = 2,
};

/* --- writing --- */

static size_t varint_size(uint64_t v)
{
        size_t n = 1;

        while (v >>= 7)
                n++;
        return n;
}

static void put_varint(struct strbuf *out, uint64_t v)
{
        for (; v >= 0x80; v >>= 7)
                strbuf_putc(out, (char)(v | 0x80));
        strbuf_putc(out, (char)v);
}

/* A number; proto3 leaves zeros out. */
static void put_int(struct strbuf *out, enum field f, int64_t v)
{
        if (v == 0)
                return;
        put_varint(out, (uint64_t)f << 3);
        put_varint(out, (uint64_t)v);
}

static void put_length(struct strbuf *out, enum field f, size_t len)
{
        put_varint(out, (uint64_t)f << 3 | 2);
        put_varint(out, len);
}

static void put_bytes(struct strbuf *out, enum field f, struct bytes b)
{
        if (b.len == 0)
                return;
        put_length(out, f, b.len);
        strbuf_append(out, b.p, b.len);
}

static size_t int_size(int64_t v)
{
        return v ? 1 + varint_size((uint64_t)v) : 0; /* all fields of such numbers are below 16 */
}

static size_t bytes_size(struct bytes b)
{
        return b.len ? 1 + varint_size(b.len) + b.len : 0;
}

void wire_write_range(struct strbuf *out, const struct wire_range *r)
{
        put_bytes(out, RANGE_KEY, r->key);
        put_bytes(out, RANGE_END, r->range_end);
        put_int(out, RANGE_LIMIT, r->limit);
        put_int(out, RANGE_REVISION, r->revision);
        put_int(out, RANGE_SERIALIZABLE, r->serializable);
        put_int(out, RANGE_KEYS_ONLY, r->keys_only);
        put_int(out, RANGE_COUNT_ONLY, r->count_only);
}

void wire_write_put(struct strbuf *out, struct bytes key, struct bytes value, int64_t lease)
{
        put_bytes(out, PUT_KEY, key);
        put_bytes(out, PUT_VALUE, value);
        put_int(out, PUT_LEASE, lease);
}

static void write_compare(struct strbuf *out, const struct wire_compare *c)
{
        put_length(out, TXN_COMPARE, int_size(c->target) + bytes_size(c->key) + 1 + varint_size((uint64_t)c->expected));
        put_int(out, COMPARE_TARGET, c->target);
        put_bytes(out, COMPARE_KEY, c->key);
        /* One of several: written even when it is 0. */
        put_varint(out, (c->target == WIRE_CREATED ? COMPARE_CREATE_REVISION : COMPARE_MOD_REVISION) << 3);
        put_varint(out, (uint64_t)c->expected);
}

void wire_write_txn(struct strbuf *out, const struct wire_txn *txn)
{
        size_t key_size = bytes_size(txn->key), put;

        for (size_t i = 0; i < txn->n; i++)
                write_compare(out, &txn->compares[i]);

        put = txn->value.p ? key_size + bytes_size(txn->value) + int_size(txn->lease) : key_size;
        put_length(out, TXN_SUCCESS, 1 + varint_size(put) + put);
        put_length(out, txn->value.p ? OP_PUT : OP_DELETE, put);
        if (txn->value.p)
                wire_write_put(out, txn->key, txn->value, txn->lease);
        else
                put_bytes(out, DELETE_KEY, txn->key);

        for (size_t i = 0; i < txn->n; i++) {
                size_t op = bytes_size(txn->compares[i].key);

                put_length(out, TXN_FAILURE, 1 + varint_size(op) + op);
                put_length(out, OP_RANGE, op);
                put_bytes(out, RANGE_KEY, txn->compares[i].key);
        }
}

void wire_write_compact(struct strbuf *out, int64_t revision, bool wait)
{
        put_int(out, COMPACT_REVISION, revision);
        put_int(out, COMPACT_PHYSICAL, wait);
}

void wire_write_watch_create(struct strbuf *out, struct bytes key, struct bytes range_end, int64_t start_revision)
{
        put_length(out, WATCH_CREATE, bytes_size(key) + bytes_size(range_end) + int_size(start_revision) + int_size(1));
        put_bytes(out, CREATE_KEY, key);
        put_bytes(out, CREATE_END, range_end);
        put_int(out, CREATE_START, start_revision);
        put_int(out, CREATE_PROGRESS_NOTIFY, 1);
}

void wire_write_watch_progress(struct strbuf *out)
{
        put_length(out, WATCH_PROGRESS, 0);
}

void wire_write_lease_grant(struct strbuf *out, int64_t ttl_s)
{
        put_int(out, LEASE_TTL, ttl_s);
}

void wire_write_alarm(struct strbuf *out, uint64_t off)
{
        if (!off)
                return; /* GET is 0, and zeros are left out */
        put_int(out, ALARM_ACTION, ALARM_DEACTIVATE);
        put_int(out, ALARM_MEMBER, (int64_t)off);
        put_int(out, ALARM_TYPE, ALARM_NOSPACE);
}

struct bytes wire_prefix_end(struct bytes prefix, char *buf)
{
        size_t n = prefix.len;

        memcpy(buf, prefix.p, n);
        while (n && (unsigned char)buf[n - 1] == 0xff)
                n--;
        if (n)
                buf[n - 1]++;
        return (struct bytes){ buf, n };
}

/* --- reading --- */

struct reader {
        const uint8_t *p, *end;
        bool bad;
};

/* One field: its number, and its value as number or bytes. */
struct value {
        unsigned field;
        unsigned type;
        uint64_t number;
        struct bytes bytes;
};

static struct reader reader_of(struct bytes b)
{
        const uint8_t *from = (const uint8_t *)(b.p ? b.p : ""); /* NULL + 0 is not defined */

        return (struct reader){ from, from + b.len, false };
}

static uint64_t take_varint(struct reader *r)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
                uint8_t b = *r->p++;

                v |= (uint64_t)(b & 0x7f) << shift;
                if (b < 0x80)
                        return v;
        }
        r->bad = true;
        return 0;
}

/* The next field; false at the end, or when the message is bad. */
static bool take_field(struct reader *r, struct value *v)
{
        uint64_t tag, len;

        if (r->bad || r->p == r->end)
                return false;
        tag = take_varint(r);
        v->field = (unsigned)(tag >> 3);
        v->type = tag & 7;
        v->number = 0;
        v->bytes = (struct bytes){ NULL, 0 };
        switch (v->type) {
        case 0:
                v->number = take_varint(r);
                break;
        case 1:
        case 5:
                len = v->type == 1 ? 8 : 4;
                if ((size_t)(r->end - r->p) < len)
                        r->bad = true;
                else
                        r->p += len;
                break;
        case 2:
                len = take_varint(r);
                if (r->bad || (size_t)(r->end - r->p) < len) {
                        r->bad = true;
                        break;
                }
                v->bytes = (struct bytes){ (const char *)r->p, len };
                r->p += len;
                break;
        default:
                r->bad = true;
        }
        return !r->bad && v->field != 0;
}

static int done(const struct reader *r)
{
        return r->bad || r->p != r->end ? -EBADMSG : 0;
}

static int read_header(struct bytes b, int64_t *ret_revision)
{
        struct reader r = reader_of(b);
        struct value v;

        while (take_field(&r, &v))
                if (v.field == HEADER_REVISION)
                        *ret_revision = (int64_t)v.number;
        return done(&r);
}

static int read_kv(struct bytes b, struct wire_kv *kv)
{
        struct reader r = reader_of(b);
        struct value v;

        while (take_field(&r, &v)) {
                switch (v.field) {
                case KV_KEY:
                        kv->key = v.bytes;
                        break;
                case KV_VALUE:
                        kv->value = v.bytes;
                        break;
                case KV_CREATE:
                        kv->create_revision = (int64_t)v.number;
                        break;
                case KV_MOD:
                        kv->mod_revision = (int64_t)v.number;
                        break;
                }
        }
        return done(&r);
}

static int read_range(struct bytes b, struct wire_answer *ret, bool nested)
{
        struct reader r = reader_of(b);
        struct value v;
        int e = 0;

        while (e == 0 && take_field(&r, &v)) {
                if (v.field == HEADER && !nested) {
                        e = read_header(v.bytes, &ret->revision);
                } else if (v.field == RANGE_KVS) {
                        array_reserve(ret->kvs, ret->cap, ret->n_kvs + 1);
                        ret->kvs[ret->n_kvs] = (struct wire_kv){ 0 };
                        e = read_kv(v.bytes, &ret->kvs[ret->n_kvs++]);
                } else if (v.field == RANGE_MORE) {
                        ret->more = v.number;
                } else if (v.field == RANGE_COUNT) {
                        ret->count = (int64_t)v.number;
                }
        }
        return e ? e : done(&r);
}

/* An operation of a transaction: a range's answer matters, the others say nothing. */
static int read_operation(struct bytes b, struct wire_answer *ret)
{
        struct reader r = reader_of(b);
        struct value v;
        int e = 0;

        while (e == 0 && take_field(&r, &v))
                if (v.field == RESPONSE_RANGE)
                        e = read_range(v.bytes, ret, true);
        return e ? e : done(&r);
}

static int read_alarm(struct bytes b, struct wire_answer *ret)
{
        struct reader r = reader_of(b);
        uint64_t member = 0, alarm = 0;
        struct value v;

        while (take_field(&r, &v)) {
                if (v.field == MEMBER_ID)
                        member = v.number;
                else if (v.field == MEMBER_ALARM)
                        alarm = v.number;
        }
        if (alarm == ALARM_NOSPACE && ret->n_full < ARRAY_SIZE(ret->full))
                ret->full[ret->n_full++] = member;
        return done(&r);
}

int wire_read(enum wire_message type, struct bytes message, struct wire_answer *ret)
{
        struct reader r = reader_of(message);
        struct value v;
        int e = 0;

        *ret = (struct wire_answer){ 0 };
        if (type == WIRE_RANGE)
                return read_range(message, ret, false);
        while (e == 0 && take_field(&r, &v)) {
                if (v.field == HEADER)
                        e = read_header(v.bytes, &ret->revision);
                else if (type == WIRE_TXN && v.field == TXN_SUCCEEDED)
                        ret->succeeded = v.number;
                else if (type == WIRE_TXN && v.field == TXN_RESPONSES)
                        e = read_operation(v.bytes, ret);
                else if (type == WIRE_LEASE_GRANT && v.field == GRANT_ID)
                        ret->lease = (int64_t)v.number;
                else if (type == WIRE_ALARM && v.field == ALARM_ALARMS)
                        e = read_alarm(v.bytes, ret);
                else if (type == WIRE_STATUS && v.field == STATUS_VERSION)
                        ret->version = v.bytes;
                else if (type == WIRE_STATUS && v.field == STATUS_SIZE)
                        ret->db_size = v.number;
                else if (type == WIRE_STATUS && v.field == STATUS_USED)
                        ret->db_used = v.number;
        }
        return e ? e : done(&r);
}

void wire_answer_deinit(struct wire_answer *a)
{
        free(a->kvs);
        *a = (struct wire_answer){ 0 };
}

static int read_event(struct bytes b, struct wire_event *ev)
{
        struct reader r = reader_of(b);
        struct value v;
        int e = 0;

        *ev = (struct wire_event){ 0 };
        while (e == 0 && take_field(&r, &v)) {
                if (v.field == EVENT_TYPE)
                        ev->deleted = v.number == 1;
                else if (v.field == EVENT_KV)
                        e = read_kv(v.bytes, &ev->kv);
        }
        return e ? e : done(&r);
}

int wire_read_watch(struct bytes message, struct wire_watch *ret)
{
        struct reader r = reader_of(message);
        struct value v;
        int e = 0;

        *ret = (struct wire_watch){ 0 };
        while (e == 0 && take_field(&r, &v)) {
                switch (v.field) {
                case HEADER:
                        e = read_header(v.bytes, &ret->revision);
                        break;
                case WATCH_CREATED:
                        ret->created = v.number;
                        break;
                case WATCH_CANCELED:
                        ret->canceled = v.number;
                        break;
                case WATCH_COMPACT_REVISION:
                        ret->compact_revision = (int64_t)v.number;
                        break;
                case WATCH_CANCEL_REASON:
                        ret->cancel_reason = v.bytes;
                        break;
                case WATCH_EVENTS:
                        array_reserve(ret->events, ret->cap, ret->n_events + 1);
                        e = read_event(v.bytes, &ret->events[ret->n_events++]);
                        break;
                }
        }
        return e ? e : done(&r);
}

void wire_watch_deinit(struct wire_watch *w)
{
        free(w->events);
        *w = (struct wire_watch){ 0 };
}
