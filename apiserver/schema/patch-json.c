/* RFC 6902 with the liberties of the library that upstream uses: replace adds what is missing,
 * a missing value is null, array indices may be negative, and the text of a failure never
 * reaches the client, who is only told that there was one.
 *
 * The document is shared with the caller, so each operation first copies the containers on its
 * path (not their contents): persistent data, O(depth) copies an operation.
 */
#include "patch-json.h"

#include <errno.h>

static const struct status *rejected(struct arena *a)
{
        return status_make(a, 422, "Invalid", json_new_object(a),
                           "the server rejected our request due to an error in our request");
}

/* --- pointers --- */

struct pointer {
        const char **keys; /* decoded */
        size_t n;
};

static char *unescape(struct arena *a, const char *s, size_t len)
{
        char *out = arena_alloc(a, len + 1), *o = out;

        for (size_t i = 0; i < len; i++) {
                if (s[i] == '~' && i + 1 < len && (s[i + 1] == '0' || s[i + 1] == '1'))
                        *o++ = s[++i] == '0' ? '~' : '/';
                else
                        *o++ = s[i];
        }
        *o = '\0';
        return out;
}

/* What stands before the first slash is dropped, even when it is not empty; without any slash
 * nothing is named. */
static bool pointer_parse(struct arena *a, const char *s, struct pointer *ret)
{
        const char *p = strchr(s, '/');
        size_t cap = 0;

        for (const char *q = p; q; q = strchr(q + 1, '/'))
                cap++;
        ret->n = 0;
        ret->keys = arena_alloc(a, (cap + 1) * sizeof(*ret->keys));
        while (p) {
                const char *next = strchr(p + 1, '/');

                ret->keys[ret->n++] = unescape(a, p + 1, next ? (size_t)(next - p - 1) : strlen(p + 1));
                p = next;
        }
        return ret->n > 0;
}

/* An index into LEN elements; negative ones count from the end. */
static bool array_index(const char *key, size_t len, size_t *ret)
{
        char *end;
        long i;

        errno = 0;
        i = strtol(key, &end, 10);
        if (errno || end == key || *end || key[0] == ' ')
                return false;
        if (i < 0)
                i += (long)len;
        if (i < 0 || i >= (long)len)
                return false;
        *ret = (size_t)i;
        return true;
}

static struct json *child(const struct json *j, const char *key)
{
        size_t i;

        if (json_is_object(j))
                return json_get(j, key);
        if (json_is_array(j) && array_index(key, j->len, &i))
                return j->items[i];
        return NULL;
}

/* A container of the same contents that may be changed. */
static struct json *own(struct arena *a, const struct json *j)
{
        struct json *copy = json_is_array(j) ? json_new_array(a) : json_new_object(a);

        json_foreach_member(j, m)
                json_setn(a, copy, m->key, m->key_len, m->value);
        json_foreach_item(j, it)
                json_append(a, copy, it);
        return copy;
}

static void put(struct arena *a, struct json *container, const char *key, struct json *value)
{
        size_t i;

        if (json_is_object(container))
                json_set(a, container, key, value);
        else if (array_index(key, container->len, &i))
                container->items[i] = value;
}

/* Copies the containers on the way to the parent of what P names. NULL: there is no such parent. */
static struct json *own_parent(struct arena *a, struct json **root, const struct pointer *p)
{
        struct json *at;

        if (!json_is_object(*root) && !json_is_array(*root))
                return NULL;
        *root = at = own(a, *root);
        for (size_t i = 0; i + 1 < p->n; i++) {
                struct json *next = child(at, p->keys[i]);

                if (!json_is_object(next) && !json_is_array(next))
                        return NULL;
                next = own(a, next);
                put(a, at, p->keys[i], next);
                at = next;
        }
        return at;
}

/* --- operations: each returns false when it cannot be carried out --- */

static bool lookup(const struct json *root, const struct pointer *p, const struct json **ret)
{
        const struct json *at = root;

        for (size_t i = 0; i < p->n; i++) {
                at = child(at, p->keys[i]);
                if (!at)
                        return false;
        }
        *ret = at;
        return true;
}

static bool op_add(struct arena *a, struct json **root, const struct pointer *p, const struct json *value)
{
        struct json *parent = own_parent(a, root, p), *v = (struct json *)value;
        const char *key = p->keys[p->n - 1];
        size_t i;

        if (!parent)
                return false;
        if (json_is_object(parent))
                json_set(a, parent, key, v);
        else if (streq(key, "-"))
                json_append(a, parent, v);
        else if (array_index(key, (size_t)parent->len + 1, &i))
                json_insert(a, parent, i, v);
        else
                return false;
        return true;
}

