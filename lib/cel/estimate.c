/* What an expression may cost at most, as cel-go's checker and Kubernetes' libraries reckon it: definitions with rules that
 * could take too long are refused. The figures are part of the API: what is let in depends on them.
 *
 * A unit is about the time of one simple step. Sizes come from literals, from the schema (maxItems, maxLength) by the path
 * of fields that leads to a value, and from what functions do with sizes. */
#include <math.h>
#include <string.h>

#include "ast.h"

#define TRAVERSE 0.1 /* a byte of a string that is read */
#define REGEX 0.25   /* a byte of a regular expression */
enum { LIST_COST = 10, MAP_COST = 30, MESSAGE_COST = 40, CHECK_COST = 350000, FORMAT_REGEX = 128, FORMAT_SIZE = 64 };

struct range {
        uint64_t min, max;
};

/* What is known of a list's or a map's entries. */
struct entry_size {
        bool known, map;
        struct range key, value;
};

struct estimate {
        struct range cost;
        bool sized;
        struct range size;
        struct entry_size entry;
        bool reached;                 /* by a path of fields */
        const struct cel_shape *path; /* what stands there; NULL: the schema does not say */
};

struct local {
        const struct local *outer;
        const char *name;
        struct estimate is;
};

struct estimator {
        struct arena *arena;
        const struct cel_shape *root;
};

/* --- arithmetic that stays at its end --- */

static const struct range unknown = { 0, UINT64_MAX }, one = { 1, 1 }, zero = { 0, 0 };

static uint64_t add1(uint64_t x, uint64_t y)
{
        return x > UINT64_MAX - y ? UINT64_MAX : x + y;
}

static uint64_t mul1(uint64_t x, uint64_t y)
{
        return y && x > UINT64_MAX / y ? UINT64_MAX : x * y;
}

static uint64_t scale1(uint64_t x, double y)
{
        double d = (double)x;

        if (d > 0 && y > 0 && d > 18446744073709551615.0 / y)
                return UINT64_MAX;
        d = ceil(d * y);
        return d >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)d;
}

static struct range add(struct range x, struct range y)
{
        return (struct range){ add1(x.min, y.min), add1(x.max, y.max) };
}

static struct range mul(struct range x, struct range y)
{
        return (struct range){ mul1(x.min, y.min), mul1(x.max, y.max) };
}

static struct range scale(struct range x, double y)
{
        return (struct range){ scale1(x.min, y), scale1(x.max, y) };
}

static struct range both(struct range x, struct range y)
{
        return (struct range){ MIN(x.min, y.min), MAX(x.max, y.max) };
}

static struct range fixed(uint64_t x)
{
        return (struct range){ x, x };
}

static struct entry_size both_entries(struct entry_size x, struct entry_size y)
{
        if (!x.known || !y.known)
                return (struct entry_size){ 0 };
        return (struct entry_size){ true, x.map, both(x.key, y.key), both(x.value, y.value) };
}

/* --- sizes --- */

static bool scalar(const struct cel_shape *s)
{
        if (s->type == CEL_OPTIONAL)
                return scalar(s->of[0]);
        return s->type == CEL_BOOL || s->type == CEL_DOUBLE || s->type == CEL_DURATION || s->type == CEL_INT ||
               s->type == CEL_TIMESTAMP || s->type == CEL_UINT;
}

static const struct cel_shape *shape_of(const struct node *n)
{
        return n->known && n->known->shape ? n->known->shape : &cel_shapes[CEL_DYN];
}

/* The size of N where nothing else has told it. */
static void find_size(const struct node *n, struct estimate *e)
{
        if (e->sized)
                return;
        e->sized = true;
        if (n->kind == NODE_LITERAL && n->value.type != CEL_TYPE)
                e->size = fixed(n->value.type == CEL_STRING  ? cel_code_points(n->value.str)
                                : n->value.type == CEL_BYTES ? n->value.str.len
                                                             : 1);
        else if (n->kind == NODE_LIST || n->kind == NODE_MAP)
                e->size = fixed(n->kind == NODE_MAP ? n->n / 2 : n->n);
        else if (e->reached && e->path)
                e->size = (struct range){ 0, e->path->max };
        else if (scalar(shape_of(n)))
                e->size = one;
        else
                e->sized = false;
}

static struct range size_of(const struct estimate *e)
{
        return e->sized ? e->size : unknown;
}

/* --- paths --- */

