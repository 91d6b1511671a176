/* Batches of events on their way: see webhook.h. One fiber sends at a time; it lives while there is something to send. */
#include "webhook.h"

#include <errno.h>

#include "../../lib/base/log.h"
#include "../../lib/base/time.h"
#include "../../lib/client/client.h"

#define BATCH 400
#define PENDING 10000
#define ATTEMPTS 5
#define FIRST_PAUSE_NS (500 * NS_PER_MS)
#define CALL_NS (30 * NS_PER_SEC)

struct audit_webhook {
        struct loop *loop;
        struct client *client;
        struct loop_timer *timer; /* of the first that waits */
        int64_t max_wait;
        char **lines;
        size_t n, cap;
        uint64_t lost;
        bool sending, closed;
};

static void webhook_free(struct audit_webhook *w)
{
        for (size_t i = 0; i < w->n; i++)
                free(w->lines[i]);
        free(w->lines);
        loop_timer_free(w->timer);
        client_free(w->client);
        free(w);
}

static void take_batch(struct audit_webhook *w, size_t n, struct strbuf *out)
{
        strbuf_puts(out, "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[");
        for (size_t i = 0; i < n; i++) {
                if (i)
                        strbuf_putc(out, ',');
                strbuf_append(out, w->lines[i], strlen(w->lines[i]) - 1); /* without the line feed */
                free(w->lines[i]);
        }
        strbuf_puts(out, "]}");
        w->n -= n;
        memmove(w->lines, w->lines + n, w->n * sizeof(*w->lines));
}

/* 0, or negative with a text. */
static int post(struct audit_webhook *w, const struct strbuf *body, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *headers[CLIENT_HEADERS];
        struct http_call call = {.method = "POST", .url = client_server(w->client), .headers = headers, .body = body->data,
                                 .body_len = body->len, .timeout_ns = CALL_NS};
        struct http_reply reply = {0};
        int r;

        client_headers(w->client, a, "application/json", NULL, headers);
        r = http_call(client_http(w->client), &call, &reply, reterr);
        if (r == 0 && reply.status / 100 != 2) {
                if (reply.status == 401)
                        client_unauthorized(w->client);
                r = error_set(reterr, -EIO, "it answered %u", reply.status);
        }
        http_reply_deinit(&reply);
        return r;
}

static void deliver(struct audit_webhook *w, size_t n)
{
        _cleanup_strbuf_ struct strbuf body = STRBUF_INIT;
        int64_t pause = FIRST_PAUSE_NS;

        take_batch(w, n, &body);
        for (int i = 1; !w->closed; i++, pause *= 2) {
                _cleanup_error_ struct error err = ERROR_INIT;

                if (post(w, &body, &err) == 0)
                        return;
                if (i == ATTEMPTS) {
                        w->lost += n;
                        log_error("audit webhook %s: %s; %llu events lost so far", client_server(w->client), error_text(&err),
                                  (unsigned long long)w->lost);
                        return;
                }
                fiber_sleep(pause);
        }
}

static void run(void *userdata)
{
        struct audit_webhook *w = userdata;

        do
                deliver(w, MIN(w->n, (size_t)BATCH));
        while (w->n >= BATCH && !w->closed);
        w->sending = false;
        if (w->closed)
                webhook_free(w);
        else if (w->n)
                loop_timer_arm(w->timer, w->max_wait);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct audit_webhook *w = userdata;

        if (w->sending || !w->n)
                return;
        w->sending = true;
        fiber_start(w->loop, run, w);
}

void audit_webhook_line(struct audit_webhook *w, const char *line, size_t len)
{
        if (w->n >= PENDING) {
                w->lost++;
                return;
        }
        array_reserve(w->lines, w->cap, w->n + 1);
        w->lines[w->n++] = xstrndup(line, len);
        if (!w->sending && w->n >= BATCH)
                loop_timer_arm(w->timer, 0);
        else if (!w->sending && w->n == 1)
                loop_timer_arm(w->timer, w->max_wait);
}

int audit_webhook_open(struct loop *loop, const char *kubeconfig, int64_t max_wait_ns, struct audit_webhook **ret, struct error *reterr)
{
        struct audit_webhook *w = new0(struct audit_webhook);
        int r = client_new(loop, kubeconfig, "colibri-apiserver", &w->client, reterr);

        if (r < 0) {
                free(w);
                return error_wrap(reterr, r, "audit webhook");
        }
        w->loop = loop;
        w->max_wait = max_wait_ns;
        w->timer = loop_timer_new(loop, on_timer, w);
        *ret = w;
        return 0;
}

void audit_webhook_close(struct audit_webhook *w)
{
        if (!w)
                return;
        w->closed = true;
        if (!w->sending)
                webhook_free(w);
}

uint64_t audit_webhook_lost(const struct audit_webhook *w)
{
        return w ? w->lost : 0;
}
