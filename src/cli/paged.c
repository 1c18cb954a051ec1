#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/cli.h"

bool cli_paged(struct slice text)
{
    const char *pager = getenv("PAGER");
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    setenv("LESS", "FRX", 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        execl("/bin/sh", "sh", "-c", pager && *pager ? pager : "exec less", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN); /* it may be left before the end */
    bool sent = pid > 0 && (sys_write_all(ends[1], text, "the pager", NULL) == OK || errno == EPIPE);
    close(ends[1]);
    while (pid > 0 && sys->waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return sent && WIFEXITED(status) && WEXITSTATUS(status) != 127;
}
