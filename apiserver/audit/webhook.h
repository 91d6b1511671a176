/* Events to another server, some at a time: upstream's webhook backend in its mode `batch`.
 *
 * A batch is sent when it has 400 events or its first one has waited for MAX_WAIT; 10,000 may wait. What the server does
 * not take is sent again, four times with longer and longer pauses, then it is given up, counted and told in the daemon's log.
 */
#pragma once

#include "../../lib/base/error.h"
#include "../../lib/loop/loop.h"

struct audit_webhook;

/* KUBECONFIG names the server, whom it trusts and who we are: the URL is posted to as it stands there. */
int audit_webhook_open(struct loop *loop, const char *kubeconfig, int64_t max_wait_ns, struct audit_webhook **ret, struct error *reterr);
/* An event, as a line with its line feed; copied. */
void audit_webhook_line(struct audit_webhook *w, const char *line, size_t len);
/* What is left is lost. NULL allowed. */
void audit_webhook_close(struct audit_webhook *w);
uint64_t audit_webhook_lost(const struct audit_webhook *w);
