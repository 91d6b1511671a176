/* Values of custom resources against their JSON schema, in the words of kube-openapi's validator.
 *
 * The schema walked is the definition's own JSON, beside its compiled form where there is one (lists' keys,
 * embedded resources). Parts of allOf, anyOf, oneOf and not have no compiled form.
 */
#include "crd.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "../validation/names.h"
#include "../validation/validate.h"

struct walk {
        struct arena *a;
        struct field_errors *errs;
        bool quiet;  /* only COUNT matters */
        size_t count;
};

/* --- errors --- */

static void complain(struct walk *w, enum field_error_type type, const char *path, const struct json *value, const char *fmt, ...)
        printf_like(5, 6);
static void complain(struct walk *w, enum field_error_type type, const char *path, const struct json *value, const char *fmt, ...)
{
        va_list ap;
        const char *text;

        w->count++;
        if (w->quiet)
                return;
        va_start(ap, fmt);
        text = arena_vprintf(w->a, fmt, ap);
        va_end(ap);
        field_error_add(w->errs, type, *path ? path : "<nil>", value, "%s", text);
}

/* Go's error without a field. */
static void complain_nowhere(struct walk *w, const char *text)
{
        w->count++;
        if (!w->quiet)
                field_error_add_text(w->errs, FIELD_INVALID, "<nil>", "\"\"", "%s", text);
}

static const char *below(struct walk *w, const char *path, const char *key)
{
        return *path ? arena_printf(w->a, "%s.%s", path, key) : key;
}

static const char *item_path(struct walk *w, const char *path, size_t i)
{
        return arena_printf(w->a, "%s[%zu]", path, i);
}

/* --- scalars --- */

