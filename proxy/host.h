/* What Services need of the host beside nftables: an interface that holds the resolver's address, a
 * route for the service range, and a few kernel settings.
 */
#pragma once

#include "../lib/loop/process.h"

struct host_options {
        const char *table;        /* the interface's name follows from it */
        const char *service_cidr;
        const char *dns_ip;       /* NULL: none */
};

#define HOST_INTERFACE_BUF 16
/* "colibri-svc" of the table "colibri"; RET holds HOST_INTERFACE_BUF bytes. Pure. */
void host_interface_name(const char *table, char *ret);

/* On a fiber. May be called again at any time. *ret_bridge_unfiltered: bridged packets do not pass
 * the host's hooks on this kernel. */
int host_prepare(struct loop *loop, const struct host_options *o, bool *ret_bridge_unfiltered, struct error *reterr);
/* Lets 127.0.0.1:NODEPORT leave the loopback interface. Only once the table with its loopback-guard is there. */
int host_open_loopback(struct error *reterr);
/* Takes it all away again, also what is there only in part. On a fiber. */
int host_cleanup(struct loop *loop, const struct host_options *o, struct error *reterr);
