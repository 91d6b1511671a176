/* ObjectMeta: names, labels, annotations, owner references, finalizers; and what an update must keep.
 *
 * The order is upstream's. Updates run the update rules twice: once for any object, once in the kind's
 * own validation; clients see both in details.causes.
 */
#include "metadata.h"

#include "../schema/managed-fields.h"

#define MAX_ANNOTATIONS (256 * 1024)

/* Paths are made where something is wrong. */
static void check_string(struct check *c, enum name_rule rule, const struct at *at, const char *s)
{
        const char *messages[NAME_MESSAGES];

        if (name_check(c->a, rule, s, messages))
                name_validate_string(c->errs, rule, at_path(c, at), s);
}

static void check_map_keys(struct check *c, const struct at *at)
{
        json_foreach_member(at->j, m)
                check_string(c, NAME_QUALIFIED, at, m->key);
}

/* Keys and values of each label in turn; map order is not Go's either. */
void check_labels(struct check *c, const struct at *at)
{
        json_foreach_member(at->j, m) {
                check_string(c, NAME_QUALIFIED, at, m->key);
                if (json_is_string(m->value))
                        check_string(c, NAME_LABEL_VALUE, at, m->value->str);
        }
}

void check_annotations(struct check *c, const struct at *at)
{
        size_t total = 0;

        json_foreach_member(at->j, m) {
                char *low = arena_strdup(c->a, m->key);

                for (char *p = low; *p; p++)
                        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
                /* Upstream checks the key in lower case, and reports it as it was written. */
                const char *messages[NAME_MESSAGES];
                unsigned n = name_check(c->a, NAME_QUALIFIED, low, messages);

                for (unsigned i = 0; i < n; i++)
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, m->key), "%s", messages[i]);
                total += m->key_len + (json_is_string(m->value) ? m->value->len : 0);
        }
        if (total > MAX_ANNOTATIONS)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), NULL, "may not be more than %d bytes", MAX_ANNOTATIONS);
}

static void check_owner(struct check *c, const struct at *owner, const char *list_path)
{
        const char *version = json_get_string(owner->j, "apiVersion") ?: "", *slash = strchr(version, '/');
        const char *kind = json_get_string(owner->j, "kind") ?: "";

        if (slash ? !slash[1] || strchr(slash + 1, '/') : !*version) /* what cannot be read has no version either */
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.apiVersion", list_path),
                                json_new_string(c->a, version), "version must not be empty");
        if (!*kind)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.kind", list_path),
                                json_new_string(c->a, kind), "must not be empty");
        if (str_empty(json_get_string(owner->j, "name")))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.name", list_path),
                                json_new_string(c->a, ""), "must not be empty");
        if (str_empty(json_get_string(owner->j, "uid")))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.uid", list_path),
                                json_new_string(c->a, ""), "must not be empty");
        if ((streq(version, "v1") || streq(version, "/v1")) && streq(kind, "Event"))
                field_error_add(c->errs, FIELD_INVALID, list_path, owner->j,
                                "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(struct check *c, const struct at *owners)
{
        const char *path = json_len(owners->j) ? at_path(c, owners) : NULL, *controller = "";

        for (size_t i = 0; i < json_len(owners->j); i++) {
                const struct at *o = at_item(c, owners, i);
                const char *name;

                check_owner(c, o, path);
                if (!json_get_bool(o->j, "controller", false))
                        continue;
                name = arena_printf(c->a, "%s/%s", json_get_string(o->j, "kind") ?: "",
                                    json_get_string(o->j, "name") ?: "");
                if (*controller)
                        field_error_add(c->errs, FIELD_INVALID, path, owners->j,
                                        "Only one reference can have Controller set to true. Found \"true\" in "
                                        "references for %s and %s", controller, name);
                else
                        controller = name;
        }
}

static const char *const standard_finalizers[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };

/* Finalizers of ObjectMeta are reported at the list, then once more by index for lone words. */
static void check_finalizers(struct check *c, const struct at *list)
{
        const char *path = json_len(list->j) ? at_path(c, list) : NULL;
        bool orphan = false, foreground = false;

        json_foreach_item(list->j, it) {
                name_validate(c->errs, NAME_QUALIFIED, path, it);
                orphan |= streq(json_string(it), "orphan");
                foreground |= streq(json_string(it), "foregroundDeletion");
        }
        if (orphan && foreground)
                field_error_add(c->errs, FIELD_INVALID, path, list->j,
                                "finalizer orphan and foregroundDeletion cannot be both set");
}

/* Words without a domain must be the system's own; only some kinds look (see validate.c). */
void check_finalizer_names(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *f = at_item(c, list, i);
                const char *s = json_string(f->j);
                bool known = s && strchr(s, '/');

                for (size_t k = 0; s && standard_finalizers[k]; k++)
                        known |= streq(s, standard_finalizers[k]);
                if (s && !known)
                        check_invalid(c, f, "name is neither a standard finalizer name nor is it fully qualified");
        }
}

