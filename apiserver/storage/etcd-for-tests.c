/* Starts etcd for tests: see etcd-for-tests.h. */
#include "etcd-for-tests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../lib/base/file.h"

static bool can_connect(unsigned port)
{
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

/* Two ports in a row that nobody listens on. */
static unsigned free_ports(void)
{
        unsigned port = 21000 + (unsigned)getpid() % 5000 * 2;

        while (can_connect(port) || can_connect(port + 1))
                port += 2;
        return port;
}

static void run(struct test_etcd *e)
{
        char client[64], listen[128], peer[64], cluster[80], quota[64];

        snprintf(client, sizeof(client), "http://127.0.0.1:%u", e->port);
        snprintf(listen, sizeof(listen), "%s,unix://client:1", client);
        snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", e->port + 1);
        snprintf(cluster, sizeof(cluster), "t=%s", peer);
        snprintf(quota, sizeof(quota), "--quota-backend-bytes=%u", e->quota);
        e->pid = fork();
        if (e->pid != 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves no etcd behind */
        if (chdir(e->dir) < 0 || (unlink("client:1") < 0 && errno != ENOENT) || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
                _exit(126);
        execlp("etcd", "etcd", "--name=t", "--data-dir", e->dir, "--listen-client-urls", listen,
               "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
               "--initial-cluster", cluster, "--logger=zap", quota, NULL);
        _exit(127);
}

static bool wait_up(struct test_etcd *e)
{
        for (unsigned i = 0; i < 1000; i++) {
                if (can_connect(e->port))
                        return true;
                if (waitpid(e->pid, NULL, WNOHANG) == e->pid)
                        return false;
                usleep(10000);
        }
        return false;
}

bool test_etcd_start(struct test_etcd *e)
{
        e->port = free_ports();
        snprintf(e->dir, sizeof(e->dir), "/tmp/colibri-test-etcd-XXXXXX");
        if (!mkdtemp(e->dir))
                return false;
        snprintf(e->endpoint, sizeof(e->endpoint), "http://127.0.0.1:%u", e->port);
        snprintf(e->socket, sizeof(e->socket), "unix://%s/client:1", e->dir);
        run(e);
        if (wait_up(e))
                return true;
        printf("skipped: etcd (package etcd-server) could not be started\n");
        dir_remove(e->dir, NULL);
        return false;
}

void test_etcd_kill(struct test_etcd *e)
{
        if (e->pid > 0) {
                kill(e->pid, SIGKILL);
                waitpid(e->pid, NULL, 0);
        }
        e->pid = 0;
}

void test_etcd_restart(struct test_etcd *e)
{
        run(e);
        wait_up(e);
}

void test_etcd_stop(struct test_etcd *e)
{
        test_etcd_kill(e);
        dir_remove(e->dir, NULL);
}
