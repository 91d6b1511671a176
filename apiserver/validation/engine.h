/* What the interpreter (engine.c) and its foresight (silence.c) share. */
#pragma once

#include "rules.h"

/* The place of field NAME of AT, in RET. */
void at_step(struct at *ret, const struct at *at, const char *name, size_t len, uint32_t tag);
bool at_changed(const struct at *at); /* since the stored object */
bool cond_holds(struct check *c, const struct cond *k, const struct at *at);
bool rule_check(struct check *c, const struct rule *r, const struct at *at); /* false: it failed */

/* For each rule of a table the field of S without which, in the object and in the stored one, it says nothing;
 * NULL: it may always say something. NULL for all: not known. Found once for each table and type. */
const struct schema_field *const *silence_of(const struct rule *rules, const struct schema *s);
