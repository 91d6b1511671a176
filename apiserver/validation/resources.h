/* Names and amounts of resources: what containers, quotas and limits may count. */
#pragma once

#include "../../lib/meta/quantity.h"
#include "rules.h"

bool resource_standard(const char *name);   /* known without a domain */
bool resource_native(const char *name);     /* no domain, or kubernetes.io's */
bool resource_extended(const char *name);   /* of another domain, fit for quotas too */
bool resource_whole(const char *name);      /* counted, not measured */
bool resource_overcommit(const char *name); /* requests may be below limits */
/* NAME is qualified, and known where it has no domain. False: something is wrong, and was said. */
bool resource_name_known(struct check *c, const char *path, const char *name);
/* NAME is one that containers may ask for; errors name PATH. */
void resource_name_for_containers(struct check *c, const char *path, const char *name);
/* ENTRY of a map of amounts: not negative, whole where it is counted. */
void resource_amount_check(struct check *c, const struct at *entry);
bool resource_amount_of(const struct json *j, struct quantity *ret);
