/* LimitRanger: what a container that says nothing gets, and the bounds of what it may say. */
#include "../../lib/meta/pod.h"
#include "internal.h"

/* --- defaults --- */

static int compare(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Sets what is missing of resources.WHICH; returns "cpu, memory", or NULL when nothing was. */
static const char *fill(struct arena *a, struct json *container, const char *which, const struct json *defaults)
{
        const char **names = arena_alloc(a, (json_len(defaults) + 1) * sizeof(char *));
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = 0;

        json_foreach_member(defaults, m) {
                struct json *list = json_ensure_object(a, json_ensure_object(a, container, "resources"), which);

                if (json_get(list, m->key))
                        continue;
                json_set(a, list, m->key, json_clone(a, m->value));
                names[n++] = m->key;
        }
        qsort(names, n, sizeof(char *), compare);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%s", i ? ", " : "", names[i]);
        return n ? arena_strndup(a, b.data, b.len) : NULL;
}

static void fill_containers(struct arena *a, struct json *containers, const char *kind, const struct json *limit,
                            struct strbuf *note)
{
        json_foreach_item(containers, c) {
                const char *requests = fill(a, c, "requests", json_get(limit, "defaultRequest"));
                const char *limits = fill(a, c, "limits", json_get(limit, "default"));

                if (requests)
                        strbuf_printf(note, "%s%s request for %s %s", note->len ? "; " : "", requests, kind,
                                      get_string(c, "name"));
                if (limits)
                        strbuf_printf(note, "%s%s limit for %s %s", note->len ? "; " : "", limits, kind,
                                      get_string(c, "name"));
        }
}

/* Of what is going nobody asks any more. */
static bool resize(const struct admission_attributes *at)
{
        return at->op == ADMISSION_UPDATE && about(at, "", "pods") && streq(at->subresource, "resize") &&
               !json_path(at->old, "metadata.deletionTimestamp");
}

static const struct status *mutate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *spec;

        if (!pod_create(at) && !resize(at))
                return NULL;
        spec = json_get(at->object, "spec");
        json_foreach_item(admission_list(at, "", "v1", "limitranges", at->namespace), range) {
                _cleanup_strbuf_ struct strbuf note = STRBUF_INIT;

                json_foreach_item(json_path(range, "spec.limits"), limit) {
                        if (!streq(json_get_string(limit, "type"), "Container"))
                                continue;
                        fill_containers(a, json_get(spec, "containers"), "container", limit, &note);
                        fill_containers(a, json_get(spec, "initContainers"), "init container", limit, &note);
                }
                if (note.len)
                        json_set_string(a,
                                        json_ensure_object(a, json_ensure_object(a, at->object, "metadata"), "annotations"),
                                        "kubernetes.io/limit-ranger",
                                        arena_printf(a, "LimitRanger plugin set: %s", note.data));
        }
        return NULL;
}

/* --- bounds --- */

struct errors {
        struct arena *arena;
        struct json *said; /* each text once, in order */
        size_t n;
};

static void add_error(struct errors *e, const char *fmt, ...) printf_like(2, 3);
static void add_error(struct errors *e, const char *fmt, ...)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *text;
        va_list ap;

        va_start(ap, fmt);
        strbuf_vprintf(&b, fmt, ap);
        va_end(ap);
        text = arena_strndup(e->arena, strbuf_str(&b), b.len);
        json_foreach_item(e->said, other)
                if (streq(json_string(other), text))
                        return;
        if (!e->said)
                e->said = json_new_array(e->arena);
        json_append(e->arena, e->said, json_new_string(e->arena, text));
        e->n++;
}

static const char *text_of(struct arena *a, const struct quantity *q)
{
        char buf[QUANTITY_BUF];

        return arena_strdup(a, quantity_format(q, buf));
}

/* What is bounded: a container, a pod or a claim. REQUESTS_ONLY: it has no limits (claims). */
struct subject {
        const char *type;
        struct resource_list requests, limits;
        bool requests_only;
};

static void check_min(struct errors *e, const struct subject *s, const char *name, const struct quantity *min)
{
        const struct quantity *req = resource_list_get(&s->requests, name), *lim = resource_list_get(&s->limits, name);
        const char *bound = text_of(e->arena, min);

        if (!req)
                add_error(e, "minimum %s usage per %s is %s.  No request is specified", name, s->type, bound);
        else if (quantity_cmp(req, min) < 0)
                add_error(e, "minimum %s usage per %s is %s, but request is %s", name, s->type, bound,
                          text_of(e->arena, req));
        else if (lim && quantity_cmp(lim, min) < 0)
                add_error(e, "minimum %s usage per %s is %s, but limit is %s", name, s->type, bound, text_of(e->arena, lim));
}