static void step_into(struct estimate *e, const struct estimate *from, const char *field, int part)
{
        const struct cel_shape *s = from->path;

        e->reached = from->reached;
        e->path = NULL;
        if (!from->reached || !s)
                return;
        if (part >= 0) {
                e->path = s->type == CEL_LIST ? (part == 1 ? s->of[0] : NULL) : s->type == CEL_MAP ? s->of[part] : NULL;
                return;
        }
        if (s->type == CEL_MAP && s->open) /* upstream knows the size of m.key for some maps only, that of m[key] for all */
                e->path = s->of[1];
        for (size_t i = 0; s->type == CEL_OBJECT && i < s->n_members; i++)
                if (streq(s->members[i].field, field))
                        e->path = s->members[i].shape;
}

/* --- functions --- */

struct called {
        struct estimator *est;
        const struct node *n;
        const char *args;               /* of the signature */
        const struct estimate *target;  /* NULL: it is no member */
        const struct estimate *arg;
        size_t n_args;
        struct range cost;
        bool sized;
        struct range size;
};

static bool named(const char *name, const char *const *list)
{
        for (; *list; list++)
                if (streq(name, *list))
                        return true;
        return false;
}

static bool done(struct called *c, struct range cost)
{
        c->cost = cost;
        return true;
}

static bool done_sized(struct called *c, struct range cost, struct range size)
{
        c->size = size;
        c->sized = true;
        return done(c, cost);
}

/* What one item of TARGET may measure. */
static struct range item_size(const struct called *c)
{
        const struct cel_shape *s;

        if (!c->target->reached)
                return unknown;
        s = c->target->path;
        s = s && s->type == CEL_LIST ? s->of[0] : NULL;
        return s ? (struct range){ 0, s->max } : unknown;
}

static bool search_cost(struct called *c)
{
        const struct cel_shape *s = shape_of(c->n->args[0]);
        struct range size = size_of(c->target), item = one;

        if (s->type != CEL_LIST && s->type != CEL_OPTIONAL && s->type != CEL_MAP)
                return done(c, scale(size, TRAVERSE));
        if (s->of[0]->type == CEL_STRING || s->of[0]->type == CEL_BYTES)
                item = add(item, scale(item_size(c), TRAVERSE));
        return done(c, mul(size, item));
}

static bool replace_cost(struct called *c)
{
        struct range s = size_of(c->target), what = size_of(&c->arg[0]), with = size_of(&c->arg[1]), count = zero, rest = zero;

        if (what.min == 0) {
                count.max = add1(s.max, 1);
                rest.max = s.max;
        } else if (with.max <= what.min) {
                rest.max = s.max;
        } else {
                count.max = (uint64_t)ceil((double)s.max / (double)what.min);
        }
        if (what.max == 0) {
                count.min = add1(s.min, 1);
                rest.min = s.min;
        } else if (what.max <= with.min) {
                rest.min = s.min;
        } else {
                count.min = (uint64_t)ceil((double)s.min / (double)what.max);
        }
        return done_sized(c, scale(s, 2 * TRAVERSE), add(mul(count, with), rest));
}

static bool join_cost(struct called *c)
{
        struct range list = size_of(c->target), size = zero, between;

        if (shape_of(c->n->args[0])->of[0])
                size = mul(list, item_size(c));
        if (c->n_args) {
                between = (struct range){ list.min ? list.min - 1 : 0, list.max ? list.max - 1 : 0 };
                size = add(size, mul(size_of(&c->arg[0]), between));
        }
        return done_sized(c, scale(size, TRAVERSE), size);
}

static bool regex_cost(struct called *c, const struct estimate *text, const struct estimate *pattern)
{
        return done(c, mul(scale(add(size_of(text), one), TRAVERSE), scale(size_of(pattern), REGEX)));
}

static uint64_t literal_int(const struct node *n, uint64_t otherwise)
{
        return n->kind == NODE_LITERAL && n->value.type == CEL_INT ? (uint64_t)n->value.i : otherwise;
}

static bool list_made(struct called *c, double factor, struct range size)
{
        return done_sized(c, add(add(scale(size, factor), one), fixed(LIST_COST)), size);
}