/* As a prefix a name may end in a dash, which the suffix will follow. */
static void check_generate_name(struct check *c, const struct at *at, enum name_rule rule)
{
        const char *s = json_string(at->j), *messages[NAME_MESSAGES];
        size_t len = s ? strlen(s) : 0;
        unsigned n;

        if (!len)
                return;
        if (len > 1 && s[len - 1] == '-' && rule != NAME_PATH_SEGMENT)
                s = arena_printf(c->a, "%.*sa", (int)len - 2, s);
        if (rule == NAME_PATH_SEGMENT && !c->strict && (streq(s, ".") || streq(s, ".."))) /* something follows */
                return;
        n = name_check(c->a, rule, s, messages);
        for (unsigned i = 0; i < n; i++)
                check_invalid(c, at, "%s", messages[i]);
}

/* Definitions have a name that follows from what they define. */
static void check_definition_name(struct check *c, const struct at *at, enum name_rule rule)
{
        const struct json *spec = json_get(c->obj, "spec");

        if (streq(c->res->kind, "CustomResourceDefinition") && rule != NAME_PATH_SEGMENT && !at_empty(at) &&
            !streq(text_at(at), arena_printf(c->a, "%s.%s", json_path_string(spec, "names.plural") ?: "", json_get_string(spec, "group") ?: "")))
                check_invalid(c, at, "must be spec.names.plural+\".\"+spec.group");
}

static void check_namespace(struct check *c, const struct at *ns)
{
        if (!c->res->namespaced) {
                if (!at_empty(ns))
                        check_forbidden(c, ns, "not allowed on this type");
        } else if (at_empty(ns)) {
                check_required(c, ns, "");
        } else {
                check_name(c, ns, NAME_DNS1123_LABEL);
        }
}

static void check_content(struct check *c, const struct at *meta)
{
        check_labels(c, at_field(c, meta, "labels"));
        check_annotations(c, at_field(c, meta, "annotations"));
        check_owners(c, at_field(c, meta, "ownerReferences"));
}

static void check_managed(struct check *c, const struct at *meta)
{
        managed_fields_validate(json_get(meta->j, "managedFields"), "metadata.managedFields", c->errs);
}

/* Two kinds' own rules look only at the name that came of generateName, since upstream made those declarations. */
static bool judges_generate_name(const struct check *c, enum name_rule rule)
{
        return rule == NAME_PATH_SEGMENT || (!streq(c->res->kind, "DeviceClass") && !streq(c->res->kind, "ReplicationController"));
}

static void check_names(struct check *c, const struct at *meta, enum name_rule rule)
{
        const struct at *name = at_field(c, meta, "name");

        if (judges_generate_name(c, rule)) {
                check_generate_name(c, at_field(c, meta, "generateName"), rule);
                check_definition_name(c, at_field(c, meta, "generateName"), rule);
        }
        if (at_empty(name))
                check_required(c, name, "name or generateName is required");
        else
                check_name(c, name, rule);
        check_definition_name(c, name, rule);
}

void metadata_validate_names(struct check *c, enum name_rule rule)
{
        check_names(c, at_field(c, c->root, "metadata"), rule);
}

void metadata_validate(struct check *c, enum name_rule rule)
{
        const struct at *meta = at_field(c, c->root, "metadata");
        const struct at *generation = at_field(c, meta, "generation");

        check_names(c, meta, rule);
        check_namespace(c, at_field(c, meta, "namespace"));
        if (json_is_number(generation->j) && json_to_double(generation->j, 0) < 0)
                check_invalid(c, generation, "must be greater than or equal to 0");
        check_labels(c, at_field(c, meta, "labels"));
        check_annotations(c, at_field(c, meta, "annotations"));
        check_owners(c, at_field(c, meta, "ownerReferences"));
        check_finalizers(c, at_field(c, meta, "finalizers"));
        check_managed(c, meta);
}

