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

enum { REPEATS_MAX = 64 };

struct walk {
        struct arena *a;
        struct field_errors *errs;
        bool quiet;  /* only COUNT matters */
        bool loose;  /* of a default: upstream takes anything for an integer or a string there, and any format for one */
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
        for (size_t i = 0; i < MIN(w->errs->n, (size_t)REPEATS_MAX); i++) /* alternatives may say the same */
                if (w->errs->list[i].type == type && streq(w->errs->list[i].path, *path ? path : "<nil>") &&
                    streq(w->errs->list[i].detail, text))
                        return;
        if (value && json_is_number(value) && crd_is_float(value))
                field_error_add_text(w->errs, type, *path ? path : "<nil>", go_float(w->a, json_to_double(value, 0)), "%s", text);
        else
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

/* The types that a schema takes: as many as there are. */
static size_t types_of(const struct json *raw, const char *ret[2])
{
        const char *type = json_get_string(raw, "type");

        if (json_get_bool(raw, "x-kubernetes-int-or-string", false)) {
                ret[0] = "integer";
                ret[1] = "string";
                return 2;
        }
        ret[0] = type;
        return !str_empty(type);
}

static bool takes(const struct json *raw, const char *type)
{
        const char *types[2];

        for (size_t n = types_of(raw, types); n; n--)
                if (streq(types[n - 1], type))
                        return true;
        return false;
}

/* NULL: none that goes with the type. */
static const char *format_of(const struct json *raw)
{
        const char *format = json_get_string(raw, "format"), *types[2];
        size_t n = types_of(raw, types);

        return !str_empty(format) && crd_format_known(n == 1 ? types[0] : "", format) ? format : NULL;
}

/* A float64 counts as an integer as far as it is exact. */
static bool is_whole(const struct json *v)
{
        double d = json_to_double(v, 0.5);

        return !crd_is_float(v) || (d == floor(d) && fabs(d) < 9007199254740992.0);
}

/* Go's types: what a number was read as, and its size. */
static const char *word(const struct json *v, const char **ret_size)
{
        static const char *const words[] = {
                [JSON_NULL] = "null", [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
                [JSON_STRING] = "string", [JSON_ARRAY] = "array", [JSON_OBJECT] = "object",
        };

        *ret_size = !json_is_number(v) ? "" : crd_is_float(v) ? "float64" : "int64";
        return json_is_number(v) && !crd_is_float(v) ? "integer" : words[v->type];
}

/* Whether V is of a type that RAW takes; texts and lists with a format are looked at by that alone. */
static bool check_type(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const char *size, *is = word(v, &size), *format = w->loose ? json_get_string(raw, "format") : format_of(raw);
        const char *types[2] = {"", ""}, *wanted;
        size_t n = types_of(raw, types);
        bool text = json_is_string(v) || json_is_array(v),
             fits = takes(raw, is) || (json_is_number(v) && ((crd_is_float(v) && is_whole(v) && takes(raw, "integer")) ||
                                                             (!crd_is_float(v) && takes(raw, "number"))));

        if (str_empty(format))
                format = NULL;
        if (json_is_null(v) ? !n || json_get_bool(raw, "nullable", false) : fits || (!n && !format))
                return true;
        if (w->loose && n == 2)
                return true;
        wanted = n == 2 ? "integer,string" : types[0];
        if (format && !json_is_null(v)) {
                if (!text && streq(size, format))
                        return true;
                if (text && !takes(raw, "number") && !takes(raw, "integer"))
                        return true;
                if (!text) {
                        wanted = format;
                        is = size;
                }
        }
        complain(w, FIELD_TYPE_INVALID, path, json_new_string(w->a, is), "%s in body must be of type %s: \"%s\"", path, wanted, is);
        return false;
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
        int64_t max = json_get_int(raw, "maxLength", INT64_MAX), min = json_get_int(raw, "minLength", -1);

        if (max < 0)
                complain(w, FIELD_TOO_LONG, path, v, "value is too long");
        else if (runes(v) > (size_t)max)
                complain(w, FIELD_TOO_LONG, path, v, "may not be more than %lld bytes", (long long)max);
        else if (min >= 0 && runes(v) < (size_t)min)
                complain(w, FIELD_INVALID, path, v, "%s in body should be at least %lld chars long", path, (long long)min);
        else if (pattern && crd_pattern_match(w->a, pattern, v->str, NULL) == 0)
                complain(w, FIELD_INVALID, path, v, "%s in body should match '%s'", path, pattern);
}

static void check_format(struct walk *w, const char *format, const struct json *v, const char *path)
{
        _cleanup_strbuf_ struct strbuf quoted = STRBUF_INIT;

        if (crd_format_valid(format, v->str))
                return;
        go_quote(&quoted, v->str, v->len);
        complain(w, FIELD_TYPE_INVALID, path, v, "%s in body must be of type %s: %s", path, format, strbuf_str(&quoted));
}

/* Whether a number, or one that RAW compares it with, is of its type: WHAT says which. */
static bool check_range(struct walk *w, const struct json *raw, const struct json *v, const char *what, const char *path)
{
        const char *type = json_get_string(raw, "type"), *format = format_of(raw);
        bool whole = takes(raw, "integer") && streq(type, "integer"), ok = true;
        int64_t i = 0;
        double d = json_to_double(v, 0);

        if (whole && crd_is_float(v))
                ok = d == floor(d) && json_to_int(json_new_double(w->a, d), &i) == 0;
        else if (whole)
                ok = json_to_int(v, &i) == 0;
        if (whole && ok && streq(format, "int32"))
                ok = i >= INT32_MIN && i <= INT32_MAX;
        if (!whole && streq(type, "number") && streq(format, "float"))
                ok = fabs(d) <= FLT_MAX;
        if (!ok)
                complain_nowhere(w, format ? arena_printf(w->a, "%s value must be of type %s with format %s in %s", what, type, format, path)
                                           : arena_printf(w->a, "%s value must be of type %s (default format) in %s", what, type, path));
        return ok;
}

/* By floor(), which the compiler has, and not round(), for which all of libm would be loaded. */
static bool is_multiple(const struct json *v, double of)
{
        double d = json_to_double(v, 0), times = of < 1 ? 1 / of * d : d / of, off;
        int64_t i;

        if (!crd_is_float(v) && of == floor(of) && of < 9e18)
                return json_to_int(v, &i) == 0 && i % (int64_t)of == 0;
        if (!(fabs(times) < 9007199254740992.0))
                return false;
        off = fabs(times - (times < 0 ? -floor(-times) : floor(times)));
        return off == 0 || off / (2 * fabs(times)) < 1e-9;
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

static const char *limit_text(struct walk *w, const struct json *v, double limit)
{
        return limit == floor(limit) ? bound_text(w, v, limit) : go_float(w->a, limit);
}

static void check_multiple(struct walk *w, const struct json *v, double factor, const char *path)
{
        if (factor <= 0)
                complain(w, FIELD_INVALID, path, json_new_double(w->a, factor), "factor MultipleOf declared for %s must be positive: %s",
                         path, go_float(w->a, factor));
        else if (!is_multiple(v, factor))
                complain(w, FIELD_INVALID, path, v, "%s in body should be a multiple of %s", path, limit_text(w, v, factor));
}

/* A limit that is not of the type itself is told, and compared as it is. */
static double limit_of(struct walk *w, const struct json *raw, const struct json *v, const struct json *limit, const char *what,
                       const char *path)
{
        return check_range(w, raw, limit, what, path) ? bound_for(v, limit) : json_to_double(limit, 0);
}

static void check_number(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const struct json *max = json_get(raw, "maximum"), *min = json_get(raw, "minimum"), *of = json_get(raw, "multipleOf");
        bool below_max = json_get_bool(raw, "exclusiveMaximum", false), above_min = json_get_bool(raw, "exclusiveMinimum", false);
        double d = json_to_double(v, 0), x;

        check_range(w, raw, v, "Checked", path);
        if (json_is_number(of))
                check_multiple(w, v, limit_of(w, raw, v, of, "MultipleOf", path), path);
        if (json_is_number(min)) {
                x = limit_of(w, raw, v, min, "Minimum boundary", path);
                if (above_min ? d <= x : d < x)
                        complain(w, FIELD_INVALID, path, v, "%s in body should be greater than%s %s", path,
                                 above_min ? "" : " or equal to", limit_text(w, v, x));
        }
        if (json_is_number(max)) {
                x = limit_of(w, raw, v, max, "Maximum boundary", path);
                if (below_max ? d >= x : d > x)
                        complain(w, FIELD_INVALID, path, v, "%s in body should be less than%s %s", path, below_max ? "" : " or equal to",
                                 limit_text(w, v, x));
        }
}

/* Upstream makes the value one of the item's Go type first: 1.5 is 1, and 97 is "a". */
static bool enum_equal(const struct json *item, const struct json *v)
{
        double d = json_to_double(v, 0);
        int64_t i, x;

        if (json_equal(item, v))
                return true;
        if (!json_is_number(v))
                return false;
        if (json_is_string(item))
                return !crd_is_float(v) && json_to_int(v, &i) == 0 && i > 0 && i < 0x80 && streq(item->str, (char[]){(char)i, '\0'});
        if (!json_is_number(item))
                return false;
        if (crd_is_float(item))
                return d == json_to_double(item, 0);
        return crd_is_float(v) && fabs(d) < 9e18 && json_to_int(item, &x) == 0 && x == (int64_t)d;
}

static void check_enum(struct walk *w, const struct json *raw, const struct json *v, const char *path)
{
        const struct json *list = json_get(raw, "enum");
        const char **words;
        size_t n = 0;

        if (!json_len(list))
                return;
        json_foreach_item(list, item)
                if (enum_equal(item, v) && !json_is_null(v))
                        return;
        w->count++;
        if (w->quiet)
                return;
        words = arena_calloc(w->a, (json_len(list) + 1) * sizeof(*words));
        json_foreach_item(list, item)
                words[n++] = json_is_string(item) ? item->str : json_print(w->a, item);
        if (json_is_number(v) && crd_is_float(v)) {
                const char *shown = go_float(w->a, json_to_double(v, 0));

                v = json_new_number(w->a, shown, strlen(shown));
        }
        field_error_not_supported(w->errs, *path ? path : "<nil>", v, words);
}

/* --- containers --- */

static size_t walk(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                   const struct json *old, const char *path);

/* In the order of their names, as they are shown. */
static struct json *keys_of(struct arena *a, const struct schema *s, const struct json *item)
{
        struct json *out = json_new_object(a);
        const char *last = NULL;

        for (;;) {
                const char *next = NULL;

                for (const char *const *k = s->list_keys; k && *k; k++)
                        if ((!last || strcmp(*k, last) > 0) && (!next || strcmp(*k, next) < 0))
                                next = *k;
                if (!next)
                        return out;
                if (json_get(item, next))
                        json_set(a, out, next, json_get(item, next));
                last = next;
        }
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

/* A limit below zero, which nothing keeps, is not told. */
static void check_many(struct walk *w, const struct json *raw, const char *key, const struct json *v, const char *path)
{
        int64_t max = json_get_int(raw, key, INT64_MAX);

        if (v->len <= max)
                return;
        complain(w, FIELD_TOO_MANY, path, json_new_int(w->a, v->len), "%s",
                 max < 0 ? "has too many items" : arena_printf(w->a, "must have at most %lld item%s", (long long)max, max == 1 ? "" : "s"));
}

static size_t walk_array(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                         const struct json *old, const char *path)
{
        const struct json *items = json_get(raw, "items");
        int64_t min = json_get_int(raw, "minItems", -1);
        struct crd_keyed_list before;
        size_t matches = 1;

        crd_keyed_init(&before, w->a, s, old);
        if (json_is_object(items))
                json_foreach_item(v, item)
                        matches += walk(w, items, s && s->type == SCHEMA_ARRAY ? s->elem : NULL, item, crd_keyed_find(&before, item),
                             item_path(w, path, item_i));
        if (min >= 0 && v->len < min)
                complain(w, FIELD_INVALID, path, json_new_int(w->a, v->len), "%s in body should have at least %lld items", path,
                         (long long)min);
        check_many(w, raw, "maxItems", v, path);
        return matches;
}

static size_t walk_object(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                          const struct json *old, const char *path)
{
        const struct json *props = json_get(raw, "properties"), *more = json_get(raw, "additionalProperties");
        int64_t min = json_get_int(raw, "minProperties", -1);
        size_t matches = 0;

        if (min >= 0 && v->len < min)
                complain(w, FIELD_INVALID, path, json_new_int(w->a, v->len), "%s in body should have at least %lld properties",
                         path, (long long)min);
        check_many(w, raw, "maxProperties", v, path);
        for (int named = 0; named < 2; named++) /* first what the schema does not name */
                json_foreach_member(v, m) {
                        const struct json *prop = json_getn(props, m->key, m->key_len);
                        const struct schema *sub = NULL;

                        if (named != (prop != NULL))
                                continue;
                        if (!prop && json_is_object(more))
                                prop = more;
                        if (!prop)
                                continue;
                        if (s && s->type == SCHEMA_STRUCT && schema_field(s, m->key))
                                sub = schema_field(s, m->key)->type;
                        else if (s && s->type == SCHEMA_MAP)
                                sub = s->elem;
                        matches += walk(w, prop, sub, m->value, json_getn(old, m->key, m->key_len), below(w, path, m->key));
                }
        json_foreach_item(json_get(raw, "required"), name)
                if (json_is_string(name) && !json_getn(v, name->str, name->len))
                        complain(w, FIELD_REQUIRED, below(w, path, name->str), NULL, "%s", "");
        return matches;
}

/* --- combinations --- */

/* A value, and what there was before of it. */
struct subject {
        const struct schema *schema;
        const struct json *value, *old;
        const char *path;
};

static size_t failures(struct walk *w, const struct json *raw, const struct subject *x, size_t *ret_matches)
{
        struct walk quiet = {.a = w->a, .quiet = true, .loose = w->loose};

        *ret_matches = walk(&quiet, raw, x->schema, x->value, x->old, x->path);
        return quiet.count;
}

/* What is wrong with the alternative that most of the value matches is told; of several the first. */
static size_t check_alternatives(struct walk *w, const struct json *list, const struct subject *x, bool one)
{
        const struct json *best = NULL;
        size_t valid = 0, most = 0, first_success = 0;

        json_foreach_item(list, raw) {
                size_t matches;

                if (failures(w, raw, x, &matches) == 0) {
                        first_success = valid ? first_success : matches;
                        valid++;
                        if (!one)
                                return matches;
                } else if (!valid && (!best || matches > most)) {
                        best = raw;
                        most = matches;
                }
        }
        if (!json_len(list) || (one && valid == 1))
                return first_success;
        if (!one)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate at least one schema (anyOf)", x->path));
        else if (valid == 0)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate one and only one schema (oneOf). Found none valid",
                                                 x->path));
        else
                complain_nowhere(w, arena_printf(w->a,
                                                 "\"%s\" must validate one and only one schema (oneOf). Found %zu valid "
                                                 "alternatives", x->path, valid));
        return valid == 0 && best ? walk(w, best, x->schema, x->value, x->old, x->path) : 0;
}

static size_t check_combinations(struct walk *w, const struct json *raw, const struct subject *x)
{
        const struct json *not = json_get(raw, "not"), *all = json_get(raw, "allOf");
        size_t valid = 0, matches = 1, ignored;

        matches += check_alternatives(w, json_get(raw, "anyOf"), x, false);
        matches += check_alternatives(w, json_get(raw, "oneOf"), x, true);
        json_foreach_item(all, part) {
                size_t before = w->count;
                matches += walk(w, part, x->schema, x->value, x->old, x->path);
                valid += w->count == before;
        }
        if (json_len(all) && valid < json_len(all))
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must validate all the schemas (allOf)%s", x->path,
                                                 valid ? "" : ". None validated"));
        if (not && failures(w, not, x, &ignored) == 0)
                complain_nowhere(w, arena_printf(w->a, "\"%s\" must not validate the schema (not)", x->path));
        return matches;
}

