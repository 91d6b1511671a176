/* The client's exchanges, from their start to their end. What they send, what they take and the connections that
 * carry them are in client-request.c, client-answer.c and client-link.c.
 *
 * Why this is not libcurl: Debian's brings twenty libraries along (OpenSSL beside our GnuTLS, Kerberos,
 * LDAP, SSH), which cost every daemon 0.7 MB of its own and all of them 6 MB more to share, a third of
 * all that colibri uses at rest. What is spoken here is HTTP/1.1 to servers that we name ourselves.
 *
 * Owners are called back with nothing of ours half done, so they may free the exchange or the client:
 * `pins` keep the memory while we look at it.
 */
#include "client-internal.h"

#define DEFAULT_TIMEOUT_NS (60 * NS_PER_SEC)
#define CONNECT_TIMEOUT_NS (10 * NS_PER_SEC)
#define DEFAULT_MAX_BODY ((size_t)64 << 20)

/* --- memory --- */

void client_unpin(struct http_client *c)
{
        if (--c->pins || !c->dead)
                return;
        tls_client_free(c->tls);
        free(c);
}

void exchange_unpin(struct http_exchange *x)
{
        struct http_client *c = x->client;

        if (--x->pins)
                return;
        list_remove(&x->list);
        loop_timer_free(x->timer);
        strbuf_deinit(&x->out);
        strbuf_deinit(&x->response_headers);
        free(x->text);
        arena_free(x->arena);
        free(x);
        client_unpin(c);
}

/* Nothing more is told to its owner. */
static void exchange_drop(struct http_exchange *x)
{
        struct link *l = steal_ptr(x->link);

        if (l) {
                l->exchange = NULL;
                link_free(l);
        }
        loop_timer_disarm(x->timer);
        x->freed = true;
        exchange_unpin(x);
}

void http_exchange_free(struct http_exchange *x)
{
        if (x && !x->freed)
                exchange_drop(x);
}

int http_client_new(struct loop *loop, const struct http_client_options *o, struct http_client **ret,
                    struct error *reterr)
{
        struct http_client *c = new0(struct http_client);
        const struct tls_client_options tls = {
                .ca_file = o->ca_file, .cert_file = o->cert_file, .key_file = o->key_file,
                .ca_data = o->ca_data, .cert_data = o->cert_data, .key_data = o->key_data,
                .insecure = o->insecure,
        };

        c->loop = loop;
        c->max_body = o->max_body ? o->max_body : DEFAULT_MAX_BODY;
        c->tls = tls_client_new(&tls);
        c->pins = 1;
        list_init(&c->live);
        list_init(&c->idle);
        *ret = c;
        return 0;
}

/* Those in http_call() are woken with an error; the exchanges of others end without a word. */
void http_client_free(struct http_client *c)
{
        if (!c)
                return;
        c->dead = true;
        list_foreach_safe(&c->idle, it, tmp)
                link_free(list_entry(it, struct link, list));
        list_foreach_safe(&c->live, it2, tmp2) {
                struct http_exchange *x = list_entry(it2, struct http_exchange, list);

                if (!x->ops)
                        exchange_finish(x, -ECANCELED, "the client is closed");
                else if (!x->freed)
                        exchange_drop(x);
        }
        client_unpin(c);
}

/* --- an exchange's end --- */

bool exchange_reusable(const struct http_exchange *x)
{
        return x->keep_alive && !x->no_reuse && !x->client->dead && x->out_at == x->out.len;
}

void exchange_finish(struct http_exchange *x, int code, const char *fmt, ...)
{
        struct link *l = steal_ptr(x->link);
        va_list ap;

        if (l) {
                l->exchange = NULL;
                if (code == 0 && exchange_reusable(x))
                        link_keep(l);
                else
                        link_free(l);
        }
        loop_timer_disarm(x->timer);
        va_start(ap, fmt);
        x->text = xvasprintf(fmt, ap);
        va_end(ap);
        x->code = code;
        x->done = true;
        if (x->ops) {
                x->freed = true;
                x->ops->end(x, code, x->text, x->userdata);
                exchange_unpin(x);
        } else if (x->parked) { /* a wake before the park would be taken by another */
                fiber_wake(x->fiber);
        }
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct http_exchange *x = userdata;
        struct link *l = x->link;
        int64_t now = time_mono();

        if (x->deadline && now >= x->deadline)
                exchange_finish(x, -ETIMEDOUT, "timed out: %s %s", x->method, x->url);
        else if (l && l->state != LINK_ACTIVE)
                exchange_finish(x, -ETIMEDOUT, "timed out connecting to %s port %s", l->host, l->port);
        else if (x->deadline)
                loop_timer_arm(x->timer, x->deadline - now);
}