void metadata_validate_embedded(const struct schema *s, const struct json *obj, const char *prefix, struct field_errors *errs)
{
        const struct json *meta = json_get(obj, "metadata");
        const struct resource like = {.namespaced = *(json_get_string(meta, "namespace") ?: "") != '\0'};
        struct at root = {.j = obj, .s = s, .kind = AT_ROOT};
        struct check c = {.a = errs->arena, .errs = errs, .obj = obj, .sub = "", .res = &like, .root = &root, .prefix = prefix};
        struct json *named;

        if (str_empty(json_get_string(meta, "name"))) { /* it need not have one */
                named = json_clone_shallow(errs->arena, obj);
                json_set(errs->arena, named, "metadata", json_clone(errs->arena, meta));
                json_set_string(errs->arena, json_get(named, "metadata"), "name", "fakename");
                root.j = c.obj = named;
        }
        metadata_validate(&c, NAME_PATH_SEGMENT);
}

/* Go prints []string{"a", "b"} */
static void check_new_finalizers(struct check *c, const struct at *meta)
{
        const struct at *list = at_field(c, meta, "finalizers");
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!json_get_string(json_get(c->old, "metadata"), "deletionTimestamp"))
                return;
        json_foreach_item(list->j, it) {
                bool there = false;

                json_foreach_item(list->old, other)
                        there |= json_equal(it, other);
                if (there || !json_is_string(it))
                        continue;
                strbuf_puts(&b, b.len ? ", " : "");
                go_quote(&b, it->str, it->len);
        }
        if (b.len)
                check_forbidden(c, list, "no new finalizers can be added if the object is being deleted, found new "
                                         "finalizers []string{%s}", strbuf_str(&b));
}

void metadata_validate_update(struct check *c)
{
        static const char *const fixed[] = {
                "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        };
        const struct at *meta = at_field(c, c->root, "metadata"), *rv = at_field(c, meta, "resourceVersion");
        const struct at *generation = at_field(c, meta, "generation");

        check_new_finalizers(c, meta);
        if (at_empty(rv)) /* shown as the number it is not */
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, rv), "0", "must be specified for an update");
        if (json_get_int(meta->j, "generation", 0) < json_get_int(meta->old, "generation", 0))
                check_invalid(c, generation, "must not be decremented");
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
                const struct at *f = at_field(c, meta, fixed[i]);

                if (f->old ? !json_equal(f->j, f->old) : !at_empty(f) || json_is_number(f->j)) /* a grace period of 0 is one */
                        check_invalid(c, f, ERR_IMMUTABLE);
        }
        check_content(c, meta);
        check_managed(c, meta);
}

void check_label_keys(struct check *c, const struct at *at)
{
        check_map_keys(c, at);
}

/* --- label selectors --- */

static void check_requirement(struct check *c, const struct at *req, bool values_too)
{
        const struct at *op = at_field(c, req, "operator"), *values = at_field(c, req, "values");
        const char *o = json_string(op->j) ?: "";

        if (streq(o, "In") || streq(o, "NotIn")) {
                if (!json_len(values->j))
                        check_required(c, values, "must be specified when `operator` is 'In' or 'NotIn'");
        } else if (streq(o, "Exists") || streq(o, "DoesNotExist")) {
                if (json_len(values->j))
                        check_forbidden(c, values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        } else {
                check_invalid(c, op, "not a valid selector operator");
        }
        check_name(c, at_field(c, req, "key"), NAME_QUALIFIED);
        for (size_t i = 0; values_too && i < json_len(values->j); i++)
                check_name(c, at_item(c, values, i), NAME_LABEL_VALUE);
}

void check_selector(struct check *c, const struct at *at)
{
        const struct at *exprs = at_field(c, at, "matchExpressions");

        if (!at_set(at))
                return;
        check_labels(c, at_field(c, at, "matchLabels"));
        for (size_t i = 0; i < json_len(exprs->j); i++)
                check_requirement(c, at_item(c, exprs, i), true);
}
