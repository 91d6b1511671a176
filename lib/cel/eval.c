/* Evaluation: a walk over the tree. An error is a value that goes up through everything but && || ?: and the macros
 * built on them, as the specification has it: what settles the answer wins over an error beside it. */
#include "ast.h"

bool eval_spend(struct eval *e, uint64_t cost)
{
        e->run->cost += cost;
        return !e->run->limit || e->run->cost <= e->run->limit;
}

bool eval_room(struct eval *e, uint64_t work)
{
        e->work += work;
        return !e->run->limit || (work <= e->run->limit && e->work / 16 <= e->run->limit);
}

struct cel_value eval_over_limit(void)
{
        static const char text[] = "operation cancelled: actual cost limit exceeded";

        return (struct cel_value){ .type = CEL_ERROR, .str = { text, sizeof(text) - 1 } };
}

enum { LIST_COST = 10, MAP_COST = 30, MESSAGE_COST = 40 };

static struct cel_value eval(struct eval *e, const struct node *n);

/* Whether upstream makes an attribute of N, which fields and indices are added to. */
static bool is_attribute(const struct node *n)
{
        return n->kind == NODE_IDENT || n->kind == NODE_SELECT || n->kind == NODE_INDEX;
}

/* As a branch or an index an attribute is looked up without its own unit. */
static struct cel_value eval_bare(struct eval *e, const struct node *n)
{
        struct cel_value v = eval(e, n);

        if (is_attribute(n) && !(n->kind == NODE_SELECT && n->test) && e->run->cost && !cel_is_error(v))
                e->run->cost--;
        return v;
}

/* Of a field or an index: one, and one for what becomes an attribute by it. */
static bool spend_step(struct eval *e, const struct node *n)
{
        const struct node *of = n->args[0];

        if (n->test)
                return eval_spend(e, !is_attribute(of));
        return eval_spend(e, is_attribute(of) || of->kind == NODE_TERNARY ? 1 : 2);
}

/* --- fields and elements --- */

static struct cel_value no_such_key(struct eval *e, const struct cel_value *key)
{
        struct arena *a = e->run->arena;

        if (key->type == CEL_INT)
                return cel_error(a, "no such key: %lld", (long long)key->i);
        if (key->type == CEL_UINT)
                return cel_error(a, "no such key: %llu", (unsigned long long)key->u);
        if (key->type == CEL_DOUBLE)
                return cel_error(a, "no such key: %s", cel_double_text(a, key->d));
        if (key->type == CEL_BOOL)
                return cel_error(a, "no such key: %s", key->b ? "true" : "false");
        return cel_error(a, "no such key: %s", cel_text(a, key));
}

/* *ret_found false: it is not there, and the value is the error that says so. */
static struct cel_value element(struct eval *e, const struct cel_value *of, const struct cel_value *key, bool *ret_found)
{
        struct cel_value v;
        int64_t i;

        *ret_found = true;
        if (of->type == CEL_MAP) {
                /* A field of an object that may be null, and is, is as if it were not there. */
                if (cel_map_find(of, key, &v) &&
                    !(v.type == CEL_NULL && of->lazy && of->shape && of->shape->type == CEL_OBJECT && of->shape->n_members))
                        return cel_ripe(e->run->arena, v);
                *ret_found = false;
                return no_such_key(e, key);
        }
        if (of->type != CEL_LIST) {
                *ret_found = false;
                return no_such_key(e, key);
        }
        if (key->type == CEL_INT)
                i = key->i;
        else if (key->type == CEL_UINT && key->u <= INT64_MAX)
                i = (int64_t)key->u;
        else if (key->type == CEL_DOUBLE && key->d == (double)(int32_t)key->d)
                i = (int64_t)key->d;
        else if (key->type == CEL_UINT)
                return cel_error(e->run->arena, "unsupported index value %llu in list", (unsigned long long)key->u);
        else if (key->type == CEL_DOUBLE)
                return cel_error(e->run->arena, "unsupported index value %s in list", cel_double_text(e->run->arena, key->d));
        else
                return cel_error(e->run->arena, "unsupported index type '%s' in list", cel_type_name(key));
        if (i >= 0 && (size_t)i < cel_list_len(of))
                return cel_ripe(e->run->arena, cel_list_at(of, (size_t)i));
        *ret_found = false;
        return cel_error(e->run->arena, "index out of bounds: %lld", (long long)i);
}

static struct cel_value field(struct eval *e, const struct cel_value *of, const char *name, bool *ret_found)
{
        struct cel_value key = cel_string(name), v;

