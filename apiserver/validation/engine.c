/* The interpreter of validation rules: see rules.h and generate.py.
 *
 * It goes down the object and its schema together. What an object leaves out is Go's zero value where
 * Go has no pointer, so that `required` and ranges see what upstream's code sees.
 */
#include "engine.h"
#include "functions.h"

#include "../../lib/meta/quantity.h"
#include "../schema/go-order.h"

#include <stdlib.h>

static struct json null_node = { .type = JSON_NULL };
static struct json empty_string = { .type = JSON_STRING, .str = "" };
static struct json zero_number = { .type = JSON_NUMBER, .len = 1, .str = "0" };
static struct json zero_quantity = { .type = JSON_STRING, .len = 1, .str = "0" };
static struct json no = { .type = JSON_BOOL };
static struct json empty_object = { .type = JSON_OBJECT };

static const struct json *zero_value(const struct schema *s)
{
        if (!s)
                return &null_node;
        switch (s->type) {
        case SCHEMA_STRING:
                return &empty_string;
        case SCHEMA_BOOLEAN:
                return &no;
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
        case SCHEMA_INT_OR_STRING:
                return &zero_number;
        case SCHEMA_QUANTITY:
                return &zero_quantity;
        case SCHEMA_STRUCT:
                return &empty_object;
        default:
                return &null_node;
        }
}

/* --- places --- */

/* Each member by itself: what is left out would be zeroed, with a string instruction that costs more than all else. */
static inline void place(struct at *ret, const struct at *up, const struct json *j, const struct json *old)
{
        ret->up = up;
        ret->j = j ? j : &null_node;
        ret->old = old && !json_is_null(old) ? old : NULL;
        ret->s = NULL;
        ret->pointer = false;
        ret->kind = AT_FIELD;
        ret->name = NULL;
        ret->shown = NULL;
        ret->bare = 0;
        ret->index = 0;
}

static inline void place_known(struct at *ret, const struct at *up, const struct schema_field *f, const struct json *j,
                               const struct json *old)
{
        place(ret, up, j, old);
        ret->name = f->name;
        ret->s = f->type;
        ret->pointer = f->presence;
        if (json_is_null(ret->j) && !f->presence && !json_is_null(up->j))
                ret->j = zero_value(f->type);
}

void at_step(struct at *ret, const struct at *at, const char *name, size_t len, uint32_t tag)
{
        const struct json *j = json_find(at->j, name, len, tag), *old = at->old ? json_find(at->old, name, len, tag) : NULL;
        const struct schema_field *f = at->s && at->s->type == SCHEMA_STRUCT ? schema_find(at->s, name, len, tag) : NULL;

        if (f) {
                place_known(ret, at, f, j, old);
                return;
        }
        place(ret, at, j, old);
        ret->name = name;
        if (at->s && at->s->type == SCHEMA_MAP)
                ret->s = at->s->elem;
}

/* In the room that was taken along, which stays in the processor's cache, as long as there is some. */
static inline struct at *at_new(struct check *c)
{
        return c->n_room ? &c->room[--c->n_room] : arena_alloc(c->a, sizeof(struct at));
}

const struct at *at_name(struct check *c, const struct at *at, const char *name, size_t len, uint32_t tag)
{
        struct at *f = at_new(c);

        at_step(f, at, name, len, tag);
        return f;
}

const struct at *at_path_of(struct check *c, const struct at *at, const char *path)
{
        for (;;) {
                struct at *f = at_new(c);
                unsigned bare = 0;
                size_t len;

                for (; *path == '-'; path++)
                        bare++;
                len = (size_t)(strchrnul(path, '.') - path);
                at_step(f, at, path, len, json_tag(path, len));
                f->bare = bare;
                if (f->name == path && path[len])
                        f->name = arena_strndup(c->a, path, len);
                at = f;
                if (!path[len])
                        return at;
                path += len + 1;
        }
}

static void item_of(struct at *ret, const struct at *list, size_t i)
{
        place(ret, list, json_at(list->j, i), NULL);
        ret->s = list->s ? list->s->elem : NULL;
        ret->kind = AT_ITEM;
        ret->index = i;
}

