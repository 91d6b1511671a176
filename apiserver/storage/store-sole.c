/* The claim to be the only writer: what sole.c decides, carried out. And its fence around each write.
 *
 * The claim's value names its holder: a number of its own, and the process, so that an API server that was
 * killed can be followed at once by another on its machine, which sees that the process is no more, instead
 * of waiting for the lease to end.
 */
#include "store-internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/file.h"

#define SHARE_PATIENCE ((SOLE_TTL_S + 9) * NS_PER_SEC) /* the claim's lease, and etcd's slackness */

static int64_t time_boot(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_BOOTTIME, &ts);
        return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* --- who --- */

/* When the process started, in the kernel's ticks, with its state; 0: unknown. */
static unsigned long long started(pid_t pid, char *ret_state)
{
        _cleanup_free_ char *text = NULL;
        char path[64];
        const char *p;
        unsigned long long at = 0;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        if (file_read(path, 0, &text, NULL, NULL) < 0 || !(p = strrchr(text, ')')) ||
            sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", ret_state,
                   &at) != 2)
                return 0;
        return at;
}

/* This boot of this machine, and in it the name space that process numbers mean something in. */
static void machine(char *buf, size_t size)
{
        _cleanup_free_ char *boot = NULL;
        char space[64] = "";
        ssize_t n = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);

        if (n < 0 || file_read("/proc/sys/kernel/random/boot_id", 0, &boot, NULL, NULL) < 0)
                snprintf(buf, size, "unknown");
        else
                snprintf(buf, size, "%.36s/%.*s", boot, (int)n, space);
}

void store_sole_init(struct store *s)
{
        char where[128], state;
        uint64_t id = 0;

        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                id = (uint64_t)time_mono();
        machine(where, sizeof(where));
        s->sole_id = xasprintf("%016llx %s %d %llu", (unsigned long long)id, where, (int)getpid(),
                               started(getpid(), &state));
        s->sole_key = xasprintf("%s/colibri-sole-writer", s->prefix);
        s->shared_key = xasprintf("%s/colibri-shared", s->prefix);
}

/* True: the holder was a process of this machine, and is no more. Every doubt is false. */
static bool is_dead(struct bytes value)
{
        _cleanup_free_ char *text = xstrndup(value.p ? value.p : "", value.len);
        char where[128], theirs[128], state = '?';
        unsigned long long at = 0, now;
        int pid = 0;

        machine(where, sizeof(where));
        if (sscanf(text, "%*s %127s %d %llu", theirs, &pid, &at) != 3 || !streq(theirs, where) || streq(where, "unknown") ||
            pid <= 0 || at == 0)
                return false;
        if (kill(pid, 0) < 0 && errno == ESRCH)
                return true;
        now = started(pid, &state);
        return now && (now != at || state == 'Z' || state == 'X');
}

static enum sole_holder holder_of(const struct store *s, const struct wire_kv *kv)
{
        if (!kv)
                return SOLE_NOBODY;
        return kv->value.len == strlen(s->sole_id) && memcmp(kv->value.p, s->sole_id, kv->value.len) == 0 ?
                       SOLE_US : SOLE_ANOTHER;
}

static bool is_key(struct bytes b, const char *key)
{
        return b.len == strlen(key) && memcmp(b.p, key, b.len) == 0;
}

const struct wire_kv *store_find_kv(const struct wire_answer *a, const char *key)
{
        for (size_t i = 0; i < a->n_kvs; i++)
                if (is_key(a->kvs[i].key, key))
                        return &a->kvs[i];
        return NULL;
}

/* --- the fiber that claims, renews and leaves --- */

static int sole_txn(struct store *s, const struct wire_txn *txn, struct wire_answer *ret, struct strbuf *reply)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT;

        wire_write_txn(&message, txn);
        return store_request(s, "/etcdserverpb.KV/Txn", &message, WIRE_TXN, false, reply, ret, NULL, NULL);
}

static void learn(struct store *s, const struct wire_answer *a)
{
        const struct wire_kv *kv = store_find_kv(a, s->sole_key);

        sole_learn(&s->sole, holder_of(s, kv), kv ? (uint64_t)kv->create_revision : 0, (uint64_t)a->revision);
}

