#include "tools/diff.h"

#include "wire/message.h"
#include "tools/diff_tags.h"

void diff_args(struct buf *args, struct slice root, struct slice manifest, const struct slice *folders, size_t n,
               const struct diff_wish *wish)
{
    message_put(args, DIFF_ROOT, root);
    message_put(args, DIFF_MANIFEST, manifest);
    for (size_t i = 0; i < n; i++)
        message_put(args, DIFF_FOLDER, folders[i]);
    message_put_u64(args, DIFF_FLAGS, (wish->taken_back ? DIFF_TAKEN_BACK : 0) | (wish->color ? DIFF_COLOR : 0) |
                                      (wish->stat ? DIFF_STAT : 0));
    message_put_u64(args, DIFF_COLUMNS, wish->columns);
}