static void entry_of(struct at *ret, const struct at *map, const struct json_member *m)
{
        place(ret, map, m->value, map->old ? json_find(map->old, m->key, m->key_len, m->tag) : NULL);
        ret->s = map->s ? map->s->elem : NULL;
        ret->kind = AT_ENTRY;
        ret->name = m->key;
}

const struct at *at_item(struct check *c, const struct at *list, size_t i)
{
        struct at *f = at_new(c);

        item_of(f, list, i);
        return f;
}

const struct at *at_entry(struct check *c, const struct at *map, const struct json_member *m)
{
        struct at *f = at_new(c);

        entry_of(f, map, m);
        return f;
}

/* The object around AT: lists and maps on the way do not count. */
static const struct at *around(const struct at *at)
{
        while (at->up && (at->kind == AT_ITEM || at->kind == AT_ENTRY))
                at = at->up;
        return at->up ? at->up : at;
}

static void print_path(struct strbuf *b, const struct at *at)
{
        const struct at *up = at->up;

        if (!up)
                return;
        for (unsigned i = 0; i < at->bare && up->up; i++)
                up = up->up;
        print_path(b, up);
        switch (at->kind) {
        case AT_ITEM:
                strbuf_printf(b, "[%zu]", at->index);
                break;
        case AT_ENTRY:
                strbuf_putc(b, '[');
                strbuf_puts(b, at->name);
                strbuf_putc(b, ']');
                break;
        default:
                if (streq(at->shown, "."))
                        break;
                if (b->len && b->data[b->len - 1] != '.')
                        strbuf_putc(b, '.');
                strbuf_puts(b, at->shown ? at->shown : at->name);
        }
}

const char *at_path(struct check *c, const struct at *at)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_puts(&b, c->prefix ? c->prefix : "");
        print_path(&b, at);
        if (b.len && b.data[b.len - 1] == '.')
                b.data[--b.len] = '\0';
        return arena_strndup(c->a, strbuf_str(&b), b.len);
}

bool at_empty(const struct at *at)
{
        const struct json *j = at->j;

        if (json_is_null(j))
                return true;
        if (at->pointer && j->type <= JSON_STRING)
                return false;
        if (json_is_bool(j))
                return !j->boolean;
        if (json_is_number(j))
                return json_to_double(j, 1) == 0;
        return j->len == 0 && (json_is_string(j) || !at->s || at->s->type != SCHEMA_STRUCT || !at->pointer);
}

/* --- conditions --- */

/* Room for a way down: conditions look at one place and forget it, so it needs no arena. */
#define WAY 6
struct way {
        struct at steps[WAY];
        unsigned n;
};

static struct at *way_next(struct check *c, struct way *way)
{
        return way->n < WAY ? &way->steps[way->n++] : at_new(c);
}

/* The place a step away: of a list its first item, as conditions look at one. */
static const struct at *go(struct check *c, const struct at *at, const struct step *step, struct way *way)
{
        struct at *next;

        switch (step->kind) {
        case STEP_ROOT:
                return c->root;
        case STEP_UP:
                return around(at);
        case STEP_FIELD:
                next = way_next(c, way);
                at_step(next, at, step->name, step->len, step->tag);
                return next;
        default:
                next = way_next(c, way);
                item_of(next, at, 0);
                return next;
        }
}

/* The first place that PATH names. */
static const struct at *follow(struct check *c, const struct at *at, const struct step *path, struct way *way)
{
        for (; path->kind != STEP_END; path++)
                at = go(c, at, path, way);
        return at;
}

static const char *text_of(const struct json *j)
{
        if (json_is_string(j) || json_is_number(j))
                return j->str;
        if (json_is_bool(j))
                return j->boolean ? "true" : "false";
        return "";
}

