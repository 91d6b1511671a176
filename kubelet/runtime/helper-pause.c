/* colibri-pause: process 1 of a pod whose containers share their processes. It collects the orphans
 * that end, and ends when told. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signo)
{
        (void)signo;
        _exit(0);
}

static void reap(int signo)
{
        (void)signo;
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
}

int main(void)
{
        struct sigaction on_end = { .sa_handler = end }, on_child = { .sa_handler = reap, .sa_flags = SA_NOCLDSTOP };
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        sigaction(SIGINT, &on_end, NULL);
        sigaction(SIGTERM, &on_end, NULL);
        sigaction(SIGCHLD, &on_child, NULL);
        for (;;)
                pause();
}
