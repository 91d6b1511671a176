/* The kernel's notifications about nftables: see watch.h.
 *
 * There is one for each rule and element of a transaction, thousands when a table is written, and
 * one at its end that says only that there is a new generation. A socket filter lets the last kind
 * through and nothing else, so that a transaction wakes us once. Whether our table is still there
 * is then asked with one message.
 */
#include "watch.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#define TYPE(msg) (NFNL_SUBSYS_NFTABLES << 8 | (msg))
#define NAME_MAX_LEN 64

struct table_watch {
        int events, queries; /* sockets */
        char *table;
        void (*changed)(void *userdata);
        void *userdata;
};

static int open_socket(int flags, struct error *reterr)
{
        struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);

        if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
                int r = -errno;

                if (fd >= 0)
                        close(fd);
                return error_set(reterr, r, "netlink: %s", strerror(-r));
        }
        return fd;
}

/* Filters read in network order, netlink writes in that of the host. */
static int subscribe(int fd, struct error *reterr)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(TYPE(NFT_MSG_NEWGEN)), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        struct sock_fprog program = { ARRAY_SIZE(code), code };
        int group = NFNLGRP_NFTABLES;

        if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
            setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
                return error_set(reterr, -errno, "netlink: %s", strerror(errno));
        return 0;
}

static void on_event(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct table_watch *w = userdata;
        char buf[512];
        ssize_t n;

        /* ENOBUFS says that some were lost, which changes nothing. */
        do
                n = recv(w->events, buf, sizeof(buf), MSG_DONTWAIT);
        while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)));
        w->changed(w->userdata);
}

int table_watch_new(struct loop *loop, const char *table, void (*changed)(void *userdata), void *userdata,
                    struct table_watch **ret, struct error *reterr)
{
        int events = open_socket(SOCK_NONBLOCK, reterr), queries = -1, r = events;
        struct table_watch *w;

        if (r >= 0)
                r = queries = open_socket(0, reterr);
        if (r >= 0)
                r = subscribe(events, reterr);
        if (r < 0) {
                close_p(&events);
                close_p(&queries);
                return r;
        }
        w = new0(struct table_watch);
        *w = (struct table_watch){ events, queries, xstrndup(table, NAME_MAX_LEN), changed, userdata };
        loop_fd_new(loop, events, EPOLLIN, on_event, w);
        *ret = w;
        return 0;
}

bool table_watch_exists(struct table_watch *w)
{
        struct {
                struct nlmsghdr head;
                struct nfgenmsg family;
                struct nlattr attr;
                char name[NAME_MAX_LEN + 1];
        } request = {
                .head = { .nlmsg_type = TYPE(NFT_MSG_GETTABLE), .nlmsg_flags = NLM_F_REQUEST },
                .family = { .nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0 },
                .attr = { .nla_type = NFTA_TABLE_NAME },
        };
        union {
                struct nlmsghdr head;
                char bytes[4096];
        } answer;
        size_t len = strlen(w->table) + 1;
        struct nlmsgerr *err = NLMSG_DATA(&answer.head);
        ssize_t n;

        memcpy(request.name, w->table, len);
        request.attr.nla_len = NLA_HDRLEN + len;
        request.head.nlmsg_len = NLMSG_ALIGN(offsetof(typeof(request), name) + len);
        /* The kernel has answered by the time send() returns. */
        if (send(w->queries, &request, request.head.nlmsg_len, 0) < 0)
                return true;
        n = recv(w->queries, &answer, sizeof(answer), MSG_DONTWAIT);
        return n < (ssize_t)NLMSG_LENGTH(sizeof(*err)) || answer.head.nlmsg_type != NLMSG_ERROR || err->error != -ENOENT;
}