static bool compare(const struct cond *k, const struct json *j)
{
        long long diff;
        int64_t value = 0;

        if (k->number && json_is_number(j)) {
                if (json_to_int(j, &value) != 0)
                        value = (int64_t)json_to_double(j, 0);
                diff = value < k->value ? -1 : value > k->value;
        } else if (k->number && k->op != COND_EQ && k->op != COND_NE) {
                return false; /* nothing is neither more nor less */
        } else {
                diff = strcmp(text_of(j), k->text);
        }
        switch (k->op) {
        case COND_EQ:
                return diff == 0;
        case COND_NE:
                return diff != 0;
        case COND_LT:
                return diff < 0;
        case COND_LE:
                return diff <= 0;
        case COND_GT:
                return diff > 0;
        default:
                return diff >= 0;
        }
}

static bool contains_word(const char *const *words, const char *s)
{
        for (; *words; words++)
                if (strcmp(*words, s) == 0)
                        return true;
        return false;
}

static bool same(const struct json *x, const struct json *y)
{
        return streq(text_of(x), text_of(y));
}

/* Whether X is one of the values that PATH names from AT. */
static bool among(struct check *c, const struct at *at, const struct step *path, const struct json *x)
{
        struct way way = { .n = 0 };

        for (; path->kind != STEP_END; path++) {
                if (path->kind == STEP_ITEMS) {
                        for (size_t i = 0; i < json_len(json_is_array(at->j) ? at->j : NULL); i++)
                                if (among(c, at_item(c, at, i), path + 1, x))
                                        return true;
                        return false;
                }
                at = go(c, at, path, &way);
        }
        return same(at->j, x);
}

/* As compare(), with what another place holds. */
static bool compare_with(const struct cond *k, const struct json *x, const struct json *y)
{
        int64_t value = 0;
        struct cond k2 = *k;

        if (!json_is_number(x) && !json_is_number(y))
                return k->op == COND_EQ ? same(x, y) : k->op == COND_NE && !same(x, y);
        if (!json_is_number(y) || json_to_int(y, &value) != 0)
                return false;
        k2.number = true;
        k2.value = value;
        return compare(&k2, x);
}

bool at_changed(const struct at *at)
{
        const struct json *old = at->old;

        if (!old)
                return !at_empty(at) || (at->pointer && !json_is_null(at->j));
        return !semantic_equal(at->s, at->j, old);
}

bool cond_holds(struct check *c, const struct cond *k, const struct at *at)
{
        const struct at *it;
        struct way way, other;
        struct at was;

        switch (k->op) {
        case COND_TRUE:
                return true;
        case COND_NOT:
                return !cond_holds(c, k->x, at);
        case COND_AND:
                return cond_holds(c, k->x, at) && cond_holds(c, k->y, at);
        case COND_OR:
                return cond_holds(c, k->x, at) || cond_holds(c, k->y, at);
        case COND_CREATE:
                return !c->old;
        case COND_FN:
                return k->fn(c, at);
        default:
                break;
        }
        way.n = other.n = 0;
        it = follow(c, at, k->path, &way);
        if (k->was) {
                was = *it;
                was.j = it->old ? it->old : &null_node;
                it = &was;
        }
        switch (k->op) {
        case COND_SET:
                return !json_is_null(it->j);
        case COND_EMPTY:
                return at_empty(it);
        case COND_CHANGED:
                return at_changed(it);
        case COND_IN:
                return contains_word(k->words, text_of(it->j));
        case COND_PREFIX:
                return str_has_prefix(text_of(it->j), k->text);
        case COND_CONTAINS:
                if (json_is_array(it->j)) {
                        json_foreach_item(it->j, e)
                                if (streq(text_of(e), k->text))
                                        return true;
                        return false;
                }
                return json_is_object(it->j) ? json_get(it->j, k->text) != NULL : strstr(text_of(it->j), k->text) != NULL;
        case COND_LONGER:
                return (long long)(json_is_string(it->j) ? it->j->len : json_len(it->j)) > k->value;
        case COND_AMONG:
                return among(c, at, k->other, it->j);
        default:
                return k->other ? compare_with(k, it->j, follow(c, at, k->other, &other)->j) : compare(k, it->j);
        }
}

/* --- checks --- */

