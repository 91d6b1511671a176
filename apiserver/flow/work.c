/* Estimates of work: see work.h.
 *
 * A list is as wide as the memory that it takes: a seat for each 100 KB, of which the cache needs a megabyte at most, since
 * it hands objects out as they lie there. A write goes to those who watch: five milliseconds of a seat for each ten.
 */
#include "work.h"

#include "../../lib/base/map.h"
#include "../../lib/meta/selector.h"
#include "../http/request-info.h"
#include "../registry/registry.h"

#define BYTES_PER_SEAT 100000
#define CACHED_MAX 1000000
#define OBJECT_MAX 1500000 /* what is taken for an object that nobody has seen */
#define LIST_WIDEST 100
#define WRITE_WIDEST 10
#define WATCHES_PER_SEAT 10
#define EVENT_SECONDS 0.005
#define SAMPLES 4

/* --- watches --- */

struct flow_watch {
        char *key;
        unsigned n;
};

static struct map watches = MAP_INIT;

static char *key_of(const struct api_request *r, const char *namespace, const char *name)
{
        return arena_printf(r->arena, "%s/%s/%s/%s", r->group, r->resource, namespace, name);
}

/* Those of one node's pods hear of few writes: upstream looks at that only where it knows the pod's node, which is never. */
static bool is_indexed(const struct api_request *r)
{
        const char *text = streq(r->resource, "pods") ? http_query(r->http, "fieldSelector") : NULL;
        struct selector s;

        if (str_empty(text) || field_selector_parse(r->arena, text, &s, NULL) < 0)
                return false;
        for (size_t i = 0; i < s.n; i++)
                if (streq(s.reqs[i].key, "spec.nodeName") && s.reqs[i].op == SELECTOR_IN)
                        return true;
        return false;
}

struct flow_watch *flow_watch_begin(const struct api_request *r)
{
        const char *key = key_of(r, r->namespace, r->name);
        struct flow_watch *w;

        if (is_indexed(r)) /* counted, but not with those that hear of a write */
                key = arena_printf(r->arena, "%s/", key);
        w = map_get(&watches, key);
        if (!w) {
                w = new0(struct flow_watch);
                w->key = xstrdup(key);
                map_put(&watches, key, w);
        }
        w->n++;
        return w;
}

void flow_watch_end(struct flow_watch *w)
{
        if (!w || --w->n)
                return;
        map_del(&watches, w->key);
        free(w->key);
        free(w);
}

static unsigned count_of(const char *key)
{
        const struct flow_watch *w = map_get(&watches, key);

        return w ? w->n : 0;
}

/* Watches of all of the kind, of the namespace, and of the object. */
static unsigned interested(const struct api_request *r)
{
        unsigned n = count_of(key_of(r, "", ""));

        if (*r->namespace)
                n += count_of(key_of(r, r->namespace, ""));
        if (*r->name)
                n += count_of(key_of(r, "", r->name));
        if (*r->namespace && *r->name)
                n += count_of(key_of(r, r->namespace, r->name));
        return n;
}

/* Of "group/resource/namespace/name[/]". */
static char *labels_of(const char *key)
{
        const char *resource = strchr(key, '/') + 1, *namespace = strchr(resource, '/') + 1, *name = strchr(namespace, '/') + 1;
        const char *scope = strcspn(name, "/") ? "resource" : name - namespace > 1 ? "namespace" : "cluster";

        return xasprintf("component=\"apiserver\",group=\"%.*s\",resource=\"%.*s\",scope=\"%s\",subresource=\"\",verb=\"WATCH\"",
                         (int)(resource - key - 1), key, (int)(namespace - resource - 1), resource, scope);
}