/* Each check is made, whatever the others say, as by kube-openapi's validators. What is returned is how many matched, as those
 * count: one for each that had something to look at, one for the whole, and what they find below. */
static size_t walk(struct walk *w, const struct json *raw, const struct schema *s, const struct json *v,
                   const struct json *old, const char *path)
{
        const struct subject x = {s, v, old, path};
        const char *format = format_of(raw), *types[2];
        size_t matches = 0;

        if (old && json_equal(v, old))
                return 0; /* it was let in as it is */
        if (types_of(raw, types) || format)
                matches += check_type(w, raw, v, path) + !json_is_null(v);
        if (json_is_null(v)) {
                check_enum(w, raw, v, path);
                return matches;
        }
        matches += check_combinations(w, raw, &x) + 1;
        if (json_is_string(v)) {
                check_string(w, raw, v, path);
                matches++;
        }
        if (json_is_string(v) && format) {
                check_format(w, format, v, path);
                matches++;
        }
        if (json_is_number(v)) {
                check_number(w, raw, v, path);
                matches += 2;
        }
        if (json_is_array(v))
                matches += walk_array(w, raw, s, v, old, path) + 1;
        check_enum(w, raw, v, path);
        if (json_is_object(v))
                matches += walk_object(w, raw, s, v, old, path) + 1;
        return matches + 2;
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

void crd_validate_status(const struct schema *s, const struct json *obj, const struct json *old, struct field_errors *errs)
{
        const struct json *raw = json_get(json_get(s->crd->raw, "properties"), "status"), *status = json_get(obj, "status");
        const struct schema_field *f = schema_field(s, "status");
        struct field_errors found = {.arena = errs->arena};
        struct walk w = {.a = errs->arena, .errs = &found};

        if (raw && status)
                walk(&w, raw, f ? f->type : NULL, status, json_get(old, "status"), "");
        for (size_t i = 0; i < found.n; i++) {
                const struct field_error *e = &found.list[i];
                const char *path = streq(e->path, "<nil>") ? "status" : arena_printf(w.a, "status.%s", e->path + (*e->path == '.'));

                field_error_add_text(errs, e->type, path, e->value, "%s", e->detail ? e->detail : "");
        }
}

void crd_validate_default(const struct schema *s, const struct json *value, struct field_errors *errs)
{
        struct walk w = {.a = errs->arena, .errs = errs, .loose = true};

        walk(&w, s->crd->raw, s, value, NULL, "");
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