static const char *word(const struct json *v)
{
        static const char *const words[] = {
                [JSON_NULL] = "null", [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
                [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
        };
        double d = json_to_double(v, 0.5);

        /* A float64 counts as an integer as far as it is exact. */
        if (json_is_number(v) && (!crd_is_float(v) || (d == floor(d) && fabs(d) < 9007199254740992.0)))
                return "integer";
        return words[v->type];
}

static bool type_fits(const struct json *raw, const struct json *v)
{
        const char *type = json_get_string(raw, "type");

        if (json_is_null(v))
                return json_get_bool(raw, "nullable", false);
        if (json_get_bool(raw, "x-kubernetes-int-or-string", false))
                return json_is_string(v) || streq(word(v), "integer");
        return !type || streq(type, word(v)) || (streq(type, "number") && json_is_number(v));
}

static size_t runes(const struct json *v)
{
        size_t n = 0;

        for (uint32_t i = 0; i < v->len; i++)
                n += ((unsigned char)v->str[i] & 0xc0) != 0x80;
        return n;
}

static void check_string(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const char *pattern = json_get_string(raw, "pattern");
        int64_t max = json_get_int(raw, "maxLength", -1), min = json_get_int(raw, "minLength", -1);

        if (max >= 0 && runes(v) > (size_t)max)
                complain(w, FIELD_TOO_LONG, path, v, "may not be more than %lld bytes", (long long)max);
        else if (min >= 0 && runes(v) < (size_t)min)
                complain(w, FIELD_INVALID, path, v, "%s in body should be at least %lld chars long", path, (long long)min);
        else if (pattern && crd_pattern_match(w->a, pattern, v->str, NULL) == 0)
                complain(w, FIELD_INVALID, path, v, "%s in body should match '%s'", path, pattern);
}

static void check_format(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const char *format = json_get_string(raw, "format"), *type = json_get_string(raw, "type");
        int64_t i;

        if (!format)
                return;
        if (json_is_string(v) && streq(type, "string") && !crd_format_valid(format, v->str)) {
                _cleanup_strbuf_ struct strbuf quoted = STRBUF_INIT;

                go_quote(&quoted, v->str, v->len);
                complain(w, FIELD_TYPE_INVALID, path, v, "%s in body must be of type %s: %s", path, format, strbuf_str(&quoted));
        }
        if (json_is_number(v) && streq(format, "int32") && (json_to_int(v, &i) < 0 || i < INT32_MIN || i > INT32_MAX))
                complain_nowhere(w, arena_printf(w->a, "Checked value must be of type %s with format int32 in %s", type, path));
        if (json_is_number(v) && streq(format, "float") && fabs(json_to_double(v, 0)) > FLT_MAX)
                complain_nowhere(w, arena_printf(w->a, "Checked value must be of type %s with format float in %s", type, path));
}

/* By floor(), which the compiler has, and not round(), for which all of libm would be loaded. */
static bool is_multiple(double d, double of)
{
        double fraction = d / of - floor(d / of);

        return !(fraction > 1e-9 && 1 - fraction > 1e-9);
}

/* Whole numbers are compared with whole bounds: what is behind their point does not count. */
static double bound_for(const struct json *v, const struct json *bound)
{
        double d = json_to_double(bound, 0);

        if (crd_is_float(v))
                return d;
        return d < 0 ? -floor(-d) : floor(d);
}

static const char *bound_text(struct walk *w, const struct json *v, double bound)
{
        return crd_is_float(v) ? go_float(w->a, bound) : arena_printf(w->a, "%.0f", bound);
}

static void check_multiple(struct walk *w, const struct json *v, const struct json *of, const char *path)
{
        double factor = bound_for(v, of);

        if (factor <= 0)
                complain(w, FIELD_INVALID, path, json_new_double(w->a, factor), "factor MultipleOf declared for %s must be positive: %s",
                         path, go_float(w->a, factor));
        else if (!is_multiple(json_to_double(v, 0), factor))
                complain(w, FIELD_INVALID, path, v, "%s in body should be a multiple of %s", path, bound_text(w, v, factor));
}

static void check_number(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const struct json *max = json_get(raw, "maximum"), *min = json_get(raw, "minimum"), *of = json_get(raw, "multipleOf");
        bool below_max = json_get_bool(raw, "exclusiveMaximum", false), above_min = json_get_bool(raw, "exclusiveMinimum", false);
        double d = json_to_double(v, 0), x;

        if (json_is_number(of))
                check_multiple(w, v, of, path);
        if (json_is_number(min)) {
                x = bound_for(v, min);
                if (above_min ? d <= x : d < x)
                        complain(w, FIELD_INVALID, path, v, "%s in body should be greater than%s %s", path,
                                 above_min ? "" : " or equal to", bound_text(w, v, x));
        }
        if (json_is_number(max)) {
                x = bound_for(v, max);
                if (below_max ? d >= x : d > x)
                        complain(w, FIELD_INVALID, path, v, "%s in body should be less than%s %s", path, below_max ? "" : " or equal to",
                                 bound_text(w, v, x));
        }
}

static void check_enum(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const struct json *list = json_get(raw, "enum");
        const char **words;
        size_t n = 0;

        if (!json_len(list))
                return;
        json_foreach_item(list, item)
                if (json_equal(item, v))
                        return;
        w->count++;
        if (w->quiet)
                return;
        words = arena_calloc(w->a, (json_len(list) + 1) * sizeof(*words));
        json_foreach_item(list, item)
                words[n++] = json_is_string(item) ? item->str : json_print(w->a, item);
        field_error_not_supported(w->errs, *path ? path : "<nil>", v, words);
}

/* --- containers --- */

static void walk(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                 const struct json *old, const char *path);

static void mismatch(struct walk *w, const struct json *raw, const struct json *v, const char *type, const char *path);

static struct json *keys_of(struct arena *a, const struct schema *s, const struct json *item)
{
        struct json *out = json_new_object(a);

        for (const char *const *k = s->list_keys; k && *k; k++)
                if (json_get(item, *k))
                        json_set(a, out, *k, json_get(item, *k));
        return out;
}

static int by_hash(const void *x, const void *y)
{
        const struct crd_keyed *a = x, *b = y;

        if (a->hash != b->hash)
                return a->hash < b->hash ? -1 : 1;
        return (a->i > b->i) - (a->i < b->i);
}

void crd_keyed_init(struct crd_keyed_list *l, struct arena *a, const struct schema *s, const struct json *old)
{
        *l = (struct crd_keyed_list){.arena = a, .schema = s};
        if (!s || s->type != SCHEMA_ARRAY || s->list_type != SCHEMA_LIST_MAP || !json_is_array(old) || !json_len(old))
                return;
        l->items = arena_alloc(a, json_len(old) * sizeof(*l->items));
        json_foreach_item(old, item) {
                const struct json *keys = keys_of(a, s, item);

                l->items[l->n++] = (struct crd_keyed){json_hash(keys), item_i, keys, item};
        }
        qsort(l->items, l->n, sizeof(*l->items), by_hash);
}

const struct json *crd_keyed_find(const struct crd_keyed_list *l, const struct json *item)
{
        const struct json *keys = l->n ? keys_of(l->arena, l->schema, item) : NULL;
        uint64_t hash = keys ? json_hash(keys) : 0;
        size_t from = 0, to = l->n;

        while (from < to) {
                size_t middle = from + (to - from) / 2;

                if (l->items[middle].hash < hash)
                        from = middle + 1;
                else
                        to = middle;
        }
        for (; from < l->n && l->items[from].hash == hash; from++)
                if (json_equal(keys, l->items[from].keys))
                        return l->items[from].item;
        return NULL;
}

static void walk_array(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                       const struct json *old, const char *path)
{
        const struct json *items = json_get(raw, "items");
        int64_t max = json_get_int(raw, "maxItems", -1), min = json_get_int(raw, "minItems", -1);
        struct crd_keyed_list before;

        crd_keyed_init(&before, w->a, s, old);
        if (json_is_object(items))
                json_foreach_item(v, item)
                        walk(w, items, s && s->type == SCHEMA_ARRAY ? s->elem : NULL, item, crd_keyed_find(&before, item),
                             item_path(w, path, item_i));
        if (min >= 0 && v->len < min)
                complain(w, FIELD_INVALID, path, json_new_int(w->a, v->len), "%s in body should have at least %lld items", path,
                         (long long)min);
        if (max >= 0 && v->len > max)
                complain(w, FIELD_TOO_MANY, path, json_new_int(w->a, v->len), "must have at most %lld item%s", (long long)max, max == 1 ? "" : "s");
}

static void walk_object(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                        const struct json *old, const char *path)
{
        const struct json *props = json_get(raw, "properties"), *more = json_get(raw, "additionalProperties");
        int64_t max = json_get_int(raw, "maxProperties", -1), min = json_get_int(raw, "minProperties", -1);

        if (min >= 0 && v->len < min)
                complain(w, FIELD_INVALID, path, json_new_int(w->a, v->len), "%s in body should have at least %lld properties",
                         path, (long long)min);
        if (max >= 0 && v->len > max)
                complain(w, FIELD_TOO_MANY, path, json_new_int(w->a, v->len), "must have at most %lld item%s", (long long)max, max == 1 ? "" : "s");
        json_foreach_item(json_get(raw, "required"), name)
                if (json_is_string(name) && !json_getn(v, name->str, name->len))
                        complain(w, FIELD_REQUIRED, below(w, path, name->str), NULL, "%s", "");
        json_foreach_member(v, m) {
                const struct json *prop = json_getn(props, m->key, m->key_len);
                const struct schema *sub = NULL;
                if (!prop && json_is_object(more))
                        prop = more;
                if (!prop)
                        continue;
                if (s && s->type == SCHEMA_STRUCT && schema_field(s, m->key))
                        sub = schema_field(s, m->key)->type;
                else if (s && s->type == SCHEMA_MAP)
                        sub = s->elem;
                walk(w, prop, sub, m->value, json_getn(old, m->key, m->key_len), below(w, path, m->key));
        }
}

/* --- combinations --- */

static size_t failures(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        struct walk quiet = {.a = w->a, .quiet = true};

        walk(&quiet, raw, NULL, v, NULL, path);
        return quiet.count;
}

static void check_alternatives(struct walk *w, const struct json *list, const char *path, const struct json *v, bool one)
{
        size_t valid = 0;
        const struct json *first = NULL;

        if (!json_len(list))
                return;
        json_foreach_item(list, raw) {
                if (failures(w, raw, v, path) == 0)
                        valid++;
                else if (!first)
                        first = raw;
        }
        if (one ? valid == 1 : valid > 0)
                return;
        if (!one)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate at least one schema (anyOf)", path));
        else if (valid == 0)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate one and only one schema (oneOf). Found none valid",
                                                 path));
        else
                complain_nowhere(w, arena_printf(w->a,
                                                 "\"%s\" must validate one and only one schema (oneOf). Found %zu valid "
                                                 "alternatives", path, valid));
        if (valid == 0 && first)
                walk(w, first, NULL, v, NULL, path);
}

