/* The default seccomp profile (RuntimeDefault), as data.
 *
 * What a program in a container may call: everything ordinary programs use, and what its capabilities
 * entitle it to. All else fails with EPERM. It follows the list that container engines have agreed
 * on: no keyrings, no io_uring, no mounting, no new user namespaces.
 */
#include "seccomp.h"

#include <errno.h>
#include <sched.h>

static const char allowed[] =
        "_llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk cachestat "
        "capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres "
        "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 "
        "close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 "
        "epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd "
        "eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 "
        "fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl "
        "fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 "
        "fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 "
        "futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu "
        "getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups "
        "getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom "
        "getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname "
        "getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init "
        "inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents "
        "io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill "
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
        "lgetxattr link linkat listen listmount listxattr llistxattr lremovexattr lseek lsetxattr "
        "lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore "
        "mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect "
        "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
        "mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock "
        "munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause "
        "pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll "
        "ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv "
        "process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read "
        "readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg "
        "remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq "
        "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
        "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max "
        "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
        "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
        "sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop "
        "semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto "
        "set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 "
        "setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 "
        "setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid "
        "setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaction "
        "sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend "
        "socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink "
        "symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete "
        "timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
        "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times "
        "tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat "
        "utimensat_time64 utimes vfork wait4 waitid waitpid write writev ";

/* Calls that a capability opens. A call may stand in several rows. */
static const struct {
        const char *capability, *calls;
} by_capability[] = {
        { "CAP_DAC_READ_SEARCH", "open_by_handle_at" },
        { "CAP_SYS_ADMIN",
          "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
          "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
          "umount umount2 unshare" },
        { "CAP_SYS_BOOT", "reboot" },
        { "CAP_SYS_CHROOT", "chroot" },
        { "CAP_SYS_MODULE", "delete_module finit_module init_module" },
        { "CAP_SYS_PACCT", "acct" },
        { "CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise" },
        { "CAP_SYS_RAWIO", "ioperm iopl" },
        { "CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime" },
        { "CAP_SYS_TTY_CONFIG", "vhangup" },
        { "CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
        { "CAP_SYSLOG", "syslog" },
        { "CAP_BPF", "bpf" },
        { "CAP_PERFMON", "perf_event_open" },
};

static void append_names(struct arena *a, struct json *names, const char *list)
{
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, " ");
                if (len)
                        json_append(a, names, json_new_stringn(a, p, len));
                p += len + (p[len] == ' ');
        }
}

static struct json *rule(struct arena *a, struct json *syscalls, const char *names, const char *action)
{
        struct json *r = json_new_object(a);

        append_names(a, json_ensure_array(a, r, "names"), names);
        json_set_string(a, r, "action", action);
        json_append(a, syscalls, r);
        return r;
}

static void argument(struct arena *a, struct json *rule_, unsigned index, uint64_t value, uint64_t value_two,
                     const char *op)
{
        struct json *arg = json_new_object(a);

        json_set_int(a, arg, "index", index);
        json_set_int(a, arg, "value", (int64_t)value);
        json_set_int(a, arg, "valueTwo", (int64_t)value_two);
        json_set_string(a, arg, "op", op);
        json_append(a, json_ensure_array(a, rule_, "args"), arg);
}

static bool has(const char *const *caps, const char *cap)
{
        for (; caps && *caps; caps++)
                if (streq(*caps, cap))
                        return true;
        return false;
}

/* personality(2): the values that only ask or that emulators need. */
static void allow_personalities(struct arena *a, struct json *syscalls)
{
        static const uint64_t values[] = { 0, 0x0008, 0x20000, 0x20008, 0xffffffff };

        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                argument(a, rule(a, syscalls, "personality", "SCMP_ACT_ALLOW"), 0, values[i], 0, "SCMP_CMP_EQ");
}

/* Without CAP_SYS_ADMIN: no new namespaces. clone3 passes its flags in memory, where no filter sees
 * them, so it is not there at all: the C library then falls back to clone. */
static void allow_plain_clone(struct arena *a, struct json *syscalls)
{
        uint64_t namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                              CLONE_NEWNET | CLONE_NEWCGROUP;

        argument(a, rule(a, syscalls, "clone", "SCMP_ACT_ALLOW"), 0, namespaces, 0, "SCMP_CMP_MASKED_EQ");
        json_set_int(a, rule(a, syscalls, "clone3", "SCMP_ACT_ERRNO"), "errnoRet", ENOSYS);
}

struct json *seccomp_default(struct arena *a, const char *const *capabilities)
{
        struct json *profile = json_new_object(a), *archs, *syscalls;

        json_set_string(a, profile, "defaultAction", "SCMP_ACT_ERRNO");
        json_set_int(a, profile, "defaultErrnoRet", EPERM);
        archs = json_ensure_array(a, profile, "architectures");
#if defined(__x86_64__)
        json_append(a, archs, json_new_string(a, "SCMP_ARCH_X86_64"));
        json_append(a, archs, json_new_string(a, "SCMP_ARCH_X86"));
        /* Not x32: hardly a kernel has it, and the filter is compiled anew for each start of a container. */
#elif defined(__aarch64__)
        json_append(a, archs, json_new_string(a, "SCMP_ARCH_AARCH64"));
        json_append(a, archs, json_new_string(a, "SCMP_ARCH_ARM"));
#endif
        syscalls = json_ensure_array(a, profile, "syscalls");
        rule(a, syscalls, allowed, "SCMP_ACT_ALLOW");
        /* Sockets of all families but AF_VSOCK, which leads around the network namespace. */
        argument(a, rule(a, syscalls, "socket", "SCMP_ACT_ALLOW"), 0, 40, 0, "SCMP_CMP_NE");
        allow_personalities(a, syscalls);
        for (size_t i = 0; i < ARRAY_SIZE(by_capability); i++)
                if (has(capabilities, by_capability[i].capability))
                        rule(a, syscalls, by_capability[i].calls, "SCMP_ACT_ALLOW");
        if (!has(capabilities, "CAP_SYS_ADMIN"))
                allow_plain_clone(a, syscalls);
        return profile;
}
