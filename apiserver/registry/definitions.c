/* Definitions become resources (definitions.h).
 *
 *      event from the cache --put()--> compile, unless spec and names are the same --accepted?--> S->extra
 *                                        |                                  (at once, in the event)
 *                                        \--marked dirty--> fiber: conditions, deletion of instances
 */
#include "definitions.h"

#include <errno.h>

#include "../../lib/base/log.h"
#include "../../lib/base/map.h"
#include "../auth/feed.h"
#include "../schema/crd.h"
#include "internal.h"

#define CLEANUP "customresourcecleanup.apiextensions.k8s.io"
#define APPROVED "api-approved.kubernetes.io"
#define RETRY_NS NS_PER_SEC
/* Upstream's controller takes about as long to come around to a definition that is deleted: who looks at once still sees it. */
#define NOTICE_NS (50 * NS_PER_MS)

/* What is asked of all definitions whenever one changes stands beside it, not in its tree: with five hundred of
 * them a search there for each name would be most of the work. */
struct definition {
        struct crd *crd;
        bool dirty;
        bool ending;                  /* a fiber sees to its end */
        bool served;                  /* Established */
        uint32_t group;               /* hashes: of the group, */
        uint32_t *names;              /* of accepted names, then of kinds */
        size_t n_names, n_kinds;
};

static struct {
        struct apiserver *server;
        struct feed feed;
        struct definition *list;      /* by name */
        size_t n, cap;
        const struct resource **extra; /* what is served, sorted by_place() */
        size_t n_extra, cap_extra;
        struct fiber *fiber;
        bool waits;
        void (*replaced)(const struct crd *c);
} defs;

static const struct resource *definition_resource(void)
{
        return builtin_resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
}

bool definitions_ready(void)
{
        return defs.feed.live;
}

void definitions_on_replace(void (*fn)(const struct crd *c))
{
        defs.replaced = fn;
}

void resource_ref(const struct resource *res)
{
        if (res->crd)
                crd_ref((struct crd *)res->crd->crd);
}

void resource_unref(const struct resource *res)
{
        if (res->crd)
                crd_unref((struct crd *)res->crd->crd);
}

/* --- conditions --- */

static const struct json *condition(const struct json *crd, const char *type)
{
        json_foreach_item(json_path(crd, "status.conditions"), c)
                if (streq(json_get_string(c, "type"), type))
                        return c;
        return NULL;
}

static bool condition_true(const struct json *crd, const char *type)
{
        return streq(json_get_string(condition(crd, type), "status"), "True");
}

/* Sets a condition; its time moves with its status. */
static void set_condition(struct api_request *r, struct json *crd, const char *type, bool is, const char *reason,
                          const char *message)
{
        struct json *c = (struct json *)condition(crd, type), *list;
        char when[TIME_BUF];

        if (!c) {
                list = json_ensure_array(r->arena, json_ensure_object(r->arena, crd, "status"), "conditions");
                c = json_new_object(r->arena);
                json_set_string(r->arena, c, "type", type);
                json_append(r->arena, list, c);
        }
        if (!streq(json_get_string(c, "status"), is ? "True" : "False")) {
                json_set_string(r->arena, c, "status", is ? "True" : "False");
                json_set_string(r->arena, c, "lastTransitionTime", time_format(request_now(r), when));
        }
        json_set_string(r->arena, c, "reason", reason);
        json_set_string(r->arena, c, "message", message);
}

/* --- names --- */

static bool has_name(const struct json *names, const char *name, bool kinds)
{
        static const char *const fields[] = {"plural", "singular"}, *const kind_fields[] = {"kind", "listKind"};

        for (size_t i = 0; i < 2; i++)
                if (streq(json_get_string(names, kinds ? kind_fields[i] : fields[i]), name))
                        return true;
        if (!kinds)
                json_foreach_item(json_get(names, "shortNames"), s)
                        if (streq(json_string(s), name))
                                return true;
        return false;
}

static uint32_t hash_of(const char *text)
{
        return text ? hash_bytes(text, strlen(text)) : 0;
}