static void check_combinations(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const struct json *not = json_get(raw, "not"), *all = json_get(raw, "allOf");
        size_t valid = 0;

        check_alternatives(w, json_get(raw, "anyOf"), path, v, false);
        check_alternatives(w, json_get(raw, "oneOf"), path, v, true);
        json_foreach_item(all, part) {
                size_t before = w->count;
                walk(w, part, NULL, v, NULL, path);
                valid += w->count == before;
        }
        if (json_len(all) && valid < json_len(all))
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate all the schemas (allOf)%s", path,
                                                 valid ? "" : ". None validated"));
        if (not && failures(w, not, v, path) == 0)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must not validate the schema (not)", path));
}

/* A value of another type: more is said of numbers with a fraction, and of those that are named. */
static void mismatch(struct walk *w, const struct json *raw, const struct json *v, const char *type, const char *path)
{
        const char *format = json_get_string(raw, "format"), *is = word(v);
        bool whole = streq(type, "integer"), sized = format && (streq(format, "int32") || streq(format, "int64"));

        if (whole && sized && json_is_number(v)) {
                type = format;
                is = "float64";
        }
        complain(w, FIELD_TYPE_INVALID, path, json_new_string(w->a, is), "%s in body must be of type %s: \"%s\"", path, type, is);
        if (whole && json_is_number(v))
                complain_nowhere(w, arena_printf(w->a, sized ? "Checked value must be of type integer with format %s in %s"
                                                             : "Checked value must be of type integer (default format) in %s%.0s",
                                                 sized ? format : path, path));
        if (json_is_number(v))
                check_number(w, raw, v, path);
        if (!json_is_null(v))
                check_enum(w, raw, v, path);
}

