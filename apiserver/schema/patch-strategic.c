/* Strategic merge patch.
 *
 * merge_map() walks the patch beside the original and the schema:
 *
 *      $patch             replace or delete this map
 *      $retainKeys        the original loses all other keys
 *      $setElementOrder/F F is merged first, then put in that order
 *      $deleteFromPrimitiveList/F  values that leave F
 *      anything else      null deletes, maps merge, keyed lists merge item by item, the rest replaces
 *
 * Keyed lists are then ordered: items of the patch as the patch has them, the server's own where they
 * were, as far as both can be had (normalize()).
 *
 * The document is not changed: maps and lists that differ are new, what they hold is shared. Of the patch there is a copy that
 * loses what has been carried out, as upstream's does, because messages show what is left.
 */
#include "patch-strategic.h"

#include "decode.h" /* base64_bad */
#include "go-value.h"

#include <math.h>
#include <stdlib.h>

#define SET_ORDER "$setElementOrder/"
#define DELETE_PRIMITIVES "$deleteFromPrimitiveList/"

struct merge {
        struct arena *a;
        const struct status *failed;
};

static const char *print(struct arena *a, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_print(&b, j);
        return arena_strndup(a, strbuf_str(&b), b.len);
}

const struct status *patch_undecodable(struct arena *a, const char *value, const char *detail)
{
        struct field_errors errs = { .arena = a };

        field_error_add(&errs, FIELD_INVALID, "patch", json_new_string(a, value), "%s", detail);
        return status_invalid(a, NULL, "", &errs);
}

/* --- failing: the first reason stays, and all functions return NULL from there on --- */

static struct json *fail(struct merge *m, const struct status *st)
{
        if (!m->failed)
                m->failed = st;
        return NULL;
}

/* What Go's %s makes of a value that is no text. */
static const char *print_as_string(struct arena *a, const struct json *j)
{
        switch (j->type) {
        case JSON_NULL:
                return "%!s(<nil>)";
        case JSON_BOOL:
                return j->boolean ? "%!s(bool=true)" : "%!s(bool=false)";
        case JSON_NUMBER:
                return arena_printf(a, "%%!s(%s=%s)", strpbrk(j->str, ".eE") ? "float64" : "int64", print(a, j));
        default:
                return print(a, j);
        }
}

static struct json *fail_type(struct merge *m, const struct json *directive, const struct json *map)
{
        return fail(m, status_make(m->a, 500, "", NULL, "unknown patch type: %s in map: %s", print_as_string(m->a, directive),
                                   print(m->a, map)));
}

static struct json *fail_key(struct merge *m, const struct json *map, const char *key)
{
        return fail(m, status_make(m->a, 500, "", NULL, "map: %s does not contain declared merge key: %s",
                                   print(m->a, map), key));
}

/* Upstream looks for the field in Go's types, of which not all have fields. */
static struct json *fail_field(struct merge *m, const struct schema *schema, const char *key)
{
        const char *dot = schema->type == SCHEMA_STRUCT && schema->name ? strrchr(schema->name, '.') : NULL;

        if (schema->type == SCHEMA_MAP)
                return fail(m, status_make(m->a, 500, "", NULL, "merging an object in json but data type is not struct, instead is: map"));
        return fail(m, status_make(m->a, 500, "", NULL, "unable to find api field in struct %s for the json field %s",
                                   dot ? dot + 1 : "RawExtension", go_quoted(m->a, key)));
}

/* --- values that come in as they are --- */

static bool is_directive(const char *key)
{
        return key[0] == '$' && (streq(key, "$retainKeys") || str_has_prefix(key, SET_ORDER) ||
                                 str_has_prefix(key, DELETE_PRIMITIVES));
}

/* Whether carrying out V changes it. */
static bool is_consumed(const struct json *v)
{
        json_foreach_member(v, m)
                if (m->key[0] == '$' || json_is_null(m->value) || is_consumed(m->value))
                        return true;
        json_foreach_item(v, it)
                if (is_consumed(it))
                        return true;
        return false;
}

static void discard_nulls(struct json *v)
{
        for (size_t i = json_is_object(v) ? v->len : 0; i-- > 0;)
                if (json_is_null(v->members[i].value))
                        json_del(v, v->members[i].key);
        json_foreach_member(v, m)
                discard_nulls(m->value);
        json_foreach_item(v, it)
                discard_nulls(it);
}