void flow_watch_metrics(struct strbuf *out)
{
        struct map sums = MAP_INIT;
        struct map_entry *e;

        map_foreach(&watches, e) {
                const struct flow_watch *w = e->value;
                _cleanup_free_ char *labels = labels_of(w->key);

                map_put(&sums, labels, (void *)((uintptr_t)map_get(&sums, labels) + w->n));
        }
        strbuf_puts(out, "# HELP apiserver_longrunning_requests [STABLE] Watches that go on\n# TYPE apiserver_longrunning_requests gauge\n");
        map_foreach(&sums, e)
                strbuf_printf(out, "apiserver_longrunning_requests{%s} %llu\n", e->key, (unsigned long long)(uintptr_t)e->value);
        map_deinit(&sums);
}

/* --- estimates --- */

unsigned flow_list_width(const struct flow_list *x)
{
        int64_t limited = x->limit > 0 ? MIN(x->limit, x->count) : x->count, loaded = limited, bytes;

        if (x->named)
                loaded = 1;
        else if (!x->cached && x->selects)
                loaded = MAX(limited, x->count / 2);
        bytes = loaded * (x->size > 0 ? x->size : x->count ? OBJECT_MAX : 0);
        if (x->cached)
                bytes = MIN(bytes, (int64_t)CACHED_MAX);
        return (unsigned)MIN((bytes + BYTES_PER_SEAT - 1) / BYTES_PER_SEAT, (int64_t)LIST_WIDEST);
}

struct flow_work flow_write_work(unsigned n, unsigned widest)
{
        struct flow_work work = {.width = 1};
        unsigned most = widest && widest < WRITE_WIDEST ? widest : WRITE_WIDEST, seats = (n + WATCHES_PER_SEAT - 1) / WATCHES_PER_SEAT;

        if (n < WATCHES_PER_SEAT)
                return work;
        work.final = MIN(seats, most);
        work.seconds = EVENT_SECONDS * seats / work.final;
        return work;
}

struct sample {
        size_t n, bytes;
};

static bool take_sample(struct entry *e, void *userdata)
{
        struct sample *s = userdata;

        s->bytes += e->json->len;
        return ++s->n < SAMPLES;
}

static const char *text(const struct api_request *r, const char *name)
{
        const char *s = http_query(r->http, name);

        return s ? s : "";
}

/* Whether upstream would answer from its cache. */
static bool is_cached(const struct api_request *r)
{
        const char *match = text(r, "resourceVersionMatch"), *version = text(r, "resourceVersion");

        if (*match)
                return streq(match, "NotOlderThan");
        if (*text(r, "continue"))
                return false;
        return !(atoll(text(r, "limit")) > 0 && *version && !streq(version, "0"));
}

static unsigned list_width(const struct api_request *r)
{
        bool watch = streq(r->verb, "watch");
        const char *version = text(r, "resourceVersion"), *prefix;
        struct flow_list x = {.named = *r->name, .limit = atoll(text(r, "limit"))};
        struct sample sample = {0};

        if (watch && !query_bool(r->http, "sendInitialEvents") && *version && !streq(version, "0"))
                return 1;
        if (!r->res) /* another server's */
                return 1;
        prefix = registry_key(r->arena, r->res, NULL, NULL);
        store_scan(r->server->store, prefix, NULL, take_sample, &sample);
        x.count = (int64_t)store_count(r->server->store, prefix);
        x.size = sample.n ? (int64_t)(sample.bytes / sample.n) : 0;
        x.selects = *text(r, "fieldSelector") || *text(r, "labelSelector");
        x.cached = watch || is_cached(r);
        return flow_list_width(&x);
}

struct flow_work flow_estimate(const struct api_request *r, unsigned widest)
{
        static const char *const writes[] = {"create", "update", "patch", "delete"};
        struct flow_work work = {.width = 1};

        if (streq(r->verb, "list") || streq(r->verb, "watch")) {
                work.width = MAX(list_width(r), 1u);
                if (widest && work.width > widest)
                        work.width = widest;
                return work;
        }
        for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
                if (streq(r->verb, writes[i]))
                        return streq(r->resource, "serviceaccounts") && streq(r->subresource, "token") ? work : flow_write_work(interested(r), widest);
        return work;
}