        *ret_found = true;
        if (of->type != CEL_OBJECT)
                return element(e, of, &key, ret_found);
        if (!of->object.class->field) {
                *ret_found = false;
                return no_such_key(e, &key);
        }
        v = of->object.class->field(e->run, of->object.data, name);
        *ret_found = !cel_is_error(v);
        return v;
}

/* Of an optional comes an optional; so does it where "?" stands. */
static struct cel_value reach(struct eval *e, struct cel_value of, const char *name, const struct cel_value *key, bool optional)
{
        struct cel_value v;
        bool found;

        if (of.type == CEL_OPTIONAL) {
                if (!of.inner)
                        return of;
                of = *of.inner;
                optional = true;
        }
        v = name ? field(e, &of, name, &found) : element(e, &of, key, &found);
        if (!optional)
                return v;
        if (cel_is_error(v) && found)
                return v;
        return cel_optional(e->run->arena, found ? &v : NULL);
}

static struct cel_value eval_select(struct eval *e, const struct node *n)
{
        struct cel_value of = eval(e, n->args[0]), v;
        bool found;

        if (cel_is_error(of))
                return of;
        if (!n->test)
                return reach(e, of, n->name, NULL, n->optional);
        if (of.type == CEL_OPTIONAL) {
                if (!of.inner)
                        return cel_bool(false);
                of = *of.inner;
        }
        v = field(e, &of, n->name, &found);
        return cel_is_error(v) && found ? v : cel_bool(found);
}

static struct cel_value eval_index(struct eval *e, const struct node *n)
{
        struct cel_value of = eval(e, n->args[0]), key;

        if (cel_is_error(of))
                return of;
        key = eval_bare(e, n->args[1]);
        return cel_is_error(key) ? key : reach(e, of, NULL, &key, n->optional);
}

/* --- literals --- */

static struct cel_value eval_list(struct eval *e, const struct node *n)
{
        struct cel_value *items = arena_alloc(e->run->arena, (n->n + 1) * sizeof(*items));
        size_t used = 0;

        if (!eval_spend(e, n->constant ? 0 : LIST_COST) || !eval_room(e, n->n + 1))
                return eval_over_limit();
        for (size_t i = 0; i < n->n; i++) {
                struct cel_value v = eval(e, n->args[i]);

                if (cel_is_error(v))
                        return v;
                if (n->flags[i]) {
                        if (v.type != CEL_OPTIONAL)
                                return cel_no_overload();
                        if (!v.inner)
                                continue;
                        v = *v.inner;
                }
                items[used++] = v;
        }
        return cel_list_new(e->run->arena, items, used);
}

static struct cel_value eval_map(struct eval *e, const struct node *n)
{
        struct cel_map *m = arena_calloc(e->run->arena, sizeof(*m));
        struct cel_value map = { .type = CEL_MAP, .map = m };

        if (!eval_spend(e, n->constant ? 0 : n->kind == NODE_MAP ? MAP_COST : MESSAGE_COST) || !eval_room(e, n->n * n->n + 1))
                return eval_over_limit();
        m->entries = arena_alloc(e->run->arena, (n->n / 2 + 1) * sizeof(*m->entries));
        m->type_name = n->kind == NODE_MESSAGE ? n->name : NULL;
        for (size_t i = 0; i + 1 < n->n; i += 2) {
                struct cel_value key = eval(e, n->args[i]), v;
                size_t at;

                if (cel_is_error(key))
                        return key;
                v = eval(e, n->args[i + 1]);
                if (cel_is_error(v))
                        return v;
                if (key.type == CEL_BYTES || key.type == CEL_SEMVER || key.type == CEL_FORMAT) /* all others do in Go's maps */
                        return cel_error(e->run->arena, "internal error: runtime error: hash of unhashable type %s",
                                         key.type == CEL_BYTES ? "types.Bytes" : key.type == CEL_SEMVER ? "cel.Semver" : "cel.Format");
                if (n->flags[i / 2]) {
                        if (v.type != CEL_OPTIONAL)
                                return cel_no_overload();
                        if (!v.inner)
                                continue;
                        v = *v.inner;
                }
                for (at = 0; at < m->n && !cel_equal(&m->entries[at].key, &key);)
                        at++;
                m->entries[at] = (struct cel_entry){ key, v }; /* of a key that comes twice the last value counts */
                m->n = MAX(m->n, at + 1);
        }
        return map;
}

/* --- logic --- */

/* One that SETTLES the matter wins over errors and what is no bool. */
static struct cel_value eval_logic(struct eval *e, const struct node *n)
{
        bool settles = n->kind == NODE_OR;
        struct cel_value error = cel_bool(!settles);