/* V without the maps that carry $patch; NULL: it is one. Maps change in place, lists are new. */
static struct json *remove_directives(struct arena *a, struct json *v)
{
        struct json *out = v, *left;

        if (json_is_object(v)) {
                if (json_get(v, "$patch"))
                        return NULL;
                for (size_t i = v->len; i-- > 0;) {
                        left = remove_directives(a, v->members[i].value);
                        if (left)
                                v->members[i].value = left;
                        else
                                json_del(v, v->members[i].key);
                }
        } else if (json_is_array(v) && is_consumed(v)) {
                out = json_new_array(a);
                json_foreach_item(v, it) {
                        left = remove_directives(a, it);
                        if (left)
                                json_append(a, out, left);
                }
        }
        return out;
}

/* V for a place where there was nothing, or something of another type. NULL: nothing is left of it. */
static struct json *clean(struct arena *a, struct json *v)
{
        if (!is_consumed(v))
                return v;
        discard_nulls(v);
        return remove_directives(a, v);
}

/* --- lists --- */

/* Equal as elements of a list: maps by their merge key, others by value. */
static bool same_element(const struct json *x, const struct json *y, const char *key)
{
        if (!key)
                return json_equal(x, y);
        return json_get(x, key) && json_equal(json_get(x, key), json_get(y, key));
}

/* The place of IT in LIST, or -1. */
static ssize_t find(const struct json *list, const struct json *it, const char *key)
{
        json_foreach_item(list, other)
                if (same_element(other, it, key))
                        return (ssize_t)other_i;
        return -1;
}

/* Stable insertion sort by the place in ORDER; what is not in it stays behind what came before it. */
static void sort_by(struct json *list, const struct json *order, const char *key)
{
        for (size_t i = 1; i < list->len; i++) {
                struct json *it = list->items[i];
                ssize_t at = find(order, it, key);
                size_t j = i;

                for (; at >= 0 && j > 0 && find(order, list->items[j - 1], key) > at; j--)
                        list->items[j] = list->items[j - 1];
                list->items[j] = it;
        }
}

/* Splits MERGED by presence in PATCH_ORDER, sorts both parts, and weaves them: an item of the server
 * goes before one of the patch only when the server had both in that order. */
static struct json *normalize(struct merge *m, const struct json *merged, const struct json *patch_order,
                              const struct json *server_order, const char *key)
{
        struct json *ours = json_new_array(m->a), *theirs = json_new_array(m->a), *out = json_new_array(m->a);
        size_t i = 0, j = 0;

        json_foreach_item(merged, it)
                json_append(m->a, find(patch_order, it, key) >= 0 ? ours : theirs, it);
        sort_by(ours, patch_order, key);
        sort_by(theirs, server_order, key);
        while (i < theirs->len || j < ours->len) {
                bool left = j >= ours->len;

                if (i < theirs->len && j < ours->len) {
                        ssize_t l = find(server_order, theirs->items[i], key);
                        ssize_t r = find(server_order, ours->items[j], key);

                        left = l >= 0 && r >= 0 && l < r;
                }
                json_append(m->a, out, left ? theirs->items[i++] : ours->items[j++]);
        }
        return out;
}

static struct json *merge_map(struct merge *m, const struct json *orig, struct json *patch, const struct schema *schema);

static struct json *merge_scalars(struct merge *m, const struct json *orig, const struct json *patch)
{
        struct json *out = json_new_array(m->a);

        json_foreach_item(orig, it)
                if (find(out, it, NULL) < 0)
                        json_append(m->a, out, it);
        json_foreach_item(patch, it)
                if (find(out, it, NULL) < 0)
                        json_append(m->a, out, it);
        return normalize(m, out, patch, orig, NULL);
}

/* Carries out the items that hold $patch. *RET_ORIG is what they leave of ORIG, *RET_PATCH the rest. */
static bool special_items(struct merge *m, const struct json *orig, const struct json *patch, const char *key,
                          struct json **ret_orig, struct json **ret_patch)
{
        struct json *rest = json_new_array(m->a), *left = json_new_array(m->a);
        bool replace = false;