/* cel-go's extensions of lists and sets. */
static bool list_cost(struct called *c)
{
        const char *f = c->n->name;
        struct range t = c->target ? size_of(c->target) : unknown;
        const struct node *const *args = (const struct node *const *)c->n->args + (c->target != NULL);

        if (streq(f, "slice"))
                return list_made(c, 1, fixed(literal_int(args[1], t.max) - literal_int(args[0], 0)));
        if (streq(f, "flatten"))
                return list_made(c, c->n_args ? (double)literal_int(args[0], UINT64_MAX) : 1, t);
        if (streq(f, "lists.range"))
                return list_made(c, 1, fixed(literal_int(args[0], UINT64_MAX)));
        if (streq(f, "reverse"))
                return list_made(c, 1, t);
        if (streq(f, "distinct"))
                return list_made(c, 2, mul(t, t));
        if (streq(f, "sort") || streq(f, "@sortByAssociatedKeys")) {
                struct range keys = c->n_args ? size_of(&c->arg[0]) : t;
                char of = c->args[strcspn(c->args, " ") - 1];

                return list_made(c, of == 's' || of == 'y' ? 2 + TRAVERSE : 2, mul(keys, keys));
        }
        if (str_has_prefix(f, "sets."))
                return done(c, add(scale(mul(size_of(&c->arg[0]), size_of(&c->arg[1])), streq(f, "sets.equivalent") ? 2 : 1), one));
        return false;
}

/* Kubernetes' libraries. */
static bool library_cost(struct called *c)
{
        static const char *const nominal[] = { "serviceAccount", "path", "group", "resource", "subresource", "namespace", "name",
                                               "allowed", "reason", "error", "errored", "masked", "prefixLength", "family",
                                               "isUnspecified", "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast",
                                               "isGlobalUnicast", "format.named", "sign", "asInteger", "isInteger",
                                               "asApproximateFloat", "isGreaterThan", "isLessThan", "compareTo", "add", "sub", "major",
                                               "minor", "patch", "getScheme", "getHostname", "getHost", "getPort", "getEscapedPath",
                                               "getQuery", NULL };
        static const char *const search[] = { "isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", NULL };
        static const char *const parsers[] = { "cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver", NULL };
        static const char *const same_size[] = { "lowerAscii", "upperAscii", "substring", "trim", NULL };
        const struct range comparing = { 4, 16 };
        const char *f = c->n->name;
        struct range x = c->n_args ? size_of(&c->arg[0]) : zero;

        if (streq(f, "check"))
                return done(c, fixed(CHECK_COST));
        if (named(f, nominal) || (streq(f, "ip") && c->target))
                return done(c, one);
        if (named(f, search) && c->target)
                return search_cost(c);
        if ((streq(f, "url") || streq(f, "jsonpatch.escapeKey")) && c->n_args == 1)
                return done_sized(c, scale(x, TRAVERSE), x);
        if (named(f, same_size) && c->target)
                return done_sized(c, scale(size_of(c->target), TRAVERSE), size_of(c->target));
        if (streq(f, "replace") && c->n_args >= 2)
                return replace_cost(c);
        if (streq(f, "split") && c->target) {
                struct range t = size_of(c->target);
                uint64_t max = c->n_args > 1 ? literal_int(c->n->args[2], t.max) : t.max;

                return done_sized(c, scale(t, 2 * TRAVERSE), (struct range){ 0, max });
        }
        if (streq(f, "join") && c->target)
                return join_cost(c);
        if ((streq(f, "find") || streq(f, "findAll")) && c->n_args >= 1) {
                c->sized = true;
                c->size = (struct range){ 0, size_of(c->target).max };
                return regex_cost(c, c->target, &c->arg[0]);
        }
        if (named(f, parsers) && c->n_args >= 1)
                return done(c, scale(x, TRAVERSE));
        if (streq(f, "ip.isCanonical"))
                return done(c, scale(x, 2 * TRAVERSE));
        if (streq(f, "containsIP"))
                return done(c, add(scale(add(comparing, comparing), TRAVERSE), c->args[1] == 's' ? scale(x, TRAVERSE) : zero));
        if (streq(f, "containsCIDR"))
                return done(c, add(add(scale(add(comparing, comparing), TRAVERSE), add(scale(comparing, TRAVERSE), one)),
                                   c->args[1] == 's' ? scale(x, TRAVERSE) : zero));
        if (streq(f, "validate") && c->n_args >= 1)
                return done(c, scale(scale(x, TRAVERSE), FORMAT_REGEX * REGEX));
        if ((streq(f, "fieldSelector") || streq(f, "labelSelector")) && c->n_args == 1)
                return done(c, add(fixed(0), scale(x, TRAVERSE)));
        return false;
}

