/* The entry: metadata, then the kind's rules, then what must hold for any stored object. */
#include "metadata.h"

#include "../schema/crd.h"

#define LAST_RESORT NAME_PATH_SEGMENT

static const struct kind_rules *find_in(const struct kind_rules *list, unsigned n, const struct resource *res)
{
        for (unsigned i = 0; i < n && !res->crd; i++)
                if (streq(list[i].group, res->group) && streq(list[i].kind, res->kind))
                        return &list[i];
        return NULL;
}

static const struct kind_rules *find_kind(const struct resource *res)
{
        return find_in(validation_kinds, n_validation_kinds, res);
}

/* Kinds of other API servers upstream (custom resources, CRDs, API services) do not check lone words, and three groups
 * neither. */
static bool checks_finalizers(const struct resource *res)
{
        static const char *const silent[] = { "admissionregistration.k8s.io", "coordination.k8s.io", "node.k8s.io",
                                              "apiextensions.k8s.io", "apiregistration.k8s.io" };

        for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
                if (streq(silent[i], res->group))
                        return false;
        return !res->crd;
}

static void warn(const char *text, void *userdata)
{
        struct api_request *r = userdata;

        if (r)
                request_warn(r, "%s", text);
}

/* Of finalizers that are new; by their names. */
static void warn_finalizers(struct check *c)
{
        static const char *const known[] = { "orphan", "foregroundDeletion", "kubernetes" };
        const struct json *old = json_path(c->old, "metadata.finalizers");

        json_foreach_item(json_path(c->obj, "metadata.finalizers"), f) {
                const char *s = json_string(f);
                bool skip = !s || strchr(s, '/');

                for (size_t i = 0; s && i < ARRAY_SIZE(known); i++)
                        skip |= streq(s, known[i]);
                json_foreach_item(old, before)
                        skip |= streq(json_string(before), s);
                if (!skip)
                        request_warn(c->r, "metadata.finalizers: \"%s\": prefer a domain-qualified finalizer name%s to avoid accidental "
                                     "conflicts with other finalizer writers", s, strchr(s, '.') ? " including a path (/)" : "");
        }
}

static void validate_custom(struct check *c)
{
        const char *kind = json_get_string(c->obj, "kind");

        if (!streq(kind, c->res->kind)) { /* nothing else is said then */
                c->errs->n = 0;
                field_error_add(c->errs, FIELD_INVALID, "kind", json_get(c->obj, "kind"), "must be %s", c->res->kind);
                return;
        }
        if (streq(c->sub, "status"))
                crd_validate_status(c->res->schema, c->obj, c->old, c->errs);
        else
                crd_validate_values(c->res->schema, c->obj, c->old, "", c->errs);
        crd_validate_scale(c->res->crd, c->obj, !streq(c->sub, "status"), c->errs);
        if (!streq(c->sub, "status"))
                crd_validate_embedded(c->res->schema, c->obj, "", c->errs);
        crd_validate_lists(c->res->schema, c->obj, c->old, "", c->errs);
        crd_judge(c->res->schema, c->obj, c->old, c->errs, warn, c->r);
        if (c->r && !*c->sub && !c->errs->n)
                warn_finalizers(c);
}

static const struct kind_rules *find_sub(const struct resource *res, const char *sub)
{
        for (unsigned i = 0; i < n_validation_subresources && !res->crd; i++) {
                const struct kind_rules *k = &validation_subresources[i];

                if (streq(k->sub, sub) && streq(k->group, res->group) && streq(k->kind, res->kind))
                        return k;
        }
        return NULL;
}

static bool strict(const struct resource *res)
{
        return streq(res->group, "rbac.authorization.k8s.io");
}

static void validate_changes(struct check *c, bool well, bool words, const struct at *finalizers)
{
        if (!well)
                metadata_validate_update(c);
        if (words)
                check_finalizer_names(c, finalizers);
}

/* For any object, and once more by the kind: each in full, as an update, or both. What was well the first time
 * is so the second time, but for the names, which have another rule. */
