#include "tools/inside_args.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/sys.h"
#include "wire/message.h"

enum err inside_bad(const char *what, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "a tool was called with %s", what);
}

enum err inside_path(struct slice path, char ret[INSIDE_PATH_BYTES], struct error *e)
{
    if (path.n == 0 || path.n >= INSIDE_PATH_BYTES || path.p[0] != '/' || slice_index(path, '\0') < path.n)
        return inside_bad("a folder that is no absolute path", e);
    memcpy(ret, path.p, path.n);
    ret[path.n] = '\0';
    return OK;
}

enum err inside_open(struct slice path, int *ret, struct error *e)
{
    char text[INSIDE_PATH_BYTES];
    enum err err = inside_path(path, text, e);
    if (err)
        return err;
    *ret = sys->openat(AT_FDCWD, text, O_RDONLY | O_DIRECTORY, 0);
    return *ret < 0 ? error_errno(e, errno, "cannot open the folder %s", text) : OK;
}

void inside_folders_close(struct inside_folders *f)
{
    while (f->n)
        sys_close_fd(&f->fd[--f->n]);
}

enum err inside_open_folders(struct slice args, uint16_t tag, const struct manifest *m, struct inside_folders *ret, struct error *e)
{
    struct message_reader r = message_read(args);
    struct field f;
    while (message_next(&r, &f) == 1) {
        if (f.tag != tag)
            continue;
        if (ret->n == INSIDE_FOLDERS_MAX)
            return error_set(e, ERR_LIMIT, "there are more than %d layers", INSIDE_FOLDERS_MAX);
        enum err err = inside_open(f.bytes, &ret->fd[ret->n], e);
        if (err)
            return err;
        ret->n++;
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].layer >= ret->n)
            return inside_bad("a list of changes that names a layer that is not there", e);
    return OK;
}

enum err inside_put_manifest(struct buf *reply, uint16_t tag, const struct manifest *m, struct error *e)
{
    BUF_CLEANUP struct buf bytes = BUF_INIT(MANIFEST_BYTES_MAX);
    manifest_encode(m, &bytes);
    enum err err = buf_check(&bytes, "a list of changes", e);
    if (!err)
        message_put(reply, tag, buf_slice(&bytes));
    return err;
}
