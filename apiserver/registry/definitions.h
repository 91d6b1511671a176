/* Custom resource definitions at work: which of them are served, the conditions that say so, and their end.
 *
 * One table follows the watch cache (every API server has its own). A definition whose names are accepted is
 * compiled (schema/crd.h) and its served versions join discovery and routing at once, before anybody hears that
 * it is Established. What has to be written (conditions, accepted names, the deletion of instances) a fiber
 * does one definition after the other; several API servers may do so at the same time.
 */
#pragma once

#include "../apiserver.h"

/* Starts to follow; called once the store is there. S->extra is this module's from then on. */
void definitions_start(struct apiserver *s);
/* Whether S->extra has all definitions that the cache has. */
bool definitions_ready(void);
/* Calls FN when a definition's resources are replaced or gone: C is the old one. */
struct crd;
void definitions_on_replace(void (*fn)(const struct crd *c));

/* Holds on to what RES was compiled from while a request or a watcher uses it; nothing for built-in ones. */
void resource_ref(const struct resource *res);
void resource_unref(const struct resource *res);
