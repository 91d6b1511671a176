/* The event recorder: counts, cuts and writes Events in the background.
 *
 * Three filters, as in client-go's correlator: a token bucket an object (25 at once, then one in five
 * minutes) drops floods; the tenth different message for one object and reason within
 * ten minutes, and each new one after it, become one "(combined from similar events)"; and the same text
 * again only raises the count of the Event already there. What is remembered is bounded: at the bound
 * all of it is forgotten, which at worst writes an Event anew.
 */
#include "event.h"

#include <errno.h>
#include <stdio.h>

#include "../base/list.h"
#include "../base/map.h"
#include "../base/time.h"

#define BURST 25
#define REFILL_NS (300 * NS_PER_SEC)
#define SIMILAR_MAX 9
#define SIMILAR_NS (600 * NS_PER_SEC)
#define REMEMBERED_MAX 4096
#define QUEUE_MAX 1000
#define RETRY_NS (2 * NS_PER_SEC)
#define TRIES 5

/* Of one object: the token bucket. */
struct bucket {
        double tokens;
        int64_t at;
};

/* Of one object, type and reason: how many different messages. */
struct similar {
        struct map messages;
        int64_t last;
};

/* An Event written: where it is and its count. */
struct written {
        char *namespace, *name;
        int64_t count;
};

struct pending {
        struct list link;
        struct arena *arena;
        struct json *event;
        const char *key; /* in `written` */
};

struct event_recorder {
        struct client *client;
        char *component, *host;
        struct map buckets, similars, writtens;
        struct list queue;
        size_t n_queue;
        bool running, freed;
};

struct event_recorder *event_recorder_new(struct client *c, const char *component, const char *host)
{
        struct event_recorder *r = new0(struct event_recorder);

        r->client = c;
        r->component = xstrdup(component);
        r->host = xstrdup(host ? host : "");
        list_init(&r->queue);
        return r;
}

static void pending_free(struct pending *p)
{
        list_remove(&p->link);
        arena_free(p->arena);
        free(p);
}

static void forget(struct event_recorder *r)
{
        struct map_entry *e;

        map_foreach(&r->buckets, e)
                free(e->value);
        map_foreach(&r->similars, e) {
                map_deinit(&((struct similar *)e->value)->messages);
                free(e->value);
        }
        map_foreach(&r->writtens, e) {
                struct written *w = e->value;

                free(w->namespace);
                free(w->name);
                free(w);
        }
        map_clear(&r->buckets);
        map_clear(&r->similars);
        map_clear(&r->writtens);
}

static void release(struct event_recorder *r)
{
        list_foreach_safe(&r->queue, it, tmp)
                pending_free(list_entry(it, struct pending, link));
        forget(r);
        free(r->component);
        free(r->host);
        free(r);
}

void event_recorder_free(struct event_recorder *r)
{
        if (!r)
                return;
        r->freed = true;
        if (!r->running)
                release(r);
}

/* --- filters --- */

static bool take_token(struct event_recorder *r, const char *object_key, int64_t now)
{
        struct bucket *b = map_get(&r->buckets, object_key);

        if (!b) {
                b = new0(struct bucket);
                b->tokens = BURST;
                b->at = now;
                map_put(&r->buckets, object_key, b);
        }
        b->tokens = MIN(b->tokens + (double)(now - b->at) / (double)REFILL_NS, (double)BURST);
        b->at = now;
        if (b->tokens < 1)
                return false;
        b->tokens -= 1;
        return true;
}

/* True: there have been so many different messages that they become one. */
static bool too_similar(struct event_recorder *r, const char *key, const char *message, int64_t now)
{
        struct similar *s = map_get(&r->similars, key);

        if (!s) {
                s = new0(struct similar);
                map_put(&r->similars, key, s);
        }
        if (now - s->last > SIMILAR_NS)
                map_clear(&s->messages);
        s->last = now;
        map_put(&s->messages, message, r);
        if (s->messages.n <= SIMILAR_MAX)
                return false;
        map_del(&s->messages, message); /* those that came before it are still told by themselves */
        return true;
}

/* --- writing --- */

static struct json *make_reference(struct arena *a, const struct json *object, const char *field_path)
{
        static const char *const copied[] = { "namespace", "name", "uid", "resourceVersion" };
        struct json *ref = json_new_object(a);

        json_set_string(a, ref, "kind", json_get_string(object, "kind"));
        json_set_string(a, ref, "apiVersion", json_get_string(object, "apiVersion"));
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                json_set_string(a, ref, copied[i], json_get_string(json_get(object, "metadata"), copied[i]));
        if (field_path)
                json_set_string(a, ref, "fieldPath", field_path);
        return ref;
}

