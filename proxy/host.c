/* The interface, the route and the settings: see host.h.
 *
 * The interface is a dummy, or a bridge without ports where the kernel has no dummies; nothing ever
 * passes through it. Packets for a Service are rewritten before they would be sent, so the route
 * only has to exist: without one (a host with no default route) the kernel would refuse to start.
 */
#include "host.h"

#include <net/if.h>
#include <stdio.h>

#include "../lib/base/file.h"
#include "../lib/base/map.h"
#include "nft.h"

#define BRIDGE_FILTER "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define ROUTE_LOCALNET "/proc/sys/net/ipv4/conf/all/route_localnet"
#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"
#define ROUTE_METRIC 20000u
#define ROUTE_METRICS 10000u
#define COMMAND_TIMEOUT_NS INT64_C(10000000000)

void host_interface_name(const char *table, char *ret)
{
        if (strlen(table) + strlen("-svc") < HOST_INTERFACE_BUF)
                snprintf(ret, HOST_INTERFACE_BUF, "%s-svc", table);
        else
                snprintf(ret, HOST_INTERFACE_BUF, "svc-%08x", (unsigned)hash_bytes(table, strlen(table)));
}

/* --- settings --- */

static bool sysctl_is(const char *path, const char *value)
{
        _cleanup_free_ char *text = NULL;

        return file_read(path, 64, &text, NULL, NULL) == 0 && strtol(text, NULL, 10) == strtol(value, NULL, 10);
}

/* Files in /proc/sys cannot be replaced, only written. */
static int sysctl_set(const char *path, const char *value, struct error *reterr)
{
        FILE *f;
        int r = 0;

        if (sysctl_is(path, value))
                return 0;
        f = fopen(path, "we");
        if (!f)
                return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        if (fputs(value, f) < 0 || fflush(f) != 0)
                r = error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        fclose(f);
        return r;
}

/* --- ip(8) --- */

/* Runs it; what it says when it fails becomes the error. INPUT: commands for `ip -batch -`. */
static int ip(struct loop *loop, const char *const *argv, const char *input, struct error *reterr)
{
        struct process_options o = {
                .argv = argv, .input = input, .input_len = input ? strlen(input) : 0, .timeout_ns = COMMAND_TIMEOUT_NS,
        };
        struct process_result result = { 0 };
        int r = process_run(loop, &o, &result, reterr);

        if (r == 0 && result.status != 0)
                r = error_set(reterr, -EIO, "%s: %.*s", argv[0], (int)strcspn(strbuf_str(&result.err), "\n"),
                              strbuf_str(&result.err));
        process_result_deinit(&result);
        return r;
}

static int add_interface(struct loop *loop, const char *name, struct error *reterr)
{
        static const char *const types[] = { "dummy", "bridge" };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                const char *argv[] = { "ip", "link", "add", name, "type", types[i], NULL };

                if (if_nametoindex(name))
                        return 0;
                r = ip(loop, argv, NULL, reterr);
                if (r == 0)
                        return 0;
        }
        return r;
}

int host_prepare(struct loop *loop, const struct host_options *o, bool *ret_bridge_unfiltered, struct error *reterr)
{
        static const char *const batch[] = { "ip", "-batch", "-", NULL };
        static const char *const module[] = { "modprobe", "br_netfilter", NULL };
        _cleanup_strbuf_ struct strbuf commands = STRBUF_INIT;
        char name[HOST_INTERFACE_BUF];
        int r;

        host_interface_name(o->table, name);
        r = add_interface(loop, name, reterr);
        if (r < 0)
                return error_wrap(reterr, r, "interface %s", name);
        strbuf_printf(&commands, "link set dev %s up\n", name);
        if (o->dns_ip)
                strbuf_printf(&commands, "address replace %s/32 dev %s\n", o->dns_ip, name);
        /* A metric of our own: another cluster of this machine may have the same range, and a route of its own. */
        strbuf_printf(&commands, "route replace %s dev %s metric %u\n", o->service_cidr, name,
                      ROUTE_METRIC + hash_bytes(o->table, strlen(o->table)) % ROUTE_METRICS);
        r = ip(loop, batch, strbuf_str(&commands), reterr);
        if (r < 0)
                return error_wrap(reterr, r, "interface %s", name);
        r = sysctl_set(IP_FORWARD, "1", reterr);
        if (r < 0)
                return r;
        if (!file_exists(BRIDGE_FILTER))
                ip(loop, module, NULL, NULL); /* not a module here: the masquerading rule takes its place */
        *ret_bridge_unfiltered = sysctl_set(BRIDGE_FILTER, "1", NULL) < 0;
        return 0;
}

int host_open_loopback(struct error *reterr)
{
        return sysctl_set(ROUTE_LOCALNET, "1", reterr);
}

/* --- the way back --- */

static int remove_table(const char *table, struct error *reterr)
{
        _cleanup_free_ char *text = xasprintf("add table ip %s\ndelete table ip %s\n", table, table);

        return nft_apply(text, reterr);
}

int host_cleanup(struct loop *loop, const struct host_options *o, struct error *reterr)
{
        char name[HOST_INTERFACE_BUF];
        const char *argv[] = { "ip", "link", "delete", name, NULL };
        int r;

        host_interface_name(o->table, name);
        /* Open to the neighbours only as long as somebody's guard stands before it. */
        if (!nft_chain_elsewhere(o->table, "loopback-guard"))
                sysctl_set(ROUTE_LOCALNET, "0", NULL);
        r = remove_table(o->table, reterr);
        if (r < 0)
                return r;
        return if_nametoindex(name) ? ip(loop, argv, NULL, reterr) : 0;
}
