/* The rules, case by case: cases/<group>.cases say what is broken and all that is said of it.
 *
 *      object apps/v1 deployments          a valid object, which the cases below change
 *        {"spec": ...}                     its JSON, over as many lines as it takes
 *
 *      create spec.replicas = -1; ...      what is created: the object with these values; `path -` leaves one out
 *        spec.replicas: Invalid value: -1: must be greater than or equal to 0
 *      update spec.selector = {}           what the object becomes; `status`, `resize` and others: through the subresource
 *        ...                               every error in order, as clients read it; none: it is let in, and what it is
 *                                          warned of is below: "warning: ..."
 *
 * Paths are dotted, `a[0]` is an item, `a["b.c"]` a key with dots.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "../../lib/base/file.h"
#include "../request.h"
#include "../schema/decode.h"
#include "../schema/default.h"
#include "validate.h"

struct cases {
        const char *file;
        const struct resource *res;
        const char *object; /* JSON text */
        size_t line, n, failed;
};

static struct json *parse(struct cases *k, struct arena *a, const char *text, size_t len)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *j = NULL;

        if (json_parse(a, text, len, NULL, &j, &err) < 0)
                fail_msg("%s:%zu: %s: %.*s", k->file, k->line, error_text(&err), (int)len, text);
        return j;
}

/* One step of a path at *P; *RET_KEY is set for a field, else *RET_INDEX. */
static bool step(struct arena *a, const char **p, const char **ret_key, size_t *ret_index)
{
        const char *s = *p, *end;

        *ret_key = NULL;
        if (*s == '.')
                s++;
        if (str_has_prefix(s, "[\"")) {
                end = strstr(s, "\"]");
                *ret_key = arena_strndup(a, s + 2, end - s - 2);
                *p = end + 2;
        } else if (*s == '[') {
                *ret_index = strtoul(s + 1, (char **)&end, 10);
                *p = end + 1;
        } else {
                end = s + strcspn(s, ".[ ");
                *ret_key = arena_strndup(a, s, end - s);
                *p = end;
        }
        return **p == '.' || **p == '[';
}

/* Sets what PATH names in OBJ to VALUE (NULL: takes it away), making what is missing on the way. */
static void set_path(struct arena *a, struct json *obj, const char *path, struct json *value)
{
        for (;;) {
                const char *key;
                size_t index = 0;
                bool more = step(a, &path, &key, &index);
                struct json *next = key ? json_get(obj, key) : json_at(obj, index);

                if (!more) {
                        if (!value)
                                json_del(obj, key);
                        else if (key)
                                json_set(a, obj, key, value);
                        else if (index < json_len(obj))
                                obj->items[index] = value;
                        else
                                json_append(a, obj, value);
                        return;
                }
                if (!next) {
                        next = *path == '[' && path[1] != '"' ? json_new_array(a) : json_new_object(a);
                        if (key)
                                json_set(a, obj, key, next);
                        else
                                json_append(a, obj, next);
                }
                obj = next;
        }
}

static struct json *base_object(struct cases *k, struct arena *a)
{
        struct json *obj = parse(k, a, k->object, strlen(k->object)), *meta = json_ensure_object(a, obj, "metadata");

        if (!json_get(meta, "name"))
                json_set_string(a, meta, "name", "x");
        if (k->res->namespaced)
                json_set_string(a, meta, "namespace", "default");
        json_set_string(a, meta, "uid", "u");
        json_set_string(a, meta, "resourceVersion", "1");
        return obj;
}

/* CHANGES: "path = json; path -". */
static void apply_changes(struct cases *k, struct arena *a, struct json *obj, const char *changes)
{
        while (*changes) {
                const char *end = strstr(changes, " ; "), *stop = end ? end : changes + strlen(changes);
                const char *equals = strstr(changes, " = ");

                if (equals && equals < stop)
                        set_path(a, obj, changes, parse(k, a, equals + 3, stop - equals - 3));
                else
                        set_path(a, obj, changes, NULL);
                changes = end ? end + 3 : stop;
        }
}

static struct json *finish(struct cases *k, struct arena *a, struct json *obj)
{
        _cleanup_error_ struct error err = ERROR_INIT;

        if (schema_decode(a, k->res->schema, obj, NULL, &err) < 0)
                fail_msg("%s:%zu: %s", k->file, k->line, error_text(&err));
        schema_default(a, k->res, obj);
        schema_canonicalise(a, k->res->schema, obj);
        return obj;
}