        for (size_t i = 0; i < n->n; i++) {
                struct cel_value v = eval(e, n->args[i]);

                if (v.type == CEL_BOOL && v.b == settles)
                        return v;
                if (v.type != CEL_BOOL && !cel_is_error(error))
                        error = cel_is_error(v) ? v : cel_no_overload();
        }
        return error;
}

static struct cel_value eval_ternary(struct eval *e, const struct node *n)
{
        struct cel_value v = eval(e, n->args[0]);

        if (v.type != CEL_BOOL)
                return cel_is_error(v) ? v : cel_no_overload();
        return eval_bare(e, n->args[v.b ? 1 : 2]);
}

static struct cel_value call(struct eval *e, const struct node *n, const struct cel_value *args)
{
        const struct cel_value bare = cel_no_overload();
        struct cel_value v = bare;

        if (n->member && args[0].type == CEL_OBJECT) {
                const struct cel_class *class = args[0].object.class;

                return class->call ? class->call(e->run, args[0].object.data, n->name, n->n - 1, args + 1) : cel_no_overload();
        }
        if (n->function)
                v = n->function->call(e, n->n, args);
        return cel_is_error(v) && v.str.s == bare.str.s ? cel_describe_overload(e->run->arena, n->name, n->member, n->n, args) : v;
}

/* "or" and "orValue" ask for what is behind them only if there is no value; what is no optional goes through. */
static struct cel_value eval_alternative(struct eval *e, const struct node *n)
{
        struct cel_value v = eval(e, n->args[0]);

        if (v.type != CEL_OPTIONAL)
                return v;
        if (!v.inner)
                return eval(e, n->args[1]);
        return streq(n->name, "or") ? v : *v.inner;
}

static bool is_alternative(const struct node *n)
{
        return n->member && n->n == 2 && (streq(n->name, "or") || streq(n->name, "orValue"));
}

static struct cel_value eval_call(struct eval *e, const struct node *n)
{
        struct cel_value args[8], v;

        if (is_alternative(n))
                return eval_alternative(e, n);

        if (n->n > ARRAY_SIZE(args))
                return cel_no_overload();
        for (size_t i = 0; i < n->n; i++) {
                args[i] = eval(e, n->args[i]);
                if (cel_is_error(args[i]))
                        return args[i];
        }
        if (!eval_room(e, 1))
                return eval_over_limit();
        v = call(e, n, args);
        if (!n->constant && !n->gratis && !eval_spend(e, cel_call_cost(n->name, n->n, args, &v)))
                return eval_over_limit();
        return v;
}

/* --- macros --- */

/* What a macro has gathered. */
struct gathered {
        struct cel_value *items;
        struct cel_entry *entries;
        size_t n, cap;
        struct cel_value error; /* of all() and exists(): counts if nothing settles them */
};

static void *grow(struct eval *e, void *list, size_t n, size_t *cap, size_t size)
{
        void *more;

        if (n < *cap)
                return list;
        *cap = MAX(*cap * 2, (size_t)8);
        more = arena_alloc(e->run->arena, *cap * size);
        memcpy(more, list ? list : more, n * size);
        return more;
}

static void take(struct eval *e, struct gathered *g, struct cel_value v)
{
        g->items = grow(e, g->items, g->n, &g->cap, sizeof(*g->items));
        g->items[g->n++] = v;
}

static struct cel_value take_entry(struct eval *e, struct gathered *g, struct cel_value key, struct cel_value v)
{
        struct cel_map so_far = { .entries = g->entries, .n = g->n };
        struct cel_value map = { .type = CEL_MAP, .map = &so_far }, other;

        if (cel_map_find(&map, &key, &other))
                return cel_error(e->run->arena, "insert failed: key %s already exists", cel_text(e->run->arena, &key));
        g->entries = grow(e, g->entries, g->n, &g->cap, sizeof(*g->entries));
        g->entries[g->n++] = (struct cel_entry){ key, v };
        return cel_bool(true);
}

static struct cel_value take_entries(struct eval *e, struct gathered *g, struct cel_value map)
{
        struct cel_value r = cel_bool(true);

        if (map.type != CEL_MAP)
                return cel_no_overload();
        for (size_t i = 0; i < cel_map_len(&map) && !cel_is_error(r); i++) {
                struct cel_entry entry = cel_map_at(&map, i);

                r = take_entry(e, g, entry.key, entry.value);
        }
        return r;
}

