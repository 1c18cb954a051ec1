/* git's configuration: whatever it says, what comes of it is a few lines that say the same when they are read again. */
#include "fuzz.h"
#include "tools/setting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_CLEANUP struct buf once = BUF_INIT(8192), twice = BUF_INIT(8192);
    setting_git_identity(fuzz_slice(data, size), &once);
    ASSERT(buf_ok(&once));
    setting_git_identity(buf_slice(&once), &twice);
    ASSERT(slice_eq(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