static bool op_remove(struct arena *a, struct json **root, const struct pointer *p)
{
        struct json *parent = own_parent(a, root, p);
        const char *key = p->keys[p->n - 1];
        size_t i;

        if (!parent)
                return false;
        if (json_is_object(parent))
                return json_del(parent, key);
        if (!array_index(key, parent->len, &i))
                return false;
        json_remove(parent, i);
        return true;
}

static bool op_replace(struct arena *a, struct json **root, const struct pointer *p, const struct json *value)
{
        struct json *parent = own_parent(a, root, p);

        if (!parent)
                return false;
        if (json_is_array(parent) && !child(parent, p->keys[p->n - 1]))
                return false;
        put(a, parent, p->keys[p->n - 1], (struct json *)value);
        return true;
}

static bool op_test(const struct json *root, const struct pointer *p, const struct json *value)
{
        const struct json *there = NULL;
        struct pointer parent = { p->keys, p->n ? p->n - 1 : 0 };

        if (!lookup(root, p, &there)) {
                /* A missing member of an object that exists equals null. */
                return p->n && lookup(root, &parent, &there) && json_is_object(there) && json_is_null(value);
        }
        return json_equal(there, value);
}

static bool op_copy(struct arena *a, struct json **root, const struct pointer *from, const struct pointer *to,
                    bool move)
{
        const struct json *value = NULL, *parent;

        if (!lookup(*root, from, &value)) {
                /* A copy of a member that is not there is null. */
                if (move || !from->n || !lookup(*root, &(struct pointer){ from->keys, from->n - 1 }, &parent) || !json_is_object(parent))
                        return false;
                value = json_new_null(a);
        }
        if (move && !op_remove(a, root, from))
                return false;
        return op_add(a, root, to, value);
}

static bool apply_op(struct arena *a, struct json **root, const struct json *op)
{
        const char *kind = json_get_string(op, "op"), *path = json_get_string(op, "path");
        const char *from_text = json_get_string(op, "from");
        const struct json *value = json_get(op, "value");
        struct pointer to, from;
        bool to_member;

        if (!kind || !path)
                return false;
        if (!value)
                value = json_new_null(a);
        to_member = pointer_parse(a, path, &to);
        if (streq(kind, "replace") && !*path) {
                *root = (struct json *)value;
                return json_is_object(value) || json_is_array(value);
        }
        if (streq(kind, "test"))
                return (to_member || !*path) && op_test(*root, &to, value);
        if (!to_member)
                return false;
        if (streq(kind, "add"))
                return op_add(a, root, &to, value);
        if (streq(kind, "remove"))
                return op_remove(a, root, &to);
        if (streq(kind, "replace"))
                return op_replace(a, root, &to, value);
        if (!streq(kind, "move") && !streq(kind, "copy"))
                return false;
        return from_text && pointer_parse(a, from_text, &from) &&
               op_copy(a, root, &from, &to, streq(kind, "move"));
}