/* Go tells an empty list or map from none; here both are gone by now. What the client sent does know. */
const struct json *at_sent(struct check *c, const struct at *at)
{
        const struct json *up;

        if (!at->up) {
                struct json *body = NULL;

                if (!c->r || !c->r->http || !c->r->http->body_len || c->r->http->body[0] != '{' ||
                    json_parse(c->a, c->r->http->body, c->r->http->body_len, NULL, &body, NULL) < 0)
                        return NULL;
                return body;
        }
        up = at_sent(c, at->up);
        return at->kind == AT_ITEM ? json_at(up, at->index) : json_get(up, at->name);
}

const struct json *at_shown(struct check *c, const struct at *at)
{
        const struct json *j;

        if (json_is_object(at->j) || json_is_array(at->j))
                return go_order(c->a, at->s, at->j);
        if (!json_is_null(at->j) || !at->s || (at->s->type != SCHEMA_MAP && at->s->type != SCHEMA_ARRAY))
                return at->j;
        j = at_sent(c, at);
        return (json_is_object(j) || json_is_array(j)) && !json_len(j) ? j : at->j;
}

/* The client sent a list without items: to Go that is there. */
bool cond_sent_empty(struct check *c, const struct at *at)
{
        return json_is_null(at->j) && !json_is_null(at_shown(c, at));
}

void check_required(struct check *c, const struct at *at, const char *detail)
{
        field_error_add(c->errs, FIELD_REQUIRED, at_path(c, at), NULL, "%s", detail ? detail : "");
}

void check_invalid(struct check *c, const struct at *at, const char *fmt, ...)
{
        va_list ap;
        const char *text;

        va_start(ap, fmt);
        text = arena_vprintf(c->a, fmt, ap);
        va_end(ap);
        if (go_differs(at))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at), "%s", text);
        else
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), at_shown(c, at), "%s", text);
}

void check_forbidden(struct check *c, const struct at *at, const char *fmt, ...)
{
        va_list ap;
        const char *text;

        va_start(ap, fmt);
        text = arena_vprintf(c->a, fmt, ap);
        va_end(ap);
        field_error_add(c->errs, FIELD_FORBIDDEN, at_path(c, at), NULL, "%s", text);
}

void check_warn(struct check *c, const struct at *at, const char *fmt, ...)
{
        va_list ap;
        const char *text;

        if (!c->r)
                return;
        va_start(ap, fmt);
        text = arena_vprintf(c->a, fmt, ap);
        va_end(ap);
        request_warn(c->r, "%s: %s", at_path(c, at), text);
}

void check_enum(struct check *c, const struct at *at, const char *const *words)
{
        if (!contains_word(words, text_of(at->j)))
                field_error_not_supported(c->errs, at_path(c, at), at->j, words);
}

void check_name(struct check *c, const struct at *at, enum name_rule rule)
{
        const char *messages[NAME_MESSAGES], *s = json_string(at->j);

        if (s && name_check(c->a, rule, s, messages)) /* the path only where something is wrong */
                name_validate(c->errs, rule, at_path(c, at), at->j);
}

void check_immutable(struct check *c, const struct at *at)
{
        if (c->old && at_changed(at))
                check_invalid(c, at, ERR_IMMUTABLE);
}

static bool check_range(struct check *c, const struct rule *r, const struct at *at)
{
        int64_t v;

        if (!json_is_number(at->j))
                return true;
        if (json_to_int(at->j, &v) != 0)
                v = json_to_double(at->j, 0) < 0 ? INT64_MIN : INT64_MAX;
        if (v >= r->lo && v <= r->hi)
                return true;
        check_invalid(c, at, "%s", r->detail);
        return false;
}

static void check_quantity(struct check *c, const struct at *at)
{
        struct quantity q;
        const char *text = text_of(at->j);

        if (quantity_parse(text, &q) == 0 && q.nano < 0)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, text),
                                "must be greater than or equal to 0");
}

/* AT stands in an item, directly or below: is it the same in an earlier item of that list? */
static void check_unique(struct check *c, const struct at *at, const char *detail)
{
        const struct at *item = at;
        const char *names[8];
        size_t n = 0;

        for (; item->up && item->kind != AT_ITEM; item = item->up)
                if (n < ARRAY_SIZE(names))
                        names[n++] = item->name;
        if (!item->up)
                return;
        for (size_t i = 0; i < item->index; i++) {
                const struct json *other = json_at(item->up->j, i);

                for (size_t k = n; k-- > 0;)
                        other = json_get(other, names[k]);
                if (other ? json_equal(other, at->j) : at_empty(at)) {
                        field_error_add(c->errs, detail ? FIELD_INVALID : FIELD_DUPLICATE, at_path(c, at), at->j, "%s",
                                        detail ? detail : "");
                        return;
                }
        }
}