static int grant(struct store *s, int64_t ttl_s, int64_t *ret_lease)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int r;

        wire_write_lease_grant(&message, ttl_s);
        r = store_request(s, "/etcdserverpb.Lease/LeaseGrant", &message, WIRE_LEASE_GRANT, false, &reply, &a, NULL, NULL);
        *ret_lease = a.lease;
        wire_answer_deinit(&a);
        return r == 0 && *ret_lease ? 0 : -EIO;
}

/* The key, made or put anew under a lease of its own. */
static void claim(struct store *s)
{
        _cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
        bool renewal = s->sole.state == SOLE_OURS;
        uint64_t fence = renewal ? s->sole.fence : 0;
        struct wire_answer a = { 0 };
        int64_t sent = time_boot(), lease;
        const struct wire_compare compares[] = {
                { BYTES(s->sole_key), WIRE_CREATED, (int64_t)fence },
                { BYTES(s->shared_key), WIRE_CREATED, 0 },
        };

        if (grant(s, SOLE_TTL_S, &lease) < 0 ||
            sole_txn(s, &(struct wire_txn){ .compares = compares, .n = 2, .key = BYTES(s->sole_key),
                                            .value = BYTES(s->sole_id), .lease = lease }, &a, &reply) < 0) {
                sole_refused(&s->sole, time_boot());
        } else if (a.succeeded) {
                sole_granted(&s->sole, renewal ? fence : (uint64_t)a.revision, (uint64_t)a.revision, sent, time_boot());
                s->own = MAX(s->own, (uint64_t)a.revision);
        } else {
                learn(s, &a);
                sole_refused(&s->sole, time_boot());
        }
        wire_answer_deinit(&a);
}

static int remove_claim(struct store *s, uint64_t created)
{
        _cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
        struct wire_compare compare = { BYTES(s->sole_key), WIRE_CREATED, (int64_t)created };
        struct wire_answer a = { 0 };
        int r = sole_txn(s, &(struct wire_txn){ .compares = &compare, .n = 1, .key = BYTES(s->sole_key) }, &a, &reply);

        if (r == 0 && a.succeeded)
                sole_learn(&s->sole, SOLE_NOBODY, 0, (uint64_t)a.revision);
        else if (r == 0)
                learn(s, &a);
        wire_answer_deinit(&a);
        return r;
}

void store_on_renew(struct loop_timer *timer, void *userdata)
{
        struct store *s = userdata;

        fiber_wake(s->sole_fiber);
}

static void wait_to_renew(struct store *s)
{
        loop_timer_arm(s->sole_timer, MAX(s->sole.renew_at - time_boot(), NS_PER_MS));
        s->sole_waits = true;
        fiber_park();
        s->sole_waits = false;
}

static void sole_main(void *userdata)
{
        struct store *s = userdata;
        enum sole_step step;

        s->sole_fiber = fiber_self();
        while (!s->closing && (step = sole_next(&s->sole, time_boot())) != SOLE_REST) {
                if (step == SOLE_WAIT) {
                        wait_to_renew(s);
                } else if (step == SOLE_LEAVE) {
                        sole_left(&s->sole, time_boot());
                        remove_claim(s, s->sole.fence);
                } else {
                        claim(s);
                }
        }
        s->sole_fiber = NULL;
        store_leave(s);
}

/* Something changed: there may be a step to take. */
static void kick(struct store *s)
{
        if (s->sole_waits) {
                s->sole_waits = false;
                loop_timer_disarm(s->sole_timer);
                fiber_wake(s->sole_fiber);
        } else if (!s->sole_fiber && !s->closing && sole_next(&s->sole, time_boot()) != SOLE_REST) {
                store_enter(s);
                fiber_start(s->loop, sole_main, s);
        }
}

/* --- what the rest of the store asks and tells --- */

bool store_is_sole(struct store *s)
{
        bool sole = sole_read(&s->sole, time_boot());

        if (!s->sole_fiber && s->sole.reads >= SOLE_READS)
                kick(s);
        return sole && store_ready(s);
}