        json_foreach_item(orig, it)
                json_append(m->a, left, it);
        json_foreach_item(patch, it) {
                const struct json *directive = json_get(it, "$patch");
                const char *word = json_string(directive);

                if (!directive) {
                        json_append(m->a, rest, it);
                } else if (streq(word, "replace")) {
                        replace = true;
                } else if (streq(word, "merge")) {
                        return fail(m, status_make(m->a, 500, "", NULL,
                                                   "merging lists cannot yet be specified in the patch"));
                } else if (!streq(word, "delete")) {
                        return fail_type(m, directive, it);
                } else if (!json_get(it, key)) {
                        return fail_key(m, it, key);
                } else {
                        for (size_t i = left->len; i-- > 0;)
                                if (same_element(left->items[i], it, key))
                                        json_remove(left, i);
                }
        }
        *ret_orig = replace ? rest : left;
        *ret_patch = replace ? json_new_array(m->a) : rest;
        return true;
}

static bool same_go_type(const struct json *x, const struct json *y)
{
        return x->type == y->type && (x->type != JSON_NUMBER || !strpbrk(x->str, ".eE") == !strpbrk(y->str, ".eE"));
}

/* Whether all items are of one type, and no lists; FIRST is one of them. */
static bool check_items(struct merge *m, const struct json *orig, const struct json *patch, const struct json *first)
{
        const struct json *lists[] = { orig, patch };

        if (json_is_array(first))
                return fail(m, status_make(m->a, 422, "Invalid", json_new_object(m->a),
                                           "the server rejected our request due to an error in our request"));
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(lists[i], it)
                        if (!same_go_type(it, first))
                                return fail(m, status_make(m->a, 500, "", NULL, "list element types are not identical: [%s %s]",
                                                           print(m->a, orig), print(m->a, patch)));
        return true;
}

static struct json *merge_keyed(struct merge *m, const struct json *orig, const struct json *patch,
                                const char *key, const struct schema *elem)
{
        struct json *left = NULL, *rest = NULL, *out = json_new_array(m->a);

        if (!special_items(m, orig, patch, key, &left, &rest))
                return NULL;
        json_foreach_item(left, it)
                json_append(m->a, out, it);
        json_foreach_item(rest, it) {
                struct json *merged;
                ssize_t at;

                if (!json_get(it, key))
                        return fail_key(m, it, key);
                at = find(out, it, key);
                merged = at >= 0 ? merge_map(m, out->items[at], it, elem) : it;
                if (!merged)
                        return NULL;
                if (at >= 0)
                        out->items[at] = merged;
                else
                        json_append(m->a, out, merged);
        }
        return normalize(m, out, rest, left, key);
}

/* What of ORIG is not in VALUES. */
static struct json *without(struct merge *m, const struct json *orig, const struct json *values)
{
        struct json *left = json_new_array(m->a);

        json_foreach_item(orig, it)
                if (find(values, it, NULL) < 0)
                        json_append(m->a, left, it);
        return left;
}

/* DELETES: PATCH are values that leave ORIG. */
static struct json *merge_list(struct merge *m, const struct json *orig, const struct json *patch,
                               const struct schema_field *f, bool deletes)
{
        const struct json *first;

        if (!deletes && (!f || !f->patch_merge))
                return (struct json *)patch;
        if (json_len(orig) == 0 && json_len(patch) == 0)
                return (struct json *)orig;
        first = json_at(orig, 0) ?: json_at(patch, 0);
        if (!check_items(m, orig, patch, first))
                return NULL;
        if (!json_is_object(first))
                return deletes ? without(m, orig, patch) : merge_scalars(m, orig, patch);
        if (!f || !f->patch_merge_key)
                return fail(m, status_make(m->a, 500, "", NULL, "cannot merge lists without merge key for struct"));
        return merge_keyed(m, orig, patch, f->patch_merge_key, f->type->elem);
}

/* --- directives of a map --- */

