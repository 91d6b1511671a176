/* ObjectMeta's own rules, and those on labels that others share. */
#pragma once

#include "rules.h"

/* On create, and by kinds that check all of it on update too. */
void metadata_validate(struct check *c, enum name_rule rule);
void metadata_validate_names(struct check *c, enum name_rule rule); /* of it what depends on the rule */
void metadata_validate_update(struct check *c);

void check_labels(struct check *c, const struct at *at);
void check_label_keys(struct check *c, const struct at *at);
void check_annotations(struct check *c, const struct at *at);
void check_selector(struct check *c, const struct at *at);
void check_finalizer_names(struct check *c, const struct at *list);