/* Notes what D's tree says. */
static void note(struct definition *d)
{
        const struct json *crd = d->crd->definition, *names = json_path(crd, "status.acceptedNames");
        const struct json *shorts = json_get(names, "shortNames");
        size_t n = 0;

        d->served = condition_true(crd, "Established");
        d->group = hash_of(json_path_string(crd, "spec.group"));
        d->names = xrealloc(d->names, (json_len(shorts) + 4) * sizeof(*d->names));
        d->names[n++] = hash_of(json_get_string(names, "plural"));
        d->names[n++] = hash_of(json_get_string(names, "singular"));
        json_foreach_item(shorts, s)
                d->names[n++] = hash_of(json_string(s));
        d->n_names = n;
        d->names[n++] = hash_of(json_get_string(names, "kind"));
        d->names[n++] = hash_of(json_get_string(names, "listKind"));
        d->n_kinds = n - d->n_names;
}

static bool may_have(const struct definition *d, uint32_t hash, bool kinds)
{
        const uint32_t *list = kinds ? d->names + d->n_names : d->names;

        for (size_t i = 0; i < (kinds ? d->n_kinds : d->n_names); i++)
                if (list[i] == hash)
                        return true;
        return false;
}

/* Whether another definition of the group was given NAME. */
static bool taken(const struct crd *own, const char *name, bool kinds)
{
        const char *group = json_path_string(own->definition, "spec.group");
        uint32_t group_hash = hash_of(group), hash = hash_of(name);

        if (str_empty(name))
                return false;
        for (size_t i = 0; i < defs.n; i++) {
                const struct definition *d = &defs.list[i];
                const struct json *other = d->crd->definition;
                if (d->group == group_hash && may_have(d, hash, kinds) && !streq(d->crd->name, own->name) &&
                    streq(json_path_string(other, "spec.group"), group) &&
                    has_name(json_path(other, "status.acceptedNames"), name, kinds))
                        return true;
        }
        return false;
}

static const char *in_use(struct arena *a, const char *name)
{
        return arena_printf(a, "\"%s\" is already in use", name);
}

/* NULL: they are all free. */
static const char *short_names_in_use(struct arena *a, const struct crd *own, const struct json *names)
{
        const char *text = NULL;
        size_t n = 0;

        json_foreach_item(names, s)
                if (taken(own, json_string(s), false)) {
                        text = text ? arena_printf(a, "%s, %s", text, in_use(a, json_string(s))) : in_use(a, json_string(s));
                        n++;
                }
        return n > 1 ? arena_printf(a, "[%s]", text) : text;
}

/* Accepted names are those that were asked for and are free; else what was accepted before. */
static void accept_names(struct api_request *r, const struct crd *own, struct json *crd)
{
        static const struct {
                const char *field, *reason;
                bool kinds;
        } checks[] = {{"plural", "PluralConflict", false}, {"singular", "SingularConflict", false}, {"shortNames", "ShortNamesConflict", false},
                      {"kind", "KindConflict", true},      {"listKind", "ListKindConflict", true}};
        const struct json *wanted = json_path(crd, "spec.names");
        struct json *accepted = json_clone(r->arena, json_path(crd, "status.acceptedNames") ?: json_new_object(r->arena));
        const char *reason = NULL, *message = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) { /* all are tried; the last conflict is the one that is told */
                const struct json *name = json_get(wanted, checks[i].field);
                const char *conflict = json_is_string(name) && taken(own, json_string(name), checks[i].kinds) ? in_use(r->arena, json_string(name))
                                       : json_is_array(name) ? short_names_in_use(r->arena, own, name)
                                                             : NULL;

                if (conflict) {
                        reason = checks[i].reason;
                        message = conflict;
                        continue;
                }
                json_del(accepted, checks[i].field);
                if (name)
                        json_set(r->arena, accepted, checks[i].field, json_clone(r->arena, name));
        }
        json_del(accepted, "categories");
        if (json_get(wanted, "categories"))
                json_set(r->arena, accepted, "categories", json_get(wanted, "categories"));
        json_path_set(r->arena, crd, "status.acceptedNames", accepted);
        set_condition(r, crd, "NamesAccepted", !reason, reason ? reason : "NoConflicts", message ? message : "no conflicts found");
        if (!reason && !condition_true(crd, "Established"))
                set_condition(r, crd, "Established", true, "InitialNamesAccepted", "the initial names have been accepted");
        else if (reason && !condition(crd, "Established"))
                set_condition(r, crd, "Established", false, "NotAccepted", "not all names are accepted");
}