static bool retain_keys(struct merge *m, struct json *out, struct json *patch)
{
        const struct json *keys = json_get(patch, "$retainKeys");
        bool bad = !json_is_array(keys);

        if (!keys)
                return true;
        json_del(patch, "$retainKeys");
        json_foreach_member(patch, p) {
                if (json_is_null(p->value) || is_directive(p->key))
                        continue;
                bad |= find(keys, json_new_stringn(m->a, p->key, p->key_len), NULL) < 0;
        }
        if (bad)
                return fail(m, status_bad_request(m->a, "invalid patch format of retainKeys"));
        for (size_t i = out->len; i-- > 0;) {
                const char *key = out->members[i].key;

                if (find(keys, json_new_string(m->a, key), NULL) < 0)
                        json_del(out, key);
        }
        return true;
}

/* The patch's items, but those to be deleted, must be in ORDER in the same order. */
static bool order_fits(const struct json *patch, const struct json *order, const char *key)
{
        size_t at = 0;

        if (json_len(order) == 0)
                return true;
        json_foreach_item(patch, it) {
                if (key && streq(json_get_string(it, "$patch"), "delete"))
                        continue;
                while (at < order->len && !same_element(order->items[at], it, key))
                        at++;
                if (at++ >= order->len)
                        return false;
        }
        return true;
}

static bool fail_list(struct merge *m, const struct json *j)
{
        static const char *const types[] = {
                [JSON_NULL] = "%!s(<nil>)", [JSON_BOOL] = "bool", [JSON_STRING] = "string", [JSON_OBJECT] = "map[string]interface {}",
        };
        const char *type = json_is_number(j) ? (strpbrk(j->str, ".eE") ? "float64" : "int64") : types[j->type];

        return fail(m, status_make(m->a, 500, "", NULL, "expected a []interface {}, but received a %s", type));
}

/* One $setElementOrder/F: merges F right away, in that order, and takes it out of the patch. */
static bool set_order(struct merge *m, struct json *out, struct json *patch, const struct schema *schema,
                      const char *name, const struct json *order)
{
        const struct schema_field *f = schema && schema->type == SCHEMA_STRUCT ? schema_field(schema, name) : NULL;
        const struct json *orig = json_get(out, name);
        struct json *theirs = json_get(patch, name);
        const char *key = f ? f->patch_merge_key : NULL;
        struct json *merged;

        if (!json_is_array(order))
                return fail_list(m, order);
        if ((orig && !json_is_array(orig)) || (theirs && !json_is_array(theirs)))
                return fail_list(m, orig && !json_is_array(orig) ? orig : theirs);
        if (!f && schema)
                return fail_field(m, schema, name);
        if (f && f->type->type != SCHEMA_ARRAY && f->type->type != SCHEMA_BYTES)
                return fail(m, status_make(m->a, 500, "", NULL, "expected slice or array type, but got: struct"));
        if (!order_fits(theirs, order, key))
                return fail(m, status_make(m->a, 500, "", NULL,
                                           "The order in patch list:\n%s\n doesn't match $setElementOrder list:\n%s\n",
                                           print(m->a, theirs), print(m->a, order)));
        if (!orig && !theirs)
                return true;
        if (!theirs)
                merged = (struct json *)orig;
        else if (!orig)
                merged = remove_directives(m->a, theirs);
        else
                merged = merge_list(m, orig, theirs, f, false);
        if (!merged)
                return false;
        if (json_len(orig) == 0 && json_len(theirs) == 0)
                return fail(m, status_make(m->a, 500, "", NULL, "no elements in any of the given slices"));
        json_set(m->a, out, name, normalize(m, merged, order, orig, key));
        json_del(patch, name);
        return true;
}

static bool set_orders(struct merge *m, struct json *out, struct json *patch, const struct schema *schema)
{
        for (size_t i = 0; i < patch->len;) {
                const char *key = patch->members[i].key;
                const struct json *order = patch->members[i].value;

                if (!str_has_prefix(key, SET_ORDER)) {
                        i++;
                        continue;
                }
                json_del(patch, key);
                if (!set_order(m, out, patch, schema, key + strlen(SET_ORDER), order))
                        return false;
                i = 0; /* members moved */
        }
        return true;
}

/* --- maps --- */

static const struct schema *member_schema(const struct schema *schema, const struct schema_field *f)
{
        if (f)
                return f->type;
        return schema && schema->type == SCHEMA_MAP ? schema->elem : NULL;
}

