/* Stamps: what is taken means the same when it is written and read again. */
#include "base/buf.h"
#include "fuzz.h"
#include "layers/stamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stamp s, again;
    if (!stamp_decode(fuzz_slice(data, size), &s))
        return 0;
    ASSERT(s.type <= STAMP_FOLDER && s.mode <= 07777);
    ASSERT(s.type != STAMP_ABSENT || (s.ino == 0 && s.links == 0 && hash_is_zero(&s.hash)));
    BUF_CLEANUP struct buf m = BUF_INIT(1024);
    stamp_encode(&s, &m);
    ASSERT(buf_ok(&m) && stamp_decode(buf_slice(&m), &again) && stamp_same(&s, &again));
    ASSERT(s.mode == again.mode && s.uid == again.uid && s.gid == again.gid && s.ctime_ns == again.ctime_ns);
    return 0;
}