/* What stands in the annotation of an approval is shown in a condition. */
static void judge_approval(struct api_request *r, struct json *crd)
{
        const char *group = json_path_string(crd, "spec.group");
        const char *text = json_get_string(json_path(crd, "metadata.annotations"), APPROVED);

        if (!crd_group_protected(group) || !text)
                return;
        if (str_has_prefix(text, "https://") || str_has_prefix(text, "http://"))
                set_condition(r, crd, "KubernetesAPIApprovalPolicyConformant", true, "ApprovedAnnotation",
                              arena_printf(r->arena, "approved in %s", text));
        else
                set_condition(r, crd, "KubernetesAPIApprovalPolicyConformant", false, "UnapprovedAnnotation",
                              arena_printf(r->arena, "not approved: \"%s\"", text));
}

/* --- serving --- */

static int by_place(const void *x, const void *y)
{
        const struct resource *a = *(const struct resource *const *)x, *b = *(const struct resource *const *)y;
        int r = strcmp(a->group, b->group);

        if (!r)
                r = discovery_version_cmp(a->version, b->version);
        return r ? r : strcmp(a->name, b->name);
}

static void publish(void)
{
        defs.server->extra.list = defs.extra;
        defs.server->extra.n = defs.n_extra;
}

static void withdraw(const struct crd *c)
{
        size_t n = 0;

        for (size_t i = 0; i < defs.n_extra; i++)
                if (defs.extra[i]->crd->crd != c)
                        defs.extra[n++] = defs.extra[i];
        defs.n_extra = n;
}

static void offer(const struct crd *c)
{
        for (size_t k = 0; k < c->n_resources; k++) {
                size_t at = 0, end = defs.n_extra;

                while (at < end) {
                        size_t mid = (at + end) / 2;
                        if (by_place(&defs.extra[mid], &c->resources[k]) < 0)
                                at = mid + 1;
                        else
                                end = mid;
                }
                array_reserve(defs.extra, defs.cap_extra, defs.n_extra + 1);
                memmove(&defs.extra[at + 1], &defs.extra[at], (defs.n_extra - at) * sizeof(*defs.extra));
                defs.extra[at] = c->resources[k];
                defs.n_extra++;
        }
}