static struct json *merge_member(struct merge *m, const struct json *orig, struct json *patch, const struct schema *schema,
                                 const char *key, bool deletes)
{
        const struct schema_field *f = schema && schema->type == SCHEMA_STRUCT ? schema_field(schema, key) : NULL;

        if (!orig || orig->type != patch->type)
                return clean(m->a, patch);
        if (!f && schema && (json_is_object(patch) || json_is_array(patch)))
                return fail_field(m, schema, key);
        if (json_is_object(patch))
                return f && f->patch_replace ? patch : merge_map(m, orig, patch, member_schema(schema, f));
        if (json_is_array(patch))
                return merge_list(m, orig, patch, f, deletes);
        return patch;
}

static struct json *copy_object(struct arena *a, const struct json *j)
{
        struct json *out = json_new_object(a);

        json_foreach_member(j, m)
                json_setn(a, out, m->key, m->key_len, m->value);
        return out;
}

static bool has_directive(const struct json *patch)
{
        json_foreach_member(patch, p)
                if (p->key[0] == '$')
                        return true;
        return false;
}

static struct json *merge_map(struct merge *m, const struct json *orig, struct json *patch, const struct schema *schema)
{
        const struct json *directive = json_get(patch, "$patch");
        struct json *out;

        if (streq(json_string(directive), "delete"))
                return json_new_object(m->a);
        if (directive && !streq(json_string(directive), "replace"))
                return fail_type(m, directive, patch);
        if (directive) {
                json_del(patch, "$patch");
                return patch;
        }
        if (json_len(patch) == 0)
                return (struct json *)orig;
        out = copy_object(m->a, orig);
        if (has_directive(patch) && (!retain_keys(m, out, patch) || !set_orders(m, out, patch, schema)))
                return NULL;
        json_foreach_member(patch, p) {
                bool deletes = str_has_prefix(p->key, DELETE_PRIMITIVES);
                const char *key = deletes ? p->key + strlen(DELETE_PRIMITIVES) : p->key;
                struct json *old = json_get(out, key), *v;

                if (json_is_null(p->value)) {
                        json_del(out, key);
                        continue;
                }
                if (deletes && (!old || !same_go_type(old, p->value)))
                        continue;
                v = merge_member(m, old, p->value, schema, key, deletes);
                if (m->failed)
                        return NULL;
                if (v)
                        json_set(m->a, out, key, v);
                else
                        json_del(out, key);
        }
        return out;
}

/* --- does the result fit the schema? Go's converter from maps to structs has its own texts. --- */

static const char *go_kind(const struct json *j)
{
        switch (j->type) {
        case JSON_BOOL:
                return "bool";
        case JSON_NUMBER:
                return strpbrk(j->str, ".eE") ? "float64" : "int64";
        case JSON_STRING:
                return "string";
        case JSON_ARRAY:
                return "slice";
        default:
                return "map";
        }
}

static const char *check_number(struct arena *a, struct json *j, const char *type)
{
        double d;

        if (!json_is_number(j))
                return arena_printf(a, "unrecognized type: %s", type);
        if (streq(type, "float64"))
                return NULL;
        if (!strpbrk(j->str, ".eE")) {
                int64_t n;

                if (streq(type, "int32") && json_to_int(j, &n) == 0 && n != (int32_t)n)
                        *j = *json_new_int(a, (int32_t)n); /* Go's conversion cuts it */
                return NULL;
        }
        d = json_to_double(j, 0);
        if (d != trunc(d) || fabs(d) > 9e18)
                return arena_printf(a, "cannot convert float64 to %s", type);
        *j = *json_new_int(a, (int64_t)d); /* 2.0 becomes 2 */
        return NULL;
}

static const char *check(struct arena *a, struct json *j, const struct schema *s);

static const char *check_struct(struct arena *a, struct json *j, const struct schema *s)
{
        const char *text = NULL;

        json_foreach_member(j, m) {
                const struct schema_field *f = schema_field(s, m->key);

                if (f && !text)
                        text = check(a, m->value, f->type);
        }
        return text;
}

