/* What evaluation costs, as cel-go's tracker and Kubernetes' libraries count it: limits are part of the API, so the figures are.
 *
 * A name, a field and an index cost one each; what is made of constants alone is made once and costs nothing; a call costs
 * by its function and the sizes at hand. eval.c adds the costs of loops, which are what a macro is short for. */
#include <string.h>

#include "ast.h"

enum { CHECK_COST = 350000, ALLOCATE = 10 };

/* --- sizes --- */

static uint64_t size_of(const struct cel_value *v)
{
        switch (v->type) {
        case CEL_STRING:
                return cel_code_points(v->str);
        case CEL_BYTES:
                return v->str.len;
        case CEL_LIST:
                return cel_list_len(v);
        case CEL_MAP:
                return cel_map_len(v);
        case CEL_IP:
                return v->address->v6 ? 16 : 4;
        case CEL_CIDR:
                return ((uint64_t)v->address->prefix + 7) / 8;
        default:
                return 1;
        }
}

/* TIMES tenths of a unit each, rounded up. */
static uint64_t tenths(uint64_t size, uint64_t times)
{
        return (size * times + 9) / 10;
}

/* Of a value and all that is in it. */
static uint64_t traversal(const struct cel_value *v)
{
        uint64_t cost = 0;

        switch (v->type) {
        case CEL_STRING:
        case CEL_BYTES:
                return v->str.len / 10;
        case CEL_LIST:
                for (size_t i = 0; i < cel_list_len(v); i++) {
                        struct cel_value item = cel_list_at(v, i);

                        cost += traversal(&item);
                }
                return cost;
        case CEL_MAP:
                for (size_t i = 0; i < cel_map_len(v); i++) {
                        struct cel_entry entry = cel_map_at(v, i);

                        cost += traversal(&entry.key) + traversal(&entry.value);
                }
                return cost;
        default:
                return 1;
        }
}

/* --- functions --- */

enum cost {
        COST_ONE,
        COST_CHECK,
        COST_TRAVERSAL,
        COST_READ,        /* a tenth of the first argument */
        COST_READ_SECOND,
        COST_READ_TWICE,
        COST_RESULT_TWICE,
        COST_REGEX,
        COST_CONTAINS,
        COST_FORMAT,
        COST_IN,
        COST_SMALLER,     /* a tenth of the smaller one */
        COST_ADD,
        COST_CIDR_IP,
        COST_CIDR_CIDR,
        COST_SETS,
        COST_SETS_TWICE,
        COST_LIST_RESULT,
        COST_LIST_FLATTEN,
        COST_LIST_SORT,
        COST_LIST_SORT_BY,
};

static const struct {
        const char *name;
        enum cost cost;
} functions[] = {
        { "@in", COST_IN },
        { "@sortByAssociatedKeys", COST_LIST_SORT_BY },
        { "_!=_", COST_SMALLER },
        { "_+_", COST_ADD },
        { "_<=_", COST_SMALLER },
        { "_<_", COST_SMALLER },
        { "_==_", COST_SMALLER },
        { "_>=_", COST_SMALLER },
        { "_>_", COST_SMALLER },
        { "bytes", COST_READ },
        { "check", COST_CHECK },
        { "cidr", COST_READ },
        { "contains", COST_CONTAINS },
        { "containsCIDR", COST_CIDR_CIDR },
        { "containsIP", COST_CIDR_IP },
        { "distinct", COST_LIST_SORT },
        { "endsWith", COST_READ_SECOND },
        { "fieldSelector", COST_READ_SECOND },
        { "find", COST_REGEX },
        { "findAll", COST_REGEX },
        { "flatten", COST_LIST_FLATTEN },
        { "format", COST_READ },
        { "indexOf", COST_TRAVERSAL },
        { "ip", COST_READ },
        { "ip.isCanonical", COST_READ_TWICE },
        { "isCIDR", COST_READ },
        { "isIP", COST_READ },
        { "isQuantity", COST_READ },
        { "isSemver", COST_READ },
        { "isSorted", COST_TRAVERSAL },
        { "join", COST_RESULT_TWICE },
        { "jsonpatch.escapeKey", COST_READ },
        { "labelSelector", COST_READ_SECOND },
        { "lastIndexOf", COST_TRAVERSAL },
        { "lists.range", COST_LIST_RESULT },
        { "lowerAscii", COST_READ },
        { "matches", COST_REGEX },
        { "max", COST_TRAVERSAL },
        { "min", COST_TRAVERSAL },
        { "quantity", COST_READ },
        { "replace", COST_READ_TWICE },
        { "reverse", COST_LIST_RESULT },
        { "semver", COST_READ },
        { "sets.contains", COST_SETS },
        { "sets.equivalent", COST_SETS_TWICE },
        { "sets.intersects", COST_SETS },
        { "slice", COST_LIST_RESULT },
        { "sort", COST_LIST_SORT },
        { "split", COST_READ_TWICE },
        { "startsWith", COST_READ_SECOND },
        { "string", COST_READ },
        { "strings.quote", COST_READ },
        { "substring", COST_READ },
        { "sum", COST_TRAVERSAL },
        { "trim", COST_READ },
        { "upperAscii", COST_READ },
        { "url", COST_READ },
        { "validate", COST_FORMAT },
};