static void check_max(struct errors *e, const struct subject *s, const char *name, const struct quantity *max)
{
        const struct quantity *req = resource_list_get(&s->requests, name), *lim = resource_list_get(&s->limits, name);
        const char *bound = text_of(e->arena, max);

        if (s->requests_only) {
                if (!req)
                        add_error(e, "maximum %s usage per %s is %s.  No request is specified", name, s->type, bound);
                else if (quantity_cmp(req, max) > 0)
                        add_error(e, "maximum %s usage per %s is %s, but request is %s", name, s->type, bound,
                                  text_of(e->arena, req));
                return;
        }
        if (!lim)
                add_error(e, "maximum %s usage per %s is %s.  No limit is specified", name, s->type, bound);
        else if (quantity_cmp(lim, max) > 0)
                add_error(e, "maximum %s usage per %s is %s, but limit is %s", name, s->type, bound, text_of(e->arena, lim));
        else if (req && quantity_cmp(req, max) > 0)
                add_error(e, "maximum %s usage per %s is %s, but request is %s", name, s->type, bound,
                          text_of(e->arena, req));
}

static void check_ratio(struct errors *e, const struct subject *s, const char *name, const struct quantity *ratio)
{
        const struct quantity *req = resource_list_get(&s->requests, name), *lim = resource_list_get(&s->limits, name);
        const char *bound = text_of(e->arena, ratio);
        double observed;

        if (!req || req->nano == 0) {
                add_error(e, "%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name,
                          s->type, bound);
                return;
        }
        if (!lim || lim->nano == 0) {
                add_error(e, "%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name,
                          s->type, bound);
                return;
        }
        observed = (double)lim->nano / (double)req->nano;
        if (observed > (double)ratio->nano / 1e9)
                add_error(e, "%s max limit to request ratio per %s is %s, but provided ratio is %f", name, s->type, bound,
                          observed);
}

static void check_subject(struct errors *e, const struct subject *s, const struct json *limit)
{
        static const struct {
                const char *member;
                void (*check)(struct errors *, const struct subject *, const char *, const struct quantity *);
        } checks[] = { { "min", check_min }, { "max", check_max }, { "maxLimitRequestRatio", check_ratio } };

        for (size_t i = 0; i < (s->requests_only ? 2 : ARRAY_SIZE(checks)); i++) {
                struct resource_list bounds;

                resource_list_from_json(e->arena, json_get(limit, checks[i].member), &bounds);
                for (size_t k = 0; k < bounds.n; k++)
                        checks[i].check(e, s, bounds.items[k].name, &bounds.items[k].amount);
        }
}

static void check_containers(struct errors *e, const struct json *containers, const struct json *limit)
{
        json_foreach_item(containers, c) {
                struct subject s = { .type = "Container" };

                resource_list_from_json(e->arena, json_path(c, "resources.requests"), &s.requests);
                resource_list_from_json(e->arena, json_path(c, "resources.limits"), &s.limits);
                check_subject(e, &s, limit);
        }
}

static void check_pod(struct errors *e, const struct json *pod, const struct json *limit)
{
        if (streq(json_get_string(limit, "type"), "Container")) {
                check_containers(e, json_path(pod, "spec.containers"), limit);
                check_containers(e, json_path(pod, "spec.initContainers"), limit);
        } else if (streq(json_get_string(limit, "type"), "Pod")) {
                struct subject s = { .type = "Pod" };
                struct json *bare = json_clone(e->arena, pod);

                json_path_del(bare, "spec.overhead"); /* not the pod's own doing */
                pod_requests(e->arena, bare, &s.requests);
                pod_limits(e->arena, bare, &s.limits);
                check_subject(e, &s, limit);
        }
}

static const struct status *validate(struct admission_attributes *at)
{
        struct errors e = { .arena = at->request->arena };
        bool claim = about(at, "", "persistentvolumeclaims") && !*at->subresource &&
                     !json_path(at->old, "metadata.deletionTimestamp");
        const char *text = "";

        if (!claim && !resize(at) && !pod_create(at))
                return NULL;
        json_foreach_item(admission_list(at, "", "v1", "limitranges", at->namespace), range) {
                json_foreach_item(json_path(range, "spec.limits"), limit) {
                        if (!claim) {
                                check_pod(&e, at->object, limit);
                        } else if (streq(json_get_string(limit, "type"), "PersistentVolumeClaim")) {
                                struct subject s = { .type = "PersistentVolumeClaim", .requests_only = true };

                                resource_list_from_json(e.arena, json_path(at->object, "spec.resources.requests"), &s.requests);
                                check_subject(&e, &s, limit);
                        }
                }
                if (e.n)
                        break;
        }
        if (!e.n)
                return NULL;
        json_foreach_item(e.said, it)
                text = arena_printf(e.arena, "%s%s%s", text, *text ? ", " : "", json_string(it));
        return deny(at, e.n > 1 ? "[%s]" : "%s", text);
}

const struct admission_plugin plugin_limit_ranger = {
        .name = "LimitRanger",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE,
        .mutate = mutate,
        .validate = validate,
};
