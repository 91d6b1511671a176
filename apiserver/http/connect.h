/* What connect.c (pods' exec, attach, portforward and log) and proxy.c (the proxy subresources) share. */
#pragma once

#include "../../lib/stream/relay.h"
#include "../registry/registry.h"
#include "verbs.h"

/* Where the kubelet of node NAME listens, with the certificates to ask it with. RES: whose name a missing node
 * is reported under (upstream says `pods "n1" not found` of a pod's). */
const struct status *kubelet_location(struct api_request *r, const struct resource *res, const char *name,
                                      struct dial_options *ret);
/* The client's headers as they go on: without credentials and what is about its own connection. UPGRADE: those
 * that ask for one stay. Name, value, ..., NULL, in the arena, Host included. */
const char *const *forwarded_headers(struct api_request *r, bool upgrade);
bool asks_upgrade(const struct api_request *r);
/* The server's answer; takes L over. FIX (may be NULL) may change its headers before. */
void pass_answer(struct api_request *r, struct relay *l, void (*fix)(struct api_request *r, const char **headers));

void connect_proxy(struct api_request *r);