/* What a round costs besides its expressions: the loop that a macro is short for asks whether to go on, and adds to what it
 * has so far (expand.c). TAKEN: the item counts. */
static uint64_t round_cost(const struct node *n, bool taken)
{
        switch (n->macro) {
        case MACRO_ALL:
        case MACRO_EXISTS:
                return 1;
        case MACRO_EXISTS_ONE:
                return taken ? 2 : 0;
        case MACRO_FILTER:
                return taken ? LIST_COST + 3 : 0;
        case MACRO_TRANSFORM_MAP:
                return taken ? 3 : 0;
        case MACRO_TRANSFORM_ENTRY:
                return taken ? 2 : 0;
        default:
                return taken ? LIST_COST + 2 : 0;
        }
}

static uint64_t going_cost(const struct node *n)
{
        return n->macro == MACRO_ALL ? 2 : n->macro == MACRO_EXISTS ? 3 : 0;
}

/* One round, with the variables in place. *ret_end: the result is what is returned, an error too. */
static struct cel_value step(struct eval *e, const struct node *n, struct gathered *g, bool *ret_end)
{
        bool filtered = n->n > 2;
        struct cel_value v;

        *ret_end = true;
        if (n->macro <= MACRO_EXISTS && !eval_spend(e, round_cost(n, true)))
                return eval_over_limit();
        v = eval(e, n->args[filtered ? 2 : 1]);
        *ret_end = false;
        if (n->macro <= MACRO_FILTER || filtered) {
                bool absorbs = n->macro == MACRO_ALL || n->macro == MACRO_EXISTS;

                if (v.type != CEL_BOOL) {
                        v = cel_is_error(v) ? v : cel_no_overload();
                        *ret_end = !absorbs;
                        if (!cel_is_error(g->error))
                                g->error = v;
                        return v;
                }
                if (n->macro <= MACRO_EXISTS) {
                        *ret_end = v.b == (n->macro == MACRO_EXISTS);
                        return v;
                }
                if (!v.b)
                        return v;
                if (!eval_spend(e, round_cost(n, true))) {
                        *ret_end = true;
                        return eval_over_limit();
                }
                if (n->macro == MACRO_EXISTS_ONE) {
                        g->n++;
                        return v;
                }
        }
        if (n->macro == MACRO_FILTER) {
                take(e, g, e->slots[n->slot]);
                return v;
        }
        if (filtered)
                v = eval(e, n->args[1]);
        else if (!eval_spend(e, round_cost(n, true)))
                v = eval_over_limit();
        *ret_end = cel_is_error(v);
        if (*ret_end)
                return v;
        if (n->macro == MACRO_MAP || n->macro == MACRO_TRANSFORM_LIST || n->macro == MACRO_SORT_BY)
                take(e, g, v);
        else if (n->macro == MACRO_TRANSFORM_MAP)
                v = take_entry(e, g, e->slots[n->slot], v);
        else
                v = take_entries(e, g, v);
        *ret_end = cel_is_error(v);
        return v;
}

static struct cel_value outcome(struct eval *e, const struct node *n, const struct gathered *g)
{
        if (cel_is_error(g->error))
                return g->error;
        switch (n->macro) {
        case MACRO_ALL:
        case MACRO_EXISTS:
                return cel_bool(n->macro == MACRO_ALL);
        case MACRO_EXISTS_ONE:
                return cel_bool(g->n == 1);
        case MACRO_TRANSFORM_MAP:
        case MACRO_TRANSFORM_ENTRY:
                return cel_map_new(e->run->arena, g->entries, g->n);
        default:
                return cel_list_new(e->run->arena, g->items, g->n);
        }
}

static struct cel_value eval_optional_macro(struct eval *e, const struct node *n, struct cel_value of, uint64_t cost)
{
        struct cel_value v;

        if (of.type != CEL_OPTIONAL)
                return cel_no_overload();
        /* Asked whether it has a value; taken again for the value, or none instead; made one again. */
        if (!eval_spend(e, of.inner ? 1 + cost + 1 + (n->macro == MACRO_OPT_MAP) : 2))
                return eval_over_limit();
        if (!of.inner)
                return of;
        e->slots[n->slot] = *of.inner;
        v = eval(e, n->args[1]);
        if (cel_is_error(v) || n->macro == MACRO_OPT_FLAT_MAP)
                return cel_is_error(v) || v.type == CEL_OPTIONAL ? v : cel_no_overload();
        return cel_optional(e->run->arena, &v);
}

