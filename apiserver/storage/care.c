/* Compaction, defragmentation, the alarm: see care.h.
 *
 * Compaction is upstream's protocol: all API servers compare and swap one key, and who wins compacts to
 * where the last winner found etcd. So every revision can be read and watched for an interval at least,
 * however many API servers there are, and one that dies is followed by another.
 */
#include "care.h"

#include <errno.h>
#include <stdio.h>

#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "store-internal.h"

#define DEFRAGMENT_TIMEOUT (120 * NS_PER_SEC)
#define RELIEF_FIRST (2 * NS_PER_SEC)
#define RELIEF_LAST (60 * NS_PER_SEC)
#define ETCD_SEGMENT (64ull << 20) /* etcd takes the room of its next part of the log beforehand, and ends without */

bool care_worth_it(const struct care_size *size, uint64_t file_min)
{
        return size->file >= file_min && size->used < size->file / 2 && size->used <= CARE_COPY_MAX;
}

bool care_made_room(uint64_t before, uint64_t after)
{
        return after <= before - before / 10;
}

char *care_disk(const struct store *s)
{
        return s->data_dir ? disk_shortage(s->data_dir, ETCD_SEGMENT) : NULL;
}

/* --- compaction --- */

static int compact_to(struct store *s, uint64_t revision, bool wait)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int r;

        wire_write_compact(&message, (int64_t)revision, wait);
        r = store_request(s, "/etcdserverpb.KV/Compact", &message, WIRE_HEADER_ONLY, true, &reply, &a, NULL, NULL);
        if (r == 0)
                s->compacted = MAX(s->compacted, revision);
        wire_answer_deinit(&a);
        return r;
}

/* Of all API servers one wins the key; the others learn where etcd is now, which the next winner compacts to. */
static bool win_interval(struct store *s, uint64_t target)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        char key[256], value[32];
        bool won = false;

        snprintf(key, sizeof(key), "%s/compact_rev_key", s->prefix);
        snprintf(value, sizeof(value), "%llu", (unsigned long long)target);
        wire_write_txn(&message, &(struct wire_txn){ .compares = &(struct wire_compare){ BYTES(key), WIRE_MODIFIED,
                                                                                        (int64_t)s->compact_key_revision },
                                                     .n = 1, .key = BYTES(key), .value = BYTES(value) });
        if (store_request(s, "/etcdserverpb.KV/Txn", &message, WIRE_TXN, false, &reply, &a, NULL, NULL) == 0) {
                won = a.succeeded;
                s->compact_next = (uint64_t)a.revision;
                s->compact_key_revision = a.succeeded ? (uint64_t)a.revision :
                                          a.n_kvs     ? (uint64_t)a.kvs[0].mod_revision :
                                                        0;
        }
        wire_answer_deinit(&a);
        return won;
}

/* --- one member after the other --- */

/* A question to the member that s->member leads to. */
static int ask_member(struct store *s, const char *path, enum wire_message type, int64_t timeout,
                      struct wire_answer *ret)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        int status = 0, r = grpc_unary(s->member, path, &message, timeout, &reply, &status, NULL);

        *ret = (struct wire_answer){ 0 };
        if (r < 0 || status || s->closing)
                return -EIO;
        /* Nothing of the answer is owned or points into it but a status' version, which is not looked at. */
        return wire_read(type, (struct bytes){ strbuf_str(&reply), reply.len }, ret);
}

static bool ask_size(struct store *s, struct care_size *ret)
{
        struct wire_answer a;

        if (ask_member(s, "/etcdserverpb.Maintenance/Status", WIRE_STATUS, STORE_TIMEOUT, &a) < 0 || !a.db_used)
                return false;
        *ret = (struct care_size){ a.db_size, a.db_used };
        return true;
}

/* Defragments the member of endpoint I: for RELIEF in any case, since etcd counts what was compacted as in use
 * until it writes again, which it then refuses; else if it is worth it. True: that made room. */
