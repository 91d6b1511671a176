/* Delete: gracefully, with finalizers, or at once (upstream's rest.BeforeDelete and Store.Delete).
 *
 *      graceful kind, period > 0   deletionTimestamp in the future, the node's kubelet deletes for good
 *      finalizers (also the garbage collector's, by the propagation policy)
 *                                  deletionTimestamp now, the last one to go deletes (update.c)
 *      else                        gone
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>

#include "conversion.h"

#define ATTEMPTS 16
#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"

enum policy { POLICY_DEFAULT, POLICY_ORPHAN, POLICY_FOREGROUND, POLICY_BACKGROUND };

struct deletion {
        struct api_request *r;
        const struct resource *res, *stored;
        const struct strategy *strategy;
        const char *namespace, *name, *key;
        const struct json *options;
};

enum outcome {
        DELETE_NOW,
        MARK,        /* write the object with its deletionTimestamp; it is there until finalizers or the kubelet are done */
        MARK_DELETE, /* nothing to wait for: a grace period of 0 */
        LEAVE,       /* it is already going, nothing changes */
};

/* --- the options --- */

static const struct status *validate_options(struct deletion *d)
{
        struct field_errors errs = { .arena = d->r->arena };
        const struct json *policy = json_get(d->options, "propagationPolicy");
        static const char *const policies[] = { "Foreground", "Background", "Orphan", "nil", NULL };
        static const char *const dry_runs[] = { "All", NULL };
        const char *p = json_string(policy);
        static const struct resource options = { .group = "meta.k8s.io", .version = "v1", .name = "deleteoptions",
                                                 .kind = "DeleteOptions" };

        if (json_get(d->options, "orphanDependents") && policy)
                field_error_add(&errs, FIELD_INVALID, "propagationPolicy", policy,
                                "orphanDependents and deletionPropagation cannot be both set");
        if (p && !streq(p, "Foreground") && !streq(p, "Background") && !streq(p, "Orphan"))
                field_error_not_supported(&errs, "propagationPolicy", policy, policies);
        json_foreach_item(json_get(d->options, "dryRun"), it)
                if (!streq(json_string(it), "All")) {
                        field_error_not_supported(&errs, "dryRun", json_get(d->options, "dryRun"), dry_runs);
                        break;
                }
        return errs.n ? status_invalid(d->r->arena, &options, "", &errs) : NULL;
}

/* The conflict names the kind, as upstream does. */
const struct status *delete_preconditions(struct arena *a, const struct resource *res, const struct json *options,
                                          const struct json *obj)
{
        const struct json *pre = json_get(options, "preconditions");
        const char *uid = json_get_string(pre, "uid"), *version = json_get_string(pre, "resourceVersion");
        const char *name = meta_string(obj, "name");
        struct resource by_kind = *res;

        by_kind.name = res->kind;
        if (uid && !streq(uid, meta_string(obj, "uid")))
                return status_conflict(a, &by_kind, name,
                                       "the UID in the precondition (%s) does not match the UID in record (%s). The object "
                                       "might have been deleted and then recreated",
                                       uid, meta_string(obj, "uid"));
        if (version && !streq(version, meta_string(obj, "resourceVersion")))
                return status_conflict(a, &by_kind, name,
                                       "the ResourceVersion in the precondition (%s) does not match the ResourceVersion in "
                                       "record (%s). The object might have been modified",
                                       version, meta_string(obj, "resourceVersion"));
        return NULL;
}

