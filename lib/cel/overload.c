/* Why a function cannot take the values it got, in cel-go's words. It dispatches in two ways, and each says it otherwise.
 *
 * Operators and a few functions have one implementation, which asks the first value for a trait (can it be added to, has it
 * a size): "no such overload: _+_" if it has not, "no such overload" if the other values do not go with it. All others have
 * an implementation a signature, guarded by the types at hand: "no such overload: ip(int)" if there is none for them. */
#include <string.h>

#include "ast.h"

#define BIT(type) (1u << (type))

enum {
        NUMBERS = BIT(CEL_INT) | BIT(CEL_UINT) | BIT(CEL_DOUBLE),
        TIMES = BIT(CEL_TIMESTAMP) | BIT(CEL_DURATION),
        ADDABLE = NUMBERS | TIMES | BIT(CEL_STRING) | BIT(CEL_BYTES) | BIT(CEL_LIST),
        ORDERED = NUMBERS | TIMES | BIT(CEL_BOOL) | BIT(CEL_STRING) | BIT(CEL_BYTES),
        SIZED = BIT(CEL_STRING) | BIT(CEL_BYTES) | BIT(CEL_LIST) | BIT(CEL_MAP),
        RECEIVERS = TIMES | BIT(CEL_STRING), /* answer for themselves that they know no such function */
        ANYTHING = ~0u,
};

/* What has one implementation, and which types have its trait. */
static const struct {
        const char *name;
        unsigned types;
} by_trait[] = {
        { "_+_", ADDABLE },       { "_-_", NUMBERS | TIMES },
        { "_*_", NUMBERS },       { "_/_", NUMBERS },
        { "_%_", BIT(CEL_INT) | BIT(CEL_UINT) },
        { "_<_", ORDERED },       { "_<=_", ORDERED },
        { "_>_", ORDERED },       { "_>=_", ORDERED },
        { "-_", BIT(CEL_INT) | BIT(CEL_DOUBLE) | BIT(CEL_BOOL) | BIT(CEL_DURATION) },
        { "!_", ANYTHING },       { "_==_", ANYTHING },
        { "_!=_", ANYTHING },     { "@in", ANYTHING },
        { "size", SIZED },        { "matches", BIT(CEL_STRING) },
        { "contains", ANYTHING }, { "startsWith", ANYTHING }, /* these three have their guards off */
        { "endsWith", ANYTHING },
        { "sort", BIT(CEL_LIST) }, { "@sortByAssociatedKeys", BIT(CEL_LIST) },
};

/* Whether V is of the type that a signature names next; of a list the first item counts, of a map nothing does. */
static bool next_fits(const char **text, const struct cel_value *v)
{
        const struct cel_shape *any[2] = { &cel_shapes[CEL_DYN], &cel_shapes[CEL_DYN] };
        char c = **text;

        if (c == 'L') {
                struct cel_value first = { .type = CEL_DYN };

                (*text)++;
                if (v->type == CEL_LIST && cel_list_len(v))
                        first = cel_list_at(v, 0);
                return next_fits(text, &first) && (v->type == CEL_LIST || v->type == CEL_DYN);
        }
        if (c == 'M' || c == 'O' || c == 'K') {
                const struct cel_value unknown = { .type = CEL_DYN };
                enum cel_type type = c == 'M' ? CEL_MAP : c == 'O' ? CEL_OPTIONAL : CEL_TYPE;

                for (int parts = (*text)++ ? (c == 'M' ? 2 : 1) : 0; parts; parts--)
                        next_fits(text, &unknown);
                return v->type == type || v->type == CEL_DYN;
        }
        if (c == 'A' || c == 'B' || c == '?' || (c >= '1' && c <= '5')) {
                (*text)++;
                return true;
        }
        return shape_read(NULL, text, any)->type == v->type || v->type == CEL_DYN;
}

static bool signature_fits(const char *text, size_t n, const struct cel_value *args)
{
        for (size_t i = 0; i < n; i++)
                if (!*text || *text == ' ' || !next_fits(&text, &args[i]))
                        return false;
        return !*text || *text == ' ';
}

bool cel_overload_fits(const char *name, bool member, size_t n, const struct cel_value *args)
{
        for (const struct signature *s = signatures; s->name; s++)
                for (const char *text = streq(s->name, name) && s->member == member ? s->args : NULL; text; text = strchr(text, ' ')) {
                        text += *text == ' ';
                        if (signature_fits(text, n, args))
                                return true;
                }
        return false;
}

struct cel_value cel_describe_overload(struct arena *a, const char *name, bool member, size_t n, const struct cel_value *args)
{
        const char *types = "";

        for (size_t i = 0; i < ARRAY_SIZE(by_trait) && n; i++)
                if (streq(by_trait[i].name, name))
                        return (by_trait[i].types | RECEIVERS) & BIT(args->type) ? cel_no_overload()
                                                                                  : cel_error(a, "no such overload: %s", name);
        if (streq(name, "flatten") && n == 1) /* its guards are off */
                return cel_error(a, "no such overload: %s.flatten()", args->type == CEL_MAP ? "map(dyn, dyn)" : cel_type_name(args));
        if (cel_overload_fits(name, member, n, args))
                return cel_no_overload();
        for (size_t i = 0; i < n; i++)
                types = arena_printf(a, "%s%s%s", types, i ? ", " : "", cel_type_name(&args[i]));
        return cel_error(a, "no such overload: %s(%s)", name, types);
}