void store_sole_event(struct store *s, const struct wire_kv *kv, bool deleted)
{
        if (is_key(kv->key, s->shared_key)) {
                sole_learn_shared(&s->sole, !deleted);
        } else if (is_key(kv->key, s->sole_key)) {
                sole_learn(&s->sole, holder_of(s, deleted ? NULL : kv), deleted ? 0 : (uint64_t)kv->create_revision,
                           (uint64_t)kv->mod_revision);
        } else {
                return;
        }
        kick(s);
}

void store_sole_stop(struct store *s)
{
        kick(s);
        loop_timer_free(s->sole_timer);
        s->sole_timer = NULL;
}

void store_sole_deinit(struct store *s)
{
        free(s->sole_id);
        free(s->sole_key);
        free(s->shared_key);
}

/* Another holds the claim: asks it to leave, or takes it from who is dead. */
static void ask_to_share(struct store *s, const struct wire_kv *kv)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int64_t now = time_mono(), lease;

        if (is_dead(kv->value)) {
                remove_claim(s, (uint64_t)kv->create_revision);
                return;
        }
        if (now < s->share_asked + NS_PER_SEC)
                return;
        s->share_asked = now;
        if (grant(s, SOLE_SHARED_TTL_S, &lease) < 0)
                return;
        wire_write_put(&message, BYTES(s->shared_key), BYTES("1"), lease);
        store_request(s, "/etcdserverpb.KV/Put", &message, WIRE_HEADER_ONLY, true, &reply, &a, NULL, NULL);
        wire_answer_deinit(&a);
}

/* True: what the answer says is about the object, not the fence. */
static bool is_final(const struct wire_answer *a, const struct wire_txn *txn, const char *key, const struct wire_kv *claim,
                     uint64_t fence, bool doubtful)
{
        const struct wire_kv *kv = store_find_kv(a, key);

        if (a->succeeded || (claim ? (uint64_t)claim->create_revision : 0) == fence)
                return true;
        /* Asked twice, and the first one was carried out. */
        return doubtful && (txn->value.p ? kv && kv->value.len == txn->value.len &&
                                                   memcmp(kv->value.p, txn->value.p, kv->value.len) == 0 :
                                           !kv);
}

int store_write_fenced(struct store *s, const char *key, uint64_t expected, struct bytes value, int64_t lease,
                       struct strbuf *reply, struct wire_answer *ret, bool *ret_doubtful, struct error *reterr)
{
        int64_t give_up = time_mono() + SHARE_PATIENCE, pause = NS_PER_MS;

        for (;;) {
                _cleanup_strbuf_ struct strbuf message = STRBUF_INIT;
                uint64_t fence = s->sole.fence;
                const struct wire_compare compares[] = {
                        { BYTES(key), WIRE_MODIFIED, (int64_t)expected },
                        { BYTES(s->sole_key), WIRE_CREATED, (int64_t)fence },
                };
                struct wire_txn txn = { .compares = compares, .n = 2, .key = BYTES(key), .value = value, .lease = lease };
                const struct wire_kv *claim;
                int r;

                strbuf_reserve(&message, value.len + 6 * strlen(key) + 256);
                wire_write_txn(&message, &txn);
                r = store_request(s, "/etcdserverpb.KV/Txn", &message, WIRE_TXN, true, reply, ret, ret_doubtful, reterr);
                if (r < 0)
                        return r;
                claim = store_find_kv(ret, s->sole_key);
                if (is_final(ret, &txn, key, claim, fence, *ret_doubtful))
                        return 0;
                learn(s, ret);
                kick(s);
                if (holder_of(s, claim) == SOLE_ANOTHER) {
                        if (time_mono() > give_up)
                                return error_set(reterr, -EHOSTUNREACH, "another API server does not let go of etcd");
                        ask_to_share(s, claim);
                        fiber_sleep(pause);
                        pause = MIN(pause * 2, 50 * NS_PER_MS);
                }
                wire_answer_deinit(ret);
                strbuf_reset(reply);
                if (s->closing)
                        return error_set(reterr, -EHOSTUNREACH, "the store is closing");
        }
}