static bool care_for_member(struct store *s, size_t i, bool relief)
{
        struct care_size before, after;
        struct wire_answer a;
        bool done = false;

        s->member = grpc_new_to(s->grpc, i);
        if (ask_size(s, &before) && (relief || care_worth_it(&before, s->defragment_min)) &&
            ask_member(s, "/etcdserverpb.Maintenance/Defragment", WIRE_HEADER_ONLY, DEFRAGMENT_TIMEOUT, &a) == 0 &&
            ask_size(s, &after)) {
                done = care_made_room(before.file, after.file);
                log_info("etcd's database at %s was defragmented: %llu kB became %llu", grpc_endpoint(s->grpc, i),
                         (unsigned long long)(before.file >> 10), (unsigned long long)(after.file >> 10));
        }
        if (!s->closing)
                grpc_free(s->member);
        s->member = NULL;
        return done;
}

static size_t care_for_members(struct store *s, bool relief)
{
        size_t done = 0;

        for (size_t i = 0; !s->closing && i < grpc_n_endpoints(s->grpc); i++)
                done += care_for_member(s, i, relief);
        return done;
}

static void compact(void *userdata)
{
        struct store *s = userdata;
        uint64_t target = s->compact_next;

        if (win_interval(s, target) && target && !s->closing && compact_to(s, target, false) == 0 && !s->closing && !s->caring) {
                s->caring = true;
                care_for_members(s, false);
                s->caring = false;
        }
        store_leave(s);
}

void care_on_compact(struct store *s)
{
        store_enter(s);
        fiber_start(s->loop, compact, s);
}

/* --- no space --- */

/* Asks for the alarms (OFF 0), or takes that of member OFF away. */
static int ask_alarm(struct store *s, uint64_t off, struct wire_answer *ret)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;

        wire_write_alarm(&message, off);
        return store_request(s, "/etcdserverpb.Maintenance/Alarm", &message, WIRE_ALARM, true, &reply, ret, NULL, NULL);
}

static void take_alarms_away(struct store *s, const struct wire_answer *alarms)
{
        struct wire_answer a;

        for (size_t i = 0; i < alarms->n_full && !s->closing; i++)
                ask_alarm(s, alarms->full[i], &a);
}

/* The window of watches is kept at first; when that is not enough, all history goes. True: there is room. */
static bool make_room(struct store *s)
{
        uint64_t target = s->compact_next > s->compacted ? s->compact_next : s->revision;
        bool made;

        s->caring = true;
        s->relief_revision = s->revision;
        if (target > s->compacted)
                compact_to(s, target, true);
        made = !s->closing && care_for_members(s, true) > 0;
        s->caring = false;
        return made;
}

static void relieve(void *userdata)
{
        struct store *s = userdata;
        bool made = false, tried = s->caring || (s->revision == s->relief_revision && s->compact_next <= s->compacted);
        struct wire_answer alarms;

        if (!tried && ask_alarm(s, 0, &alarms) == 0 && !s->closing) {
                made = !alarms.n_full || make_room(s);
                /* Once without: the quota may have been raised since. etcd raises the alarm again if not. */
                if (!s->closing && (made || !s->relieved)) {
                        take_alarms_away(s, &alarms);
                        s->no_space = false;
                        s->relieved = true;
                        if (made)
                                log_info("etcd has room again");
                }
        }
        if (s->no_space && !s->closing) {
                s->relief_pause = MIN(MAX(s->relief_pause * 2, RELIEF_FIRST), RELIEF_LAST);
                loop_timer_arm(s->relief, s->relief_pause);
        }
        store_leave(s);
}

void care_on_relief(struct loop_timer *timer, void *userdata)
{
        struct store *s = userdata;

        store_enter(s);
        fiber_start(s->loop, relieve, s);
}

void care_no_space(struct store *s)
{
        if (s->no_space || s->closing)
                return;
        log_warn("etcd's database is full: it takes nothing but deletions until there is room (setting etcd.quota)");
        s->no_space = true;
        s->relief_pause = 0;
        s->relief_revision = 0;
        loop_timer_arm(s->relief, NS_PER_MS);
}