static const char *go_type(const struct cel_value *v)
{
        static const char *const names[] = { [CEL_NULL] = "Null", [CEL_BOOL] = "Bool", [CEL_INT] = "Int", [CEL_UINT] = "Uint",
                                             [CEL_DOUBLE] = "Double", [CEL_STRING] = "String", [CEL_BYTES] = "Bytes", [CEL_TYPE] = "Type",
                                             [CEL_TIMESTAMP] = "Timestamp", [CEL_DURATION] = "Duration", [CEL_OPTIONAL] = "Optional" };

        return (size_t)v->type < ARRAY_SIZE(names) && names[v->type] ? names[v->type] : "Object";
}

static struct cel_value eval_macro(struct eval *e, const struct node *n)
{
        uint64_t before = e->run->cost;
        struct cel_value range = eval(e, n->args[0]);
        struct gathered g = { .error = cel_bool(true) };
        size_t len;

        if (cel_is_error(range))
                return range;
        if (n->macro >= MACRO_OPT_MAP)
                return eval_optional_macro(e, n, range, e->run->cost - before);
        if (range.type != CEL_LIST && range.type != CEL_MAP)
                return cel_error(e->run->arena, n->macro == MACRO_TRANSFORM_LIST || n->macro == MACRO_TRANSFORM_MAP || n->macro == MACRO_TRANSFORM_ENTRY || n->vars[1]
                                                        ? "unsupported comprehension range type: types.%s"
                                                        : "got 'types.%s', expected iterable type", go_type(&range));
        len = range.type == CEL_LIST ? cel_list_len(&range) : cel_map_len(&range);
        for (size_t i = 0; i < len; i++) {
                struct cel_value v;
                bool end;

                if (!eval_spend(e, going_cost(n)) || !eval_room(e, 1))
                        return eval_over_limit();
                if (range.type == CEL_MAP) {
                        struct cel_entry entry = cel_map_at(&range, i);

                        e->slots[n->slot] = entry.key;
                        e->slots[n->slot + 1] = cel_ripe(e->run->arena, entry.value);
                } else if (n->vars[1]) {
                        e->slots[n->slot] = cel_int((int64_t)i);
                        e->slots[n->slot + 1] = cel_ripe(e->run->arena, cel_list_at(&range, i));
                } else {
                        e->slots[n->slot] = cel_ripe(e->run->arena, cel_list_at(&range, i));
                }
                v = step(e, n, &g, &end);
                if (end && n->macro <= MACRO_EXISTS && !eval_spend(e, 1 + (i + 1 < len ? going_cost(n) : 0)))
                        return eval_over_limit();
                if (end)
                        return v;
        }
        if (n->macro == MACRO_SORT_BY) {
                struct cel_value sorted[2] = { range, cel_list_new(e->run->arena, g.items, g.n) };
                bool known;

                if (!eval_spend(e, 2 + cel_call_cost("@sortByAssociatedKeys", 2, sorted, sorted)))
                        return eval_over_limit();
                return function_find("@sortByAssociatedKeys", true, 2, &known)->call(e, 2, sorted);
        }
        if (!eval_spend(e, n->macro == MACRO_EXISTS_ONE ? 2 : 1))
                return eval_over_limit();
        return outcome(e, n, &g);
}

static struct cel_value eval(struct eval *e, const struct node *n)
{
        switch (n->kind) {
        case NODE_LITERAL:
                return n->value;
        case NODE_IDENT:
                if (!eval_spend(e, 1))
                        return eval_over_limit();
                return n->slot >= 0 ? e->slots[n->slot]
                                    : cel_ripe(e->run->arena, e->run->resolve(e->run, e->run->userdata, n->name));
        case NODE_SELECT:
                return spend_step(e, n) ? eval_select(e, n) : eval_over_limit();
        case NODE_INDEX:
                return spend_step(e, n) ? eval_index(e, n) : eval_over_limit();
        case NODE_CALL:
                return eval_call(e, n);
        case NODE_LIST:
                return eval_list(e, n);
        case NODE_MAP:
        case NODE_MESSAGE:
                return eval_map(e, n);
        case NODE_AND:
        case NODE_OR:
                return eval_logic(e, n);
        case NODE_TERNARY:
                return eval_ternary(e, n);
        case NODE_MACRO:
                return eval_macro(e, n);
        case NODE_LOOP:
                break;
        }
        return cel_no_overload();
}

struct cel_value cel_eval(const struct cel_program *p, struct cel_run *run)
{
        struct eval e = { run, arena_calloc(run->arena, (p->n_slots + 1) * sizeof(struct cel_value)), 0 };

        return eval(&e, p->root);
}
