/* YAML: libyaml's events, folded into a JSON tree.
 *
 * libyaml scans and parses; what a plain scalar means, how keys become strings, merging and aliases
 * are decided here, as go-yaml v2 decides them, because that is what every manifest in the world has
 * been tried with. The tree is built with a stack of open containers of our own: a deep document
 * costs memory up to a bound, never the small stack of a fiber.
 */
#include "yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <yaml.h>

#include "../base/encode.h"
#include "../base/map.h"

#define BINARY_TAG "tag:yaml.org,2002:binary"
#define MAX_ALIAS_NODES 100000 /* copied by aliases in one stream; go-yaml stops at a like number */

/* An open sequence or mapping. */
struct frame {
        struct json *container;
        const char *key;    /* of the value that comes next; NULL: a key comes next */
        bool merging;       /* the value that comes next belongs to "<<" */
        const char *anchor;
        struct json *merges; /* array of mappings to merge at the end; NULL: none */
};

struct builder {
        struct arena *arena;
        const struct json_limits *limits;
        struct frame *stack;
        size_t depth, cap, max_depth;
        size_t nodes, alias_nodes;
        struct map anchors; /* name to struct json * */
        struct error *err;
};

/* --- what a plain scalar means --- */

static const struct {
        const char *text;
        enum json_type type;
        bool value;
} plain_words[] = {
#define WORDS(lower, title, upper, type, value)                                                    \
        { lower, type, value }, { title, type, value }, { upper, type, value }
        WORDS("true", "True", "TRUE", JSON_BOOL, true),
        WORDS("false", "False", "FALSE", JSON_BOOL, false),
        WORDS("yes", "Yes", "YES", JSON_BOOL, true),
        WORDS("no", "No", "NO", JSON_BOOL, false),
        WORDS("on", "On", "ON", JSON_BOOL, true),
        WORDS("off", "Off", "OFF", JSON_BOOL, false),
        WORDS("null", "Null", "NULL", JSON_NULL, false),
        { "y", JSON_BOOL, true },
        { "Y", JSON_BOOL, true },
        { "n", JSON_BOOL, false },
        { "N", JSON_BOOL, false },
        { "~", JSON_NULL, false },
        { "", JSON_NULL, false },
#undef WORDS
};