static void walk(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                 const struct json *old, const char *path)
{
        if (old && json_equal(v, old))
                return; /* it was let in as it is */
        if (!type_fits(raw, v)) {
                const char *type = json_get_string(raw, "type");
                if (json_get_bool(raw, "x-kubernetes-int-or-string", false))
                        type = "integer,string";
                if (json_is_null(v) && !type)
                        return;
                mismatch(w, raw, v, type ? type : "", path);
                return;
        }
        if (json_is_null(v))
                return;
        check_combinations(w, raw, v, path);
        if (json_is_string(v))
                check_string(w, raw, v, path);
        check_format(w, raw, v, path);
        if (json_is_number(v))
                check_number(w, raw, v, path);
        if (json_is_array(v))
                walk_array(w, raw, s, v, old, path);
        check_enum(w, raw, v, path);
        if (json_is_object(v))
                walk_object(w, raw, s, v, old, path);
}

/* --- embedded resources, lists with keys --- */

static void check_embedded(struct walk *w, const struct schema *schema, const struct json *v, const char *path)
{
        static const char *const names[] = {"apiVersion", "kind"};
        const char *messages[NAME_MESSAGES], *s, *slash;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (!json_get(v, names[i]))
                        complain(w, FIELD_REQUIRED, below(w, path, names[i]), NULL, "%s", "");
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const struct json *is = json_get(v, names[i]);
                const char *at = below(w, path, names[i]);
                char *lower;

                if (!is)
                        continue;
                if (!(s = json_string(is))) {
                        complain(w, FIELD_INVALID, at, is, "must be a string");
                        continue;
                }
                if (!*s)
                        complain(w, FIELD_INVALID, at, is, "must not be empty");
                else if (i == 0 && (slash = strchr(s, '/')) && strchr(slash + 1, '/'))
                        complain(w, FIELD_INVALID, at, is, "unexpected GroupVersion string: %s", s);
                if (i == 0 || !*s)
                        continue;
                lower = arena_strdup(w->a, s);
                for (char *p = lower; *p; p++)
                        *p = (char)tolower((unsigned char)*p);
                if (name_check(w->a, NAME_DNS1035_LABEL, lower, messages))
                        complain(w, FIELD_INVALID, at, is, "may have mixed case, but should otherwise match: %s", messages[0]);
        }
        if (json_is_object(json_get(v, "metadata")))
                metadata_validate_embedded(schema, v, *path ? arena_printf(w->a, "%s.", path) : "", w->errs);
}