static size_t find(const char *name, bool *ret_found)
{
        size_t lo = 0, hi = defs.n;

        *ret_found = false;
        while (lo < hi) {
                size_t mid = (lo + hi) / 2;
                int r = strcmp(defs.list[mid].crd->name, name);
                if (r == 0) {
                        *ret_found = true;
                        return mid;
                }
                if (r < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

static void enter(struct crd *c)
{
        for (size_t i = 0; i < c->n_resources; i++)
                store_add_resource(defs.server->store, c->resources[i]);
}

static void leave(struct crd *c)
{
        for (size_t i = 0; i < c->n_resources; i++)
                store_remove_resource(defs.server->store, c->resources[i]);
        if (defs.replaced)
                defs.replaced(c);
        crd_unref(c);
}

static void wake(void)
{
        if (defs.waits)
                fiber_wake(defs.fiber);
}

/* --- the table follows the cache --- */

static void clear(void *userdata)
{
        defs.n_extra = 0;
        publish();
        while (defs.n) {
                free(defs.list[--defs.n].names);
                leave(defs.list[defs.n].crd);
        }
}

/* D's metadata or status changed alone: its resources, and who watches them, stay. */
static void put_state(struct definition *d)
{
        bool served = d->served;

        note(d);
        if (served != d->served) {
                withdraw(d->crd);
                if (d->served)
                        offer(d->crd);
                publish();
        }
        d->dirty = true;
        wake();
}

static void put(struct entry *e, void *userdata)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct crd *c, *old = NULL;
        bool found;
        size_t i = find(e->name, &found);

        if (found && crd_renew(defs.list[i].crd, e->json->data, e->json->len, e->revision)) {
                put_state(&defs.list[i]);
                return;
        }
        if (crd_compile(e->json->data, e->json->len, e->revision, &c, &err) < 0) {
                log_error("definition %s: %s", e->name, error_text(&err));
                return;
        }
        if (found) {
                old = defs.list[i].crd;
                defs.list[i].crd = c;
                withdraw(old);
        } else {
                array_reserve(defs.list, defs.cap, defs.n + 1);
                memmove(&defs.list[i + 1], &defs.list[i], (defs.n - i) * sizeof(*defs.list));
                defs.list[i] = (struct definition){.crd = c};
                defs.n++;
        }
        note(&defs.list[i]);
        if (defs.list[i].served)
                offer(c);
        publish();
        if (old)
                leave(old);
        enter(c);
        defs.list[i].dirty = true;
        wake();
}

static void del(struct entry *e, void *userdata)
{
        struct crd *c;
        bool found;
        size_t i = find(e->name, &found);

        if (!found)
                return;
        c = defs.list[i].crd;
        free(defs.list[i].names);
        withdraw(c);
        memmove(&defs.list[i], &defs.list[i + 1], (defs.n - i - 1) * sizeof(*defs.list));
        defs.n--;
        publish();
        leave(c);
        for (i = 0; i < defs.n; i++) /* names may have become free */
                defs.list[i].dirty |= !condition_true(defs.list[i].crd->definition, "NamesAccepted");
        wake();
}

static void cut(void *userdata)
{
        wake(); /* the fiber begins again */
}

/* --- what has to be written --- */

static const struct status *settle(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        struct json *crd = json_clone(r->arena, old);

        accept_names(r, userdata, crd);
        judge_approval(r, crd);
        *ret_new = crd;
        return NULL;
}

struct terminating {
        bool done, failed;
};

static const struct status *mark_progress(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        const struct terminating *t = userdata;
        struct json *crd = json_clone(r->arena, old), *list;

        if (t->done && !condition_true(crd, "Established"))
                set_condition(r, crd, "Terminating", false, "NeverEstablished", "resource was never established");
        else if (t->done)
                set_condition(r, crd, "Terminating", false, "InstanceDeletionCompleted", "removed all instances");
        else
                set_condition(r, crd, "Terminating", true, "InstanceDeletionInProgress", "CustomResource deletion is in progress");
        if (t->done) {
                list = json_path(crd, "metadata.finalizers");
                for (size_t i = json_len(list); i-- > 0;)
                        if (streq(json_string(json_at(list, i)), CLEANUP))
                                json_remove(list, i);
        }
        *ret_new = crd;
        return NULL;
}

static bool has_cleanup(const struct json *crd)
{
        json_foreach_item(json_path(crd, "metadata.finalizers"), f)
                if (streq(json_string(f), CLEANUP))
                        return true;
        return false;
}

struct instances {
        char **names, **namespaces;
        size_t n, cap, cap2;
};

static bool gather(struct entry *e, void *userdata)
{
        struct instances *it = userdata;

        array_reserve(it->names, it->cap, it->n + 1);
        array_reserve(it->namespaces, it->cap2, it->n + 1);
        it->names[it->n] = xstrdup(e->name);
        it->namespaces[it->n++] = xstrdup(e->namespace);
        return true;
}

/* Deletes all instances; true: none is left. */
static bool delete_instances(const struct crd *c)
{
        const struct resource *res = c->stored ? c->stored : c->n_resources ? c->resources[0] : NULL;
        struct instances it = {0};
        char *prefix;
        bool left;

        if (!res)
                return true;
        prefix = xasprintf("/registry/%s/", res->storage_prefix);
        store_scan(defs.server->store, prefix, NULL, gather, &it);
        for (size_t i = 0; i < it.n; i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct api_request r;
                struct json *out;
                bool gone;

                request_init_internal(&r, defs.server, a);
                r.res = res;
                r.verb = "delete";
                registry_delete(&r, res, it.namespaces[i], it.names[i], NULL, &out, &gone);
                free(it.names[i]);
                free(it.namespaces[i]);
        }
        free(it.names);
        free(it.namespaces);
        left = store_count(defs.server->store, prefix) > 0;
        free(prefix);
        return !left;
}

/* 0, or the code of what went wrong. */
static int note_progress(struct crd *c, bool done)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct status *st;
        const char *sub = done ? "" : "status";
        struct terminating t = {.done = done};
        struct api_request r;
        struct json *out;

        request_init_internal(&r, defs.server, a);
        r.res = definition_resource();
        r.verb = "update";
        r.subresource = sub;
        st = registry_update(&r, r.res, "", c->name, sub, mark_progress, &t, &out, NULL);
        return st ? st->code : 0;
}

/* The definition called NAME, if it still has to be ended; the caller's reference. */
static struct crd *to_end(const char *name)
{
        bool found;
        size_t i = find(name, &found);

        if (!found || !defs.list[i].crd->terminating || !has_cleanup(defs.list[i].crd->definition))
                return NULL;
        return crd_ref(defs.list[i].crd);
}

static void end(void *userdata)
{
        char *name = userdata;
        struct crd *c;
        bool found, done = false;
        size_t i;

        fiber_sleep(NOTICE_NS);
        while (!done && (c = to_end(name))) {
                done = delete_instances(c) && !note_progress(c, true);
                crd_unref(c);
                if (!done)
                        fiber_sleep(RETRY_NS / 10);
        }
        i = find(name, &found);
        if (found)
                defs.list[i].ending = false;
        free(name);
}

static bool work_on_end(struct crd *c)
{
        bool found, ours = false;
        size_t i;
        int code;

        if (!has_cleanup(c->definition))
                return true;
        i = find(c->name, &found);
        if (found && !defs.list[i].ending)
                ours = defs.list[i].ending = true;
        code = note_progress(c, false);
        if (ours)
                fiber_start(defs.server->loop, end, xstrdup(c->name));
        return !code || code == 404;
}

/* One definition; false: to be looked at again later. */
static bool work_on(struct crd *c)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = definition_resource();
        const struct status *st;
        struct api_request r;
        struct json *out;

        if (c->terminating)
                return work_on_end(c);
        request_init_internal(&r, defs.server, a);
        r.res = res;
        r.verb = "update";
        r.subresource = "status";
        st = registry_update(&r, res, "", c->name, "status", settle, c, &out, NULL);
        return !st || st->code == 404;
}

