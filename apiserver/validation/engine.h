/* What the interpreter (engine.c) and its foresight (foresee.c) share. */
#pragma once

#include "rules.h"

/* The place of field NAME of AT, in RET. */
void at_step(struct at *ret, const struct at *at, const char *name, size_t len, uint32_t tag);
bool at_changed(const struct at *at); /* since the stored object */
bool cond_holds(struct check *c, const struct cond *k, const struct at *at);
bool rule_check(struct check *c, const struct rule *r, const struct at *at); /* false: it failed */

/* What is known of a rule once its table has met a type. */
struct prospect {
        const struct schema_field *field; /* of a block: that its path begins with; of an `if`: that its condition needs */
        bool silent; /* says nothing where the object, and the stored one, lack that field */
        uint32_t bit; /* of a silent one: json_tag_bit() of the field; without it among the objects' names it is passed over */
};
/* One for each rule, found once for each table and type; NULL: nothing is known. */
const struct prospect *foresight(const struct rule *rules, const struct schema *s);