static const char *check_string(struct arena *a, const struct json *j, const struct schema *s)
{
        if (json_is_string(j))
                return NULL;
        if (json_is_number(j) && !strpbrk(j->str, ".eE")) /* Go could make a rune of it */
                return arena_printf(a, "cannot convert int64 to %s", s->go_type ? s->go_type : "string");
        return "unrecognized type: string";
}

/* Types that read their own JSON: what they say of a value of the wrong kind. */
static const char *check_own(struct arena *a, const struct json *j, const struct schema *s)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool", [JSON_NUMBER] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
        };
        bool whole = json_is_number(j) && !strpbrk(j->str, ".eE");
        int64_t n = 0;

        if (json_is_string(j))
                return NULL;
        if (s->type != SCHEMA_INT_OR_STRING)
                return arena_printf(a, "json: cannot unmarshal %s into Go value of type string", names[j->type]);
        if (whole && json_to_int(j, &n) == 0 && n == (int32_t)n)
                return NULL;
        return arena_printf(a, "json: cannot unmarshal %s%s%s into Go value of type int32", names[j->type],
                            json_is_number(j) ? " " : "", json_is_number(j) ? j->str : "");
}

/* What is wrong with J, or NULL. */
static const char *check(struct arena *a, struct json *j, const struct schema *s)
{
        const char *text = NULL;
        ssize_t bad;

        if (json_is_null(j))
                return NULL;
        switch (s->type) {
        case SCHEMA_STRING:
                return check_string(a, j, s);
        case SCHEMA_BOOLEAN:
                return json_is_bool(j) ? NULL : "unrecognized type: bool";
        case SCHEMA_INT32:
                return check_number(a, j, "int32");
        case SCHEMA_INT64:
                return check_number(a, j, "int64");
        case SCHEMA_DOUBLE:
                return check_number(a, j, "float64");
        case SCHEMA_TIME:
        case SCHEMA_MICRO_TIME:
        case SCHEMA_DURATION:
        case SCHEMA_INT_OR_STRING:
                return check_own(a, j, s);
        case SCHEMA_BYTES:
                if (!json_is_string(j))
                        return arena_printf(a, "cannot restore slice from %s", go_kind(j));
                bad = base64_bad(j->str, j->len);
                return bad < 0 ? NULL : arena_printf(a, "error decoding from json: illegal base64 data at input byte %zd", bad);
        case SCHEMA_ARRAY:
                if (!json_is_array(j))
                        return arena_printf(a, "cannot restore slice from %s", go_kind(j));
                json_foreach_item(j, it)
                        if (!text)
                                text = check(a, it, s->elem);
                return text;
        case SCHEMA_MAP:
                if (!json_is_object(j))
                        return arena_printf(a, "cannot restore map from %s", go_kind(j));
                json_foreach_member(j, m)
                        if (!text)
                                text = check(a, m->value, s->elem);
                return text;
        case SCHEMA_STRUCT:
                if (!json_is_object(j))
                        return arena_printf(a, "cannot restore struct from: %s", go_kind(j));
                return check_struct(a, j, s);
        default:
                return NULL;
        }
}

const char *patch_go_convert(struct arena *a, struct json *j, const struct schema *s)
{
        return check(a, j, s);
}

const struct status *patch_strategic(struct arena *a, const struct schema *schema, const struct json *doc,
                                     const struct json **patch, struct json **ret)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool", [JSON_NUMBER] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array",
        };
        struct merge m = { .a = a };
        const char *text;
        struct json *out;

        if (json_is_null(*patch)) {
                *ret = (struct json *)doc;
                return NULL;
        }
        if (!json_is_object(*patch))
                return status_bad_request(a, "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                                          names[(*patch)->type]);
        if (is_consumed(*patch))
                *patch = json_clone(a, *patch);
        out = merge_map(&m, doc, (struct json *)*patch, schema);
        if (!out)
                return m.failed;
        text = check(a, out, schema);
        if (text)
                return patch_undecodable(a, print(a, *patch), text);
        /* The result becomes a Go struct, whose type is the URL's whatever the patch says. */
        if (out != doc) {
                json_set(a, out, "apiVersion", json_get(doc, "apiVersion") ?: json_new_string(a, NULL));
                json_set(a, out, "kind", json_get(doc, "kind") ?: json_new_string(a, NULL));
        }
        *ret = out;
        return NULL;
}
