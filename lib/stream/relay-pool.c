/* A list of idle connections (relay-pool.h). One that says anything, or closes, is no longer idle: it goes. */
#include "relay-pool.h"

#include "../base/base.h"
#include "../base/strbuf.h"
#include "../base/time.h"

#define IDLE_MAX 16
#define IDLE_NS (30 * NS_PER_SEC)

struct idle {
        struct idle *next;
        struct loop *loop;
        struct wire *wire;
        struct loop_timer *timer;
        char *key;
};

static struct idle *pool;
static size_t n_idle;

static char *key_of(const struct dial_options *to)
{
        struct strbuf b = STRBUF_INIT;
        const char *const parts[] = {to->host, to->server_name, to->ca_file, to->cert_file, to->key_file, to->ca_data};

        strbuf_printf(&b, "%u %d %d", to->port, to->tls, to->insecure);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                strbuf_printf(&b, "\n%s", parts[i] ? parts[i] : "");
        return b.data;
}

/* Out of the list; the wire is the caller's. */
static struct wire *unlink_idle(struct idle *x)
{
        struct idle **at = &pool;
        struct wire *w = x->wire;

        while (*at != x)
                at = &(*at)->next;
        *at = x->next;
        n_idle--;
        loop_timer_free(x->timer);
        free(x->key);
        free(x);
        return w;
}

static void idle_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        wire_free(unlink_idle(userdata)); /* an answer that nobody asked for */
}

static void idle_closed(struct wire *w, int code, void *userdata)
{
        wire_free(unlink_idle(userdata));
}

static void idle_expired(struct loop_timer *timer, void *userdata)
{
        wire_free(unlink_idle(userdata));
}

void relay_pool_put(struct loop *loop, const struct dial_options *to, struct wire *w)
{
        static const struct wire_ops ops = {.data = idle_data, .closed = idle_closed};
        struct idle *x;

        if (n_idle == IDLE_MAX) {
                wire_free(w);
                return;
        }
        x = new0(struct idle);
        *x = (struct idle){.next = pool, .loop = loop, .wire = w, .key = key_of(to)};
        x->timer = loop_timer_new(loop, idle_expired, x);
        loop_timer_arm(x->timer, IDLE_NS);
        pool = x;
        n_idle++;
        wire_hand_over(w, &ops, x);
}

struct wire *relay_pool_take(struct loop *loop, const struct dial_options *to)
{
        _cleanup_free_ char *key = n_idle ? key_of(to) : NULL;

        for (struct idle *x = pool; x; x = x->next)
                if (x->loop == loop && streq(x->key, key))
                        return unlink_idle(x);
        return NULL;
}

void relay_pool_clear(void)
{
        while (pool)
                wire_free(unlink_idle(pool));
}
