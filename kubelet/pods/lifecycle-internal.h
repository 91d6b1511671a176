/* Shared by lifecycle.c (events change facts) and lifecycle-plan.c (facts lead to actions). */
#pragma once

#include "lifecycle.h"

#define GRACE_MIN (2 * NS_PER_SEC)       /* a stop is never more hurried than this, as upstream's */
#define RETRY_SYNC (10 * NS_PER_SEC)     /* after a failure that has no backoff of its own */
#define SHOW_BACKOFF_AFTER (4 * NS_PER_SEC)

struct pod_action *pod_action_add(struct pod_actions *a, enum pod_action_type type, struct lifecycle_container *c);
void pod_record(struct pod_actions *a, struct lifecycle_container *c, bool warning, const char *reason,
                const char *fmt, ...) printf_like(5, 6);

/* Appends the actions that follow from the facts at NOW, and sets wake_at. */
void lifecycle_plan(struct lifecycle *lc, int64_t now, struct pod_actions *actions);

/* Begins the end: no container is started any more. GRACE < 0: the pod's. */
void lifecycle_terminate(struct lifecycle *lc, int64_t now, int64_t grace);
void container_stop(struct lifecycle *lc, struct lifecycle_container *c, int64_t grace, bool restart,
                    char *owned_message, struct pod_actions *actions);
void container_set_reason(struct lifecycle_container *c, const char *reason, const char *message, bool at_once);
void container_promote_reason(struct lifecycle *lc, struct lifecycle_container *c);
int64_t lifecycle_spec_grace(const struct lifecycle *lc);
void str_replace(char **dst, const char *src);