static struct json *make_event(struct event_recorder *r, struct arena *a, const struct json *object,
                               const char *field_path, const char *type, const char *reason,
                               const char *message, int64_t now)
{
        const char *namespace = json_path_string(object, "metadata.namespace");
        const char *name = json_path_string(object, "metadata.name");
        struct json *event = json_new_object(a), *meta, *source;
        char time[TIME_BUF];

        time_format(now, time);
        json_set_string(a, event, "kind", "Event");
        json_set_string(a, event, "apiVersion", "v1");
        meta = json_ensure_object(a, event, "metadata");
        json_set(a, meta, "name", json_new_stringf(a, "%s.%llx", name ? name : "", (unsigned long long)now));
        json_set_string(a, meta, "namespace", str_empty(namespace) ? "default" : namespace);
        json_set(a, event, "involvedObject", make_reference(a, object, field_path));
        json_set_string(a, event, "reason", reason);
        json_set_string(a, event, "message", message);
        source = json_ensure_object(a, event, "source");
        json_set_string(a, source, "component", r->component);
        if (*r->host)
                json_set_string(a, source, "host", r->host);
        json_set_string(a, event, "firstTimestamp", time);
        json_set_string(a, event, "lastTimestamp", time);
        json_set_int(a, event, "count", 1);
        json_set_string(a, event, "type", type);
        json_set(a, event, "eventTime", json_new_null(a));
        json_set_string(a, event, "reportingComponent", r->component);
        json_set_string(a, event, "reportingInstance", r->host);
        return event;
}

/* Raises the count of the Event written before. CLIENT_NOT_FOUND: it is gone. */
static int raise_count(struct event_recorder *r, struct pending *p, struct written *w)
{
        struct json *patch = json_new_object(p->arena);
        const char *last = json_get_string(p->event, "lastTimestamp");
        _cleanup_free_ char *path = xasprintf("/api/v1/namespaces/%s/events/%s", w->namespace, w->name);

        json_set_int(p->arena, patch, "count", w->count + 1);
        json_set_string(p->arena, patch, "lastTimestamp", last);
        json_set_string(p->arena, patch, "message", json_get_string(p->event, "message"));
        return client_patch(r->client, path, CLIENT_PATCH_STRATEGIC, patch, p->arena, NULL, NULL);
}

static void remember_written(struct event_recorder *r, const struct pending *p)
{
        struct written *w = map_get(&r->writtens, p->key);

        if (!w) {
                w = new0(struct written);
                map_put(&r->writtens, p->key, w);
        }
        free(w->namespace);
        free(w->name);
        w->namespace = xstrdup(json_path_string(p->event, "metadata.namespace"));
        w->name = xstrdup(json_path_string(p->event, "metadata.name"));
        w->count = 1;
}

static int write_one(struct event_recorder *r, struct pending *p)
{
        struct written *w = map_get(&r->writtens, p->key);
        char *path;
        int code = CLIENT_NOT_FOUND;

        if (w) {
                code = raise_count(r, p, w);
                w = map_get(&r->writtens, p->key); /* it may have been forgotten meanwhile */
                if (!code && w)
                        w->count++;
        }
        if (code == CLIENT_NOT_FOUND) {
                path = client_path(p->arena, "", "v1", "events", json_path_string(p->event, "metadata.namespace"),
                                   NULL, NULL);
                code = client_create(r->client, path, p->event, p->arena, NULL, NULL);
                if (!code)
                        remember_written(r, p);
        }
        return code;
}

static void write_fiber(void *userdata)
{
        struct event_recorder *r = userdata;

        while (!r->freed && !list_empty(&r->queue)) {
                struct pending *p = list_entry(r->queue.next, struct pending, link);
                int code = 0;

                list_remove(&p->link);
                r->n_queue--;
                for (unsigned i = 0; i < TRIES && !r->freed; i++) {
                        code = write_one(r, p);
                        /* What the server refused it will refuse again: a namespace that ends, say. */
                        if (code >= 0 && code != CLIENT_BUSY)
                                break;
                        fiber_sleep(RETRY_NS << i);
                }
                pending_free(p);
        }
        r->running = false;
        if (r->freed)
                release(r);
}

static void start_writing(void *userdata)
{
        struct event_recorder *r = userdata;

        if (r->freed)
                release(r);
        else
                fiber_start(client_loop(r->client), write_fiber, r);
}

void event_record(struct event_recorder *r, const struct json *object, const char *field_path, const char *type,
                  const char *reason, const char *fmt, ...)
{
        struct arena *a = arena_new(2048);
        const char *uid = json_path_string(object, "metadata.uid"), *object_key, *similar_key, *message;
        int64_t now = time_real();
        struct pending *p;
        bool combined = false;
        va_list ap;

        va_start(ap, fmt);
        message = arena_vprintf(a, fmt, ap);
        va_end(ap);
        if (r->buckets.n + r->similars.n + r->writtens.n > REMEMBERED_MAX)
                forget(r);
        object_key = arena_printf(a, "%s/%s/%s/%s", json_get_string(object, "kind"),
                                  json_path_string(object, "metadata.namespace"),
                                  json_path_string(object, "metadata.name"), uid ? uid : "");
        similar_key = arena_printf(a, "%s/%s/%s/%s", object_key, field_path ? field_path : "", type, reason);
        if (r->n_queue >= QUEUE_MAX || !take_token(r, object_key, now)) {
                arena_free(a);
                return;
        }
        p = new0(struct pending);
        list_init(&p->link);
        p->arena = a;
        p->key = arena_printf(a, "%s/%s", similar_key, message);
        if (too_similar(r, similar_key, message, now)) {
                message = arena_printf(a, "(combined from similar events): %s", message);
                p->key = arena_printf(a, "%s/", similar_key);
                combined = true;
        }
        p->event = make_event(r, a, object, field_path, type, reason, message, now);
        if (combined) /* as upstream's: nobody reports it */
                json_set_string(a, p->event, "reportingComponent", "");
        list_push_back(&r->queue, &p->link);
        r->n_queue++;
        if (!r->running) {
                r->running = true;
                loop_defer(client_loop(r->client), start_writing, r);
        }
}
