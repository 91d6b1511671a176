/* Inside of the interpreter: the tree that parsing makes and evaluation walks. Not for others; see cel.h. */
#pragma once

#include "shape.h"
#include "value.h"

enum node_kind {
        NODE_LITERAL,
        NODE_IDENT,   /* name; slot >= 0: a comprehension's variable */
        NODE_SELECT,  /* args[0].name; test: has() of it; optional: ".?" */
        NODE_INDEX,   /* args[0][args[1]]; optional: "[?" */
        NODE_CALL,    /* function(args...), member: args[0].function(args[1]...) */
        NODE_LIST,    /* args, flags: which are optional */
        NODE_MAP,     /* args: keys and values by turns */
        NODE_MESSAGE, /* name{...}: args as NODE_MAP */
        NODE_AND,
        NODE_OR,
        NODE_TERNARY,
        NODE_MACRO, /* args[0].macro(variables, args[1], args[2]) */
        NODE_LOOP,  /* only in what a macro is short for: args by enum loop */
};

enum loop { LOOP_RANGE, LOOP_FIRST, LOOP_GOING, LOOP_STEP, LOOP_RESULT };
#define SO_FAR "@result" /* the variable of a loop that its result is gathered in */
#define SORTED "@sorted"  /* of sortBy(): the list */

enum { SLOT_NONE = -1 };

enum macro {
        MACRO_ALL,
        MACRO_EXISTS,
        MACRO_EXISTS_ONE,
        MACRO_FILTER,
        MACRO_MAP,             /* args[1]: transform; args[2], if there: which to take */
        MACRO_TRANSFORM_LIST,  /* from here on two variables */
        MACRO_TRANSFORM_MAP,
        MACRO_TRANSFORM_ENTRY,
        MACRO_SORT_BY,
        MACRO_OPT_MAP,
        MACRO_OPT_FLAT_MAP,
};

struct function;
struct known;

struct node {
        enum node_kind kind;
        struct known *known; /* while it is compiled */
        uint32_t pos;       /* byte in the text that an error points to */
        const char *name;   /* of identifiers, fields, functions, messages */
        struct node **args;
        size_t n;
        uint8_t *flags; /* of list items and map keys: optional */
        bool member, test, optional;
        bool rooted;   /* ".name": errors show the dot */
        bool constant; /* made of literals alone: upstream makes it once */
        bool gratis;   /* of calls: it costs its arguments only */
        struct cel_value value; /* of literals */
        const struct function *function;
        enum macro macro;
        const char *vars[2]; /* of macros; [1] may be NULL */
        int slot;            /* of identifiers: the variable's; of macros: that of vars[0] */
};

/* What the compiler finds out. It lives in an arena of the compiler's own. */
struct known {
        const struct cel_shape *shape;
        struct node *meaning; /* of macros: cel_expand() */
        const char **called;  /* of calls: the arguments of the signatures that fit */
        size_t n_called;
};

struct cel_program {
        struct node *root;
        size_t n_slots;
        const struct cel_shape *shape;
        uint64_t cost;
        const char **uses; /* variables, NULL-ended */
        const char *trouble; /* cel_program_trouble() */
};

struct eval {
        struct cel_run *run;
        struct cel_value *slots;
        uint64_t work; /* what was done, where that is more than it costs */
};

/* ARGS hold no errors; of member functions args[0] is the object. */
typedef struct cel_value function_fn(struct eval *e, size_t n, const struct cel_value *args);

struct function {
        const char *name; /* "size"; "sets.contains" where a name space is part of it */
        bool member, global;
        uint8_t min, max;    /* arguments, the object counted */
        enum cel_type type;  /* of the result, CEL_DYN: depends */
        function_fn *call;
};

/* All functions, by tables of a library each; a NULL ends them. */
extern const struct function functions_standard[], functions_strings[], functions_kubernetes[], functions_network[],
        functions_extended[], functions_format[];

/* How the function may be called with N arguments; NULL: in no way. *ret_known: it exists under that name at all. */
const struct function *function_find(const char *name, bool member, size_t n, bool *ret_known);

/* "no such overload", with as much of the function and the types it got as cel-go tells. */
struct cel_value cel_describe_overload(struct arena *a, const char *name, bool member, size_t n, const struct cel_value *args);
/* Whether a signature of the function has the types of these values. */
bool cel_overload_fits(const char *name, bool member, size_t n, const struct cel_value *args);

/* Counts cost; false: the limit is passed. */
bool eval_spend(struct eval *e, uint64_t cost);
/* Asked by functions before they do WORK, which their cost may not tell; false: it is too much. */
bool eval_room(struct eval *e, uint64_t work);
/* What a call costs (cost.c). */
uint64_t cel_call_cost(const char *name, size_t n, const struct cel_value *v, const struct cel_value *result);
/* Marks what is constant in a checked tree. What converts a constant is tried at once: the first error of it, or NULL. */
const char *cel_find_constants(struct arena *a, struct node *n);
struct cel_value eval_over_limit(void);

/* indexOf and lastIndexOf of a string: lists have them too. */
struct cel_value cel_string_index(struct eval *e, size_t n, const struct cel_value *v, bool last);
/* NULL, or why S is no URL, in Go's words. The parts point into S, the scheme is lower case. */
const char *cel_parse_url(struct arena *a, struct cel_string s, struct cel_url *ret);
/* As Go's %q: in quotes. */
const char *cel_go_quote(struct arena *a, struct cel_string s);

/* "10.0.0.1", "10.0.0.0/8": canonical. */
const char *cel_address_text(struct arena *a, const struct cel_address *x);

/* A parser of TEXT: no names are known to it. */
int cel_parse(struct arena *a, const char *text, struct node **ret, struct error *reterr);
/* The loop that a macro is short for (not of optMap and optFlatMap). */
struct node *cel_expand(struct arena *a, const struct node *macro);
/* The most that a checked tree may cost; SIZES: the shape that paths of fields start at. */
uint64_t cel_estimate(struct arena *a, struct node *root, const struct cel_shape *sizes);
/* "ERROR: <input>:1:5: MESSAGE" and the line with a mark. */
const char *cel_describe_error(struct arena *a, const char *text, size_t pos, const char *message);
struct complaint {
        size_t pos;
        const char *message;
};
/* Of several, in the order of the text (LIST is sorted). */
const char *cel_describe_errors(struct arena *a, const char *text, struct complaint *list, size_t n);