static void validate_metadata_update(struct check *c, const struct kind_rules *kind, const struct kind_rules *sub)
{
        const struct kind_rules *who = sub ?: kind;
        bool twice = who && who->on_update == KIND_UPDATE_FULL_TWICE;
        bool full = who && who->on_update != KIND_UPDATE_PLAIN, only = twice || (who && who->on_update == KIND_UPDATE_FULL_ONLY);
        bool bare = kind && kind->on_update == KIND_UPDATE_BARE, words = checks_finalizers(c->res);
        bool first = who && who->on_update == KIND_UPDATE_FULL_FIRST && (sub || !*c->sub);
        const struct at *finalizers = at_field(c, at_field(c, c->root, "metadata"), "finalizers");
        size_t before = c->errs->n;
        bool well;

        if (!sub && *c->sub && !only)
                full = false;
        metadata_validate(c, NAME_PATH_SEGMENT);
        metadata_validate_update(c);
        well = c->errs->n == before;
        if (bare)
                return;
        if (!only && !first)
                validate_changes(c, well, words, finalizers);
        c->strict = strict(c->res);
        for (unsigned i = 0, times = twice ? 2 : full; i < times; i++) {
                if (well)
                        metadata_validate_names(c, kind->name);
                else
                        metadata_validate(c, kind->name);
                if (words)
                        check_finalizer_names(c, finalizers);
        }
        c->strict = false;
        if (first)
                validate_changes(c, well, words, finalizers);
}

/* Room for places, for one validation at a time: it does not park, but what it calls one day might. */
#define ROOM 160
static struct at room[ROOM];
static bool room_taken;

static bool take_room(struct check *c)
{
        if (room_taken)
                return false;
        c->room = room;
        c->n_room = ROOM;
        return room_taken = true;
}

void validate_object(struct api_request *r, const struct resource *res, const struct json *obj,
                     const struct json *old, const char *sub, struct field_errors *errs)
{
        const struct kind_rules *kind = find_kind(res), *rules = str_empty(sub) ? NULL : find_sub(res, sub);
        struct at root = { .j = obj, .old = old, .s = res->schema, .kind = AT_ROOT };
        struct check c = {
                .r = r,
                .res = res,
                .a = errs->arena,
                .errs = errs,
                .obj = obj,
                .old = old,
                .sub = sub ? sub : "",
                .root = &root,
                .prefix = "",
        };

        bool bare = kind && kind->on_update == KIND_UPDATE_BARE, mine = take_room(&c);

        if (old) {
                validate_metadata_update(&c, kind, rules);
        } else if (!bare) {
                c.strict = strict(res);
                metadata_validate(&c, kind ? kind->name : res->crd ? NAME_DNS1123_SUBDOMAIN : LAST_RESORT);
                if (checks_finalizers(res))
                        check_finalizer_names(&c, at_field(&c, at_field(&c, &root, "metadata"), "finalizers"));
        }
        if (res->crd)
                validate_custom(&c);
        if (kind && !*c.sub)
                rules_run(&c, kind->body, &root);
        if (rules)
                rules_run(&c, rules->body, &root);
        if (!old && bare && !errs->n)
                metadata_validate(&c, NAME_PATH_SEGMENT);
        else if (!old && !errs->n)
                metadata_validate_names(&c, NAME_PATH_SEGMENT);
        room_taken &= !mine;
}

void validation_warn(struct api_request *r, const struct resource *res, const struct json *obj, const struct json *old,
                     const char *sub)
{
        const struct kind_rules *kind = find_in(validation_warnings, n_validation_warnings, res);
        struct field_errors errs = { .arena = r->arena };
        struct at root = { .j = obj, .old = old, .s = res->schema, .kind = AT_ROOT };
        struct check c = {
                .r = r, .res = res, .a = r->arena, .errs = &errs, .obj = obj, .old = old, .sub = "", .root = &root, .prefix = "",
        };

        bool mine = take_room(&c);

        if (kind && (str_empty(sub) || streq(sub, "scale"))) /* which updates its parent as anybody does */
                rules_run(&c, kind->body, &root);
        room_taken &= !mine;
}
