/* etcd's messages in protobuf's encoding (etcdserverpb/rpc.proto, mvccpb/kv.proto): the few that a
 * Kubernetes store needs.
 *
 * Writers append to a string builder. Readers fill structs that point into the message; unknown fields
 * are skipped, so that newer servers are understood. Every reader returns -EBADMSG for bytes that are
 * no such message.
 */
#pragma once

#include "../../lib/base/strbuf.h"

struct bytes {
        const char *p;
        size_t len;
};
#define BYTES(s) ((struct bytes){ (s), strlen(s) })

/* --- what is asked --- */
struct wire_range {
        struct bytes key, range_end; /* range_end empty: one key */
        int64_t limit, revision;     /* 0: none, newest */
        bool keys_only, count_only, serializable;
};
void wire_write_range(struct strbuf *out, const struct wire_range *r);
/* If all that is compared is as expected: put VALUE under KEY (VALUE.p NULL: delete the key); else give
 * what is under each key that was compared. */
enum wire_target { WIRE_CREATED = 1, WIRE_MODIFIED = 2 }; /* the create or the mod revision; of no key both are 0 */
struct wire_compare {
        struct bytes key;
        enum wire_target target;
        int64_t expected;
};
struct wire_txn {
        const struct wire_compare *compares;
        size_t n;
        struct bytes key, value;
        int64_t lease;
};
void wire_write_txn(struct strbuf *out, const struct wire_txn *txn);
void wire_write_put(struct strbuf *out, struct bytes key, struct bytes value, int64_t lease);
void wire_write_compact(struct strbuf *out, int64_t revision, bool wait); /* WAIT: until it is done, not just noted */
void wire_write_watch_create(struct strbuf *out, struct bytes key, struct bytes range_end, int64_t start_revision);
void wire_write_watch_progress(struct strbuf *out);
void wire_write_lease_grant(struct strbuf *out, int64_t ttl_s);
void wire_write_alarm(struct strbuf *out, uint64_t off); /* OFF: take the NOSPACE of that member away; 0: list */
/* The end of the range of all keys that begin with PREFIX; BUF holds PREFIX.len bytes. */
struct bytes wire_prefix_end(struct bytes prefix, char *buf);

/* --- what is answered --- */
struct wire_kv {
        struct bytes key, value;
        int64_t create_revision, mod_revision;
};
struct wire_answer {
        int64_t revision;       /* header: etcd's revision when it answered */
        bool more, succeeded;   /* of a range; of a transaction */
        int64_t count;          /* of a range */
        int64_t lease;          /* of a grant */
        uint64_t full[16];      /* of a list of alarms: members with NOSPACE */
        size_t n_full;
        uint64_t db_size, db_used; /* of a status: bytes of the database file, and what of it is in use */
        struct bytes version;   /* of a status */
        struct wire_kv *kvs;    /* of a range, a transaction's range; owned */
        size_t n_kvs, cap;
};
enum wire_message { WIRE_RANGE, WIRE_TXN, WIRE_LEASE_GRANT, WIRE_ALARM, WIRE_STATUS, WIRE_HEADER_ONLY };
int wire_read(enum wire_message type, struct bytes message, struct wire_answer *ret);
void wire_answer_deinit(struct wire_answer *a);

struct wire_event {
        bool deleted;
        struct wire_kv kv; /* of a deletion only key and mod_revision */
};
struct wire_watch {
        int64_t revision, compact_revision;
        bool created, canceled;
        struct bytes cancel_reason;
        struct wire_event *events; /* owned, in order */
        size_t n_events, cap;
};
int wire_read_watch(struct bytes message, struct wire_watch *ret);
void wire_watch_deinit(struct wire_watch *w);