static enum cost cost_of(const char *name)
{
        size_t lo = 0, hi = ARRAY_SIZE(functions);

        while (lo < hi) {
                size_t middle = (lo + hi) / 2;
                int r = strcmp(functions[middle].name, name);

                if (r == 0)
                        return functions[middle].cost;
                if (r < 0)
                        lo = middle + 1;
                else
                        hi = middle;
        }
        return COST_ONE;
}

static uint64_t regex_cost(uint64_t text, uint64_t pattern)
{
        return tenths(text + 1, 1) * ((pattern + 3) / 4);
}

/* A format's regular expression is not at hand: about how long it is. */
static uint64_t format_size(struct cel_string name)
{
        static const struct {
                const char *part;
                uint64_t size;
        } sizes[] = { { "Subdomain", 60 }, { "qualified", 60 }, { "labelValue", 40 }, { "Label", 30 }, { "", 100 } };
        size_t i = 0;

        while (!memmem(name.s, name.len, sizes[i].part, strlen(sizes[i].part)))
                i++;
        return sizes[i].size;
}

static uint64_t compare_cost(const struct cel_value *x, const struct cel_value *y, bool equality)
{
        bool text = x->type == CEL_STRING || x->type == CEL_BYTES;

        if (!equality && !text)
                return 1;
        switch (x->type) { /* Kubernetes' own are told apart at once */
        case CEL_QUANTITY:
        case CEL_IP:
        case CEL_CIDR:
        case CEL_FORMAT:
        case CEL_URL:
        case CEL_SEMVER:
        case CEL_OBJECT:
                return 1;
        default:
                return tenths(MIN(size_of(x), size_of(y)), 1);
        }
}

static uint64_t sort_cost(const struct cel_value *list)
{
        uint64_t n = size_of(list);
        struct cel_value first;

        if (list->type != CEL_LIST || !n)
                return ALLOCATE + 1;
        first = cel_list_at(list, 0);
        return (first.type == CEL_STRING || first.type == CEL_BYTES ? n * n * 21 / 10 : n * n * 2) + ALLOCATE + 1;
}

