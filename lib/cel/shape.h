/* Inside of the interpreter: types of expressions, and how they fit one another (cel-spec's doc/langdef.md, "Gradual type
 * checking"). Not for others; see cel.h. */
#pragma once

#include "value.h"

/* What type parameters stand for, as far as it is known. What is tried and fails is taken back. */
struct bindings {
        struct arena *arena;
        const struct cel_shape **of; /* by param; NULL: nothing yet */
        size_t n, cap;
        struct undo {
                uint32_t param;
                const struct cel_shape *was;
        } *log;
        size_t logged, log_cap;
};

/* Two parameters are there from the start: those that "list" and "map" are written with. */
void bindings_init(struct bindings *b, struct arena *a);
const struct cel_shape *bindings_new(struct bindings *b);
/* Whether a value of shape X may stand where Y is wanted; parameters are bound to make it so. */
bool shape_fits(struct bindings *b, const struct cel_shape *x, const struct cel_shape *y);
bool shape_fits_all(struct bindings *b, size_t n, const struct cel_shape *const *x, const struct cel_shape *const *y);
/* Parameters replaced by what they stand for; those that are free become dyn if TO_DYN. */
const struct cel_shape *shape_resolve(struct bindings *b, const struct cel_shape *s, bool to_dyn);
bool shape_same(const struct cel_shape *x, const struct cel_shape *y);
/* The less specific of two that fit. */
const struct cel_shape *shape_wider(const struct cel_shape *x, const struct cel_shape *y);
const struct cel_shape *shape_type_of(struct arena *a, const struct cel_shape *s);

/* One way to call a function: "A" and "B" are its parameters, the other letters in shape_read(). */
struct signature {
        const char *name;
        bool member;
        const char *result;
        const char *args; /* one or more lists of arguments, the object first: "ss ssi" */
};
extern const struct signature signatures[]; /* ends with a NULL */

/* Reads the next shape of a signature; PARAMS: fresh ones for A and B. */
const struct cel_shape *shape_read(struct arena *a, const char **text, const struct cel_shape *const params[2]);