/* --- starting --- */

void exchange_start(struct http_exchange *x)
{
        const char *host_before = x->host;
        int64_t in_ns = CONNECT_TIMEOUT_NS;
        struct link *l;

        if (!exchange_read_url(x)) {
                exchange_finish(x, -EINVAL, "%s: not a URL of HTTP", x->url);
                return;
        }
        x->cross = x->cross || (host_before && !streq(host_before, x->host));
        x->in_body = false;
        x->location = NULL;
        x->status = 0;
        exchange_write(x);
        l = link_get(x);
        l->exchange = x;
        x->link = l;
        if (x->deadline)
                in_ns = l->state == LINK_ACTIVE ? x->deadline - time_mono() : MIN(in_ns, x->deadline - time_mono());
        if (x->deadline || l->state != LINK_ACTIVE)
                loop_timer_arm(x->timer, in_ns);
        if (l->state == LINK_ACTIVE)
                link_write(l);
        else
                link_connect(l);
}

struct http_exchange *exchange_new(struct http_client *c, const struct http_call *call)
{
        struct http_exchange *x = new0(struct http_exchange);
        int64_t timeout = call->timeout_ns ? call->timeout_ns : DEFAULT_TIMEOUT_NS;

        x->client = c;
        c->pins++;
        list_push_back(&c->live, &x->list);
        x->arena = arena_new(1024);
        x->timer = loop_timer_new(c->loop, on_timer, x);
        x->deadline = timeout > 0 ? time_mono() + timeout : 0;
        x->pins = 1;
        x->method = call->method;
        x->url = call->url;
        x->headers = call->headers;
        x->body = call->body;
        x->body_len = call->body ? call->body_len : 0;
        x->no_redirects = call->no_redirects;
        x->no_reuse = call->no_reuse;
        x->connect_to = call->connect_to && strrchr(call->connect_to, ':') ? call->connect_to : NULL;
        return x;
}

/* --- for fibers --- */

void http_reply_deinit(struct http_reply *r)
{
        strbuf_deinit(&r->body);
        strbuf_deinit(&r->headers);
}

char *http_reply_header(const struct http_reply *r, struct arena *a, const char *name)
{
        return exchange_find_header(&r->headers, a, name);
}

char *http_exchange_header(const struct http_exchange *x, struct arena *a, const char *name)
{
        return exchange_find_header(&x->response_headers, a, name);
}

int http_call(struct http_client *c, const struct http_call *call, struct http_reply *r, struct error *reterr)
{
        struct http_exchange *x = exchange_new(c, call);
        struct strbuf headers;
        int code;

        x->fiber = fiber_self();
        x->reply = r;
        exchange_start(x);
        x->parked = true;
        while (!x->done)
                fiber_park();
        code = x->code;
        r->status = x->status;
        headers = r->headers; /* swapped: the old ones are freed with the exchange */
        r->headers = x->response_headers;
        x->response_headers = headers;
        if (code < 0)
                error_set(reterr, code, "%s", *x->text ? x->text : strerror(-code));
        exchange_unpin(x);
        return code;
}

/* --- without a fiber --- */

static void start_later(void *userdata)
{
        struct http_exchange *x = userdata;

        if (!x->freed)
                exchange_start(x);
        exchange_unpin(x);
}

/* Copies what the caller gave. It starts at the end of the turn: no callback comes before we return. */
struct http_exchange *http_open(struct http_client *c, const struct http_call *call,
                                const struct http_exchange_ops *ops, void *userdata)
{
        struct http_exchange *x = exchange_new(c, call);
        const char **headers;
        size_t n = 0;

        while (call->headers && call->headers[n])
                n++;
        headers = arena_calloc(x->arena, (n + 1) * sizeof(*headers));
        for (size_t i = 0; i < n; i++)
                headers[i] = arena_strdup(x->arena, call->headers[i]);
        x->headers = headers;
        x->method = arena_strdup(x->arena, call->method);
        x->url = arena_strdup(x->arena, call->url);
        x->connect_to = x->connect_to ? arena_strdup(x->arena, x->connect_to) : NULL;
        x->body = call->body ? arena_memdup(x->arena, call->body, call->body_len) : NULL;
        x->ops = ops;
        x->userdata = userdata;
        x->pins++;
        loop_defer(c->loop, start_later, x);
        return x;
}