/* WANTED: the errors, a line each. */
static void run_case(struct cases *k, const char *verb, const char *changes, const char *wanted)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf said = STRBUF_INIT;
        struct json *obj = base_object(k, a), *old = NULL;
        struct field_errors errs = { .arena = a };
        struct api_request r = { .arena = a };
        bool create = streq(verb, "create");

        if (!create)
                old = finish(k, a, base_object(k, a));
        apply_changes(k, a, obj, changes);
        finish(k, a, obj);
        validate_object(NULL, k->res, obj, old, create || streq(verb, "update") ? "" : verb, &errs);
        for (size_t i = 0; i < errs.n; i++) {
                char *text = field_error_print(a, &errs.list[i]);

                text[strcspn(text, "\n")] = '\0'; /* what differs is for people */
                strbuf_printf(&said, "%s\n", text);
        }
        if (!errs.n && (create || streq(verb, "update")))
                validation_warn(&r, k->res, obj, old, "");
        for (size_t i = 0; i < r.n_warnings; i++)
                strbuf_printf(&said, "warning: %s\n", r.warnings[i]);
        k->n++;
        if (streq(strbuf_str(&said), wanted))
                return;
        k->failed++;
        fprintf(stderr, "%s:%zu: %s %s\n  wanted:\n%s  said:\n%s", k->file, k->line, verb, changes, wanted, strbuf_str(&said));
}

/* The indented lines at *P, without their indent. */
static void indented(const char **p, struct strbuf *ret)
{
        while (**p == ' ') {
                const char *end = strchrnul(*p, '\n');

                strbuf_append(ret, *p + strspn(*p, " "), end - *p - strspn(*p, " "));
                strbuf_putc(ret, '\n');
                *p = *end ? end + 1 : end;
        }
}

static size_t line_of(const char *text, const char *p)
{
        size_t n = 1;

        for (; text < p; text++)
                n += *text == '\n';
        return n;
}

static void run_text(struct cases *k, struct arena *a, const char *text)
{
        for (const char *p = text; *p;) {
                const char *end = strchrnul(p, '\n'), *space = memchr(p, ' ', end - p);
                const char *verb = arena_strndup(a, p, space ? space - p : end - p);
                const char *rest = space ? arena_strndup(a, space + 1, end - space - 1) : "";
                _cleanup_strbuf_ struct strbuf below = STRBUF_INIT;

                k->line = line_of(text, p);
                p = *end ? end + 1 : end;
                if (!*verb || *verb == '#')
                        continue;
                indented(&p, &below);
                if (streq(verb, "object")) {
                        const char *resource = strchr(rest, ' ') + 1, *slash = strchr(rest, '/');
                        const char *group = slash ? arena_strndup(a, rest, slash - rest) : "";
                        const char *version = slash ? slash + 1 : rest;

                        k->res = builtin_resource(group, arena_strndup(a, version, strcspn(version, " ")), resource);
                        if (!k->res)
                                fail_msg("%s:%zu: no resource %s", k->file, k->line, rest);
                        k->object = arena_strdup(a, strbuf_str(&below));
                } else {
                        run_case(k, verb, rest, strbuf_str(&below));
                }
        }
}

static void run_file(const char *name)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_free_ char *text = NULL;
        struct cases k = { .file = arena_printf(a, "apiserver/validation/cases/%s", name) }; /* tests run in the source tree */

        if (file_read(k.file, 1 << 20, &text, NULL, NULL) < 0)
                fail_msg("no %s", k.file);
        run_text(&k, a, text);
        if (k.failed)
                fail_msg("%s: %zu of %zu cases failed", name, k.failed, k.n);
        assert_true(k.n > 0);
}

static void test_pods(void **state)
{
        run_file("pods.cases");
}

static void test_volumes(void **state)
{
        run_file("volumes.cases");
}

static void test_workloads(void **state)
{
        run_file("workloads.cases");
}

static void test_core(void **state)
{
        run_file("core.cases");
}

static void test_access(void **state)
{
        run_file("access.cases");
}

static void test_admission(void **state)
{
        run_file("admission.cases");
}

static void test_devices(void **state)
{
        run_file("devices.cases");
}

static void test_networking(void **state)
{
        run_file("networking.cases");
}

static void test_warnings(void **state)
{
        run_file("warnings.cases");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pods),
                cmocka_unit_test(test_volumes),
                cmocka_unit_test(test_workloads),
                cmocka_unit_test(test_core),
                cmocka_unit_test(test_access),
                cmocka_unit_test(test_admission),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_networking),
                cmocka_unit_test(test_warnings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