/* Two values of one of Kubernetes' types are told apart at once. */
static bool equality_cost(struct called *c)
{
        const struct cel_shape *x = shape_of(c->n->args[0]), *y = shape_of(c->n->args[1]);

        if (!streq(c->n->name, "_==_") || !shape_same(x, y))
                return false;
        switch (x->type) {
        case CEL_IP:
        case CEL_CIDR:
        case CEL_QUANTITY:
        case CEL_SEMVER:
                return done(c, one);
        case CEL_FORMAT:
                return done(c, scale((struct range){ 1, FORMAT_SIZE }, TRAVERSE));
        case CEL_URL:
                return done(c, scale((struct range){ 1, c->arg[1].sized ? c->arg[1].size.max : 1 }, TRAVERSE));
        case CEL_OBJECT:
                return !x->members && done(c, one);
        default:
                return false;
        }
}

/* cel-go's own. */
static bool standard_cost(struct called *c)
{
        static const char *const comparing[] = { "_<_", "_>_", "_<=_", "_>=_", NULL };
        const char *f = c->n->name;
        bool text = c->args[0] == 's' || c->args[0] == 'y';
        struct range x = c->n_args ? size_of(&c->arg[0]) : zero, y = c->n_args > 1 ? size_of(&c->arg[1]) : zero;

        if (streq(f, "format") && c->target)
                return done(c, scale(size_of(c->target), TRAVERSE));
        if (streq(f, "bytes") && c->args[0] == 's')
                return done_sized(c, scale(x, TRAVERSE), (struct range){ x.min, x.max * 4 });
        if (streq(f, "string") && c->args[0] == 'y')
                return done_sized(c, scale(x, TRAVERSE), (struct range){ x.min / 4, x.max });
        if (streq(f, "strings.quote"))
                return done_sized(c, scale(x, TRAVERSE), (struct range){ x.min + 2, x.max * 2 + 2 });
        if (streq(f, "startsWith") || streq(f, "endsWith"))
                return done(c, scale(x, TRAVERSE));
        if (streq(f, "@in") && c->args[1] == 'L')
                return done(c, y);
        if (streq(f, "matches") && c->target)
                return regex_cost(c, c->target, &c->arg[0]);
        if (streq(f, "contains"))
                return done(c, mul(scale(size_of(c->target), TRAVERSE), scale(x, TRAVERSE)));
        if (streq(f, "_+_") && (text || c->args[0] == 'L'))
                return done_sized(c, text ? scale(add(x, y), TRAVERSE) : one, add(x, y));
        if (streq(f, "_==_") || streq(f, "_!=_") || (named(f, comparing) && text)) {
                uint64_t smaller = MIN(x.max, y.max);

                return done(c, scale((struct range){ smaller > 0, smaller }, TRAVERSE));
        }
        return false;
}

/* --- nodes --- */

static struct estimate estimate(struct estimator *est, const struct local *locals, struct node *n);

/* A call whose arguments are known: the cost without them. */
static void call_cost(struct estimator *est, struct node *n, const struct estimate *args, size_t n_args, struct estimate *ret)
{
        bool member = n->member && n_args;
        struct range cost = { UINT64_MAX, 0 };

        if (!n->known || !n->known->n_called)
                return;
        for (size_t i = 0; i < n->known->n_called; i++) {
                struct called c = { .est = est, .n = n, .args = n->known->called[i], .target = member ? args : NULL,
                                    .arg = args + member, .n_args = n_args - member };

                if (!list_cost(&c) && !library_cost(&c) && !(n_args == 2 && equality_cost(&c)) && !standard_cost(&c))
                        c.cost = one;
                cost = both(cost, c.cost);
                if (c.sized) {
                        ret->size = ret->sized ? both(ret->size, c.size) : c.size;
                        ret->sized = true;
                }
        }
        ret->cost = add(ret->cost, cost);
}

static struct estimate call_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate *args = arena_calloc(est->arena, (n->n + 1) * sizeof(*args)), e = { 0 };

        for (size_t i = 0; i < n->n; i++) {
                args[i] = estimate(est, locals, n->args[i]);
                e.cost = add(e.cost, args[i].cost);
        }
        if (streq(n->name, "dyn") && n->n == 1) {
                args[0].cost = add(args[0].cost, one);
                args[0].reached = false;
                return args[0];
        }
        call_cost(est, n, args, n->n, &e);
        if (streq(n->name, "_+_") && n->n == 2)
                e.entry = both_entries(args[0].entry, args[1].entry);
        return e;
}