static const char *go_type(const struct json *j)
{
        static const char *const names[] = {
                [JSON_NULL] = "null",     [JSON_BOOL] = "bool",   [JSON_NUMBER] = "number",
                [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
        };
        return names[j->type];
}

/* The patch library takes any members, the server's own look at it wants texts. */
static const struct status *check_shape(struct arena *a, const struct json *patch, bool raw)
{
        static const char *const members[] = { "op", "path", "from" };
        const char *prefix = raw ? "" : "error decoding patch: ";

        if (!json_is_array(patch))
                return status_bad_request(a, "%sjson: cannot unmarshal %s into Go value of type %s", prefix, go_type(patch),
                                          raw ? "jsonpatch.Patch" : "[]handlers.jsonPatchOp");
        json_foreach_item(patch, op) {
                if (!json_is_object(op) && !json_is_null(op))
                        return status_bad_request(a, "%sjson: cannot unmarshal %s into Go value of type %s", prefix, go_type(op),
                                                  raw ? "jsonpatch.Operation" : "handlers.jsonPatchOp");
                for (size_t i = 0; i < ARRAY_SIZE(members) && !raw; i++) {
                        const struct json *m = json_get(op, members[i]);

                        if (m && !json_is_string(m) && !json_is_null(m))
                                return status_bad_request(a, "error decoding patch: json: cannot unmarshal %s into "
                                                             "Go struct field jsonPatchOp.%s of type string",
                                                          go_type(m), members[i]);
                }
        }
        return NULL;
}

const struct status *patch_json(struct arena *a, const struct json *doc, const struct json *patch, bool raw,
                                struct json **ret)
{
        struct json *root = (struct json *)doc; /* only copies of its containers are changed */
        const struct status *st;

        if (!json_is_null(patch)) {
                st = check_shape(a, patch, raw);
                if (st)
                        return st;
        }
        if (json_len(patch) > PATCH_JSON_MAX_OPS)
                return status_make(a, 413, "RequestEntityTooLarge", NULL,
                                   "The allowed maximum operations in a JSON patch is %d, got %zu",
                                   PATCH_JSON_MAX_OPS, json_len(patch));
        json_foreach_item(patch, op)
                if (!apply_op(a, &root, op))
                        return rejected(a);
        *ret = root;
        return NULL;
}

/* --- what others made --- */

/* Why an operation on P, whose parent is there, fails. */
static const char *why_not_there(struct arena *a, const char *kind, const struct json *parent, const char *path, const char *key)
{
        char *end;
        long i;

        if (streq(kind, "replace"))
                return arena_printf(a, "replace operation does not apply: doc is missing key: %s: missing value", path);
        if (json_is_object(parent))
                return arena_printf(a, "error in %s for path: '%s': Unable to remove nonexistent key: %s: missing value", kind, path, key);
        i = strtol(key, &end, 10);
        if (end == key || *end)
                return arena_printf(a, "error in %s for path: '%s': strconv.Atoi: parsing %s: invalid syntax", kind, path,
                                    json_print(a, json_new_string(a, key)));
        return arena_printf(a, "error in %s for path: '%s': Unable to access invalid index: %ld: invalid index referenced", kind, path, i);
}

static const char *why_not(struct arena *a, const struct json *root, const struct json *op)
{
        const char *kind = json_get_string(op, "op"), *path = json_get_string(op, "path"), *from = json_get_string(op, "from");
        bool carries = kind && (streq(kind, "move") || streq(kind, "copy"));
        const struct json *parent = NULL;
        struct pointer p;

        if (!kind)
                return "Unexpected kind: unknown";
        if (!carries && !streq(kind, "add") && !streq(kind, "remove") && !streq(kind, "replace") && !streq(kind, "test"))
                return arena_printf(a, "Unexpected kind: %s", kind);
        if (!path)
                return arena_printf(a, "%s operation failed to decode path: missing value", kind);
        if (streq(kind, "test"))
                return arena_printf(a, "testing value %s failed: test failed", path);
        if (carries && from && pointer_parse(a, from, &p) && p.n && !lookup(root, &p, &parent) &&
            lookup(root, &(struct pointer){ p.keys, p.n - 1 }, &parent) && json_is_object(parent)) {
                if (streq(kind, "move"))
                        return arena_printf(a, "error in move for path: '%s': Unable to remove nonexistent key: %s: missing value", p.keys[p.n - 1],
                                            p.keys[p.n - 1]);
        } else if (carries && (!from || !pointer_parse(a, from, &p) || !lookup(root, &p, &parent)))
                return arena_printf(a, "%s operation does not apply: doc is missing from path: %s: missing value", kind, from ? from : "unknown");
        if (pointer_parse(a, path, &p) && lookup(root, &(struct pointer){ p.keys, p.n - 1 }, &parent) &&
            (json_is_object(parent) || json_is_array(parent)))
                return why_not_there(a, kind, parent, path, p.keys[p.n - 1]);
        if (carries)
                return arena_printf(a, "%s operation does not apply: doc is missing destination path: %s: missing value", kind, path);
        return arena_printf(a, streq(kind, "replace") ? "%s operation does not apply: doc is missing path: %s: missing value"
                                                      : "%s operation does not apply: doc is missing path: \"%s\": missing value",
                            kind, path);
}

int patch_json_made(struct arena *a, const struct json *doc, const struct json *patch, struct json **ret, const char **ret_why)
{
        struct json *root = (struct json *)doc;

        if (!json_is_array(patch)) {
                *ret_why = arena_printf(a, "json: cannot unmarshal %s into Go value of type jsonpatch.Patch", go_type(patch));
                return -EINVAL;
        }
        json_foreach_item(patch, op) {
                if (apply_op(a, &root, op))
                        continue;
                *ret_why = why_not(a, root, op);
                return streq(json_get_string(op, "op"), "test") ? -EAGAIN : -EINVAL;
        }
        *ret = root;
        return 0;
}