/* strconv.ParseInt with base 0, on text without underscores: 0x, 0o, 0b and the old leading 0. */
static bool plain_integer(const char *s, bool *ret_negative, uint64_t *ret)
{
        bool negative = *s == '-';
        unsigned base = 10;
        uint64_t v = 0;

        if (*s == '+' || *s == '-')
                s++;
        if (s[0] == '0' && s[1]) {
                char kind = (char)(s[1] | 0x20);

                base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
                s += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
        }
        if (!*s)
                return false;
        for (; *s; s++) {
                unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                                 : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a') + 10
                                 : *s >= 'A' && *s <= 'F' ? (unsigned)(*s - 'A') + 10
                                                          : 99;
                if (digit >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
                    __builtin_add_overflow(v, (uint64_t)digit, &v))
                        return false;
        }
        if (negative && v > (uint64_t)1 << 63)
                return false;
        *ret_negative = negative;
        *ret = v;
        return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool plain_is_float(const char *s)
{
        size_t before, after = 0;

        if (*s == '+' || *s == '-')
                s++;
        before = strspn(s, "0123456789");
        s += before;
        if (*s == '.') {
                after = strspn(s + 1, "0123456789");
                s += 1 + after;
        }
        if (!before && !after)
                return false;
        if (*s == 'e' || *s == 'E') {
                s++;
                if (*s == '+' || *s == '-')
                        s++;
                if (!*s)
                        return false;
                s += strspn(s, "0123456789");
        }
        return !*s;
}

static bool is_special_float(const char *s)
{
        static const char *const words[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF", "+.inf",
                                             "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(s, words[i]))
                        return true;
        return false;
}

static struct json *plain_number(struct arena *a, const char *text)
{
        char buf[64], *o = buf;
        bool negative;
        uint64_t v;

        if (strlen(text) >= sizeof(buf))
                return NULL;
        for (const char *s = text; *s; s++)
                if (*s != '_')
                        *o++ = *s;
        *o = '\0';
        if (plain_integer(buf, &negative, &v)) {
                int n = snprintf(buf, sizeof(buf), "%s%llu", negative && v ? "-" : "", (unsigned long long)v);

                return json_new_number(a, buf, (size_t)n);
        }
        if (plain_is_float(buf)) {
                double d = strtod(buf, NULL);

                return isfinite(d) ? json_new_double(a, d) : NULL;
        }
        return NULL;
}

/* NULL: it stays a string. */
static struct json *plain_resolve(struct arena *a, const char *text)
{
        for (size_t i = 0; i < ARRAY_SIZE(plain_words); i++)
                if (strcmp(text, plain_words[i].text) == 0)
                        return plain_words[i].type == JSON_NULL ? json_new_null(a) :
                                                                  json_new_bool(a, plain_words[i].value);
        if (*text && strchr("+-.0123456789", *text))
                return plain_number(a, text);
        return NULL;
}

static int scalar_value(struct builder *b, const yaml_event_t *e, struct json **ret)
{
        const char *text = (const char *)e->data.scalar.value, *tag = (const char *)e->data.scalar.tag;
        size_t len = e->data.scalar.length;
        bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        struct json *j = NULL;

        if (tag && streq(tag, BINARY_TAG)) {
                _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;

                if (base64_decode(&raw, text, len, NULL) < 0)
                        return error_set(b->err, -EINVAL, "yaml: !!binary value contains invalid base64 data");
                *ret = json_new_stringn(b->arena, strbuf_str(&raw), raw.len);
                return 0;
        }
        /* A tag other than !!str asks for the meaning even of quoted text. */
        if (tag && *tag ? !streq(tag, YAML_STR_TAG) && !streq(tag, "!") : plain) {
                if (plain && !tag && is_special_float(text))
                        return error_set(b->err, -EINVAL, "json: unsupported value: %s",
                                         strchr(text, 'a') || strchr(text, 'A') ? "NaN" :
                                         *text == '-'                           ? "-Inf" :
                                                                                  "+Inf");
                j = plain_resolve(b->arena, text);
        }
        *ret = j ? j : json_new_stringn(b->arena, text, len);
        return 0;
}

/* --- building --- */

static int too_much(struct builder *b, const char *what)
{
        return error_set(b->err, -E2BIG, "yaml: %s", what);
}

static struct frame *top(struct builder *b)
{
        return b->depth ? &b->stack[b->depth - 1] : NULL;
}

/* A scalar as a key of a JSON object; NULL when it can be none. */
static const char *key_text(struct arena *a, const struct json *j)
{
        switch (j->type) {
        case JSON_STRING:
                return j->str;
        case JSON_NUMBER:
                return arena_strndup(a, j->str, j->len);
        case JSON_BOOL:
                return j->boolean ? "true" : "false";
        default:
                return NULL;
        }
}

static int take_merge(struct builder *b, struct frame *f, struct json *value)
{
        if (!f->merges)
                f->merges = json_new_array(b->arena);
        if (json_is_object(value)) {
                json_append(b->arena, f->merges, value);
                return 0;
        }
        if (!json_is_array(value))
                goto refuse;
        json_foreach_item(value, it) {
                if (!json_is_object(it))
                        goto refuse;
                json_append(b->arena, f->merges, it);
        }
        return 0;
refuse:
        return error_set(b->err, -EINVAL, "yaml: map merge requires map or sequence of maps as the value");
}

static void set_member(struct builder *b, struct frame *f, struct json *value, size_t line)
{
        if (b->limits && b->limits->on_duplicate && json_get(f->container, f->key)) {
                char *text = arena_printf(b->arena, "line %zu: key \"%s\" already set in map", line + 1, f->key);

                b->limits->on_duplicate(text, b->limits->userdata);
        }
        json_set(b->arena, f->container, f->key, value);
}

/* Puts a complete value where it belongs. PLAIN: it was written without quotes. */
static int attach(struct builder *b, struct json *value, bool plain, size_t line, struct json **root)
{
        struct frame *f = top(b);
        int r = 0;

        if (!f) {
                *root = value;
                return 0;
        }
        if (json_is_array(f->container)) {
                json_append(b->arena, f->container, value);
                return 0;
        }
        if (f->merging) {
                r = take_merge(b, f, value);
                f->merging = false;
                return r;
        }
        if (f->key) {
                set_member(b, f, value, line);
                f->key = NULL;
                return 0;
        }
        if (plain && json_is_string(value) && streq(value->str, "<<")) {
                f->merging = true;
                return 0;
        }
        f->key = key_text(b->arena, value);
        if (!f->key)
                return error_set(b->err, -EINVAL, "yaml: invalid map key: %s", json_print(b->arena, value));
        return 0;
}

static void remember(struct builder *b, const char *anchor, struct json *value)
{
        if (anchor)
                map_put(&b->anchors, anchor, value);
}

static int open_container(struct builder *b, struct json *container, const yaml_char_t *anchor)
{
        if (b->depth >= b->max_depth)
                return error_set(b->err, -E2BIG, "yaml: exceeded max depth of %zu", b->max_depth);
        array_reserve(b->stack, b->cap, b->depth + 1);
        b->stack[b->depth++] = (struct frame){
                .container = container,
                .anchor = anchor ? arena_strdup(b->arena, (const char *)anchor) : NULL,
        };
        return 0;
}

static int close_container(struct builder *b, size_t line, struct json **root)
{
        struct frame f = *top(b);

        /* What is written out wins over what is merged, and the first merged over the later. */
        json_foreach_item(f.merges, from) {
                json_foreach_member(from, m) {
                        if (!json_get(f.container, m->key))
                                json_set(b->arena, f.container, m->key, m->value);
                }
        }
        b->depth--;
        remember(b, f.anchor, f.container);
        return attach(b, f.container, false, line, root);
}

static size_t count_nodes(const struct json *j, size_t bound)
{
        size_t n = 1;

        json_foreach_item(j, it) {
                if (n < bound)
                        n += count_nodes(it, bound - n);
        }
        json_foreach_member(j, m) {
                if (n < bound)
                        n += count_nodes(m->value, bound - n);
        }
        return n;
}

static size_t depth_of(const struct json *j, size_t bound)
{
        size_t deepest = 0;

        if (!bound)
                return 1;
        /* Not within MAX(), which would go down twice at each level. */
        json_foreach_item(j, it) {
                size_t depth = depth_of(it, bound - 1);

                deepest = MAX(deepest, depth);
        }
        json_foreach_member(j, m) {
                size_t depth = depth_of(m->value, bound - 1);

                deepest = MAX(deepest, depth);
        }
        return deepest + 1;
}

static int expand_alias(struct builder *b, const yaml_event_t *e, struct json **ret)
{
        const char *name = (const char *)e->data.alias.anchor;
        const struct json *target = map_get(&b->anchors, name);

        if (!target)
                return error_set(b->err, -EINVAL, "yaml: unknown anchor '%s' referenced", name);
        b->alias_nodes += count_nodes(target, MAX_ALIAS_NODES + 1);
        if (b->alias_nodes > MAX_ALIAS_NODES)
                return too_much(b, "document contains excessive aliasing");
        /* Copies recurse: what is aliased may be wide, but not deep. Merged values are shared, not copied, so
         * only what was counted is walked. */
        if (depth_of(target, 200) > 200)
                return too_much(b, "aliased value is nested too deeply");
        *ret = json_clone(b->arena, target);
        return 0;
}

static int take_event(struct builder *b, const yaml_event_t *e, struct json **root)
{
        struct json *value = NULL;
        struct frame *f = top(b);
        size_t line = e->start_mark.line;
        bool plain = false;
        int r;

        if (b->limits && b->limits->max_nodes && ++b->nodes > b->limits->max_nodes)
                return too_much(b, "document has too many values");
        if ((e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT) && f && !f->key &&
            !f->merging && json_is_object(f->container))
                return error_set(b->err, -EINVAL, "yaml: invalid map key: a mapping or a sequence");
        switch (e->type) {
        case YAML_SCALAR_EVENT:
                r = scalar_value(b, e, &value);
                if (r < 0)
                        return r;
                remember(b, (const char *)e->data.scalar.anchor, value);
                plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
                break;
        case YAML_ALIAS_EVENT:
                r = expand_alias(b, e, &value);
                if (r < 0)
                        return r;
                break;
        case YAML_SEQUENCE_START_EVENT:
                return open_container(b, json_new_array(b->arena), e->data.sequence_start.anchor);
        case YAML_MAPPING_START_EVENT:
                return open_container(b, json_new_object(b->arena), e->data.mapping_start.anchor);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                return close_container(b, line, root);
        default:
                return 0;
        }
        return attach(b, value, plain, line, root);
}

/* --- streams --- */

/* go-yaml counts lines from the context where there is one, and scanner errors one up. */
static int syntax_error(const yaml_parser_t *p, struct error *reterr)
{
        size_t line = p->context_mark.line ? p->context_mark.line : p->problem_mark.line;
        const char *problem = p->problem ? p->problem : "unknown problem parsing YAML content";

        if (line && p->error == YAML_SCANNER_ERROR)
                line++;
        if (line)
                return error_set(reterr, -EINVAL, "yaml: line %zu: %s", line, problem);
        return error_set(reterr, -EINVAL, "yaml: %s", problem);
}

/* Reads one document. 0: none is left; 1: *ret is it (NULL: empty). */
static int next_document(yaml_parser_t *p, struct builder *b, struct json **ret)
{
        struct json *root = NULL;

        for (;;) {
                yaml_event_t e;
                int type, r;

                if (!yaml_parser_parse(p, &e))
                        return syntax_error(p, b->err);
                type = e.type;
                r = take_event(b, &e, &root);
                yaml_event_delete(&e);
                if (r < 0)
                        return r;
                if (type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
                        return 0;
                if (type == YAML_DOCUMENT_START_EVENT)
                        map_clear(&b->anchors);
                if (type == YAML_DOCUMENT_END_EVENT) {
                        *ret = root;
                        return 1;
                }
        }
}

/* FN for each document until it returns false. */
static int each_document(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
                         bool (*fn)(struct arena *a, struct json *doc, void *userdata), void *userdata,
                         struct error *reterr)
{
        struct builder b = { .arena = a, .limits = limits, .err = reterr, .max_depth = JSON_MAX_DEPTH };
        struct json *doc = NULL;
        yaml_parser_t p;
        int r;

        if (limits && limits->max_depth)
                b.max_depth = limits->max_depth;
        if (!yaml_parser_initialize(&p))
                abort();
        yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
        while ((r = next_document(&p, &b, &doc)) > 0)
                if (!fn(a, doc, userdata))
                        break;
        yaml_parser_delete(&p);
        map_deinit(&b.anchors);
        free(b.stack);
        return r < 0 ? r : 0;
}

static bool keep_first(struct arena *a, struct json *doc, void *userdata)
{
        *(struct json **)userdata = doc;
        return false;
}

int yaml_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr)
{
        struct json *doc = NULL;
        int r = each_document(a, text, len, limits, keep_first, &doc, reterr);

        if (r < 0)
                return r;
        *ret = doc ? doc : json_new_null(a);
        return 0;
}

static bool keep_all(struct arena *a, struct json *doc, void *userdata)
{
        if (doc && !json_is_null(doc))
                json_append(a, userdata, doc);
        return true;
}

int yaml_parse_all(struct arena *a, const char *text, size_t len, struct json **ret_array,
                   struct error *reterr)
{
        struct json *all = json_new_array(a);
        int r = each_document(a, text, len, NULL, keep_all, all, reterr);

        if (r < 0)
                return r;
        *ret_array = all;
        return 0;
}
