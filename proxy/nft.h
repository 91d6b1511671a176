/* One transaction through libnftables. It blocks for as long as the kernel needs: call it in a worker
 * thread (fiber_work), never two at a time.
 */
#pragma once

#include "../lib/base/error.h"

/* All of TEXT or nothing of it. -EIO: refused, reterr says by whom and why. */
int nft_apply(const char *text, struct error *reterr);
/* The table ("ip filter") whose forward hook drops what no rule of its accepts: firewalls and Docker do
 * that, and it goes for pods too, whatever our table says. NULL: none. The caller frees. */
char *nft_forward_dropper(void);
/* True when another table than TABLE has a chain CHAIN. False also when it cannot be told. */
bool nft_chain_elsewhere(const char *table, const char *chain);