static struct estimate index_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate of = estimate(est, locals, n->args[0]), key = estimate(est, locals, n->args[1]), e = { 0 };

        e.cost = add(add(of.cost, key.cost), one);
        for (size_t i = 0; i < n->known->n_called && !n->optional; i++) {
                char c = *n->known->called[i];

                if (c != 'L' && c != 'M')
                        continue;
                e.sized = of.entry.known;
                e.size = of.entry.value;
                step_into(&e, &of, NULL, 1);
                if (!of.reached) { /* upstream's path is then "@items" alone, which it takes for the root */
                        e.reached = true;
                        e.path = est->root;
                }
        }
        return e;
}

static struct estimate select_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate of = estimate(est, locals, n->args[0]), e = { .cost = of.cost };
        enum cel_type t = shape_of(n->args[0])->type;

        if (n->test)
                return e;
        if (n->optional) { /* a function of two arguments, the second a literal */
                e.cost = add(e.cost, one);
                return e;
        }
        if (t == CEL_MAP || t == CEL_OBJECT || t == CEL_PARAM || t == CEL_QUANTITY || t == CEL_URL || t == CEL_SEMVER || t == CEL_FORMAT)
                e.cost = add(e.cost, one);
        if (of.reached) {
                step_into(&e, &of, n->name, -1);
                if (of.path && of.path->type == CEL_MAP && !of.path->open)
                        e.path = NULL;
        } else {
                e.reached = true;
                e.path = est->root;
        }
        return e;
}

static struct estimate ident_estimate(struct estimator *est, const struct local *locals, const struct node *n)
{
        struct estimate e = { .cost = one };

        while (locals && !streq(locals->name, n->name))
                locals = locals->outer;
        if (!locals) {
                e.reached = true;
                e.path = est->root;
                return e;
        }
        e.reached = locals->is.reached;
        e.path = locals->is.path;
        e.entry = locals->is.entry;
        find_size(n, &e);
        if (!e.sized) {
                e.sized = locals->is.sized;
                e.size = locals->is.size;
        }
        return e;
}

static struct estimate list_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate e = { .cost = fixed(n->kind == NODE_LIST  ? LIST_COST
                                            : n->kind == NODE_MAP ? MAP_COST
                                                                  : MESSAGE_COST) };
        struct range sizes[2];
        size_t step = n->kind == NODE_LIST ? 1 : 2;

        sizes[0] = sizes[1] = (struct range){ n->n ? UINT64_MAX : 0, 0 };
        for (size_t i = 0; i < n->n; i++) {
                struct estimate item;

                if (n->kind == NODE_MESSAGE && i % 2 == 0)
                        continue;
                item = estimate(est, locals, n->args[i]);
                e.cost = add(e.cost, item.cost);
                sizes[step == 1 ? 1 : i % 2] = both(sizes[step == 1 ? 1 : i % 2], size_of(&item));
        }
        if (n->kind == NODE_LIST)
                e.entry = (struct entry_size){ true, false, one, sizes[1] };
        else if (n->kind == NODE_MAP)
                e.entry = (struct entry_size){ true, true, sizes[0], sizes[1] };
        return e;
}

/* A variable that takes the values of RANGE one after the other. PART 0: keys or positions, 1: values. */
static struct local iterated(struct estimator *est, const struct local *outer, const char *name, const struct node *range_node,
                             const struct estimate *range, int part)
{
        struct local l = { .outer = outer, .name = name };
        bool list = range->entry.known ? !range->entry.map : shape_of(range_node)->type == CEL_LIST;

        l.is.sized = range->entry.known;
        l.is.size = part ? range->entry.value : range->entry.key;
        l.is.reached = true;
        l.is.path = est->root;
        if (range->reached) {
                step_into(&l.is, range, NULL, part);
                if (list && !part)
                        l.is.path = NULL;
        }
        return l;
}