/* Those that somebody waits for come first. NULL: there is nothing to do. */
static struct crd *next_dirty(void)
{
        struct definition *next = NULL;

        for (size_t i = 0; i < defs.n; i++)
                if (defs.list[i].dirty && (!next || (next->served && !defs.list[i].served)))
                        next = &defs.list[i];
        if (!next)
                return NULL;
        next->dirty = false;
        return crd_ref(next->crd);
}

static void run(void *userdata)
{

        defs.fiber = fiber_self();
        for (;;) {
                struct crd *c = NULL;
                bool found;
                size_t i;

                if (!feed_ensure(&defs.feed, defs.server->store)) {
                        fiber_sleep(5 * NS_PER_MS);
                        continue;
                }
                c = next_dirty();
                if (c && !work_on(c)) {
                        i = find(c->name, &found);
                        if (found)
                                defs.list[i].dirty = true;
                        fiber_sleep(RETRY_NS / 10);
                }
                crd_unref(c);
                if (c)
                        continue;
                defs.waits = true;
                fiber_park();
                defs.waits = false;
        }
}

void definitions_start(struct apiserver *s)
{
        defs.server = s;
        defs.feed = (struct feed){.group = "apiextensions.k8s.io", .version = "v1", .resource = "customresourcedefinitions",
                                  .clear = clear, .put = put, .del = del, .cut = cut};
        fiber_start(s->loop, run, NULL);
}