/* AT is a list: items that repeat an earlier one, or its field KEY. */
static void check_once(struct check *c, const struct at *at, const char *key)
{
        for (size_t i = 1; json_is_array(at->j) && i < at->j->len; i++) {
                const struct json *it = key ? json_get(json_at(at->j, i), key) : json_at(at->j, i);

                for (size_t k = 0; k < i; k++) {
                        const struct json *other = key ? json_get(json_at(at->j, k), key) : json_at(at->j, k);

                        if (it && other ? !json_equal(it, other) : it != other)
                                continue;
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at_item(c, at, i)), it ? it : &empty_string, NULL);
                        break;
                }
        }
}

static void add_error(struct check *c, enum field_error_type type, const struct rule *r, const struct at *at)
{
        if (go_differs(at))
                field_error_add_text(c->errs, type, at_path(c, at), go_struct(c, at), "%s", r->detail ? r->detail : "");
        else
                field_error_add(c->errs, type, at_path(c, at), at_shown(c, at), "%s", r->detail ? r->detail : "");
}

/* False: it failed. */
bool rule_check(struct check *c, const struct rule *r, const struct at *at)
{
        size_t before = c->errs->n;

        if (r->cond && !cond_holds(c, r->cond, at))
                return true;
        switch (r->op) {
        case RULE_REQUIRED:
                if (at_empty(at))
                        check_required(c, at, r->detail);
                break;
        case RULE_REQUIRED_HERE:
                add_error(c, FIELD_REQUIRED, r, at);
                break;
        case RULE_INVALID_GO:
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at), "%s",
                                     r->detail ? r->detail : "");
                break;
        case RULE_INVALID:
                add_error(c, FIELD_INVALID, r, at);
                break;
        case RULE_FORBIDDEN:
                add_error(c, FIELD_FORBIDDEN, r, at);
                break;
        case RULE_MAX_ITEMS:
                if (json_len(at->j) > (size_t)r->hi && (json_is_array(at->j) || json_is_object(at->j)))
                        field_error_add(c->errs, FIELD_TOO_MANY, at_path(c, at), json_new_int(c->a, json_len(at->j)),
                                        "must have at most %lld items", r->hi);
                break;
        case RULE_MAX_BYTES:
                if (json_is_string(at->j) && at->j->len > r->hi)
                        field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, at), at->j, "may not be more than %lld bytes", r->hi);
                break;
        case RULE_WARN:
                check_warn(c, at, "%s", r->detail);
                break;
        case RULE_WARN_PLAIN:
                if (c->r)
                        request_warn(c->r, "%s", r->detail);
                break;
        case RULE_DUPLICATE:
                add_error(c, FIELD_DUPLICATE, r, at);
                break;
        case RULE_NOT_FOUND:
                add_error(c, FIELD_NOT_FOUND, r, at);
                break;
        case RULE_INVALID_AS:
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), r->text, "%s", r->detail ? r->detail : "");
                break;
        case RULE_TOO_LONG:
                add_error(c, FIELD_TOO_LONG, r, at);
                break;
        case RULE_NAME:
                if (!json_is_null(at->j) && !(r->optional && at->j->len == 0))
                        check_name(c, at, r->name);
                break;
        case RULE_RANGE:
                return check_range(c, r, at);
        case RULE_ENUM:
                if (!json_is_null(at->j) && !(r->optional && at->j->len == 0))
                        check_enum(c, at, r->words);
                break;
        case RULE_IMMUTABLE:
                check_immutable(c, at);
                break;
        case RULE_UNIQUE:
                check_unique(c, at, r->detail);
                break;
        case RULE_ONCE:
                check_once(c, at, r->detail);
                break;
        case RULE_QUANTITY:
                check_quantity(c, at);
                break;
        case RULE_USE:
                rules_run(c, r->use->rules, at);
                break;
        case RULE_CALL:
                r->fn(c, at);
                break;
        default:
                break;
        }
        return c->errs->n == before;
}