/* Of one that has at least the arguments that its kind of cost looks at. */
static uint64_t priced(enum cost cost, const char *name, size_t n, const struct cel_value *v, const struct cel_value *result)
{
        uint64_t x = n ? size_of(&v[0]) : 0, y = n > 1 ? size_of(&v[1]) : 0;
        bool text = n && (v[0].type == CEL_STRING || v[0].type == CEL_BYTES);

        switch (cost) {
        case COST_CHECK:
                return CHECK_COST;
        case COST_TRAVERSAL:
                return traversal(&v[0]);
        case COST_READ:
                if (streq(name, "string"))
                        return v[0].type == CEL_BYTES ? tenths(x, 1) : 1;
                return text ? tenths(x, 1) : 1;
        case COST_READ_SECOND:
                return tenths(y, 1);
        case COST_READ_TWICE:
                return tenths(x, 2);
        case COST_RESULT_TWICE:
                return tenths(size_of(result), 2);
        case COST_REGEX:
                return regex_cost(x, y);
        case COST_CONTAINS:
                return tenths(x, 1) * tenths(y, 1);
        case COST_FORMAT:
                return v[0].type == CEL_FORMAT ? regex_cost(y, format_size(v[0].str)) : 1;
        case COST_IN:
                return v[1].type == CEL_LIST ? y : 1;
        case COST_SMALLER:
                return compare_cost(&v[0], &v[1], name[1] == '=' || name[1] == '!');
        case COST_ADD:
                return text ? tenths(x + y, 1) : 1;
        case COST_CIDR_IP:
                return tenths(x, 2) + (v[1].type == CEL_STRING ? tenths(y, 1) : 0);
        case COST_CIDR_CIDR:
                return tenths(x, 2) + tenths(x, 1) + 1 + (v[1].type == CEL_STRING ? tenths(y, 1) : 0);
        case COST_SETS:
        case COST_SETS_TWICE:
                return x * y * (cost == COST_SETS ? 1 : 2) + 1;
        case COST_LIST_RESULT:
                return size_of(result) + ALLOCATE + 1;
        case COST_LIST_FLATTEN:
                return x * (n > 1 && v[1].type == CEL_INT && v[1].i > 0 ? (uint64_t)v[1].i : 1) + ALLOCATE + 1;
        case COST_LIST_SORT:
                return sort_cost(&v[0]);
        case COST_LIST_SORT_BY:
                return sort_cost(&v[1]);
        case COST_ONE:
                break;
        }
        return 1;
}

uint64_t cel_call_cost(const char *name, size_t n, const struct cel_value *v, const struct cel_value *result)
{
        enum cost cost = cost_of(name);

        if (cost == COST_ONE || !n || (n < 2 && (cost == COST_READ_SECOND || cost == COST_REGEX || (cost >= COST_CONTAINS && cost <= COST_SETS_TWICE) ||
                                                 cost == COST_LIST_SORT_BY)))
                return 1;
        return priced(cost, name, n, v, result);
}

/* --- constants --- */

static bool converts(const char *name)
{
        static const char *const names[] = { "bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

/* Simple values that a table can be made of, for "in". */
static bool simple(const struct node *n)
{
        return n->kind == NODE_LITERAL && (n->value.type == CEL_BOOL || n->value.type == CEL_INT || n->value.type == CEL_UINT ||
                                           n->value.type == CEL_DOUBLE || n->value.type == CEL_STRING);
}

/* What upstream makes while it plans, it makes at once: an error then is no longer one of evaluation. */
static const char *try_conversion(struct arena *a, const struct node *n)
{
        struct cel_run run = { .arena = a };
        struct cel_program alone = { .root = (struct node *)n };
        struct cel_value v = cel_eval(&alone, &run);

        return cel_is_error(v) ? cel_text(a, &v) : NULL;
}

const char *cel_find_constants(struct arena *a, struct node *n)
{
        bool all = true, plain = true;
        const char *trouble = NULL;

        for (size_t i = 0; i < n->n; i++) {
                if (!n->args[i])
                        continue;
                trouble = trouble ?: cel_find_constants(a, n->args[i]);
                all &= n->args[i]->constant;
        }
        switch (n->kind) {
        case NODE_LITERAL:
                n->constant = true;
                break;
        case NODE_LIST:
        case NODE_MAP:
                for (size_t i = 0; n->flags && i < (n->kind == NODE_MAP ? n->n / 2 : n->n); i++)
                        all &= !n->flags[i];
                n->constant = all;
                break;
        case NODE_CALL:
                n->constant = all && n->n == 1 && !n->member && converts(n->name);
                if (n->constant && !trouble)
                        trouble = try_conversion(a, n);
                if (streq(n->name, "@in") && n->n == 2 && n->args[1]->kind == NODE_LIST && n->args[1]->constant) {
                        for (size_t i = 0; i < n->args[1]->n; i++)
                                plain &= simple(n->args[1]->args[i]);
                        n->gratis = plain;
                }
                break;
        default:
                break;
        }
        return trouble;
}
