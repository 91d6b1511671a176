/* Inside of the interpreter: the tree that parsing makes and evaluation walks. Not for others; see cel.h. */
#pragma once

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
};

enum macro {
        MACRO_ALL,
        MACRO_EXISTS,
        MACRO_EXISTS_ONE,
        MACRO_FILTER,
        MACRO_MAP,             /* args[1]: transform; args[2], if there: which to take */
        MACRO_TRANSFORM_LIST,  /* from here on two variables */
        MACRO_TRANSFORM_MAP,
        MACRO_TRANSFORM_ENTRY,
        MACRO_OPT_MAP,
        MACRO_OPT_FLAT_MAP,
};

struct function;

struct node {
        enum node_kind kind;
        enum cel_type type; /* CEL_DYN until the checker knows more */
        uint32_t pos;       /* byte in the text that an error points to */
        const char *name;   /* of identifiers, fields, functions, messages */
        struct node **args;
        size_t n;
        uint8_t *flags; /* of list items and map keys: optional */
        bool member, test, optional;
        struct cel_value value; /* of literals */
        const struct function *function;
        enum macro macro;
        const char *vars[2]; /* of macros; [1] may be NULL */
        int slot;            /* of identifiers: the variable's; of macros: that of vars[0] */
};

struct cel_program {
        struct node *root;
        size_t n_slots;
};

struct eval {
        struct cel_run *run;
        struct cel_value *slots;
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
extern const struct function functions_standard[], functions_strings[], functions_kubernetes[], functions_network[];

/* How the function may be called with N arguments; NULL: in no way. *ret_known: it exists under that name at all. */
const struct function *function_find(const char *name, bool member, size_t n, bool *ret_known);

/* Counts cost; false: the limit is passed. */
bool eval_spend(struct eval *e, uint64_t cost);
struct cel_value eval_over_limit(void);

/* indexOf and lastIndexOf of a string: lists have them too. */
struct cel_value cel_string_index(struct eval *e, size_t n, const struct cel_value *v, bool last);
/* "10.0.0.1", "10.0.0.0/8": canonical. */
const char *cel_address_text(struct arena *a, const struct cel_address *x);

/* A parser of TEXT: no names are known to it. */
int cel_parse(struct arena *a, const char *text, struct node **ret, struct error *reterr);
/* "ERROR: <input>:1:5: MESSAGE" and the line with a mark. */
const char *cel_describe_error(struct arena *a, const char *text, size_t pos, const char *message);