/* Runs BODY at every place that PATH names from AT. */
static void descend(struct check *c, const struct step *path, const struct rule *body, const struct at *at)
{
        struct at next;

        switch (path->kind) {
        case STEP_END:
                rules_run(c, body, at);
                return;
        case STEP_ROOT:
                descend(c, path + 1, body, c->root);
                return;
        case STEP_UP:
                descend(c, path + 1, body, around(at));
                return;
        case STEP_FIELD:
                if (json_is_null(at->j))
                        return;
                at_step(&next, at, path->name, path->len, path->tag);
                next.bare = path->bare;
                next.shown = path->shown;
                descend(c, path + 1, body, &next);
                return;
        case STEP_ITEMS:
                for (size_t i = 0; i < json_len(json_is_array(at->j) ? at->j : NULL); i++) {
                        item_of(&next, at, i);
                        descend(c, path + 1, body, &next);
                }
                return;
        case STEP_ENTRIES:
                json_foreach_member(at->j, m) {
                        entry_of(&next, at, m);
                        descend(c, path + 1, body, &next);
                }
                return;
        }
}

/* A block on a field that is known: the first step of its path is made here. */
static void descend_known(struct check *c, const struct rule *r, const struct prospect *p, const struct at *at)
{
        const struct json *j = schema_get(at->j, p->field), *old = at->old ? schema_get(at->old, p->field) : NULL;
        struct at next;

        if (p->silent && !j && !old)
                return;
        place_known(&next, at, p->field, j, old);
        next.bare = r->path->bare;
        next.shown = r->path->shown;
        descend(c, r->path + 1, r->body, &next);
}

static bool absent(const struct at *at, const struct schema_field *f)
{
        return !schema_get(at->j, f) && !(at->old && schema_get(at->old, f));
}

static inline uint32_t names_of(const struct json *j)
{
        return json_is_object(j) ? j->names : 0;
}

void rules_run(struct check *c, const struct rule *rules, const struct at *at)
{
        bool null = json_is_null(at->j);
        /* A struct that is not there has no inside to look at; that it should be there may still be said. */
        bool no_struct = null && at->s && at->s->type == SCHEMA_STRUCT;
        const struct prospect *p = null ? NULL : foresight(rules, at->s);
        uint32_t names = names_of(at->j) | names_of(at->old);

        for (const struct rule *r = rules; r; r++) {
                const struct prospect *known = NULL;

                if (p) {
                        known = &p[r - rules];
                        if (known->bit && !(names & known->bit)) /* most rules: their tables are not even looked at */
                                continue;
                        known = known->field ? known : NULL;
                }
                if (r->op == RULE_END)
                        return;
                if (no_struct && (r->op == RULE_CALL || r->op == RULE_USE))
                        continue;
                if (r->op == RULE_BLOCK && known)
                        descend_known(c, r, known, at);
                else if (r->op == RULE_BLOCK)
                        descend(c, r->path, r->body, at);
                else if (r->op == RULE_IF && known && absent(at, known->field))
                        continue;
                else if (r->op == RULE_IF)
                        rules_run(c, cond_holds(c, r->cond, at) ? r->body : r->other, at);
                else if (!rule_check(c, r, at) && r->stop)
                        return;
        }
}

static const struct rule *rules_named(const char *type)
{
        size_t low = 0, high = n_validation_types;

        while (low < high) {
                size_t mid = (low + high) / 2;
                int order = strcmp(validation_types[mid].name, type);

                if (order == 0)
                        return validation_types[mid].rules;
                if (order < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

/* The names are literals: where one was found before, its address says which it is. */
void rules_use(struct check *c, const char *type, const struct at *at)
{
        static struct {
                const char *type;
                const struct rule *rules;
        } seen[64], *place;

        place = &seen[(uintptr_t)type % ARRAY_SIZE(seen)];
        if (place->type != type) {
                place->rules = rules_named(type);
                place->type = type;
        }
        rules_run(c, place->rules, at);
}