static void walk_embedded(struct walk *w, const struct schema *s, const struct json *v, const char *path)
{
        if (!s->crd)
                return;
        if (s->embedded_resource && json_is_object(v))
                check_embedded(w, s, v, path);
        if (s->type == SCHEMA_STRUCT)
                json_foreach_member(v, m) {
                        const struct schema_field *f = schema_field(s, m->key);
                        if (f)
                                walk_embedded(w, f->type, m->value, below(w, path, m->key));
                }
        else if (s->type == SCHEMA_ARRAY)
                json_foreach_item(v, item)
                        walk_embedded(w, s->elem, item, item_path(w, path, item_i));
        else if (s->type == SCHEMA_MAP)
                json_foreach_member(v, m)
                        walk_embedded(w, s->elem, m->value, below(w, path, m->key));
}

/* Go tells 1 and 1.0 apart, which it holds in different types. */
static bool same_key(const struct json *x, const struct json *y)
{
        if (json_is_number(x) && json_is_number(y) && crd_is_float(x) != crd_is_float(y))
                return false;
        return json_equal(x, y);
}

/* Each item that was there before is told once, however often it comes again. */
static void check_duplicates(struct walk *w, const struct schema *s, const struct json *list, const char *path)
{
        size_t n = json_len(list), mask = 15;
        struct seen {
                const struct json *key;
                uint64_t hash;
                bool told;
        } *table;

        json_foreach_item(s->list_type == SCHEMA_LIST_MAP ? list : NULL, item)
                if (!json_is_object(item) && !json_is_null(item)) {
                        complain(w, FIELD_INVALID, item_path(w, path, item_i), item, "must be an object for an array of list-type map");
                        return;
                }
        if (s->list_type == SCHEMA_LIST_ATOMIC || n < 2)
                return;
        while (mask < n * 2)
                mask = mask * 2 + 1;
        table = arena_calloc(w->a, (mask + 1) * sizeof(*table));
        json_foreach_item(list, item) {
                const struct json *key = s->list_type == SCHEMA_LIST_MAP ? keys_of(w->a, s, item) : item;
                uint64_t hash = json_hash(key);
                size_t at = hash & mask;

                while (table[at].key && (table[at].hash != hash || !same_key(table[at].key, key)))
                        at = (at + 1) & mask;
                if (table[at].key && !table[at].told) {
                        table[at].told = true;
                        complain(w, FIELD_DUPLICATE, item_path(w, path, item_i), key, "%s", "");
                } else if (!table[at].key) {
                        table[at] = (struct seen){key, hash, false};
                }
        }
}

static void walk_lists(struct walk *w, const struct schema *s, const struct json *v, const char *path)
{
        if (!s->crd)
                return;
        if (s->type == SCHEMA_STRUCT)
                json_foreach_member(v, m) {
                        const struct schema_field *f = schema_field(s, m->key);
                        if (f)
                                walk_lists(w, f->type, m->value, below(w, path, m->key));
                }
        else if (s->type == SCHEMA_MAP)
                json_foreach_member(v, m)
                        walk_lists(w, s->elem, m->value, below(w, path, m->key));
        if (s->type != SCHEMA_ARRAY || !json_is_array(v))
                return;
        json_foreach_item(v, item)
                walk_lists(w, s->elem, item, item_path(w, path, item_i));
        check_duplicates(w, s, v, path);
}

void crd_validate_values(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                         struct field_errors *errs)
{
        struct walk w = {.a = errs->arena, .errs = errs};

        walk(&w, s->crd->raw, s, obj, old, path);
}

void crd_validate_embedded(const struct schema *s, const struct json *obj, const char *path, struct field_errors *errs)
{
        struct walk w = {.a = errs->arena, .errs = errs};

        walk_embedded(&w, s, obj, path);
}

void crd_validate_lists(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                        struct field_errors *errs)
{
        struct field_errors before = {.arena = errs->arena};
        struct walk w = {.a = errs->arena, .errs = errs}, stored = {.a = errs->arena, .errs = &before};

        if (old)
                walk_lists(&stored, s, old, path);
        if (!before.n)
                walk_lists(&w, s, obj, path);
}

void crd_validate(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                  struct field_errors *errs)
{
        crd_validate_values(s, obj, old, path, errs);
        crd_validate_embedded(s, obj, path, errs);
        crd_validate_lists(s, obj, old, path, errs);
}

bool crd_value_valid(struct arena *a, const struct json *raw, const struct json *value)
{
        struct walk w = {.a = a, .quiet = true};

        walk(&w, raw, NULL, value, NULL, "");
        return w.count == 0;
}