static struct estimate loop_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate range = estimate(est, locals, n->args[LOOP_RANGE]), first = estimate(est, locals, n->args[LOOP_FIRST]), going,
                        step, result, e = { 0 };
        bool list = range.entry.known ? !range.entry.map : shape_of(n->args[LOOP_RANGE])->type == CEL_LIST;
        struct local so_far = { .outer = locals, .name = SO_FAR, .is = { .sized = first.sized, .size = first.size, .entry = first.entry } }, x, y;
        enum node_kind kind = n->args[LOOP_FIRST]->kind;

        x = iterated(est, &so_far, n->vars[0], n->args[LOOP_RANGE], &range, n->vars[1] ? 0 : list);
        y = iterated(est, &x, n->vars[1] ? n->vars[1] : "", n->args[LOOP_RANGE], &range, 1);
        going = estimate(est, &y, n->args[LOOP_GOING]);
        step = estimate(est, &y, n->args[LOOP_STEP]);
        result = estimate(est, &so_far, n->args[LOOP_RESULT]);
        e.cost = add(add(range.cost, first.cost), result.cost);
        e.cost = add(e.cost, mul(size_of(&range), add(step.cost, going.cost)));
        e.sized = true;
        e.size = kind == NODE_LITERAL ? size_of(&first) : size_of(&range);
        if (kind != NODE_LITERAL)
                e.entry = step.entry;
        return e;
}

static struct estimate macro_estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate of, e = { 0 }, body, result;
        struct local x;

        if (n->macro < MACRO_SORT_BY)
                return estimate(est, locals, n->known->meaning);
        of = estimate(est, locals, n->args[0]);
        if (n->macro == MACRO_SORT_BY) {
                struct node call = *n;
                struct estimate args[2];

                x = (struct local){ .outer = locals, .name = SORTED, .is = of };
                args[0] = of;
                args[1] = estimate(est, &x, n->known->meaning);
                call.name = "@sortByAssociatedKeys";
                call.member = true;
                e.cost = add(add(fixed(LIST_COST), of.cost), add(args[1].cost, one));
                call_cost(est, &call, args, 2, &e);
                return e;
        }
        /* of.hasValue() ? optional.of(a binding of of.value()) : optional.none() */
        x = (struct local){ .outer = locals, .name = n->vars[0], .is = { .sized = scalar(shape_of(n->args[0])), .size = one } };
        body = estimate(est, &x, n->args[1]);
        result.cost = add(add(fixed(LIST_COST), add(of.cost, one)), body.cost);
        if (n->macro == MACRO_OPT_MAP)
                result.cost = add(result.cost, one);
        e.cost = add(add(of.cost, one), both(result.cost, one));
        e.sized = true;
        e.size = unknown;
        return e;
}

static struct estimate estimate(struct estimator *est, const struct local *locals, struct node *n)
{
        struct estimate e = { 0 }, x, y;

        switch (n->kind) {
        case NODE_LITERAL:
                if (n->value.type == CEL_TYPE) { /* the name of a type is a name as any */
                        e.cost = one;
                        e.reached = true;
                        e.path = est->root;
                }
                break;
        case NODE_IDENT:
                e = ident_estimate(est, locals, n);
                break;
        case NODE_SELECT:
                e = select_estimate(est, locals, n);
                break;
        case NODE_INDEX:
                e = index_estimate(est, locals, n);
                break;
        case NODE_CALL:
                e = call_estimate(est, locals, n);
                break;
        case NODE_LIST:
        case NODE_MAP:
        case NODE_MESSAGE:
                e = list_estimate(est, locals, n);
                break;
        case NODE_AND:
        case NODE_OR:
                for (size_t i = 0; i < n->n; i++) {
                        x = estimate(est, locals, n->args[i]);
                        e.cost = (struct range){ i ? e.cost.min : x.cost.min, add1(e.cost.max, x.cost.max) };
                }
                break;
        case NODE_TERNARY:
                x = estimate(est, locals, n->args[1]);
                y = estimate(est, locals, n->args[2]);
                e.cost = add(estimate(est, locals, n->args[0]).cost, both(x.cost, y.cost));
                e.sized = true;
                e.size = both(size_of(&x), size_of(&y));
                e.entry = both_entries(x.entry, y.entry);
                break;
        case NODE_MACRO:
                e = macro_estimate(est, locals, n);
                break;
        case NODE_LOOP:
                e = loop_estimate(est, locals, n);
                break;
        }
        find_size(n, &e);
        return e;
}

uint64_t cel_estimate(struct arena *a, struct node *root, const struct cel_shape *sizes)
{
        struct estimator est = { a, sizes };

        return estimate(&est, NULL, root).cost.max;
}