static const struct status *check_preconditions(struct deletion *d, const struct json *obj)
{
        const struct json *pre = json_get(d->options, "preconditions");
        const char *uid = json_get_string(pre, "uid"), *version = json_get_string(pre, "resourceVersion");

        if (uid && streq(d->stored->kind, "Namespace") && !*d->stored->group && !streq(uid, meta_string(obj, "uid")))
                return status_conflict(d->r->arena, d->res, d->name,
                                       "Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                                       meta_string(obj, "uid"));
        if (version && streq(d->stored->kind, "Namespace") && !*d->stored->group &&
            !streq(version, meta_string(obj, "resourceVersion")))
                return status_conflict(d->r->arena, d->res, d->name,
                                       "Precondition failed: ResourceVersion in precondition: %s, ResourceVersion in object "
                                       "meta: %s",
                                       version, meta_string(obj, "resourceVersion"));
        return delete_preconditions(d->r->arena, d->stored, d->options, obj);
}

static enum policy policy_of(const struct deletion *d)
{
        const char *p = json_get_string(d->options, "propagationPolicy");
        const struct json *orphan = json_get(d->options, "orphanDependents");

        if (json_is_bool(orphan))
                return json_is_true(orphan) ? POLICY_ORPHAN : POLICY_BACKGROUND;
        if (streq(p, "Orphan"))
                return POLICY_ORPHAN;
        if (streq(p, "Foreground"))
                return POLICY_FOREGROUND;
        return streq(p, "Background") ? POLICY_BACKGROUND : POLICY_DEFAULT;
}

static bool has_finalizer(const struct json *obj, const char *name)
{
        json_foreach_item(json_path(obj, "metadata.finalizers"), f)
                if (streq(json_string(f), name))
                        return true;
        return false;
}

/* Jobs and replication controllers leave their pods behind where nobody says otherwise; events have no dependents. */
static enum policy default_policy(const struct deletion *d, const struct json *obj)
{
        if (has_finalizer(obj, ORPHAN))
                return POLICY_ORPHAN;
        if (has_finalizer(obj, FOREGROUND))
                return POLICY_FOREGROUND;
        if (d->strategy && d->strategy->orphans_by_default)
                return POLICY_ORPHAN;
        return POLICY_BACKGROUND;
}

/* The garbage collector's two finalizers, as the policy has them. */
static void set_finalizers(struct deletion *d, struct json *obj)
{
        struct arena *a = d->r->arena;
        enum policy policy = policy_of(d);
        struct json *old = json_path(obj, "metadata.finalizers"), *list = json_new_array(a);
        const char *add;

        if (d->strategy && d->strategy->no_garbage)
                return;
        if (policy == POLICY_DEFAULT)
                policy = default_policy(d, obj);
        add = policy == POLICY_ORPHAN ? ORPHAN : policy == POLICY_FOREGROUND ? FOREGROUND : NULL;
        json_foreach_item(old, f)
                if ((!streq(json_string(f), ORPHAN) && !streq(json_string(f), FOREGROUND)) || streq(json_string(f), add))
                        json_append(a, list, f);
        if (add && !has_finalizer(obj, add))
                json_append(a, list, json_new_string(a, add));
        if (json_len(list))
                json_path_set(a, obj, "metadata.finalizers", list);
        else
                json_path_del(obj, "metadata.finalizers");
}

/* --- the decision --- */

static void mark(struct arena *a, struct json *obj, int64_t when_ns, int64_t period)
{
        struct json *meta = json_get(obj, "metadata");
        char buf[TIME_BUF];

        json_set_string(a, meta, "deletionTimestamp", time_format(when_ns, buf));
        json_set_int(a, meta, "deletionGracePeriodSeconds", period);
}

/* Is going already: the period may only become shorter. */
static enum outcome shorten(struct deletion *d, struct json *obj, int64_t now)
{
        const struct json *asked = json_get(d->options, "gracePeriodSeconds");
        int64_t left = json_path_int(obj, "metadata.deletionGracePeriodSeconds", 0), period, when;

        if (!asked || json_to_int(asked, &period) < 0 || period >= left)
                return LEAVE;
        if (time_parse(meta_string(obj, "deletionTimestamp"), &when) < 0)
                when = now + left * NS_PER_SEC;
        period = MAX(period, 0);
        mark(d->r->arena, obj, when - left * NS_PER_SEC + period * NS_PER_SEC, period);
        return period ? MARK : MARK_DELETE;
}

/* What deleting OBJ now means; OBJ is changed as it is to be written. */
static enum outcome decide(struct deletion *d, struct json *obj)
{
        struct arena *a = d->r->arena;
        int64_t now = request_now(d->r), period;
        bool graceful = d->strategy && d->strategy->grace_period;
        enum outcome outcome = DELETE_NOW;

        if (graceful && meta_deleting(obj)) {
                if (json_path(obj, "metadata.deletionGracePeriodSeconds"))
                        outcome = shorten(d, obj, now);
                if (outcome == LEAVE)
                        return LEAVE;
        } else if (graceful && (period = d->strategy->grace_period(obj, d->options)) >= 0) {
                mark(a, obj, now + period * NS_PER_SEC, period);
                meta_bump_generation(a, obj);
                outcome = period ? MARK : MARK_DELETE;
        }
        set_finalizers(d, obj);
        if (meta_finalizers(obj) == 0)
                return outcome;
        if (outcome == DELETE_NOW) {
                int64_t when;

                if (!json_path(obj, "metadata.deletionGracePeriodSeconds"))
                        meta_bump_generation(a, obj);
                if (!meta_deleting(obj) || time_parse(meta_string(obj, "deletionTimestamp"), &when) < 0 || when > now)
                        mark(a, obj, now, 0);
                else
                        json_path_set(a, obj, "metadata.deletionGracePeriodSeconds", json_new_int(a, 0));
        }
        return MARK;
}

bool should_delete_on_update(const struct resource *res, const struct json *obj, const struct json *old)
{
        const struct strategy *strategy = registry_strategy(res);

        if (meta_finalizers(obj) > 0 || !meta_deleting(old))
                return false;
        if (json_path_int(old, "metadata.deletionGracePeriodSeconds", 0) != 0)
                return false;
        return !strategy || !strategy->keeps || !strategy->keeps(obj);
}

/* --- carrying it out --- */

static const struct status *admit(struct deletion *d, const struct json *old)
{
        bool all = d->r->verb && streq(d->r->verb, "deletecollection"); /* who deletes all of them names none */
        struct admission_attributes at =
                admission_of(d->r, ADMISSION_DELETE, d->res, "", d->namespace, all ? "" : d->name, NULL, old);
        const struct status *st;

        at.options = d->options;
        st = admission_mutate(&at);
        return st ? st : admission_validate(&at);
}

/* Takes away what was marked at REVISION. A kubelet that has seen the mark may be faster: what it deletes
 * or changes in between does not undo what was decided. */
static int delete_marked(struct deletion *d, const struct json *obj, uint64_t revision, struct error *reterr)
{
        int c = STORE_CONFLICT;

        for (unsigned i = 0; i < ATTEMPTS && c == STORE_CONFLICT; i++) {
                struct entry *e;

                c = store_delete(d->r->server->store, d->stored, d->key, revision, NULL, reterr);
                if (c != STORE_CONFLICT)
                        break;
                if (store_sync(d->r->server->store, reterr) < 0)
                        return -EIO;
                e = store_get(d->r->server->store, d->key);
                if (!e || !streq(meta_string(registry_object(d->r->arena, d->stored, e), "uid"), meta_string(obj, "uid")))
                        return STORE_OK;
                revision = e->revision;
        }
        return c;
}

/* A copy of OLD to decide on. Deleting changes its metadata, some kinds' own rules change more. */
static struct json *copy_for(const struct deletion *d, struct json *old)
{
        struct arena *a = d->r->arena;
        struct json *obj;

        if (d->strategy && d->strategy->mark_deleted)
                return json_clone(a, old);
        obj = json_clone_shallow(a, old);
        json_set(a, obj, "metadata", json_clone_shallow(a, json_get(old, "metadata")));
        return obj;
}

/* One round on E. *RET_AGAIN: it changed meanwhile. */
static const struct status *delete_round(struct deletion *d, struct entry *e, struct json **ret, bool *ret_gone,
                                         bool *ret_again)
{
        struct api_request *r = d->r;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *old = registry_object(r->arena, d->stored, e), *obj = copy_for(d, old), *kept;
        struct entry *now = NULL;
        const struct status *st = check_preconditions(d, old);
        enum outcome outcome;
        int c = STORE_OK;

        if (!st)
                st = admit(d, d->stored == d->res ? old : registry_object(r->arena, d->res, e));
        if (st)
                return st;
        if (d->strategy && d->strategy->mark_deleted && d->strategy->mark_deleted(r, obj, d->options))
                outcome = MARK;
        else if (d->strategy && d->strategy->keeps && d->strategy->keeps(obj))
                outcome = LEAVE;
        else
                outcome = decide(d, obj);
        *ret_gone = outcome == DELETE_NOW || outcome == MARK_DELETE;
        if (!*ret_gone && json_equal(old, obj))
                outcome = LEAVE;
        kept = obj;
        if (!r->dry_run && outcome != LEAVE && outcome != DELETE_NOW)
                st = conversion_to_storage(r, d->res, &kept);
        if (st)
                return st;
        if (r->dry_run || outcome == LEAVE) {
                /* answered below */
        } else if (outcome == DELETE_NOW) {
                c = store_delete(r->server->store, d->stored, d->key, e->revision, &now, &err);
                if (c == STORE_OK && d->strategy && d->strategy->after_delete)
                        d->strategy->after_delete(r, obj);
        } else if (outcome == MARK_DELETE) {
                /* Watchers see it marked before it is gone, as upstream's two steps show it. */
                c = store_put(r->server->store, d->stored, d->key, kept, e->revision, &now, &err);
                if (c == STORE_OK) {
                        set_resource_version(r->arena, obj, now->revision);
                        note_written(r, d->res, obj, now);
                        c = delete_marked(d, obj, now->revision, &err);
                }
                if (c == STORE_OK && d->strategy && d->strategy->after_delete)
                        d->strategy->after_delete(r, obj);
        } else {
                c = store_put(r->server->store, d->stored, d->key, kept, e->revision, &now, &err);
                if (c == STORE_OK) {
                        set_resource_version(r->arena, obj, now->revision);
                        note_written(r, d->res, obj, now);
                }
        }
        entry_unref(now);
        if (c < 0)
                return registry_store_status(r->arena, c, &err);
        *ret_again = c == STORE_CONFLICT;
        *ret = d->stored == d->res ? obj : convert_object(r->arena, d->stored, d->res, obj);
        return NULL;
}

const struct status *registry_delete(struct api_request *r, const struct resource *res, const char *namespace,
                                     const char *name, const struct json *options, struct json **ret, bool *ret_gone)
{
        struct deletion d = { .r = r, .res = res, .stored = registry_stored_as(res), .strategy = registry_strategy(res),
                              .namespace = namespace, .name = name, .options = options,
                              .key = registry_key(r->arena, res, namespace, name) };
        const struct status *st = validate_options(&d);
        bool gone = false;

        for (unsigned i = 0; !st && i < ATTEMPTS; i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                bool again = false;
                struct entry *e;
                int c = store_sync(r->server->store, &err);

                if (c < 0)
                        return registry_store_status(r->arena, c, &err);
                e = store_get(r->server->store, d.key);
                if (!e)
                        return status_not_found(r->arena, res, name);
                entry_ref(e);
                if (i == 0 && d.strategy && d.strategy->warn_delete)
                        d.strategy->warn_delete(r, options);
                st = registry_converted(r, res, &e, 1);
                if (!st)
                        st = delete_round(&d, e, ret, &gone, &again);
                entry_unref(e);
                if (!again) {
                        if (ret_gone)
                                *ret_gone = gone;
                        return st;
                }
        }
        return st ? st : status_modified(r->arena, res, name);
}
