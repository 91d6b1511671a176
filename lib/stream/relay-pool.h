/* Connections to servers behind us that are between two requests: a TLS handshake costs more than most answers. */
#pragma once

#include "dial.h"

/* Keeps W, over which nothing is under way, for whoever dials the same (by the same address, name, trust and certificate);
 * for 30 s at most, and a few only. Takes it over. */
void relay_pool_put(struct loop *loop, const struct dial_options *to, struct wire *w);
/* One that is kept, and not closed as far as we know; hand it over before the next turn of the loop. NULL: none. */
struct wire *relay_pool_take(struct loop *loop, const struct dial_options *to);
void relay_pool_clear(void); /* closes all: for tests, and at the end */
